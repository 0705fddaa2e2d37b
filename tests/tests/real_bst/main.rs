//! The program with the real `bst`.

mod check_host;
mod committed;
mod failures;
mod junctions;
mod plugin_texts;
mod proof;
mod publish;
mod sandbox;
mod selection;
mod stops;
mod upstreams;
mod whole;
