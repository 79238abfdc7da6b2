//! Private keys that stay in a token.

mod choice;
mod faults;
mod groups;
mod handshakes;
mod kit_tests;
mod pins;
mod refusals;
mod start_and_reload;
mod token_site;
mod verbs;
