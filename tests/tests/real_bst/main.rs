//! The program with the real `bst`.

mod check_host;
mod committed;
mod failures;
mod gateway;
mod junctions;
mod moving_branches;
mod plugin_texts;
mod probing;
mod proof;
mod rot;
mod sandbox;
mod selection;
mod stops;
mod trust;
mod upstreams;
mod verify;
mod verify_caches;
mod whole;
