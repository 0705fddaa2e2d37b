//! What was seen of upstreams before: what is trouble only if it lasts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::json_file::{JsonFile, StateError, StoredJson};
use crate::report::{RotFinding, RotKind};

/// No more upstreams than these are remembered.
const MAX_UPSTREAMS: usize = 100_000;
/// For how long it is remembered what a question was answered that nobody asks any more.
const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(180 * 24);

/// The memory of trouble with upstreams.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RotMemory {
    version: u32,
    /// Since when what was not there has not been there, or a host not been reached.
    #[serde(default)]
    missing_since: BTreeMap<String, Timestamp>,
    /// The default branch of each repository.
    #[serde(default)]
    default_branches: BTreeMap<String, DefaultBranch>,
    /// Since when each finding has been seen.
    #[serde(default)]
    seen_since: BTreeMap<String, Timestamp>,
    /// Since when each question has had the same answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    unchanged: BTreeMap<String, UnchangedAnswer>,
    /// What was found in the last run.
    #[serde(default)]
    findings: Vec<RotFinding>,
    /// When that was.
    #[serde(default)]
    at: Option<Timestamp>,
    /// What was seen in this run.
    #[serde(skip)]
    seen: BTreeSet<String>,
}

/// A repository's default branch, and what it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DefaultBranch {
    name: String,
    #[serde(default)]
    before: Option<(String, Timestamp)>,
}

/// The answer that a question has had for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct UnchangedAnswer {
    /// The state's digest.
    state: String,
    since: Timestamp,
    /// When the question was asked last.
    asked: Timestamp,
}

impl StoredJson for RotMemory {
    const VERSION: u32 = 1;
    const WHAT: &'static str = "memory of trouble with upstreams";
}

/// The file of the memory in a state directory.
pub(crate) fn rot_file(state_dir: &Path) -> JsonFile<RotMemory> {
    JsonFile::at(state_dir.join("rot.json"))
}

impl RotMemory {
    /// What is remembered in a state directory; nothing where nobody was asked yet. Changes nothing.
    ///
    /// # Errors
    /// When the file cannot be read, is broken, or is from a newer release.
    pub fn read(state_dir: &Path) -> Result<Self, StateError> {
        Ok(rot_file(state_dir).read()?.unwrap_or_default())
    }

    /// What was found in the last run, and when that was.
    pub fn findings(&self) -> (&[RotFinding], Option<Timestamp>) {
        (&self.findings, self.at)
    }

    /// Remembers what was found; forgets what was not seen any more.
    pub(crate) fn finish(&mut self, findings: &[RotFinding], now: Timestamp) {
        self.version = Self::VERSION;
        self.findings = findings.to_vec();
        self.at = Some(now);
        let seen = std::mem::take(&mut self.seen);
        self.seen_since.retain(|key, _| seen.contains(key));
        self.unchanged.retain(|_, known| now.duration_since(known.asked) < FORGET_AFTER);
    }

    /// Since when something is missing, if that has been for long enough.
    pub(super) fn lasts(&mut self, key: &str, after: SignedDuration, now: Timestamp) -> Option<Timestamp> {
        if self.missing_since.len() >= MAX_UPSTREAMS && !self.missing_since.contains_key(key) {
            return None;
        }
        let since = self.missing_since.entry(key.to_owned()).or_insert(now);
        // A clock that was ahead says nothing.
        *since = (*since).min(now);
        (now.duration_since(*since) >= after).then_some(*since)
    }

    /// Since when a question has had this answer; none where it has none now.
    pub(super) fn unchanged_since<'k>(
        &mut self,
        key: &'k str,
        state: Option<&'k str>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        // Half of a digest tells one from another.
        let half = |digest: &'k str| &digest[..digest.len().min(32)];
        let key = half(key);
        if self.unchanged.len() >= MAX_UPSTREAMS && !self.unchanged.contains_key(key) {
            return state.map(|_| now);
        }
        let Some(state) = state else {
            // It may be the same still.
            if let Some(known) = self.unchanged.get_mut(key) {
                known.asked = now;
            }
            return None;
        };
        let state = half(state);
        let new = || UnchangedAnswer { state: state.to_owned(), since: now, asked: now };
        let known = self.unchanged.entry(key.to_owned()).or_insert_with(new);
        if known.state != state || known.since > now {
            *known = new();
        }
        known.asked = now;
        Some(known.since)
    }

    pub(super) fn is_well(&mut self, key: &str) {
        self.missing_since.remove(key);
    }

    /// What the default branch was before, and when it was renamed; none where it was not.
    pub(super) fn renamed(&mut self, url: &str, branch: &str, now: Timestamp) -> Option<(String, Timestamp)> {
        if self.default_branches.len() >= MAX_UPSTREAMS && !self.default_branches.contains_key(url) {
            return None;
        }
        let known = self.default_branches.entry(url.to_owned());
        let known = known.or_insert_with(|| DefaultBranch { name: branch.to_owned(), before: None });
        if known.name != branch {
            let before = std::mem::replace(&mut known.name, branch.to_owned());
            known.before = Some((before, now));
        }
        known.before.clone().filter(|(before, _)| before != branch)
    }

    /// Since when a finding has been seen.
    pub(super) fn first_seen(&mut self, kind: RotKind, of: &str, now: Timestamp) -> Timestamp {
        let key = format!("{kind} {of}");
        self.seen.insert(key.clone());
        *self.seen_since.entry(key).or_insert(now)
    }
}
