//! A run's report as text: its essence, for a terminal and for cron's mail.

use std::fmt::Write as _;
use std::path::Path;

use fetcher_core::report::{BranchReport, Outcome, StageReport};
use fetcher_core::{Diagnosis, RunReport};

/// The most failures of one stage that are told at length.
const AT_LENGTH: usize = 10;

/// What went wrong in a run: nothing where nothing did, so that cron stays quiet. With `whole`, what went well too.
pub(crate) fn render(report: &RunReport, directory: &Path, whole: bool) -> String {
    let mut text = failures(&report.failures);
    for branch in &report.branches {
        for stage in &branch.stages {
            if whole || !stage.outcome.is_good() {
                let _ = writeln!(text, "{}: {}", subject(branch, stage), told(stage));
            }
            for note in stage.notes.iter().filter(|_| whole) {
                let _ = writeln!(text, "  note: {note}");
            }
            for failure in stage.failures.iter().take(AT_LENGTH) {
                told_failure(&mut text, " ", failure);
            }
            let more = stage.failures.len().saturating_sub(AT_LENGTH);
            if more > 0 {
                let _ = writeln!(text, "  and {more} more elements");
            }
            if let (false, Some(log)) = (stage.outcome.is_good(), &stage.log) {
                let _ = writeln!(text, "  log: {}", directory.join(log).display());
            }
        }
    }
    if whole || report.outcome == Outcome::Interrupted {
        let good = report.branches.iter().filter(|branch| branch.outcome.is_good()).count();
        let seconds = report.finished.map_or(0, |end| end.duration_since(report.started).as_secs());
        let (all, report_path) = (report.branches.len(), directory.join("report.json"));
        let _ = writeln!(
            text,
            "{}: {good} of {all} branch{} good, after {seconds} s; the report is {}",
            report.outcome,
            if all == 1 { " is" } else { "es are" },
            report_path.display()
        );
    }
    text
}

/// Failures of no branch.
pub(crate) fn failures(failures: &[Diagnosis]) -> String {
    let mut text = String::new();
    for failure in failures {
        told_failure(&mut text, "bst-fetcher:", failure);
    }
    text
}

/// Which stage of which branch, as in `project (branch) fetch (committed) [arm]`.
pub(crate) fn subject(branch: &BranchReport, stage: &StageReport) -> String {
    let mut text = branch.project.to_string();
    if let Some(branch) = &branch.branch {
        let _ = write!(text, " ({branch})");
    }
    let _ = write!(text, " {}", stage.title());
    text
}

/// How a stage ended, in a few words.
pub(crate) fn told(stage: &StageReport) -> String {
    if let Some(reason) = &stage.skipped {
        return format!("skipped: {reason}");
    }
    let elements = stage.elements;
    let mut text = stage.outcome.to_string();
    // BuildStream 1 counts no element in all, but those of a queue.
    if elements.total + elements.processed + elements.skipped + elements.failed > 0 {
        let _ = write!(
            text,
            ", {} done, {} had nothing to do, {} failed",
            elements.processed, elements.skipped, elements.failed
        );
    }
    if !stage.changes.is_empty() {
        let changed = stage.changes.len();
        let _ = write!(text, ", {changed} ref{} changed", if changed == 1 { "" } else { "s" });
    }
    if stage.attempts > 1 {
        let _ = write!(text, ", in {} attempts", stage.attempts);
    }
    let _ = write!(text, ", {:.1} s", stage.seconds);
    text
}

fn told_failure(text: &mut String, prefix: &str, failure: &Diagnosis) {
    let element = failure.element.as_ref().map_or_else(String::new, |element| format!(" {element}:"));
    let mut lines = failure.message.lines();
    let _ = writeln!(text, "{prefix}{element} {} [{}]", lines.next().unwrap_or_default(), failure.kind);
    lines.take(12).for_each(|line| {
        let _ = writeln!(text, "    {line}");
    });
    if !failure.hint.is_empty() {
        let _ = writeln!(text, "    {}: {}", failure.actor, failure.hint);
    }
}
