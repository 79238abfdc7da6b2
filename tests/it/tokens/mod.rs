//! Private keys that stay in a token.

mod faults;
mod kit_tests;
mod verbs;
