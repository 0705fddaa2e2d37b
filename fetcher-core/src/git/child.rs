//! The one place that builds and runs git children.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::access::{Remote, local_environment};
use super::error::{Failure, GitError, classify};
use super::url::mask;
use crate::cancel::Cancel;
use crate::environment::Environment;
use crate::free_space::{FreeSpace, SpaceShortage};
use crate::runner::{Exit, Invocation, Runner, run_until};
use crate::secret::Redactor;

/// How git children are run: by whom, in which environment, for how long at most, and until when.
#[derive(Clone, Copy)]
pub struct Git<'a> {
    /// Who runs them.
    pub runner: &'a dyn Runner,
    /// From which environment theirs is picked.
    pub environment: &'a Environment,
    /// What stops them, and every wait and walk in between.
    pub cancel: &'a Cancel,
    /// How long one of them, and so one exchange with a remote repository, may take; and one checkout, its submodules
    /// included.
    pub timeout: Duration,
    /// What is to stay free while they write; none to let them fill the disk.
    pub space: Option<&'a FreeSpace>,
}

/// What one child may write to its standard output, in bytes: a million references.
const MAX_OUTPUT: u64 = 64 << 20;

/// How much of what a child writes is kept: its end.
const KEPT: usize = 64 * 1024;

/// Settings for a repository of the user's own: no hook and no other program that its configuration may name is run,
/// submodules are left alone, and nothing goes on in the background. What is fetched comes as a pack, which is there whole
/// or not at all, however git ends.
const HARMLESS: [&str; 16] = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "fetch.recurseSubmodules=false",
    "-c",
    "submodule.recurse=false",
    "-c",
    "gc.autoDetach=false",
    "-c",
    "maintenance.autoDetach=false",
    "-c",
    "fetch.writeCommitGraph=false",
    "-c",
    "fetch.unpackLimit=1",
];

/// One git child.
struct Task<'t> {
    /// What it is for, in an error's words: "fetch from", say.
    action: &'static str,
    /// Whom or what it is about, in an error's words.
    subject: &'t str,
    environment: BTreeMap<OsString, OsString>,
    /// Where it runs.
    directory: &'t Path,
    /// The repository it works on. Since it is named, git neither searches for one nor asks whose it is.
    repository: &'t Path,
    stdout: &'t Path,
    args: &'t [&'t str],
}

impl Git<'_> {
    /// Runs a `git` that needs no repository here, and gives what it wrote to its standard output. `directory` is one
    /// of ours.
    pub(super) fn ask(&self, directory: &Path, remote: &Remote, args: &[&str]) -> Result<String, GitError> {
        let failed = |error| GitError::io("write in", directory, error);
        fs::create_dir_all(directory).map_err(failed)?;
        // The runner gives both streams as one; mixed, a warning in the middle of a line would hide a branch.
        let stdout = NamedTempFile::new_in(directory).map_err(failed)?;
        let task = Task {
            action: "list the branches of",
            subject: remote.url().as_str(),
            environment: remote.environment(self.environment),
            directory,
            repository: Path::new("/dev/null"),
            stdout: stdout.path(),
            args,
        };
        self.run(task, &Redactor::new(remote.secret()))?;
        text_of(&stdout, remote)
    }

    /// Asks whether a repository answers: for its HEAD alone, by no redirect to elsewhere and with no helper for
    /// credentials. `directory` is one of ours.
    pub(crate) fn reaches(&self, directory: &Path, remote: &Remote) -> Result<(), GitError> {
        let quiet = ["-c", "http.followRedirects=false", "-c", "credential.helper=", "ls-remote", "--quiet", "--"];
        let args = [&quiet[..], &[remote.url().as_str(), "HEAD"]].concat();
        self.ask(directory, remote, &args).map(drop)
    }

    /// Runs `git push` in a bare repository of ours. What the other side is to read as push options goes by the
    /// environment: arguments can be seen by everybody on this machine.
    pub(super) fn push(
        &self,
        repository: &Path,
        remote: &Remote,
        args: &[&str],
        options: &[String],
    ) -> Result<PushSaid, GitError> {
        let failed = |error| GitError::io("write in", repository, error);
        let stdout = NamedTempFile::new_in(repository).map_err(failed)?;
        let task = Task {
            action: "push to",
            subject: remote.url().as_str(),
            environment: remote.pushing_environment(self.environment, options),
            directory: repository,
            repository,
            stdout: stdout.path(),
            args,
        };
        let ended = self.run_told(task, &Redactor::new(remote.secret()));
        let statuses = text_of(&stdout, remote)?;
        match ended {
            Ok(said) => Ok(PushSaid { statuses, said, failure: None }),
            Err(GitError::Failed { failure, output, .. }) => {
                Ok(PushSaid { statuses, said: output, failure: Some(failure) })
            }
            Err(error) => Err(error),
        }
    }

    /// The environment of a program that signs.
    pub(crate) fn signing_environment(&self) -> BTreeMap<OsString, OsString> {
        local_environment(self.environment)
    }

    /// Runs `git fetch` in a bare repository.
    pub(super) fn fetch(&self, repository: &Path, remote: &Remote, args: &[&str]) -> Result<(), GitError> {
        let task = Task {
            action: "fetch from",
            subject: remote.url().as_str(),
            environment: remote.environment(self.environment),
            directory: repository,
            repository,
            stdout: Path::new("/dev/null"),
            args,
        };
        self.run(task, &Redactor::new(remote.secret()))
    }

    /// Runs a `git` in a repository of the user's own, with the settings that the user and the repository have, but
    /// without anything that the repository could let run; gives what it wrote to its standard output. `desk` is a
    /// directory of ours.
    pub(crate) fn ask_in(
        &self,
        repository: &Path,
        desk: &Path,
        remote: &Remote,
        args: &[&str],
    ) -> Result<String, GitError> {
        let failed = |error| GitError::io("write in", desk, error);
        fs::create_dir_all(desk).map_err(failed)?;
        let stdout = NamedTempFile::new_in(desk).map_err(failed)?;
        let task = Task {
            action: "follow",
            subject: remote.url().as_str(),
            environment: self.users_environment(repository, desk, remote),
            directory: desk,
            repository,
            stdout: stdout.path(),
            args: &[&HARMLESS[..], args].concat(),
        };
        self.run(task, &Redactor::new(remote.secret()))?;
        text_of(&stdout, remote)
    }

    /// The environment of a git child that asks a repository as the user would. A command of their own for ssh counts;
    /// without one ssh never asks.
    fn users_environment(&self, repository: &Path, desk: &Path, remote: &Remote) -> BTreeMap<OsString, OsString> {
        let mut environment = remote.environment(self.environment);
        if remote.url().is_ssh() && self.has_ssh_command(repository, desk) {
            environment.remove(OsStr::new("GIT_SSH_COMMAND"));
            environment.remove(OsStr::new("GIT_SSH_VARIANT"));
        }
        environment
    }

    fn has_ssh_command(&self, repository: &Path, desk: &Path) -> bool {
        let task = Task {
            action: "read the configuration of",
            subject: &repository.display().to_string(),
            environment: local_environment(self.environment),
            directory: desk,
            repository,
            stdout: Path::new("/dev/null"),
            args: &["config", "--get", "core.sshCommand"],
        };
        self.run(task, &Redactor::default()).is_ok()
    }

    /// Runs `git verify-commit`, or what else only reads a repository of the user's own; `gnupg` is the home of
    /// OpenPGP's keys in place of the user's.
    pub(crate) fn verify(
        &self,
        repository: &Path,
        desk: &Path,
        gnupg: Option<&Path>,
        args: &[&str],
    ) -> Result<(), GitError> {
        let mut environment = local_environment(self.environment);
        environment.extend(gnupg.map(|home| ("GNUPGHOME".into(), home.into())));
        let task = Task {
            action: "verify a commit of",
            subject: &repository.display().to_string(),
            environment,
            directory: desk,
            repository,
            stdout: Path::new("/dev/null"),
            args: &[&HARMLESS[..], args].concat(),
        };
        self.run(task, &Redactor::default())
    }

    /// Clones a repository for the user, nothing checked out.
    pub(crate) fn clone_to(&self, remote: &Remote, place: &Path, branch: Option<&str>) -> Result<(), GitError> {
        let (url, text) = (remote.url().as_str(), place.display().to_string());
        let mut args = [&HARMLESS[..], &["clone", "--quiet", "--no-checkout", "--no-tags"]].concat();
        let branch = branch.map(|branch| format!("--branch={branch}"));
        args.extend(branch.as_deref());
        args.extend(["--", url, &text]);
        let parent = place.parent().unwrap_or(place);
        let task = Task {
            action: "clone",
            subject: url,
            environment: self.users_environment(Path::new("/dev/null"), parent, remote),
            directory: parent,
            repository: Path::new(""),
            stdout: Path::new("/dev/null"),
            args: &args,
        };
        self.run(task, &Redactor::new(remote.secret()))
    }

    /// Runs `git gc` in a bare repository.
    pub(super) fn collect_garbage(&self, repository: &Path) -> Result<(), GitError> {
        let task = Task {
            action: "collect garbage in",
            subject: &repository.display().to_string(),
            environment: local_environment(self.environment),
            directory: repository,
            repository,
            stdout: Path::new("/dev/null"),
            args: &["gc", "--quiet"],
        };
        self.run(task, &Redactor::default())
    }

    fn run(&self, task: Task<'_>, redactor: &Redactor) -> Result<(), GitError> {
        self.run_told(task, redactor).map(drop)
    }

    /// Runs it, and gives the end of what it and the other side said beside its output proper.
    fn run_told(&self, task: Task<'_>, redactor: &Redactor) -> Result<String, GitError> {
        let Task { action, subject, mut environment, directory, repository, stdout, args } = task;
        // A clone makes its own.
        if !repository.as_os_str().is_empty() {
            environment.insert("GIT_DIR".into(), repository.into());
        }
        environment.insert("BST_FETCHER_STDOUT".into(), stdout.into());
        let words = ["sh", "-c", r#"exec git "$@" >"$BST_FETCHER_STDOUT""#, "git"];
        let command = words.iter().chain(args).map(OsString::from).collect();
        let invocation = Invocation { command, directory: directory.to_owned(), environment, timeout: self.timeout };
        let mut output = Vec::new();
        let mut keep = |piece: &[u8]| {
            output.extend_from_slice(piece);
            if output.len() > 2 * KEPT {
                output.drain(..output.len() - KEPT);
            }
        };
        let (exit, stopped) =
            run_until(self.runner, &invocation, self.cancel, &mut keep, &|| self.reason_to_stop(stdout));
        let url = subject.to_owned();
        match stopped {
            Some(Stop::NoSpace(shortage)) => return Err(GitError::NoSpace(shortage)),
            Some(Stop::TooMuch) => return Err(too_much(action, subject)),
            None => {}
        }
        match exit? {
            Exit::Status(0) => Ok(mask(&redactor.redact(&String::from_utf8_lossy(&output)))),
            Exit::TimedOut => Err(GitError::TimedOut { action, url, after: self.timeout }),
            Exit::Cancelled => Err(GitError::Cancelled),
            Exit::NoSpace { free, wanted } => {
                Err(GitError::NoSpace(SpaceShortage { directory: directory.to_owned(), free, wanted }))
            }
            Exit::Status(status) => {
                let output = mask(&redactor.redact(&String::from_utf8_lossy(&output)));
                let failure = if status == 127 { Failure::Tool } else { classify(&output, &url) };
                Err(GitError::Failed { action, url, failure, output })
            }
            Exit::Signal(signal) => {
                let output = format!("git was killed by signal {signal}");
                Err(GitError::Failed { action, url, failure: Failure::Killed, output })
            }
        }
    }

    fn reason_to_stop(&self, stdout: &Path) -> Option<Stop> {
        if let Some(shortage) = self.space.and_then(FreeSpace::shortage) {
            return Some(Stop::NoSpace(shortage));
        }
        fs::metadata(stdout).is_ok_and(|found| found.len() > MAX_OUTPUT).then_some(Stop::TooMuch)
    }
}

/// What a push came to.
pub(super) struct PushSaid {
    /// A line for each reference, as `--porcelain` has them.
    pub(super) statuses: String,
    /// What git and the other side said.
    pub(super) said: String,
    /// What sort of failure it was, where git says that it was one.
    pub(super) failure: Option<Failure>,
}

/// What a child wrote to its standard output.
fn text_of(stdout: &NamedTempFile, remote: &Remote) -> Result<String, GitError> {
    let failed = |error| GitError::io("read", stdout.path(), error);
    let mut text = Vec::new();
    stdout.reopen().map_err(failed)?.take(MAX_OUTPUT + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_OUTPUT {
        return Err(too_much("read what git says of", remote.url().as_str()));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Why a child is stopped before its end.
enum Stop {
    NoSpace(SpaceShortage),
    TooMuch,
}

fn too_much(action: &'static str, subject: &str) -> GitError {
    let output = format!("it has more than {} MiB of references", MAX_OUTPUT >> 20);
    GitError::Failed { action, url: subject.to_owned(), failure: Failure::Repository, output }
}
