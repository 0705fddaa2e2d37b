//! The program with the real `bst`.

mod check_host;
mod committed;
mod failures;
mod junctions;
mod moving_branches;
mod plugin_texts;
mod probing;
mod proof;
mod rot;
mod sandbox;
mod selection;
mod session;
mod stops;
mod upstreams;
mod verify;
mod verify_caches;
mod whole;
