//! What is seen of one `bst`, and how it is entered into the reports of the stages that it did.

use std::collections::{BTreeMap, BTreeSet};

use crate::bst::messages::{self, ElementState, Item, Task};
use crate::diagnosis::{Diagnosis, Retry};
use crate::names::{ElementName, Stage};
use crate::report::{Outcome, StageReport};
use crate::runner::Exit;

/// One `bst`, from its start to its end.
pub(super) struct Attempt {
    pub(super) exit: Exit,
    pub(super) failures: Vec<Diagnosis>,
    /// What failed nothing, and is to be looked at.
    pub(super) findings: Vec<Diagnosis>,
    /// The hosts of upstreams that answered.
    pub(super) reached: BTreeSet<String>,
    pub(super) notes: Vec<String>,
    pub(super) queues: BTreeMap<Stage, messages::Queue>,
    pub(super) total: u64,
    pub(super) listed: BTreeMap<ElementName, ElementState>,
    pub(super) done: BTreeMap<Stage, BTreeSet<ElementName>>,
    pub(super) junctions: BTreeSet<ElementName>,
    pub(super) seconds: f64,
}

/// What one or more attempts at one or two stages came to.
pub(super) struct StageRun {
    pub(super) reports: Vec<StageReport>,
    /// Whether bst got as far as fetching.
    pub(super) fetched: bool,
}

impl StageRun {
    pub(super) fn interrupted(&self) -> bool {
        self.reports.iter().any(|report| report.outcome == Outcome::Interrupted)
    }

    /// Takes another run's report for one stage in the place of this one's.
    pub(super) fn replace(&mut self, stage: Stage, other: StageRun) {
        for report in other.reports {
            if let Some(mine) = self.reports.iter_mut().find(|mine| mine.stage == stage && report.stage == stage) {
                *mine = report;
            }
        }
        self.fetched |= other.fetched;
    }

    /// Adds what another run of the same stages did.
    pub(super) fn add(&mut self, other: StageRun) {
        for (mine, theirs) in self.reports.iter_mut().zip(other.reports) {
            mine.outcome = match (mine.outcome, theirs.outcome) {
                (Outcome::Ok, Outcome::Ok) => Outcome::Ok,
                (_, Outcome::Interrupted) | (Outcome::Interrupted, _) => Outcome::Interrupted,
                (Outcome::Failed, Outcome::Failed) => Outcome::Failed,
                _ => Outcome::Partial,
            };
            mine.seconds += theirs.seconds;
            mine.bst_seconds += theirs.bst_seconds;
            mine.bytes += theirs.bytes;
            mine.elements.total += theirs.elements.total;
            mine.elements.processed += theirs.elements.processed;
            mine.elements.skipped += theirs.elements.skipped;
            mine.elements.failed += theirs.elements.failed;
            mine.failures.extend(theirs.failures);
            mine.findings.extend(theirs.findings);
            mine.reached.extend(theirs.reached);
        }
    }
}

/// What is seen in bst's output while it runs.
#[derive(Default)]
pub(super) struct Seen {
    queues: BTreeMap<Stage, messages::Queue>,
    total: u64,
    listed: BTreeMap<ElementName, ElementState>,
    done: BTreeMap<Stage, BTreeSet<ElementName>>,
    over: BTreeMap<Stage, u64>,
    junctions: BTreeSet<ElementName>,
    last: Option<(Stage, ElementName)>,
}

impl Seen {
    pub(super) fn take(&mut self, item: &Item) {
        match item {
            Item::Listed(listed) => {
                self.listed.insert(listed.element.clone(), listed.state);
            }
            Item::Junction(junction) => {
                self.junctions.insert(junction.clone());
            }
            Item::Total(total) => self.total = *total,
            Item::Queue(queue) => {
                if let Some(stage) = queue.action.stage() {
                    self.queues.insert(stage, queue.clone());
                }
            }
            Item::Message(message) => {
                let (Some(stage), Some(element)) = (message.action.stage(), &message.element) else { return };
                match message.task() {
                    Some(Task::Succeeded | Task::Skipped) => {
                        self.done.entry(stage).or_default().insert(element.clone());
                        *self.over.entry(stage).or_default() += 1;
                    }
                    Some(Task::Failed) => *self.over.entry(stage).or_default() += 1,
                    Some(Task::Started | Task::Retried) => {}
                    None => return,
                }
                self.last = Some((stage, element.clone()));
            }
            Item::Version(_) | Item::SourceCache { .. } | Item::Repeated(_) | Item::Session(_) | Item::Text(_) => {}
        }
    }

    /// The stage at work, elements done and in all, and the one that moved last.
    pub(super) fn progress(&self, stage: Stage) -> (Stage, u64, u64, Option<ElementName>) {
        let (stage, element) = match &self.last {
            Some((stage, element)) => (*stage, Some(element.clone())),
            None => (stage, None),
        };
        (stage, self.over.get(&stage).copied().unwrap_or_default(), self.listed.len() as u64, element)
    }

    pub(super) fn into_attempt(self) -> Attempt {
        Attempt {
            exit: Exit::Status(0),
            failures: Vec::new(),
            findings: Vec::new(),
            reached: BTreeSet::new(),
            notes: Vec::new(),
            queues: self.queues,
            total: self.total,
            listed: self.listed,
            done: self.done,
            junctions: self.junctions,
            seconds: 0.0,
        }
    }
}

/// Enters an attempt into the reports of the stages that it did. A later attempt is about what the one before left, so
/// that its failures replace those which it could mend.
pub(super) fn record(reports: &mut [StageReport], attempt: &Attempt, first: bool) {
    let last = reports.len() - 1;
    for (place, report) in reports.iter_mut().enumerate() {
        report.bst_seconds += attempt.seconds;
        for note in &attempt.notes {
            if !report.notes.contains(note) {
                report.notes.push(note.clone());
            }
        }
        if first {
            report.elements.total = attempt.total.max(attempt.listed.len() as u64);
        }
        let queue = attempt.queues.get(&report.stage);
        report.elements.processed += queue.map_or(0, |queue| queue.processed);
        if first {
            report.elements.skipped = queue.map_or(0, |queue| queue.skipped);
        }
        report.failures.retain(|failure| failure.retry == Retry::No && failure.element.is_some());
        let mine = |failure: &&Diagnosis| failure.stage.map_or(place == last, |stage| stage == report.stage);
        let found = attempt.findings.iter().filter(mine).filter(|found| !report.findings.contains(found));
        let found: Vec<_> = found.cloned().collect();
        report.findings.extend(found);
        report.reached.extend(attempt.reached.iter().cloned());
        let mine: Vec<_> = attempt.failures.iter().filter(mine).cloned().collect();
        for failure in mine {
            if !report.failures.contains(&failure) {
                report.failures.push(failure);
            }
        }
        let failed: BTreeSet<_> = report.failures.iter().filter_map(|failure| failure.element.as_ref()).collect();
        report.elements.failed = failed.len() as u64;
    }
}

pub(super) fn outcome(report: &StageReport, interrupted: bool) -> Outcome {
    if interrupted {
        return Outcome::Interrupted;
    }
    if report.failures.is_empty() {
        return Outcome::Ok;
    }
    // What tracking skips cannot be tracked at all; what fetching and pushing skip is there already.
    let good = match report.stage {
        Stage::Checkout | Stage::Track => report.elements.processed,
        Stage::Fetch | Stage::Push => report.elements.processed + report.elements.skipped,
    };
    if good > 0 { Outcome::Partial } else { Outcome::Failed }
}
