//! The table of branches, as text.

use std::fmt::Write as _;

use fetcher_core::fetcher::BranchState;
use fetcher_core::fetcher::SharedCaches;
use fetcher_core::report::{CacheCoverage, ProbeReport, RotFinding};
use fetcher_core::{Diagnosis, ProjectName, TrustName};
use jiff::Timestamp;

/// Holds of a branch that are shown.
const HOLDS: usize = 50;
/// Failures of no branch that are shown.
const FAILURES: usize = 20;

/// A line a branch, in columns.
pub(crate) fn table(branches: &[BranchState], now: Timestamp) -> String {
    let mut rows =
        vec![["PROJECT", "BRANCH", "STATE", "LAST SUCCESS", "LAST RUN", "COMMIT", "CACHED"].map(str::to_owned)];
    rows.extend(branches.iter().map(|branch| row(branch, now)));
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text.push_str(&requests(branches));
    text
}

/// A line for each request to merge tracked refs, and for what is held back.
fn requests(branches: &[BranchState]) -> String {
    let mut text = String::new();
    for state in branches {
        let Some(publication) = &state.publication else { continue };
        let branch = state.branch.as_ref().map_or("", |branch| branch.as_str());
        for request in &publication.requests {
            let name = request.branch.as_ref().map_or(request.unit.as_str(), |branch| branch.as_str());
            let place = request.url.as_deref().unwrap_or(name);
            let reason = request.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let _ = writeln!(text, "{} ({branch}): {} {place}{reason}", state.project, request.status);
        }
        if !publication.held.is_empty() {
            let _ = writeln!(text, "{} ({branch}): {} refs are held back", state.project, publication.held.len());
        }
    }
    text
}

/// A line a hold: what is not tracked, where, and why; nothing where there is none.
pub(crate) fn holds(branches: &[BranchState]) -> String {
    let mut text = String::new();
    for state in branches {
        let branch = state.branch.as_ref().map(|branch| format!(" ({branch})")).unwrap_or_default();
        for hold in state.holds.iter().take(HOLDS) {
            let word = if hold.expired { "no longer held" } else { "held" };
            let count = hold.elements.len();
            let elements = match &hold.elements[..] {
                _ if hold.expired => String::new(),
                [element] if element.as_str() == hold.element => String::new(),
                _ => format!(", {count} element{}", if count == 1 { "" } else { "s" }),
            };
            let _ = writeln!(text, "{word} in {}{branch}: {}{elements}", state.project, hold.words());
        }
        if state.holds.len() > HOLDS {
            let _ = writeln!(text, "and {} more in {}{branch}", state.holds.len() - HOLDS, state.project);
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// What upstreams were asked in the last run, and what trouble to come is known; nothing where nobody was asked.
pub(crate) fn upstreams(probes: Option<&ProbeReport>, rot: &[RotFinding]) -> String {
    let mut text = String::new();
    if let Some(probes) = probes {
        let (hosts, asked, answered) = (probes.hosts.len(), probes.asked(), probes.answered());
        let host = if hosts == 1 { "host" } else { "hosts" };
        let _ = write!(text, "upstreams: {answered} of {asked} questions to {hosts} {host} answered");
        for (count, word) in [(probes.doubted(), "in doubt"), (probes.failed(), "not answered")] {
            if count > 0 {
                let _ = write!(text, ", {count} {word}");
            }
        }
        let _ = writeln!(text, " ({:.1} s, {} kB)", probes.seconds, probes.bytes().div_ceil(1000));
    }
    let trouble = rot.iter().filter(|found| found.is_trouble()).count();
    if trouble > 0 {
        let findings = if trouble == 1 { "finding" } else { "findings" };
        let _ = writeln!(text, "trouble to come with upstreams: {trouble} {findings}, see `bst-fetcher rot`");
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// A line for the caches of each trust: who shares them, where they are, how large; nothing where there is one project.
pub(crate) fn caches(shared: &[SharedCaches]) -> String {
    let mut text = String::new();
    if shared.iter().map(|caches| caches.projects.len()).sum::<usize>() < 2 {
        return text;
    }
    for caches in shared {
        let names = |names: &mut dyn Iterator<Item = &str>| names.collect::<Vec<_>>().join(", ");
        let trusts = names(&mut caches.trusts.iter().map(TrustName::as_str));
        let projects = names(&mut caches.projects.iter().map(ProjectName::as_str));
        let place = caches.directories.cachedir.display();
        let _ = writeln!(text, "caches of {trusts}: {} MiB, used by {projects}: {place}", caches.bytes >> 20);
    }
    format!("\n{text}")
}

/// What failed in the last run, or is to be known of it, and is of no branch; nothing where there is nothing.
pub(crate) fn general<'r>(failures: impl Iterator<Item = &'r Diagnosis>) -> String {
    let mut text = String::new();
    for failure in failures.take(FAILURES) {
        let _ = writeln!(text, "in the last run: {} [{}]\n  {}", failure.message, failure.kind, failure.hint);
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn row(branch: &BranchState, now: Timestamp) -> [String; 7] {
    let ago = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", age(at, now)));
    let outcome = branch.history.last().map_or("unknown", |past| past.outcome.as_str());
    let state = match branch.failing_since {
        Some(since) => format!("{outcome} for {} ({} runs)", age(since, now), branch.consecutive_failures),
        None => outcome.to_owned(),
    };
    let allowed = branch.history.last().map_or(0, |past| past.allowed);
    let state = if allowed > 0 { format!("{state}, {allowed} allowed to fail") } else { state };
    let cached = CacheCoverage::least(&branch.coverage).map(|known| format!("{} {}", known.refs, known.percent()));
    [
        branch.project.to_string(),
        branch.branch.as_ref().map_or_else(|| "(repository)".to_owned(), ToString::to_string),
        state,
        ago(branch.last_success),
        ago(branch.last_run),
        branch.commit.as_ref().map_or_else(String::new, |commit| commit.as_str()[..12].to_owned()),
        cached.collect::<Vec<_>>().join(", "),
    ]
}

/// A time span in its largest unit.
fn age(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
