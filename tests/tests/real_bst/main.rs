//! The program with the real `bst`.

mod check_host;
mod clean_client;
mod committed;
mod failures;
mod gateway;
mod junctions;
mod mirrors;
mod moving_branches;
mod plugin_texts;
mod probed_kinds;
mod probing;
mod probing_property;
mod proof;
mod publish;
mod publish_loads;
mod rot;
mod sandbox;
mod selection;
mod session;
mod stops;
mod trust;
mod upstreams;
mod verify;
mod verify_caches;
mod verify_losses;
mod whole;
