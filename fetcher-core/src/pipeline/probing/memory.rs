//! What tracking wrote, by what it follows from: an element's definition without its refs, and the states of its upstreams.
//!
//! One file a project, for all of its branches and option sets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bst::project_files::RefPlace;
use crate::bst::ref_slots::{ref_slots, without_refs};
use crate::json_file::{JsonFile, StoredJson};
use crate::names::{ElementName, ProjectName, digest};
use crate::state::StateStore;

/// How many states of an element's upstreams are remembered: the last ones, so that one that goes back is known.
const STATES: usize = 4;
/// How many elements, files' forms and rewritten files are remembered at most; those that were not needed for longest go.
const MOST_ENTRIES: usize = 50_000;
/// The largest rewritten file that is remembered, in bytes.
const LARGEST_FILE: usize = 1 << 20;
/// The most bytes of rewritten files that are remembered.
const MOST_BYTES: usize = 32 << 20;
/// For how long what nobody needs is remembered, and how exactly it is known when it was needed last, in seconds.
const KEPT: i64 = 60 * 24 * 60 * 60;
const USE_RESOLUTION: i64 = 24 * 60 * 60;

/// What tracking a project's elements wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct TrackingMemory {
    version: u32,
    /// By the digest of an element's definition.
    #[serde(default)]
    elements: BTreeMap<String, TrackedElement>,
    /// The texts without refs of files that bst wrote, by their digests: what it writes into such a file is known.
    #[serde(default)]
    forms: BTreeMap<String, Timestamp>,
    /// What bst made of files that it had not written before, by the digests of what they were.
    #[serde(default)]
    rewrites: BTreeMap<String, RewrittenFile>,
    /// The kinds of sources of which a probe was wrong, with what is known of that.
    #[serde(default)]
    distrusted: BTreeMap<String, ProbeMiss>,
    #[serde(skip)]
    is_changed: bool,
}

/// What tracking an element found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TrackedElement {
    /// The element.
    element: ElementName,
    /// When it was last needed.
    used: Timestamp,
    /// For each state of its upstreams, the newest last.
    results: Vec<TrackedRefs>,
}

/// The refs that tracking finds while upstreams are in some state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TrackedRefs {
    /// A digest of what was seen upstream before it was tracked.
    upstreams: String,
    /// The refs, by file and place.
    #[serde(with = "refs_by_file")]
    pub(super) refs: BTreeMap<RefPlace, String>,
    /// When it was last really tracked.
    pub(super) tracked: Timestamp,
}

/// Refs that tracking found for some state of upstreams.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RememberedRefs {
    /// When it was last really tracked.
    pub tracked: Timestamp,
    /// The refs: file, place in it, and what tracking writes there.
    pub refs: Vec<(PathBuf, String, String)>,
}

/// A file that bst rewrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct RewrittenFile {
    text: String,
    used: Timestamp,
}

/// Where a probe was wrong: tracking found something else than what was known for the same states of upstreams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ProbeMiss {
    /// The element.
    pub(crate) element: ElementName,
    /// When.
    pub(crate) at: Timestamp,
    /// A digest of `[probe.kinds]` as it was.
    kinds: String,
}

impl Default for TrackingMemory {
    fn default() -> Self {
        Self {
            version: Self::VERSION,
            elements: BTreeMap::new(),
            forms: BTreeMap::new(),
            rewrites: BTreeMap::new(),
            distrusted: BTreeMap::new(),
            is_changed: false,
        }
    }
}

impl StoredJson for TrackingMemory {
    const VERSION: u32 = 1;
    const WHAT: &'static str = "memory of tracked refs";
}

impl TrackingMemory {
    /// A project's memory.
    pub(crate) fn file(store: &StateStore, project: &ProjectName) -> JsonFile<Self> {
        JsonFile::at(store.tracking_path(project))
    }

    /// Forgets what was noted later than `now`, for a clock was ahead then.
    pub(crate) fn forget_future(&mut self, now: Timestamp) {
        self.elements.retain(|_, element| {
            element.results.retain(|result| result.tracked <= now);
            element.used = element.used.min(now);
            !element.results.is_empty()
        });
        for used in self.forms.values_mut().chain(self.rewrites.values_mut().map(|file| &mut file.used)) {
            *used = (*used).min(now);
        }
    }

    /// What tracking finds for an element with this definition while its upstreams are in these states.
    pub(super) fn known(&mut self, definition: &str, upstreams: &str, now: Timestamp) -> Option<TrackedRefs> {
        let element = self.elements.get_mut(definition)?;
        let known = element.results.iter().find(|known| known.upstreams == upstreams)?.clone();
        self.is_changed |= touch(&mut element.used, now);
        Some(known)
    }

    /// What is remembered of each element, the latest last.
    pub(super) fn remembered(&self) -> BTreeMap<&ElementName, Vec<RememberedRefs>> {
        let refs = |known: &TrackedRefs| {
            let places = known.refs.iter();
            let refs = places.map(|(place, value)| (place.file.clone(), place.path.clone(), value.clone())).collect();
            RememberedRefs { tracked: known.tracked, refs }
        };
        let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for known in self.elements.values() {
            found.entry(&known.element).or_default().extend(known.results.iter().map(refs));
        }
        for results in found.values_mut() {
            results.sort_by_key(|known| known.tracked);
        }
        found
    }

    /// Enters what tracking found.
    pub(super) fn learn(
        &mut self,
        element: &ElementName,
        definition: &str,
        upstreams: &str,
        refs: BTreeMap<RefPlace, String>,
        now: Timestamp,
    ) {
        let fresh = || TrackedElement { element: element.clone(), used: now, results: Vec::new() };
        let known = self.elements.entry(definition.to_owned()).or_insert_with(fresh);
        known.results.retain(|known| known.upstreams != upstreams);
        known.results.push(TrackedRefs { upstreams: upstreams.to_owned(), refs, tracked: now });
        known.results.drain(..known.results.len().saturating_sub(STATES));
        known.used = now;
        self.is_changed = true;
    }

    /// Enters what bst made of a file.
    pub(super) fn learn_file(&mut self, file: &Path, before: Option<&str>, after: &str, now: Timestamp) {
        let Some(form) = form(after).filter(|_| after.len() <= LARGEST_FILE) else { return };
        if before.is_none_or(|before| self::form(before).as_ref() != Some(&form)) {
            let rewritten = RewrittenFile { text: after.to_owned(), used: now };
            let old = self.rewrites.insert(text_digest(file, before), rewritten);
            self.is_changed |= old.is_none_or(|old| old.text != after);
        }
        self.is_changed |= self.forms.insert(form, now).is_none();
    }

    /// A text in bst's own form with which a file begins: itself where bst wrote it, else what bst made of it.
    pub(super) fn in_form(&mut self, file: &Path, before: Option<&str>, now: Timestamp) -> Option<String> {
        if let Some(before) = before
            && let Some(used) = self.forms.get_mut(&form(before)?)
        {
            self.is_changed |= touch(used, now);
            return Some(before.to_owned());
        }
        let rewritten = self.rewrites.get_mut(&text_digest(file, before))?;
        self.is_changed |= touch(&mut rewritten.used, now);
        Some(rewritten.text.clone())
    }

    /// Whether probes of a kind are believed.
    pub(super) fn trusts(&self, kind: &str, kinds: &str) -> bool {
        self.distrusted.get(kind).is_none_or(|miss| miss.kinds != kinds)
    }

    /// Notes that a probe was wrong: these kinds are tracked from now on.
    pub(super) fn distrust(&mut self, kinds: &BTreeSet<String>, element: &ElementName, declared: &str, now: Timestamp) {
        for kind in kinds {
            let miss = ProbeMiss { element: element.clone(), at: now, kinds: declared.to_owned() };
            self.distrusted.insert(kind.clone(), miss);
        }
        self.is_changed = true;
    }

    /// Trusts probes of a kind again.
    pub(super) fn trust(&mut self, kind: &str) {
        self.is_changed |= self.distrusted.remove(kind).is_some();
    }

    /// What is to be written, if anything changed since this was last asked.
    pub(crate) fn take_changed(&mut self, now: Timestamp) -> Option<&Self> {
        if !std::mem::take(&mut self.is_changed) {
            return None;
        }
        let recent = |used: Timestamp| now.duration_since(used).as_secs() < KEPT;
        self.elements.retain(|_, element| recent(element.used));
        self.forms.retain(|_, used| recent(*used));
        self.rewrites.retain(|_, file| recent(file.used));
        bound(&mut self.elements, MOST_ENTRIES, |element| element.used);
        bound(&mut self.forms, MOST_ENTRIES, |used| *used);
        bound(&mut self.rewrites, MOST_ENTRIES, |file| file.used);
        while self.rewrites.values().map(|file| file.text.len()).sum::<usize>() > MOST_BYTES {
            let most = self.rewrites.len() / 2;
            bound(&mut self.rewrites, most, |file| file.used);
        }
        Some(self)
    }
}

/// Notes that something is needed; says whether that is news.
fn touch(used: &mut Timestamp, now: Timestamp) -> bool {
    let stale = now.duration_since(*used).as_secs() >= USE_RESOLUTION;
    if stale {
        *used = now;
    }
    stale
}

/// Leaves the newest of the entries.
fn bound<V>(entries: &mut BTreeMap<String, V>, most: usize, used: impl Fn(&V) -> Timestamp) {
    if entries.len() <= most {
        return;
    }
    let mut times: Vec<_> = entries.values().map(&used).collect();
    times.sort_unstable();
    let oldest = times[times.len() - most..].first().copied();
    entries.retain(|_, value| oldest.is_some_and(|oldest| used(value) >= oldest));
    let surplus: Vec<_> = entries.keys().take(entries.len().saturating_sub(most)).cloned().collect();
    for key in surplus {
        entries.remove(&key);
    }
}

/// A digest of a file's text; of one that is not there its name.
fn text_digest(file: &Path, text: Option<&str>) -> String {
    text.map_or_else(|| format!("no {}", file.display()), |text| digest(text.as_bytes()))
}

/// A digest of a text without its refs; none where it is not YAML of a project.
fn form(text: &str) -> Option<String> {
    Some(digest(without_refs(text, &ref_slots(text)?).as_bytes()))
}

/// Refs in JSON: by file, then by place.
mod refs_by_file {
    use super::{BTreeMap, Deserialize, PathBuf, RefPlace, Serialize};
    use serde::{Deserializer, Serializer};

    type ByFile = BTreeMap<PathBuf, BTreeMap<String, String>>;

    pub(super) fn serialize<S: Serializer>(
        refs: &BTreeMap<RefPlace, String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut files = ByFile::new();
        for (place, value) in refs {
            files.entry(place.file.clone()).or_default().insert(place.path.clone(), value.clone());
        }
        files.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<RefPlace, String>, D::Error> {
        let files = ByFile::deserialize(deserializer)?.into_iter();
        let places = files.flat_map(|(file, refs)| {
            refs.into_iter().map(move |(path, value)| (RefPlace { file: file.clone(), path }, value))
        });
        Ok(places.collect())
    }
}
