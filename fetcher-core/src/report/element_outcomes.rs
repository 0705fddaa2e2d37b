//! What became of each element in a stage.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::diagnosis::redacted_element;
use crate::names::ElementName;
use crate::secret::{Redact, Redactor};

/// What became of one element in one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElementOutcome {
    /// Its task ended well.
    Done,
    /// There was nothing to do for it, now or since it was done before.
    NothingToDo,
    /// It failed, and has not worked since. Why is among the stage's failures, or its findings where it may fail.
    Failed,
}

/// What became of the elements in a stage, each with all attempts together. An element that the stage did not come to is
/// not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct ElementOutcomes {
    /// Those whose task ended well.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub done: BTreeSet<ElementName>,
    /// Those that there was nothing to do for.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub nothing_to_do: BTreeSet<ElementName>,
    /// Those that failed.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub failed: BTreeSet<ElementName>,
}

impl ElementOutcomes {
    /// What became of an element; none where the stage did not come to it.
    pub fn of(&self, element: &ElementName) -> Option<ElementOutcome> {
        let found = [
            (&self.failed, ElementOutcome::Failed),
            (&self.done, ElementOutcome::Done),
            (&self.nothing_to_do, ElementOutcome::NothingToDo),
        ];
        found.into_iter().find(|(elements, _)| elements.contains(element)).map(|(_, outcome)| outcome)
    }

    /// Enters what became of an element, in the place of what was known of it.
    pub fn enter(&mut self, element: ElementName, outcome: ElementOutcome) {
        for elements in [&mut self.done, &mut self.nothing_to_do, &mut self.failed] {
            elements.remove(&element);
        }
        match outcome {
            ElementOutcome::Done => self.done.insert(element),
            ElementOutcome::NothingToDo => self.nothing_to_do.insert(element),
            ElementOutcome::Failed => self.failed.insert(element),
        };
    }

    /// Whether nothing is known of any element.
    pub fn is_empty(&self) -> bool {
        self.done.is_empty() && self.nothing_to_do.is_empty() && self.failed.is_empty()
    }
}

impl Redact for ElementOutcomes {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self { done, nothing_to_do, failed } = self;
        let elements =
            |names: BTreeSet<ElementName>| names.iter().filter_map(|name| redacted_element(name, redactor)).collect();
        Self { done: elements(done), nothing_to_do: elements(nothing_to_do), failed: elements(failed) }
    }
}
