//! What the pages are made from: the states of the branches, what their last runs reported, and the list of runs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use maud::{Markup, html};

use super::format;
use super::site::{PublishedRun, RunEntry};
use crate::diagnosis::{Diagnosis, HostReachability};
use crate::links::PageAddress;
use crate::names::{BranchName, RunId};
use crate::report::{BranchReport, IssueGroup, Outcome, RotFinding, RunReport, group_issues};
use crate::state::{BranchRun, BranchState};

/// Everything that the pages beside the runs' own show.
pub(super) struct SiteView<'a> {
    pub(super) now: Timestamp,
    pub(super) running: Option<&'a RunId>,
    pub(super) base_url: Option<&'a str>,
    /// The branches, in the order that was handed in.
    pub(super) branches: Vec<BranchView<'a>>,
    /// The runs that have pages.
    pub(super) runs: &'a BTreeMap<RunId, RunEntry>,
    /// The report of the newest of them, where it could be read.
    pub(super) newest: Option<&'a RunReport>,
    /// Trouble to come with upstreams; none where nobody was asked yet.
    pub(super) rot: Option<&'a KnownRot>,
}

/// What is known of trouble to come, and when upstreams were asked.
pub(super) struct KnownRot {
    pub(super) findings: Vec<RotFinding>,
    pub(super) asked: Timestamp,
}

/// One branch, or a project whose branches could not be listed.
pub(super) struct BranchView<'a> {
    pub(super) state: &'a BranchState,
    pub(super) address: PageAddress,
    /// What its last run reported, where that can still be read.
    pub(super) latest: Option<(RunId, BranchReport)>,
}

impl<'a> SiteView<'a> {
    /// The runs that have pages, the newest first; one that claims to have begun after now, for the clock was ahead then,
    /// is none of the newest.
    pub(super) fn summaries(&self) -> impl DoubleEndedIterator<Item = (&'a RunId, &'a PublishedRun)> {
        let runs = self.runs.iter().rev().filter_map(|(run, entry)| Some((run, entry.summary.as_ref()?)));
        let mut runs: Vec<_> = runs.collect();
        runs.sort_by_key(|(run, _)| run.is_after(self.now));
        runs.into_iter()
    }

    /// The address of a run's page; none where it has none, or has none any more.
    pub(super) fn run_page(&self, run: &RunId) -> Option<PageAddress> {
        self.runs.get(run).filter(|entry| entry.summary.is_some()).map(|_| PageAddress::run(run))
    }

    /// The failures of the newest run that are no branch's.
    pub(super) fn host_failures(&self) -> &'a [Diagnosis] {
        self.newest.map_or(&[], |report| &report.failures)
    }

    /// What the newest run reached.
    pub(super) fn network(&self) -> HostReachability {
        self.newest.map(|report| report.network.clone()).unwrap_or_default()
    }

    /// The causes of what fails and of what was found in any branch; what is this host's is among its failures.
    pub(super) fn issues(&self) -> Vec<IssueGroup> {
        let reports = self.branches.iter().filter_map(|branch| branch.latest.as_ref().map(|(_, report)| report));
        let mut issues = group_issues(reports, &self.network());
        issues.retain(|issue| !issue.is_of_this_host);
        issues
    }

    /// The branches, and the projects whose branches cannot be listed.
    pub(super) fn shown(&self) -> impl Iterator<Item = &BranchView<'a>> {
        self.branches.iter().filter(|branch| branch.is_branch() || branch.is_bad())
    }

    /// How many branches' last runs ended badly, a project without a list of branches counting as one.
    pub(super) fn bad(&self) -> usize {
        self.branches.iter().filter(|branch| branch.is_bad()).count()
    }

    /// The worst that there is to say.
    pub(super) fn health(&self) -> Outcome {
        match self.bad() {
            bad if bad > 0 && bad == self.shown().count() => Outcome::Failed,
            0 if self.host_failures().is_empty() => Outcome::Ok,
            _ => Outcome::Partial,
        }
    }
}

impl<'a> BranchView<'a> {
    /// A branch with the report of its last run.
    pub(super) fn new(state: &'a BranchState, latest: Option<(RunId, BranchReport)>) -> Self {
        Self { state, address: PageAddress::branch(&state.project, state.branch.as_ref()), latest }
    }

    /// How the last run ended; none where there was none.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.state.history.last().map(|past| past.outcome)
    }

    /// Whether the last run ended badly.
    pub(super) fn is_bad(&self) -> bool {
        self.outcome().is_some_and(|outcome| !outcome.is_good())
    }

    /// Since when its runs have ended as the last one did, well or badly.
    pub(super) fn since(&self) -> Option<Timestamp> {
        let last = self.outcome()?;
        let streak = self.state.history.iter().rev().take_while(|past| past.outcome.is_good() == last.is_good()).last();
        let seen = streak.map(|past| past.at);
        if last.is_good() { seen } else { self.state.failing_since.or(seen) }
    }

    /// Every failure of its last run.
    pub(super) fn failures(&self) -> impl Iterator<Item = &Diagnosis> {
        self.latest.iter().flat_map(|(_, report)| report.failures())
    }

    /// What its last run found that failed nothing.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Diagnosis> {
        self.latest.iter().flat_map(|(_, report)| report.findings())
    }

    /// The causes of both.
    pub(super) fn issues(&self, view: &SiteView) -> Vec<IssueGroup> {
        let reports = self.latest.iter().map(|(_, report)| report);
        group_issues(reports, &view.network())
    }

    /// Whether it is a branch at all, and not what is known of a project whose branches could not be listed.
    pub(super) fn is_branch(&self) -> bool {
        self.state.branch.is_some()
    }

    /// Its name, without its project's.
    pub(super) fn name(&self) -> &'a str {
        self.state.branch.as_ref().map_or("no branch could be listed", BranchName::as_str)
    }

    /// Its name in full: `project (branch)`.
    pub(super) fn full_name(&self) -> String {
        self.state.project_branch().to_string()
    }

    /// Its past runs, oldest first.
    pub(super) fn history(&self) -> &'a [BranchRun] {
        &self.state.history
    }

    /// Its state: outcome, and since when.
    pub(super) fn badge(&self) -> Markup {
        match self.outcome() {
            None => html! { span.badge { "not run yet" } },
            // A run that found nothing to do says that what was well still is.
            Some(Outcome::Skipped | Outcome::Ok) => html! {
                (format::badge(Outcome::Ok))
                @if let Some(past) = self.state.history.last().filter(|past| past.allowed > 0) {
                    " " small { (format::allowed(past.allowed)) }
                }
            },
            Some(bad @ (Outcome::Partial | Outcome::Failed | Outcome::Interrupted)) => format::badge(bad),
        }
    }
}

/// How a run stands in words: its outcome, or that it has none yet, or never will.
pub(super) fn run_badge(run: &RunId, summary: &PublishedRun, running: Option<&RunId>) -> Markup {
    match summary.finished {
        Some(_) => format::badge(summary.outcome),
        None if running == Some(run) => html! { span.badge { span aria-hidden="true" { "…" } " running" } },
        None => html! { span class="badge failed" { span aria-hidden="true" { "✕" } " killed" } },
    }
}

/// How long a run took in words.
pub(super) fn took(summary: &PublishedRun) -> Option<String> {
    Some(format::span(summary.finished?.duration_since(summary.started).as_secs_f64()))
}
