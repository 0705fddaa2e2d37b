//! The program with the real `bst`.

mod check_host;
mod failures;
mod plugin_texts;
mod stops;
mod whole;
