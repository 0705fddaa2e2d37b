//! Counting what of a tip's sources is known to be in the cache.

use std::collections::{BTreeMap, BTreeSet};

use super::stage_runner::StageRunner;
use crate::names::{ElementName, Refs, Stage};
use crate::report::CacheCoverage;
use crate::state::ElementMemory;

impl StageRunner<'_, '_> {
    /// Counts what is known to be in the cache when the stages up to `last` are over: of the elements with their inputs,
    /// and of those that have no ref.
    pub(super) fn count_coverage(
        &self,
        last: Stage,
        elements: &BTreeMap<ElementName, Option<String>>,
        without_ref: &BTreeSet<ElementName>,
        memory: &mut ElementMemory,
    ) {
        let is_cached = |element: &ElementName, inputs: Option<&String>| {
            let failed = [Stage::Fetch, last].iter().any(|stage| self.results.is_failed(*stage, element));
            let remembered = || inputs.is_some_and(|inputs| memory.done(element, inputs).is_some());
            !failed && (self.results.is_good(last, element) || remembered())
        };
        let cached: Vec<_> = elements.iter().map(|(name, inputs)| (name, is_cached(name, inputs.as_ref()))).collect();
        // After tracking, what has no ref is missing like anything else.
        let never = without_ref.iter().filter(|_| self.refs == Refs::Tracked).map(|name| (name, false));
        let counts = source_counts(memory);
        let mut coverage = CacheCoverage {
            commit: self.pipeline.commit.clone(),
            variant: self.variant.map(|variant| variant.name.clone()),
            refs: self.refs,
            sources: 0,
            cached: 0,
            without_ref: if self.refs == Refs::Committed { without_ref.len() as u64 } else { 0 },
            missing: Vec::new(),
            at: self.context.clock.now(),
        };
        for (name, is_cached) in cached.into_iter().chain(never) {
            // What is not listed is a junction, whose sources bst has had to fetch.
            let count = counts.get(name).copied().unwrap_or(1);
            coverage.sources += count;
            if is_cached {
                coverage.cached += count;
            } else if count > 0 && coverage.missing.len() < CacheCoverage::NAMED {
                coverage.missing.push(name.clone());
            }
        }
        memory.of_mut(self.refs).coverage = Some(coverage);
    }
}

/// How many sources each element has; one where bst could not tell them.
fn source_counts(memory: &ElementMemory) -> BTreeMap<ElementName, u64> {
    let listed = [&memory.tracked, &memory.committed].into_iter().filter_map(|refs| refs.inventory.as_ref());
    let elements = listed.flat_map(|known| &known.inventory.elements);
    elements.filter_map(|known| Some((known.name.clone(), known.sources.as_ref()?.len() as u64))).collect()
}
