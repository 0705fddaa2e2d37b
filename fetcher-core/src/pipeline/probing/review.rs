//! What tracking found, compared with what was known: what is new is remembered, and a probe that was wrong is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::TrackProbing;
use super::decision::{PlannedElement, TrackPlan};
use crate::bst::project_files::{ProjectFiles, RefPlace};
use crate::bst::ref_slots::{RefSlots, ref_slots};
use crate::diagnosis::{Diagnosis, FailureKind};
use crate::names::{ElementName, Stage};
use crate::pipeline::stage_runner::StageRunner;
use crate::report::StageReport;
use crate::upstream::{UpstreamAnswer, UpstreamQuestion};

impl TrackPlan {
    /// Learns what was tracked, and looks whether it is what was known.
    pub(super) fn review(&mut self, work: &StageRunner<'_, '_>, probing: &TrackProbing<'_>, report: &mut StageReport) {
        let now = work.context.clock.now();
        let after = ProjectFiles::new(&work.pipeline.directories.project);
        let mut texts = BTreeMap::new();
        let mut found = Vec::new();
        for (element, planned) in self.elements.iter().filter(|(_, planned)| planned.track.is_some()) {
            if planned.upstreams.is_some() && work.results.is_good(Stage::Track, element) {
                found.extend(refs_at(&after, &mut texts, planned).map(|refs| (element, planned, refs)));
            }
        }
        let differ = |(_, planned, refs): &&(&ElementName, &PlannedElement, BTreeMap<RefPlace, String>)| {
            planned.known.as_ref().is_some_and(|known| known.refs != *refs) && !planned.tied
        };
        let suspects: Vec<_> = found.iter().filter(differ).map(|(element, planned, _)| (*element, *planned)).collect();
        let moved = moved_meanwhile(probing, &suspects);
        let missed: BTreeMap<_, _> = suspects.into_iter().filter(|(element, _)| !moved.contains(element)).collect();
        let mut memory = probing.memory();
        self.ref_files.learn(&after, &mut memory, now);
        for (element, planned, refs) in &found {
            // What an upstream was before it moved says nothing of what was found afterwards.
            if let Some(upstreams) = planned.upstreams.as_ref().filter(|_| !moved.contains(element)) {
                memory.learn(element, &planned.definition, upstreams, refs.clone(), now);
            }
        }
        let declared = probing.declared_kinds();
        let right: BTreeSet<_> = found
            .iter()
            .filter(|(_, planned, refs)| planned.known.as_ref().is_some_and(|known| known.refs == *refs))
            .flat_map(|(_, planned, _)| planned.probes.kinds.clone())
            .collect();
        let wrong: BTreeSet<_> = missed.values().flat_map(|planned| planned.probes.kinds.clone()).collect();
        if probing.forced {
            right.difference(&wrong).for_each(|kind| memory.trust(kind));
        }
        for (element, planned) in &missed {
            memory.distrust(&planned.probes.kinds, element, &declared, now);
            report.findings.push(miss(element, planned));
        }
        self.probes.missed.extend(missed.keys().map(|element| (*element).clone()));
        self.probes.proved += found.iter().filter(|(_, planned, _)| planned.known.is_some()).count() as u64;
    }
}

/// The refs in an element's places as they are now; none where one is not there.
fn refs_at(
    files: &ProjectFiles,
    texts: &mut BTreeMap<std::path::PathBuf, Option<RefSlots>>,
    planned: &PlannedElement,
) -> Option<BTreeMap<RefPlace, String>> {
    let mut refs = BTreeMap::new();
    for place in &planned.probes.places {
        let read = || ref_slots(&files.plain_text(&place.file).ok()??);
        let slots = texts.entry(place.file.clone()).or_insert_with(read).as_ref()?;
        refs.insert(place.clone(), slots.get(&place.path)?.value.clone());
    }
    Some(refs)
}

/// Those of the elements whose upstreams are no longer as they were before they were tracked.
fn moved_meanwhile(probing: &TrackProbing<'_>, suspects: &[(&ElementName, &PlannedElement)]) -> BTreeSet<ElementName> {
    let questions = suspects.iter().flat_map(|(_, planned)| &planned.probes.questions);
    let questions: BTreeSet<UpstreamQuestion> = questions.map(|probe| probe.question.clone()).collect();
    if questions.is_empty() {
        return BTreeSet::new();
    }
    let questions: Vec<_> = questions.into_iter().collect();
    let answers = (probing.ask_again)(&questions);
    let answers: BTreeMap<UpstreamQuestion, Arc<UpstreamAnswer>> = questions.into_iter().zip(answers).collect();
    let moved = suspects.iter().filter(|(_, planned)| planned.upstreams(&answers).ok() != planned.upstreams);
    moved.map(|(element, _)| (*element).clone()).collect()
}

/// What is told of a probe that was wrong.
fn miss(element: &ElementName, planned: &PlannedElement) -> Diagnosis {
    let kinds = planned.probes.kinds.iter().cloned().collect::<Vec<_>>().join(", ");
    let message = format!("tracking {element} found what the probes of its upstreams ({kinds}) had not told of");
    let mut diagnosis =
        Diagnosis::of_kind(FailureKind::ProbeMiss, message).with_stage(Stage::Track).with_element(element.clone());
    diagnosis.place.url = planned.probes.questions.first().map(|probe| probe.question.url().to_owned());
    diagnosis
}
