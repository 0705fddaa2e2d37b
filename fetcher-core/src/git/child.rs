//! The one place that builds and runs git children.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::access::{RemoteRepository, local_environment};
use super::error::{GitError, GitFailure, classify};
use crate::address::without_credentials;
use crate::free_space::{FreeSpace, SpaceShortage};
use crate::runner::{Exit, Invocation, OutputStream, OutputTail, RunContext, run_until};
use crate::secret::Redactor;

/// How git children are run: by whom, in which environment, for how long at most, and until when.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Git<'a> {
    /// What they share with all else that is at work; its local runner runs them.
    pub context: RunContext<'a>,
    /// How long one of them, and so one exchange with a remote repository, may take; and one checkout, its submodules
    /// included.
    pub timeout: Duration,
    /// What is to stay free while they write; none to let them fill the disk.
    pub space: Option<&'a FreeSpace>,
}

impl<'a> Git<'a> {
    /// Gits that may fill the disk; [`Git::space`] is there to be set.
    pub fn new(context: RunContext<'a>, timeout: Duration) -> Self {
        Self { context, timeout, space: None }
    }
}

/// What one child may write to its standard output, in bytes: a million references.
const MAX_OUTPUT: usize = 64 << 20;

/// How much of what a child writes is kept: its end.
const TAIL_BYTES: usize = 64 * 1024;

/// Settings for a repository of the user's own: no hook and no other program that its configuration may name is run,
/// submodules are left alone, and nothing goes on in the background. What is fetched comes as a pack, which is there whole
/// or not at all, however git ends.
const SAFE_CONFIG: [&str; 16] = [
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
struct GitTask<'t> {
    /// What it is for, in an error's words: "fetch from", say.
    action: &'static str,
    /// Whom or what it is about, in an error's words.
    subject: &'t str,
    environment: BTreeMap<OsString, OsString>,
    /// Where it runs.
    directory: &'t Path,
    /// The repository it works on. Since it is named, git neither searches for one nor asks whose it is.
    repository: &'t Path,
    args: &'t [&'t str],
}

impl Git<'_> {
    /// Runs a `git` that needs no repository here, and gives what it wrote to its standard output. `directory` is one
    /// of ours.
    pub(crate) fn ask(&self, directory: &Path, remote: &RemoteRepository, args: &[&str]) -> Result<String, GitError> {
        fs::create_dir_all(directory).map_err(|error| GitError::io("write in", directory, error))?;
        let task = GitTask {
            action: "list the branches of",
            subject: remote.url().as_str(),
            environment: remote.environment(self.context.environment),
            directory,
            repository: Path::new("/dev/null"),
            args,
        };
        self.run(task, &Redactor::new(remote.secret()))
    }

    /// Asks whether a repository answers: for its HEAD alone, by no redirect to elsewhere and with no helper for
    /// credentials. `directory` is one of ours.
    pub(crate) fn reaches(&self, directory: &Path, remote: &RemoteRepository) -> Result<(), GitError> {
        let quiet = ["-c", "http.followRedirects=false", "-c", "credential.helper=", "ls-remote", "--quiet", "--"];
        let args = [&quiet[..], &[remote.url().as_str(), "HEAD"]].concat();
        self.ask(directory, remote, &args).map(drop)
    }

    /// Runs `git push` in a bare repository of ours. What the other side is to read as push options goes by the
    /// environment: arguments can be seen by everybody on this machine.
    pub(super) fn push(
        &self,
        repository: &Path,
        remote: &RemoteRepository,
        args: &[&str],
        options: &[String],
    ) -> Result<PushSaid, GitError> {
        let task = GitTask {
            action: "push to",
            subject: remote.url().as_str(),
            environment: remote.pushing_environment(self.context.environment, options),
            directory: repository,
            repository,
            args,
        };
        let (said, _) = self.run_told(task, &Redactor::new(remote.secret()))?;
        Ok(said)
    }

    /// The environment of a program that signs.
    pub(crate) fn signing_environment(&self) -> BTreeMap<OsString, OsString> {
        local_environment(self.context.environment)
    }

    /// Runs `git fetch` in a bare repository.
    pub(super) fn fetch(&self, repository: &Path, remote: &RemoteRepository, args: &[&str]) -> Result<(), GitError> {
        let task = GitTask {
            action: "fetch from",
            subject: remote.url().as_str(),
            environment: remote.environment(self.context.environment),
            directory: repository,
            repository,
            args,
        };
        self.run(task, &Redactor::new(remote.secret())).map(drop)
    }

    /// Runs a `git` in a repository of the user's own, with the settings that the user and the repository have, but
    /// without anything that the repository could let run; gives what it wrote to its standard output. `desk` is a
    /// directory of ours.
    pub(crate) fn ask_in(
        &self,
        repository: &Path,
        desk: &Path,
        remote: &RemoteRepository,
        args: &[&str],
    ) -> Result<String, GitError> {
        fs::create_dir_all(desk).map_err(|error| GitError::io("write in", desk, error))?;
        let task = GitTask {
            action: "follow",
            subject: remote.url().as_str(),
            environment: self.users_environment(repository, desk, remote),
            directory: desk,
            repository,
            args: &[&SAFE_CONFIG[..], args].concat(),
        };
        self.run(task, &Redactor::new(remote.secret()))
    }

    /// The environment of a git child that asks a repository as the user would. A command of their own for ssh counts;
    /// without one ssh never asks.
    fn users_environment(
        &self,
        repository: &Path,
        desk: &Path,
        remote: &RemoteRepository,
    ) -> BTreeMap<OsString, OsString> {
        let mut environment = remote.environment(self.context.environment);
        if remote.url().is_ssh() && self.has_ssh_command(repository, desk) {
            environment.remove(OsStr::new("GIT_SSH_COMMAND"));
            environment.remove(OsStr::new("GIT_SSH_VARIANT"));
        }
        environment
    }

    fn has_ssh_command(&self, repository: &Path, desk: &Path) -> bool {
        let task = GitTask {
            action: "read the configuration of",
            subject: &repository.display().to_string(),
            environment: local_environment(self.context.environment),
            directory: desk,
            repository,
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
        let mut environment = local_environment(self.context.environment);
        environment.extend(gnupg.map(|home| ("GNUPGHOME".into(), home.into())));
        let task = GitTask {
            action: "verify a commit of",
            subject: &repository.display().to_string(),
            environment,
            directory: desk,
            repository,
            args: &[&SAFE_CONFIG[..], args].concat(),
        };
        self.run(task, &Redactor::default()).map(drop)
    }

    /// Clones a repository for the user, nothing checked out.
    pub(crate) fn clone_to(
        &self,
        remote: &RemoteRepository,
        place: &Path,
        branch: Option<&str>,
    ) -> Result<(), GitError> {
        let (url, text) = (remote.url().as_str(), place.display().to_string());
        let mut args = [&SAFE_CONFIG[..], &["clone", "--quiet", "--no-checkout", "--no-tags"]].concat();
        let branch = branch.map(|branch| format!("--branch={branch}"));
        args.extend(branch.as_deref());
        args.extend(["--", url, &text]);
        let parent = place.parent().unwrap_or(place);
        let task = GitTask {
            action: "clone",
            subject: url,
            environment: self.users_environment(Path::new("/dev/null"), parent, remote),
            directory: parent,
            repository: Path::new(""),
            args: &args,
        };
        self.run(task, &Redactor::new(remote.secret())).map(drop)
    }

    /// Runs `git gc` in a bare repository.
    pub(super) fn collect_garbage(&self, repository: &Path) -> Result<(), GitError> {
        let task = GitTask {
            action: "collect garbage in",
            subject: &repository.display().to_string(),
            environment: local_environment(self.context.environment),
            directory: repository,
            repository,
            args: &["gc", "--quiet"],
        };
        self.run(task, &Redactor::default()).map(drop)
    }

    /// Runs one, and gives what it wrote to its standard output.
    fn run(&self, task: GitTask<'_>, redactor: &Redactor) -> Result<String, GitError> {
        let (said, failure) = self.run_told(task, redactor)?;
        failure.map_or(Ok(said.statuses), Err)
    }

    /// Runs one, and gives what it wrote to its standard output and error; and how it failed, where it ended by itself.
    fn run_told(&self, task: GitTask<'_>, redactor: &Redactor) -> Result<(PushSaid, Option<GitError>), GitError> {
        let GitTask { action, subject, mut environment, directory, repository, args } = task;
        // A clone makes its own.
        if !repository.as_os_str().is_empty() {
            environment.insert("GIT_DIR".into(), repository.into());
        }
        // Mixed with the standard output, a warning in the middle of a line would hide a branch.
        let invocation = Invocation::new(["git"].iter().chain(args), directory)
            .environment(environment)
            .timeout(self.timeout)
            .apart();
        let (mut stdout, mut errors) = (Vec::new(), OutputTail::new(TAIL_BYTES));
        let is_too_much = AtomicBool::new(false);
        let mut keep = |stream, piece: &[u8]| match stream {
            OutputStream::Stderr => errors.push(piece),
            OutputStream::Stdout if stdout.len() + piece.len() > MAX_OUTPUT => is_too_much.store(true, Relaxed),
            OutputStream::Stdout => stdout.extend_from_slice(piece),
        };
        let reason = || self.reason_to_stop(&is_too_much);
        let (exit, stopped) =
            run_until(self.context.local_runner, &invocation, self.context.cancel, &mut keep, &reason);
        let stopped = stopped.or_else(|| is_too_much.load(Relaxed).then_some(StopCause::TooMuch));
        let url = subject.to_owned();
        match stopped {
            Some(StopCause::NoSpace(shortage)) => return Err(GitError::NoSpace(shortage)),
            Some(StopCause::TooMuch) => return Err(too_much(action, subject)),
            None => {}
        }
        match exit? {
            Exit::Status(0) => {
                let statuses = String::from_utf8_lossy(&stdout).into_owned();
                let said = without_credentials(&redactor.redact(&errors.text()));
                Ok((PushSaid { statuses, said, failure: None }, None))
            }
            Exit::TimedOut => Err(GitError::TimedOut { action, url, after: self.timeout }),
            Exit::Cancelled => Err(GitError::Cancelled),
            Exit::NoSpace { free, wanted } => {
                Err(GitError::NoSpace(SpaceShortage { directory: directory.to_owned(), free, wanted }))
            }
            Exit::Status(status) => {
                let output = without_credentials(&redactor.redact(&errors.text()));
                let failure = if status == 127 { GitFailure::Tool } else { classify(&output, &url) };
                let statuses = String::from_utf8_lossy(&stdout).into_owned();
                let said = PushSaid { statuses, said: output.clone(), failure: Some(failure) };
                Ok((said, Some(GitError::Failed { action, url, failure, output })))
            }
            Exit::Signal(signal) => {
                let output = format!("git was killed by signal {signal}");
                Err(GitError::Failed { action, url, failure: GitFailure::Killed, output })
            }
        }
    }

    fn reason_to_stop(&self, is_too_much: &AtomicBool) -> Option<StopCause> {
        if let Some(shortage) = self.space.and_then(FreeSpace::shortage) {
            return Some(StopCause::NoSpace(shortage));
        }
        is_too_much.load(Relaxed).then_some(StopCause::TooMuch)
    }
}

/// What a push came to.
pub(super) struct PushSaid {
    /// A line for each reference, as `--porcelain` has them.
    pub(super) statuses: String,
    /// What git and the other side said.
    pub(super) said: String,
    /// What sort of failure it was, where git says that it was one.
    pub(super) failure: Option<GitFailure>,
}

/// Why a child is stopped before its end.
enum StopCause {
    NoSpace(SpaceShortage),
    TooMuch,
}

fn too_much(action: &'static str, subject: &str) -> GitError {
    let output = format!("it has more than {} MiB of references", MAX_OUTPUT >> 20);
    GitError::Failed { action, url: subject.to_owned(), failure: GitFailure::Repository, output }
}
