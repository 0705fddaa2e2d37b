//! The stage `verify`: the caches are asked for what was fetched and pushed, and what they lack is pushed once more.
//!
//! That bst ended well does not count: it does so where a cache's index knows what its storage has lost, and its log cannot
//! tell what was repaired from what had nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::log::StageLog;
use super::output::KeyMismatch;
use super::prover::{KeyAnswer, ProofTarget, SourceProver};
use super::remaining_work::{ElementInputs, RemainingWork};
use super::stage_runner::{StageRequest, StageRunner};
use super::{Pipeline, clean_client};
use crate::bst::conf::push_servers;
use crate::bst::dialect::BstAction;
use crate::config::{ProjectConfig, PushMode};
use crate::diagnosis::{Diagnosis, FailureKind};
use crate::names::{ElementName, SourceKey, Stage};
use crate::report::{ElementOutcome, Outcome, ProofReport, StageReport};
use crate::state::ElementMemory;

/// Why nothing is proved where that is not wanted.
pub(super) const VERIFY_FALSE: &str = "verify = false";
/// The name of the stage's log.
const LOG: &str = "verify";
/// What to do where it is not known by which keys caches are to be asked.
const UNKNOWN_KEYS: &str =
    "report it with the version of bst and the log of the push; `verify = false` does without the proof";

/// A proof that is under way.
pub(super) struct Verification {
    report: StageReport,
    proof: ProofReport,
    /// Who asks; else why nobody does.
    prover: Result<SourceProver, String>,
    /// What was there once and is no longer.
    lost: BTreeSet<ElementName>,
    /// Whether somebody wanted to stop.
    is_interrupted: bool,
}

/// What became of the elements.
#[derive(Default)]
struct ElementProofs {
    proved: BTreeSet<ElementName>,
    /// With what is missing.
    missing: BTreeMap<ElementName, String>,
    /// Those that bst named no key for.
    keyless: BTreeSet<ElementName>,
}

impl Verification {
    pub(super) fn new(work: &StageRunner<'_, '_>) -> Self {
        let pipeline = work.pipeline;
        let prover = pipeline.proof_target().map(|target| {
            let prover = SourceProver::new(target, &pipeline.directories.cachedir, pipeline.project.timeout);
            prover.trusting(pipeline.context.environment)
        });
        let variant = work.variant.map(|variant| variant.name.clone());
        let report = StageReport {
            refs: Some(work.refs),
            attempts: 1,
            ..StageReport::new(Stage::Verify, variant, pipeline.context.clock.now())
        };
        let caches = prover.as_ref().map(|prover| prover.target().names()).unwrap_or_default();
        let proof = ProofReport { caches, ..ProofReport::default() };
        Self { report, proof, prover, lost: BTreeSet::new(), is_interrupted: false }
    }

    /// Whether anything is proved at all.
    pub(super) fn is_wanted(&self) -> bool {
        self.prover.is_ok()
    }

    /// Has bst name the keys of what was fetched, where nothing is pushed; what is known of one stands.
    pub(super) fn name_keys(
        &mut self,
        work: &mut StageRunner<'_, '_>,
        inputs: &ElementInputs,
        memory: &ElementMemory,
        elements: BTreeSet<ElementName>,
    ) {
        if !self.prover.as_ref().is_ok_and(|prover| *prover.target() == ProofTarget::Local)
            || work.context.cancel.is_cancelled()
        {
            return;
        }
        let mut unnamed = BTreeSet::new();
        for element in elements.into_iter().filter(|element| work.results.is_good(Stage::Fetch, element)) {
            let known = inputs.of(&element).and_then(|inputs| memory.done(&element, &inputs)?.key.clone());
            match known {
                Some(key) => drop(work.source_keys.insert(element, key)),
                None => drop(unnamed.insert(element)),
            }
        }
        unnamed.retain(|element| !work.source_keys.contains_key(element));
        if unnamed.is_empty() {
            return;
        }
        work.announce(Stage::Verify, self.report.attempts);
        let began = Instant::now();
        if let Err(why) = name_keys(work, unnamed) {
            self.report.notes.push(format!("the keys of sources could not be had from bst: {why}"));
        }
        self.report.seconds += began.elapsed().as_secs_f64();
        self.report.bst_seconds += began.elapsed().as_secs_f64();
    }

    /// Asks anew for what was proved long ago or never. No bst is needed for what is still there, and being asked for keeps
    /// it from expiring.
    pub(super) fn renew(&mut self, work: &mut StageRunner<'_, '_>, choice: &mut RemainingWork) {
        let keys = choice.unproved_keys();
        if !keys.is_empty() {
            self.ask(work, &keys);
        }
        let now = work.context.clock.now();
        let lost = choice.settle(now, |key| Some(*self.prover.as_ref().ok()?.answer(key)? == KeyAnswer::Proved));
        if let Ok(prover) = &mut self.prover {
            // What bst does about them now is asked for afterwards.
            prover.forget_missing();
        }
        self.lost = lost;
    }

    fn ask(&mut self, work: &mut StageRunner<'_, '_>, keys: &BTreeSet<SourceKey>) {
        let Ok(prover) = &mut self.prover else { return };
        // A cache that could not be asked a moment ago is not waited for again.
        if self.is_interrupted || !self.report.failures.is_empty() {
            return;
        }
        work.announce(Stage::Verify, self.report.attempts);
        let began = Instant::now();
        match prover.ask(keys, work.context.cancel) {
            Ok(()) => {}
            Err(Some(failure)) => {
                self.report.failures.push(failure.with_stage(Stage::Verify));
            }
            Err(None) => self.is_interrupted = true,
        }
        self.report.seconds += began.elapsed().as_secs_f64();
    }

    /// Asks for what was fetched and pushed now, has bst push once more what is missing, and enters into the memory what
    /// is proved. Gives the report of the stage; what the push cost is added to `reports`.
    pub(super) fn finish(
        self,
        work: &mut StageRunner<'_, '_>,
        choice: Option<&RemainingWork>,
        memory: &mut ElementMemory,
        reports: &mut [StageReport],
    ) -> StageReport {
        let mut scope: BTreeSet<ElementName> = work.junctions.clone();
        match choice {
            Some(choice) => scope.extend(choice.elements().cloned()),
            None => scope.extend(reports.iter().flat_map(|report| work.results.elements(report.stage)).cloned()),
        }
        self.finish_scope(work, scope, memory, reports)
    }

    /// The same for what of these elements is done.
    pub(super) fn finish_scope(
        mut self,
        work: &mut StageRunner<'_, '_>,
        mut scope: BTreeSet<ElementName>,
        memory: &mut ElementMemory,
        reports: &mut [StageReport],
    ) -> StageReport {
        if let Err(reason) = &self.prover {
            let reason = reason.clone();
            return skipped(self.report, reason);
        }
        let known = &memory.of(work.refs).done;
        scope.retain(|element| known.contains_key(element));
        if scope.is_empty() {
            return skipped(self.report, "nothing is there to be proved".to_owned());
        }
        let is_proved = |element: &&ElementName| known[*element].proved.is_some();
        let before: BTreeSet<ElementName> = scope.iter().filter(is_proved).cloned().collect();
        let mut found = self.prove(work, &scope, memory);
        let missing: BTreeSet<ElementName> = found.missing.keys().cloned().collect();
        if !missing.is_empty() && !work.context.cancel.is_cancelled() {
            self.push_again(work, &missing, memory, reports);
            found = self.prove(work, &scope, memory);
        }
        self.lost.extend(missing);
        self.try_a_client(work, &mut found, memory);
        self.proof.repaired = self.lost.intersection(&found.proved).count() as u64;
        self.enter(work, &found, memory, &before)
    }

    /// Asks for what is not proved yet.
    fn prove(
        &mut self,
        work: &mut StageRunner<'_, '_>,
        scope: &BTreeSet<ElementName>,
        memory: &mut ElementMemory,
    ) -> ElementProofs {
        let now = work.context.clock.now();
        let known = &memory.of(work.refs).done;
        let open = scope.iter().filter_map(|element| known.get(element)).filter(|known| known.proved.is_none());
        let keys: BTreeSet<SourceKey> = open.filter_map(|known| known.key.clone()).collect();
        if !keys.is_empty() {
            self.ask(work, &keys);
        }
        let mut found = ElementProofs::default();
        let Ok(prover) = &self.prover else { return found };
        for (element, known) in &mut memory.of_mut(work.refs).done {
            if !scope.contains(element) {
                continue;
            }
            if work.key_mismatch.is_some() && known.proved.is_none() {
                // Nobody knows whose key that is.
                known.key = None;
            }
            let answer = known.key.as_ref().map(|key| prover.answer(key));
            match answer {
                _ if known.proved.is_some() => drop(found.proved.insert(element.clone())),
                None => drop(found.keyless.insert(element.clone())),
                Some(Some(KeyAnswer::Proved)) => {
                    (known.at, known.proved) = (now, Some(now));
                    found.proved.insert(element.clone());
                }
                Some(Some(KeyAnswer::Missing(what))) => drop(found.missing.insert(element.clone(), what.clone())),
                Some(None) => {}
            }
        }
        found
    }

    /// Has bst do once more what it said to have done.
    fn push_again(
        &mut self,
        work: &mut StageRunner<'_, '_>,
        missing: &BTreeSet<ElementName>,
        memory: &mut ElementMemory,
        reports: &mut [StageReport],
    ) {
        let is_remote = self.prover.as_ref().is_ok_and(|prover| *prover.target() != ProofTarget::Local);
        let (stages, action): (&[Stage], _) = match (is_remote, work.pipeline.project.fetch) {
            (true, true) => (&[Stage::Fetch, Stage::Push], BstAction::Push),
            (true, false) => (&[Stage::Push], BstAction::Push),
            (false, _) => (&[Stage::Fetch], BstAction::Fetch),
        };
        // Nothing behind a junction can be loaded without it, and bst asks no cache for it then.
        let (junctions, others): (BTreeSet<_>, BTreeSet<_>) =
            missing.iter().cloned().partition(|element| work.junctions.contains(element));
        for names in [junctions, others].into_iter().filter(|names| !names.is_empty()) {
            let run = work.run(stages, action, StageRequest::named(names));
            for theirs in &run.reports {
                if let Some(mine) = reports.iter_mut().find(|mine| mine.stage == theirs.stage) {
                    mine.seconds += theirs.seconds;
                    mine.bst_seconds += theirs.bst_seconds;
                    mine.attempts += theirs.attempts;
                    work.results.enter(mine, work.context.cancel.is_cancelled());
                }
            }
        }
        let mut keys = BTreeSet::new();
        let done = &mut memory.of_mut(work.refs).done;
        for element in missing {
            if let Some(known) = done.get_mut(element) {
                keys.extend(known.key.clone());
                known.key = work.source_keys.get(element).cloned().or(known.key.take());
            }
        }
        if let Ok(prover) = &mut self.prover {
            prover.forget(&keys);
        }
        self.report.attempts += 1;
    }

    /// Lets a client with empty caches fetch a share of what is proved, where that is wanted. What it does not get is not
    /// there, whatever the caches say.
    fn try_a_client(&mut self, work: &mut StageRunner<'_, '_>, found: &mut ElementProofs, memory: &mut ElementMemory) {
        let (Some(every), Ok(prover)) = (work.pipeline.clean_client_every, &self.prover) else { return };
        let target = prover.target().clone();
        if work.context.cancel.is_cancelled() || !self.report.failures.is_empty() {
            return;
        }
        let now = work.context.clock.now();
        let share = clean_client::share(&found.proved, &memory.of(work.refs).done, now, every);
        if share.is_empty() {
            return;
        }
        work.announce(Stage::Verify, self.report.attempts);
        let done = &mut memory.of_mut(work.refs).done;
        let caches = work.pipeline.client_caches(&target);
        match caches.and_then(|caches| work.clean_client(&share, &caches)) {
            Err(why) => self.report.notes.push(format!("no client could be tried: {why}")),
            Ok(result) => {
                self.report.seconds += result.seconds;
                self.report.bst_seconds += result.seconds;
                self.report.notes.push(result.told());
                for element in &result.fetched {
                    if let Some(known) = done.get_mut(element) {
                        known.fetched_by_client = Some(now);
                    }
                }
                for (element, why) in result.missing {
                    found.proved.remove(&element);
                    found.missing.insert(element, format!("a client with empty caches does not get them: {why}"));
                }
                self.proof.fetched_by_client = result.fetched;
            }
        }
    }

    /// Makes the report of what was found, and forgets that what is missing was done.
    fn enter(
        mut self,
        work: &StageRunner<'_, '_>,
        found: &ElementProofs,
        memory: &mut ElementMemory,
        before: &BTreeSet<ElementName>,
    ) -> StageReport {
        let remembered = before.len() as u64;
        let is_local = self.prover.as_ref().is_ok_and(|prover| *prover.target() == ProofTarget::Local);
        let mut failures: Vec<_> =
            found.missing.iter().map(|(element, what)| incomplete(is_local, element, what)).collect();
        let mismatch = work.key_mismatch.map(keys_disagree);
        failures.extend(mismatch.or_else(|| without_key(&found.keyless)));
        memory.of_mut(work.refs).done.retain(|element, _| !found.missing.contains_key(element));
        (self.proof.blobs, self.proof.requests) = self.prover.as_ref().map(SourceProver::cost).unwrap_or_default();
        let (proved, missing) = (found.proved.len() as u64, found.missing.len() as u64);
        let mut report = self.report;
        report.failures.extend(failures);
        report.elements.total = proved + missing + found.keyless.len() as u64;
        report.elements.processed = proved.saturating_sub(remembered);
        report.elements.skipped = remembered.min(proved);
        report.elements.failed = missing;
        for element in &found.proved {
            let is_new = !before.contains(element);
            let outcome = if is_new { ElementOutcome::Done } else { ElementOutcome::NothingToDo };
            report.results.enter(element.clone(), outcome);
        }
        for element in found.missing.keys() {
            report.results.enter(element.clone(), ElementOutcome::Failed);
        }
        report.outcome =
            match (self.is_interrupted || work.context.cancel.is_cancelled(), report.failures.is_empty(), proved) {
                (true, _, _) => Outcome::Interrupted,
                (false, true, _) => Outcome::Ok,
                (false, false, 0) => Outcome::Failed,
                (false, false, _) => Outcome::Partial,
            };
        if self.proof.repaired > 0 {
            report.notes.push(format!("{} elements were incomplete, and are whole again", self.proof.repaired));
        }
        self.proof.remembered = remembered;
        self.proof.missing = found.missing.keys().cloned().collect();
        self.proof.proved.clone_from(&found.proved);
        write_log(work, &mut report, &self.proof, found, &memory.of(work.refs).done);
        report.proof = Some(self.proof);
        report
    }
}

impl Pipeline<'_> {
    /// Where sources have to be once the stages are over; else why nothing is proved.
    pub(super) fn proof_target(&self) -> Result<ProofTarget, String> {
        if !self.project.verify {
            return Err(VERIFY_FALSE.to_owned());
        }
        if !self.bst.dialect().can_push() {
            return Err("this release of bst does not name the keys of sources".to_owned());
        }
        proof_target(self.project)
    }
}

/// Where the sources of a project have to be, whose `bst` can push; else why nobody can be asked.
pub(super) fn proof_target(project: &ProjectConfig) -> Result<ProofTarget, String> {
    if !SourceProver::can_ask() {
        return Err("this program was built without the feature `cas`".to_owned());
    }
    let caches = push_servers(&project.source_caches, &project.buildstream.config);
    match (project.push, caches.is_empty()) {
        (PushMode::Never, _) | (PushMode::Auto, true) => Ok(ProofTarget::Local),
        (PushMode::Always, true) => {
            Err("only project.conf names the caches: name them in `source-caches` to have them asked".to_owned())
        }
        (PushMode::Auto | PushMode::Always, false) => Ok(ProofTarget::Remote(caches)),
    }
}

#[cfg(feature = "cas")]
fn name_keys(work: &mut StageRunner<'_, '_>, elements: BTreeSet<ElementName>) -> Result<(), String> {
    work.name_keys(elements)
}

#[cfg(not(feature = "cas"))]
fn name_keys(_: &mut StageRunner<'_, '_>, _: BTreeSet<ElementName>) -> Result<(), String> {
    Ok(())
}

fn skipped(report: StageReport, reason: String) -> StageReport {
    StageReport { outcome: Outcome::Skipped, attempts: 0, skipped: Some(reason), ..report }
}

fn incomplete(is_local: bool, element: &ElementName, what: &str) -> Diagnosis {
    let (kind, done) =
        if is_local { (FailureKind::CacheIncomplete, "fetched") } else { (FailureKind::PushIncomplete, "pushed") };
    let message = format!("not all of its sources are there, though bst says that they were {done}, twice: {what}");
    let failure = Diagnosis::of_kind(kind, message);
    failure.with_element(element.clone()).with_stage(Stage::Verify)
}

/// What is told where bst did not name the keys by which caches can be asked.
fn without_key(elements: &BTreeSet<ElementName>) -> Option<Diagnosis> {
    let first = elements.first()?;
    let more = if elements.len() > 1 { format!(" and {} more", elements.len() - 1) } else { String::new() };
    let message =
        format!("bst did not name the key of the sources of {first}{more}, so that no cache can be asked for them");
    let failure = Diagnosis::of_kind(FailureKind::Unknown, message).with_hint(UNKNOWN_KEYS);
    Some(failure.with_stage(Stage::Verify))
}

/// What is told where bst's messages are not what this program takes them for.
fn keys_disagree(mismatch: KeyMismatch) -> Diagnosis {
    let KeyMismatch { named, told } = mismatch;
    let message = format!(
        "bst named the keys of the sources of {named} elements, and counts {told} in its summary, so that nothing of that \
         is taken for proved"
    );
    let failure = Diagnosis::of_kind(FailureKind::Unknown, message).with_hint(UNKNOWN_KEYS);
    failure.with_stage(Stage::Verify)
}

fn write_log(
    work: &StageRunner<'_, '_>,
    report: &mut StageReport,
    proof: &ProofReport,
    found: &ElementProofs,
    known: &BTreeMap<ElementName, crate::state::DoneElement>,
) {
    let path = work.log_path(LOG);
    let written = StageLog::open(&path, work.context.redactor).and_then(|mut log| {
        log.write(
            format!("Asked {}: {} blobs, {} requests\n", proof.caches.join(", "), proof.blobs, proof.requests)
                .as_bytes(),
        );
        for failure in &report.failures {
            log.write(format!("{}\n", failure.message).as_bytes());
        }
        for element in &found.proved {
            let done = known.get(element);
            let key = done.and_then(|done| done.key.as_ref()).map_or("-", SourceKey::as_str);
            let at = done.and_then(|done| done.proved).map(|at| at.to_string()).unwrap_or_default();
            log.write(format!("proved {key} {element} {at}\n").as_bytes());
        }
        for (element, what) in &found.missing {
            log.write(format!("missing {element}: {what}\n").as_bytes());
        }
        log.finish()
    });
    match written {
        Ok(()) => report.log = Some(path.strip_prefix(&work.pipeline.directories.run).unwrap_or(&path).to_owned()),
        Err(error) => report.notes.push(format!("no log: cannot write {}: {error}", path.display())),
    }
}
