//! `bst-fetcher check`

use std::io::{self, Write as _};

use fetcher_core::fetcher::host::CheckStatus;
use fetcher_core::{Cancel, Config};

use super::{CommandContext, OK, SOME_FAILED};
use crate::cli::CheckArgs;
use crate::{eprint_line, output, signals};

pub(crate) fn run(context: &CommandContext, args: &CheckArgs) -> io::Result<u8> {
    let config = match context.config() {
        Ok(config) => config,
        Err(status) => return Ok(status),
    };
    for warning in &config.warnings {
        eprint_line(&format!("warning: {warning}"));
    }
    if !context.quiet {
        let projects = config.projects.len();
        writeln!(
            output::text(),
            "{} is good: {projects} project{}",
            config.path.display(),
            if projects == 1 { "" } else { "s" }
        )?;
    }
    if args.host { host(context, config) } else { Ok(OK) }
}

fn host(context: &CommandContext, config: Config) -> io::Result<u8> {
    let cancel = Cancel::new();
    let caught = signals::listen(cancel.clone())?;
    let fetcher = context.fetcher(config).cancel(cancel);
    let (mut status, mut written) = (OK, Ok(()));
    let checked = fetcher.check_host(&mut |check| {
        if check.level == CheckStatus::Fail {
            status = SOME_FAILED;
        }
        if written.is_ok() && (check.level == CheckStatus::Fail || !context.quiet) {
            written = writeln!(output::text(), "{check}");
        }
    });
    written?;
    checked.map_err(io::Error::other)?;
    Ok(caught.status().unwrap_or(status))
}
