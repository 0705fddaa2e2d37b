//! From a log, as it comes, to the failures that it tells of.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Read};

use crate::bst::messages::{Action, ElementState, Item, Level, Message, Parser, Queue, Task};
use crate::names::{ElementName, Stage};
use crate::runner::{Exit, RunnerError};

use super::elements::Elements;
use super::ending::Ending;
use super::explain::{of_message, own, short};
use super::installed::InstalledPackages;
use super::network::Reachability;
use super::place;
use super::{Diagnosis, Kind, exit};

/// How many source caches are kept, and queues.
const FEW: usize = 100;
/// Of how many tasks that are under way the steps are kept.
const MAX_STEPS: usize = 1000;
/// How many of the last lines an unknown failure shows.
const LAST_LINES: usize = 12;

/// What a log comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnoses {
    /// What failed; empty where nothing did, whatever was logged on the way.
    pub failures: Vec<Diagnosis>,
    /// What did not fail the run, but will be somebody's failure soon: a source cache out of reach while fetching, a ref
    /// whose content changed upstream.
    pub warnings: Vec<Diagnosis>,
    /// What else the log tells.
    pub facts: Facts,
}

/// What a log tells beside failures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The version of bst.
    pub version: Option<String>,
    /// The elements with a source that has no ref.
    pub no_ref: BTreeSet<ElementName>,
    /// The junctions through which projects were loaded.
    pub junctions: BTreeSet<ElementName>,
    /// What each queue did.
    pub queues: Vec<Queue>,
    /// Which hosts of upstreams were reached, and which were not.
    pub network: Reachability,
}

/// Reads a log's items as they come, and says at its end what failed. Its memory is bounded.
///
/// ```
/// use fetcher_core::bst::messages::Parser;
/// use fetcher_core::diagnosis::{Diagnoser, Kind};
/// use fetcher_core::runner::Exit;
/// let mut diagnoser = Diagnoser::new(None);
/// let mut parser = Parser::default();
/// parser.push(b"git source at a.bst [line 3 column 2]: Did not find 'git' in PATH: ['/bin']\n", &mut |item| diagnoser.take(&item));
/// parser.finish(&mut |item| diagnoser.take(&item));
/// let found = diagnoser.finish(Exit::Status(255));
/// assert_eq!(found.failures[0].kind, Kind::HostToolMissing);
/// ```
#[derive(Debug, Default)]
pub struct Diagnoser {
    stage: Option<Stage>,
    elements: Elements,
    /// The source caches that could not be reached, and why.
    unreached: BTreeMap<String, Diagnosis>,
    /// The source caches that take pushes.
    push_caches: BTreeSet<String>,
    /// The addresses that steps of tasks under way asked.
    steps: BTreeMap<ElementName, BTreeSet<String>>,
    ending: Ending,
    loading: bool,
    facts: Facts,
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
    pub fn take(&mut self, item: &Item) {
        match item {
            Item::Message(message) => self.message(message),
            Item::Repeated(message) if !self.ending.has_begun() => {
                self.elements.repeated(message, self.stage_of(message));
            }
            Item::Text(line) => {
                self.remember(line);
                self.installed.line(line);
                self.ending.text(line);
            }
            Item::Version(version) => self.facts.version = Some(version.clone()),
            Item::Junction(name) => insert(&mut self.facts.junctions, name),
            Item::Listed(listed) if listed.state == ElementState::Junction => {
                insert(&mut self.facts.junctions, &listed.element);
            }
            Item::Listed(listed) if listed.state == ElementState::NoReference => {
                insert(&mut self.facts.no_ref, &listed.element);
            }
            Item::Queue(queue) if self.facts.queues.len() < FEW => self.facts.queues.push(queue.clone()),
            Item::SourceCache { url, push: true } if self.push_caches.len() < FEW => {
                self.push_caches.insert(url.clone());
            }
            Item::Listed(_)
            | Item::Queue(_)
            | Item::SourceCache { .. }
            | Item::Total(_)
            | Item::Session(_)
            | Item::Repeated(_) => {}
        }
    }

    fn message(&mut self, message: &Message) {
        if matches!(message.level, Level::Warning | Level::Failure | Level::Error | Level::Bug) && !message.is_retry() {
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
    fn reach(&mut self, message: &Message) {
        let Some(element) = &message.element else { return };
        if let Some(text) = step(message) {
            if self.steps.contains_key(element) || self.steps.len() < MAX_STEPS {
                let urls = self.steps.entry(element.clone()).or_default();
                urls.extend(place::url(text).filter(|_| urls.len() < FEW));
            }
            return;
        }
        match message.task() {
            Some(Task::Succeeded) => {
                for url in self.steps.remove(element).into_iter().flatten() {
                    self.facts.network.reached(&url);
                }
            }
            Some(Task::Started | Task::Skipped | Task::Retried | Task::Failed) => drop(self.steps.remove(element)),
            None => {}
        }
    }

    /// A message about the whole.
    fn whole(&mut self, message: &Message) {
        match (message.level, message.text.as_str()) {
            (level, "Loading elements") => self.loading = level == Level::Start,
            (Level::Warning, text) => {
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
        if message.level == Level::Success && open && self.ending.ended_well() {
            self.elements.session_succeeded();
        }
    }

    fn cache_unreached(&mut self, words: &str, message: &Message) {
        let url = words.split(": ").next().unwrap_or_default();
        if self.unreached.len() == FEW || self.unreached.contains_key(url) {
            return;
        }
        let mut found = of_message(message);
        if found.kind == Kind::Unknown {
            found = Diagnosis { place: found.place, ..own(Kind::CacheUnreachable, found.message) };
        }
        self.unreached.insert(url.to_owned(), found);
    }

    /// The stage of a message; a junction that is fetched while elements are loaded belongs to the stage that loads them.
    fn stage_of(&self, message: &Message) -> Option<Stage> {
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
    pub fn finish(mut self, exit: impl Into<Option<Exit>>) -> Diagnoses {
        let exit = exit.into();
        let stage = self.stage.or_else(|| self.ending.stage());
        let (mut failures, mut warnings) = std::mem::take(&mut self.elements).finish(exit);
        let text = self.final_words(exit);
        for found in &text {
            if let (Kind::NoRef, Some(element)) = (found.kind, &found.element) {
                insert(&mut self.facts.no_ref, element);
            }
        }
        let nowhere = text.iter().any(|found| found.kind == Kind::NoPushRemote);
        let unreached = std::mem::take(&mut self.unreached);
        let explained = nowhere && !unreached.is_empty();
        // Plain words that nobody knows may be another program's, where something else is known to have failed; and a
        // log without any session need not be bst's, where nothing in it calls itself an error.
        let foreign = exit.is_none() && !self.ending.has_begun() && !self.ending.has_error_line();
        let stray = !failures.is_empty() || foreign;
        let text = text.into_iter().filter(|found| match found.kind {
            Kind::NoPushRemote => !explained,
            Kind::Unknown => !stray,
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
        if failures.iter().any(|found| found.kind != Kind::Interrupted) {
            failures.retain(|found| found.kind != Kind::Interrupted);
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
        Diagnoses { failures, warnings, facts: self.facts }
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
        let cache =
            matches!(found.kind, Kind::CacheUnreachable | Kind::CacheDenied | Kind::CacheFull | Kind::PushIncomplete);
        if cache && found.place.url.is_none() && self.push_caches.len() == 1 {
            found.place.url = self.push_caches.first().map(|url| place::without_credentials(url));
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
        Some(other) if matches!(other.kind, Kind::Unknown | Kind::Git) => *other = found,
        Some(_) => {}
        None => failures.push(found),
    }
}

/// The words of a step of a task that asked an upstream. What a plugin calls "Fetching from" may have found all of it in
/// its mirror and asked nobody (`git_repo`); tracking and downloads do ask.
fn step(message: &Message) -> Option<&str> {
    let text = message.text.as_str();
    let asked = match message.action {
        Action::Track => text.strip_prefix("Tracking "),
        Action::Fetch => text.strip_prefix("Fetching ").filter(|rest| !rest.starts_with("from ")),
        _ => None,
    };
    asked.filter(|text| message.level == Level::Success && text.contains("://"))
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
pub fn diagnose(exit: Option<Exit>, stage: Option<Stage>, log: &mut impl Read) -> io::Result<Diagnoses> {
    let mut diagnoser = Diagnoser::new(stage);
    let mut parser = Parser::of_any_log();
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
                io::ErrorKind::PermissionDenied => Kind::Permission,
                io::ErrorKind::StorageFull => Kind::DiskFull,
                io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock => Kind::HostResources,
                _ => Kind::BstMissing,
            };
            own(kind, error.to_string())
        }
        RunnerError::Follow { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            own(Kind::DiskFull, error.to_string())
        }
        RunnerError::Sandbox { .. } => own(Kind::Unconfined, error.to_string()),
        RunnerError::Follow { .. } | RunnerError::Unstoppable { .. } => own(Kind::HostResources, error.to_string()),
    };
    Diagnosis { stage: Some(stage), ..found }
}
