//! `bst-fetcher schedule`

mod cron;
mod quoting;
mod serve;
mod systemd;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fetcher_core::runner::output;
use fetcher_core::{Cancel, Exit, Invocation, LocalRunner};

use super::Context;
use crate::cli::ScheduleCommand;
use crate::renewal;

/// What another program does here, it does at once.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Of what it says, a crontab is the longest.
const MAX_OUTPUT: usize = 16 << 20;

pub(crate) fn run(context: &Context, by: &ScheduleCommand) -> io::Result<u8> {
    match by {
        ScheduleCommand::Systemd(args) => systemd::run(context, args),
        ScheduleCommand::Cron(args) => cron::run(context, args),
    }
}

/// The crontab's line for a configuration.
pub(crate) fn cron_line(context: &Context, config: &Path) -> String {
    cron::line(None, &renewal::program(&context.environment), config)
}

/// The configuration file, absolute; a link to it stays one.
fn file(context: &Context) -> Result<PathBuf, u8> {
    context.path().map(|path| std::path::absolute(&path).unwrap_or(path))
}

/// Runs a program to its end in this program's own environment: its exit status, and all that it said.
fn program(context: &Context, command: &[&str]) -> io::Result<(Exit, String)> {
    let environment = context.environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let invocation = Invocation::new(command, "/").environment(environment).timeout(TIMEOUT);
    let said = output(&LocalRunner::default(), &invocation, &Cancel::new(), MAX_OUTPUT).map_err(io::Error::other)?;
    Ok((said.exit, said.stdout.text().into_owned()))
}

/// The same for one that has to succeed.
fn succeed(context: &Context, command: &[&str]) -> io::Result<String> {
    let (exit, said) = program(context, command)?;
    if exit.is_success() {
        return Ok(said);
    }
    Err(io::Error::other(format!("`{}` failed ({exit:?}): {}", command.join(" "), said.trim())))
}
