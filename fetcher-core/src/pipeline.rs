//! Track, fetch and push of one branch's checkout, with the real work left to `bst`.
//!
//! What the stages share (one attempt after another, logs, deadlines) is in `stage_runner`, and what is known of each
//! element in each stage in `results`; this module knows what comes after what, and why something is not done.

mod command;
mod inputs;
pub(crate) mod log;
mod mirrors;
mod output;
mod recovery;
mod results;
mod stage_runner;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use crate::bst::Bst;
use crate::bst::dialect::Action;
use crate::bst::messages::ElementState;
use crate::cancel::Cancel;
use crate::clock::Clock;
use crate::config::{ProjectConfig, PushMode, VariantConfig};
use crate::diagnosis::{Diagnosis, Kind};
use crate::environment::Environment;
use crate::names::{BranchName, CommitId, ElementName, Stage};
use crate::report::{Event, Outcome, StageReport};
use crate::runner::Runner;
use crate::secret::{Redact as _, Redactor};
use crate::state::Done;

use results::ElementResults;
use stage_runner::{Request, StageRun, StageRunner};

/// Where a pipeline works. All paths are absolute.
#[derive(Debug, Clone)]
pub struct Directories {
    /// The directory with `project.conf`, in a clean checkout.
    pub project: PathBuf,
    /// BuildStream's cache, which all pipelines share.
    pub cachedir: PathBuf,
    /// BuildStream's mirrors of upstreams, which no other `bst` may use at the same time.
    pub sourcedir: PathBuf,
    /// For what is needed only while the pipeline runs; bst puts a socket there, so the path should be short.
    pub temporary: PathBuf,
    /// The run's directory, which logs are named relative to.
    pub run: PathBuf,
    /// Where logs go, below `run`.
    pub logs: PathBuf,
}

/// The stages of one branch of one project.
pub struct Pipeline<'a> {
    /// The project.
    pub project: &'a ProjectConfig,
    /// The branch, for events.
    pub branch: &'a BranchName,
    /// The commit that is checked out.
    pub commit: &'a CommitId,
    /// The `bst` that does the work.
    pub bst: &'a Bst,
    /// What runs it.
    pub runner: &'a dyn Runner,
    /// What the children's environment is picked from.
    pub environment: &'a Environment,
    /// What masks secrets on their way into logs and reports.
    pub redactor: &'a Redactor,
    /// Where the time comes from.
    pub clock: &'a dyn Clock,
    /// Where it works.
    pub directories: Directories,
    /// Held while `bst` runs, where no two may run at once: with a quota, concurrent casds miscount the cache's size.
    pub one_at_a_time: Option<&'a Mutex<()>>,
    /// What may be skipped.
    pub memory: Memory<'a>,
}

/// What is known from the last success.
#[derive(Debug, Clone, Copy)]
pub struct Memory<'a> {
    /// What was fetched and pushed the last time, if anything was.
    pub done: Option<&'a Done>,
    /// How long that may stand for doing it again.
    pub refresh_after: Duration,
}

/// What a pipeline did.
#[derive(Debug, Clone)]
pub struct PipelineRun {
    /// Track, fetch and push, in this order; those that were not done say why.
    pub stages: Vec<StageReport>,
    /// What is now wholly fetched and pushed; none where something is missing.
    pub done: Option<Done>,
}

impl Pipeline<'_> {
    /// Runs the stages once, with the options of `variant` over the project's.
    ///
    /// A stage that fails is data in the result. What `events` gets names the pipeline's project and branch.
    pub fn run(&self, variant: Option<&VariantConfig>, cancel: &Cancel, events: &mut dyn FnMut(Event)) -> PipelineRun {
        let masked = &mut |event: Event| events(event.redacted(self.redactor));
        let run = self.unmasked(variant, cancel, masked);
        PipelineRun { stages: run.stages.redacted(self.redactor), ..run }
    }

    fn unmasked(&self, variant: Option<&VariantConfig>, cancel: &Cancel, events: &mut dyn FnMut(Event)) -> PipelineRun {
        let mut work = match StageRunner::new(self, variant, cancel, events) {
            Ok(work) => work,
            Err(failure) => return self.not_begun(variant, failure),
        };
        let track = self.track(&mut work);
        let blocked = blocked_by(&track, &work.results);
        let inputs = work.inputs(self.commit);
        let mut stages = vec![track];
        let mut done = None;
        if let Some(reason) = &blocked {
            stages.push(self.skipped(variant, Stage::Fetch, reason));
            stages.push(self.skipped(variant, Stage::Push, reason));
        } else if let Some(same) = self.unchanged(&stages[0], inputs.as_deref()) {
            let reason = format!("nothing changed since it was done at {}", same.at.strftime("%Y-%m-%d %H:%M:%S UTC"));
            stages.push(self.skipped(variant, Stage::Fetch, &reason));
            stages.push(self.skipped(variant, Stage::Push, &reason));
            done = Some(same.clone());
        } else {
            stages.extend(self.fetch_and_push(&mut work));
            if stages.iter().all(|stage| stage.outcome.is_good()) {
                done = inputs.map(|inputs| Done { inputs, at: self.clock.now() });
            }
        }
        PipelineRun { stages, done }
    }

    fn track(&self, work: &mut StageRunner<'_, '_>) -> StageReport {
        if !self.project.track {
            return self.skipped(work.variant, Stage::Track, "track = false");
        }
        let everything = Request::everything(work.elements.clone());
        let StageRun { mut reports, .. } = work.run(&[Stage::Track], Action::Track, everything);
        let mut report = reports.remove(0);
        match work.ref_changes() {
            Ok(changes) => report.changes = changes,
            Err(error) => report.notes.push(format!("the changed refs cannot be told: {error}")),
        }
        self.finish(report, work)
    }

    fn fetch_and_push(&self, work: &mut StageRunner<'_, '_>) -> Vec<StageReport> {
        let pushing = self.pushes();
        let (stages, action): (&[Stage], _) = match (&pushing, self.project.fetch) {
            (Ok(()), true) => (&[Stage::Fetch, Stage::Push], Action::Push),
            (Ok(()), false) => (&[Stage::Push], Action::Push),
            (Err(_), true) => (&[Stage::Fetch], Action::Fetch),
            (Err(reason), false) => {
                return vec![
                    self.skipped(work.variant, Stage::Fetch, "fetch = false"),
                    self.skipped(work.variant, Stage::Push, reason),
                ];
            }
        };
        let mut reports = self.sources(work, stages, action);
        if !self.project.fetch {
            reports.insert(0, self.skipped(work.variant, Stage::Fetch, "fetch = false"));
        }
        if let Err(reason) = pushing {
            reports.push(self.skipped(work.variant, Stage::Push, reason));
        }
        reports.into_iter().map(|report| self.finish(report, work)).collect()
    }

    /// Runs `bst source push`, which fetches first, or `bst source fetch`; then once more for what could not be named
    /// beforehand.
    fn sources(&self, work: &mut StageRunner<'_, '_>, stages: &[Stage], action: Action) -> Vec<StageReport> {
        let (elements, left_out) = work.resolved_elements();
        let everything = Request::everything(elements.clone());
        let mut run = work.run(stages, action, everything.clone());
        if action == Action::Push && self.project.fetch && !run.fetched && !run.interrupted() {
            // bst fetches nothing where it finds no cache to push to.
            let fetch = work.run(&[Stage::Fetch], Action::Fetch, everything);
            run.replace(Stage::Fetch, fetch);
        }
        let later = work.unnamed_junctions(&elements);
        if !later.is_empty() && !run.interrupted() && (run.fetched || action == Action::Fetch) {
            let junctions = work.run(stages, action, Request::named(later));
            run.add_cost(&junctions);
        }
        for report in &mut run.reports {
            work.results.enter(report, work.cancel.is_cancelled());
        }
        if let (Some(report), false) = (run.reports.first_mut(), left_out.is_empty()) {
            let names: Vec<_> = left_out.iter().map(ElementName::as_str).collect();
            report.notes.push(format!("left out, for they have no ref: {}", names.join(", ")));
        }
        run.reports
    }

    /// Whether sources are to be pushed; else why not.
    fn pushes(&self) -> Result<(), &'static str> {
        let takes = self.project.source_caches.iter().any(|cache| cache.push);
        match self.project.push {
            PushMode::Never => Err("push = false"),
            PushMode::Auto if !takes => Err("no source cache has push = true"),
            _ if !self.bst.dialect().can_push() => Err("this release of bst cannot push sources"),
            PushMode::Auto | PushMode::Always => Ok(()),
        }
    }

    /// What was done before, where it may stand for doing it now.
    fn unchanged(&self, track: &StageReport, inputs: Option<&str>) -> Option<&Done> {
        let done = self.memory.done.filter(|done| track.outcome.is_good() && Some(done.inputs.as_str()) == inputs)?;
        let age = self.clock.now().duration_since(done.at).unsigned_abs();
        (age < self.memory.refresh_after).then_some(done)
    }

    fn finish(&self, report: StageReport, work: &mut StageRunner<'_, '_>) -> StageReport {
        (work.events)(Event::StageFinished {
            project: self.project.name.clone(),
            branch: self.branch.clone(),
            report: report.clone(),
        });
        report
    }

    fn not_begun(&self, variant: Option<&VariantConfig>, failure: Diagnosis) -> PipelineRun {
        let mut track = self.skipped(variant, Stage::Track, "");
        track.skipped = None;
        track.outcome = Outcome::Failed;
        track.failures.push(failure);
        let reason = "tracking failed";
        let fetch = self.skipped(variant, Stage::Fetch, reason);
        let push = self.skipped(variant, Stage::Push, reason);
        PipelineRun { stages: vec![track, fetch, push], done: None }
    }

    fn skipped(&self, variant: Option<&VariantConfig>, stage: Stage, reason: &str) -> StageReport {
        let mut report = StageReport::new(stage, variant.map(|variant| variant.name.clone()), self.clock.now());
        report.outcome = Outcome::Skipped;
        report.skipped = Some(reason.to_owned());
        report
    }
}

/// Why nothing after tracking can work; none where it can.
fn blocked_by(track: &StageReport, results: &ElementResults) -> Option<String> {
    // What stopped bst before its first task stops a fetch as well, whichever element it names.
    let before_all = !results.has_loaded(Stage::Track);
    let whole = track.failures.iter().find(|failure| {
        (before_all || failure.element.is_none())
            && !matches!(failure.kind, Kind::TimeOut | Kind::Killed | Kind::CasdDied)
    });
    match track.outcome {
        Outcome::Interrupted => Some("the run was interrupted".to_owned()),
        // What stopped all of tracking stops a fetch in the same way, and would be told twice.
        Outcome::Failed => whole.map(|failure| format!("tracking failed: {}", first_line(&failure.message))),
        Outcome::Skipped | Outcome::Ok | Outcome::Partial => None,
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

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
