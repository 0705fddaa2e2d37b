//! `bst-fetcher gc`

use std::io::{self, Write as _};

use fetcher_core::fetcher::LockError;
use fetcher_core::{Fetcher, FetcherError};

use super::{CommandContext, LOCKED, OK, SOME_FAILED};
use crate::{eprint_line, output, summary};

pub(crate) fn run(context: &CommandContext) -> io::Result<u8> {
    let config = match context.config() {
        Ok(config) => config,
        Err(status) => return Ok(status),
    };
    match Fetcher::new(config, context.environment.clone()).housekeeping() {
        Ok(removed) => {
            let mut out = output::text();
            for path in removed.paths.iter().filter(|_| !context.quiet) {
                writeln!(out, "removed {}", path.display())?;
            }
            eprint_line(summary::failures(&removed.failures).trim_end());
            Ok(if removed.failures.is_empty() { OK } else { SOME_FAILED })
        }
        Err(error) => {
            eprint_line(&format!("bst-fetcher: {error}"));
            Ok(if matches!(error, FetcherError::Lock(LockError::Held { .. })) { LOCKED } else { SOME_FAILED })
        }
    }
}
