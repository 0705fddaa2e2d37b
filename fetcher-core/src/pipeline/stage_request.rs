//! What `bst` is asked for in a stage, and what came of it.

use std::collections::BTreeSet;

use super::results::CommandScope;
use crate::bst::dialect::ElementSelection;
use crate::config::DependencyScope;
use crate::names::{ElementName, Stage};
use crate::report::{Outcome, StageReport};

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

    /// Adds what another run of the same stages cost. What became of the elements is in the results.
    pub(super) fn add_cost(&mut self, other: &StageRun) {
        for (mine, theirs) in self.reports.iter_mut().zip(&other.reports) {
            mine.seconds += theirs.seconds;
            mine.bst_seconds += theirs.bst_seconds;
            mine.findings.extend(theirs.findings.iter().cloned());
            mine.reached.extend(theirs.reached.iter().cloned());
            mine.notes.extend(theirs.notes.iter().cloned());
        }
    }
}

/// What `bst` is asked for.
#[derive(Debug, Clone)]
pub(super) struct StageRequest {
    pub(super) elements: ElementSelection,
    pub(super) scope: CommandScope,
}

impl StageRequest {
    /// All that the configuration asks for, in whatever words.
    pub(super) fn everything(elements: ElementSelection) -> Self {
        Self { elements, scope: CommandScope::Everything }
    }

    /// These elements alone.
    pub(super) fn named(names: BTreeSet<ElementName>) -> Self {
        let targets = names.iter().map(ToString::to_string).collect();
        Self {
            elements: ElementSelection { targets, deps: DependencyScope::None, except: Vec::new() },
            scope: CommandScope::Named(names),
        }
    }
}
