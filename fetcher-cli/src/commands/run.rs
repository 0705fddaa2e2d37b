//! `bst-fetcher run`

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use fetcher_core::config::ConfigError;
use fetcher_core::report::Outcome;
use fetcher_core::self_update::{self, Loaded};
use fetcher_core::state::{LockError, Store};
use fetcher_core::{Cancel, Diagnosis, Event, Fetcher, FetcherError, RunReport, Selection, SelfUpdate, SystemClock};

use super::{CONFIGURATION, Context, LOCKED, NONE_SUCCEEDED, OK, PANICKED, SOME_FAILED, USAGE, told};
use crate::cli::RunArgs;
use crate::progress::Progress;
use crate::{panics, renewal, say, signals, summary};

pub(crate) fn run(context: &Context, args: RunArgs) -> io::Result<u8> {
    let path = match context.path() {
        Ok(path) => path,
        Err(status) => return Ok(status),
    };
    let cancel = Cancel::new();
    let caught = signals::listen(cancel.clone())?;
    let Followed { loaded, failures, notes } = follow(context, &args, &path, &cancel);
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            say(summary::failures(&failures).trim_end());
            return Ok(caught.status().unwrap_or_else(|| told(&error)));
        }
    };
    let selection = Selection {
        projects: args.project,
        branches: args.branch,
        force: args.force,
        dry_run: args.dry_run,
        lock_wait: args.lock_wait,
    };
    let Loaded { config, commit, held } = loaded;
    let store = Store::new(&config.state_dir);
    let fetcher =
        Fetcher::new(config, context.environment.clone()).configured_by(commit, failures.clone()).cancel(cancel);
    let bars = io::stderr().is_terminal() && !context.quiet && !context.json_log;
    let mut progress = Progress::new(bars, context.json_log, if args.dry_run { 1 } else { context.verbose });
    for note in notes {
        progress.take(Event::Note(note));
    }
    let ended = panics::caught(|| fetcher.run(&selection, &mut |event| progress.take(event)));
    progress.clear();
    let report = match ended {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => {
            // The run that holds the lock, or the next one, tells of them.
            if !matches!(error, FetcherError::Lock(LockError::Held { .. })) {
                say(summary::failures(&failures).trim_end());
            }
            say(&format!("bst-fetcher: {error}"));
            untold(&fetcher.tell_error(&error));
            return Ok(caught.status().unwrap_or_else(|| status_of_error(&error)));
        }
        Err(panic) => {
            untold(&fetcher.tell_panic(&panic));
            return Ok(PANICKED);
        }
    };
    drop(held);
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

/// The configuration to use, once it and the program have followed their repository.
struct Followed {
    loaded: Result<Loaded, ConfigError>,
    failures: Vec<Diagnosis>,
    notes: Vec<String>,
}

fn follow(context: &Context, args: &RunArgs, path: &Path, cancel: &Cancel) -> Followed {
    if args.dry_run || args.no_self_update {
        let loaded = self_update::load(path, &context.environment, cancel);
        return Followed { loaded, failures: Vec::new(), notes: Vec::new() };
    }
    let program = renewal::program(&context.environment);
    let update = SelfUpdate::new(&context.environment, cancel, &SystemClock)
        .wait(args.lock_wait)
        .program(&program, renewal::is_renewed(&context.environment));
    let self_update::Followed { loaded, mut failures, notes, renewed } = update.follow(path);
    if renewed && !cancel.is_cancelled() {
        // It comes back only where that does not work.
        failures.push(renewal::go_on(&program));
    }
    Followed { loaded, failures, notes }
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
