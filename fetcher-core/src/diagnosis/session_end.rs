//! How a run of bst ended: the state of its session, its last words, and what the log says of the command as a whole.

use crate::bst::messages::{BstMessage, LogExcerpt, MessageLevel};
use crate::names::{ElementName, Stage};

use super::closing_line::{self, ClosingLine, StopReason};
use super::explain::{cut, element_in, is_known, of_error, of_message, of_traceback, own};
use super::{Diagnosis, FailureKind, exception};
use crate::failure::LineDiagnosis;
use crate::failure::phrases::{cache, closing};

/// How many sessions' failures are kept, and how many plain lines that tell of one in the middle.
const MAX_SESSIONS: usize = 20;

/// The state of a session, and the text at its end.
#[derive(Debug, Default)]
pub(super) struct SessionEnd {
    session: SessionPhase,
    /// The plain lines since the last message: the final error, when nothing comes after.
    text: LogExcerpt,
    /// A traceback that something came after.
    crash: LogExcerpt,
    /// What was said of the whole as an error or a bug.
    broken: Option<BstMessage>,
    /// The sessions before this one that failed, and why.
    earlier: Vec<(String, Vec<Diagnosis>)>,
    /// What plain lines in the middle told.
    noticed: Vec<Diagnosis>,
    /// Why the command was stopped, as whoever ran it says.
    stopped: Option<StopReason>,
    /// Whether whoever ran the command says that it failed.
    failed: bool,
}

#[derive(Debug, Default)]
enum SessionPhase {
    #[default]
    None,
    Open(String),
    Ended(String, SessionOutcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionOutcome {
    Good,
    Failed,
    Terminated,
}

/// What a session as a whole does first; none of these is a session's name.
const STEPS: [&str; 16] = [
    "Loading elements",
    "Loading pipeline",
    "Resolving elements",
    "Resolving pipeline",
    "Resolving cached state",
    "Initializing remote caches",
    "Initializing remote execution",
    "Query cache",
    "Loading artifacts",
    "Querying remotes for cached status",
    "Checking sources",
    "Checking cached state",
    "Starting buildbox-casd",
    "Terminating buildbox-casd",
    "Cleaning up",
    "Caching",
];

impl SessionEnd {
    /// A plain line.
    pub(super) fn text(&mut self, line: &str) {
        match closing_line::of_line(line) {
            Some(ClosingLine::Stopped(reason)) => self.stopped = self.stopped.max(Some(reason)),
            Some(ClosingLine::Failed) => self.failed = true,
            Some(ClosingLine::Nothing) => {}
            None if cache::is_lost_message(line) => {
                if self.noticed.len() < MAX_SESSIONS {
                    let found = of_error(line.trim(), &LogExcerpt::default());
                    let element = line.split("for element ").nth(1).and_then(|name| name.trim().parse().ok());
                    self.noticed.push(found.with_element(element));
                }
            }
            None => self.text.push(cut(without_marks(line))),
        }
    }

    /// Something else came: what was plain text was not the end.
    pub(super) fn quiet(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        if text.lines().any(exception::begins) {
            self.crash = text;
        }
    }

    /// A message about the whole.
    pub(super) fn message(&mut self, message: &BstMessage) {
        let text = &message.text;
        // It is told after the final error, where it takes long.
        if text == "Terminating buildbox-casd" {
            return;
        }
        let begins = message.level == MessageLevel::Start && !STEPS.contains(&text.as_str());
        if begins && matches!(self.session, SessionPhase::Ended(_, SessionOutcome::Failed)) {
            self.stash();
        }
        self.quiet();
        match (&self.session, message.level) {
            (SessionPhase::None | SessionPhase::Ended(..), MessageLevel::Start) if begins => {
                self.session = SessionPhase::Open(text.clone());
            }
            (SessionPhase::Open(name), MessageLevel::Success) if text == name => {
                self.earlier.retain(|(earlier, _)| earlier != text);
                self.session = SessionPhase::Ended(text.clone(), SessionOutcome::Good);
            }
            (SessionPhase::Open(name), MessageLevel::Warning) if text.strip_suffix(" Terminated") == Some(name) => {
                self.session = SessionPhase::Ended(name.clone(), SessionOutcome::Terminated);
            }
            (_, MessageLevel::Bug | MessageLevel::Error) => self.broken = Some(message.clone()),
            (session, MessageLevel::Failure) => {
                // The beginning may not be in the log.
                if matches!(session, SessionPhase::Open(name) if name == text)
                    || !matches!(session, SessionPhase::Open(_))
                {
                    self.session = SessionPhase::Ended(text.clone(), SessionOutcome::Failed);
                }
                // Where the empty line between was not copied, the final error stands right under it.
                for line in message.detail.lines() {
                    self.text(line);
                }
            }
            _ => {}
        }
    }

    /// Keeps what the session failed with, for another begins.
    fn stash(&mut self) {
        let SessionPhase::Ended(name, _) = &self.session else { return };
        let name = name.clone();
        let stage = self.stage();
        let mut found = self.of_session();
        for found in &mut found {
            found.stage = found.stage.or(stage);
        }
        self.broken = None;
        self.crash = LogExcerpt::default();
        if !found.is_empty() && self.earlier.len() < MAX_SESSIONS {
            self.earlier.push((name, found));
        }
    }

    /// The stage that the session says it is.
    pub(super) fn stage(&self) -> Option<Stage> {
        match &self.session {
            SessionPhase::None => None,
            SessionPhase::Open(name) | SessionPhase::Ended(name, _) => stage(name),
        }
    }

    /// Whether the beginning of the session was seen.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.session, SessionPhase::None)
    }

    /// Whether the session is known to have ended well.
    pub(super) fn ended_well(&self) -> bool {
        matches!(self.session, SessionPhase::Ended(_, SessionOutcome::Good))
    }

    /// Whether the session is known to have been ended by its user.
    pub(super) fn was_terminated(&self) -> bool {
        matches!(self.session, SessionPhase::Ended(_, SessionOutcome::Terminated))
    }

    /// The session that has no end in the log.
    pub(super) fn open_session(&self) -> Option<&str> {
        if let SessionPhase::Open(name) = &self.session { Some(name) } else { None }
    }

    /// The session that failed, where the log does not say why.
    pub(super) fn failed_session(&self) -> Option<&str> {
        if let SessionPhase::Ended(name, SessionOutcome::Failed) = &self.session { Some(name) } else { None }
    }

    /// Why the command was stopped, as whoever ran it says.
    pub(super) fn stop_reason(&self) -> Option<StopReason> {
        self.stopped
    }

    /// Whether whoever ran the command says that it failed.
    pub(super) fn is_said_to_have_failed(&self) -> bool {
        self.failed
    }

    /// Whether the whole has an error of bst's, or a plain line at the end calls itself one.
    pub(super) fn has_error_line(&self) -> bool {
        self.broken.is_some() || self.text.lines().chain(self.crash.lines()).any(is_error_line)
    }

    /// What bst says at its end.
    pub(super) fn diagnoses(&self) -> Vec<Diagnosis> {
        let mut found = self.of_session();
        found.extend(self.before());
        found
    }

    /// What was told before the end: of earlier sessions, and in the middle.
    pub(super) fn before(&self) -> Vec<Diagnosis> {
        self.earlier.iter().flat_map(|(_, found)| found).chain(&self.noticed).cloned().collect()
    }

    fn of_session(&self) -> Vec<Diagnosis> {
        let mut found: Vec<_> = self.broken.iter().map(of_message).collect();
        let mut lines: Vec<&str> = self.text.lines().collect();
        if lines.is_empty() {
            lines = self.crash.lines().collect();
        }
        if let Some(begin) = lines.iter().position(|line| exception::begins(line)) {
            found.extend(of_crash(&lines[begin..]));
        } else {
            found.extend(last_words(&lines));
        }
        found
    }
}

/// A traceback that Python printed. With `--debug` bst shows its own errors so, and those without words only say that
/// something failed before.
fn of_crash(lines: &[&str]) -> Option<Diagnosis> {
    let own = lines.iter().rposition(|line| line.starts_with("buildstream.") && line.contains("._exceptions."));
    let Some(at) = own else { return Some(of_traceback(lines)) };
    let words = lines[at].split_once(": ")?.1;
    let mut found = of_error(words, &LogExcerpt::default());
    found.element = element_in(words);
    Some(found)
}

fn stage(session: &str) -> Option<Stage> {
    match session {
        "Track" => Some(Stage::Track),
        "Fetch" => Some(Stage::Fetch),
        "Push" => Some(Stage::Push),
        _ => None,
    }
}

/// The final error: a line, and what stands under it.
fn last_words(lines: &[&str]) -> Vec<Diagnosis> {
    let lines: Vec<&str> = lines.iter().copied().filter(|line| !is_noise(line)).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    let first = of_final(&lines);
    if first[0].kind != FailureKind::Unknown {
        return first;
    }
    // Where bst's words stand among those of whatever ran it, the last that is known counts.
    let known = (1..lines.len()).rev().filter(|at| is_known(lines[*at])).map(|at| of_final(&lines[at..]));
    known.take(MAX_SESSIONS).find(|found| found[0].kind != FailureKind::Unknown).unwrap_or_else(|| {
        let at = lines.iter().rposition(|line| is_error_line(line)).unwrap_or_default();
        of_final(&lines[at..])
    })
}

/// The error whose first line is the first of these; at least one.
fn of_final(lines: &[&str]) -> Vec<Diagnosis> {
    let first = lines[0];
    let mut detail = LogExcerpt::default();
    lines[1..].iter().for_each(|line| detail.push(*line));
    let mut found = of_error(first.trim_start(), &detail);
    if found.kind != FailureKind::NoRef {
        found.element = element_in(first);
        return vec![match closing::of_containers(first) {
            Some(said) => of_container(found, said),
            None => found,
        }];
    }
    // `Element: a.bst is inconsistent`, and under each its sources.
    let inconsistent: Vec<_> = detail
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Element: ")?.strip_suffix(" is inconsistent")?.parse().ok())
        .map(|element: ElementName| {
            found
                .clone()
                .with_message(format!("{first}: {element} has a source without a ref"))
                .with_element(element)
                .with_place(super::Location::default())
        })
        .collect();
    if inconsistent.is_empty() { vec![found] } else { inconsistent }
}

/// That image is the matter of whoever runs the host, whatever is wrong with it.
fn of_container(found: Diagnosis, said: LineDiagnosis) -> Diagnosis {
    let kind = match found.kind {
        FailureKind::RefMissing
        | FailureKind::NotFound
        | FailureKind::Unauthorised
        | FailureKind::Unknown
        | FailureKind::ProjectInvalid => said.kind,
        kind => kind,
    };
    let retry = if kind == said.kind { said.retry } else { found.retry };
    Diagnosis { kind, retry, actor: said.actor, hint: said.hint.into_owned(), ..found }
}

/// Lines that bst or its libraries write beside an error: usage, Python's warnings, the prompt, the heads of tasks' logs.
pub(super) fn is_noise(line: &str) -> bool {
    line.starts_with("Usage: ")
        || (line.starts_with("Try '") && line.contains("for help"))
        || (line.contains(".py:") && line.contains("Warning: "))
        || line.starts_with("  warnings.warn(")
        || line == "Terminating all jobs"
        || line == "Terminating all jobs at user request"
        || (line.starts_with("BuildStream ") && line.contains(" - ") && line.contains(" at "))
        || line.starts_with("Pressing ^C will")
        || line.starts_with("Choice: [")
        || line.starts_with("Choose one of the following options")
}

/// Whether the line is the session's own, or belongs to a Python warning.
pub(super) fn is_session(line: &str) -> bool {
    stage(line).is_some() || line.starts_with("  warnings.warn(")
}

/// Whether the line calls itself an error: `fatal: …`, `Error: …`, `ERROR …`, `panic: …`.
fn is_error_line(line: &str) -> bool {
    const WORDS: [&str; 10] =
        ["error", "fatal", "failed", "failure", "bug", "panic", "panicked", "exception", "critical", "e"];
    let word = line.trim_start().trim_start_matches('[');
    let end = word.find([':', ' ', ']']).unwrap_or(word.len());
    let low = word[..end].to_ascii_lowercase();
    // A letter alone is apt's and needs its colon.
    let named = WORDS.contains(&low.as_str()) && (low.len() > 1 || word[end..].starts_with(": "));
    // `docker: Error response from daemon: …`, `bash: cannot create …`.
    let behind = word[end..].strip_prefix(": ").and_then(|rest| rest.split([':', ' ']).next()).unwrap_or_default();
    named || ["error", "fatal", "cannot", "failed", "unable"].contains(&behind.to_ascii_lowercase().as_str())
}

/// The line as it was before a runner marked it as an error; its indentation stays where it has no mark.
fn without_marks(line: &str) -> &str {
    let marked = line.trim_start().starts_with(['#', ':']);
    if marked { closing_line::without_marks(line) } else { line }
}

/// A failure that this library words itself, for how the whole ended.
pub(super) fn stopped(reason: StopReason) -> Diagnosis {
    let (kind, words) = reason.diagnosis();
    own(kind, words)
}
