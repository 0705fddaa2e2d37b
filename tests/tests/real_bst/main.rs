//! The program with the real `bst`.

mod check_host;
mod committed;
mod failures;
mod junctions;
mod proof;
mod stops;
mod whole;
