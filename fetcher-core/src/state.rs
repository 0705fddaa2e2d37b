//! The memory between runs: what is known of each branch, one file a branch, written whole and renamed.

mod caches;
mod elements;
mod lock;
mod store;
mod unreadable_file;
mod usage;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{BranchName, CommitId, ProjectBranch, ProjectName, RunId, Stage};
use crate::report::{BranchReport, CacheCoverage, HoldReport, Outcome, PublicationReport, SeenRef};

pub(crate) use caches::TRUSTS;
pub use caches::{CacheLayout, TrustDirectories};
pub use elements::{DoneElement, ElementMemory, FailedSources, RefsMemory, RememberedInventory};
pub use lock::{DirectoryLock, LockError};
pub(crate) use store::RunInProgress;
pub use store::StateStore;
pub(crate) use usage::{UsageRegister, UsageStatus, slot_key, trust_key};

pub use crate::json_file::StateError;

/// What is known of one branch between runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BranchState {
    /// The version of this format, [`BranchState::VERSION`].
    pub version: u32,
    /// The project.
    pub project: ProjectName,
    /// The branch; none for the state of the project's own repository (listing its branches).
    pub branch: Option<BranchName>,
    /// The tip that the last run worked on.
    #[serde(default)]
    pub commit: Option<CommitId>,
    /// When the last run that worked on it ended.
    pub last_run: Option<Timestamp>,
    /// When it last ended well.
    pub last_success: Option<Timestamp>,
    /// When it last ended badly.
    pub last_failure: Option<Timestamp>,
    /// Since when it has ended badly each time; none where the last run ended well.
    pub failing_since: Option<Timestamp>,
    /// How many runs in a row ended badly.
    pub consecutive_failures: u32,
    /// The refs that the last run found and that were not the tip's, and those that the tip has taken over since; none
    /// where nothing was tracked yet.
    #[serde(default)]
    pub tracked: Option<Vec<SeenRef>>,
    /// The requests to merge refs that it found, as the last run that published left them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<PublicationReport>,
    /// The holds on its elements, as the last run found them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HoldReport>,
    /// What of the sources of `commit` is known to be in the cache, as the last run that could tell found it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coverage: Vec<CacheCoverage>,
    /// The last runs, oldest first, at most [`BranchState::HISTORY`].
    #[serde(default)]
    pub history: Vec<BranchRun>,
}

impl BranchState {
    /// The version of the format that this library writes.
    pub const VERSION: u32 = 1;
    /// How many past runs are kept.
    pub const HISTORY: usize = 60;

    /// Whose state it is.
    pub fn project_branch(&self) -> ProjectBranch<'_> {
        ProjectBranch::new(&self.project, self.branch.as_ref())
    }

    /// The state of a branch of which nothing is known yet.
    pub fn new(project: ProjectName, branch: Option<BranchName>) -> Self {
        Self {
            version: Self::VERSION,
            project,
            branch,
            commit: None,
            last_run: None,
            last_success: None,
            last_failure: None,
            failing_since: None,
            consecutive_failures: 0,
            tracked: None,
            publication: None,
            holds: Vec::new(),
            coverage: Vec::new(),
            history: Vec::new(),
        }
    }

    /// Brings every time in it that is later than `now` back to it, for a clock was ahead when it was noted. Says whether
    /// there was any.
    pub(crate) fn clamp(&mut self, now: Timestamp) -> bool {
        let mut clamped = false;
        let times = [&mut self.last_run, &mut self.last_success, &mut self.last_failure, &mut self.failing_since];
        let history = self.history.iter_mut().map(|past| &mut past.at);
        let tracked = self.tracked.iter_mut().flatten().map(|seen| &mut seen.since);
        let coverage = self.coverage.iter_mut().map(|known| &mut known.at);
        for at in times.into_iter().flatten().chain(history).chain(tracked).chain(coverage).filter(|at| **at > now) {
            *at = now;
            clamped = true;
        }
        clamped
    }

    /// Takes in what a run did. An interrupted run says nothing about the branch, so that it counts neither way.
    pub fn record(&mut self, run: &RunId, report: &BranchReport, at: Timestamp) {
        self.last_run = Some(at);
        let same_tip = self.commit == report.commit;
        let tracks = || report.stages.iter().filter(|stage| stage.stage == Stage::Track && stage.skipped.is_none());
        if tracks().next().is_some() {
            let complete = tracks().all(|stage| stage.outcome.is_good());
            let same_tip = self.commit == report.commit;
            let left_out =
                tracks().flat_map(|stage| &stage.left_out).map(|left_out| left_out.element.clone()).collect();
            self.tracked = Some(SeenRef::after(self.tracked.take(), &report.changes, same_tip, complete, &left_out));
        }
        if report.stages.iter().any(|stage| stage.stage == Stage::Track) {
            self.holds.clone_from(&report.holds);
        }
        if report.publication.is_some() {
            self.publication = report.publication.as_deref().cloned();
        }
        if report.commit.is_some() {
            self.commit.clone_from(&report.commit);
        }
        match report.outcome {
            Outcome::Skipped | Outcome::Ok => {
                self.last_success = Some(at);
                self.failing_since = None;
                self.consecutive_failures = 0;
            }
            Outcome::Partial | Outcome::Failed => {
                self.last_failure = Some(at);
                self.failing_since.get_or_insert(at);
                self.consecutive_failures += 1;
            }
            Outcome::Interrupted => {}
        }
        let fetch = report.stages.iter().filter(|stage| stage.stage == Stage::Fetch);
        let fetched = fetch.map(|stage| stage.elements.processed).sum();
        if !report.coverage.is_empty() || (report.commit.is_some() && !same_tip) {
            self.coverage.clone_from(&report.coverage);
        }
        let allowed = report.allowed_failures().count() as u64;
        let (run, outcome, seconds) = (run.clone(), report.outcome, report.seconds);
        self.history.push(BranchRun { run, at, outcome, seconds, fetched, allowed });
        let surplus = self.history.len().saturating_sub(Self::HISTORY);
        self.history.drain(..surplus);
    }
}

/// One past run of a branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BranchRun {
    /// The run.
    pub run: RunId,
    /// When it ended.
    pub at: Timestamp,
    /// How it ended for this branch.
    pub outcome: Outcome,
    /// Seconds of wall time that the branch took.
    pub seconds: f64,
    /// Elements fetched.
    pub fetched: u64,
    /// Failures that the project's `allow-failure` lets be.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub allowed: u64,
}

impl BranchRun {
    /// A run that ended then and so, in no time and with nothing fetched.
    pub fn new(run: RunId, at: Timestamp, outcome: Outcome) -> Self {
        Self { run, at, outcome, seconds: 0.0, fetched: 0, allowed: 0 }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
