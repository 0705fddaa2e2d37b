//! What is known of the elements of a branch with one option set, between runs.
//!
//! One file an option set, so that a branch's state stays small for those who read the states of all branches.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bst::inventory::Inventory;
use crate::diagnosis::Diagnosis;
use crate::json_file::StoredJson;
use crate::names::{CommitId, ElementName, Refs, SourceKey, VariantName};
use crate::report::CacheCoverage;

/// What is known of a branch's elements with one option set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ElementMemory {
    /// The version of this format, [`ElementMemory::VERSION`].
    pub version: u32,
    /// What is known of the refs that the tip has.
    #[serde(default)]
    pub committed: RefsMemory,
    /// What is known of those that tracking found.
    #[serde(default)]
    pub tracked: RefsMemory,
    /// The elements as bst listed them for tracking, where it could not list those of the tip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_track: Option<RememberedInventory>,
    /// What could not be tracked for its upstreams' sake.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub untracked: BTreeMap<ElementName, FailedSources>,
    /// What this run asked bst for already, with its inputs, whether it worked or not. It is not written.
    #[serde(skip)]
    pub asked: BTreeMap<ElementName, String>,
    /// The elements that this run wanted with the refs that tracking found, and whether their sources are known to be
    /// where they are to be; none where it did not come so far. It is not written.
    #[serde(skip)]
    pub settled: Option<BTreeMap<ElementName, bool>>,
}

impl StoredJson for ElementMemory {
    const VERSION: u32 = 1;
    const WHAT: &'static str = "memory of elements";
}

impl ElementMemory {
    /// The version of the format that this library writes.
    pub const VERSION: u32 = 1;

    /// Forgets what was noted later than `now`, for a clock was ahead then. Says whether there was anything.
    pub(crate) fn forget_future(&mut self, now: Timestamp) -> bool {
        let forgotten = [&mut self.committed, &mut self.tracked].map(|refs| refs.forget_future(now));
        let listed = self.to_track.is_some();
        self.to_track = self.to_track.take().filter(|known| known.at <= now);
        self.untracked.retain(|_, failed| failed.at <= now);
        forgotten.contains(&true) || listed != self.to_track.is_some()
    }

    /// What is known of some refs.
    pub fn of(&self, refs: Refs) -> &RefsMemory {
        match refs {
            Refs::Committed => &self.committed,
            Refs::Tracked => &self.tracked,
        }
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, refs: Refs) -> &mut RefsMemory {
        match refs {
            Refs::Committed => &mut self.committed,
            Refs::Tracked => &mut self.tracked,
        }
    }

    /// What stays known where all is to be done again: the sources of elements without a committed ref, which nobody else can
    /// tell before they are tracked, so that upstreams can be asked about them all the same. No listing is taken for it.
    pub(crate) fn into_forced(self) -> Self {
        let known = self.tracked.inventory.map(|known| RememberedInventory { inputs: String::new(), ..known });
        Self { tracked: RefsMemory { inventory: known, ..RefsMemory::default() }, ..Self::default() }
    }

    /// Forgets what failed, so that all of it is tried again.
    pub(crate) fn forget_failures(&mut self) {
        self.untracked.clear();
        self.committed.failed.clear();
        self.tracked.failed.clear();
    }

    /// Gives what was learned of a few elements to the memory of all: what is done is added there, and what the elements
    /// of the project are stays.
    pub(crate) fn return_to(&mut self, whole: ElementMemory) {
        let few = std::mem::replace(self, whole);
        // What was asked for and is not done is so no longer.
        for refs in [&mut self.committed, &mut self.tracked] {
            refs.done.retain(|element, _| !few.asked.contains_key(element));
            refs.failed.retain(|element, _| !few.asked.contains_key(element));
        }
        self.committed.done.extend(few.committed.done);
        self.tracked.done.extend(few.tracked.done);
        self.committed.failed.extend(few.committed.failed);
        self.tracked.failed.extend(few.tracked.failed);
        self.untracked.extend(few.untracked);
        self.asked = few.asked;
        self.settled = None;
    }

    /// What the elements are, and when bst was asked: as the tip has them, with the sources of those that have no
    /// committed ref as tracking found them. None where nothing was listed yet.
    pub fn inventory(&self) -> Option<(Inventory, Timestamp)> {
        let (committed, tracked) = (self.committed.inventory.as_ref(), self.tracked.inventory.as_ref());
        let Some(committed) = committed else {
            return tracked.map(|known| (known.inventory.clone(), known.at));
        };
        let mut inventory = committed.inventory.clone();
        let sources: BTreeMap<_, _> = tracked
            .iter()
            .flat_map(|known| &known.inventory.elements)
            .map(|element| (&element.name, &element.sources))
            .collect();
        for element in inventory.elements.iter_mut().filter(|element| element.sources.is_none()) {
            element.sources = sources.get(&element.name).and_then(|sources| (*sources).clone());
        }
        Some((inventory, committed.at))
    }

    /// What of the sources of a tip is known to be in the cache, as far as it was counted for that tip.
    pub(crate) fn coverage<'m>(
        &'m self,
        commit: &'m CommitId,
        variant: Option<&'m VariantName>,
    ) -> impl Iterator<Item = &'m CacheCoverage> {
        let known = [&self.committed, &self.tracked].into_iter().filter_map(|refs| refs.coverage.as_ref());
        known.filter(move |known| known.commit == *commit && known.variant.as_ref() == variant)
    }

    /// What is known of the sources of an element with these inputs, whichever refs they were fetched and pushed for: the
    /// latest proof, else the latest push.
    pub fn done(&self, element: &ElementName, inputs: &str) -> Option<&DoneElement> {
        let known = [&self.committed, &self.tracked].into_iter().filter_map(|refs| refs.done.get(element));
        known.filter(|done| done.inputs == inputs).max_by_key(|done| (done.proved, done.at))
    }
}

impl RefsMemory {
    /// Forgets what was noted later than `now`, for a clock was ahead then and its age is not known. Says whether there
    /// was anything.
    fn forget_future(&mut self, now: Timestamp) -> bool {
        let before = (self.done.len(), self.inventory.is_some());
        self.coverage = self.coverage.take().filter(|known| known.at <= now);
        self.done.retain(|_, done| done.at <= now);
        self.failed.retain(|_, failed| failed.at <= now);
        self.inventory = self.inventory.take().filter(|known| known.at <= now);
        before != (self.done.len(), self.inventory.is_some())
    }
}

/// What is known of the elements with the refs of the tip, or with those that tracking found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RefsMemory {
    /// The elements, as bst listed them last.
    #[serde(default)]
    pub inventory: Option<RememberedInventory>,
    /// What was fetched, and pushed where that is wanted, by element.
    #[serde(default)]
    pub done: BTreeMap<ElementName, DoneElement>,
    /// What could not be fetched for its upstreams' sake.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<ElementName, FailedSources>,
    /// What of the sources of a tip was known to be in the cache when that was last counted.
    #[serde(default)]
    pub coverage: Option<CacheCoverage>,
}

/// A listing, and what it is a listing of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RememberedInventory {
    /// A digest of what the listing follows from: tree, options, targets, tools.
    pub inputs: String,
    /// When bst was asked.
    pub at: Timestamp,
    /// What it said.
    pub inventory: Inventory,
}

/// An element whose sources could not be tracked or fetched, because of what its upstreams are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct FailedSources {
    /// A digest of what its sources follow from.
    pub inputs: String,
    /// A digest of what its upstreams answered then.
    pub upstreams: String,
    /// When it was tried.
    pub at: Timestamp,
    /// Why it failed, without secrets.
    pub failure: Diagnosis,
}

/// An element whose sources were fetched and pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DoneElement {
    /// A digest of what its sources follow from, of the caches, and of the tools.
    pub inputs: String,
    /// When that was done, or last proved to be so.
    pub at: Timestamp,
    /// The key of its sources, as bst named it; none where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SourceKey>,
    /// When all of its sources were last proved to be in the caches; none where they were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved: Option<Timestamp>,
    /// When a client with empty caches last fetched them; none where none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_by_client: Option<Timestamp>,
}
