//! What is told, as data: the same for every notifier, and what webhooks and commands get as JSON.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diagnosis::Diagnosis;
use crate::names::{BranchName, CommitId, ProjectName, RunId};
use crate::plain::plain;
use crate::report::{Outcome, TrackedRef};
use crate::secret::Redactor;

/// One thing to tell.
///
/// It holds no secrets and no control characters but line ends, whatever `bst` printed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Message {
    /// The version of this format, [`Message::VERSION`].
    pub version: u32,
    /// Its name: letters, digits, `-` and `.`. It stays the same when the message is sent again.
    pub id: String,
    /// The messages in which the same trouble was told first; none where this is one of those.
    #[serde(default)]
    pub thread: Vec<String>,
    /// What happened.
    pub event: Happening,
    /// When it happened.
    pub at: Timestamp,
    /// Whether it could not be sent when it happened.
    #[serde(default)]
    pub delayed: bool,
    /// The host's name.
    pub host: String,
    /// The version of the program or library that tells.
    pub fetcher_version: String,
    /// The run in which it happened; none where there was no run.
    #[serde(default)]
    pub run: Option<RunId>,
    /// What it is about: one branch as a rule, several where the same happened to them in one run.
    pub topics: Vec<Topic>,
    /// Where to look: a page, where `base-url` is configured.
    #[serde(default)]
    pub url: Option<String>,
}

impl Message {
    /// The version of the format that this library writes.
    pub const VERSION: u32 = 1;

    /// The worst outcome of its topics.
    pub fn outcome(&self) -> Outcome {
        self.topics.iter().map(|topic| topic.outcome).max().unwrap_or(Outcome::Ok)
    }
}

/// What happened. The kebab-case names are stable: JSON, templates and headers use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happening {
    /// What was well fails.
    Failure,
    /// What failed before fails in another way: another kind, element or stage.
    DifferentFailure,
    /// It fails as it did, for longer than `remind-after` since it was told last.
    StillFailing,
    /// What failed is well again.
    Recovery,
    /// Refs changed.
    Change,
    /// All is well, as before.
    Success,
    /// Nothing happened: somebody tries the notifier.
    Test,
}

impl Happening {
    /// Its name as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Happening::Failure => "failure",
            Happening::DifferentFailure => "different-failure",
            Happening::StillFailing => "still-failing",
            Happening::Recovery => "recovery",
            Happening::Change => "change",
            Happening::Success => "success",
            Happening::Test => "test",
        }
    }

    /// Whether it tells of something that fails.
    pub fn is_failure(self) -> bool {
        match self {
            Happening::Failure | Happening::DifferentFailure | Happening::StillFailing => true,
            Happening::Recovery | Happening::Change | Happening::Success | Happening::Test => false,
        }
    }
}

/// One branch, one project whose branches cannot be listed, or (without a project) the fetching host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Topic {
    /// The project; none for what is the matter of no project: the configuration, the disk, the lock, a notifier.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// The branch.
    #[serde(default)]
    pub branch: Option<BranchName>,
    /// The tip that was worked on.
    #[serde(default)]
    pub commit: Option<CommitId>,
    /// How it ended.
    pub outcome: Outcome,
    /// Since when it has failed, or had failed until now.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// What failed, at most [`Topic::MOST`] of it.
    #[serde(default)]
    pub failures: Vec<Diagnosis>,
    /// How many failures are left out of `failures`.
    #[serde(default)]
    pub more_failures: usize,
    /// What had failed, in a line, where it is well again.
    #[serde(default)]
    pub was: Option<String>,
    /// The refs that changed and that were not told yet, at most [`Topic::MOST`] of them.
    #[serde(default)]
    pub changes: Vec<TrackedRef>,
    /// How many changes are left out of `changes`.
    #[serde(default)]
    pub more_changes: usize,
    /// How many refs there are in all that tracking found and that are not the tip's.
    #[serde(default)]
    pub differing: usize,
    /// The page of the log, or what else there is to see of it.
    #[serde(default)]
    pub url: Option<String>,
    /// The log on the host.
    #[serde(default)]
    pub log: Option<PathBuf>,
    /// The end of the log.
    #[serde(default)]
    pub log_end: String,
}

impl Topic {
    /// The most failures and changes that a message holds of one topic.
    pub const MOST: usize = 10;
    /// The most characters of one failure's own words.
    const LONGEST: usize = 2000;

    /// Of the fetching host, well.
    pub(super) fn host() -> Self {
        Self {
            project: None,
            branch: None,
            commit: None,
            outcome: Outcome::Ok,
            since: None,
            failures: Vec::new(),
            more_failures: 0,
            was: None,
            changes: Vec::new(),
            more_changes: 0,
            differing: 0,
            url: None,
            log: None,
            log_end: String::new(),
        }
    }

    /// What failed, as much of it as a message holds.
    pub(super) fn failed<'d>(&mut self, failures: impl Iterator<Item = &'d Diagnosis>) {
        let all: Vec<_> = failures.collect();
        self.more_failures = all.len().saturating_sub(Self::MOST);
        self.failures = all.into_iter().take(Self::MOST).cloned().collect();
    }

    /// The same, fit to leave this host: secrets masked, nothing in it that moves a terminal.
    #[must_use]
    pub(super) fn clean(mut self, redactor: &Redactor) -> Self {
        let clean = |text: &mut String| {
            // Escape sequences go first: one in the middle of a secret would hide it.
            let fit = plain(text);
            *text = shortened(&redactor.redact(&fit), Self::LONGEST).into_owned();
        };
        for failure in &mut self.failures {
            clean(&mut failure.message);
            clean(&mut failure.hint);
            failure.place.url.iter_mut().for_each(clean);
        }
        for found in &mut self.changes {
            let change = &mut found.change;
            let refs = change.old.iter_mut().chain(&mut change.new).chain(&mut found.before);
            let words =
                change.url.iter_mut().chain(&mut change.condition).chain(&mut change.kind).chain(&mut change.file);
            refs.chain(words).chain(&mut found.compare).for_each(clean);
        }
        self.was.iter_mut().for_each(clean);
        self.log_end = redactor.redact(&plain(&self.log_end)).into_owned();
        self
    }
}

/// The text, or its beginning with `…` where it has more than so many characters.
pub(super) fn shortened(text: &str, most: usize) -> std::borrow::Cow<'_, str> {
    if text.char_indices().nth(most).is_none() {
        return text.into();
    }
    let end = text.char_indices().nth(most.saturating_sub(1)).map_or(0, |(at, _)| at);
    format!("{}…", &text[..end]).into()
}
