//! `bst-fetcher run`

use std::io::{self, IsTerminal as _, Write as _};

use fetcher_core::report::Outcome;
use fetcher_core::state::{LockError, Store};
use fetcher_core::{Cancel, Diagnosis, Fetcher, FetcherError, RunReport, Selection};

use super::{CONFIGURATION, Context, LOCKED, NONE_SUCCEEDED, OK, PANICKED, SOME_FAILED, USAGE};
use crate::cli::RunArgs;
use crate::progress::Progress;
use crate::{panics, say, signals, summary};

pub(crate) fn run(context: &Context, args: RunArgs) -> io::Result<u8> {
    let config = match context.config() {
        Ok(config) => config,
        Err(status) => return Ok(status),
    };
    let cancel = Cancel::new();
    let caught = signals::listen(cancel.clone())?;
    let selection = Selection {
        projects: args.project,
        branches: args.branch,
        force: args.force,
        dry_run: args.dry_run,
        lock_wait: args.lock_wait,
    };
    let store = Store::new(&config.state_dir);
    let fetcher = Fetcher::new(config, context.environment.clone()).cancel(cancel);
    let bars = io::stderr().is_terminal() && !context.quiet && !context.json_log;
    let mut progress = Progress::new(bars, context.json_log, if args.dry_run { 1 } else { context.verbose });
    let ended = panics::caught(|| fetcher.run(&selection, &mut |event| progress.take(event)));
    progress.clear();
    let report = match ended {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => {
            say(&format!("bst-fetcher: {error}"));
            untold(&fetcher.tell_error(&error));
            return Ok(caught.status().unwrap_or_else(|| status_of_error(&error)));
        }
        Err(panic) => {
            untold(&fetcher.tell_panic(&panic));
            return Ok(PANICKED);
        }
    };
    if args.json {
        let mut out = io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    }
    if !context.json_log {
        let directory = store.run_directory(&report.run);
        let whole = bars || context.verbose > 0;
        say(summary::render(&report, &directory, whole && !args.dry_run).trim_end());
    }
    Ok(caught.status().unwrap_or_else(|| status(&report)))
}

/// Says what could not be told, so that cron's mail does.
fn untold(failures: &[Diagnosis]) {
    for failure in failures {
        say(&format!("bst-fetcher: {}; {}", failure.message, failure.hint));
    }
}

fn status(report: &RunReport) -> u8 {
    match report.outcome {
        Outcome::Skipped | Outcome::Ok => OK,
        Outcome::Partial | Outcome::Interrupted => SOME_FAILED,
        Outcome::Failed => NONE_SUCCEEDED,
    }
}

fn status_of_error(error: &FetcherError) -> u8 {
    match error {
        FetcherError::Lock(LockError::Held { .. }) => LOCKED,
        FetcherError::NoSuchProject { .. } | FetcherError::NoSuchBranch { .. } => USAGE,
        FetcherError::Lock(LockError::Io { .. }) | FetcherError::State(_) | FetcherError::Directory { .. } => {
            CONFIGURATION
        }
    }
}
