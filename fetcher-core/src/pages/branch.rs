//! A branch's page: how it is, why, and how it was.

use maud::{Markup, html};

use super::format::{self, counted, time};
use super::layout;
use super::plot::{self, DURATION, FETCHED};
use super::site_view::{BranchView, SiteView};
use crate::links::PageAddress;
use crate::report::{CacheCoverage, HoldReport, Outcome, PublicationReport, RequestReport};
use crate::state::BranchRun;

/// Holds that are shown, and elements that are named of each.
const HOLDS: usize = 200;
const NAMED: usize = 20;

/// The page.
pub(super) fn page(branch: &BranchView, view: &SiteView) -> String {
    let here = &branch.address;
    let state = branch.state;
    let link = |past: &BranchRun| Some(view.run_page(&past.run)?.from(here));
    let history = branch.history();
    let body = html! {
        h1 { (branch.full_name()) }
        p.lead {
            (branch.badge())
            @if let Some(since) = branch.since() { span { "since " (time(since)) } }
        }
        (facts(branch))
        @if branch.is_bad() {
            h2 { "What is wrong" }
            (layout::problems(branch.failures().chain(branch.findings()), &branch.issues(view)))
            @if let Some((run, _)) = &branch.latest && let Some(page) = view.run_page(run) {
                p { a href=(page.at(&PageAddress::branch_fragment(&state.project, state.branch.as_ref()), here)) {
                    "Stages and logs of this run"
                } }
            }
        }
        @if branch.findings().next().is_some() && !branch.is_bad() {
            h2 { "What was found" }
            (layout::problems(branch.findings(), &branch.issues(view)))
        }
        (held(&state.holds))
        @if let Some(publication) = &state.publication { (requests(publication)) }
        @if !history.is_empty() {
            h2 { "Past runs" }
            div.pair {
                (plot::bars(history, DURATION, &link))
                (plot::bars(history, FETCHED, &link))
            }
            (runs(branch, view))
        }
    };
    let title = format!("{} – bst-fetcher", branch.full_name());
    layout::page(here, &title, &[], branch.outcome().unwrap_or(Outcome::Ok), &body)
}

/// The page in place of that of a branch which is fetched no more: runs and messages may still link to it.
pub(super) fn gone(here: &PageAddress, name: &str) -> String {
    let body = html! {
        h1 { (name) }
        p { "It is no longer fetched: the branch is gone, or the configuration does not name it any more." }
        p { a href=(PageAddress::index().from(here)) { "All branches" } }
    };
    layout::page(here, &format!("{name} – bst-fetcher"), &[], Outcome::Skipped, &body)
}

fn facts(branch: &BranchView) -> Markup {
    let state = branch.state;
    html! {
        dl {
            @if let Some(commit) = &state.commit { dt { "Commit" } dd { code { (commit) } } }
            @for known in &state.coverage { (coverage(known)) }
            dt { "Last success" } dd { @match state.last_success { Some(at) => (time(at)), None => "never" } }
            @if let Some(at) = state.last_failure { dt { "Last failure" } dd { (time(at)) } }
            @if state.consecutive_failures > 0 {
                dt { "Failures in a row" } dd { (state.consecutive_failures) }
            }
            @if let Some((_, report)) = &branch.latest && let Some(version) = &report.bst_version {
                dt { "BuildStream" } dd { (version) }
            }
        }
    }
}

/// What is not tracked because somebody said so.
fn held(holds: &[HoldReport]) -> Markup {
    html! {
        @if !holds.is_empty() {
            h2 #held { "Held" }
            table aria-labelledby="held" {
                thead { tr {
                    th scope="col" { "Not tracked" } th scope="col" { "Reason" } th scope="col" { "Until" }
                    th scope="col" { "Elements" }
                } }
                tbody {
                    @for hold in holds.iter().take(HOLDS) {
                        tr {
                            th scope="row" { (hold.element) }
                            td data-label="Reason" { (hold.reason.as_deref().unwrap_or("none is given")) }
                            td data-label="Until" {
                                @match hold.until {
                                    Some(until) if hold.expired => { "expired on " (until) }
                                    Some(until) => { (until) }
                                    None => { "it is removed" }
                                }
                            }
                            td data-label="Elements" { (elements(hold)) }
                        }
                    }
                }
            }
            @if holds.len() > HOLDS { p { "And " (counted((holds.len() - HOLDS) as u64, "more", "more")) "." } }
        }
    }
}

/// What of the tip's sources is known to be in the cache.
fn coverage(known: &CacheCoverage) -> Markup {
    let missing = known.sources.saturating_sub(known.cached);
    html! {
        dt { "In the cache, " (known.refs) @if let Some(variant) = &known.variant { " [" (variant) "]" } }
        dd {
            (known.percent()) " of " (format::counted(known.sources, "source", "sources"))
            @if known.without_ref > 0 {
                ", " (format::counted(known.without_ref, "element", "elements")) " without a committed ref"
            }
            @if missing > 0 {
                ", not: " @for (at, name) in known.missing.iter().enumerate() { @if at > 0 { ", " } code { (name) } }
                @if known.missing.len() as u64 >= CacheCoverage::NAMED as u64 { " and others" }
            }
        }
    }
}

fn elements(hold: &HoldReport) -> String {
    let mut names: Vec<_> = hold.elements.iter().take(NAMED).map(|name| name.as_str().to_owned()).collect();
    if hold.elements.len() > NAMED {
        names.push(format!("and {} more", hold.elements.len() - NAMED));
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The requests to merge tracked refs, and what is held back.
fn requests(publication: &PublicationReport) -> Markup {
    /// As many are shown.
    const MOST: usize = 100;
    let link = |request: &RequestReport| {
        let name = request.branch.as_ref().map_or(request.unit.as_str(), |branch| branch.as_str()).to_owned();
        // What a forge said becomes a link only where it is an address of the web.
        let url = request.url.clone().filter(|url| url.starts_with("https://") || url.starts_with("http://"));
        html! { @match url { Some(url) => a href=(url) { (name) }, None => (name) } }
    };
    html! {
        @if !publication.requests.is_empty() {
            h2 { "Requests to merge tracked refs" }
            table aria-label="Requests" {
                thead { tr { th scope="col" { "Request" } th scope="col" { "Status" } th.n scope="col" { "Elements" } th scope="col" { "Why" } } }
                tbody {
                    @for request in publication.requests.iter().take(MOST) {
                        tr {
                            th scope="row" { (link(request)) }
                            td data-label="Status" { (request.status) }
                            td.n data-label="Elements" { (request.elements.len()) }
                            td data-label="Why" { (request.reason.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            }
        }
        @if !publication.held.is_empty() {
            h2 { "Refs that are held back" }
            table aria-label="Held back" {
                thead { tr { th scope="col" { "Element" } th scope="col" { "Why" } } }
                tbody {
                    @for held in publication.held.iter().take(MOST) {
                        tr { th scope="row" { (held.element) } td data-label="Why" { (held.reason) } }
                    }
                }
            }
        }
    }
}

fn runs(branch: &BranchView, view: &SiteView) -> Markup {
    let fragment = PageAddress::branch_fragment(&branch.state.project, branch.state.branch.as_ref());
    html! {
        table aria-label="Past runs" {
            thead { tr {
                th scope="col" { "Ended" } th scope="col" { "Outcome" } th.n scope="col" { "Took" }
                th.n scope="col" { "Elements fetched" }
            } }
            tbody {
                @for past in branch.history().iter().rev() {
                    tr {
                        th scope="row" {
                            @match view.run_page(&past.run) {
                                Some(page) => a href=(page.at(&fragment, &branch.address)) { (time(past.at)) },
                                None => (time(past.at)),
                            }
                        }
                        td data-label="Outcome" { div {
                            (format::badge(past.outcome)) @if past.allowed > 0 { small { (format::allowed(past.allowed)) } }
                        } }
                        td.n data-label="Took" { (format::span(past.seconds)) }
                        td.n data-label="Elements fetched" { (format::count(past.fetched)) }
                    }
                }
            }
        }
    }
}
