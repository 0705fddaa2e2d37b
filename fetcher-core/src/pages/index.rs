//! The first page: what needs somebody, every branch, the last runs.

use maud::{Markup, html};

use super::layout;
use super::plot::{self, DURATION, FETCHED};
use super::view::{Branch, View, run_badge, took};
use super::words::{self, ago, counted, time};
use crate::diagnosis::Diagnosis;
use crate::links::Address;

/// Runs that the page lists.
const RUNS: usize = 20;
/// Branches that a failure names.
const NAMED: usize = 8;
/// Failures that the page shows.
const TROUBLES: usize = 20;

/// The page.
pub(super) fn page(view: &View) -> String {
    let here = Address::index();
    let title = match view.bad() as u64 {
        0 => "All branches are well".to_owned(),
        bad => format!("{} of {} failing", bad, counted(view.branches.len() as u64, "branch", "branches")),
    };
    let title = if view.branches.is_empty() { "No branch yet".to_owned() } else { title };
    let body = html! {
        h1 { (title) }
        p.lead {
            @if let Some(report) = view.newest { span { "Host " strong { (report.host) } } }
            span { "As of " (time(view.now)) }
            @if let Some((run, summary)) = view.summaries().next() {
                span { "Last run " a href=(Address::run(run).from(&here)) { (time(summary.started)) } }
                (run_badge(run, summary, view.running))
            }
        }
        (attention(view, &here))
        @if !view.branches.is_empty() { (branches(view, &here)) }
        @if !view.runs.is_empty() { (runs(view, &here)) }
    };
    layout::page(&here, &format!("{title} – bst-fetcher"), &[], view.health(), &body)
}

/// One failure, wherever it happened.
struct Trouble<'a> {
    failure: &'a Diagnosis,
    branches: Vec<&'a Branch<'a>>,
}

/// What somebody has to do something about; the same trouble in many branches once.
fn attention(view: &View, here: &Address) -> Markup {
    let mut troubles: Vec<Trouble> = Vec::new();
    for branch in view.branches.iter().filter(|branch| branch.is_bad()) {
        for failure in branch.failures() {
            let same =
                |trouble: &&mut Trouble| (trouble.failure.kind, &trouble.failure.hint) == (failure.kind, &failure.hint);
            match troubles.iter_mut().find(same) {
                None => troubles.push(Trouble { failure, branches: vec![branch] }),
                Some(trouble) if trouble.branches.last().is_some_and(|last| !std::ptr::eq(*last, branch)) => {
                    trouble.branches.push(branch);
                }
                Some(_) => {}
            }
        }
    }
    let host = view.host_failures().iter().map(|failure| Trouble { failure, branches: Vec::new() });
    let host: Vec<Trouble> = host.collect();
    let count = host.len() + troubles.len();
    if count == 0 {
        return html! {};
    }
    html! {
        h2 { "What needs attention" }
        div.cards {
            @for trouble in host.iter().chain(&troubles).take(TROUBLES) { (card(trouble, here)) }
        }
        @if count > TROUBLES { p { "And " (count - TROUBLES) " more: see the branches." } }
    }
}

/// A failure in brief: the branch's and the run's pages have all of it.
fn card(trouble: &Trouble, here: &Address) -> Markup {
    let Trouble { failure, branches } = trouble;
    html! {
        article.card.diagnosis {
            h3 { (words::kind(failure.kind)) }
            p.small {
                @for (at, branch) in branches.iter().take(NAMED).enumerate() {
                    @if at > 0 { ", " }
                    a href=(branch.address.from(here)) { (branch.full_name()) }
                }
                @if branches.len() > NAMED { " and " (branches.len() - NAMED) " more" }
                @if let Some(element) = &failure.element { " – " code { (element) } }
            }
            pre.brief tabindex="0" { (failure.message) }
            p { "For " strong { (failure.actor) } ": " (failure.hint) }
        }
    }
}

fn branches(view: &View, here: &Address) -> Markup {
    let groups = view.branches.chunk_by(|a, b| a.state.project == b.state.project);
    html! {
        h2 #branches { "Branches" }
        table aria-labelledby="branches" {
            thead { tr {
                th scope="col" { "Branch" } th scope="col" { "State" } th scope="col" { "Last success" }
                th scope="col" { "Last runs" } th scope="col" { "Duration" } th scope="col" { "Fetched" }
            } }
            @for group in groups {
                tbody {
                    tr { th scope="rowgroup" colspan="6" { (group[0].state.project) } }
                    @for branch in group { (row(branch, view, here)) }
                }
            }
        }
    }
}

fn row(branch: &Branch, view: &View, here: &Address) -> Markup {
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
            @if let Some(last) = history.last() {
                td data-label="Last runs" { (plot::strip(history)) }
                td data-label="Duration" { div { (plot::spark(history, DURATION)) small { (words::span(last.seconds)) } } }
                td data-label="Fetched" { div { (plot::spark(history, FETCHED)) small { (words::count(last.fetched)) } } }
            } @else { td {} td {} td {} }
        }
    }
}

fn runs(view: &View, here: &Address) -> Markup {
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
                        th scope="row" { a href=(Address::run(run).from(here)) { (time(summary.started)) } }
                        td data-label="Outcome" { div { (run_badge(run, summary, view.running)) } }
                        td.n data-label="Took" { @if let Some(took) = took(summary) { (took) } }
                        td.n data-label="Branches" { (words::count(summary.branches)) }
                        td.n data-label="Failing" { (words::count(summary.bad)) }
                    }
                }
            }
        }
    }
}
