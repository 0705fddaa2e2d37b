//! What the exit status says where the log does not say it all.

use std::collections::VecDeque;

use crate::runner::Exit;

use super::explain::own;
use super::session_end::{self, SessionEnd, is_noise, is_session};
use super::{Diagnosis, FailureKind};

/// Adds what the exit status says, or without one how the log ends, where that is not known from the log.
pub(super) fn add(failures: &mut Vec<Diagnosis>, exit: Option<Exit>, ending: &SessionEnd, last: &VecDeque<String>) {
    match exit {
        Some(Exit::TimedOut) => failures.push(timed_out(last)),
        Some(Exit::Cancelled) => {
            failures.insert(0, own(FailureKind::Interrupted, "the run was stopped while bst was at work"));
        }
        Some(Exit::NoSpace { free, wanted }) => failures.insert(0, no_space(free, wanted)),
        Some(Exit::Signal(signal)) => {
            failures.insert(0, own(FailureKind::Killed, format!("bst was killed by signal {signal}")));
        }
        Some(Exit::Status(status)) if failures.is_empty() && status != 0 => {
            failures.push(by_status(status, ending, last));
        }
        Some(Exit::Status(_)) => {}
        None => without_exit(failures, ending, last),
    }
}

/// A log from elsewhere, whose exit status nobody told.
fn without_exit(failures: &mut Vec<Diagnosis>, ending: &SessionEnd, last: &VecDeque<String>) {
    let untold = failures.iter().all(|found| found.kind == FailureKind::Unknown && found.element.is_none());
    if let Some(reason) = ending.stop_reason().filter(|_| untold) {
        *failures = vec![session_end::stopped(reason)];
        return;
    }
    if !failures.is_empty() {
        return;
    }
    if ending.was_terminated() {
        failures.push(own(FailureKind::Interrupted, "bst was interrupted"));
    } else if let Some(name) = ending.open_session() {
        let words = format!("the log ends in the middle of \"{name}\": bst was killed, or the log is not whole");
        failures.push(unknown(words, last));
    } else if let Some(name) = ending.failed_session() {
        failures.push(unknown(format!("bst says that \"{name}\" failed, and not why"), last));
    } else if ending.is_said_to_have_failed() {
        let words =
            if ending.ended_well() { "a command failed after bst had ended well" } else { "the command failed" };
        failures.push(unknown(format!("{words}, and the log does not say why"), last));
    }
}

fn by_status(status: i32, ending: &SessionEnd, last: &VecDeque<String>) -> Diagnosis {
    match status {
        _ if ending.was_terminated() => own(FailureKind::Interrupted, "bst was interrupted"),
        127 => own(FailureKind::BstMissing, "the command was not found (exit status 127)"),
        126 => own(FailureKind::Permission, "the command cannot be executed (exit status 126)"),
        // As a shell, or a container's front, reports a child that a signal ended.
        129..=192 => {
            own(FailureKind::Killed, format!("bst was killed by signal {} (exit status {status})", status - 128))
        }
        // bst on SIGTERM, and BuildStream 1 on SIGINT too, ends without a word about an error.
        255 if ending.has_begun()
            && !ending.ended_well()
            && last.iter().all(|line| is_noise(line) || is_session(line)) =>
        {
            own(
                FailureKind::Interrupted,
                "bst ended with exit status 255 in the middle of its work, and without an error: it was terminated",
            )
        }
        _ => unknown(format!("bst ended with exit status {status}, and no error in its log that is known"), last),
    }
}

fn no_space(free: u64, wanted: u64) -> Diagnosis {
    let message = format!(
        "bst was stopped because {} MiB are free and {} MiB are to stay free (min-free-space)",
        free >> 20,
        wanted >> 20
    );
    own(FailureKind::DiskFull, message)
}

fn timed_out(last: &VecDeque<String>) -> Diagnosis {
    let found = own(FailureKind::TimeOut, "bst was stopped because its time was over");
    with_lines(found, last)
}

fn unknown(message: String, last: &VecDeque<String>) -> Diagnosis {
    with_lines(own(FailureKind::Unknown, message), last)
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
