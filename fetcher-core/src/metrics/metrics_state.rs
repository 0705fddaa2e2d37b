//! What is counted, kept from run to run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diagnosis::{Actor, Diagnosis, FailureKind};
use crate::json_file::StoredJson;
use crate::names::{BranchName, ProjectName, Refs, RunId, Stage, VariantName};
use crate::report::{BranchReport, Outcome, ProbeReport, RunReport, StageReport};
use crate::state::{BranchRun, BranchState, StateError, StateStore};

/// Everything that is counted or remembered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct MetricsState {
    /// The first releases wrote none.
    #[serde(default)]
    version: u32,
    /// The last run that ended.
    pub(super) run: Option<LastRunMetrics>,
    /// When a run last ended in which nothing failed.
    pub(super) last_success: Option<Timestamp>,
    /// The branches, in no order.
    pub(super) branches: Vec<BranchMemory>,
}

impl StoredJson for MetricsState {
    const VERSION: u32 = 1;
    const WHAT: &'static str = "memory of the metrics";
}

impl Default for MetricsState {
    fn default() -> Self {
        Self { version: Self::VERSION, run: None, last_success: None, branches: Vec::new() }
    }
}

/// The last run that ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LastRunMetrics {
    pub(super) version: String,
    pub(super) finished: Timestamp,
    pub(super) seconds: f64,
    pub(super) outcome: Outcome,
    pub(super) branches: Vec<Outcome>,
    /// The failures that are no branch's.
    pub(super) failures: Vec<(FailureKind, Actor)>,
    /// What upstreams were asked.
    #[serde(default)]
    pub(super) probes: Option<ProbeReport>,
}

/// What is known of one branch.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct BranchMemory {
    pub(super) project: ProjectName,
    pub(super) branch: Option<BranchName>,
    /// The last run that was counted.
    counted: RunId,
    pub(super) bst_version: Option<String>,
    /// The failures of its last run.
    pub(super) last_failures: Vec<(FailureKind, Actor)>,
    /// What its last run found that failed nothing.
    #[serde(default)]
    pub(super) last_findings: Vec<(FailureKind, Actor)>,
    /// Seconds of each stage when it was last done and not skipped, by variant.
    pub(super) durations: Vec<StageDuration>,
    /// What was proved of the branch's sources when that was last tried, by variant and refs.
    #[serde(default)]
    pub(super) proofs: Vec<ProofCount>,
    pub(super) runs: BTreeMap<Outcome, u64>,
    pub(super) failures: BTreeMap<FailureKind, u64>,
    pub(super) stages: BTreeMap<Stage, StageCount>,
}

/// How long a stage took.
#[derive(Debug, Serialize, Deserialize)]
#[serde(from = "KnownDuration")]
pub(super) struct StageDuration {
    pub(super) stage: Stage,
    pub(super) variant: Option<VariantName>,
    pub(super) refs: Option<Refs>,
    pub(super) seconds: f64,
}

/// The same in the form of this and of earlier releases, which knew no refs.
#[derive(Deserialize)]
#[serde(untagged)]
enum KnownDuration {
    Named { stage: Stage, variant: Option<VariantName>, refs: Option<Refs>, seconds: f64 },
    Tuple(Stage, Option<VariantName>, f64),
}

impl From<KnownDuration> for StageDuration {
    fn from(known: KnownDuration) -> Self {
        match known {
            KnownDuration::Named { stage, variant, refs, seconds } => Self { stage, variant, refs, seconds },
            KnownDuration::Tuple(stage, variant, seconds) => Self { stage, variant, refs: None, seconds },
        }
    }
}

/// What was proved of a branch's sources with one option set and some refs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ProofCount {
    pub(super) variant: Option<VariantName>,
    pub(super) refs: Option<Refs>,
    pub(super) proved: u64,
    pub(super) missing: u64,
}

/// What was counted of one stage of a branch, all variants together.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct StageCount {
    pub(super) seconds: f64,
    pub(super) bst_seconds: f64,
    pub(super) processed: u64,
    pub(super) skipped: u64,
    pub(super) failed: u64,
    /// Of `verify`: blobs that caches were asked for.
    #[serde(default)]
    pub(super) blobs: u64,
    /// Of `verify`: requests that it took.
    #[serde(default)]
    pub(super) requests: u64,
    /// Of `track`: elements that were left out, for nothing had moved upstream.
    #[serde(default)]
    pub(super) unmoved: u64,
    /// Of `track`: elements that were really tracked although it was known what that would find.
    #[serde(default)]
    pub(super) checked: u64,
    /// Of `track`: those of them of which that was wrong.
    #[serde(default)]
    pub(super) missed: u64,
}

impl MetricsState {
    /// Counts what is not counted yet, and forgets branches that are no more. Gives the first report of a run that could
    /// not be read: of that run only its outcome for each branch is counted.
    pub(super) fn take_in(
        &mut self,
        states: &[BranchState],
        report: &RunReport,
        store: &StateStore,
    ) -> Option<StateError> {
        self.version = Self::VERSION;
        if let Some(finished) = report.finished {
            let last = LastRunMetrics::new(report, finished);
            if last.outcome.is_good() && last.failures.is_empty() {
                self.last_success = Some(finished);
            }
            // A clock that was ahead would keep an alert quiet.
            self.last_success = self.last_success.map(|success| success.min(finished));
            self.run = Some(last);
        }
        self.branches.retain(|known| states.iter().any(|state| known.is_of(&state.project, state.branch.as_ref())));
        let uncounted = |state| (state, self.uncounted(state, report));
        let uncounted: Vec<(&BranchState, &[BranchRun])> = states.iter().map(uncounted).collect();
        // Run by run, so that no more than one report is in memory.
        let fresh: BTreeSet<&RunId> =
            uncounted.iter().flat_map(|(_, pasts)| pasts.iter().map(|past| &past.run)).collect();
        let mut failure = None;
        for run in fresh {
            let read = if *run == report.run { Ok(None) } else { store.report(run) };
            let read = read.unwrap_or_else(|error| {
                failure.get_or_insert(error);
                None
            });
            let report = read.as_ref().or(Some(report)).filter(|report| report.run == *run);
            for (state, pasts) in &uncounted {
                if let Some(past) = pasts.iter().find(|past| past.run == *run) {
                    self.count(state, past, report);
                }
            }
        }
        for known in &mut self.branches {
            let state = states.iter().find(|state| known.is_of(&state.project, state.branch.as_ref()));
            if let Some(last) = state.and_then(|state| state.history.last()) {
                known.counted.clone_from(&last.run);
            }
        }
        failure
    }

    /// What is known of a branch.
    pub(super) fn branch(&self, state: &BranchState) -> Option<&BranchMemory> {
        self.branches.iter().find(|known| known.is_of(&state.project, state.branch.as_ref()))
    }

    /// The runs of a branch that are not counted yet. The history has them in their order, whatever the clock said.
    fn uncounted<'s>(&self, state: &'s BranchState, now: &RunReport) -> &'s [BranchRun] {
        let Some(known) = self.branch(state) else { return &state.history };
        if let Some(last) = state.history.iter().rposition(|past| past.run == known.counted) {
            return &state.history[last + 1..];
        }
        // It is too long ago, or was while the clock was ahead; or the history began anew.
        let ahead = known.counted > now.run;
        let first = state.history.iter().position(|past| ahead || past.run > known.counted);
        &state.history[first.unwrap_or(state.history.len())..]
    }

    fn count(&mut self, state: &BranchState, past: &BranchRun, report: Option<&RunReport>) {
        let known = self.branches.iter().position(|known| known.is_of(&state.project, state.branch.as_ref()));
        let known = known.unwrap_or_else(|| {
            self.branches.push(BranchMemory::new(state, past.run.clone()));
            self.branches.len() - 1
        });
        let known = &mut self.branches[known];
        *known.runs.entry(past.outcome).or_default() += 1;
        let reports = report.map(|report| report.branches.iter()).into_iter().flatten();
        for report in reports {
            if known.is_of(&report.project, report.branch.as_ref()) {
                known.take_in(report);
            }
        }
    }
}

impl LastRunMetrics {
    fn new(report: &RunReport, finished: Timestamp) -> Self {
        Self {
            version: report.fetcher_version.clone(),
            finished,
            seconds: finished.duration_since(report.started).as_secs_f64(),
            outcome: report.outcome,
            branches: report.branches.iter().map(|branch| branch.outcome).collect(),
            failures: report.failures.iter().map(sort).collect(),
            probes: report.probes.clone(),
        }
    }
}

impl BranchMemory {
    fn new(state: &BranchState, counted: RunId) -> Self {
        Self {
            project: state.project.clone(),
            branch: state.branch.clone(),
            counted,
            bst_version: None,
            last_failures: Vec::new(),
            last_findings: Vec::new(),
            durations: Vec::new(),
            proofs: Vec::new(),
            runs: BTreeMap::new(),
            failures: BTreeMap::new(),
            stages: BTreeMap::new(),
        }
    }

    fn is_of(&self, project: &ProjectName, branch: Option<&BranchName>) -> bool {
        self.project == *project && self.branch.as_ref() == branch
    }

    fn take_in(&mut self, report: &BranchReport) {
        self.bst_version = report.bst_version.clone().or(self.bst_version.take());
        self.last_failures = report.failures().map(sort).collect();
        self.last_findings = report.findings().map(sort).collect();
        for (kind, _) in &self.last_failures {
            *self.failures.entry(*kind).or_default() += 1;
        }
        for stage in &report.stages {
            self.stages.entry(stage.stage).or_default().add(stage);
            if let Some(proof) = &stage.proof {
                let (variant, refs) = (stage.variant.clone(), stage.refs);
                self.proofs.retain(|known| (&known.variant, known.refs) != (&variant, refs));
                let (proved, missing) = (proof.proved.len() as u64, proof.missing.len() as u64);
                self.proofs.push(ProofCount { variant, refs, proved, missing });
            }
            if stage.outcome != Outcome::Skipped {
                let (variant, refs) = (&stage.variant, stage.refs);
                // What an earlier release measured had no refs.
                self.durations.retain(|known| {
                    (known.stage, &known.variant) != (stage.stage, variant)
                        || (known.refs != refs && known.refs.is_some())
                });
                let (stage, variant, seconds) = (stage.stage, variant.clone(), stage.seconds);
                self.durations.push(StageDuration { stage, variant, refs, seconds });
            }
        }
    }
}

impl StageCount {
    fn add(&mut self, report: &StageReport) {
        self.seconds += report.seconds;
        self.bst_seconds += report.bst_seconds;
        self.processed += report.elements.processed;
        self.skipped += report.elements.skipped;
        self.failed += report.elements.failed;
        if let Some(proof) = &report.proof {
            self.blobs += proof.blobs;
            self.requests += proof.requests;
        }
        if let Some(probes) = &report.probes {
            self.unmoved += probes.left_out;
            self.checked += probes.proved;
            self.missed += probes.missed.len() as u64;
        }
    }
}

fn sort(failure: &Diagnosis) -> (FailureKind, Actor) {
    (failure.kind, failure.actor)
}
