//! What of an element's sources is known to be done, by what they follow from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::inputs;
use super::stage_runner::{StageRequest, StageRunner};
use crate::bst::inventory::Inventory;
use crate::bst::project_files::ProjectFiles;
use crate::names::{ElementName, Refs, SourceKey, Stage, digest};
use crate::report::{ElementOutcome, Outcome, StageReport};
use crate::state::{DoneElement, ElementMemory};

/// The elements whose sources can be fetched, and those that have no ref.
pub(super) struct FetchCandidates {
    pub(super) fetchable: BTreeSet<ElementName>,
    pub(super) missing: BTreeSet<ElementName>,
}

impl FetchCandidates {
    pub(super) fn of(inventory: &Inventory) -> Self {
        let (fetchable, missing): (Vec<_>, Vec<_>) = inventory.elements.iter().partition(|known| known.has_refs);
        let names = |elements: Vec<&crate::bst::inventory::InventoryElement>| {
            elements.into_iter().map(|known| known.name.clone()).collect()
        };
        Self { fetchable: names(fetchable), missing: names(missing) }
    }
}

/// What the sources of elements follow from, in the checkout as it is now.
pub(super) struct ElementInputs {
    files: ProjectFiles,
    /// Options, caches and tools.
    common: String,
    tree: String,
    /// The versions of local sources, where all sources are known.
    local: BTreeMap<ElementName, String>,
}

impl ElementInputs {
    pub(super) fn new(work: &StageRunner<'_, '_>, inventories: &[&Inventory]) -> Self {
        let mut local = BTreeMap::new();
        for known in inventories.iter().flat_map(|inventory| &inventory.elements) {
            let Some(sources) = &known.sources else { continue };
            let of_tree = sources.iter().filter(|source| source.medium.as_deref() == Some("local"));
            let versions: Vec<_> = of_tree.map(|source| source.version.as_deref().unwrap_or_default()).collect();
            local.insert(known.name.clone(), versions.join(" "));
        }
        let files = ProjectFiles::new(&work.pipeline.directories.project);
        Self { files, common: work.common_inputs(), tree: work.tree(), local }
    }

    /// A digest of all that an element's sources follow from, of where they go and of the tools; none where that
    /// cannot be known.
    pub(super) fn of(&self, element: &ElementName) -> Option<String> {
        let from_elsewhere = match element.junctions().next() {
            Some(junction) => self.files.is_from_elsewhere(&junction),
            None => self.local.contains_key(element) || self.files.is_from_elsewhere(element),
        };
        let files = if from_elsewhere { "" } else { &self.tree };
        let local = self.local.get(element).map_or("", String::as_str);
        let parts = [&self.common, &self.files.source_inputs(element)?, files, local];
        Some(digest(parts.map(|part| digest(part.as_bytes())).concat().as_bytes()))
    }
}

/// What a run did for any branch of a project with any option set, so that the same is not done again for the next.
///
/// Branches share caches, and what an element's sources follow from says whether they are the same. Each has a memory of
/// its own between runs, which is written when its turn is over.
#[derive(Debug, Default)]
pub struct RunDone(Mutex<BTreeMap<ElementName, Vec<DoneElement>>>);

/// How many different sources of one element are kept in mind.
const MOST_SOURCES: usize = 50;

impl RunDone {
    /// The latest that was done of an element with these inputs.
    fn known(&self, element: &ElementName, inputs: &str) -> Option<DoneElement> {
        let done = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        done.get(element)?.iter().rfind(|known| known.inputs == inputs).cloned()
    }

    fn enter(&self, element: &ElementName, done: &DoneElement) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(element.clone()).or_default();
        known.retain(|known| known.inputs != done.inputs);
        known.push(done.clone());
        known.drain(..known.len().saturating_sub(MOST_SOURCES));
    }
}

/// What is left to do.
pub(super) struct RemainingWork {
    /// Everything that was looked at, with its inputs.
    looked_at: BTreeMap<ElementName, Option<String>>,
    /// What is done.
    done: BTreeMap<ElementName, DoneElement>,
    /// What was done, and is to be proved anew before it counts.
    unproved: BTreeMap<ElementName, DoneElement>,
    /// What this run tried already.
    tried: BTreeSet<ElementName>,
    /// What bst has to do.
    open: BTreeSet<ElementName>,
}

impl RemainingWork {
    /// Leaves out what is done, and what this very run tried with the same inputs.
    pub(super) fn new(
        work: &StageRunner<'_, '_>,
        candidates: &FetchCandidates,
        inputs: &ElementInputs,
        memory: &ElementMemory,
        is_to_be_proved: bool,
    ) -> Self {
        let (now, refresh_after) = (work.context.clock.now(), work.pipeline.refresh_after);
        let mut names = candidates.fetchable.clone();
        names.extend(work.junctions.iter().filter(|junction| !candidates.missing.contains(*junction)).cloned());
        let looked_at: BTreeMap<_, _> = names.into_iter().map(|name| (name.clone(), inputs.of(&name))).collect();
        let mut choice = Self {
            looked_at: BTreeMap::new(),
            done: BTreeMap::new(),
            unproved: BTreeMap::new(),
            tried: BTreeSet::new(),
            open: BTreeSet::new(),
        };
        for (element, inputs) in &looked_at {
            let own = inputs.as_ref().and_then(|inputs| memory.done(element, inputs)).cloned();
            let of_others = || work.pipeline.done_in_run?.known(element, inputs.as_ref()?);
            let known = own.or_else(of_others);
            let known = known.as_ref();
            let asked = inputs.is_some() && memory.asked.get(element) == inputs.as_ref();
            let since = known.and_then(|known| if is_to_be_proved { known.proved } else { Some(known.at) });
            let fresh = since.is_some_and(|at| asked || now.duration_since(at).unsigned_abs() < refresh_after);
            match known {
                Some(known) if fresh => drop(choice.done.insert(element.clone(), known.clone())),
                _ if asked => drop(choice.tried.insert(element.clone())),
                Some(known) if is_to_be_proved && known.key.is_some() => {
                    choice.unproved.insert(element.clone(), known.clone());
                }
                _ => drop(choice.open.insert(element.clone())),
            }
        }
        Self { looked_at, ..choice }
    }

    /// The keys of what is to be proved anew.
    pub(super) fn unproved_keys(&self) -> BTreeSet<SourceKey> {
        self.unproved.values().filter_map(|known| known.key.clone()).collect()
    }

    /// Takes what the caches said: what they have is done as before, what they lack is left to bst, and what they could
    /// not be asked about stays as it is. Gives what they lack.
    pub(super) fn settle(
        &mut self,
        now: jiff::Timestamp,
        answer: impl Fn(&SourceKey) -> Option<bool>,
    ) -> BTreeSet<ElementName> {
        let mut lost = BTreeSet::new();
        for (element, known) in std::mem::take(&mut self.unproved) {
            match known.key.as_ref().and_then(&answer) {
                Some(true) => {
                    drop(self.done.insert(element, DoneElement { at: now, proved: Some(now), ..known }));
                }
                Some(false) => {
                    lost.insert(element.clone());
                    self.open.insert(element);
                }
                None => drop(self.done.insert(element, DoneElement { proved: None, ..known })),
            }
        }
        lost
    }

    /// Leaves out what would fail again.
    pub(super) fn leave<'e>(&mut self, dead: impl Iterator<Item = &'e ElementName>) {
        for element in dead {
            if self.open.remove(element) {
                self.tried.insert(element.clone());
            }
        }
    }

    /// What an element's sources follow from; none where that cannot be known.
    pub(super) fn inputs(&self, element: &ElementName) -> Option<&str> {
        self.looked_at.get(element)?.as_deref()
    }

    /// What is left to do.
    pub(super) fn open(&self) -> &BTreeSet<ElementName> {
        &self.open
    }

    /// What to ask bst for; none where nothing is left.
    pub(super) fn request(&self, work: &StageRunner<'_, '_>, candidates: &FetchCandidates) -> Option<StageRequest> {
        let all = self.open.len() == self.looked_at.len() && candidates.missing.is_empty();
        match (self.open.is_empty(), all) {
            (true, _) => None,
            (false, true) => Some(StageRequest::everything(work.with_junctions(work.elements.clone()))),
            (false, false) => Some(StageRequest::named(self.open.clone())),
        }
    }

    /// The elements that were looked at.
    pub(super) fn elements(&self) -> impl Iterator<Item = &ElementName> {
        self.looked_at.keys()
    }

    /// Everything that was looked at, with its inputs.
    pub(super) fn looked_at(&self) -> &BTreeMap<ElementName, Option<String>> {
        &self.looked_at
    }

    /// Why nothing is left to do.
    pub(super) fn reason(&self) -> String {
        if !self.tried.is_empty() {
            return "nothing that this run has not tried already".to_owned();
        }
        match self.done.values().map(|known| known.at).min() {
            Some(at) => format!("nothing changed since it was done at {}", at.strftime("%Y-%m-%d %H:%M:%S UTC")),
            None => "no element has a ref".to_owned(),
        }
    }

    /// Counts what was left out because it is done among what had nothing to do.
    pub(super) fn count_in(&self, candidates: &FetchCandidates, report: &mut StageReport) {
        let is_done = |element: &&ElementName| candidates.fetchable.contains(*element);
        let done = self.done.keys().filter(is_done).count() as u64;
        if report.skipped.is_some() || done == 0 {
            return;
        }
        for element in self.done.keys().filter(is_done) {
            if report.results.of(element).is_none() {
                report.results.enter(element.clone(), ElementOutcome::NothingToDo);
            }
        }
        report.elements.total += done;
        report.elements.skipped += done;
        // The others are there.
        if report.outcome == Outcome::Failed {
            report.outcome = Outcome::Partial;
        }
    }

    /// Whether a junction need not be named: it is done, or was tried.
    pub(super) fn leaves_out(&self, element: &ElementName) -> bool {
        self.done.contains_key(element) || self.tried.contains(element)
    }
}

impl StageRunner<'_, '_> {
    /// Enters into the memory what worked, by element, and drops what is no longer part of the project.
    pub(super) fn remember(
        &self,
        refs: Refs,
        last: Stage,
        choice: Option<&RemainingWork>,
        inputs: &ElementInputs,
        memory: &mut ElementMemory,
    ) {
        let mut asked: BTreeMap<ElementName, Option<String>> = BTreeMap::new();
        match choice {
            None => {
                let names = self.results.elements(last).chain(&self.junctions);
                asked.extend(names.map(|element| (element.clone(), inputs.of(element))));
            }
            Some(choice) => {
                let known = &mut memory.of_mut(refs).done;
                known.retain(|element, _| choice.looked_at.contains_key(element));
                for (element, inputs) in &choice.looked_at {
                    match (inputs, choice.done.get(element)) {
                        (Some(_), Some(done)) => drop(known.insert(element.clone(), done.clone())),
                        _ => drop(asked.insert(element.clone(), inputs.clone())),
                    }
                }
                // Junctions that only this showed.
                let more = self.junctions.iter().filter(|junction| !choice.looked_at.contains_key(*junction));
                asked.extend(more.map(|junction| (junction.clone(), inputs.of(junction))));
            }
        }
        let at = self.context.clock.now();
        if refs == Refs::Tracked {
            let done = choice.into_iter().flat_map(|choice| choice.done.keys().map(|element| (element.clone(), true)));
            let worked = asked.keys().map(|element| (element.clone(), self.results.is_good(last, element)));
            memory.settled = Some(worked.chain(done).collect());
        }
        for (element, inputs) in asked {
            let Some(inputs) = inputs else { continue };
            memory.asked.insert(element.clone(), inputs.clone());
            if self.results.is_good(last, &element) {
                let key = self.source_keys.get(&element).cloned();
                memory
                    .of_mut(refs)
                    .done
                    .insert(element, DoneElement { inputs, at, key, proved: None, fetched_by_client: None });
            } else if choice.is_some_and(|choice| choice.open.contains(&element)) {
                // What was done once and has to be done again is not done.
                memory.of_mut(refs).done.retain(|name, known| *name != element || known.inputs != inputs);
            }
        }
    }

    /// Has what was done now, and proved where that is wanted, count for the other branches too.
    pub(super) fn share(&self, refs: Refs, choice: &RemainingWork, memory: &ElementMemory) {
        let Some(shared) = self.pipeline.done_in_run else { return };
        let done = &memory.of(refs).done;
        for (element, known) in choice.open.iter().filter_map(|element| Some((element, done.get(element)?))) {
            shared.enter(element, known);
        }
    }

    /// The elements, and the junctions that showed since they were looked at, with their inputs.
    pub(super) fn with_inputs(
        &self,
        elements: &BTreeMap<ElementName, Option<String>>,
        inputs: &ElementInputs,
    ) -> BTreeMap<ElementName, Option<String>> {
        let mut all = elements.clone();
        for junction in &self.junctions {
            all.entry(junction.clone()).or_insert_with(|| inputs.of(junction));
        }
        all
    }

    /// A digest of options, caches and tools: what all elements' sources depend on beside the checkout.
    pub(super) fn common_inputs(&self) -> String {
        let (project, bst) = (self.pipeline.project, self.pipeline.bst);
        let nowhere = std::path::Path::new("/");
        let parts = [
            format!("{} {:?} {:?}", bst.version, bst.command, self.plugins),
            self.conf(nowhere, nowhere, nowhere),
            // Elsewhere nothing of it is there yet.
            format!("{:?} {:?} {} {}", self.options, project.push, project.fetch, project.trust()),
        ];
        digest(parts.map(|part| digest(part.as_bytes())).concat().as_bytes())
    }

    /// A digest of options and tools: what tracking depends on beside the checkout and the upstreams.
    pub(super) fn tracking_inputs(&self) -> String {
        let (project, bst) = (self.pipeline.project, self.pipeline.bst);
        let parts = [
            format!("{} {:?} {:?}", bst.version, bst.command, self.plugins),
            format!("{:?}", project.buildstream.config),
            format!("{:?}", self.options),
        ];
        digest(parts.map(|part| digest(part.as_bytes())).concat().as_bytes())
    }

    /// The tree that is checked out, by its content, with what was prepared in it.
    pub(super) fn tree(&self) -> String {
        let tree = inputs::tree(&self.pipeline.directories.project);
        let tree = tree.unwrap_or_else(|| self.pipeline.commit.to_string());
        match self.pipeline.prepared {
            Some(prepared) => format!("{tree} {}", prepared.digest()),
            None => tree,
        }
    }

    /// A digest of what a listing follows from. `moved` are the inputs of elements whose refs shape the project itself,
    /// where they are not those of the tip.
    pub(super) fn listing_inputs(&self, moved: &[String]) -> String {
        let elements = format!("{:?} {}", self.elements, self.pipeline.project.directory.display());
        let parts = [self.common_inputs(), self.tree(), elements, moved.concat()];
        digest(parts.map(|part| digest(part.as_bytes())).concat().as_bytes())
    }
}
