//! Track, fetch and push of one branch's checkout, with the real work left to `bst`: what the tip has first, and then
//! what tracking finds; the probes that tell what need not be tracked, and the proof that caches have what was pushed.
//!
//! What the stages share (one attempt after another, logs, deadlines) is in `stage_runner`, and what is known of each
//! element in each stage in `results`, what need not be done again in `known`; this module knows what comes after what, and why something is not done.

mod access;
mod allowed;
pub(crate) mod audit;
mod cache_gateway;
mod changes;
mod clean_client;
mod command;
mod coverage;
mod credential_gateway;
mod holds;
mod inputs;
mod listing;
pub(crate) mod log;
mod mirrors;
#[cfg(feature = "cas")]
mod naming;
mod output;
mod prepare;
mod probing;
mod prover;
mod recovery;
mod remaining_work;
mod results;
mod selection;
mod session;
mod sources;
mod stage_request;
mod stage_runner;
mod taken_back;
mod tracking;
mod verify;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use crate::bst::Bst;
use crate::bst::conf::push_servers;
use crate::bst::messages::ElementState;
use crate::config::{ProjectConfig, PushMode, VariantConfig};
use crate::diagnosis::Diagnosis;
use crate::names::{BranchName, CommitId, ElementName, Refs, Stage};
use crate::report::{Event, Outcome, StageReport};
use crate::runner::RunContext;
use crate::secret::Redact as _;
use crate::state::ElementMemory;

pub(crate) use allowed::allow_all;
pub(crate) use changes::tracked_changes;
pub use clean_client::{LocalCacheServing, LocalSourceCache};
pub(crate) use credential_gateway::{asks_for_secrets, needs_secrets};
pub(crate) use inputs::{ChangedFile, changed as changed_files};
pub use prepare::{Preparation, PreparedFiles};

#[cfg(feature = "cas")]
pub use crate::cas::{CacheError, CacheProver, ProofTotals, SourceProof};
pub use crate::upstream::{
    GitRef, PinnedTag, ProbeCost, ProbeDoubt, Prober, RefList, RefSelection, UpstreamAnswer, UpstreamQuestion,
    UpstreamSigns, UpstreamState, UpstreamUse,
};
pub(crate) use holds::{ProjectHolds, expired};
use listing::{LISTING_LOG, NotListed};
pub use probing::{ElementProbing, ProbeWay, RememberedRefs, SourceProbing, TrackProbing};
pub(crate) use probing::{TrackingMemory, overview};
pub use remaining_work::RunDone;
use remaining_work::{ElementInputs, FetchCandidates};
pub use session::{BstOutput, ElementChoice, PipelineSession};
use stage_runner::{StageRunner, refs_of};

/// Where a pipeline works. All paths are absolute.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PipelineDirectories {
    /// The directory with `project.conf`, in a clean checkout.
    pub project: PathBuf,
    /// BuildStream's cache, which all pipelines share.
    pub cachedir: PathBuf,
    /// BuildStream's mirrors of upstreams, which no other `bst` may use at the same time.
    pub sourcedir: PathBuf,
    /// For what is needed only while the pipeline runs; bst puts a socket there, so the path should be short.
    pub temporary: PathBuf,
    /// The objects that the checkout's repository borrows ([`Project::objects`](crate::Project::objects)), for plugins
    /// that ask git for the commit; without them git finds none in a sandbox.
    pub objects: Option<PathBuf>,
    /// The run's directory, which logs are named relative to.
    pub run: PathBuf,
    /// Where logs go, below `run`.
    pub logs: PathBuf,
}

/// The stages of one branch of one project.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pipeline<'a> {
    /// The project.
    pub project: &'a ProjectConfig,
    /// The branch, for events.
    pub branch: &'a BranchName,
    /// The commit that is checked out.
    pub commit: &'a CommitId,
    /// The `bst` that does the work.
    pub bst: &'a Bst,
    /// What runs it, in which environment and until when, whose clock and what masks secrets.
    pub context: RunContext<'a>,
    /// Where it works.
    pub directories: PipelineDirectories,
    /// What was prepared in the checkout; none where nothing was.
    pub prepared: Option<&'a PreparedFiles>,
    /// Held while `bst` runs, where no two may run at once: with a quota, concurrent casds miscount the cache's size.
    pub one_at_a_time: Option<&'a Mutex<()>>,
    /// How long what was done may stand for doing it again.
    pub refresh_after: Duration,
    /// What the run has done for other branches of the project, and what this does for them; none where each is alone.
    pub done_in_run: Option<&'a RunDone>,
    /// How upstreams are asked what moved; without it everything is tracked.
    pub probing: Option<TrackProbing<'a>>,
    /// Within which time a client with empty caches and no way to any upstream is to have fetched everything once, a share
    /// of it in each run; none where there is no such client.
    pub clean_client_every: Option<Duration>,
    /// What lets such a client fetch from the local cache where nothing is pushed; without it there is none then.
    pub local_cache: Option<&'a dyn LocalCacheServing>,
}

impl Pipeline<'_> {
    /// Runs the stages for some refs once, with the options of `variant` over the project's: fetch and push of what is
    /// in the checkout for the committed ones; track, fetch and push for the tracked ones. Tracking changes the checkout,
    /// so that the committed refs of all variants come before the tracked ones of any.
    ///
    /// What is done already by `memory` is left out, and what was done is entered there. A stage that fails is data in
    /// the result; one that was not done says why. What `events` gets names the pipeline's project and branch.
    pub fn run(
        &self,
        refs: Refs,
        variant: Option<&VariantConfig>,
        memory: &mut ElementMemory,
        events: &mut dyn FnMut(Event),
    ) -> Vec<StageReport> {
        self.unmasked(refs, variant, memory, events).redacted(self.context.redactor)
    }

    fn unmasked(
        &self,
        refs: Refs,
        variant: Option<&VariantConfig>,
        memory: &mut ElementMemory,
        events: &mut dyn FnMut(Event),
    ) -> Vec<StageReport> {
        let is_all = !self.project.wants(Refs::Tracked);
        if refs == Refs::Committed && !is_all && !self.wants_sources() {
            return Vec::new();
        }
        let mut reports = match StageRunner::new(self, refs, variant, events) {
            Err(failure) => self.not_begun(refs, variant, failure),
            Ok(mut work) => match refs {
                Refs::Committed => self.committed(&mut work, memory),
                Refs::Tracked => self.tracked(&mut work, memory),
            },
        };
        if refs == Refs::Committed && is_all {
            let reason = if self.project.track { "refs = [\"committed\"]" } else { "track = false" };
            reports.insert(0, self.skipped(variant, refs, Stage::Track, reason));
        }
        reports
    }

    fn wants_sources(&self) -> bool {
        self.project.fetch || self.pushes().is_ok()
    }

    fn committed(&self, work: &mut StageRunner<'_, '_>, memory: &mut ElementMemory) -> Vec<StageReport> {
        if !self.wants_sources() {
            return self.neither(work.variant, Refs::Committed, "");
        }
        let inputs = work.listing_inputs(&[]);
        match work.inventory(Refs::Committed, inputs, memory) {
            Ok(inventory) => {
                let inputs = ElementInputs::new(work, &[&inventory]);
                self.fetch_and_push(work, memory, &inputs, Some(&FetchCandidates::of(&inventory)))
            }
            Err(NotListed::NoRef(junction)) => {
                let reason = format!("{junction} has no committed ref, and nothing can be loaded without");
                self.neither(work.variant, Refs::Committed, &reason)
            }
            Err(NotListed::Failed(failures)) => {
                let mut reports = self.neither(work.variant, Refs::Committed, "the elements could not be listed");
                if let Some(report) = reports.iter_mut().find(|report| report.skipped.as_deref() != Some(FETCH_FALSE)) {
                    report.skipped = None;
                    report.outcome =
                        if work.context.cancel.is_cancelled() { Outcome::Interrupted } else { Outcome::Failed };
                    let of_stage = |failure: Diagnosis| failure.with_stage(report.stage);
                    report.log = work.kept_log(LISTING_LOG);
                    report.failures = failures.into_iter().map(of_stage).collect();
                }
                reports.into_iter().map(|report| self.finish(report, work)).collect()
            }
        }
    }

    fn tracked(&self, work: &mut StageRunner<'_, '_>, memory: &mut ElementMemory) -> Vec<StageReport> {
        // With an option set before, tracking may have changed something already.
        let before = work.ref_changes().unwrap_or_default();
        let (track, blocked) = self.track(work, &before, memory);
        let changes = work.ref_changes();
        let mut stages = vec![track];
        if let Some(reason) = &blocked {
            stages.extend(self.neither(work.variant, Refs::Tracked, reason));
        } else if !self.wants_sources() {
            stages.extend(self.neither(work.variant, Refs::Tracked, ""));
        } else {
            let candidates = self.tracked_candidates(work, changes.as_deref().unwrap_or_default(), memory);
            let known = [&memory.committed, &memory.tracked].map(|refs| refs.inventory.as_ref());
            let known: Vec<_> = known.into_iter().flatten().map(|known| &known.inventory).collect();
            let inputs = ElementInputs::new(work, &known);
            let candidates = candidates.filter(|_| changes.is_ok());
            stages.extend(self.fetch_and_push(work, memory, &inputs, candidates.as_ref()));
        }
        stages
    }

    /// Whether sources are to be pushed; else why not.
    fn pushes(&self) -> Result<(), &'static str> {
        match self.project.push {
            PushMode::Never => Err("push = false"),
            PushMode::Auto if !pushes_sources(self.project) => Err("no source cache has push = true"),
            _ if !self.bst.dialect().can_push() => Err("this release of bst cannot push sources"),
            PushMode::Auto | PushMode::Always => Ok(()),
        }
    }

    fn finish(&self, mut report: StageReport, work: &mut StageRunner<'_, '_>) -> StageReport {
        let (stage, results) = (report.stage, &work.results);
        let is_own = |element: &ElementName| results.is_failed(stage, element);
        allowed::allow_elements(self.project, &mut report, is_own, &results.unfetched(stage));
        work.events.send(Event::StageFinished {
            project: self.project.name.clone(),
            branch: self.branch.clone(),
            report: report.clone(),
        });
        report
    }

    fn not_begun(&self, refs: Refs, variant: Option<&VariantConfig>, failure: Diagnosis) -> Vec<StageReport> {
        let mut reports = match refs {
            Refs::Committed => Vec::new(),
            Refs::Tracked => vec![self.skipped(variant, refs, Stage::Track, "")],
        };
        reports.extend(self.neither(variant, refs, "it could not begin"));
        let first = &mut reports[0];
        first.skipped = None;
        first.outcome = Outcome::Failed;
        first.failures.push(failure.with_stage(first.stage));
        allow_all(&self.project.allow_failure, first);
        reports
    }

    /// Fetch, push and their proof, none of which is done: because they are not wanted, or else for this reason.
    fn neither(&self, variant: Option<&VariantConfig>, refs: Refs, reason: &str) -> Vec<StageReport> {
        let fetch = if self.project.fetch { reason } else { FETCH_FALSE };
        let push = self.pushes().err().unwrap_or(reason);
        let verify = match self.proof_target() {
            Ok(_) => reason.to_owned(),
            Err(why) => why,
        };
        [(Stage::Fetch, fetch), (Stage::Push, push), (Stage::Verify, &verify)]
            .map(|(stage, why)| self.skipped(variant, refs, stage, why))
            .into()
    }

    fn skipped(&self, variant: Option<&VariantConfig>, refs: Refs, stage: Stage, reason: &str) -> StageReport {
        let mut report = StageReport::new(stage, variant.map(|variant| variant.name.clone()), self.context.clock.now());
        report.refs = refs_of(stage, refs);
        report.outcome = Outcome::Skipped;
        report.skipped = Some(reason.to_owned());
        report
    }
}

/// Whether a project's configuration has sources pushed.
pub(crate) fn pushes_sources(project: &ProjectConfig) -> bool {
    let takes = !push_servers(&project.source_caches, &project.buildstream.config).is_empty();
    match project.push {
        PushMode::Never => false,
        PushMode::Auto => takes,
        PushMode::Always => true,
    }
}

/// Why nothing is fetched where that is not wanted.
const FETCH_FALSE: &str = "fetch = false";

/// The elements of a listing that no fetch can be asked for: those without a ref that tracking did not give one.
fn unresolved<'l>(
    listed: impl Iterator<Item = (&'l ElementName, &'l ElementState)>,
    tracked: impl Fn(&ElementName) -> bool,
) -> BTreeSet<ElementName> {
    listed
        .filter(|(element, state)| **state == ElementState::NoReference && !tracked(element))
        .map(|(element, _)| element.clone())
        .collect()
}
