//! The program `bst-fetcher`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fetcher_cli::main_impl()
}
