//! What a notifier wants to hear of.

use std::time::Duration;

use globset::GlobBuilder;

use super::message::{NotificationEvent, NotificationTopic};
use crate::config::{NotifierConfig, NotifyOn};

/// What a notifier wants to hear of, and how long it may take to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscription {
    /// Which events; none for a notifier that looks at [`Heartbeat`](super::Heartbeat)s alone.
    pub on: Vec<NotifyOn>,
    /// Names and globs of projects; none for all.
    pub projects: Vec<String>,
    /// Names and globs of branches; none for all.
    pub branches: Vec<String>,
    /// How long a failure lasts before it is told again.
    pub remind_after: Duration,
    /// How long one message may take.
    pub timeout: Duration,
}

/// The defaults of the configuration: failures and recoveries of everything, told again after a day, 30 seconds each.
impl Default for Subscription {
    fn default() -> Self {
        Self {
            on: vec![NotifyOn::Failure, NotifyOn::Recovery],
            projects: Vec::new(),
            branches: Vec::new(),
            remind_after: Duration::from_secs(24 * 60 * 60),
            timeout: Duration::from_secs(30),
        }
    }
}

impl From<&NotifierConfig> for Subscription {
    fn from(config: &NotifierConfig) -> Self {
        Self {
            on: config.on.clone(),
            projects: config.projects.clone(),
            branches: config.branches.clone(),
            remind_after: config.remind_after,
            timeout: config.timeout,
        }
    }
}

impl Subscription {
    /// Whether it wants to hear of such an event.
    pub fn event(&self, event: NotificationEvent) -> bool {
        self.on.iter().any(|on| match (on, event) {
            (_, NotificationEvent::Test) | (NotifyOn::Always, _) => true,
            (NotifyOn::Failure, event) => event.is_failure(),
            (NotifyOn::Recovery, event) => event == NotificationEvent::Recovery,
            (NotifyOn::Success, event) => matches!(event, NotificationEvent::Recovery | NotificationEvent::Success),
            (NotifyOn::Rot, _) => false,
            (NotifyOn::Change, event) => {
                matches!(event, NotificationEvent::Failure | NotificationEvent::Recovery | NotificationEvent::Change)
            }
        })
    }

    /// Whether it wants to hear of trouble to come with upstreams.
    pub(super) fn rot(&self) -> bool {
        self.on.iter().any(|on| matches!(on, NotifyOn::Rot | NotifyOn::Always))
    }

    /// Whether every run is told, also where all is as it was.
    pub(super) fn every_run(&self) -> bool {
        self.on.contains(&NotifyOn::Always)
    }

    /// Whether it wants to hear of this branch or project. The host is everybody's matter, and so is a project whose
    /// branches are unknown for those who want some of its branches.
    pub fn topic(&self, topic: &NotificationTopic) -> bool {
        let project = topic.project.as_ref().is_none_or(|name| self.wants_project(name.as_str()));
        project && topic.branch.as_ref().is_none_or(|name| selected(&self.branches, name.as_str()))
    }

    /// Whether it wants to hear of the project of this name.
    pub(super) fn wants_project(&self, name: &str) -> bool {
        selected(&self.projects, name)
    }
}

/// As branches are selected in a project: `*` stands for any text, slashes too.
fn selected(patterns: &[String], name: &str) -> bool {
    let matches = |pattern: &String| {
        pattern == name
            || GlobBuilder::new(pattern)
                .literal_separator(false)
                .backslash_escape(true)
                .build()
                .is_ok_and(|glob| glob.compile_matcher().is_match(name))
    };
    patterns.is_empty() || patterns.iter().any(matches)
}
