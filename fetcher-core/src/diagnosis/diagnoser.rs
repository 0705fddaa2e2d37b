//! From a log, as it comes, to the failures that it tells of.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Read};

use crate::address::without_credentials;
use crate::bst::messages::{
    BstMessage, ElementState, LogItem, LogParser, MessageLevel, QueueSummary, TaskAction, TaskState,
};
use crate::failure::is_full;
use crate::names::{ElementName, Stage};
use crate::runner::{Exit, RunnerError};

use super::element_log::ElementLog;
use super::explain::{of_message, own, short};
use super::installed::InstalledPackages;
use super::network::HostReachability;
use super::place;
use super::session_end::SessionEnd;
use super::{Diagnosis, FailureKind, exit};

/// How many source caches are kept, and queues.
const MAX_CACHES: usize = 100;
/// Of how many tasks that are under way the steps are kept.
const MAX_STEPS: usize = 1000;
/// How many of the last lines an unknown failure shows.
const LAST_LINES: usize = 12;

/// What a log comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogDiagnoses {
    /// What failed; empty where nothing did, whatever was logged on the way.
    pub failures: Vec<Diagnosis>,
    /// What did not fail the run, but will be somebody's failure soon: a source cache out of reach while fetching, a ref
    /// whose content changed upstream.
    pub warnings: Vec<Diagnosis>,
    /// What else the log tells.
    pub facts: LogFacts,
}

/// What a log tells beside failures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogFacts {
    /// The version of bst.
    pub version: Option<String>,
    /// The elements with a source that has no ref.
    pub no_ref: BTreeSet<ElementName>,
    /// The junctions through which projects were loaded.
    pub junctions: BTreeSet<ElementName>,
    /// What each queue did.
    pub queues: Vec<QueueSummary>,
    /// Which hosts of upstreams were reached, and which were not.
    pub network: HostReachability,
}

/// Reads a log's items as they come, and says at its end what failed. Its memory is bounded.
///
/// ```
/// use fetcher_core::bst::messages::LogParser;
/// use fetcher_core::diagnosis::{Diagnoser, FailureKind};
/// use fetcher_core::runner::Exit;
/// let mut diagnoser = Diagnoser::new(None);
/// let mut parser = LogParser::default();
/// parser.push(b"git source at a.bst [line 3 column 2]: Did not find 'git' in PATH: ['/bin']\n", &mut |item| diagnoser.take(&item));
/// parser.finish(&mut |item| diagnoser.take(&item));
/// let found = diagnoser.finish(Exit::Status(255));
/// assert_eq!(found.failures[0].kind, FailureKind::HostToolMissing);
/// ```
#[derive(Debug, Default)]
pub struct Diagnoser {
    stage: Option<Stage>,
    elements: ElementLog,
    /// The source caches that could not be reached, and why.
    unreached: BTreeMap<String, Diagnosis>,
    /// The source caches that take pushes.
    push_caches: BTreeSet<String>,
    /// The addresses that steps of tasks under way asked.
    steps: BTreeMap<ElementName, BTreeSet<String>>,
    ending: SessionEnd,
    loading: bool,
    facts: LogFacts,
    last: VecDeque<String>,
    /// What the log lists as installed.
    installed: InstalledPackages,
}

impl Diagnoser {
    /// A diagnoser of what one stage's `bst` says; without a stage, the log itself tells which it is.
    pub fn new(stage: Option<Stage>) -> Self {
        Self { stage, ..Self::default() }
    }

    /// Takes the next item of the log.
    pub fn take(&mut self, item: &LogItem) {
        match item {
            LogItem::Message(message) => self.message(message),
            LogItem::Repeated(message) if !self.ending.has_begun() => {
                self.elements.repeated(message, self.stage_of(message));
            }
            LogItem::Text(line) => {
                self.remember(line);
                self.installed.line(line);
                self.ending.text(line);
            }
            LogItem::Version(version) => self.facts.version = Some(version.clone()),
            LogItem::Junction(name) => insert(&mut self.facts.junctions, name),
            LogItem::Listed(listed) if listed.state == ElementState::Junction => {
                insert(&mut self.facts.junctions, &listed.element);
            }
            LogItem::Listed(listed) if listed.state == ElementState::NoReference => {
                insert(&mut self.facts.no_ref, &listed.element);
            }
            LogItem::Queue(queue) if self.facts.queues.len() < MAX_CACHES => self.facts.queues.push(queue.clone()),
            LogItem::SourceCache { url, push: true } if self.push_caches.len() < MAX_CACHES => {
                self.push_caches.insert(url.clone());
            }
            LogItem::Listed(_)
            | LogItem::Queue(_)
            | LogItem::SourceCache { .. }
            | LogItem::Total(_)
            | LogItem::Session(_)
            | LogItem::Repeated(_) => {}
        }
    }

    fn message(&mut self, message: &BstMessage) {
        if matches!(
            message.level,
            MessageLevel::Warning | MessageLevel::Failure | MessageLevel::Error | MessageLevel::Bug
        ) && !message.is_retry()
        {
            let element = message.element.as_ref().map_or(String::new(), |element| format!("{element}: "));
            self.remember(&format!("{element}{}", message.text));
        }
        if message.element.is_some() {
            self.reach(message);
            self.ending.quiet();
            self.elements.message(message, self.stage_of(message), self.loading);
        } else {
            self.whole(message);
        }
    }

    /// Notes which upstreams answered. A download says that its step succeeded also where it did not, so that only the
    /// whole task's success counts.
    fn reach(&mut self, message: &BstMessage) {
        let Some(element) = &message.element else { return };
        if let Some(text) = step(message) {
            if self.steps.contains_key(element) || self.steps.len() < MAX_STEPS {
                let urls = self.steps.entry(element.clone()).or_default();
                urls.extend(place::url(text).filter(|_| urls.len() < MAX_CACHES));
            }
            return;
        }
        match message.task() {
            Some(TaskState::Succeeded) => {
                for url in self.steps.remove(element).into_iter().flatten() {
                    self.facts.network.reached(&url);
                }
            }
            Some(TaskState::Started | TaskState::Skipped | TaskState::Retried | TaskState::Failed) => {
                drop(self.steps.remove(element));
            }
            None => {}
        }
    }

    /// A message about the whole.
    fn whole(&mut self, message: &BstMessage) {
        match (message.level, message.text.as_str()) {
            (level, "Loading elements") => self.loading = level == MessageLevel::Start,
            (MessageLevel::Warning, text) => {
                if let Some(words) = text.strip_prefix("Failed to initialize remote ") {
                    self.cache_unreached(words, message);
                }
            }
            _ => {}
        }
        let open = self.ending.open_session().is_some();
        self.ending.message(message);
        if !open && let Some(name) = self.ending.open_session() {
            self.elements.session_began(name);
        }
        if message.level == MessageLevel::Success && open && self.ending.ended_well() {
            self.elements.session_succeeded();
        }
    }

    fn cache_unreached(&mut self, words: &str, message: &BstMessage) {
        let url = words.split(": ").next().unwrap_or_default();
        if self.unreached.len() == MAX_CACHES || self.unreached.contains_key(url) {
            return;
        }
        let mut found = of_message(message);
        if found.kind == FailureKind::Unknown {
            found = own(FailureKind::CacheUnreachable, found.message).with_place(found.place);
        }
        self.unreached.insert(url.to_owned(), found);
    }

    /// The stage of a message; a junction that is fetched while elements are loaded belongs to the stage that loads them.
    fn stage_of(&self, message: &BstMessage) -> Option<Stage> {
        let run = self.stage.or_else(|| self.ending.stage());
        if self.loading { run } else { message.action.stage().or(run) }
    }

    fn remember(&mut self, line: &str) {
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(short(line));
    }

    /// Says what failed, from how bst ended; none where that is not known, as of a log from elsewhere.
    pub fn finish(mut self, exit: impl Into<Option<Exit>>) -> LogDiagnoses {
        let exit = exit.into();
        let stage = self.stage.or_else(|| self.ending.stage());
        let (mut failures, mut warnings) = std::mem::take(&mut self.elements).finish(exit);
        let text = self.final_words(exit);
        for found in &text {
            if let (FailureKind::NoRef, Some(element)) = (found.kind, &found.element) {
                insert(&mut self.facts.no_ref, element);
            }
        }
        let nowhere = text.iter().any(|found| found.kind == FailureKind::NoPushRemote);
        let unreached = std::mem::take(&mut self.unreached);
        let explained = nowhere && !unreached.is_empty();
        // Plain words that nobody knows may be another program's, where something else is known to have failed; and a
        // log without any session need not be bst's, where nothing in it calls itself an error.
        let foreign = exit.is_none() && !self.ending.has_begun() && !self.ending.has_error_line();
        let stray = !failures.is_empty() || foreign;
        let text = text.into_iter().filter(|found| match found.kind {
            FailureKind::NoPushRemote => !explained,
            FailureKind::Unknown => !stray,
            _ => true,
        });
        for found in text {
            add_once(&mut failures, found);
        }
        for (url, found) in unreached {
            // Only a push says that there is nowhere to push to, also in the end of a log that tells no stage.
            let pushing = nowhere || (stage == Some(Stage::Push) && self.push_caches.contains(&url));
            if pushing { failures.push(found) } else { warnings.push(found) }
        }
        // What was only stopped because something else failed is not told beside it.
        if failures.iter().any(|found| found.kind != FailureKind::Interrupted) {
            failures.retain(|found| found.kind != FailureKind::Interrupted);
        }
        exit::add(&mut failures, exit, &self.ending, &self.last);
        for found in &mut failures {
            self.installed.correct(found);
        }
        for found in failures.iter_mut().chain(&mut warnings) {
            found.stage = found.stage.or(stage);
            self.complete(found);
        }
        self.facts.network.learn(&failures);
        for found in &mut failures {
            self.facts.network.blame(found);
        }
        LogDiagnoses { failures, warnings, facts: self.facts }
    }

    /// What is said outside of elements, as far as the exit status, or the session's own end, lets it count.
    fn final_words(&self, exit: Option<Exit>) -> Vec<Diagnosis> {
        match exit {
            Some(exit) if exit.is_success() => Vec::new(),
            // What comes after a good end is another command's: it counts where it calls itself an error.
            None if self.ending.ended_well() && !self.ending.has_error_line() => self.ending.before(),
            _ => self.ending.diagnoses(),
        }
    }

    /// Adds where, as far as it is known without the words themselves: the element's file, the only source cache.
    fn complete(&self, found: &mut Diagnosis) {
        let cache = matches!(
            found.kind,
            FailureKind::CacheUnreachable
                | FailureKind::CacheDenied
                | FailureKind::CacheFull
                | FailureKind::PushIncomplete
        );
        if cache && found.place.url.is_none() && self.push_caches.len() == 1 {
            found.place.url = self.push_caches.first().map(|url| without_credentials(url));
        }
        if let (false, None, Some(element)) = (cache, &found.place.file, &found.element) {
            found.place.file = Some(element.as_str().into());
        }
    }
}

/// Adds what was told at the end, but not what an element's own message told already: BuildStream 1 says both.
fn add_once(failures: &mut Vec<Diagnosis>, found: Diagnosis) {
    let same = |other: &&mut Diagnosis| other.element.is_some() && other.element == found.element;
    match failures.iter_mut().find(same) {
        Some(other) if matches!(other.kind, FailureKind::Unknown | FailureKind::Git) => *other = found,
        Some(_) => {}
        None => failures.push(found),
    }
}

/// The words of a step of a task that asked an upstream. What a plugin calls "Fetching from" may have found all of it in
/// its mirror and asked nobody (`git_repo`); tracking and downloads do ask.
fn step(message: &BstMessage) -> Option<&str> {
    let text = message.text.as_str();
    let asked = match message.action {
        TaskAction::Track => text.strip_prefix("Tracking "),
        TaskAction::Fetch => text.strip_prefix("Fetching ").filter(|rest| !rest.starts_with("from ")),
        _ => None,
    };
    asked.filter(|text| message.level == MessageLevel::Success && text.contains("://"))
}

fn insert(names: &mut BTreeSet<ElementName>, name: &ElementName) {
    const MOST_NAMES: usize = 100_000;
    if names.len() < MOST_NAMES {
        names.insert(name.clone());
    }
}

/// Diagnoses a whole log: what bst wrote to its standard error.
///
/// # Errors
/// When the log cannot be read.
pub fn diagnose(exit: Option<Exit>, stage: Option<Stage>, log: &mut impl Read) -> io::Result<LogDiagnoses> {
    let mut diagnoser = Diagnoser::new(stage);
    let mut parser = LogParser::of_any_log();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        match log.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => parser.push(&bytes[..count], &mut |item| diagnoser.take(&item)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    parser.finish(&mut |item| diagnoser.take(&item));
    Ok(diagnoser.finish(exit))
}

/// The diagnosis of a `bst` that could not be run at all, or not be followed to its end.
pub fn of_runner(error: &RunnerError, stage: Stage) -> Diagnosis {
    let found = match error {
        RunnerError::Start { source, .. } => {
            let kind = match source.kind() {
                _ if is_full(source) => FailureKind::DiskFull,
                io::ErrorKind::PermissionDenied => FailureKind::Permission,
                io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock => FailureKind::HostResources,
                _ => FailureKind::BstMissing,
            };
            own(kind, error.to_string())
        }
        RunnerError::Follow { source, .. } if is_full(source) => own(FailureKind::DiskFull, error.to_string()),
        RunnerError::Unavailable { .. } => own(FailureKind::RunnerFailed, error.to_string()),
        RunnerError::Sandbox { .. } => own(FailureKind::Unconfined, error.to_string()),
        RunnerError::Follow { .. } | RunnerError::Unstoppable { .. } => {
            own(FailureKind::HostResources, error.to_string())
        }
    };
    found.with_stage(stage)
}
