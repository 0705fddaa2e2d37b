//! The library on real repositories, processes, Pythons and browsers, without the program.

mod embedded;
mod embedded_forge;
mod examples;
mod failure_words;
mod fuzz;
mod gate;
mod git;
mod git_checkout;
mod git_limits;
mod git_submodules;
mod git_transports;
mod layers;
mod local_runner;
mod managed_environment;
mod may_grow;
mod metrics;
mod pages;
mod pages_browser;
mod runner_contract;
mod type_names;
mod upstreams;
mod upstreams_hostile;
