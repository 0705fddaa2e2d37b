//! What failed because of its upstreams, and would fail again: as long as they answer as they did then it is told again,
//! and not tried again.
//!
//! A large project always has a dead upstream somewhere. Trying it in every run would start a bst where nothing moved.
//! Answers say nothing of a project's mirrors, and of what others put into a source cache: so all of it is tried once a
//! day.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::TrackProbing;
use super::source_probes::{ElementProbes, ProbePlanner};
use crate::diagnosis::FailureKind;
use crate::names::{ElementName, Stage, digest};
use crate::pipeline::Pipeline;
use crate::pipeline::remaining_work::RemainingWork;
use crate::pipeline::stage_runner::{StageRunner, refs_of};
use crate::report::StageReport;
use crate::secret::Redact as _;
use crate::state::{ElementMemory, FailedSources};
use crate::upstream::{ProbeDoubt, UpstreamAnswer, UpstreamQuestion};

/// How long what failed is believed to fail again.
const TRY_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How many elements a note names.
const NAMED: usize = 20;

/// The answers to questions.
type AnsweredQuestions = BTreeMap<UpstreamQuestion, Arc<UpstreamAnswer>>;

impl ElementProbes {
    /// A digest of what upstreams answer, failures included; none where one was not asked.
    fn standing(&self, answers: &AnsweredQuestions) -> Option<String> {
        let mut parts = Vec::new();
        for probe in &self.questions {
            let answer = answers.get(&probe.question)?;
            parts.push(serde_json::to_string(probe).ok()?);
            parts.push(match &answer.state {
                Some(state) => probe.digest(state).unwrap_or_default(),
                None => format!("{:?} {:?}", answer.doubt?, answer.failure.as_ref().map(|failure| failure.kind)),
            });
        }
        let parts: Vec<_> = parts.iter().map(|part| digest(part.as_bytes())).collect();
        (!parts.is_empty()).then(|| digest(parts.concat().as_bytes()))
    }

    /// The standing of upstreams that make a failure of this kind last; none where it may be over any time.
    pub(super) fn lasting(&self, kind: FailureKind, answers: &AnsweredQuestions) -> Option<String> {
        let of = || self.questions.iter().filter_map(|probe| answers.get(&probe.question));
        let is_silent = |answer: &Arc<UpstreamAnswer>| {
            matches!(answer.doubt, Some(ProbeDoubt::NotFound | ProbeDoubt::Denied | ProbeDoubt::Failed))
        };
        let lasts = match kind {
            // What is there is known, and is not what is wanted.
            FailureKind::Checksum | FailureKind::RefMissing => of().all(|answer| answer.state.is_some()),
            // The upstream gives this program no better answer than it gave bst.
            FailureKind::NotFound
            | FailureKind::Dns
            | FailureKind::Network
            | FailureKind::Tls
            | FailureKind::ServerError => of().any(is_silent),
            _ => false,
        };
        lasts.then(|| self.standing(answers)).flatten()
    }

    /// Whether what failed with these inputs would fail again.
    pub(super) fn fails_again(
        &self,
        known: &FailedSources,
        inputs: &str,
        answers: &AnsweredQuestions,
        now: Timestamp,
    ) -> bool {
        known.inputs == inputs
            && now.duration_since(known.at).unsigned_abs() < TRY_AFTER
            && self.lasting(known.failure.kind, answers).as_ref() == Some(&known.upstreams)
    }
}

/// Asks all questions of some elements.
fn ask<'p>(probing: &TrackProbing<'_>, probes: impl Iterator<Item = &'p ElementProbes>) -> AnsweredQuestions {
    let questions: BTreeSet<_> =
        probes.flat_map(|probes| &probes.questions).map(|probe| probe.question.clone()).collect();
    let questions: Vec<_> = questions.into_iter().collect();
    let answers = probing.prober.ask(&questions);
    questions.into_iter().zip(answers).collect()
}

impl Pipeline<'_> {
    /// Takes what would fail again out of what is left to fetch, and enters its failures.
    pub(in crate::pipeline) fn leave_dead(
        &self,
        work: &mut StageRunner<'_, '_>,
        choice: &mut RemainingWork,
        memory: &ElementMemory,
    ) -> BTreeMap<ElementName, FailedSources> {
        let known = &memory.of(work.refs).failed;
        let mut dead = BTreeMap::new();
        let Some(probing) = self.probing.as_ref().filter(|probing| !probing.forced && !known.is_empty()) else {
            return dead;
        };
        let open = choice.open().iter().filter(|element| known.contains_key(*element));
        let probes = fetch_probes(work, probing, memory, open);
        let answers = ask(probing, probes.values());
        for (element, probes) in &probes {
            let (Some(inputs), failed) = (choice.inputs(element), &known[element]) else { continue };
            if probes.fails_again(failed, inputs, &answers, self.context.clock.now()) {
                work.results.recall(Stage::Fetch, element, failed.failure.clone());
                dead.insert(element.clone(), failed.clone());
            }
        }
        choice.leave(dead.keys());
        dead
    }

    /// Remembers what is dead, and what failed now because of what its upstreams are.
    pub(in crate::pipeline) fn remember_dead(
        &self,
        work: &StageRunner<'_, '_>,
        choice: &RemainingWork,
        mut dead: BTreeMap<ElementName, FailedSources>,
        memory: &mut ElementMemory,
    ) {
        if let Some(probing) = &self.probing {
            let failed = choice.open().iter().filter(|element| work.results.is_failed(Stage::Fetch, element));
            let probes = fetch_probes(work, probing, memory, failed);
            let answers = ask(probing, probes.values());
            for (element, probes) in probes {
                let inputs = choice.inputs(&element).map(str::to_owned);
                let known =
                    inputs.and_then(|inputs| self.failed(work, Stage::Fetch, &element, inputs, &probes, &answers));
                dead.extend(known.map(|known| (element, known)));
            }
        }
        memory.of_mut(work.refs).failed = dead;
    }

    /// What is to be remembered of an element that failed in a stage; none where it may work any time.
    pub(super) fn failed(
        &self,
        work: &StageRunner<'_, '_>,
        stage: Stage,
        element: &ElementName,
        inputs: String,
        probes: &ElementProbes,
        answers: &AnsweredQuestions,
    ) -> Option<FailedSources> {
        let failure = work.results.failure(stage, element).filter(|_| !work.junctions.contains(element))?;
        let upstreams = probes.lasting(failure.kind, answers)?;
        let failure = failure.clone().redacted(self.context.redactor);
        Some(FailedSources { inputs, upstreams, at: self.context.clock.now(), failure })
    }
}

impl StageRunner<'_, '_> {
    /// The report of a stage of which everything is known already, so that no bst is started.
    pub(in crate::pipeline) fn recalled(&mut self, stage: Stage) -> StageReport {
        self.announce(stage, 1);
        let variant = self.variant.map(|variant| variant.name.clone());
        let mut report = StageReport::new(stage, variant, self.context.clock.now());
        report.refs = refs_of(stage, self.refs);
        self.results.enter(&mut report, self.context.cancel.is_cancelled());
        report
    }
}

/// How the upstreams of elements that are to be fetched are asked; of those alone of which each source that is not local
/// can be.
fn fetch_probes<'e>(
    work: &StageRunner<'_, '_>,
    probing: &TrackProbing<'_>,
    memory: &ElementMemory,
    elements: impl Iterator<Item = &'e ElementName>,
) -> BTreeMap<ElementName, ElementProbes> {
    let mut elements = elements.peekable();
    if elements.peek().is_none() {
        return BTreeMap::new();
    }
    let files = crate::bst::project_files::ProjectFiles::new(&work.pipeline.directories.project);
    let planner = ProbePlanner::new(&files, &probing.config.kinds);
    let inventories = [memory.of(work.refs), &memory.committed, &memory.tracked].map(|known| known.inventory.as_ref());
    let of = |element: &ElementName| {
        let listed =
            inventories.iter().flatten().find_map(|known| known.inventory.element(element)?.sources.as_ref())?;
        let remote = listed.iter().filter(|source| source.medium.as_deref() != Some("local")).count();
        let probes = planner.of(element, Some(listed)).ok()?;
        (probes.questions.len() == remote && !probes.derives).then(|| (element.clone(), probes))
    };
    elements.filter_map(of).collect()
}

/// Says in a report which elements were not tried again.
pub(in crate::pipeline) fn note_dead(report: &mut StageReport, dead: &BTreeMap<ElementName, FailedSources>) {
    let Some(since) = dead.values().map(|known| known.at).min() else { return };
    let mut names: Vec<_> = dead.keys().take(NAMED).map(|element| element.as_str().to_owned()).collect();
    if dead.len() > NAMED {
        names.push(format!("and {} more", dead.len() - NAMED));
    }
    let since = since.strftime("%Y-%m-%d %H:%M:%S UTC");
    report.notes.push(format!("not tried again, for upstreams answer as at {since}: {}", names.join(", ")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::{Actor, Diagnosis, Retry};
    use crate::pipeline::probing::source_probes::ProbeQuestion;
    use crate::upstream::UpstreamState;

    fn diagnosis(kind: FailureKind) -> Diagnosis {
        Diagnosis::new(kind, String::new(), Retry::No, Actor::Upstream, String::new())
    }

    fn answers(
        question: &UpstreamQuestion,
        state: Option<UpstreamState>,
        doubt: Option<ProbeDoubt>,
    ) -> AnsweredQuestions {
        let failure = doubt.map(|_| diagnosis(FailureKind::NotFound));
        let answer = UpstreamAnswer { state, doubt, failure, signs: crate::upstream::UpstreamSigns::default() };
        BTreeMap::from([(question.clone(), Arc::new(answer))])
    }

    #[test]
    fn what_failed_fails_again_while_its_upstreams_answer_the_same_and_for_a_day() {
        let question = UpstreamQuestion::HttpFile { url: "https://up.example/a.tar".to_owned() };
        let probe = ProbeQuestion { question: question.clone(), filter: None };
        let probes = ElementProbes { questions: vec![probe], ..ElementProbes::default() };
        let gone = answers(&question, None, Some(ProbeDoubt::NotFound));
        let denied = answers(&question, None, Some(ProbeDoubt::Denied));
        let vague = answers(&question, None, Some(ProbeDoubt::WeakValidator));
        let there = answers(&question, Some(UpstreamState::Immutable), None);

        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let failed = |kind, answers| {
            let upstreams = probes.lasting(kind, answers)?;
            Some(FailedSources { inputs: "inputs".to_owned(), upstreams, at, failure: diagnosis(kind) })
        };
        let known = failed(FailureKind::NotFound, &gone).unwrap();
        let again = |inputs, answers, hours: u64| {
            probes.fails_again(&known, inputs, answers, at + Duration::from_secs(3600 * hours))
        };
        assert!(again("inputs", &gone, 0) && again("inputs", &gone, 23));
        assert!(!again("inputs", &gone, 24) && !again("others", &gone, 1));
        assert!(
            !again("inputs", &denied, 1)
                && !again("inputs", &there, 1)
                && !again("inputs", &AnsweredQuestions::new(), 1)
        );

        // bst may have failed for a moment where the upstream answers, and what is no answer says nothing.
        assert_eq!(failed(FailureKind::NotFound, &there), None);
        assert_eq!(failed(FailureKind::NotFound, &vague), None);
        assert_eq!(failed(FailureKind::Checksum, &vague), None);
        assert!(failed(FailureKind::Checksum, &there).is_some());
        for kind in
            [FailureKind::DiskFull, FailureKind::HostToolMissing, FailureKind::Unauthorised, FailureKind::Unknown]
        {
            assert_eq!(failed(kind, &gone), None, "{kind}");
        }
    }
}
