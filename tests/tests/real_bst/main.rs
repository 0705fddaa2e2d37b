//! The program with the real `bst`.

mod check_host;
mod failures;
mod stops;
mod upstreams;
mod whole;
