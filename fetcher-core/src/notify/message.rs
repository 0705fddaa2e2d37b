//! What is told, as data: the same for every notifier, and what webhooks and commands get as JSON.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diagnosis::Diagnosis;
use crate::names::{BranchName, CommitId, ProjectName, RunId};
use crate::report::{IssueGroup, Outcome, RefChange, TrackedRef};
use crate::secret::{Redact, Redactor};

/// One thing to tell.
///
/// It holds no secrets and no control characters but line ends, whatever `bst` printed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Notification {
    /// The version of this format, [`Notification::VERSION`].
    pub version: u32,
    /// Its name: letters, digits, `-` and `.`. It stays the same when the message is sent again.
    pub id: String,
    /// The messages in which the same trouble was told first; none where this is one of those.
    #[serde(default)]
    pub thread: Vec<String>,
    /// What happened.
    pub event: NotificationEvent,
    /// When it happened.
    pub at: Timestamp,
    /// Whether it could not be sent when it happened.
    #[serde(default)]
    pub delayed: bool,
    /// Whether it may have been sent before: whoever sent it was killed before that was certain.
    #[serde(default)]
    pub again: bool,
    /// The host's name.
    pub host: String,
    /// The version of the program or library that tells.
    pub fetcher_version: String,
    /// The run in which it happened; none where there was no run.
    #[serde(default)]
    pub run: Option<RunId>,
    /// What it is about: one branch as a rule, several where the same happened to them in one run.
    pub topics: Vec<NotificationTopic>,
    /// Where to look: a page, where `base-url` is configured.
    #[serde(default)]
    pub url: Option<String>,
}

impl Notification {
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
#[non_exhaustive]
pub enum NotificationEvent {
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

impl NotificationEvent {
    /// Its name as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            NotificationEvent::Failure => "failure",
            NotificationEvent::DifferentFailure => "different-failure",
            NotificationEvent::StillFailing => "still-failing",
            NotificationEvent::Recovery => "recovery",
            NotificationEvent::Change => "change",
            NotificationEvent::Success => "success",
            NotificationEvent::Test => "test",
        }
    }

    /// Whether it tells of something that fails.
    pub fn is_failure(self) -> bool {
        match self {
            NotificationEvent::Failure | NotificationEvent::DifferentFailure | NotificationEvent::StillFailing => true,
            NotificationEvent::Recovery
            | NotificationEvent::Change
            | NotificationEvent::Success
            | NotificationEvent::Test => false,
        }
    }
}

/// One branch, one project whose branches cannot be listed, or (without a project) the fetching host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct NotificationTopic {
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
    /// What failed, at most [`NotificationTopic::MOST`] of it.
    #[serde(default)]
    pub failures: Vec<Diagnosis>,
    /// How many failures are left out of `failures`.
    #[serde(default)]
    pub more_failures: usize,
    /// The causes of all failures, at most [`NotificationTopic::MOST`] of them, each with its first elements.
    #[serde(default)]
    pub issues: Vec<IssueGroup>,
    /// How many causes are left out of `issues`.
    #[serde(default)]
    pub more_issues: usize,
    /// What had failed, in a line, where it is well again.
    #[serde(default)]
    pub was: Option<String>,
    /// The refs that changed and that were not told yet, at most [`NotificationTopic::MOST`] of them.
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

impl NotificationTopic {
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
            issues: Vec::new(),
            more_issues: 0,
            was: None,
            changes: Vec::new(),
            more_changes: 0,
            differing: 0,
            url: None,
            log: None,
            log_end: String::new(),
        }
    }

    /// The causes of what failed, as much of them as a message holds.
    pub(super) fn caused_by(&mut self, mut issues: Vec<IssueGroup>) {
        self.more_issues = issues.len().saturating_sub(Self::MOST);
        issues.truncate(Self::MOST);
        for issue in &mut issues {
            issue.elements.truncate(Self::MOST);
            issue.branches.truncate(Self::MOST);
            issue.upstreams.truncate(Self::MOST);
        }
        self.issues = issues;
    }

    /// What failed, as much of it as a message holds.
    pub(super) fn failed<'d>(&mut self, failures: impl Iterator<Item = &'d Diagnosis>) {
        let all: Vec<_> = failures.collect();
        self.more_failures = all.len().saturating_sub(Self::MOST);
        self.failures = all.into_iter().take(Self::MOST).cloned().collect();
    }
}

/// Fit to leave this host; and of what failed no more words than a message holds.
impl Redact for NotificationTopic {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self {
            project,
            branch,
            commit,
            outcome,
            since,
            failures,
            more_failures,
            issues,
            more_issues,
            was,
            changes,
            more_changes,
            differing,
            url,
            log,
            log_end,
        } = self;
        let short = |text: String| shortened(&text.redacted(redactor), Self::LONGEST).into_owned();
        let failure = |failure: Diagnosis| {
            let failure = failure.redacted(redactor);
            Diagnosis { message: short(failure.message), hint: short(failure.hint), ..failure }
        };
        let issue = |issue: IssueGroup| {
            let issue = issue.redacted(redactor);
            let [title, hint, message] = [issue.title, issue.hint, issue.message].map(short);
            IssueGroup { title, hint, message, ..issue }
        };
        let change = |found: TrackedRef| {
            let found = found.redacted(redactor)?;
            let change = found.change;
            let [old, new, condition, file, kind, url, before, compare] = [
                change.old,
                change.new,
                change.condition,
                change.file,
                change.kind,
                change.url,
                found.before,
                found.compare,
            ]
            .map(|text| text.map(short));
            let change = RefChange { old, new, condition, file, kind, url, ..change };
            Some(TrackedRef { change, before, compare, ..found })
        };
        Self {
            project,
            branch,
            commit,
            outcome,
            since,
            failures: failures.into_iter().map(failure).collect(),
            more_failures,
            issues: issues.into_iter().map(issue).collect(),
            more_issues,
            was: was.map(short),
            changes: changes.into_iter().filter_map(change).collect(),
            more_changes,
            differing,
            url: url.redacted(redactor),
            log: log.redacted(redactor),
            log_end: log_end.redacted(redactor),
        }
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
