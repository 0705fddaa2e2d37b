//! What others write, mutated: it may be refused, but it ends nothing, takes bounded time and memory, and is not lost.
//! See `fetcher_tests::fuzz` for how to try longer.

mod configuration;
mod log;
mod redactor;
mod server;
mod state;
