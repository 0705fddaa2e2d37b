//! What happens and what happened, as data: events while a run goes on, reports when it is over.

mod activity;
mod coverage;
mod element_outcomes;
mod event_record;
mod host_probes;
mod issues;
mod left_out;
mod newer;
mod outcome;
mod probes;
mod proof;
mod redact;
mod rot;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod publication;
mod tracked;

pub use crate::bst::refs::RefChange;
use crate::diagnosis::{Diagnosis, HostReachability};
use crate::names::{BranchName, CommitId, ElementName, ProjectBranch, ProjectName, Refs, RunId, Stage, VariantName};
pub use crate::sanitize::{AnsiStripper, PlainWriter, one_line, plain_json, strip_control};

pub use activity::Activity;
pub use coverage::CacheCoverage;
pub use element_outcomes::{ElementOutcome, ElementOutcomes};
pub use event_record::EventRecord;
pub use host_probes::{HostProbes, ProbeReport};
pub use left_out::{HoldOrigin, HoldReport, LeftOutElement, LeftOutReason, count_left_out};
pub use outcome::Outcome;
pub use probes::TrackProbes;
pub use proof::ProofReport;
pub use publication::{HeldRef, HoldCause, PublicationReport, RequestReport, RequestStatus};
pub use rot::{RotFinding, RotKind, RotUrgency, RotUser};
pub use tracked::{SeenRef, TrackedRef};

pub use issues::{AffectedBranch, IssueGroup, UpstreamCount, group_issues, group_stage_issues};

/// One whole run: what `report.json` in a run's directory holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RunReport {
    /// The version of this format, [`RunReport::VERSION`].
    pub version: u32,
    /// The run's name.
    pub run: RunId,
    /// The version of the program or library that ran.
    pub fetcher_version: String,
    /// The host's name.
    pub host: String,
    /// When it started.
    pub started: Timestamp,
    /// When it ended; none while it goes on, and for ever where it was killed.
    pub finished: Option<Timestamp>,
    /// The worst of its branches' outcomes, `partial` where only some failed.
    pub outcome: Outcome,
    /// The commit of the configuration's repository that was used, where there is one.
    #[serde(default)]
    pub configuration: Option<String>,
    /// Failures of no project: the configuration, self-update, the lock, the disk, a notifier.
    #[serde(default)]
    pub failures: Vec<Diagnosis>,
    /// Which hosts of upstreams were reached in this run, and which were not: by it a failure of the network is known to
    /// be this host's or an upstream's.
    #[serde(default)]
    pub network: HostReachability,
    /// What upstreams were asked, by their hosts; none where nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<ProbeReport>,
    /// Trouble to come with upstreams. It changes no outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "newer::known_entries")]
    pub rot: Vec<RotFinding>,
    /// The branches, in the order of the configuration.
    pub branches: Vec<BranchReport>,
}

impl RunReport {
    /// The version of the format that this library writes.
    pub const VERSION: u32 = 1;

    /// The report of a run that starts now, on the host of this name: interrupted, unless it comes to its end.
    pub fn new(run: RunId, host: impl Into<String>, started: Timestamp) -> Self {
        Self {
            version: Self::VERSION,
            run,
            fetcher_version: env!("CARGO_PKG_VERSION").to_owned(),
            host: host.into(),
            started,
            finished: None,
            outcome: Outcome::Interrupted,
            configuration: None,
            failures: Vec::new(),
            network: HostReachability::default(),
            probes: None,
            rot: Vec::new(),
            branches: Vec::new(),
        }
    }
}

/// What was done for one branch; also for a project whose branches could not even be listed (`branch` is none then).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BranchReport {
    /// The project.
    pub project: ProjectName,
    /// The branch; none where the project's branches could not be found out.
    pub branch: Option<BranchName>,
    /// The tip that was checked out.
    #[serde(default)]
    pub commit: Option<CommitId>,
    /// When its work began.
    pub started: Timestamp,
    /// Seconds of wall time that it took.
    pub seconds: f64,
    /// The worst of its stages' outcomes, `partial` where something of it worked.
    pub outcome: Outcome,
    /// The version that `bst --version` printed.
    #[serde(default)]
    pub bst_version: Option<String>,
    /// The stages, in their order; for each option set (`variants`) of the project once.
    pub stages: Vec<StageReport>,
    /// The refs that tracking found and that are not the tip's, with all option sets together.
    #[serde(default)]
    pub changes: Vec<TrackedRef>,
    /// What became of them; none where nothing is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<Box<PublicationReport>>,
    /// The holds on the branch's elements, those that expired included.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "newer::known_entries")]
    pub holds: Vec<HoldReport>,
    /// What of the tip's sources is known to be in the cache: for each option set, of the committed refs and of those that
    /// tracking found, as far as they are wanted and could be counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "newer::known_entries")]
    pub coverage: Vec<CacheCoverage>,
}

impl BranchReport {
    /// Whose report it is.
    pub fn project_branch(&self) -> ProjectBranch<'_> {
        ProjectBranch::new(&self.project, self.branch.as_ref())
    }

    /// The report of a branch whose work starts now: good so far, and with nothing done.
    pub fn new(project: ProjectName, branch: Option<BranchName>, started: Timestamp) -> Self {
        Self {
            project,
            branch,
            commit: None,
            started,
            seconds: 0.0,
            outcome: Outcome::Ok,
            bst_version: None,
            stages: Vec::new(),
            changes: Vec::new(),
            publication: None,
            holds: Vec::new(),
            coverage: Vec::new(),
        }
    }

    /// Every failure of every stage.
    pub fn failures(&self) -> impl Iterator<Item = &Diagnosis> {
        self.stages.iter().flat_map(|stage| &stage.failures)
    }

    /// Every finding of every stage: what counts as no failure, and somebody has to look at.
    pub fn findings(&self) -> impl Iterator<Item = &Diagnosis> {
        self.stages.iter().flat_map(|stage| &stage.findings)
    }

    /// Every failure of every stage, also what may fail.
    pub fn all_failures(&self) -> impl Iterator<Item = &Diagnosis> {
        self.stages.iter().flat_map(StageReport::all_failures)
    }

    /// What failed in any stage and may fail, by `allow-failure` of the project.
    pub fn allowed_failures(&self) -> impl Iterator<Item = &Diagnosis> {
        self.stages.iter().flat_map(StageReport::allowed_failures)
    }

    /// The stage under whose name the log of `stage` is kept: of those that one `bst` did, and so share a log, the last.
    pub fn log_owner<'r>(&'r self, stage: &'r StageReport) -> &'r StageReport {
        let same = |other: &&StageReport| stage.log.is_some() && other.log == stage.log;
        self.stages.iter().rfind(same).unwrap_or(stage)
    }
}

/// What one stage did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct StageReport {
    /// The stage.
    pub stage: Stage,
    /// The option set that it ran for; none where the project has no `variants`.
    #[serde(default)]
    pub variant: Option<VariantName>,
    /// Which refs it fetched, pushed or proved; none for the other stages.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "newer::known")]
    pub refs: Option<Refs>,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether all that is wrong with it may fail, by `allow-failure` of the project: then the branch counts it as good.
    /// What failed is among the findings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allowed: bool,
    /// Why it was skipped, in words; none where it was not.
    #[serde(default)]
    pub skipped: Option<String>,
    /// How many times it was tried.
    pub attempts: u32,
    /// When it started.
    pub started: Timestamp,
    /// Seconds of wall time, retries and the waits between them included.
    pub seconds: f64,
    /// Of these, the seconds inside `bst`.
    #[serde(default)]
    pub bst_seconds: f64,
    /// Elements as bst's pipeline summary counts them.
    #[serde(default)]
    pub elements: ElementCounts,
    /// What became of each of them.
    #[serde(default, skip_serializing_if = "ElementOutcomes::is_empty")]
    pub results: ElementOutcomes,
    /// The refs that tracking changed, by element; those that it changed with an option set before are not among them.
    #[serde(default)]
    pub changes: Vec<RefChange>,
    /// What upstreams were asked before tracking, and what that spared; none where nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<TrackProbes>,
    /// What failed, an entry an element as a rule.
    #[serde(default)]
    pub failures: Vec<Diagnosis>,
    /// What counts as no failure, and is to be looked at all the same: content that changed behind an address, and what
    /// the project's `allow-failure` lets fail.
    #[serde(default)]
    pub findings: Vec<Diagnosis>,
    /// The hosts of upstreams that answered.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reached: BTreeSet<String>,
    /// The elements that it left out on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "newer::known_entries")]
    pub left_out: Vec<LeftOutElement>,
    /// The refs that tracking found and that were taken back, for nothing loads with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldRef>,
    /// Remarks that are no failures: a mirror rebuilt, elements left out because they have no ref.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What a stage `verify` found out; none for the other stages, and where nothing was to be proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofReport>,
    /// The stage's whole log, relative to the run's directory.
    #[serde(default)]
    pub log: Option<PathBuf>,
}

impl StageReport {
    /// The report of a stage that starts now: good so far, and with nothing done.
    pub fn new(stage: Stage, variant: Option<VariantName>, started: Timestamp) -> Self {
        Self {
            stage,
            variant,
            refs: None,
            outcome: Outcome::Ok,
            allowed: false,
            skipped: None,
            attempts: 0,
            started,
            seconds: 0.0,
            bst_seconds: 0.0,
            elements: ElementCounts::default(),
            results: ElementOutcomes::default(),
            changes: Vec::new(),
            probes: None,
            failures: Vec::new(),
            findings: Vec::new(),
            reached: BTreeSet::new(),
            left_out: Vec::new(),
            held: Vec::new(),
            notes: Vec::new(),
            proof: None,
            log: None,
        }
    }

    /// Whether nothing is wrong with it that counts.
    pub fn counts_as_good(&self) -> bool {
        self.outcome.is_good() || (self.allowed && self.failures.is_empty())
    }

    /// What failed in it, also what may fail.
    pub fn all_failures(&self) -> impl Iterator<Item = &Diagnosis> {
        self.failures.iter().chain(self.allowed_failures())
    }

    /// The same, to be changed.
    pub(crate) fn all_failures_mut(&mut self) -> impl Iterator<Item = &mut Diagnosis> {
        self.failures.iter_mut().chain(self.findings.iter_mut().filter(|finding| finding.allowed))
    }

    /// What failed in it and may fail, by `allow-failure` of the project.
    pub fn allowed_failures(&self) -> impl Iterator<Item = &Diagnosis> {
        self.findings.iter().filter(|finding| finding.allowed)
    }

    /// The stage's name for people: `fetch (committed) [arm]`, with what there is of it.
    pub fn title(&self) -> String {
        let refs = self.refs.map(|refs| format!(" ({refs})")).unwrap_or_default();
        let variant = self.variant.as_ref().map(|variant| format!(" [{variant}]")).unwrap_or_default();
        format!("{}{refs}{variant}", self.stage)
    }
}

/// Elements as bst's pipeline summary counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ElementCounts {
    /// In the pipeline.
    pub total: u64,
    /// Done in this stage.
    pub processed: u64,
    /// With nothing to do in this stage.
    pub skipped: u64,
    /// Failed in this stage.
    pub failed: u64,
}

/// What happens while a run goes on. A sink of events needs no other knowledge to show progress.
///
/// ```
/// use fetcher_core::Event;
/// let event = Event::Note("waiting".to_owned());
/// assert_eq!(serde_json::to_string(&event)?, r#"{"event":"note","data":"waiting"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "an event is handed on a few times, and boxes are no pattern to match")]
#[serde(tag = "event", content = "data", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// The run began.
    RunStarted {
        /// Its name.
        run: RunId,
        /// Its directory, which holds the logs and the report.
        directory: PathBuf,
    },
    /// Something worth a line that belongs to no branch: waiting for the lock, making an environment.
    Note(String),
    /// What goes on where no element moves. It is over when the next event of the same branch, project or run comes.
    Activity {
        /// The project; none where it is of the run.
        project: Option<ProjectName>,
        /// The branch; none where it is of the project.
        branch: Option<BranchName>,
        /// What is done.
        activity: Activity,
    },
    /// A project's branches are known.
    Branches {
        /// The project.
        project: ProjectName,
        /// The branches that this run works on.
        branches: Vec<BranchName>,
    },
    /// Work on a branch began.
    BranchStarted {
        /// The project.
        project: ProjectName,
        /// The branch.
        branch: BranchName,
    },
    /// A stage of a branch began.
    StageStarted {
        /// The project.
        project: ProjectName,
        /// The branch.
        branch: BranchName,
        /// The option set.
        variant: Option<VariantName>,
        /// Which refs it is about; none for the checkout and for tracking.
        refs: Option<Refs>,
        /// The stage.
        stage: Stage,
        /// 1 for the first try.
        attempt: u32,
    },
    /// A stage of a branch went on.
    Progress {
        /// The project.
        project: ProjectName,
        /// The branch.
        branch: BranchName,
        /// The stage.
        stage: Stage,
        /// Elements done so far.
        done: u64,
        /// Elements in the pipeline, 0 while that is not known.
        total: u64,
        /// The element that moved last.
        element: Option<ElementName>,
    },
    /// A stage of a branch ended.
    StageFinished {
        /// The project.
        project: ProjectName,
        /// The branch.
        branch: BranchName,
        /// What it did.
        report: StageReport,
    },
    /// Work on a branch, or on a project whose branches could not be found out, ended.
    BranchFinished(BranchReport),
    /// The run ended.
    RunFinished(RunReport),
}

impl Event {
    /// The branch that it is of, or the project where it is of no branch; none where it is of the run.
    pub fn project_branch(&self) -> Option<ProjectBranch<'_>> {
        match self {
            Event::Activity { project, branch, .. } => Some(ProjectBranch::new(project.as_ref()?, branch.as_ref())),
            Event::Branches { project, .. } => Some(ProjectBranch::new(project, None)),
            Event::BranchStarted { project, branch }
            | Event::StageStarted { project, branch, .. }
            | Event::Progress { project, branch, .. }
            | Event::StageFinished { project, branch, .. } => Some(ProjectBranch::new(project, branch)),
            Event::BranchFinished(report) => Some(report.project_branch()),
            Event::RunStarted { .. } | Event::Note(_) | Event::RunFinished(_) => None,
        }
    }
}

/// Seconds by stage, summed over branches and variants: what a run cost.
pub fn seconds_by_stage(report: &RunReport) -> BTreeMap<Stage, f64> {
    let mut seconds = BTreeMap::new();
    for stage in report.branches.iter().flat_map(|branch| &branch.stages) {
        *seconds.entry(stage.stage).or_default() += stage.seconds;
    }
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_a_stage_with_the_bytes_that_were_told_once_is_read() {
        let text = r#"{"stage": "fetch", "outcome": "ok", "attempts": 1, "started": "2026-01-02T03:04:05Z",
            "seconds": 1.5, "bytes": 6400000000}"#;
        let report: StageReport = serde_json::from_str(text).unwrap();
        assert_eq!((report.stage, report.outcome), (Stage::Fetch, Outcome::Ok));
        assert!(!serde_json::to_string(&report).unwrap().contains("bytes"));
    }

    #[test]
    fn kinds_and_stages_of_a_newer_release_are_read() {
        let text = r#"{"stage": "teleport", "outcome": "failed", "attempts": 1, "started": "2024-01-01T00:00:00Z",
            "seconds": 1.5, "refs": "dreamt", "left-out": [{"element": "a.bst", "why": "asleep"},
            {"element": "b.bst", "why": "held"}], "failures": [{"kind": "quantum-noise", "message": "m", "place": {},
            "retry": "tomorrow", "actor": "the-moon", "hint": "h"}]}"#;
        let report: StageReport = serde_json::from_str(text).unwrap();
        assert_eq!(report.stage, Stage::custom("teleport").unwrap());
        let failure = &report.failures[0];
        assert_eq!(failure.kind, crate::diagnosis::FailureKind::Unknown);
        assert_eq!((failure.retry, failure.actor), (crate::diagnosis::Retry::Once, crate::diagnosis::Actor::Host));
        assert_eq!((report.refs, report.left_out.len()), (None, 1));
        assert_eq!(report.left_out[0].element.as_str(), "b.bst");
        assert_eq!(serde_json::from_str::<Outcome>("\"blissful\"").unwrap(), Outcome::Failed);
        assert_eq!(serde_json::from_str::<Outcome>("\"skipped\"").unwrap(), Outcome::Skipped);
    }
}
