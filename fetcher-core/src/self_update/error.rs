//! What can go wrong while a configuration follows its repository, and what it means for a report.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::config::ConfigError;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Location, Retry};
use crate::failure::is_full;
use crate::git::{GitError, GitFailure};
use crate::sanitize::strip_control;

/// A commit, as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitSummary {
    /// Its name in hexadecimal.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// Who wrote it, with the mail address.
    pub author: String,
}

/// Bytes of a subject or a name that are told.
const LONGEST: usize = 200;

impl CommitSummary {
    pub(super) fn of(commit: &git2::Commit<'_>) -> Self {
        let author = commit.author();
        // Of what somebody wrote without end, as much as people read.
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]);
            strip_control(&text).replace('\n', " ")
        };
        Self {
            commit: commit.id().to_string(),
            subject: text(commit.summary_bytes().unwrap_or_default()),
            author: format!("{} <{}>", text(author.name_bytes()), text(author.email_bytes())),
        }
    }
}

impl fmt::Display for CommitSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}, by {})", &self.commit[..12.min(self.commit.len())], self.subject, self.author)
    }
}

/// Why a commit cannot be brought into a work tree.
#[derive(Debug, Error)]
pub(super) enum CheckoutObstacle {
    /// It is the commit's own fault, and the same on every host.
    #[error("{0}")]
    Refused(String),
    /// A file cannot be written or moved.
    #[error("{}: {source}", shown(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Git's objects, references or index cannot be read or written.
    #[error("{0}")]
    Git(String),
    /// Somebody stopped it.
    #[error("stopped before the end")]
    Cancelled,
}

impl From<git2::Error> for CheckoutObstacle {
    fn from(error: git2::Error) -> Self {
        Self::Git(strip_control(error.message()))
    }
}

impl CheckoutObstacle {
    /// A path of the commit that cannot be; `why` goes on with "which …".
    pub(super) fn refuse(path: &Path, why: &str) -> Self {
        Self::Refused(format!("it holds {}, {why}", shown(path)))
    }

    /// What git says of a path's object.
    pub(super) fn at(path: &Path, error: &git2::Error) -> Self {
        Self::Git(format!("{}: {}", shown(path), strip_control(error.message())))
    }

    /// What the system says of writing a path. Some of it says that no file can be like that.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput | io::ErrorKind::AlreadyExists => {
                Self::refuse(path, &format!("which cannot be written: {source}"))
            }
            _ => Self::Io { path: path.to_owned(), source },
        }
    }

    /// As the error about a commit.
    pub(super) fn of(self, commit: CommitSummary) -> UpdateError {
        match self {
            Self::Refused(reason) => UpdateError::Refused { commit, reason },
            Self::Cancelled => UpdateError::Git(GitError::Cancelled),
            Self::Git(_) | Self::Io { .. } => UpdateError::Hindered { commit, source: Box::new(self) },
        }
    }

    fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }
}

/// A path in quotes, as long as people read.
#[expect(clippy::unnecessary_debug_formatting, reason = "what is no text, or moves a cursor, is shown by its number")]
fn shown(path: &Path) -> String {
    const LONGEST: usize = 200;
    let text = format!("{path:?}");
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…\"", &text[..at]),
        None => text,
    }
}

/// Why a configuration did not follow its repository.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// Git could not do it.
    #[error("the configuration's repository could not be followed, so what is here is used: {0}")]
    Git(#[from] GitError),
    /// The clone cannot be read or changed.
    #[error("cannot {action} the configuration's clone {top:?}: {source}")]
    Repository {
        /// What was tried.
        action: &'static str,
        /// The clone.
        top: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The clone belongs to somebody else, who could let git run anything.
    #[error("the configuration's clone {top:?} belongs to another user, so it is not followed")]
    Ownership {
        /// The clone.
        top: PathBuf,
    },
    /// It is to be followed, but there is nothing to follow.
    #[error("the configuration's clone {top:?} cannot be followed: {reason}")]
    NoUpstream {
        /// The clone.
        top: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// It has changes of its own, and nobody said whether they are to give way.
    #[error("upstream moved, but the configuration's clone {top:?} has changes of its own, so it is left alone")]
    Undecided {
        /// The clone.
        top: PathBuf,
    },
    /// Somebody else updates it, or reads it.
    #[error(
        "the configuration's clone {top:?} is in use by another run for longer than {waited:?}; this run uses it as it is"
    )]
    Busy {
        /// The clone.
        top: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// Somebody is in the middle of a merge, a rebase or the like.
    #[error("somebody is in the middle of a {what} in the configuration's clone {top:?}, so it is left alone")]
    Underway {
        /// The clone.
        top: PathBuf,
        /// What is under way.
        what: String,
    },
    /// The new tip is not signed by whom it has to be.
    #[error(
        "the new configuration is refused, and the last good one is used: commit {commit} is not signed by one of the allowed signers: {reason}"
    )]
    Unsigned {
        /// The commit.
        commit: CommitSummary,
        /// What git says of its signature.
        reason: String,
    },
    /// Who may sign is not known, so that nothing is taken.
    #[error("nothing new is taken, for the allowed signers are not known: {reason}")]
    Signers {
        /// Why not.
        reason: String,
    },
    /// The new commit holds what no work tree can or may have.
    #[error("the new configuration is refused, and the last good one is used: commit {commit}: {reason}")]
    Refused {
        /// The commit.
        commit: CommitSummary,
        /// What is wrong with it.
        reason: String,
    },
    /// The new commit cannot be brought into the work tree on this host. The old one is there as it was.
    #[error("the new configuration cannot be put into place, and the last good one is used: commit {commit}: {source}")]
    Hindered {
        /// The commit.
        commit: CommitSummary,
        /// What stands in the way.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The new configuration is wrong.
    #[error("the new configuration is broken, and the last good one is used: commit {commit}\n{problems}")]
    Broken {
        /// The commit that broke it.
        commit: CommitSummary,
        /// The file inside the repository.
        file: PathBuf,
        /// Everything that is wrong with it.
        problems: ConfigError,
    },
}

impl UpdateError {
    pub(super) fn repository(
        action: &'static str,
        top: &Path,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Repository { action, top: top.to_owned(), source: source.into() }
    }

    /// Whether there was no room for a new commit.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Hindered { source, .. } if source.downcast_ref().is_some_and(CheckoutObstacle::is_full))
    }

    /// The failure as a report has it.
    pub fn diagnosis(&self) -> Diagnosis {
        let (kind, retry, hint) = self.meaning();
        diagnosis(kind, self.to_string(), retry, hint).with_place(self.place())
    }

    fn place(&self) -> Location {
        match self {
            Self::Broken { file, problems, .. } => {
                let first = problems.problems.first();
                let line = first.map(|problem| problem.line).filter(|line| *line > 0);
                let line = line.and_then(|line| u32::try_from(line).ok());
                Location { file: Some(file.clone()), line, ..Location::default() }
            }
            Self::Repository { top, .. }
            | Self::Ownership { top }
            | Self::NoUpstream { top, .. }
            | Self::Undecided { top }
            | Self::Busy { top, .. }
            | Self::Underway { top, .. } => Location::of_file(top),
            Self::Git(_)
            | Self::Unsigned { .. }
            | Self::Signers { .. }
            | Self::Refused { .. }
            | Self::Hindered { .. } => Location::default(),
        }
    }

    fn meaning(&self) -> (FailureKind, Retry, String) {
        let (kind, retry, hint) = match self {
            Self::Git(error) => return of_git(error.failure()),
            Self::Repository { source, .. } => {
                let denied = source.downcast_ref::<io::Error>().is_some_and(|error| {
                    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
                });
                let hint = if denied {
                    "let the user that runs the fetcher write there (systemd: ReadWritePaths=), or set \
                     self-update.enabled = false"
                } else {
                    "look at the clone with `git status` and `git fsck`; if it is broken, move it away and clone anew \
                     with `bst-fetcher init --from`"
                };
                (FailureKind::SelfUpdate, Retry::Once, hint)
            }
            Self::Ownership { .. } => (
                FailureKind::SelfUpdate,
                Retry::No,
                "give it to the user that runs the fetcher (chown -R), add it to git's safe.directory, or set \
                 self-update.enabled = false",
            ),
            Self::NoUpstream { .. } => (
                FailureKind::SelfUpdate,
                Retry::No,
                "run `git branch --set-upstream-to=origin/BRANCH` in it, or set self-update.branch, or \
                 self-update.enabled = false",
            ),
            Self::Undecided { .. } => (
                FailureKind::SelfUpdate,
                Retry::No,
                "set self-update.enabled = true, and such changes give way and are kept aside, or false, and upstream is \
                 not followed; or see to them with `git status` there",
            ),
            Self::Busy { .. } => (
                FailureKind::SelfUpdate,
                Retry::Yes,
                "the next run follows; if this lasts, see which run never ends, or wait longer with --lock-wait",
            ),
            Self::Underway { .. } => {
                (FailureKind::SelfUpdate, Retry::No, "end it there, or take it back with `git … --abort`")
            }
            Self::Unsigned { .. } => (
                FailureKind::SelfUpdate,
                Retry::No,
                "let one of the allowed signers sign a commit at the branch's tip (git commit -S); if nobody of yours \
                 made this commit, find out who did",
            ),
            Self::Signers { .. } => (
                FailureKind::SelfUpdate,
                Retry::No,
                "mend the file that self-update.allowed-signers names on this host",
            ),
            Self::Refused { .. } => (
                FailureKind::Configuration,
                Retry::No,
                "take it out of the configuration's repository: the next run takes the branch's tip",
            ),
            Self::Hindered { .. } => {
                let hint = if self.is_full() {
                    "make space on the file system of the configuration's clone, or take large files out of its \
                     repository: the next run tries again"
                } else {
                    "the next run tries again; look at the clone with `git status` and `git fsck`, and at who may \
                     write there"
                };
                (FailureKind::SelfUpdate, Retry::Once, hint)
            }
            Self::Broken { file, .. } => {
                let hint = format!("mend {} in the configuration's repository: the next run takes it", file.display());
                return (FailureKind::Configuration, Retry::No, hint);
            }
        };
        (kind, retry, hint.to_owned())
    }
}

/// A failure of self-update, about no place.
pub(super) fn diagnosis(kind: FailureKind, message: String, retry: Retry, hint: impl Into<String>) -> Diagnosis {
    let hint = hint.into();
    Diagnosis::new(kind, message, retry, Actor::Host, hint)
}

fn of_git(failure: GitFailure) -> (FailureKind, Retry, String) {
    let (retry, hint) = match failure {
        GitFailure::Dns
        | GitFailure::Unreachable
        | GitFailure::RateLimited
        | GitFailure::ServerError
        | GitFailure::TimedOut
        | GitFailure::Killed => {
            (Retry::Yes, "the next run tries again; if it lasts, see whether this host reaches the git server")
        }
        GitFailure::Unauthorised | GitFailure::HostKey | GitFailure::Tls => (
            Retry::No,
            "give this user's git what it needs for this server: a key, a credential helper, the server's key in \
             known_hosts, or its authority; `git fetch` in the clone has to work without a question",
        ),
        GitFailure::NotFound | GitFailure::RefMissing => (
            Retry::Once,
            "see whether the repository and the branch are still there, and may be read from here; \
             `git remote set-url` and self-update.branch change them",
        ),
        GitFailure::DiskFull => (Retry::No, "make space on the file system of the configuration's clone"),
        GitFailure::Permission => {
            (Retry::No, "let the user that runs the fetcher write into the configuration's clone")
        }
        GitFailure::Ownership => {
            (Retry::No, "the repository belongs to another user: see `safe.directory` in git-config(1)")
        }
        GitFailure::Protocol | GitFailure::Configuration => {
            (Retry::No, "correct the address with `git remote set-url` in the configuration's clone")
        }
        GitFailure::Tool => {
            (Retry::No, "install git, 2.31 or newer (2.34 for ssh signatures), and see that it is in PATH")
        }
        GitFailure::ObjectFormat => {
            (Retry::No, "the configuration's repository names its objects by SHA-256: keep it in one with SHA-1 names")
        }
        GitFailure::Corrupt | GitFailure::Repository => {
            (Retry::Once, "run `git fsck` in the configuration's clone; move it away and clone it anew if it is broken")
        }
        GitFailure::Cancelled => (Retry::Yes, "the next run follows"),
        GitFailure::Unknown => (Retry::Once, "run `git fetch` by hand in the configuration's clone"),
    };
    (FailureKind::SelfUpdate, retry, hint.to_owned())
}
