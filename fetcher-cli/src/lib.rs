//! The command line of `bst-fetcher`: everything that touches the terminal, the environment and signals.

mod cli;
mod commands;
mod output;
mod panics;
mod progress;
mod renewal;
mod signals;
mod status;
mod summary;
mod trace_lines;

use std::process::ExitCode;

use clap::Parser as _;

pub use cli::Cli;

use output::eprint_line;

/// The whole program: parses the command line, runs the command, and gives the exit status.
///
/// | status | meaning |
/// |---|---|
/// | 0 | done, nothing failed |
/// | 1 | some branch failed |
/// | 2 | usage |
/// | 3 | the configuration is wrong |
/// | 4 | no branch succeeded |
/// | 70 | the program itself has a bug, and ended in the middle (`EX_SOFTWARE` of sysexits.h) |
/// | 75 | another run holds the lock (`EX_TEMPFAIL` of sysexits.h) |
/// | 128 + n | stopped by signal n |
pub fn main_impl() -> ExitCode {
    match fetcher_core::runner::helper_main(std::env::args_os()) {
        None => {}
        Some(Ok(status)) => return ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)),
        Some(Err(error)) => {
            eprint_line(&format!("bst-fetcher: sandbox: {error}"));
            return ExitCode::from(126);
        }
    }
    panics::are_shown_harmless();
    ExitCode::from(commands::dispatch(Cli::parse()))
}
