//! Diagnoses of what fails before `bst` runs, or outside it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::FetcherError;
use crate::bst::environment::{EnvironmentError, PipFailure};
use crate::bst::version::ProbeError;
use crate::config::ConfigError;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Location, Retry, diagnose, of_runner};
use crate::failure::is_full;
use crate::free_space::SpaceShortage;
use crate::names::{RunId, Stage, TrustName};
use crate::runner::{Exit, RunnerError, SandboxReport};
use crate::state::LockError;

/// Projects' code ran without a sandbox, since this machine has none.
pub(super) fn unconfined(report: &SandboxReport) -> Diagnosis {
    let message = format!("projects' code ran without a sandbox: {}", report.failed.join("; "));
    Diagnosis::of_kind(FailureKind::Unconfined, message)
}

/// A configured `bst` that cannot be used.
pub(super) fn no_bst(error: &ProbeError) -> Diagnosis {
    if let ProbeError::Failed { exit: Exit::Cancelled, .. } = error {
        return interrupted();
    }
    if let ProbeError::Failed { exit: Exit::NoSpace { .. }, .. } = error {
        return disk_full(error);
    }
    if let Some(found) = own_words(error).or_else(|| runners(error)) {
        return found;
    }
    let hint = "correct `buildstream.command` in the configuration, or name `buildstream.requirements` instead and have an environment made";
    Diagnosis::new(FailureKind::BstMissing, error.to_string(), Retry::No, Actor::Host, hint)
}

/// The failure of a runner that never came to the program.
fn runners(error: &ProbeError) -> Option<Diagnosis> {
    let ProbeError::Start(error) = error else { return None };
    not_the_programs(error)
}

fn not_the_programs(error: &RunnerError) -> Option<Diagnosis> {
    let found = of_runner(error, Stage::Checkout);
    (found.kind != FailureKind::BstMissing).then_some(found)
}

/// What a `bst` that does not even tell its version says itself, where that is known: a library that is missing, say.
fn own_words(error: &ProbeError) -> Option<Diagnosis> {
    let ProbeError::Failed { command, exit, output } = error else { return None };
    let found = diagnose(Some(*exit), None, &mut output.as_bytes()).ok()?.failures.into_iter().next()?;
    let known = !matches!(
        found.kind,
        FailureKind::Unknown | FailureKind::Bug | FailureKind::Interrupted | FailureKind::Killed | FailureKind::TimeOut
    );
    let message = format!("`{command} --version` failed: {}", found.message);
    known.then(|| found.with_message(message))
}

/// An environment that could not be made.
pub(super) fn environment(error: &EnvironmentError) -> Diagnosis {
    let known = match error {
        EnvironmentError::NoBst(error) => own_words(error).or_else(|| runners(error)),
        EnvironmentError::Python { source, .. } => not_the_programs(source),
        _ => None,
    };
    if let Some(found) = known {
        return found;
    }
    if let EnvironmentError::Stopped { exit: Exit::Cancelled, .. }
    | EnvironmentError::NoBst(ProbeError::Failed { exit: Exit::Cancelled, .. }) = error
    {
        return interrupted();
    }
    if let EnvironmentError::NoBst(ProbeError::Failed { exit: Exit::NoSpace { .. }, .. }) = error {
        return disk_full(error);
    }
    let (kind, retry, hint) = match error {
        EnvironmentError::Python { .. } => (
            FailureKind::HostToolMissing,
            Retry::No,
            "install Python 3.10 or newer (Debian and Fedora: python3), or name one with `buildstream.python`",
        ),
        EnvironmentError::Failed { trouble, .. } => pip(*trouble),
        EnvironmentError::Stopped { exit: Exit::TimedOut, .. } => (
            FailureKind::TimeOut,
            Retry::Yes,
            "see whether the package index answers; environment.log has what pip did",
        ),
        EnvironmentError::Stopped { exit: Exit::NoSpace { .. }, .. } => pip(PipFailure::DiskFull),
        EnvironmentError::Stopped { exit: Exit::Signal(_) | Exit::Status(_) | Exit::Cancelled, .. } => {
            (FailureKind::Killed, Retry::Yes, "it was killed from outside; was the machine out of memory?")
        }
        EnvironmentError::Requirements { .. } => {
            (FailureKind::Configuration, Retry::No, "put the file beside the configuration, or correct its name")
        }
        EnvironmentError::NoBst(_) => (
            FailureKind::BstMissing,
            Retry::No,
            "see that `buildstream.requirements` has a BuildStream that runs on this Python, as buildstream==2.8.1",
        ),
        EnvironmentError::Io { source, .. } if is_full(source) => pip(PipFailure::DiskFull),
        EnvironmentError::Io { .. } => {
            (FailureKind::Permission, Retry::No, "make the cache directory writable for the user that runs this")
        }
    };
    Diagnosis::new(kind, error.to_string(), retry, Actor::Host, hint)
}

fn pip(trouble: PipFailure) -> (FailureKind, Retry, &'static str) {
    match trouble {
        PipFailure::NoVenv => (
            FailureKind::HostToolMissing,
            Retry::No,
            "install Python's venv module (Debian: python3-venv; Fedora has it in python3)",
        ),
        PipFailure::Index => (
            FailureKind::Network,
            Retry::Yes,
            "look at the network; a proxy is named by HTTPS_PROXY, another index by PIP_INDEX_URL or pip.conf",
        ),
        PipFailure::NoSuchPackage => (
            FailureKind::Environment,
            Retry::Once,
            "correct the name or version in `buildstream.requirements`; \"from versions: none\" may also mean that the \
             index answered with an error",
        ),
        PipFailure::PythonVersion => (
            FailureKind::Environment,
            Retry::No,
            "name a newer interpreter with `buildstream.python` (BuildStream 2.7 and later want 3.10), or an older package",
        ),
        PipFailure::Conflict | PipFailure::Requirements => {
            (FailureKind::Environment, Retry::No, "correct `buildstream.requirements`: pip says above which line")
        }
        PipFailure::Build => (
            FailureKind::Environment,
            Retry::No,
            "install what the package's build misses (often a C compiler and Python's headers: python3-dev), or \
             choose a version that has wheels; environment.log has all of it",
        ),
        PipFailure::DiskFull => (FailureKind::DiskFull, Retry::No, "make space on the cache directory's file system"),
        PipFailure::Unknown => (FailureKind::Environment, Retry::Once, "read environment.log in the run's directory"),
    }
}

fn disk_full(error: &dyn std::error::Error) -> Diagnosis {
    let (kind, retry, hint) = pip(PipFailure::DiskFull);
    Diagnosis::new(kind, error.to_string(), retry, Actor::Host, hint)
}

fn interrupted() -> Diagnosis {
    let message = "stopped before the end".to_owned();
    Diagnosis::new(FailureKind::Interrupted, message, Retry::Yes, Actor::Nobody, "the next run goes on")
}

/// A run that was killed.
pub(super) fn killed(run: &RunId, process: u32, left: io::Result<usize>) -> Diagnosis {
    let cleared = match left {
        Ok(0) => "nothing of it ran on".to_owned(),
        Ok(count) => format!("{count} processes of it ran on and were ended"),
        Err(error) => error.to_string(),
    };
    let message = format!(
        "the run {run} (process {process}) ended without a word: it was killed, or the machine stopped; {cleared}"
    );
    let hint =
        "this run goes on where it stopped; if it happens again, look for the out-of-memory killer in the system's log";
    Diagnosis::new(FailureKind::Killed, message, Retry::Yes, Actor::Host, hint)
}

/// Processes of a run that was not killed, and that ran on; none where there were none.
pub(super) fn left_running(left: io::Result<usize>) -> Option<Diagnosis> {
    let message = match left {
        Ok(0) => return None,
        Ok(count) => format!("{count} processes that an earlier run had started ran on after it, and were ended now"),
        Err(error) => format!("whether anything of an earlier run still runs: {error}"),
    };
    let hint = "see which plugin leaves processes behind; nothing needs to be done about these";
    Some(Diagnosis::new(FailureKind::Killed, message, Retry::Yes, Actor::Host, hint))
}

/// A failure that left no run to report it; none where it was the caller's mistake, or is ordinary.
pub(super) fn no_run(error: &FetcherError, now: Timestamp, alarm_after: Duration) -> Option<Diagnosis> {
    let (source, path) = match error {
        FetcherError::Lock(LockError::Held { since, .. }) => {
            // Where a clock was ahead it is told too early, rather than never.
            let long = since.is_some_and(|since| now.duration_since(since).unsigned_abs() >= alarm_after);
            return long.then(|| lock_held(error));
        }
        FetcherError::NoSuchBranch { .. } | FetcherError::NoSuchProject { .. } | FetcherError::NoSuchElement { .. } => {
            return None;
        }
        FetcherError::State(error) => return Some(error.diagnosis()),
        FetcherError::Lock(LockError::Io { path, source }) | FetcherError::Directory { path, source } => (source, path),
    };
    let place = Location::of_file(path);
    Some(of_io(source, error.to_string()).with_place(place))
}

/// A file or directory of ours that cannot be written, read or removed.
pub(super) fn of_io(source: &io::Error, message: String) -> Diagnosis {
    let hint = if is_full(source) {
        "make space on the file system, or give the user a larger quota"
    } else if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
        "the file system is read-only: see the system's log for errors of the disk"
    } else {
        "make the directory writable for the user that runs this"
    };
    Diagnosis::new(FailureKind::of_io(source), message, Retry::No, Actor::Host, hint)
}

fn lock_held(error: &FetcherError) -> Diagnosis {
    let hint = "see what that process does (`bst-fetcher status`, ps), and end it if it hangs; if runs are this long, \
                raise `fetcher.lock-alarm-after`";
    Diagnosis::new(FailureKind::LockHeld, error.to_string(), Retry::Yes, Actor::Host, hint)
}

/// A configuration that cannot be used.
pub(super) fn configuration(error: &ConfigError) -> Diagnosis {
    let message = format!("nothing was done, for the configuration cannot be used:\n{error}");
    let hint = "mend what is named; `bst-fetcher check` tells whether it is good";
    let first = error.problems.first();
    let place = Location {
        file: first.map(|problem| problem.file.clone()),
        line: first.and_then(|problem| u32::try_from(problem.line).ok()).filter(|line| *line > 0),
        ..Location::default()
    };
    Diagnosis::new(FailureKind::Configuration, message, Retry::No, Actor::Host, hint).with_place(place)
}

/// A panic of the program.
pub(super) fn panicked(what: &str) -> Diagnosis {
    let message = format!("the run ended in the middle, by a bug: {what}");
    let hint = "report this to the authors of bst-fetcher, with the message; the next run goes on where it stopped";
    Diagnosis::new(FailureKind::Bug, message, Retry::Yes, Actor::Plugin, hint)
}

/// A panic of what an embedding program lends to the run.
pub(super) fn callback_panicked(lent: &str, words: &str) -> Diagnosis {
    let message = format!("the {lent} of the program that embeds bst-fetcher panicked: {words}");
    let hint = "report this to the authors of that program, with the message; all else went on";
    Diagnosis::new(FailureKind::Bug, message, Retry::No, Actor::Host, hint)
}

/// A panic in the work on one branch, or on one project.
pub(super) fn work_panicked(words: &str) -> Diagnosis {
    let message = format!("the work ended in the middle, by a bug: {words}");
    let hint = "report this to the authors of bst-fetcher, with the message; the next run tries again";
    Diagnosis::new(FailureKind::Bug, message, Retry::Yes, Actor::Plugin, hint).with_stage(Stage::Checkout)
}

/// Too little space, also after some was made, if it could be.
pub(super) fn space(shortage: &SpaceShortage, trouble: Option<&io::Error>) -> Diagnosis {
    let mut message = shortage.to_string();
    if let Some(trouble) = trouble {
        message = format!("{message}; and none could be made: {trouble}");
    }
    let hint = "make space there, lower `fetcher.keep-runs`, or set a `cache = { quota = … }` in `buildstream.config`";
    let place = Location::of_file(&shortage.directory);
    Diagnosis::new(FailureKind::DiskFull, message, Retry::No, Actor::Host, hint).with_place(place)
}

/// Projects share a cache although they do not name the same trust.
pub(super) fn caches_shared(trusts: &[TrustName], why: &str) -> Diagnosis {
    let names: Vec<_> = trusts.iter().map(TrustName::as_str).collect();
    let message = format!("{} share one cache still: {why}", names.join(", "));
    Diagnosis::of_kind(FailureKind::CachesShared, message)
}

/// Space that was made by removing what can be had again.
pub(super) fn made_space(shortage: &SpaceShortage, given_up: &[PathBuf]) -> Diagnosis {
    const SHOWN: usize = 10;
    let mut names: Vec<_> = given_up.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
    if given_up.len() > SHOWN {
        names.push(format!("and {} more", given_up.len() - SHOWN));
    }
    let message = format!("{shortage}; to make space these were removed, and are made anew: {}", names.join(", "));
    Diagnosis::of_kind(FailureKind::SpaceMade, message).with_place(Location::of_file(&shortage.directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bst_that_cannot_start_is_told_in_its_own_words() {
        let failed = |output: &str| ProbeError::Failed {
            command: "/x/bst".to_owned(),
            exit: Exit::Status(1),
            output: output.to_owned(),
        };
        let libfuse = "Traceback (most recent call last):\n  File \"/x/bst\", line 5, in <module>\n    import y\n\
                       OSError: Unable to find libfuse";
        let found = environment(&EnvironmentError::NoBst(failed(libfuse)));
        assert_eq!((found.kind, found.actor), (FailureKind::Sandbox, Actor::Host));
        assert!(found.hint.contains("libfuse2") && found.message.contains("Unable to find libfuse"), "{found:?}");
        assert_eq!(no_bst(&failed("the moon is wrong")).kind, FailureKind::BstMissing);
    }
}
