//! What one `bst` says while it runs, and what it came to.

use std::collections::{BTreeMap, BTreeSet};

use crate::bst::messages::{self, ElementState, LogItem, TaskState};
use crate::diagnosis::Diagnosis;
use crate::names::{ElementName, SourceKey, Stage};
use crate::runner::Exit;

/// One `bst`, from its start to its end.
#[derive(Debug)]
pub(super) struct StageAttempt {
    pub(super) exit: Exit,
    /// What failed, by what bst said and by how it ended.
    pub(super) failures: Vec<Diagnosis>,
    /// What failed nothing, and is to be looked at.
    pub(super) findings: Vec<Diagnosis>,
    /// The hosts of upstreams that answered.
    pub(super) reached: BTreeSet<String>,
    pub(super) notes: Vec<String>,
    /// What each queue did, by the summary at bst's end; none where it did not come to that.
    pub(super) queues: BTreeMap<Stage, messages::QueueSummary>,
    /// The elements of the pipeline, by the same summary.
    pub(super) total: u64,
    pub(super) listed: BTreeMap<ElementName, ElementState>,
    /// The elements whose task ended well.
    pub(super) done: BTreeMap<Stage, BTreeSet<ElementName>>,
    /// The elements whose task found nothing to do.
    pub(super) skipped: BTreeMap<Stage, BTreeSet<ElementName>>,
    pub(super) junctions: BTreeSet<ElementName>,
    /// The keys of elements' sources, as far as bst named them.
    pub(super) source_keys: BTreeMap<ElementName, SourceKey>,
    /// The keys of what came from a cache.
    pub(super) pulled_keys: BTreeSet<SourceKey>,
    pub(super) seconds: f64,
    /// Whether what stopped it was mended, so that its end is accounted for.
    pub(super) recovered: bool,
}

impl StageAttempt {
    /// Whether bst got past loading the project: before that, no element's work has begun.
    pub(super) fn has_loaded(&self) -> bool {
        self.total > 0 || !self.listed.is_empty() || !self.queues.is_empty()
    }

    /// Whether bst says of every element what its queue did: those that it names, and by their number those that had
    /// nothing to do. `unreached` are those that failed in a queue before.
    pub(super) fn tells_all(&self, stage: Stage, failed: usize, unreached: usize) -> bool {
        let Some(queue) = self.queues.get(&stage) else { return false };
        let done = self.done.get(&stage).map_or(0, BTreeSet::len) as u64;
        let (failed, unreached) = (failed as u64, unreached as u64);
        queue.processed == done
            && queue.failed == failed
            && queue.processed + queue.skipped + failed + unreached == self.total
            && self.total == self.listed.len() as u64
    }

    /// How many keys bst named and how many it ought to have named by its summary, where the two do not agree: then its
    /// messages are not what they are taken for. A bst that was stopped is not asked for that.
    pub(super) fn key_mismatch(&self) -> Option<KeyMismatch> {
        let pushed = self.queues.get(&Stage::Push)?;
        let (named, told) = (self.source_keys.len() as u64, pushed.processed + pushed.skipped);
        let least = match self.exit {
            Exit::Status(0) => told,
            // What was not fetched is counted among what had nothing to do, and has no message.
            Exit::Status(_) => {
                let skipped = self.skipped.get(&Stage::Push).map_or(0, BTreeSet::len) as u64;
                pushed.processed + skipped.min(pushed.skipped)
            }
            Exit::Signal(_) | Exit::TimedOut | Exit::Cancelled | Exit::NoSpace { .. } => return None,
        };
        // What failed may have been named before.
        (!(least..=told + pushed.failed).contains(&named)).then_some(KeyMismatch { named, told })
    }

    /// Whether bst came to the end of its queues and told of every failure that it counted there.
    pub(super) fn is_accounted_for(&self) -> bool {
        let told = |stage: Stage| {
            let of_stage = |failure: &&Diagnosis| failure.stage == Some(stage) && failure.element.is_some();
            self.failures.iter().filter(of_stage).count() as u64
        };
        self.recovered
            || (!self.queues.is_empty()
                && !self.failures.is_empty()
                && self.queues.iter().all(|(stage, queue)| queue.failed <= told(*stage)))
    }
}

/// Numbers of elements that ought to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyMismatch {
    /// Those whose sources' keys bst's messages name.
    pub(super) named: u64,
    /// Those that its summary counts as pushed, or as having been there.
    pub(super) told: u64,
}

/// What is seen in bst's output while it runs.
#[derive(Debug, Default)]
pub(super) struct OutputTracker {
    queues: BTreeMap<Stage, messages::QueueSummary>,
    total: u64,
    listed: BTreeMap<ElementName, ElementState>,
    done: BTreeMap<Stage, BTreeSet<ElementName>>,
    skipped: BTreeMap<Stage, BTreeSet<ElementName>>,
    over: BTreeMap<Stage, u64>,
    junctions: BTreeSet<ElementName>,
    source_keys: BTreeMap<ElementName, SourceKey>,
    pulled_keys: BTreeSet<SourceKey>,
    last: Option<(Stage, ElementName)>,
}

impl OutputTracker {
    pub(super) fn take(&mut self, item: &LogItem) {
        match item {
            LogItem::Listed(listed) => {
                self.listed.insert(listed.element.clone(), listed.state);
            }
            LogItem::Junction(junction) => {
                self.junctions.insert(junction.clone());
            }
            LogItem::Total(total) => self.total = *total,
            LogItem::Queue(queue) => {
                if let Some(stage) = queue.action.stage() {
                    self.queues.insert(stage, queue.clone());
                }
            }
            LogItem::Message(message) => {
                let (Some(stage), Some(element)) = (message.action.stage(), &message.element) else { return };
                if let Some(key) = message.source_key() {
                    // A task that is tried again says it again.
                    self.source_keys.insert(element.clone(), key);
                }
                self.pulled_keys.extend(message.pulled_key());
                match message.task() {
                    Some(TaskState::Succeeded) => {
                        self.done.entry(stage).or_default().insert(element.clone());
                        *self.over.entry(stage).or_default() += 1;
                    }
                    Some(TaskState::Skipped) => {
                        self.skipped.entry(stage).or_default().insert(element.clone());
                        *self.over.entry(stage).or_default() += 1;
                    }
                    Some(TaskState::Failed) => *self.over.entry(stage).or_default() += 1,
                    Some(TaskState::Started | TaskState::Retried) => {}
                    None => return,
                }
                self.last = Some((stage, element.clone()));
            }
            LogItem::Version(_)
            | LogItem::SourceCache { .. }
            | LogItem::Repeated(_)
            | LogItem::Session(_)
            | LogItem::Text(_) => {}
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

    /// What came of the `bst` that said all this.
    pub(super) fn into_attempt(self, exit: Exit, failures: Vec<Diagnosis>) -> StageAttempt {
        StageAttempt {
            exit,
            failures,
            findings: Vec::new(),
            reached: BTreeSet::new(),
            notes: Vec::new(),
            queues: self.queues,
            total: self.total,
            listed: self.listed,
            done: self.done,
            skipped: self.skipped,
            junctions: self.junctions,
            source_keys: self.source_keys,
            pulled_keys: self.pulled_keys,
            seconds: 0.0,
            recovered: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bst::messages::{QueueSummary, TaskAction};

    /// A push that named the keys of so many elements, with this summary.
    fn pushed(exit: Exit, named: usize, processed: u64, skipped: u64, failed: u64) -> StageAttempt {
        let mut tracker = OutputTracker::default();
        for number in 0..named {
            let element = format!("e{number}.bst").parse().unwrap();
            tracker.source_keys.insert(element, "0".repeat(64).parse().unwrap());
        }
        let summary = QueueSummary { action: TaskAction::SourcePush, processed, skipped, failed };
        tracker.queues.insert(Stage::Push, summary);
        tracker.into_attempt(exit, Vec::new())
    }

    #[test]
    fn as_many_keys_are_named_as_the_summary_counts_elements() {
        let (good, bad) = (Exit::Status(0), Exit::Status(255));
        let agrees = |attempt: StageAttempt| attempt.key_mismatch().is_none();
        assert!(agrees(pushed(good, 5, 3, 2, 0)));
        assert_eq!(pushed(good, 4, 3, 2, 0).key_mismatch(), Some(KeyMismatch { named: 4, told: 5 }));
        assert_eq!(pushed(good, 6, 3, 2, 0).key_mismatch(), Some(KeyMismatch { named: 6, told: 5 }));
        assert_eq!(pushed(good, 0, 0, 5, 0).key_mismatch(), Some(KeyMismatch { named: 0, told: 5 }));
        // One of those that failed was named before it did; one that had nothing to do was not fetched.
        assert!(agrees(pushed(bad, 3, 3, 0, 1)) && agrees(pushed(bad, 4, 3, 0, 1)) && agrees(pushed(bad, 3, 3, 1, 0)));
        assert!(!agrees(pushed(bad, 2, 3, 0, 1)) && !agrees(pushed(bad, 5, 3, 0, 1)));
        let mut attempt = pushed(bad, 3, 3, 1, 0);
        attempt.skipped.entry(Stage::Push).or_default().insert("x.bst".parse().unwrap());
        assert!(!agrees(attempt), "it says that it had nothing to do for an element that it does not name");
        assert!(agrees(pushed(Exit::Cancelled, 1, 3, 1, 0)));
        let mut unpushed = pushed(good, 0, 3, 0, 0);
        unpushed.queues.clear();
        assert!(agrees(unpushed), "nothing was pushed, or bst did not come to its summary");
    }
}
