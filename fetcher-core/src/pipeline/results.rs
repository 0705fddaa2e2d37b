//! What is known of each element in each stage, from all that bst was asked and said.
//!
//! A result is a fact by stage and element. Attempts only add to what is known: what failed stays failed until the same
//! element works in the same stage, and what worked stays done. What a report says of a stage is computed from here,
//! and from nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::output::StageAttempt;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Retry};
use crate::names::{ElementName, Stage};
use crate::report::{ElementCounts, ElementOutcome, Outcome, StageReport};
use crate::runner::Exit;

/// How many elements a note names.
const NAMED: usize = 20;

/// What a command was asked to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CommandScope {
    /// All that the configuration asks for.
    Everything,
    /// These elements.
    Named(BTreeSet<ElementName>),
}

impl CommandScope {
    /// Whether all that the other is about is part of this.
    fn covers(&self, other: &CommandScope) -> bool {
        match (self, other) {
            (CommandScope::Everything, _) => true,
            (CommandScope::Named(_), CommandScope::Everything) => false,
            (CommandScope::Named(mine), CommandScope::Named(theirs)) => mine.is_superset(theirs),
        }
    }

    fn includes(&self, element: &ElementName) -> bool {
        match self {
            CommandScope::Everything => true,
            CommandScope::Named(names) => names.contains(element),
        }
    }
}

/// What became of an element in a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ElementResult {
    /// Its task ended well.
    Done,
    /// It was part of a command that ended well, which had nothing to do for it.
    NothingToDo,
    /// It failed, and has not worked since.
    Failed(FailedElement),
}

impl ElementResult {
    fn outcome(&self) -> ElementOutcome {
        match self {
            ElementResult::Done => ElementOutcome::Done,
            ElementResult::NothingToDo => ElementOutcome::NothingToDo,
            ElementResult::Failed(_) => ElementOutcome::Failed,
        }
    }
}

/// What failed, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailedElement {
    diagnosis: Diagnosis,
    times: u32,
}

impl FailedElement {
    fn new(diagnosis: Diagnosis) -> Self {
        Self { diagnosis, times: 1 }
    }

    /// The same has failed once more; the better reason is kept.
    fn again(&mut self, diagnosis: Diagnosis) {
        self.times += 1;
        if diagnosis.specificity() >= self.diagnosis.specificity() {
            self.diagnosis = diagnosis;
        }
    }

    fn is_worth_another_try(&self) -> bool {
        match self.diagnosis.retry {
            Retry::Yes => true,
            Retry::Once => self.times == 1,
            Retry::No => false,
        }
    }
}

/// A failure of a command rather than of one element's task: what kept bst from loading the project (its diagnosis may
/// name the junction that did), or from going on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CommandFailure {
    scope: CommandScope,
    failed: FailedElement,
    /// Told only where nothing else is told of the stage.
    latent: bool,
}

#[derive(Debug, Clone, Default)]
struct StageResults {
    elements: BTreeMap<ElementName, ElementResult>,
    command: Vec<CommandFailure>,
    /// The elements that were listed as part of the stage's pipeline.
    listed: BTreeSet<ElementName>,
    /// Whether bst got past loading everything.
    loaded: bool,
    /// What bst's own summaries said of everything, at most.
    summary: ElementCounts,
}

/// The results of one pipeline, by stage and element.
#[derive(Debug, Clone, Default)]
pub(super) struct ElementResults {
    stages: BTreeMap<Stage, StageResults>,
}

impl ElementResults {
    /// Adds what an attempt came to. `stages` are those that its command does, in their order; what bst files under
    /// another one is the command's all the same.
    pub(super) fn absorb(&mut self, stages: &[Stage], scope: &CommandScope, attempt: &StageAttempt) {
        let Some(last) = stages.last() else { return };
        let unloaded = !attempt.has_loaded() && !attempt.exit.is_success();
        let is_commands = |failure: &Diagnosis| unloaded || failure.element.is_none();
        let explained =
            attempt.exit.is_success() || attempt.is_accounted_for() || attempt.failures.iter().any(is_commands);
        for stage in stages {
            let of_stage = |failure: &&Diagnosis| {
                let own = failure.stage.filter(|own| stages.contains(own) && !unloaded);
                own.unwrap_or(*last) == *stage
            };
            let failures = attempt.failures.iter().filter(of_stage);
            let failures = failures.map(|failure| failure.clone().with_stage(*stage));
            let (of_command, of_elements) = failures.partition(|failure| is_commands(failure));
            let results = self.stages.entry(*stage).or_default();
            results.count(*stage, scope, attempt);
            let mut latent = results.absorb_elements(*stage, scope, attempt, of_elements);
            if stage == last && !explained {
                latent.push((scope.clone(), unexplained(attempt.exit).with_stage(*stage)));
            }
            results.absorb_command(scope, attempt, of_command, latent);
        }
    }

    /// What is known of an element in a stage; none where nothing is.
    pub(super) fn of(&self, stage: Stage, element: &ElementName) -> Option<&ElementResult> {
        self.stages.get(&stage)?.elements.get(element)
    }

    /// The elements of which something is known in a stage.
    pub(super) fn elements(&self, stage: Stage) -> impl Iterator<Item = &ElementName> {
        self.stages.get(&stage).into_iter().flat_map(|results| results.elements.keys())
    }

    /// Whether nothing is left to do for an element up to and in a stage.
    pub(super) fn is_good(&self, last: Stage, element: &ElementName) -> bool {
        let good = |result: &ElementResult| match result {
            ElementResult::Done | ElementResult::NothingToDo => true,
            ElementResult::Failed(_) => false,
        };
        self.of(last, element).is_some_and(good) && self.of(Stage::Fetch, element).is_none_or(good)
    }

    /// Why the element's own task failed in the stage, if it did and has not worked since.
    pub(super) fn failure(&self, stage: Stage, element: &ElementName) -> Option<&Diagnosis> {
        match self.of(stage, element) {
            Some(ElementResult::Failed(failed)) => Some(&failed.diagnosis),
            _ => None,
        }
    }

    /// Enters an earlier run's failure, of which it is known that trying again would only repeat it.
    pub(super) fn recall(&mut self, stage: Stage, element: &ElementName, failure: Diagnosis) {
        let results = self.stages.entry(stage).or_default();
        results.listed.insert(element.clone());
        results.elements.insert(element.clone(), ElementResult::Failed(FailedElement::new(failure)));
    }

    /// Whether the stage's work is known to be done for the element.
    pub(super) fn is_done(&self, stage: Stage, element: &ElementName) -> bool {
        self.of(stage, element) == Some(&ElementResult::Done)
    }

    /// Whether the element's own task failed in the stage, and has not worked since.
    pub(super) fn is_failed(&self, stage: Stage, element: &ElementName) -> bool {
        matches!(self.of(stage, element), Some(ElementResult::Failed(_)))
    }

    /// Whether bst got past loading everything in the stage.
    pub(super) fn has_loaded(&self, stage: Stage) -> bool {
        self.stages.get(&stage).is_some_and(|results| results.loaded)
    }

    /// Notes that a stage that was asked for by name had the project loaded, if anything is known of what was named.
    pub(super) fn note_loaded(&mut self, stage: Stage) {
        if let Some(results) = self.stages.get_mut(&stage) {
            results.loaded |= !results.elements.is_empty();
        }
    }

    /// What of the scope failed in the stages and is worth another try; none where nothing is.
    pub(super) fn worth_another_try(&self, stages: &[Stage], scope: &CommandScope) -> Option<CommandScope> {
        let mut names = BTreeSet::new();
        for results in stages.iter().filter_map(|stage| self.stages.get(stage)) {
            for (element, result) in &results.elements {
                if let ElementResult::Failed(failed) = result
                    && failed.is_worth_another_try()
                    && scope.includes(element)
                {
                    names.insert(element.clone());
                }
            }
            let open = |known: &&CommandFailure| known.failed.is_worth_another_try() && scope.covers(&known.scope);
            for known in results.command.iter().filter(open) {
                match &known.scope {
                    CommandScope::Everything => return Some(CommandScope::Everything),
                    CommandScope::Named(asked) => names.extend(asked.iter().cloned()),
                }
            }
        }
        (!names.is_empty()).then_some(CommandScope::Named(names))
    }

    /// Enters what is known of the report's stage into the report.
    pub(super) fn enter(&self, report: &mut StageReport, interrupted: bool) {
        let Some(results) = self.stages.get(&report.stage) else { return };
        report.failures = results.failures();
        report.elements = results.counts(&report.failures);
        for (element, result) in &results.elements {
            report.results.enter(element.clone(), result.outcome());
        }
        let unfetched = self.unfetched(report.stage);
        if !unfetched.is_empty() {
            let note = format!("not pushed, for they were not fetched: {}", names(&unfetched));
            report.notes.retain(|known| !known.starts_with("not pushed, for they were not fetched: "));
            report.notes.push(note);
        }
        // What tracking skips cannot be tracked at all; what fetching and pushing skip is there already.
        let good = match report.stage {
            Stage::Checkout | Stage::Prepare | Stage::Track | Stage::Publish | Stage::Custom(_) | Stage::Other => {
                report.elements.processed
            }
            Stage::Fetch | Stage::Push | Stage::Verify => report.elements.processed + report.elements.skipped,
        };
        report.outcome = match (interrupted, report.failures.is_empty() && unfetched.is_empty(), good) {
            (true, _, _) => Outcome::Interrupted,
            (false, true, _) => Outcome::Ok,
            (false, false, 0) => Outcome::Failed,
            (false, false, _) => Outcome::Partial,
        };
    }

    /// The elements that a push was about and that it could not reach, for fetching them failed.
    pub(super) fn unfetched(&self, stage: Stage) -> Vec<&ElementName> {
        let Some(fetched) = self.stages.get(&Stage::Fetch).filter(|_| stage == Stage::Push) else { return Vec::new() };
        let failed = fetched.elements.iter().filter(|(_, result)| matches!(result, ElementResult::Failed(_)));
        failed.map(|(element, _)| element).filter(|element| self.of(Stage::Push, element).is_none()).collect()
    }
}

impl StageResults {
    /// Adds what an attempt says of how much there is.
    fn count(&mut self, stage: Stage, scope: &CommandScope, attempt: &StageAttempt) {
        self.listed.extend(attempt.listed.keys().cloned());
        if *scope != CommandScope::Everything {
            return;
        }
        self.loaded |= attempt.has_loaded();
        self.summary.total = self.summary.total.max(attempt.total);
        if let Some(queue) = attempt.queues.get(&stage) {
            self.summary.processed = self.summary.processed.max(queue.processed);
            self.summary.skipped = self.summary.skipped.max(queue.skipped);
        }
    }

    /// Adds the results of elements, and gives what speaks against elements that had worked before.
    fn absorb_elements(
        &mut self,
        stage: Stage,
        scope: &CommandScope,
        attempt: &StageAttempt,
        failures: Vec<Diagnosis>,
    ) -> Vec<(CommandScope, Diagnosis)> {
        let failed: BTreeSet<_> = failures.iter().filter_map(|failure| failure.element.clone()).collect();
        let worked = |result| move |element: &ElementName| (element.clone(), result);
        let done = attempt.done.get(&stage).into_iter().flatten().map(worked(true));
        let skipped = attempt.skipped.get(&stage).into_iter().flatten().map(worked(false));
        let mut relapsed = Vec::new();
        for failure in failures {
            let Some(element) = failure.element.clone() else { continue };
            match self.elements.get_mut(&element) {
                None => drop(self.elements.insert(element, ElementResult::Failed(FailedElement::new(failure)))),
                Some(ElementResult::Failed(known)) => known.again(failure),
                Some(ElementResult::Done | ElementResult::NothingToDo) => relapsed.push(relapse(element, failure)),
            }
        }
        for (element, is_done) in done.chain(skipped).filter(|(element, _)| !failed.contains(element)) {
            let known = self.elements.entry(element).or_insert(ElementResult::NothingToDo);
            match known {
                _ if is_done => *known = ElementResult::Done,
                ElementResult::Failed(_) => *known = ElementResult::NothingToDo,
                ElementResult::Done | ElementResult::NothingToDo => {}
            }
        }
        if attempt.exit.is_success() {
            // bst has nothing to say of what it finds done.
            for element in attempt.listed.keys().filter(|element| !failed.contains(*element)) {
                self.elements.entry(element.clone()).or_insert(ElementResult::NothingToDo);
            }
            for (element, known) in &mut self.elements {
                if matches!(known, ElementResult::Failed(_)) && scope.includes(element) && !failed.contains(element) {
                    *known = ElementResult::NothingToDo;
                }
            }
        } else {
            let unreached = unreached(stage, attempt);
            if attempt.tells_all(stage, failed.len(), unreached.len()) {
                let rest = attempt.listed.keys().filter(|element| !failed.contains(*element));
                for element in rest.filter(|element| !unreached.contains(element)) {
                    self.elements.entry(element.clone()).or_insert(ElementResult::NothingToDo);
                }
            }
        }
        relapsed
    }

    /// Adds the failures of the command itself, and those that are latent. An attempt at the same or at more has the say
    /// on what stood in the way before; only a better reason outlives it.
    fn absorb_command(
        &mut self,
        scope: &CommandScope,
        attempt: &StageAttempt,
        told: Vec<Diagnosis>,
        latent: Vec<(CommandScope, Diagnosis)>,
    ) {
        let (before, mut open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.command).into_iter().partition(|known| scope.covers(&known.scope));
        let best_before = before.iter().filter(|known| !known.latent).map(|known| known.failed.diagnosis.specificity());
        let best = told.iter().map(Diagnosis::specificity).max();
        let times = |failure: &Diagnosis| {
            let same = |known: &&CommandFailure| {
                (known.failed.diagnosis.kind, &known.failed.diagnosis.element) == (failure.kind, &failure.element)
            };
            before.iter().filter(same).map(|known| known.failed.times).max().unwrap_or_default() + 1
        };
        let fresh = |scope, diagnosis, latent| CommandFailure {
            scope,
            failed: FailedElement { times: times(&diagnosis), diagnosis },
            latent,
        };
        open.extend(latent.into_iter().map(|(scope, failure)| fresh(scope, failure, true)));
        if !attempt.exit.is_success() && !told.is_empty() && best_before.max() > best {
            let once_more = |known: &CommandFailure| {
                let times = known.failed.times + 1;
                CommandFailure { failed: FailedElement { times, ..known.failed.clone() }, ..known.clone() }
            };
            open.extend(before.iter().map(once_more));
        } else {
            let told = told.into_iter().filter(|failure| !self.is_explained(scope, failure));
            open.extend(told.map(|failure| fresh(scope.clone(), failure, false)));
        }
        self.command = open;
    }

    /// Whether a failure of which nothing is known is that of elements for which a reason is known.
    fn is_explained(&self, scope: &CommandScope, failure: &Diagnosis) -> bool {
        let CommandScope::Named(names) = scope else { return false };
        let failed = |element| matches!(self.elements.get(element), Some(ElementResult::Failed(_)));
        failure.kind == FailureKind::Unknown && names.iter().all(failed)
    }

    /// All that failed and has not worked since.
    fn failures(&self) -> Vec<Diagnosis> {
        let of_command = |latent| {
            let known = self.command.iter().filter(move |known| known.latent == latent);
            known.map(|known| known.failed.diagnosis.clone())
        };
        let of_elements = self.elements.values().filter_map(|result| match result {
            ElementResult::Failed(failed) => Some(failed.diagnosis.clone()),
            ElementResult::Done | ElementResult::NothingToDo => None,
        });
        let mut failures: Vec<Diagnosis> = Vec::new();
        for failure in of_command(false).chain(of_elements) {
            if !failures.contains(&failure) {
                failures.push(failure);
            }
        }
        if failures.is_empty() {
            failures.extend(of_command(true));
        }
        failures
    }

    /// The elements as bst's summary would count them, had there been one attempt.
    fn counts(&self, failures: &[Diagnosis]) -> ElementCounts {
        let failed: BTreeSet<_> = failures.iter().filter_map(|failure| failure.element.as_ref()).collect();
        let failed = failed.len() as u64;
        // bst counts the elements of its pipeline: a junction that it fetched while it loaded is not among them.
        let counted = |element: &ElementName| self.listed.is_empty() || self.listed.contains(element);
        let of = |wanted: &ElementResult| {
            self.elements.iter().filter(|(element, result)| *result == wanted && counted(element)).count() as u64
        };
        let (done, nothing_to_do) = (of(&ElementResult::Done), of(&ElementResult::NothingToDo));
        let total = self.summary.total.max(self.listed.len() as u64);
        let rest = total.saturating_sub(failed);
        // Where bst's messages about tasks are not understood, its summary may be.
        let processed = if done == 0 { self.summary.processed.min(rest) } else { done };
        let skipped = self.summary.skipped.max(nothing_to_do).min(rest.saturating_sub(processed));
        ElementCounts { total, processed, skipped, failed }
    }
}

/// The elements that an attempt at a push did not come to, for fetching them failed.
fn unreached(stage: Stage, attempt: &StageAttempt) -> BTreeSet<&ElementName> {
    let fetched = |failure: &&Diagnosis| stage == Stage::Push && failure.stage == Some(Stage::Fetch);
    attempt.failures.iter().filter(fetched).filter_map(|failure| failure.element.as_ref()).collect()
}

/// What is left to tell of a failure of an element that had worked before: bst failed, and that element is not to blame.
fn relapse(element: ElementName, failure: Diagnosis) -> (CommandScope, Diagnosis) {
    let message = format!("bst failed for {element}, which had worked before: {}", failure.message);
    (CommandScope::Named(BTreeSet::from([element])), failure.with_element(None).with_message(message))
}

/// What there is to tell of a bst that ended before its end, where no failure that is known accounts for that.
pub(super) fn unexplained(exit: Exit) -> Diagnosis {
    let end = match exit {
        Exit::Status(status) => format!("ended with exit status {status}"),
        Exit::Signal(signal) => format!("was killed by signal {signal}"),
        Exit::TimedOut => "was stopped because its time was over".to_owned(),
        Exit::Cancelled => "was stopped".to_owned(),
        Exit::NoSpace { .. } => "was stopped for lack of space".to_owned(),
    };
    let message = format!("bst {end} before it was done, and does not say why");
    Diagnosis::new(FailureKind::Unknown, message, Retry::Once, Actor::Host, "read the end of the log")
}

fn names(elements: &[&ElementName]) -> String {
    let mut shown: Vec<_> = elements.iter().take(NAMED).map(|element| element.as_str().to_owned()).collect();
    if elements.len() > NAMED {
        shown.push(format!("and {} more", elements.len() - NAMED));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests;
