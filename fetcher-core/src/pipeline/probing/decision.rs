//! What is tracked, what is known, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::dead_upstreams::note_dead;
use super::kinds::NotProbed;
use super::memory::{TrackedRefs, TrackingMemory};
use super::ref_files::{self, RefFiles};
use super::source_probes::{ElementProbes, ProbePlanner};
use super::{TrackProbing, count};
use crate::bst::dialect::Dialect;
use crate::bst::inventory::{InventoryElement, InventorySource, is_told_sources};
use crate::bst::project_files::ProjectFiles;
use crate::names::{ElementName, Stage, digest};
use crate::pipeline::stage_runner::{StageRequest, StageRunner};
use crate::report::{Activity, Outcome, StageReport, TrackProbes};
use crate::state::{ElementMemory, FailedSources};
use crate::upstream::{ProbeDoubt, UpstreamAnswer, UpstreamQuestion, UpstreamUse};

/// Why an element is tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TrackReason {
    /// Its upstreams are not as they were when it was tracked last, or it never was.
    Moved,
    /// It is not probed.
    NotProbed(NotProbed),
    /// An upstream's answer says nothing.
    Doubt(ProbeDoubt),
    /// Probes of one of its kinds were wrong.
    Distrusted,
    /// It was left out for long enough.
    Due,
    /// Everything is to be done.
    Forced,
    /// It is not known what bst makes of a file.
    UnknownForm,
    /// An element is tracked that shares a ref with it.
    Shared,
}

/// An element that could be tracked, and what is known of it.
pub(super) struct PlannedElement {
    pub(super) probes: ElementProbes,
    /// A digest of all that its refs follow from beside its upstreams; empty where it is not probed.
    pub(super) definition: String,
    /// A digest of its upstreams' states; none where they are not known.
    pub(super) upstreams: Option<String>,
    /// Whether what is found is chance.
    pub(super) tied: bool,
    /// What tracking finds.
    pub(super) known: Option<TrackedRefs>,
    /// Why it is tracked; none where it is left out.
    pub(super) track: Option<TrackReason>,
    /// How tracking it would fail again, where it is left out for that.
    pub(super) dead: Option<FailedSources>,
}

/// What is to be done about every element that could be tracked.
pub(super) struct TrackPlan {
    pub(super) files: ProjectFiles,
    pub(super) ref_files: RefFiles,
    pub(super) elements: BTreeMap<ElementName, PlannedElement>,
    pub(super) probes: TrackProbes,
    /// Whether not all elements are meant.
    is_selected: bool,
    /// What upstreams said.
    answers: BTreeMap<UpstreamQuestion, Arc<UpstreamAnswer>>,
}

impl TrackPlan {
    /// Asks what there is upstream and decides; none where everything has to be tracked whatever upstreams say.
    pub(super) fn new(
        work: &mut StageRunner<'_, '_>,
        probing: &TrackProbing<'_>,
        selected: Option<&BTreeSet<ElementName>>,
        memory: &mut ElementMemory,
    ) -> Option<Self> {
        let (project, bst) = (work.pipeline.project, work.pipeline.bst);
        let is_known = bst.dialect() == Dialect::Two && is_told_sources(&bst.version);
        // With `track: {source: mirrors}` it is not the upstream that is tracked.
        if !is_known || project.buildstream.config.contains_key("track") {
            return None;
        }
        // What went wrong is told by the tracking that follows.
        let inventory = work.inventory_to_track(memory).ok()?;
        let files = ProjectFiles::new(&work.pipeline.directories.project);
        let planner = ProbePlanner::new(&files, &probing.config.kinds);
        let inputs = (work.tracking_inputs(), work.tree());
        let tracked = memory.tracked.inventory.iter().flat_map(|known| &known.inventory.elements);
        let tracked: BTreeMap<_, _> = tracked.map(|known| (&known.name, known.sources.as_deref())).collect();
        let listed = inventory.elements.iter().map(|known| &known.name).zip(&inventory.elements);
        let listed = listed.filter(|(name, _)| project.cross_junctions || name.junctions().next().is_none());
        let listed = listed.filter(|(name, _)| selected.is_none_or(|selected| selected.contains(*name)));
        let of = |(name, known): (&ElementName, &InventoryElement)| {
            let sources = (known.sources.as_deref(), tracked.get(name).copied().flatten());
            (name.clone(), element(&planner, &files, (&inputs.0, &inputs.1), name, sources))
        };
        let elements = listed.map(of).collect();
        drop(planner);
        let mut plan = Self {
            files,
            ref_files: RefFiles::new(),
            elements,
            probes: TrackProbes::default(),
            is_selected: selected.is_some(),
            answers: BTreeMap::new(),
        };
        plan.ask(probing, work);
        plan.leave_dead(work, probing, memory);
        plan.decide(probing, work.context.clock.now());
        Some(plan)
    }

    /// Asks upstreams for all that is to be known.
    fn ask(&mut self, probing: &TrackProbing<'_>, work: &mut StageRunner<'_, '_>) {
        let began = Instant::now();
        let questions = self.elements.values().flat_map(|planned| &planned.probes.questions);
        let mut questions: BTreeSet<UpstreamQuestion> = questions.map(|probe| probe.question.clone()).collect();
        for used in self.uses(work) {
            // The same requests answer these.
            questions.extend(used.tag_questions());
            probing.prober.note_use(used);
        }
        let questions: Vec<_> = questions.into_iter().collect();
        if !questions.is_empty() {
            work.tell(Activity::AskingUpstreams);
        }
        let answers = probing.prober.ask(&questions);
        self.probes.asked = questions.len() as u64;
        self.probes.answered = answers.iter().filter(|answer| answer.state.is_some()).count() as u64;
        self.probes.seconds = began.elapsed().as_secs_f64();
        let answers: BTreeMap<_, _> = questions.into_iter().zip(answers).collect();
        for planned in self.elements.values_mut() {
            planned.take_answers(&answers);
        }
        self.answers = answers;
    }

    /// Leaves out what would fail again.
    fn leave_dead(&mut self, work: &StageRunner<'_, '_>, probing: &TrackProbing<'_>, memory: &ElementMemory) {
        let now = work.context.clock.now();
        let known =
            memory.untracked.iter().filter(|(element, _)| !probing.forced && !work.junctions.contains(*element));
        for (element, failed) in known {
            let Some(planned) = self.elements.get_mut(element) else { continue };
            if matches!(planned.track, Some(TrackReason::Doubt(_)))
                && planned.probes.fails_again(failed, &planned.definition, &self.answers, now)
            {
                planned.track = None;
                planned.dead = Some(failed.clone());
            }
        }
    }

    /// Enters the failures of what was left out because it would fail again.
    pub(super) fn recall(&self, work: &mut StageRunner<'_, '_>, report: &mut StageReport) {
        let dead = self.elements.iter().filter(|(_, planned)| planned.track.is_none());
        let dead = dead.filter_map(|(element, planned)| Some((element.clone(), planned.dead.clone()?)));
        let dead: BTreeMap<_, _> = dead.collect();
        if dead.is_empty() || report.outcome == Outcome::Interrupted {
            return;
        }
        for (element, known) in &dead {
            work.results.recall(Stage::Track, element, known.failure.clone());
        }
        work.results.note_loaded(Stage::Track);
        work.results.enter(report, work.context.cancel.is_cancelled());
        note_dead(report, &dead);
    }

    /// Remembers what would fail again.
    pub(super) fn remember_failures(&self, work: &StageRunner<'_, '_>, memory: &mut ElementMemory) {
        if !self.is_selected {
            memory.untracked.retain(|element, _| self.elements.contains_key(element));
        }
        for (element, planned) in &self.elements {
            let inputs = planned.definition.clone();
            let failed = match planned.dead.as_ref().filter(|_| planned.track.is_none()) {
                Some(known) => Some(known.clone()),
                None => work.pipeline.failed(work, Stage::Track, element, inputs, &planned.probes, &self.answers),
            };
            match failed {
                Some(failed) => drop(memory.untracked.insert(element.clone(), failed)),
                None => drop(memory.untracked.remove(element)),
            }
        }
    }

    /// Who asks what, and where that stands.
    fn uses(&self, work: &StageRunner<'_, '_>) -> Vec<UpstreamUse> {
        let (project, branch) = (&work.pipeline.project.name, work.pipeline.branch);
        let asking = self.elements.iter().filter(|(_, planned)| !planned.probes.questions.is_empty());
        let used = |(element, planned): (&ElementName, &PlannedElement)| {
            let file = planned.probes.places.first().map(|place| place.file.as_path());
            // A file that cannot be read has no lines to show.
            let text = file.and_then(|file| self.files.plain_text(file).ok().flatten()).unwrap_or_default();
            let questions = planned.probes.questions.iter().map(|probe| probe.question.clone()).collect();
            UpstreamUse::new((project, branch, element), file, &text, questions)
        };
        asking.map(used).collect()
    }

    /// Decides about every element.
    fn decide(&mut self, probing: &TrackProbing<'_>, now: Timestamp) {
        let mut memory = probing.memory();
        for (element, planned) in &mut self.elements {
            planned.decide(element, &mut memory, probing, now);
        }
        // Where a file cannot be written, what has a ref in it is tracked; and where that shares a ref with others, these.
        while self.track_unknown_forms(&mut memory, now) || self.track_shared() {}
        for planned in self.elements.values().filter(|planned| planned.track.is_some()) {
            for place in &planned.probes.places {
                self.ref_files.read(&self.files, &place.file);
            }
        }
    }

    /// Tracks what is known but cannot be written; says whether there was something.
    fn track_unknown_forms(&mut self, memory: &mut TrackingMemory, now: Timestamp) -> bool {
        let mut unknown = BTreeSet::new();
        for (file, wanted) in self.wanted() {
            if self.ref_files.rewritten(&self.files, &file, &wanted, memory, now).is_none() {
                unknown.insert(file);
            }
        }
        !self.track_in(&unknown, TrackReason::UnknownForm).is_empty()
    }

    /// Tracks what shares a ref with something that is tracked; says whether there was something.
    fn track_shared(&mut self) -> bool {
        let tracked = self.elements.values().filter(|planned| planned.track.is_some());
        let places: BTreeSet<_> = tracked.flat_map(|planned| planned.probes.places.clone()).collect();
        let mut found = false;
        for planned in self.elements.values_mut().filter(|planned| planned.track.is_none()) {
            if !planned.probes.places.is_disjoint(&places) {
                planned.track = Some(TrackReason::Shared);
                found = true;
            }
        }
        found
    }

    /// Tracks all that has a ref in one of these files.
    fn track_in(&mut self, files: &BTreeSet<PathBuf>, reason: TrackReason) -> BTreeSet<ElementName> {
        let mut names = BTreeSet::new();
        for (element, planned) in self.elements.iter_mut().filter(|(_, planned)| planned.track.is_none()) {
            if planned.probes.places.iter().any(|place| files.contains(&place.file)) {
                planned.track = Some(reason);
                names.insert(element.clone());
            }
        }
        names
    }

    /// The refs that are known and have to be in the checkout, by file and place.
    fn wanted(&self) -> BTreeMap<PathBuf, BTreeMap<String, String>> {
        let mut wanted: BTreeMap<PathBuf, BTreeMap<String, String>> = BTreeMap::new();
        for planned in self.elements.values().filter(|planned| planned.track.is_none()) {
            for (place, value) in planned.known.iter().flat_map(|known| &known.refs) {
                wanted.entry(place.file.clone()).or_default().insert(place.path.clone(), value.clone());
            }
        }
        wanted
    }

    /// What to ask bst for; none where nothing has to be tracked.
    pub(super) fn request(&self, work: &StageRunner<'_, '_>) -> Option<StageRequest> {
        let names = self.tracked();
        match (names.is_empty(), self.spares()) {
            (true, _) => None,
            (false, false) if !self.is_selected => Some(StageRequest::everything(work.elements.clone())),
            (false, _) => Some(StageRequest::named(names)),
        }
    }

    /// Whether something is left out that bst would do something for.
    fn spares(&self) -> bool {
        self.elements.values().any(|planned| planned.track.is_none() && !planned.probes.places.is_empty())
    }

    fn tracked(&self) -> BTreeSet<ElementName> {
        let tracked = self.elements.iter().filter(|(_, planned)| planned.track.is_some());
        tracked.map(|(element, _)| element.clone()).collect()
    }

    /// The elements whose refs are known and in the checkout.
    pub(super) fn left_out(&self) -> BTreeSet<ElementName> {
        let left_out = self.elements.iter().filter(|(_, planned)| planned.track.is_none() && planned.dead.is_none());
        left_out.map(|(element, _)| element.clone()).collect()
    }

    /// Writes the refs that are known; gives the files of which it is not known how.
    pub(super) fn write(
        &mut self,
        project: &Path,
        memory: &mut TrackingMemory,
        now: Timestamp,
    ) -> (BTreeSet<PathBuf>, Option<io::Error>) {
        let wanted = self.wanted();
        let mut unknown = BTreeSet::new();
        for (file, refs) in &wanted {
            match ref_files::write(project, &self.files, file, refs, memory, now) {
                Ok(Some(changed)) => self.probes.written += u64::from(changed),
                Ok(None) => drop(unknown.insert(file.clone())),
                Err(error) => {
                    unknown.insert(file.clone());
                    return (unknown, Some(error));
                }
            }
        }
        (unknown, None)
    }

    /// Has all tracked that has a ref in one of these files.
    pub(super) fn track_after_all(&mut self, files: &BTreeSet<PathBuf>) -> BTreeSet<ElementName> {
        self.track_in(files, TrackReason::UnknownForm)
    }

    /// Enters into the report what was asked, and what was left out. `loaded`: whether bst got as far as that, where it
    /// was asked.
    pub(super) fn enter(mut self, report: &mut StageReport, loaded: bool) {
        let everything = !self.tracked().is_empty() && !self.spares();
        let left_out = if everything { 0 } else { self.left_out().len() as u64 };
        self.probes.left_out = left_out;
        self.probes.tracked = count(self.elements.values().filter_map(|planned| planned.track));
        report.elements.total += left_out;
        report.elements.skipped += left_out;
        if report.outcome == Outcome::Failed && left_out > 0 && loaded {
            report.outcome = Outcome::Partial;
        }
        report.notes.extend(self.probes.note());
        report.probes = Some(self.probes);
    }
}

/// What an element and its refs follow from. `committed` are its sources as bst lists them for the tip, `tracked` as it did
/// when it was tracked last, which is all there is where it has no committed ref.
fn element(
    planner: &ProbePlanner<'_>,
    files: &ProjectFiles,
    (tools, tree): (&str, &str),
    name: &ElementName,
    (committed, tracked): (Option<&[InventorySource]>, Option<&[InventorySource]>),
) -> PlannedElement {
    let probes = match planner.of(name, committed.or(tracked)) {
        // It may have changed since.
        Err(NotProbed::Mismatch) if committed.is_none() => planner.of(name, None),
        probes => probes,
    };
    let not_probed = |reason| PlannedElement::tracked(TrackReason::NotProbed(reason));
    let probes = match probes {
        Ok(probes) => probes,
        Err(reason) => return not_probed(reason),
    };
    let Some(definition) = files.definition_digest(name, &probes.places) else { return not_probed(NotProbed::Unclear) };
    // What is derived from sources of the checkout itself changes with any of its files.
    let tree = if probes.derives { tree } else { "" };
    let parts = [tools, &definition, tree].map(|part| digest(part.as_bytes()));
    let track = (!probes.confirmed).then_some(TrackReason::NotProbed(NotProbed::Untold));
    PlannedElement { track, ..PlannedElement::probed(probes, digest(parts.concat().as_bytes())) }
}

impl PlannedElement {
    fn tracked(reason: TrackReason) -> Self {
        Self { track: Some(reason), ..Self::probed(ElementProbes::default(), String::new()) }
    }

    fn probed(probes: ElementProbes, definition: String) -> Self {
        Self { probes, definition, upstreams: None, tied: false, known: None, track: None, dead: None }
    }

    fn take_answers(&mut self, answers: &BTreeMap<UpstreamQuestion, Arc<UpstreamAnswer>>) {
        if self.definition.is_empty() {
            return;
        }
        match self.upstreams(answers) {
            Ok(upstreams) => self.upstreams = Some(upstreams),
            Err(doubt) => drop(self.track.get_or_insert(TrackReason::Doubt(doubt))),
        }
        let states = self.probes.questions.iter().filter_map(|probe| {
            let state = answers.get(&probe.question)?.state.as_ref()?;
            Some(probe.is_tied(state))
        });
        self.tied = states.into_iter().any(|tied| tied);
    }

    /// A digest of what upstreams say.
    pub(super) fn upstreams(
        &self,
        answers: &BTreeMap<UpstreamQuestion, Arc<UpstreamAnswer>>,
    ) -> Result<String, ProbeDoubt> {
        let mut parts = String::new();
        for probe in &self.probes.questions {
            let answer = answers.get(&probe.question).ok_or(ProbeDoubt::Failed)?;
            let state = answer.state.as_ref().ok_or(answer.doubt.unwrap_or(ProbeDoubt::Failed))?;
            let question = serde_json::to_string(probe).map_err(|_| ProbeDoubt::Failed)?;
            parts.push_str(&digest(question.as_bytes()));
            parts.push_str(&probe.digest(state).ok_or(ProbeDoubt::NotFound)?);
        }
        Ok(digest(parts.as_bytes()))
    }

    fn decide(
        &mut self,
        element: &ElementName,
        memory: &mut TrackingMemory,
        probing: &TrackProbing<'_>,
        now: Timestamp,
    ) {
        let Some(upstreams) = self.upstreams.as_ref().filter(|_| !self.probes.places.is_empty()) else {
            // Without a ref that tracking changes, there is nothing to know.
            if probing.forced {
                self.track.get_or_insert(TrackReason::Forced);
            }
            return;
        };
        if self.track.is_some() {
            return;
        }
        self.known = memory.known(&self.definition, upstreams, now);
        let declared = probing.declared_kinds();
        let trusted = self.probes.kinds.iter().all(|kind| memory.trusts(kind, &declared));
        self.track = match &self.known {
            _ if probing.forced => Some(TrackReason::Forced),
            None => Some(TrackReason::Moved),
            Some(_) if !trusted => Some(TrackReason::Distrusted),
            Some(known) => {
                let due = is_due(element, known.tracked, now, probing.config.full_track_after);
                due.then_some(TrackReason::Due)
            }
        };
    }
}

/// Whether an element that was really tracked then is to be so again: each once in `after`, at a time of its own, so that
/// every run takes a share of them.
fn is_due(element: &ElementName, tracked: Timestamp, now: Timestamp, after: Duration) -> bool {
    let after = i64::try_from(after.as_secs()).unwrap_or(i64::MAX).max(1);
    let phase = digest(element.as_str().as_bytes());
    let phase = i64::from_str_radix(&phase[..12], 16).unwrap_or_default() % after;
    let turn = |at: Timestamp| (at.as_second() - phase).div_euclid(after);
    turn(now) > turn(tracked)
}

impl fmt::Display for TrackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved => f.write_str("moved, or new"),
            Self::NotProbed(reason) => f.write_str(reason.as_str()),
            Self::Doubt(doubt) => write!(f, "{doubt}"),
            Self::Distrusted => f.write_str("a probe was wrong"),
            Self::Due => f.write_str("its turn, to see that the probes are right"),
            Self::Forced => f.write_str("everything is forced"),
            Self::UnknownForm => f.write_str("it is not known how bst writes the file"),
            Self::Shared => f.write_str("it shares a ref with one that is tracked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_its_turn_once_and_not_all_at_once() {
        let after = Duration::from_secs(1_000);
        let start: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let at = |seconds: i64| Timestamp::from_second(start.as_second() + seconds).unwrap();
        let names: Vec<ElementName> = (0..200).map(|n| format!("e{n}.bst").parse().unwrap()).collect();
        let due = |seconds| names.iter().filter(|name| is_due(name, start, at(seconds), after)).count();
        assert_eq!((due(0), due(1_000)), (0, 200));
        assert!((70..130).contains(&due(500)), "{}", due(500));
        for name in &names {
            let first = (1..=1_000).find(|seconds| is_due(name, start, at(*seconds), after)).unwrap();
            assert!(!is_due(name, at(first), at(first + 999), after));
        }
    }
}
