//! How a run of bst ended: the state of its session, its last words, and its exit status.

use std::collections::VecDeque;

use crate::bst::messages::{Excerpt, Level, Message};
use crate::names::Stage;
use crate::runner::Exit;

use super::explain::{element_in, of_error, of_message, of_traceback, own};
use super::{Diagnosis, Kind};

/// The state of a session, and the text at its end.
#[derive(Debug, Default)]
pub(super) struct Ending {
    session: Session,
    /// The plain lines since the last message: the final error, when nothing comes after.
    text: Excerpt,
    /// A traceback that something came after.
    crash: Excerpt,
    /// What was said of the whole as an error or a bug.
    broken: Option<Message>,
}

#[derive(Debug, Default)]
enum Session {
    #[default]
    None,
    Open(String),
    Ended(String, Outcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Good,
    Failed,
    Terminated,
}

impl Ending {
    /// A plain line.
    pub(super) fn text(&mut self, line: &str) {
        self.text.push(line);
    }

    /// Something else came: what was plain text was not the end.
    pub(super) fn quiet(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        if text.lines().any(is_traceback) {
            self.crash = text;
        }
    }

    /// A message about the whole.
    pub(super) fn message(&mut self, message: &Message) {
        let text = &message.text;
        // It is told after the final error, where it takes long.
        if text == "Terminating buildbox-casd" {
            return;
        }
        self.quiet();
        match (&self.session, message.level) {
            (Session::None | Session::Ended(..), Level::Start) if stage(text).is_some() => {
                self.session = Session::Open(text.clone());
            }
            (Session::Open(name), level) if text == name => match level {
                Level::Success => self.session = Session::Ended(text.clone(), Outcome::Good),
                Level::Failure => self.session = Session::Ended(text.clone(), Outcome::Failed),
                _ => {}
            },
            (Session::Open(name), Level::Warning) if text.strip_suffix(" Terminated") == Some(name) => {
                self.session = Session::Ended(name.clone(), Outcome::Terminated);
            }
            (_, Level::Bug | Level::Error) => self.broken = Some(message.clone()),
            _ => {}
        }
    }

    /// The stage that the session says it is.
    pub(super) fn stage(&self) -> Option<Stage> {
        match &self.session {
            Session::None => None,
            Session::Open(name) | Session::Ended(name, _) => stage(name),
        }
    }

    /// Whether the beginning of the session was seen.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.session, Session::None)
    }

    /// Whether the session is known to have ended well.
    pub(super) fn ended_well(&self) -> bool {
        matches!(self.session, Session::Ended(_, Outcome::Good))
    }

    /// What bst says at its end.
    pub(super) fn diagnoses(&self) -> Vec<Diagnosis> {
        let mut found: Vec<_> = self.broken.iter().map(of_message).collect();
        let mut lines: Vec<&str> = self.text.lines().collect();
        if lines.is_empty() {
            lines = self.crash.lines().collect();
        }
        if let Some(begin) = lines.iter().position(|line| is_traceback(line)) {
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
    let mut found = of_error(words, &Excerpt::default());
    found.element = element_in(words);
    Some(found)
}

fn is_traceback(line: &str) -> bool {
    line.trim_start().starts_with("Traceback (most recent call last)")
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
    if first[0].kind != Kind::Unknown {
        return first;
    }
    // Where bst's words stand among those of whatever ran it, the last that is known counts.
    let others = (1..lines.len()).rev().map(|at| of_final(&lines[at..]));
    others.into_iter().find(|found| found[0].kind != Kind::Unknown).unwrap_or(first)
}

/// The error whose first line is the first of these; at least one.
fn of_final(lines: &[&str]) -> Vec<Diagnosis> {
    let first = lines[0];
    let mut detail = Excerpt::default();
    lines[1..].iter().for_each(|line| detail.push(*line));
    let mut found = of_error(first.trim_start(), &detail);
    if found.kind != Kind::NoRef {
        found.element = element_in(first);
        return vec![found];
    }
    // `Element: a.bst is inconsistent`, and under each its sources.
    let inconsistent: Vec<_> = detail
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Element: ")?.strip_suffix(" is inconsistent")?.parse().ok())
        .map(|element| Diagnosis {
            message: format!("{first}: {element} has a source without a ref"),
            element: Some(element),
            place: super::Place::default(),
            ..found.clone()
        })
        .collect();
    if inconsistent.is_empty() { vec![found] } else { inconsistent }
}

/// Lines that bst or its libraries write beside an error: usage, Python's warnings.
fn is_noise(line: &str) -> bool {
    line.starts_with("Usage: ")
        || (line.starts_with("Try '") && line.contains("for help"))
        || (line.contains(".py:") && line.contains("Warning: "))
        || line.starts_with("  warnings.warn(")
        || line == "Terminating all jobs"
        || line == "Terminating all jobs at user request"
}

/// Adds what the exit status says, where the log does not say it all.
pub(super) fn add(failures: &mut Vec<Diagnosis>, exit: Option<Exit>, ending: &Ending, last: &VecDeque<String>) {
    let terminated = matches!(ending.session, Session::Ended(_, Outcome::Terminated));
    match exit {
        Some(Exit::TimedOut) => failures.push(timed_out(last)),
        Some(Exit::Cancelled) => {
            failures.insert(0, own(Kind::Interrupted, "the run was stopped while bst was at work"));
        }
        Some(Exit::NoSpace { free, wanted }) => failures.insert(0, no_space(free, wanted)),
        Some(Exit::Signal(signal)) => {
            failures.insert(0, own(Kind::Killed, format!("bst was killed by signal {signal}")));
        }
        Some(Exit::Status(status)) if failures.is_empty() && status != 0 => {
            failures.push(by_status(status, terminated, ending, last));
        }
        None if failures.is_empty() && terminated => failures.push(own(Kind::Interrupted, "bst was interrupted")),
        None if failures.is_empty() && !ending.ended_well() => match &ending.session {
            Session::Open(name) => failures.push(unknown(
                format!("the log ends in the middle of \"{name}\": bst was killed, or the log is not whole"),
                last,
            )),
            Session::Ended(name, _) => {
                failures.push(unknown(format!("bst says that \"{name}\" failed, and not why"), last));
            }
            Session::None => {}
        },
        Some(Exit::Status(_)) | None => {}
    }
}

fn by_status(status: i32, terminated: bool, ending: &Ending, last: &VecDeque<String>) -> Diagnosis {
    match status {
        _ if terminated => own(Kind::Interrupted, "bst was interrupted"),
        127 => own(Kind::BstMissing, "the command was not found (exit status 127)"),
        126 => own(Kind::Permission, "the command cannot be executed (exit status 126)"),
        // As a shell, or a container's front, reports a child that a signal ended.
        129..=192 => own(Kind::Killed, format!("bst was killed by signal {} (exit status {status})", status - 128)),
        // bst on SIGTERM, and BuildStream 1 on SIGINT too, ends without a word about an error.
        255 if !matches!(ending.session, Session::None)
            && !ending.ended_well()
            && last.iter().all(|line| is_noise(line) || is_session(line)) =>
        {
            own(
                Kind::Interrupted,
                "bst ended with exit status 255 in the middle of its work, and without an error: it was terminated",
            )
        }
        _ => unknown(format!("bst ended with exit status {status}, and no error in its log that is known"), last),
    }
}

/// Whether the line is the session's own, or belongs to a Python warning.
fn is_session(line: &str) -> bool {
    stage(line).is_some() || line.starts_with("  warnings.warn(")
}

fn no_space(free: u64, wanted: u64) -> Diagnosis {
    let message = format!(
        "bst was stopped because {} MiB are free and {} MiB are to stay free (min-free-space)",
        free >> 20,
        wanted >> 20
    );
    own(Kind::DiskFull, message)
}

fn timed_out(last: &VecDeque<String>) -> Diagnosis {
    let found = own(Kind::TimeOut, "bst was stopped because its time was over");
    with_lines(found, last)
}

fn unknown(message: String, last: &VecDeque<String>) -> Diagnosis {
    with_lines(own(Kind::Unknown, message), last)
}

fn with_lines(mut found: Diagnosis, last: &VecDeque<String>) -> Diagnosis {
    if !last.is_empty() {
        found.message.push_str("; its last words:");
        for line in last {
            found.message.push('\n');
            found.message.push_str(line);
        }
    }
    found
}
