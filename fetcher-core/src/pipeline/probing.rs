//! Which elements are tracked: those of which it is not known what tracking would write.
//!
//! Upstreams are asked first. Where they are as they were when an element was tracked last, and nothing else that its
//! refs follow from has changed, the refs are known: what is not in the checkout is written there as bst would have.

mod dead_upstreams;
mod decision;
mod kinds;
mod memory;
mod overview;
mod ref_files;
mod ref_filter;
mod review;
mod source_probes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Pipeline;
use super::stage_runner::{StageRequest, StageRun, StageRunner};
use crate::bst::dialect::BstAction;
use crate::config::ProbeConfig;
use crate::names::{ElementName, Stage, digest};
use crate::report::{Outcome, StageReport};
use crate::state::ElementMemory;
use crate::upstream::{Prober, UpstreamAnswer, UpstreamQuestion};

pub(super) use dead_upstreams::note_dead;
use decision::TrackPlan;
pub use memory::RememberedRefs;
pub(crate) use memory::TrackingMemory;
pub(crate) use overview::overview;
pub use overview::{ElementProbing, ProbeWay, SourceProbing};

/// What is needed to leave out the tracking of what did not move.
#[derive(Clone, Copy)]
pub struct TrackProbing<'a> {
    pub(crate) prober: &'a Prober<'a>,
    /// Asks upstreams once more, whoever asked them before.
    pub(crate) ask_again: &'a (dyn Fn(&[UpstreamQuestion]) -> Vec<Arc<UpstreamAnswer>> + Sync),
    /// What is known of the project, for all of its branches.
    pub(crate) memory: &'a Mutex<TrackingMemory>,
    pub(crate) config: &'a ProbeConfig,
    /// Whether everything is tracked all the same, so that it is seen whether the probes are right.
    pub(crate) forced: bool,
}

impl std::fmt::Debug for TrackProbing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrackProbing")
            .field("config", self.config)
            .field("forced", &self.forced)
            .finish_non_exhaustive()
    }
}

impl TrackProbing<'_> {
    fn memory(&self) -> MutexGuard<'_, TrackingMemory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A digest of `[probe.kinds]`, with another one of which a probe that was wrong may be right.
    fn declared_kinds(&self) -> String {
        digest(format!("{:?}", self.config.kinds).as_bytes())
    }
}

impl Pipeline<'_> {
    /// Tracks what has to be, and writes what is known of the rest; gives the report, not yet told.
    /// `selected` are the elements that are meant, where not all are.
    pub(super) fn track_what_moved(
        &self,
        work: &mut StageRunner<'_, '_>,
        selected: Option<&BTreeSet<ElementName>>,
        memory: &mut ElementMemory,
    ) -> StageReport {
        let began = Instant::now();
        let plan = self.probing.as_ref().and_then(|probing| TrackPlan::new(work, probing, selected, memory));
        let (Some(probing), Some(mut plan)) = (&self.probing, plan) else {
            let everything = || StageRequest::everything(work.elements.clone());
            let request = selected.map_or_else(everything, |names| StageRequest::named(names.clone()));
            return track(work, request);
        };
        let request = plan.request(work);
        let is_asked = request.is_some();
        let mut report = match request {
            Some(request) => track(work, request),
            None => nothing_to_track(work),
        };
        plan.recall(work, &mut report);
        if report.outcome != Outcome::Interrupted {
            plan.review(work, probing, &mut report);
            self.write_known(work, probing, &mut plan, &mut report);
        }
        plan.remember_failures(work, memory);
        plan.enter(&mut report, !is_asked || work.results.has_loaded(Stage::Track));
        report.seconds = began.elapsed().as_secs_f64();
        report
    }

    /// Writes the refs that are known into the checkout; tracks those of whose files that is not known, after all.
    fn write_known(
        &self,
        work: &mut StageRunner<'_, '_>,
        probing: &TrackProbing<'_>,
        plan: &mut TrackPlan,
        report: &mut StageReport,
    ) {
        let project = &self.directories.project;
        let (unknown, error) = plan.write(project, &mut probing.memory(), self.context.clock.now());
        if let Some(error) = error {
            report.notes.push(format!("known refs cannot be written, so that they are tracked: {error}"));
        }
        if !unknown.is_empty() {
            let names: BTreeSet<ElementName> = plan.track_after_all(&unknown);
            let StageRun { reports, .. } = work.run(&[Stage::Track], BstAction::Track, StageRequest::named(names));
            for more in reports {
                let seconds = report.bst_seconds;
                *report = StageReport { notes: [report.notes.clone(), more.notes.clone()].concat(), ..more };
                report.bst_seconds += seconds;
            }
            plan.review(work, probing, report);
        }
        work.left_out = plan.left_out();
    }
}

fn track(work: &mut StageRunner<'_, '_>, request: StageRequest) -> StageReport {
    let StageRun { mut reports, .. } = work.run(&[Stage::Track], BstAction::Track, request);
    // What was named was loaded, if anything is known of it.
    work.results.note_loaded(Stage::Track);
    reports.remove(0)
}

/// The report of a stage for which no bst is started.
fn nothing_to_track(work: &mut StageRunner<'_, '_>) -> StageReport {
    work.announce(Stage::Track, 1);
    let variant = work.variant.map(|variant| variant.name.clone());
    let mut report = StageReport::new(Stage::Track, variant, work.context.clock.now());
    if work.context.cancel.is_cancelled() {
        report.outcome = Outcome::Interrupted;
    }
    report
}

/// Counts of words, for the report.
fn count<K: Ord + ToString>(words: impl Iterator<Item = K>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word.to_string()).or_default() += 1;
    }
    counts
}
