//! Upstreams: trouble to come with them, and what they were asked.

use maud::{Markup, html};

use super::format::{self, count, counted, time};
use super::layout;
use super::site_view::{KnownRot, SiteView};
use crate::links::PageAddress;
use crate::report::{HostProbes, Outcome, ProbeReport, RotFinding, RotUser};

/// Findings that the page shows, and elements of each.
const FINDINGS: usize = 200;
const USERS: usize = 200;
/// Hosts that are listed, the most asked first.
const HOSTS: usize = 100;

/// The page.
pub(super) fn page(known: &KnownRot, view: &SiteView) -> String {
    let here = PageAddress::upstreams();
    let trouble = known.findings.iter().filter(|found| found.is_trouble()).count() as u64;
    let title = match trouble {
        0 => "No trouble with upstreams".to_owned(),
        found => format!("Trouble to come: {}", counted(found, "finding", "findings")),
    };
    let mut findings: Vec<&RotFinding> = known.findings.iter().collect();
    findings.sort_by_key(|found| std::cmp::Reverse(found.urgency));
    let body = html! {
        h1 { (title) }
        p.lead { span { "Upstreams were last asked " (time(known.asked)) } }
        @for found in findings.iter().take(FINDINGS) { (finding(found)) }
        @if findings.len() > FINDINGS { p { "And " (findings.len() - FINDINGS) " more: see " code { "bst-fetcher rot" } "." } }
        @if let Some(probes) = view.newest.and_then(|report| report.probes.as_ref()) { (asked(probes)) }
    };
    let health = if trouble == 0 { Outcome::Ok } else { Outcome::Partial };
    layout::page(&here, &format!("{title} – bst-fetcher"), &[], health, &body)
}

/// The way to that page, where there is something to see.
pub(super) fn link(known: &KnownRot, here: &PageAddress) -> Markup {
    let found = known.findings.iter().filter(|found| found.is_trouble()).count() as u64;
    html! {
        @if found > 0 {
            p {
                a href=(PageAddress::upstreams().from(here)) { "Trouble to come with upstreams" }
                ": " (counted(found, "finding", "findings"))
            }
        }
    }
}

fn finding(found: &RotFinding) -> Markup {
    html! {
        article.card.diagnosis {
            h3 { (found.urgency.as_str().replace('-', " ")) ": " (found.kind.as_str().replace('-', " ")) }
            p { (found.message) }
            dl {
                dt { "What to do" } dd { (found.hint) }
                dt { "Since" } dd { (time(found.since)) }
                dt { "Upstream" } dd { code { (found.upstream) } }
            }
            ul.plain {
                @for used in found.users.iter().take(USERS) { li { (user(used)) } }
                @if found.users.len() > USERS { li { "and " (found.users.len() - USERS) " more" } }
            }
        }
    }
}

fn user(user: &RotUser) -> Markup {
    html! {
        (user.project) " (" (user.branch) "): " code { (user.element) }
        @if let Some(file) = &user.file { ", " code { (file.display()) @if let Some(line) = user.line { ":" (line) } } }
    }
}

/// What upstreams were asked in a run, by their hosts.
pub(super) fn asked(probes: &ProbeReport) -> Markup {
    let mut hosts: Vec<&HostProbes> = probes.hosts.iter().collect();
    hosts.sort_by_key(|host| std::cmp::Reverse(host.asked));
    html! {
        h2 #upstreams { "Upstreams asked" }
        p.small { (summary(probes)) }
        table aria-labelledby="upstreams" {
            thead { tr {
                th scope="col" { "Host" } th.n scope="col" { "Asked" } th.n scope="col" { "Answered" }
                th.n scope="col" { "In doubt" } th.n scope="col" { "Requests" } th.n scope="col" { "Bytes" }
                th.n scope="col" { "Took" }
            } }
            tbody { @for host in hosts.iter().take(HOSTS) { (host_row(host)) } }
        }
        @if hosts.len() > HOSTS { p { "And " (hosts.len() - HOSTS) " more hosts." } }
    }
}

fn host_row(host: &HostProbes) -> Markup {
    html! {
        tr {
            th scope="row" {
                div {
                    @if host.host.is_empty() { "this machine" } @else { (host.host) }
                    @if let Some(failure) = &host.failure { small { (failure.message) } }
                }
            }
            td.n data-label="Asked" { (count(host.asked)) }
            td.n data-label="Answered" { (count(host.answered)) }
            td.n data-label="In doubt" { (count(host.doubted)) }
            td.n data-label="Requests" { (count(host.requests)) }
            td.n data-label="Bytes" { (format::bytes(host.bytes)) }
            td.n data-label="Took" { (format::span(host.seconds)) }
        }
    }
}

/// What asking came to, in a sentence.
fn summary(probes: &ProbeReport) -> String {
    format!(
        "{} answered so that it may be believed, {} in doubt, {} not answered, within {}.",
        counted(probes.answered(), "question", "questions"),
        count(probes.doubted()),
        count(probes.failed()),
        format::span(probes.seconds)
    )
}
