//! Diagnoses of what fails before `bst` runs, or outside it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::FetcherError;
use crate::bst::environment::{EnvironmentError, Trouble};
use crate::bst::version::ProbeError;
use crate::config::ConfigError;
use crate::diagnosis::{Actor, Diagnosis, Kind, Place, Remedy, Retry, diagnose};
use crate::free_space::SpaceShortage;
use crate::git::{Failure, GitError, MissingBranch};
use crate::names::{BranchName, RunId, Stage};
use crate::project::CheckoutError;
use crate::runner::{Exit, SandboxReport};
use crate::state::LockError;

/// Projects' code ran without a sandbox, since this machine has none.
pub(super) fn unconfined(report: &SandboxReport) -> Diagnosis {
    let message = format!("projects' code ran without a sandbox: {}", report.failed.join("; "));
    let Remedy { retry, actor, hint } = Kind::Unconfined.remedy();
    Diagnosis::new(Kind::Unconfined, message, retry, actor, hint)
}

/// A failure of git's.
pub(super) fn git(error: &GitError, stage: Stage) -> Diagnosis {
    let (kind, retry, actor, hint) = of_failure(error.failure());
    let hint = error.withheld().map_or_else(|| hint.to_owned(), credentials_for);
    let place = Place { url: error.url().map(str::to_owned), ..Place::default() };
    Diagnosis { stage: Some(stage), place, ..Diagnosis::new(kind, error.to_string(), retry, actor, hint) }
}

/// What lets a project's credentials serve a submodule too.
fn credentials_for(url: &str) -> String {
    let group = url.rfind(['/', ':']).map_or(url, |end| &url[..=end]);
    format!(
        "if the project's credentials are meant for this submodule too, write into its `git` table: \
         credentials-for = [{group:?}]; whoever can push a branch can then read all that they give there"
    )
}

const OBJECT_FORMAT: &str = "the repository names its objects by SHA-256, which neither this program nor most source \
                             plugins can read: follow a repository with SHA-1 names";

#[expect(clippy::too_many_lines, reason = "a table, with an entry for each sort of failure")]
pub(super) fn of_failure(failure: Failure) -> (Kind, Retry, Actor, &'static str) {
    match failure {
        Failure::Dns => {
            (Kind::Dns, Retry::Yes, Actor::Upstream, "check the host's name in the project's url, and this host's DNS")
        }
        Failure::Unreachable => (
            Kind::Network,
            Retry::Yes,
            Actor::Upstream,
            "the next run tries again; if it lasts, see whether the server is up and this host may reach it",
        ),
        Failure::Unauthorised => (
            Kind::Unauthorised,
            Retry::No,
            Actor::Host,
            "give the project's `git` table a `token-file`, or an `ssh-key` that the server knows",
        ),
        Failure::NotFound => (
            Kind::NotFound,
            Retry::Once,
            Actor::Host,
            "correct the project's `url`; a private repository needs `git.token-file` or `git.ssh-key`",
        ),
        Failure::RefMissing => (
            Kind::RefMissing,
            Retry::Once,
            Actor::Project,
            "a commit vanished from the repository; the next run follows the branch's new tip",
        ),
        Failure::RateLimited => {
            (Kind::RateLimited, Retry::Yes, Actor::Nobody, "the next run tries again; run less often if it lasts")
        }
        Failure::ServerError => {
            (Kind::ServerError, Retry::Yes, Actor::Upstream, "the server is broken; the next run tries again")
        }
        Failure::HostKey => (
            Kind::Unauthorised,
            Retry::No,
            Actor::Host,
            "check the server's ssh key with its operator, then put it into the file that `git.known-hosts` names",
        ),
        Failure::Tls => (
            Kind::Tls,
            Retry::No,
            Actor::Host,
            "the server's certificate is not trusted here: install its authority, or mend the certificate",
        ),
        Failure::DiskFull => {
            (Kind::DiskFull, Retry::No, Actor::Host, "make space for the cache directory, or lower `min-free-space`")
        }
        Failure::Permission => (
            Kind::Permission,
            Retry::No,
            Actor::Host,
            "make the file readable and the cache directory writable for the user that runs this",
        ),
        Failure::Ownership => (
            Kind::Permission,
            Retry::No,
            Actor::Host,
            "the repository belongs to another user: see `safe.directory` in git-config(1)",
        ),
        Failure::Protocol => (
            Kind::Git,
            Retry::No,
            Actor::Project,
            "use https, ssh, git or file, and no local path in a submodule of a remote repository",
        ),
        Failure::Tool => (
            Kind::HostToolMissing,
            Retry::No,
            Actor::Host,
            "install git (Debian and Fedora: git), 2.31 or newer, and see that it is in PATH",
        ),
        Failure::ObjectFormat => (Kind::Git, Retry::No, Actor::Project, OBJECT_FORMAT),
        Failure::Corrupt => (
            Kind::Git,
            Retry::Yes,
            Actor::Project,
            "the repository is broken on the other side as well: run git fsck there",
        ),
        Failure::Configuration => (
            Kind::Configuration,
            Retry::No,
            Actor::Host,
            "correct the project's `url`, `branches` or `git` in the configuration",
        ),
        Failure::Repository => {
            (Kind::ProjectInvalid, Retry::No, Actor::Project, "mend the submodule or file in the project's repository")
        }
        Failure::Killed => {
            (Kind::Killed, Retry::Yes, Actor::Host, "git was killed from outside; was the machine out of memory?")
        }
        Failure::TimedOut => (
            Kind::TimeOut,
            Retry::Yes,
            Actor::Upstream,
            "the server, or this host's disk, is too slow for the project's `timeout`; raise it, or look at the network",
        ),
        Failure::Cancelled => (Kind::Interrupted, Retry::Yes, Actor::Nobody, "the next run goes on"),
        Failure::Unknown => (Kind::Git, Retry::Once, Actor::Nobody, "run the same git command by hand"),
    }
}

/// A branch that is configured by name, and not there.
pub(super) fn missing_branch(missing: &MissingBranch, url: &str) -> Diagnosis {
    let hint = match &missing.nearest {
        Some(nearest) => format!("is {nearest} meant? Correct `branches` in the configuration, or create the branch"),
        None => "take it out of `branches` in the configuration, or create the branch".to_owned(),
    };
    let message = format!("{url} has no branch {}", missing.name);
    Diagnosis {
        stage: Some(Stage::Checkout),
        ..Diagnosis::new(Kind::RefMissing, message, Retry::No, Actor::Host, hint)
    }
}

/// A branch that vanished while it was fetched.
pub(super) fn vanished(branch: &BranchName, url: &str) -> Diagnosis {
    let message = format!("{branch} vanished from {url} while it was fetched");
    let hint = "if it was deleted on purpose, take it out of `branches` in the configuration";
    Diagnosis {
        stage: Some(Stage::Checkout),
        ..Diagnosis::new(Kind::RefMissing, message, Retry::Yes, Actor::Nobody, hint)
    }
}

/// A checkout without a project.
pub(super) fn no_project(error: &CheckoutError) -> Diagnosis {
    let message = error.to_string();
    let hint = "set the project's `directory` in the configuration to where project.conf is; where the project is on another \
                branch, name that in `branches`";
    Diagnosis {
        stage: Some(Stage::Checkout),
        ..Diagnosis::new(Kind::ProjectInvalid, message, Retry::No, Actor::Host, hint)
    }
}

/// A configured `bst` that cannot be used.
pub(super) fn no_bst(error: &ProbeError) -> Diagnosis {
    if let ProbeError::Failed { exit: Exit::Cancelled, .. } = error {
        return interrupted();
    }
    if let ProbeError::Failed { exit: Exit::NoSpace { .. }, .. } = error {
        return disk_full(error);
    }
    if let Some(found) = own_words(error) {
        return found;
    }
    let hint = "correct `buildstream.command` in the configuration, or name `buildstream.requirements` instead and have an environment made";
    Diagnosis::new(Kind::BstMissing, error.to_string(), Retry::No, Actor::Host, hint)
}

/// What a `bst` that does not even tell its version says itself, where that is known: a library that is missing, say.
fn own_words(error: &ProbeError) -> Option<Diagnosis> {
    let ProbeError::Failed { command, exit, output } = error else { return None };
    let found = diagnose(Some(*exit), None, &mut output.as_bytes()).ok()?.failures.into_iter().next()?;
    let known = !matches!(found.kind, Kind::Unknown | Kind::Bug | Kind::Interrupted | Kind::Killed | Kind::TimeOut);
    known.then(|| Diagnosis { message: format!("`{command} --version` failed: {}", found.message), ..found })
}

/// An environment that could not be made.
pub(super) fn environment(error: &EnvironmentError) -> Diagnosis {
    if let EnvironmentError::NoBst(error) = error
        && let Some(found) = own_words(error)
    {
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
            Kind::HostToolMissing,
            Retry::No,
            "install Python 3.10 or newer (Debian and Fedora: python3), or name one with `buildstream.python`",
        ),
        EnvironmentError::Failed { trouble, .. } => pip(*trouble),
        EnvironmentError::Stopped { exit: Exit::TimedOut, .. } => {
            (Kind::TimeOut, Retry::Yes, "see whether the package index answers; environment.log has what pip did")
        }
        EnvironmentError::Stopped { exit: Exit::NoSpace { .. }, .. } => pip(Trouble::DiskFull),
        EnvironmentError::Stopped { exit: Exit::Signal(_) | Exit::Status(_) | Exit::Cancelled, .. } => {
            (Kind::Killed, Retry::Yes, "it was killed from outside; was the machine out of memory?")
        }
        EnvironmentError::Requirements { .. } => {
            (Kind::Configuration, Retry::No, "put the file beside the configuration, or correct its name")
        }
        EnvironmentError::NoBst(_) => (
            Kind::BstMissing,
            Retry::No,
            "see that `buildstream.requirements` has a BuildStream that runs on this Python, as buildstream==2.8.1",
        ),
        EnvironmentError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => pip(Trouble::DiskFull),
        EnvironmentError::Io { .. } => {
            (Kind::Permission, Retry::No, "make the cache directory writable for the user that runs this")
        }
    };
    Diagnosis::new(kind, error.to_string(), retry, Actor::Host, hint)
}

fn pip(trouble: Trouble) -> (Kind, Retry, &'static str) {
    match trouble {
        Trouble::NoVenv => (
            Kind::HostToolMissing,
            Retry::No,
            "install Python's venv module (Debian: python3-venv; Fedora has it in python3)",
        ),
        Trouble::Index => (
            Kind::Network,
            Retry::Yes,
            "look at the network; a proxy is named by HTTPS_PROXY, another index by PIP_INDEX_URL or pip.conf",
        ),
        Trouble::NoSuchPackage => (
            Kind::Environment,
            Retry::Once,
            "correct the name or version in `buildstream.requirements`; \"from versions: none\" may also mean that the \
             index answered with an error",
        ),
        Trouble::PythonVersion => (
            Kind::Environment,
            Retry::No,
            "name a newer interpreter with `buildstream.python` (BuildStream 2.7 and later want 3.10), or an older package",
        ),
        Trouble::Conflict | Trouble::Requirements => {
            (Kind::Environment, Retry::No, "correct `buildstream.requirements`: pip says above which line")
        }
        Trouble::Build => (
            Kind::Environment,
            Retry::No,
            "install what the package's build misses (often a C compiler and Python's headers: python3-dev), or \
             choose a version that has wheels; environment.log has all of it",
        ),
        Trouble::DiskFull => (Kind::DiskFull, Retry::No, "make space on the cache directory's file system"),
        Trouble::Unknown => (Kind::Environment, Retry::Once, "read environment.log in the run's directory"),
    }
}

fn disk_full(error: &dyn std::error::Error) -> Diagnosis {
    let (kind, retry, hint) = pip(Trouble::DiskFull);
    Diagnosis::new(kind, error.to_string(), retry, Actor::Host, hint)
}

fn interrupted() -> Diagnosis {
    let message = "stopped before the end".to_owned();
    Diagnosis::new(Kind::Interrupted, message, Retry::Yes, Actor::Nobody, "the next run goes on")
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
    Diagnosis::new(Kind::Killed, message, Retry::Yes, Actor::Host, hint)
}

/// Processes of a run that was not killed, and that ran on; none where there were none.
pub(super) fn left_running(left: io::Result<usize>) -> Option<Diagnosis> {
    let message = match left {
        Ok(0) => return None,
        Ok(count) => format!("{count} processes that an earlier run had started ran on after it, and were ended now"),
        Err(error) => format!("whether anything of an earlier run still runs: {error}"),
    };
    let hint = "see which plugin leaves processes behind; nothing needs to be done about these";
    Some(Diagnosis::new(Kind::Killed, message, Retry::Yes, Actor::Host, hint))
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
    let place = Place { file: Some(path.clone()), ..Place::default() };
    Some(Diagnosis { place, ..of_io(source, error.to_string()) })
}

/// A file or directory of ours that cannot be written, read or removed.
pub(super) fn of_io(source: &io::Error, message: String) -> Diagnosis {
    let (kind, hint) = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (Kind::DiskFull, "make space on the file system, or give the user a larger quota")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            (Kind::Permission, "the file system is read-only: see the system's log for errors of the disk")
        }
        _ => (Kind::Permission, "make the directory writable for the user that runs this"),
    };
    Diagnosis::new(kind, message, Retry::No, Actor::Host, hint)
}

fn lock_held(error: &FetcherError) -> Diagnosis {
    let hint = "see what that process does (`bst-fetcher status`, ps), and end it if it hangs; if runs are this long, \
                raise `fetcher.lock-alarm-after`";
    Diagnosis::new(Kind::LockHeld, error.to_string(), Retry::Yes, Actor::Host, hint)
}

/// A configuration that cannot be used.
pub(super) fn configuration(error: &ConfigError) -> Diagnosis {
    let message = format!("nothing was done, for the configuration cannot be used:\n{error}");
    let hint = "mend what is named; `bst-fetcher check` tells whether it is good";
    let first = error.problems.first();
    let place = Place {
        file: first.map(|problem| problem.file.clone()),
        line: first.and_then(|problem| u32::try_from(problem.line).ok()).filter(|line| *line > 0),
        ..Place::default()
    };
    Diagnosis { place, ..Diagnosis::new(Kind::Configuration, message, Retry::No, Actor::Host, hint) }
}

/// A panic of the program.
pub(super) fn panicked(what: &str) -> Diagnosis {
    let message = format!("the run ended in the middle, by a bug: {what}");
    let hint = "report this to the authors of bst-fetcher, with the message; the next run goes on where it stopped";
    Diagnosis::new(Kind::Bug, message, Retry::Yes, Actor::Plugin, hint)
}

/// A panic of what an embedding program lends to the run.
pub(super) fn callback_panicked(lent: &str, words: &str) -> Diagnosis {
    let message = format!("the {lent} of the program that embeds bst-fetcher panicked: {words}");
    let hint = "report this to the authors of that program, with the message; all else went on";
    Diagnosis::new(Kind::Bug, message, Retry::No, Actor::Host, hint)
}

/// A panic in the work on one branch, or on one project.
pub(super) fn work_panicked(words: &str) -> Diagnosis {
    let message = format!("the work ended in the middle, by a bug: {words}");
    let hint = "report this to the authors of bst-fetcher, with the message; the next run tries again";
    Diagnosis { stage: Some(Stage::Checkout), ..Diagnosis::new(Kind::Bug, message, Retry::Yes, Actor::Plugin, hint) }
}

/// Too little space, also after some was made, if it could be.
pub(super) fn space(shortage: &SpaceShortage, trouble: Option<&io::Error>) -> Diagnosis {
    let mut message = shortage.to_string();
    if let Some(trouble) = trouble {
        message = format!("{message}; and none could be made: {trouble}");
    }
    let hint = "make space there, lower `fetcher.keep-runs`, or set a `cache = { quota = … }` in `buildstream.config`";
    let place = Place { file: Some(shortage.directory.clone()), ..Place::default() };
    Diagnosis { place, ..Diagnosis::new(Kind::DiskFull, message, Retry::No, Actor::Host, hint) }
}

/// Space that was made by removing what can be had again.
pub(super) fn made_space(shortage: &SpaceShortage, given_up: &[PathBuf]) -> Diagnosis {
    const SHOWN: usize = 10;
    let mut names: Vec<_> = given_up.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
    if given_up.len() > SHOWN {
        names.push(format!("and {} more", given_up.len() - SHOWN));
    }
    let message = format!("{shortage}; to make space these were removed, and are made anew: {}", names.join(", "));
    let Remedy { retry, actor, hint } = Kind::SpaceMade.remedy();
    let place = Place { file: Some(shortage.directory.clone()), ..Place::default() };
    Diagnosis { place, ..Diagnosis::new(Kind::SpaceMade, message, retry, actor, hint) }
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
        assert_eq!((found.kind, found.actor), (Kind::Sandbox, Actor::Host));
        assert!(found.hint.contains("libfuse2") && found.message.contains("Unable to find libfuse"), "{found:?}");
        assert_eq!(no_bst(&failed("the moon is wrong")).kind, Kind::BstMissing);
    }
}
