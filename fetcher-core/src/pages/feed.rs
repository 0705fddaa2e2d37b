//! The Atom feed (RFC 4287): an entry for every change between well and failing, of a branch or of the host.

use std::fmt::Write as _;

use jiff::Timestamp;
use maud::{Markup, html};

use super::format;
use super::site_view::{BranchView, SiteView};
use crate::diagnosis::Diagnosis;
use crate::links::PageAddress;
use crate::names::{RunId, digest};
use crate::report::{BranchReport, Outcome, RunReport, group_issues};
use crate::sanitize::strip_control;
use crate::state::BranchState;

/// Entries of the feed.
const ENTRIES: usize = 50;
/// Up to so many failures are each shown; more of them by their causes.
const EACH: usize = 5;
/// Failures or causes that an entry shows.
const SHOWN: usize = 10;

/// One change between well and failing.
pub(super) struct FeedChange<'a> {
    /// The branch; none where it is the host that fails: the configuration, the disk, a notifier.
    branch: Option<&'a BranchView<'a>>,
    run: &'a RunId,
    at: Timestamp,
    /// Since when it had failed, where it is well again.
    recovered_from: Option<Timestamp>,
}

/// The last changes, the newest first.
pub(super) fn changes<'a>(view: &'a SiteView) -> Vec<FeedChange<'a>> {
    let mut changes = Vec::new();
    for branch in &view.branches {
        let history = branch.history();
        // What a run that somebody stopped says of the branch is nothing.
        let told = history.iter().filter(|past| past.outcome != Outcome::Interrupted);
        let runs = told.map(|past| (&past.run, past.at, !past.outcome.is_good()));
        // Of a full history the first run need not be the first that failed.
        changes_in(runs, history.len() < BranchState::HISTORY, Some(branch), &mut changes);
    }
    let runs = view.summaries().rev();
    let runs = runs.map(|(run, summary)| (run, summary.finished.unwrap_or(summary.started), summary.failures > 0));
    changes_in(runs, true, None, &mut changes);
    // What a clock that was ahead gave is not the newest for ever.
    let ahead = |change: &FeedChange| change.at > view.now;
    changes.sort_by(|a, b| ahead(a).cmp(&ahead(b)).then(b.at.cmp(&a.at)).then_with(|| a.id("").cmp(&b.id(""))));
    changes.truncate(ENTRIES);
    changes
}

/// Adds where a series of runs, oldest first, changes between well and failing.
fn changes_in<'a>(
    runs: impl Iterator<Item = (&'a RunId, Timestamp, bool)>,
    from_the_start: bool,
    branch: Option<&'a BranchView<'a>>,
    changes: &mut Vec<FeedChange<'a>>,
) {
    let mut before = from_the_start.then_some(None::<Timestamp>);
    for (run, at, bad) in runs {
        let (failing_since, recovered_from, is_news) = match (before, bad) {
            (Some(None), true) => (Some(at), None, true),
            (Some(Some(since)), false) => (None, Some(since), true),
            (Some(Some(since)), true) => (Some(since), None, false),
            (None, true) => (Some(at), None, false),
            (None | Some(None), false) => (None, None, false),
        };
        if is_news {
            changes.push(FeedChange { branch, run, at, recovered_from });
        }
        before = Some(failing_since);
    }
}

/// A digest of what the feed is made from: while it is the same, so is the feed.
pub(super) fn key(view: &SiteView, changes: &[FeedChange]) -> String {
    let mut parts = format!("{} {:?}", env!("CARGO_PKG_VERSION"), view.base_url);
    for change in changes {
        let _ = write!(parts, "\n{} {}", change.id(""), change.link(view));
    }
    digest(parts.as_bytes())
}

/// The feed. `report` gets the report of a run, masked, where it can still be read.
pub(super) fn render(
    view: &SiteView,
    site: &str,
    changes: &[FeedChange],
    report: &mut dyn FnMut(&RunId) -> Option<RunReport>,
) -> String {
    let host = view.newest.map_or("a host without runs", |report| &report.host);
    let updated = changes.first().map_or(view.now, |change| change.at);
    let mut feed = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    let _ = write!(
        feed,
        "<feed xmlns=\"http://www.w3.org/2005/Atom\" xml:lang=\"en\">\n\
         <id>{}</id>\n<title>bst-fetcher on {}: failures and recoveries</title>\n<updated>{}</updated>\n\
         <author><name>bst-fetcher on {}</name></author>\n<generator version=\"{}\">bst-fetcher</generator>\n\
         <link rel=\"alternate\" type=\"text/html\" href=\"{}\"/>\n",
        uuid(site),
        escape(host),
        format::second(updated),
        escape(host),
        env!("CARGO_PKG_VERSION"),
        escape(&address(view, &PageAddress::index())),
    );
    if view.base_url.is_some() {
        let _ = writeln!(
            feed,
            "<link rel=\"self\" type=\"application/atom+xml\" href=\"{}\"/>",
            escape(&address(view, &PageAddress::feed()))
        );
    }
    for change in changes {
        let content = change.content(report(change.run).as_ref()).into_string();
        let _ = write!(
            feed,
            "<entry>\n<id>{}</id>\n<title>{}</title>\n<updated>{}</updated>\n<category term=\"{}\"/>\n\
             <link rel=\"alternate\" type=\"text/html\" href=\"{}\"/>\n<content type=\"html\">{}</content>\n</entry>\n",
            change.id(site),
            escape(&change.title()),
            format::second(change.at),
            if change.recovered_from.is_some() { "recovery" } else { "failure" },
            escape(&change.link(view)),
            escape(&content),
        );
    }
    feed.push_str("</feed>\n");
    strip_control(&feed)
}

impl FeedChange<'_> {
    /// The entry's name, the same for ever.
    fn id(&self, site: &str) -> String {
        let branch = self.branch.map(BranchView::full_name).unwrap_or_default();
        uuid(&format!("{site}\n{branch}\n{}", self.run))
    }

    fn title(&self) -> String {
        let what = self.branch.map_or_else(|| "The fetching host".to_owned(), BranchView::full_name);
        match (self.recovered_from, self.branch) {
            (Some(_), _) => format!("{what} is well again"),
            (None, Some(_)) => format!("{what} fails"),
            (None, None) => format!("{what} has a problem"),
        }
    }

    /// The page that tells more: the run's, or while that is no more, the branch's.
    fn link(&self, view: &SiteView) -> String {
        let page = view.run_page(self.run).or_else(|| Some(self.branch?.address.clone()));
        address(view, &page.unwrap_or_else(PageAddress::index))
    }

    fn content(&self, report: Option<&RunReport>) -> Markup {
        if let Some(since) = self.recovered_from {
            let broken = format::span(self.at.duration_since(since).as_secs_f64());
            return html! { p { "It had failed since " (format::minute(since)) " UTC, for " (broken) "." } };
        }
        let failures: Vec<&Diagnosis> = match (self.branch, report) {
            (Some(BranchView { state, .. }), Some(report)) => report
                .branches
                .iter()
                .filter(|branch| branch.project_branch() == state.project_branch())
                .flat_map(BranchReport::failures)
                .collect(),
            (None, Some(report)) => report.failures.iter().collect(),
            (_, None) => Vec::new(),
        };
        let issues = match (self.branch, report) {
            (Some(branch), Some(report)) if failures.len() > EACH => {
                let of = |it: &&BranchReport| it.project_branch() == branch.state.project_branch();
                group_issues(report.branches.iter().filter(of), &report.network)
            }
            _ => Vec::new(),
        };
        if !issues.is_empty() {
            return html! {
                @for issue in issues.iter().take(SHOWN) {
                    p { strong { (format::kind(issue.kind)) } ": " (issue.headline()) }
                    pre { (issue.message) }
                    p { "Who must act: " (issue.actor) ". " (issue.hint) }
                }
                @if issues.len() > SHOWN { p { "And " (issues.len() - SHOWN) " more causes." } }
            };
        }
        html! {
            @for failure in failures.iter().take(SHOWN) {
                p {
                    strong { (format::kind(failure.kind)) }
                    @if let Some(element) = &failure.element { ": " code { (element) } }
                    @if let Some(stage) = failure.stage { " (" (stage) ")" }
                }
                pre { (failure.message) }
                p { "Who must act: " (failure.actor) ". " (failure.hint) }
            }
            @if failures.len() > SHOWN { p { "And " (failures.len() - SHOWN) " more." } }
            @if failures.is_empty() {
                p { (self.branch.map_or_else(String::new, |branch| branch.state.project_branch().to_string())) " failed." }
            }
        }
    }
}

/// An address for readers of feeds: absolute where the site's is known, else relative to the feed's own.
fn address(view: &SiteView, page: &PageAddress) -> String {
    page.under(view.base_url.unwrap_or_default())
}

/// Text inside XML: the same escaping as a page's.
fn escape(text: &str) -> String {
    html! { (text) }.into_string()
}

/// A UUID (RFC 9562, version 8) made from a name.
fn uuid(name: &str) -> String {
    let hex = digest(name.as_bytes());
    format!("urn:uuid:{}-{}-8{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
