//! `bst-fetcher publish [PROJECT[/BRANCH]]`

use std::io::{self, Write};

use fetcher_core::fetcher::LockError;
use fetcher_core::report::{BranchReport, PublicationReport};
use fetcher_core::{Cancel, Fetcher, FetcherError, RunSelection};
use serde_json::json;

use super::{CONFIGURATION, CommandContext, LOCKED, OK, SOME_FAILED, USAGE};
use crate::cli::PublishArgs;
use crate::{eprint_line, output, signals};

pub(crate) fn run(context: &CommandContext, args: &PublishArgs) -> io::Result<u8> {
    let config = match context.config() {
        Ok(config) => config,
        Err(status) => return Ok(status),
    };
    let cancel = Cancel::new();
    let caught = signals::listen(cancel.clone())?;
    let (project, branch) = args.subject.as_deref().map_or((None, None), |subject| match subject.split_once('/') {
        Some((project, branch)) => (Some(project), Some(branch)),
        None => (Some(subject), None),
    });
    let list = |name: Option<&str>| name.map(str::to_owned).into_iter().collect::<Vec<_>>();
    let selection = RunSelection::all().projects(list(project)).branches(list(branch)).dry_run(args.dry_run);
    let fetcher = Fetcher::new(config, context.environment.clone()).cancel(cancel);
    let reports = match fetcher.publish(&selection) {
        Ok(reports) => reports,
        Err(error) => {
            eprint_line(&format!("bst-fetcher: {error}"));
            return Ok(match error {
                FetcherError::Lock(LockError::Held { .. }) => LOCKED,
                FetcherError::NoSuchProject { .. } => USAGE,
                _ => CONFIGURATION,
            });
        }
    };
    if reports.is_empty() {
        eprint_line(
            "bst-fetcher: nothing is to be published: no run has tracked anything yet, or no project has `publish.mode`",
        );
    }
    if args.json {
        output::json(&format!("{:#}", json!({ "version": 1, "branches": reports })))?;
    } else {
        let mut out = output::text();
        reports.iter().try_for_each(|report| print(&mut out, report, args.dry_run))?;
    }
    for failure in reports.iter().flat_map(BranchReport::failures) {
        eprint_line(&format!("bst-fetcher: {}; {}: {}", failure.message, failure.actor, failure.hint));
    }
    let failed = reports.iter().any(|report| report.failures().next().is_some());
    Ok(caught.status().unwrap_or(if failed { SOME_FAILED } else { OK }))
}

fn print(out: &mut impl Write, report: &BranchReport, whole: bool) -> io::Result<()> {
    let branch = report.branch.as_ref().map_or("", |branch| branch.as_str());
    let title = format!("{} ({branch})", report.project);
    for reason in report.stages.iter().filter_map(|stage| stage.skipped.as_deref()) {
        writeln!(out, "{title}: skipped: {reason}")?;
    }
    let Some(publication) = &report.publication else { return Ok(()) };
    if publication.requests.is_empty() && report.failures().next().is_none() {
        writeln!(out, "{title}: nothing to publish")?;
    }
    for request in &publication.requests {
        let name = request.branch.as_ref().map_or(publication.base.as_str(), |branch| branch.as_str());
        let place = request.url.as_deref().unwrap_or(name);
        let reason = request.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        writeln!(out, "{title}: {} {place}{reason}", request.status)?;
        if !whole {
            continue;
        }
        let commit = request.commit.as_ref().map_or("", |commit| commit.as_str());
        writeln!(out, "  {commit} {}", request.title)?;
        for subject in &request.commits {
            writeln!(out, "  * {subject}")?;
        }
        for line in request.body.as_deref().unwrap_or_default().lines() {
            writeln!(out, "  | {line}")?;
        }
    }
    held(out, publication)
}

fn held(out: &mut impl Write, publication: &PublicationReport) -> io::Result<()> {
    for held in &publication.held {
        writeln!(out, "held back: {}: {}", held.element, held.reason)?;
    }
    Ok(())
}
