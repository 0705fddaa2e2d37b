//! A run's page: what it did for every branch, stage by stage, and what it cost.

use maud::{Markup, html};

use super::format::{self, count, counted, time};
use super::site::{LogEntry, PublishedLogs, PublishedRun};
use super::site_view::{run_badge, took};
use super::{changes, layout, upstreams};
use crate::diagnosis::HostReachability;
use crate::links::{LogForm, PageAddress};
use crate::names::{RunId, Stage};
use crate::report::{BranchReport, Outcome, RunReport, StageReport, count_left_out, group_stage_issues};

/// Up to so many branches are shown unfolded, the good ones too.
const UNFOLDED: usize = 4;
/// Causes that are listed for the run as a whole.
const CAUSES: usize = 30;

/// The page.
pub(super) fn page(report: &RunReport, logs: &PublishedLogs, running: Option<&RunId>) -> String {
    let here = PageAddress::run(&report.run);
    let summary = PublishedRun::from(report);
    let name = format!("Run of {}", format::minute(report.started));
    let body = html! {
        h1 { "Run of " (time(report.started)) }
        p.lead {
            (run_badge(&report.run, &summary, running))
            @if let Some(took) = took(&summary) { span { "took " (took) } }
            span { (counted(summary.branches, "branch", "branches")) @if summary.bad > 0 { ", " (summary.bad) " failing" } }
        }
        (facts(report))
        @if !report.failures.is_empty() {
            h2 { "Failures of no branch" }
            (layout::diagnoses(&report.failures))
        }
        (causes(report))
        @if report.branches.len() > 1 { (failing(report, &here)) }
        @if !report.branches.is_empty() { h2 { "Branches" } }
        @for branch in &report.branches {
            details.branch open[!branch.outcome.is_good() || report.branches.len() <= UNFOLDED]
                id=(PageAddress::branch_fragment(&branch.project, branch.branch.as_ref())) {
                (branch_section(branch, report, logs, &here))
            }
        }
        @if report.branches.len() > 1 { (costs(report)) }
        @if let Some(probes) = &report.probes { (upstreams::asked(probes)) }
    };
    let health = if report.failures.is_empty() { report.outcome } else { report.outcome.max(Outcome::Partial) };
    layout::page(&here, &format!("{name} – bst-fetcher"), &[], health, &body)
}

fn facts(report: &RunReport) -> Markup {
    html! {
        dl {
            dt { "Host" } dd { (report.host) }
            dt { "Run" } dd { code { (report.run) } }
            dt { "Program" } dd { "bst-fetcher " (report.fetcher_version) }
            @if let Some(commit) = &report.configuration { dt { "Configuration" } dd { code { (commit) } } }
        }
    }
}

/// What is wrong over all branches, by cause: where one has many elements, or several branches.
fn causes(report: &RunReport) -> Markup {
    let issues = report.issues();
    if issues.iter().all(|issue| issue.element_count < 2) {
        return html! {};
    }
    html! {
        h2 { "Causes" }
        ul.plain {
            @for issue in issues.iter().take(CAUSES) {
                li { (issue.headline()) " " span.dim { "(" (issue.kind) ", for " (issue.actor) ")" } }
            }
        }
        @if issues.len() > CAUSES { p { "And " (counted((issues.len() - CAUSES) as u64, "more", "more")) "." } }
    }
}

/// The way to each branch that failed: whoever comes here looks for those.
fn failing(report: &RunReport, here: &PageAddress) -> Markup {
    html! {
        @if report.branches.iter().any(|branch| !branch.outcome.is_good()) {
            h2 { "Failing" }
            ul.plain {
                @for branch in report.branches.iter().filter(|branch| !branch.outcome.is_good()) {
                    li {
                        (format::badge(branch.outcome)) " "
                        a href=(here.at(&PageAddress::branch_fragment(&branch.project, branch.branch.as_ref()), here)) {
                            (branch.project_branch().to_string())
                        }
                    }
                }
            }
        }
    }
}

/// What the stages cost together.
fn costs(report: &RunReport) -> Markup {
    let stages: Vec<&StageReport> = report.branches.iter().flat_map(|branch| &branch.stages).collect();
    // Few projects have anything to prepare.
    let is_shown = |stage: &Stage| *stage != Stage::Prepare || stages.iter().any(|report| report.stage == *stage);
    html! {
        h2 #cost { "What it cost" }
        table aria-labelledby="cost" {
            thead { tr {
                th scope="col" { "Stage" } th.n scope="col" { "Time, all branches" } th.n scope="col" { "Of it inside bst" }
                th.n scope="col" { "Elements done" }
            } }
            tbody {
                @for stage in Stage::ALL.into_iter().filter(is_shown) {
                    @let of_it = || stages.iter().filter(|report| report.stage == stage);
                    tr {
                        th scope="row" { (stage) }
                        td.n data-label="Time" { (format::span(of_it().map(|report| report.seconds).sum())) }
                        td.n data-label="Inside bst" { (format::span(of_it().map(|report| report.bst_seconds).sum())) }
                        td.n data-label="Elements done" { (count(of_it().map(|report| report.elements.processed).sum())) }
                    }
                }
            }
        }
    }
}

fn branch_section(branch: &BranchReport, report: &RunReport, logs: &PublishedLogs, here: &PageAddress) -> Markup {
    let page = PageAddress::branch(&branch.project, branch.branch.as_ref());
    html! {
        summary {
            h2 { (branch.project_branch().to_string()) }
            (format::badge(branch.outcome))
            span.dim { " " (format::span(branch.seconds)) }
        }
        p.small {
            @if let Some(commit) = &branch.commit { "Commit " code { (commit) } ". " }
            @if let Some(version) = &branch.bst_version { "BuildStream " (version) ". " }
            a href=(page.from(here)) { "All runs of this branch" }
        }
        table aria-label={ "Stages of " (branch.project_branch().to_string()) } {
            thead { tr {
                th scope="col" { "Stage" } th scope="col" { "Outcome" } th.n scope="col" { "Took" }
                th.n scope="col" { "Elements" } th scope="col" { "Log" }
            } }
            tbody { @for stage in &branch.stages { (stage_row(stage, branch, report, logs, here)) } }
        }
        @for stage in &branch.stages { (stage_remarks(stage, branch, &report.network)) }
        (changes::of_branch(branch))
    }
}

fn stage_row(
    stage: &StageReport,
    branch: &BranchReport,
    report: &RunReport,
    logs: &PublishedLogs,
    here: &PageAddress,
) -> Markup {
    let elements = &stage.elements;
    html! {
        tr {
            th scope="row" { (stage.title()) }
            td data-label="Outcome" {
                div {
                    (format::badge(stage.outcome))
                    @if let Some(why) = &stage.skipped { small { (why) } }
                    @else if let Some(counts) = count_left_out(&stage.left_out) { small { (counts) } }
                    @if stage.attempts > 1 { small { (stage.attempts) " attempts" } }
                    @if let Some(probes) = stage.probes.as_ref().filter(|probes| probes.left_out > 0) {
                        small { (count(probes.left_out)) " left out: nothing moved" }
                    }
                }
            }
            td.n data-label="Took" { @if stage.outcome != Outcome::Skipped { div {
                (format::span(stage.seconds))
                @if stage.bst_seconds > 0.0 { small { (format::span(stage.bst_seconds)) " in bst" } }
            } } }
            td.n data-label="Elements" { @if let Some(proof) = &stage.proof { div {
                (count(proof.proved.len() as u64)) " proved"
                small {
                    @if proof.missing.is_empty() { "0 incomplete" }
                    @else { strong { (count(proof.missing.len() as u64)) " incomplete" } }
                    @if proof.repaired > 0 { ", " (count(proof.repaired)) " repaired" }
                    ", " (counted(proof.blobs, "blob", "blobs")) " asked for"
                }
            } } @else if elements.total > 0 { div {
                (count(elements.processed)) " done"
                small {
                    (count(elements.skipped)) " skipped, "
                    @if elements.failed > 0 { strong { (count(elements.failed)) " failed" } } @else { "0 failed" }
                    " of " (count(elements.total))
                }
            } } }
            td data-label="Log" { (log_links(stage, branch, report, logs, here)) }
        }
    }
}

fn log_links(
    stage: &StageReport,
    branch: &BranchReport,
    report: &RunReport,
    logs: &PublishedLogs,
    here: &PageAddress,
) -> Markup {
    if stage.log.is_none() {
        return html! {};
    }
    let address = |form| log_address(&report.run, branch, stage, form);
    // What one bst did has one log.
    let page = address(LogForm::Page);
    let Some(Some(LogEntry { lines, bytes, failure, .. })) = logs.get(&page) else {
        return html! { "not kept" };
    };
    html! {
        div {
            a href=(page.from(here)) { "log" }
            @if let Some(line) = failure { ", " a href=(page.at(&format!("L{line}"), here)) { "first failure" } }
            ", " a href=(address(LogForm::Text).from(here)) { "text" }
            small { (counted(*lines, "line", "lines")) ", " (format::bytes(*bytes)) }
        }
    }
}

/// The address of a stage's log.
pub(super) fn log_address(run: &RunId, branch: &BranchReport, stage: &StageReport, form: LogForm) -> PageAddress {
    let stage = branch.log_owner(stage);
    PageAddress::log(
        run,
        &branch.project,
        branch.branch.as_ref(),
        stage.variant.as_ref(),
        stage.refs,
        stage.stage,
        form,
    )
}

fn stage_remarks(stage: &StageReport, branch: &BranchReport, network: &HostReachability) -> Markup {
    html! {
        @if !stage.notes.is_empty() {
            ul { @for note in &stage.notes { li { (stage.title()) ": " (note) } } }
        }
        (layout::problems(stage.failures.iter().chain(&stage.findings), &group_stage_issues(branch, stage, network)))
    }
}
