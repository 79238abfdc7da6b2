//! Private keys that stay in a token.

mod kit_tests;
