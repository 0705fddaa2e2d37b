//! A run's report as text: its essence, for a terminal and for cron's mail.

use std::fmt::Write as _;
use std::path::Path;

use fetcher_core::report::{BranchReport, IssueGroup, Outcome, ProofReport, StageReport, count_left_out};
use fetcher_core::{Diagnosis, ProjectBranch, RunReport};

/// Up to so many failures and findings are each told at length, by stage; more of them by cause, so that all fits on a
/// screen.
const AT_LENGTH: usize = 10;
/// A screen.
const LINES: usize = 24;
const COLUMNS: usize = 100;
/// Stages that failed, and causes told in one line each, where there are too many of them.
const STAGES: usize = 5;
const BRIEF: usize = 6;
/// Elements and branches that are named.
const NAMED: usize = 3;

/// What went wrong in a run: nothing where nothing did, so that cron stays quiet. With `whole`, what went well too.
pub(crate) fn render(report: &RunReport, directory: &Path, whole: bool) -> String {
    let mut issues = report.issues();
    let all: usize = issues.iter().map(|issue| issue.occurrences).sum();
    let many = all > AT_LENGTH;
    let mut text = failures(&report.failures);
    if many {
        let lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
        text.clear();
        for line in &lines {
            let words = line.trim_start();
            wrapped(&mut text, &line[..line.len() - words.len()], words);
        }
    }
    // It is among the failures of no branch.
    issues.retain(|issue| !issue.is_of_this_host);
    let stages = stages(report, directory, whole, many);
    if many {
        let used = text.lines().count() + stages.lines().count() + 1;
        text.push_str(&causes(&issues, LINES.saturating_sub(used)));
    }
    text.push_str(&stages);
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
    } else if many {
        let _ = writeln!(text, "all of it: {}", directory.join("report.json").display());
    }
    text
}

/// What each cause is, to whom it happened, and who must do what, in so many lines: as many of the causes as fit at
/// length, the others in a line each.
fn causes(issues: &[IssueGroup], lines: usize) -> String {
    let at_length = |count: usize| {
        let mut text = String::new();
        for issue in issues.iter().take(count) {
            told_issue(&mut text, issue);
        }
        let brief = issues.iter().skip(count);
        for issue in brief.clone().take(BRIEF) {
            wrapped(&mut text, "", &headline(issue));
        }
        let more = brief.count().saturating_sub(BRIEF);
        if more > 0 {
            let _ = writeln!(text, "and {more} more causes");
        }
        text
    };
    let fits = |count: &usize| at_length(*count).lines().count() <= lines;
    at_length((1..=issues.len()).rev().find(fits).unwrap_or(1))
}

fn headline(issue: &IssueGroup) -> String {
    format!("{} [{}]", issue.headline(), issue.kind)
}

fn told_issue(text: &mut String, issue: &IssueGroup) {
    wrapped(text, "", &headline(issue));
    let names =
        issue.branches.iter().take(NAMED).map(|it| ProjectBranch::new(&it.project, it.branch.as_ref()).to_string());
    let mut of = names.collect::<Vec<_>>().join(", ");
    let more = issue.branches.len().saturating_sub(NAMED);
    if more > 0 {
        let _ = write!(of, " and {more} more");
    }
    let stages: Vec<_> = issue.stages.iter().map(fetcher_core::Stage::as_str).collect();
    let of = if stages.is_empty() { of } else { format!("{of}: {}", stages.join(", ")) };
    wrapped(text, "    ", &of);
    if issue.element_count > 1 {
        wrapped(text, "    ", &issue.some_elements(NAMED));
    }
    if issue.occurrences > 1 {
        // What all have in common is the title; the words of the first are an example of the rest.
        let _ = writeln!(text, "    {}", cut(&issue.example()));
    } else {
        for line in issue.message.lines().skip(1).take(4) {
            let _ = writeln!(text, "    {}", cut(line));
        }
    }
    if !issue.hint.is_empty() {
        wrapped(text, "    ", &format!("{}: {}", issue.actor, issue.hint));
    }
}

/// How each stage ended, that failed or with `whole` any, and where its log is. Each failure is told with its stage,
/// unless there are `many`: then it is of the stages, too, the first alone.
fn stages(report: &RunReport, directory: &Path, whole: bool, many: bool) -> String {
    let mut text = String::new();
    let all = report.branches.iter().flat_map(|branch| branch.stages.iter().map(move |stage| (branch, stage)));
    let bad =
        |stage: &StageReport| !stage.outcome.is_good() || !stage.failures.is_empty() || !stage.findings.is_empty();
    let told: Vec<_> = all.filter(|(_, stage)| whole || bad(stage)).collect();
    let most = if many && !whole { STAGES } else { told.len() };
    for (branch, stage) in told.iter().take(most) {
        let _ = writeln!(text, "{}: {}", subject(branch, stage), self::told(stage));
        for note in stage.notes.iter().filter(|_| whole) {
            let _ = writeln!(text, "  note: {note}");
        }
        for failure in stage.failures.iter().chain(&stage.findings).filter(|_| !many) {
            told_failure(&mut text, " ", failure);
        }
        if let (false, Some(log)) = (stage.outcome.is_good(), &stage.log) {
            let _ = writeln!(text, "  log: {}", directory.join(log).display());
        }
    }
    if told.len() > most {
        let _ = writeln!(text, "and {} more stages", told.len() - most);
    }
    text
}

/// A line, broken at spaces where it is wider than a screen.
fn wrapped(text: &mut String, indent: &str, line: &str) {
    let mut width = 0;
    for word in line.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > COLUMNS {
            let _ = write!(text, "\n{indent}    {word}");
            width = indent.len() + 4 + length;
        } else {
            let before = if width > 0 { " " } else { indent };
            let _ = write!(text, "{before}{word}");
            width += before.len() + length;
        }
    }
    text.push('\n');
}

/// As much of a line as a screen is wide.
fn cut(line: &str) -> String {
    match line.char_indices().nth(COLUMNS - 5) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
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
    let mut text = branch.project_branch().to_string();
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
    if stage.allowed {
        text.push_str(" (allowed)");
    }
    // BuildStream 1 counts no element in all, but those of a queue.
    if let Some(proof) = &stage.proof {
        let _ = write!(text, ", {}", self::proof(proof));
    } else if elements.total + elements.processed + elements.skipped + elements.failed > 0 {
        let _ = write!(
            text,
            ", {} done, {} had nothing to do, {} failed",
            elements.processed, elements.skipped, elements.failed
        );
    }
    if let Some(counts) = count_left_out(&stage.left_out) {
        let _ = write!(text, ", {counts}");
    }
    if !stage.changes.is_empty() {
        let changed = stage.changes.len();
        let _ = write!(text, ", {changed} ref{} changed", if changed == 1 { "" } else { "s" });
    }
    let found = stage.findings.len() - stage.allowed_failures().count();
    if found > 0 {
        let _ = write!(text, ", {found} finding{}", if found == 1 { "" } else { "s" });
    }
    if stage.attempts > 1 {
        let _ = write!(text, ", in {} attempts", stage.attempts);
    }
    let _ = write!(text, ", {:.1} s", stage.seconds);
    text
}

/// What was proved, in a few words.
pub(crate) fn proof(proof: &ProofReport) -> String {
    let mut text = format!("{} proved", proof.proved.len());
    if proof.remembered > 0 {
        let _ = write!(text, " ({} of them before)", proof.remembered);
    }
    let _ = write!(text, ", {} incomplete", proof.missing.len());
    if proof.repaired > 0 {
        let _ = write!(text, ", {} repaired", proof.repaired);
    }
    let _ = write!(text, ", {} blobs asked for", proof.blobs);
    text
}

fn told_failure(text: &mut String, prefix: &str, failure: &Diagnosis) {
    let element = failure.element.as_ref().map_or_else(String::new, |element| format!(" {element}:"));
    let mut lines = failure.message.lines();
    let allowed = if failure.allowed { ", allowed to fail" } else { "" };
    let _ = writeln!(text, "{prefix}{element} {} [{}{allowed}]", lines.next().unwrap_or_default(), failure.kind);
    lines.take(12).for_each(|line| {
        let _ = writeln!(text, "    {line}");
    });
    if !failure.hint.is_empty() {
        let _ = writeln!(text, "    {}: {}", failure.actor, failure.hint);
    }
}
