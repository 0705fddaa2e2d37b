//! `bst-fetcher run`

use std::io;
use std::path::Path;

use fetcher_core::Redact as _;
use fetcher_core::config::ConfigError;
use fetcher_core::fetcher::{FollowResult, LoadedConfig, LockError, StateStore};
use fetcher_core::report::Outcome;
use fetcher_core::{
    Cancel, Config, Diagnosis, Event, Fetcher, FetcherError, RunContext, RunReport, RunSelection, SelfUpdate,
};

use super::{CONFIGURATION, CommandContext, LOCKED, NONE_SUCCEEDED, OK, PANICKED, SOME_FAILED, USAGE, told};
use crate::cli::RunArgs;
use crate::progress::ProgressSink;
use crate::{eprint_line, output, panics, renewal, signals, summary, trace_lines};

pub(crate) fn run(context: &CommandContext, args: RunArgs) -> io::Result<u8> {
    let path = match context.discover() {
        Ok(path) => path,
        Err(error) => return Ok(no_configuration(context, &args, &error, &[])),
    };
    let cancel = Cancel::new();
    let caught = signals::listen(cancel.clone())?;
    let RunConfig { loaded, failures, mut notes } = follow(context, &args, &path, &cancel);
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            let status = no_configuration(context, &args, &error, &failures);
            return Ok(caught.status().unwrap_or(status));
        }
    };
    let selection = RunSelection::all()
        .projects(args.project)
        .branches(args.branch)
        .elements(args.element)
        .force(args.force)
        .no_publish(args.no_publish)
        .dry_run(args.dry_run)
        .lock_wait(args.lock_wait);
    let LoadedConfig { config, commit, held, .. } = loaded;
    if let Err(error) = config.keep(&path, &context.environment) {
        notes.push(format!("no copy of the configuration could be kept: {error}"));
    }
    let store = StateStore::new(&config.state_dir);
    let fetcher = context.fetcher(config).configured_by(commit, failures.clone()).cancel(cancel);
    let bars = output::is_watched() && !context.quiet && !context.json_log;
    let mut progress = ProgressSink::new(bars, context.json_log, if args.dry_run { 1 } else { context.verbose });
    if context.verbose > 1 && !context.json_log {
        trace_lines::show(fetcher.redactor(), progress.bars());
    }
    for note in notes {
        progress.take(Event::Note(note.redacted(fetcher.redactor())));
    }
    let failures = failures.redacted(fetcher.redactor());
    let ended = panics::caught(fetcher.redactor(), || fetcher.run(&selection, &mut |event| progress.take(event)));
    progress.clear();
    let report = match ended {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => {
            // The run that holds the lock, or the next one, tells of them.
            if !matches!(error, FetcherError::Lock(LockError::Held { .. })) {
                eprint_line(summary::failures(&failures).trim_end());
            }
            eprint_line(&format!("bst-fetcher: {error}"));
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
        output::json(&serde_json::to_string_pretty(&report)?)?;
    }
    if !context.json_log {
        let directory = store.run_directory(&report.run);
        let whole = bars || context.verbose > 0;
        eprint_line(summary::render(&report, &directory, whole && !args.dry_run).trim_end());
    }
    Ok(caught.status().unwrap_or_else(|| status(&report)))
}

/// Tells, also by the notifiers of the last good configuration, that this one cannot be used.
fn no_configuration(context: &CommandContext, args: &RunArgs, error: &ConfigError, failures: &[Diagnosis]) -> u8 {
    eprint_line(summary::failures(failures).trim_end());
    let last_good = || Config::last_good(context.config.as_deref(), &context.environment);
    if let Some(config) = (!args.dry_run).then(last_good).flatten() {
        untold(&Fetcher::new(config, context.environment.clone()).tell_configuration(error, failures));
    }
    told(error)
}

/// Says what could not be told, so that cron's mail does.
fn untold(failures: &[Diagnosis]) {
    for failure in failures {
        eprint_line(&format!("bst-fetcher: {}; {}", failure.message, failure.hint));
    }
}

/// The configuration to use, once it and the program have followed their repository.
struct RunConfig {
    loaded: Result<LoadedConfig, ConfigError>,
    failures: Vec<Diagnosis>,
    notes: Vec<String>,
}

fn follow(context: &CommandContext, args: &RunArgs, path: &Path, cancel: &Cancel) -> RunConfig {
    let shared = RunContext::new(&context.environment, cancel);
    if args.dry_run || args.no_self_update {
        let loaded = LoadedConfig::load(path, shared);
        return RunConfig { loaded, failures: Vec::new(), notes: Vec::new() };
    }
    let program = renewal::program(&context.environment);
    let update =
        SelfUpdate::new(shared).wait(args.lock_wait).program(&program, renewal::is_renewed(&context.environment));
    let FollowResult { loaded, mut failures, notes, renewed, .. } = update.follow(path);
    if renewed && !cancel.is_cancelled() {
        // It comes back only where that does not work.
        failures.push(renewal::go_on(&program));
    }
    RunConfig { loaded, failures, notes }
}

fn status(report: &RunReport) -> u8 {
    match report.outcome {
        Outcome::Skipped | Outcome::Ok => OK,
        Outcome::Partial | Outcome::Interrupted => SOME_FAILED,
        // What the library may call otherwise one day is no success.
        _ => NONE_SUCCEEDED,
    }
}

pub(super) fn status_of_error(error: &FetcherError) -> u8 {
    match error {
        FetcherError::Lock(LockError::Held { .. }) => LOCKED,
        FetcherError::NoSuchProject { .. } | FetcherError::NoSuchBranch { .. } | FetcherError::NoSuchElement { .. } => {
            USAGE
        }
        // The lock, the memory, a directory that cannot be made, and what the library may add: what a run needs is not there.
        _ => CONFIGURATION,
    }
}
