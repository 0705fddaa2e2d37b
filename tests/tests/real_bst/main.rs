//! The program with the real `bst`.

mod check_host;
mod failures;
mod junctions;
mod stops;
mod whole;
