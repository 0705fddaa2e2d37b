//! How it stands with each element: its fate is its last message.

use std::collections::BTreeMap;

use crate::bst::messages::{BstMessage, LogExcerpt, MessageLevel, TaskAction, TaskState};
use crate::names::{ElementName, Stage};
use crate::runner::Exit;

use super::explain::{cut, of_message, own, short};
use super::place::place;
use super::{Diagnosis, FailureKind, Location};
use crate::failure::phrases;

/// How many elements' troubles are kept; what is beyond is counted.
pub(super) const MAX_ELEMENTS: usize = 2_000;
/// How many elements with open steps are kept, and how many steps of each.
const OPEN_STEPS: usize = 50;

/// The elements of which something else than success was heard.
#[derive(Debug, Default)]
pub(super) struct ElementLog {
    fates: BTreeMap<ElementName, LoggedOutcome>,
    /// How often there was no room for another element's.
    more: u64,
    warnings: Vec<Diagnosis>,
    /// For how many warnings there was no room.
    more_warnings: u64,
    /// The steps of tasks that began and did not end.
    steps: BTreeMap<ElementName, Vec<String>>,
    /// The names of the sessions that began.
    sessions: Vec<String>,
}

#[derive(Debug, Default)]
struct LoggedOutcome {
    /// Its failure.
    failed: Option<ElementMessage>,
    /// Why it is tried again.
    tried: Option<ElementMessage>,
    /// What was not pushed though the task went on.
    unpushed: Option<Diagnosis>,
}

/// A message that may turn out to be the last: only then is it looked into.
#[derive(Debug)]
struct ElementMessage {
    message: BstMessage,
    stage: Option<Stage>,
    /// Whether the element was fetched while others were loaded.
    junction: bool,
    /// Whether it is known to be the whole task's.
    whole: bool,
    /// Whether it is known to be a step's, after which a task may go on by another way (the origin after a mirror).
    step: bool,
    /// How many sessions had begun.
    session: usize,
}

impl ElementMessage {
    fn new(message: &BstMessage, stage: Option<Stage>, junction: bool) -> Self {
        let lines = |excerpt: &LogExcerpt, first: usize, last: usize| {
            let all: Vec<&str> = excerpt.lines().collect();
            let first = first.min(all.len());
            let last = all.len().saturating_sub(last).max(first);
            let mut few = LogExcerpt::default();
            all[..first].iter().chain(&all[last..]).for_each(|line| few.push(cut(line)));
            few
        };
        let BstMessage { action, level, ref element, .. } = *message;
        let message = BstMessage {
            action,
            level,
            element: element.clone(),
            text: cut(&message.text).to_owned(),
            detail: lines(&message.detail, 10, 20),
            log_file: message.log_file.as_deref().map(|name| cut(name).to_owned()),
            log: lines(&message.log, 0, 50),
        };
        let whole = message.task() == Some(TaskState::Failed) || level != MessageLevel::Failure;
        Self { message, stage, junction, whole, step: false, session: 0 }
    }

    fn diagnosis(&self) -> Diagnosis {
        let mut found = of_message(&self.message);
        found.stage = self.stage;
        if self.junction {
            found.hint = format!("{}. It is a junction: nothing behind it can be loaded without", found.hint);
        }
        found
    }
}

impl ElementLog {
    /// A message about an element, of the stage; `loading` says whether bst is still loading elements.
    pub(super) fn message(&mut self, message: &BstMessage, stage: Option<Stage>, loading: bool) {
        let Some(element) = &message.element else { return };
        let step = self.is_step(element, message);
        if matches!(message.level, MessageLevel::Start | MessageLevel::Success)
            && let Some(fate) = self.fates.get_mut(element)
            && fate.failed.as_ref().is_some_and(|heard| heard.step)
        {
            fate.failed = None;
        }
        match (message.level, message.task()) {
            (_, Some(TaskState::Started)) => {
                if let Some(fate) = self.fates.get_mut(element) {
                    (fate.failed, fate.unpushed) = (None, None);
                }
            }
            (_, Some(TaskState::Succeeded | TaskState::Skipped)) => {
                if let Some(fate) = self.fates.get_mut(element) {
                    (fate.failed, fate.tried) = (None, None);
                    if fate.unpushed.is_none() {
                        self.fates.remove(element);
                    }
                }
            }
            (MessageLevel::Failure | MessageLevel::Error | MessageLevel::Bug, task) => {
                let junction = loading && message.action == TaskAction::Fetch;
                let session = self.sessions.len();
                let Some(fate) = self.fate(element) else { return };
                let heard = Some(ElementMessage { step, session, ..ElementMessage::new(message, stage, junction) });
                if task == Some(TaskState::Retried) {
                    (fate.failed, fate.tried) = (None, heard);
                } else {
                    fate.failed = heard;
                }
            }
            (MessageLevel::Info, _) if message.action == TaskAction::SourcePush => {
                self.pushing(element, message, stage);
            }
            (MessageLevel::Warning, _) => self.warning(message, stage),
            _ => {}
        }
    }

    /// Keeps the steps that are open, and says whether the message is the end of one.
    fn is_step(&mut self, element: &ElementName, message: &BstMessage) -> bool {
        match message.task() {
            Some(
                TaskState::Started | TaskState::Succeeded | TaskState::Skipped | TaskState::Retried | TaskState::Failed,
            ) => {
                self.steps.remove(element);
                return false;
            }
            None => {}
        }
        let name = cut(&message.text);
        match message.level {
            MessageLevel::Start if self.steps.len() < OPEN_STEPS || self.steps.contains_key(element) => {
                let open = self.steps.entry(element.clone()).or_default();
                if open.len() < OPEN_STEPS {
                    open.push(name.to_owned());
                }
                false
            }
            MessageLevel::Success | MessageLevel::Failure => {
                let Some(open) = self.steps.get_mut(element) else { return false };
                let at = open.iter().rposition(|open| open == name);
                if let Some(at) = at {
                    open.truncate(at);
                }
                at.is_some()
            }
            _ => false,
        }
    }

    /// A session of that name began.
    pub(super) fn session_began(&mut self, name: &str) {
        const MOST_SESSIONS: usize = 1000;
        if self.sessions.len() < MOST_SESSIONS {
            self.sessions.push(name.to_owned());
        }
    }

    /// The session ended well: whatever failed in it on the way, or in earlier tries of the same, was made good.
    pub(super) fn session_succeeded(&mut self) {
        let sessions = std::mem::take(&mut self.sessions);
        let same = |heard: &ElementMessage| {
            heard.session == sessions.len() || sessions.get(heard.session.wrapping_sub(1)) == sessions.last()
        };
        self.fates.retain(|_, fate| {
            for heard in [&mut fate.failed, &mut fate.tried] {
                if heard.as_ref().is_some_and(same) {
                    *heard = None;
                }
            }
            fate.failed.is_some() || fate.tried.is_some() || fate.unpushed.is_some()
        });
        self.sessions = sessions;
    }

    /// A message that is told once more. It counts where it was not heard before: the beginning of the log is missing.
    pub(super) fn repeated(&mut self, message: &BstMessage, stage: Option<Stage>) {
        let Some(element) = message.element.as_ref().filter(|_| !message.is_retry()) else { return };
        let Some(fate) = self.fate(element).filter(|fate| fate.failed.is_none()) else { return };
        fate.failed = Some(ElementMessage { whole: true, ..ElementMessage::new(message, stage, false) });
    }

    /// bst passes over what a source cache does not take, and says so as information.
    fn pushing(&mut self, element: &ElementName, message: &BstMessage, stage: Option<Stage>) {
        let Some(kind) = phrases::cache::of_passed_over(&message.text) else { return };
        let words = if kind == FailureKind::CacheFull {
            "the source cache took no blobs, for it is full; bst counts the element as skipped".to_owned()
        } else {
            format!("{}; bst went on as if it had not", message.text)
        };
        let Some(fate) = self.fate(element) else { return };
        let place = place(&message.text, None);
        fate.unpushed =
            Some(own(kind, short(&words)).with_element(element.clone()).with_stage(stage).with_place(place));
    }

    /// The content behind an address is another than the ref says, found while tracking: a line with the address, the
    /// old and the new ref each (`downloadablefilesource.py` of BuildStream 2.8.1; 1.x says the same).
    fn warning(&mut self, message: &BstMessage, stage: Option<Stage>) {
        let Some(kind) = phrases::bst::of_warning(&message.text) else { return };
        if self.warnings.len() == MAX_ELEMENTS {
            self.more_warnings += 1;
            return;
        }
        let value = |name: &str| {
            message.detail.lines().find_map(|line| line.trim().strip_prefix(name)).map(|value| short(value.trim()))
        };
        let url = value("Tracked URL:");
        let what = url.as_deref().unwrap_or("an address of its sources");
        let mut words = format!("other content is served under {what}");
        for (name, value) in [("old", value("Current ref:")), ("new", value("New ref:"))] {
            words.extend(value.map(|value| format!("\n{name}: {value}")));
        }
        let place = Location { url, ..place(&message.text, None) };
        let element = message.element.clone();
        let found = own(kind, words).with_element(element).with_stage(stage).with_place(place);
        // A stage that is tried again says it again.
        if !self.warnings.contains(&found) {
            self.warnings.push(found);
        }
    }

    /// The element's fate, if there is room for it.
    fn fate(&mut self, element: &ElementName) -> Option<&mut LoggedOutcome> {
        if self.fates.len() == MAX_ELEMENTS && !self.fates.contains_key(element) {
            self.more += 1;
            return None;
        }
        Some(self.fates.entry(element.clone()).or_default())
    }

    /// The failures and the warnings: the elements whose last word was a failure, or whose push was not whole.
    pub(super) fn finish(self, exit: Option<Exit>) -> (Vec<Diagnosis>, Vec<Diagnosis>) {
        let stopped = matches!(exit, Some(Exit::TimedOut | Exit::Cancelled | Exit::NoSpace { .. } | Exit::Signal(_)));
        let success = exit.is_some_and(Exit::is_success);
        let mut failures = Vec::new();
        for fate in self.fates.into_values() {
            // A step that failed is no failure of its task where that was stopped, or went on by another way.
            let failed = fate.failed.filter(|heard| !success && (heard.whole || !stopped));
            // A try that was cut short while it was repeated tells why it took so long.
            let tried = || {
                let found = fate.tried.filter(|_| stopped)?.diagnosis();
                (found.kind != FailureKind::Unknown && found.kind != FailureKind::Git).then_some(found)
            };
            failures.extend(failed.map(|heard| heard.diagnosis()).or(fate.unpushed).or_else(tried));
        }
        if self.more > 0 {
            failures.push(own(FailureKind::Unknown, "more elements failed than are shown; the log has them all"));
        }
        let mut warnings = self.warnings;
        if self.more_warnings > 0 {
            let words =
                format!("{} more sources than are shown have other content; the log has them all", self.more_warnings);
            warnings.push(own(FailureKind::ChecksumChanged, words));
        }
        (failures, warnings)
    }
}
