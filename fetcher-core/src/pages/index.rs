//! The first page: what needs somebody, every branch, the last runs.

use maud::{Markup, html};

use super::format::{self, ago, counted, time};
use super::layout;
use super::plot::{self, DURATION, FETCHED};
use super::site_view::{BranchView, SiteView, run_badge, took};
use super::upstreams;
use crate::diagnosis::Diagnosis;
use crate::links::PageAddress;
use crate::report::IssueGroup;

/// Runs that the page lists.
const RUNS: usize = 20;
/// Branches that a failure names.
const NAMED: usize = 8;
/// Failures that the page shows.
const TROUBLES: usize = 20;

/// The page.
pub(super) fn page(view: &SiteView) -> String {
    let here = PageAddress::index();
    let title = match view.bad() as u64 {
        0 => "All branches are well".to_owned(),
        bad => format!("{} of {} failing", bad, counted(view.shown().count() as u64, "branch", "branches")),
    };
    let title = if view.shown().next().is_none() { "No branch yet".to_owned() } else { title };
    let body = html! {
        h1 { (title) }
        p.lead {
            @if let Some(report) = view.newest { span { "Host " strong { (report.host) } } }
            span { "As of " (time(view.now)) }
            @if let Some((run, summary)) = view.summaries().next() {
                span { "Last run " a href=(PageAddress::run(run).from(&here)) { (time(summary.started)) } }
                (run_badge(run, summary, view.running))
            }
        }
        (attention(view, &here))
        @if let Some(known) = view.rot { (upstreams::link(known, &here)) }
        @if view.shown().next().is_some() { (branches(view, &here)) }
        @if !view.runs.is_empty() { (runs(view, &here)) }
    };
    layout::page(&here, &format!("{title} – bst-fetcher"), &[], view.health(), &body)
}

/// What somebody has to do something about; the same trouble of many elements and branches once.
fn attention(view: &SiteView, here: &PageAddress) -> Markup {
    let (host, issues) = (view.host_failures(), view.issues());
    let count = host.len() + issues.len();
    if count == 0 {
        return html! {};
    }
    html! {
        h2 { "What needs attention" }
        div.cards {
            @for failure in host.iter().take(TROUBLES) { (host_card(failure)) }
            @for issue in issues.iter().take(TROUBLES.saturating_sub(host.len())) { (card(issue, view, here)) }
        }
        @if count > TROUBLES { p { "And " (count - TROUBLES) " more: see the branches." } }
    }
}

fn host_card(failure: &Diagnosis) -> Markup {
    html! {
        article.card.diagnosis {
            h3 { (format::kind(failure.kind)) }
            p.small {}
            pre.brief tabindex="0" { (failure.message) }
            p { "For " strong { (failure.actor) } ": " (failure.hint) }
        }
    }
}

/// A cause in brief: the branch's and the run's pages have all of it.
fn card(issue: &IssueGroup, view: &SiteView, here: &PageAddress) -> Markup {
    let touches = |branch: &&BranchView| {
        issue.branches.iter().any(|it| it.project == branch.state.project && it.branch == branch.state.branch)
    };
    let struck: Vec<&BranchView> = view.branches.iter().filter(touches).collect();
    html! {
        article.card.diagnosis {
            h3 { (format::kind(issue.kind)) @if issue.is_allowed { " (allowed to fail)" } }
            p.small {
                @for (at, branch) in struck.iter().take(NAMED).enumerate() {
                    @if at > 0 { ", " }
                    a href=(branch.address.from(here)) { (branch.full_name()) }
                }
                @if struck.len() > NAMED { " and " (struck.len() - NAMED) " more" }
                @match (issue.element_count, issue.elements.first()) {
                    (0, _) | (_, None) => {},
                    (1, Some(element)) => { " – " code { (element) } },
                    (count, Some(_)) => { " – " strong { (counted(count as u64, "element", "elements")) } },
                }
            }
            @if issue.element_count > 1 { p { (issue.title) } }
            pre.brief tabindex="0" { (issue.message) }
            p { "For " strong { (issue.actor) } ": " (issue.hint) }
        }
    }
}

fn branches(view: &SiteView, here: &PageAddress) -> Markup {
    let shown: Vec<&BranchView> = view.shown().collect();
    let groups = shown.chunk_by(|a, b| a.state.project == b.state.project);
    html! {
        h2 #branches { "Branches" }
        table aria-labelledby="branches" {
            thead { tr {
                th scope="col" { "Branch" } th scope="col" { "State" } th scope="col" { "Last success" }
                th scope="col" { "In the cache" } th scope="col" { "Last runs" } th scope="col" { "Duration" } th scope="col" { "Fetched" }
            } }
            @for group in groups {
                tbody {
                    tr { th scope="rowgroup" colspan="7" { (group[0].state.project) } }
                    @for branch in group { (row(branch, view, here)) }
                }
            }
        }
    }
}

fn row(branch: &BranchView, view: &SiteView, here: &PageAddress) -> Markup {
    let history = branch.history();
    html! {
        tr {
            th scope="row" { a href=(branch.address.from(here)) { (branch.name()) } }
            td data-label="State" {
                div {
                    (branch.badge())
                    @if let Some(since) = branch.since() { small { "since " (time(since)) } }
                }
            }
            td data-label="Last success" {
                div {
                    @match branch.state.last_success {
                        Some(at) => { (ago(at, view.now)) small { (time(at)) } },
                        None => "never",
                    }
                }
            }
            @if branch.state.coverage.is_empty() { td {} } @else {
                td data-label="In the cache" { div { (format::coverage(&branch.state.coverage)) } }
            }
            @if let Some(last) = history.last() {
                td data-label="Last runs" { (plot::strip(history)) }
                td data-label="Duration" { div { (plot::spark(history, DURATION)) small { (format::span(last.seconds)) } } }
                td data-label="Fetched" { div { (plot::spark(history, FETCHED)) small { (format::count(last.fetched)) } } }
            } @else { td {} td {} td {} }
        }
    }
}

fn runs(view: &SiteView, here: &PageAddress) -> Markup {
    html! {
        h2 #runs { "Last runs" }
        table aria-labelledby="runs" {
            thead { tr {
                th scope="col" { "Started" } th scope="col" { "Outcome" } th.n scope="col" { "Took" }
                th.n scope="col" { "Branches" } th.n scope="col" { "Failing" }
            } }
            tbody {
                @for (run, summary) in view.summaries().take(RUNS) {
                    tr {
                        th scope="row" { a href=(PageAddress::run(run).from(here)) { (time(summary.started)) } }
                        td data-label="Outcome" { div { (run_badge(run, summary, view.running)) } }
                        td.n data-label="Took" { @if let Some(took) = took(summary) { (took) } }
                        td.n data-label="Branches" { (format::count(summary.branches)) }
                        td.n data-label="Failing" { (format::count(summary.bad)) }
                    }
                }
            }
        }
    }
}
