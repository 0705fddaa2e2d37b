//! The program under test: the same door as that of `bst-fetcher`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fetcher_cli::main_impl()
}
