//! What one notifier was told, and what it is still to be told: one file a notifier.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::message::Notification;
use crate::json_file::{JsonFile, StoredJson};
use crate::names::{ProjectName, digest};

/// How the keys of findings begin; no project's name has a colon.
pub(super) const FOUND_IN: &str = "found:";
/// What the topic of a project's upstreams begins with.
pub(super) const ROT_OF: &str = "rot:";

/// The most messages that wait for a notifier that cannot be reached.
const MAX_QUEUED: usize = 100;
/// How long a message waits at most.
const OLDEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The name of a topic: `PROJECT/BRANCH`, `PROJECT`, or `host:` and what is the matter.
pub(super) type TopicKey = String;

/// Everything that is remembered of one notifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct NotifierState {
    version: u32,
    /// What it was told.
    pub(super) topics: BTreeMap<TopicKey, TopicState>,
    /// What it is to be told, in this order.
    #[serde(default)]
    pub(super) outbox: Vec<QueuedMessage>,
}

impl StoredJson for NotifierState {
    const VERSION: u32 = 1;
    const WHAT: &'static str = "memory of a notifier";
}

impl Default for NotifierState {
    fn default() -> Self {
        Self { version: Self::VERSION, topics: BTreeMap::new(), outbox: Vec::new() }
    }
}

/// What a notifier knows of a topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TopicState {
    /// The trouble, where there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trouble: Option<ActiveIssue>,
    /// The refs of which it was told, each as a digest.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) refs: BTreeSet<String>,
}

/// Trouble that lasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ActiveIssue {
    /// Since when.
    pub(super) since: Timestamp,
    /// What fails: kind, element and stage of each failure.
    pub(super) signature: BTreeSet<String>,
    /// What fails, in a line.
    pub(super) cause: String,
    /// When it was told last.
    pub(super) told: Timestamp,
    /// The message that told it first; empty where none did.
    #[serde(default)]
    pub(super) thread: String,
}

/// A message, and what its notifier knows once it has got it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct QueuedMessage {
    /// When it was made.
    pub(super) at: Timestamp,
    /// What to tell; none where the notifier does not want to hear of it.
    pub(super) message: Option<Notification>,
    /// Whether sending it was begun and nobody knows what came of it: whoever sent it was killed, or gave up waiting.
    #[serde(default)]
    pub(super) begun: bool,
    /// What is known then.
    pub(super) after: BTreeMap<TopicKey, TopicState>,
}

impl NotifierState {
    /// The same at this time: what a clock that was ahead noted was noted now.
    pub(super) fn clamped(mut self, now: Timestamp) -> Self {
        let known = self.topics.values_mut().chain(self.outbox.iter_mut().flat_map(|step| step.after.values_mut()));
        for trouble in known.filter_map(|known| known.trouble.as_mut()) {
            trouble.since = trouble.since.min(now);
            trouble.told = trouble.told.min(now);
        }
        self.outbox.iter_mut().for_each(|step| step.at = step.at.min(now));
        self
    }

    /// The file of a notifier of this name.
    pub(super) fn file(directory: &Path, name: &str) -> JsonFile<Self> {
        // Names from the configuration are names of files; one that a program chose may be anything.
        let file = match name.parse::<ProjectName>() {
            Ok(name) => name.to_string(),
            Err(_) => format!("~{}", &digest(name.as_bytes())[..16]),
        };
        JsonFile::at(directory.join(file + ".json"))
    }

    /// What will be known of a topic once all that waits has been told.
    pub(super) fn known(&self, key: &str) -> TopicState {
        let waiting = self.outbox.iter().rev().find_map(|step| step.after.get(key));
        waiting.or_else(|| self.topics.get(key)).cloned().unwrap_or_default()
    }

    /// The topics of which trouble is known, once all that waits has been told.
    pub(super) fn troubled(&self) -> BTreeSet<TopicKey> {
        let keys = self.topics.keys().chain(self.outbox.iter().flat_map(|step| step.after.keys()));
        keys.filter(|key| self.known(key).trouble.is_some()).cloned().collect()
    }

    /// Enters what was told.
    pub(super) fn learn(&mut self, step: QueuedMessage) {
        for (key, known) in step.after {
            if known == TopicState::default() {
                self.topics.remove(&key);
            } else {
                self.topics.insert(key, known);
            }
        }
    }

    /// Gives up what waits for too long, or is too much, oldest first; gives how many messages that were.
    pub(super) fn trim(&mut self, now: Timestamp) -> usize {
        let before = self.messages();
        self.outbox.retain(|step| now.duration_since(step.at) <= OLDEST);
        let surplus = self.outbox.len().saturating_sub(MAX_QUEUED);
        self.outbox.drain(..surplus);
        before - self.messages()
    }

    fn messages(&self) -> usize {
        self.outbox.iter().filter(|step| step.message.is_some()).count()
    }

    /// Forgets branches and projects that are no more.
    pub(super) fn keep(&mut self, there: &BTreeSet<TopicKey>) {
        let waits = |key: &TopicKey| self.outbox.iter().any(|step| step.after.contains_key(key));
        let branch = |key: &TopicKey| key.strip_prefix(FOUND_IN).map_or_else(|| key.clone(), TopicKey::from);
        let projects: BTreeSet<&str> = there.iter().filter_map(|key| key.split('/').next()).collect();
        let is_rot = |key: &TopicKey| key.strip_prefix(ROT_OF).is_some_and(|project| projects.contains(project));
        self.topics
            .retain(|key, _| key.starts_with("host:") || there.contains(&branch(key)) || is_rot(key) || waits(key));
    }
}
