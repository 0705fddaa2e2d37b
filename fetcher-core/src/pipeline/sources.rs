//! Fetching and pushing, of what is left to do.

use std::collections::BTreeSet;

use super::listing::NotListed;
use super::probing::note_dead;
use super::remaining_work::{ElementInputs, FetchCandidates, RemainingWork};
use super::stage_runner::{StageRequest, StageRunner};
use super::verify::Verification;
use super::{FETCH_FALSE, Pipeline};
use crate::bst::dialect::BstAction;
use crate::bst::inventory::{Inventory, is_told_sources};
use crate::bst::messages::ElementState;
use crate::bst::project_files::ProjectFiles;
use crate::names::{ElementName, Refs, Stage};
use crate::report::{RefChange, StageReport};
use crate::state::ElementMemory;

/// How many elements are named in a note.
const MOST_NAMES: usize = 20;

impl Pipeline<'_> {
    /// The elements as they are after tracking; none where that is not known.
    pub(super) fn tracked_candidates(
        &self,
        work: &mut StageRunner<'_, '_>,
        changes: &[RefChange],
        memory: &mut ElementMemory,
    ) -> Option<FetchCandidates> {
        let of_junction = |change: &RefChange| {
            let mut elements = change.shared_with.iter().chain([&change.element]);
            elements.any(|element| work.junctions.contains(element))
        };
        // A junction that moved may have brought others than those that bst listed before it tracked.
        let moved = !work.tracked_junctions.is_empty() || changes.iter().any(of_junction);
        let untold = untold(self, memory);
        if moved || !untold.is_empty() || !self.project.wants(Refs::Committed) {
            let inventory = self.inventory_as_tracked(work, memory, &untold);
            return inventory.ok().map(|inventory| FetchCandidates::of(&inventory));
        }
        let (elements, missing) = work.listed_elements();
        (!elements.is_empty()).then_some(FetchCandidates { fetchable: elements, missing })
    }

    /// Asks bst for the elements as they are after tracking. `untold` are those whose refs shape the project beside
    /// junctions and what has no ref.
    pub(super) fn inventory_as_tracked(
        &self,
        work: &mut StageRunner<'_, '_>,
        memory: &mut ElementMemory,
        untold: &BTreeSet<ElementName>,
    ) -> Result<Inventory, NotListed> {
        let files = ProjectFiles::new(&self.directories.project);
        let without_ref = work.listed.iter().filter(|(_, state)| **state == ElementState::NoReference);
        let shaping = work.junctions.iter().chain(untold).chain(without_ref.map(|(element, _)| element));
        let shaping: Vec<_> = shaping.map(|name| files.source_inputs(name).unwrap_or_default()).collect();
        let inputs = work.listing_inputs(&shaping);
        work.inventory(Refs::Tracked, inputs, memory)
    }

    /// Fetches and pushes what is left to do of the candidates; all that the configuration asks for, where they are not
    /// known.
    pub(super) fn fetch_and_push(
        &self,
        work: &mut StageRunner<'_, '_>,
        memory: &mut ElementMemory,
        inputs: &ElementInputs,
        candidates: Option<&FetchCandidates>,
    ) -> Vec<StageReport> {
        let pushing = self.pushes();
        let (stages, action): (&[Stage], _) = match (&pushing, self.project.fetch) {
            (Ok(()), true) => (&[Stage::Fetch, Stage::Push], BstAction::Push),
            (Ok(()), false) => (&[Stage::Push], BstAction::Push),
            (Err(_), _) => (&[Stage::Fetch], BstAction::Fetch),
        };
        let (mut reports, verify) = match candidates {
            Some(candidates) => self.what_is_left(work, stages, action, memory, inputs, candidates),
            None => self.everything(work, stages, action, memory, inputs),
        };
        if !self.project.fetch {
            reports.insert(0, self.skipped(work.variant, work.refs, Stage::Fetch, FETCH_FALSE));
        }
        if let Err(reason) = pushing {
            reports.push(self.skipped(work.variant, work.refs, Stage::Push, reason));
        }
        reports.push(verify);
        reports.into_iter().map(|report| self.finish(report, work)).collect()
    }

    /// Does the stages for those of the candidates that are not done.
    fn what_is_left(
        &self,
        work: &mut StageRunner<'_, '_>,
        stages: &[Stage],
        action: BstAction,
        memory: &mut ElementMemory,
        inputs: &ElementInputs,
        candidates: &FetchCandidates,
    ) -> (Vec<StageReport>, StageReport) {
        let mut verification = Verification::new(work);
        let mut choice = RemainingWork::new(work, candidates, inputs, memory, verification.is_wanted());
        verification.renew(work, &mut choice);
        let dead = self.leave_dead(work, &mut choice, memory);
        let mut reports = if let Some(request) = choice.request(work, candidates) {
            self.sources(work, stages, action, &request, Some(&choice))
        } else if !dead.is_empty() {
            stages.iter().map(|stage| work.recalled(*stage)).collect()
        } else {
            let reason = choice.reason();
            stages.iter().map(|stage| self.skipped(work.variant, work.refs, *stage, &reason)).collect()
        };
        for report in &mut reports {
            choice.count_in(candidates, report);
        }
        note_dead(&mut reports[0], &dead);
        note_left_out(work.refs, &mut reports, &candidates.missing);
        self.remember_dead(work, &choice, dead, memory);
        let last = stages[stages.len() - 1];
        let fetched: BTreeSet<_> = choice.open().iter().chain(&work.junctions).cloned().collect();
        verification.name_keys(work, inputs, memory, fetched);
        work.remember(work.refs, last, Some(&choice), inputs, memory);
        let verify = verification.finish(work, Some(&choice), memory, &mut reports);
        work.share(work.refs, &choice, memory);
        work.count_coverage(last, &work.with_inputs(choice.looked_at(), inputs), &candidates.missing, memory);
        (reports, verify)
    }

    /// Does the stages for all that the configuration asks for.
    fn everything(
        &self,
        work: &mut StageRunner<'_, '_>,
        stages: &[Stage],
        action: BstAction,
        memory: &mut ElementMemory,
        inputs: &ElementInputs,
    ) -> (Vec<StageReport>, StageReport) {
        let mut verification = Verification::new(work);
        let (elements, missing) = work.resolved_elements();
        let mut reports = self.sources(work, stages, action, &StageRequest::everything(elements), None);
        note_left_out(work.refs, &mut reports, &missing);
        let last = stages[stages.len() - 1];
        let fetched: BTreeSet<_> = work.results.elements(Stage::Fetch).chain(&work.junctions).cloned().collect();
        verification.name_keys(work, inputs, memory, fetched);
        work.remember(work.refs, last, None, inputs, memory);
        let verify = verification.finish(work, None, memory, &mut reports);
        let asked = work.results.elements(last).chain(work.listed.keys()).filter(|element| !missing.contains(*element));
        let asked = asked.map(|element| (element.clone(), inputs.of(element))).collect();
        work.count_coverage(last, &work.with_inputs(&asked, inputs), &missing, memory);
        (reports, verify)
    }

    /// Runs `bst source push`, which fetches first, or `bst source fetch`; then once more for what could not be named
    /// beforehand.
    pub(super) fn sources(
        &self,
        work: &mut StageRunner<'_, '_>,
        stages: &[Stage],
        action: BstAction,
        request: &StageRequest,
        choice: Option<&RemainingWork>,
    ) -> Vec<StageReport> {
        let mut run = work.run(stages, action, request.clone());
        if action == BstAction::Push && self.project.fetch && !run.fetched && !run.interrupted() {
            // bst fetches nothing where it finds no cache to push to.
            let fetch = work.run(&[Stage::Fetch], BstAction::Fetch, request.clone());
            run.replace(Stage::Fetch, fetch);
        }
        let mut later = work.unnamed_junctions(&request.elements);
        later.retain(|junction| !choice.is_some_and(|choice| choice.leaves_out(junction)));
        if !later.is_empty() && !run.interrupted() && (run.fetched || action == BstAction::Fetch) {
            let junctions = work.run(stages, action, StageRequest::named(later));
            run.add_cost(&junctions);
        }
        for report in &mut run.reports {
            work.results.enter(report, work.context.cancel.is_cancelled());
        }
        run.reports
    }
}

/// What bst could not tell the sources of, for they have no committed ref.
pub(super) fn untold(pipeline: &Pipeline<'_>, memory: &ElementMemory) -> BTreeSet<ElementName> {
    let committed = memory.committed.inventory.iter().flat_map(|known| &known.inventory.elements);
    let untold = committed.filter(|known| known.sources.is_none() && is_told_sources(&pipeline.bst.version));
    untold.map(|known| known.name.clone()).collect()
}

/// Says in the first report which elements were left out for want of a ref.
pub(super) fn note_left_out(refs: Refs, reports: &mut [StageReport], elements: &BTreeSet<ElementName>) {
    let (Some(report), false) = (reports.first_mut(), elements.is_empty()) else { return };
    let mut names: Vec<_> = elements.iter().take(MOST_NAMES).map(ElementName::as_str).collect();
    let more = elements.len().saturating_sub(MOST_NAMES);
    let more = (more > 0).then(|| format!("and {more} more"));
    names.extend(more.as_deref());
    let why = match refs {
        Refs::Committed => "left to tracking, for they have no committed ref",
        Refs::Tracked => "left out, for they have no ref",
    };
    report.notes.push(format!("{why}: {}", names.join(", ")));
}
