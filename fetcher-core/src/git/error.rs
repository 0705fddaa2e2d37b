//! What can go wrong between here and a git repository, sorted by what somebody would have to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::failure::phrases::{self, FailureDetail};
use crate::failure::{FailureKind, is_full};
use crate::free_space::SpaceShortage;
use crate::names::CommitId;
use crate::runner::RunnerError;

/// Why a repository could not be read, fetched or checked out. Addresses in it hold no credentials.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GitError {
    /// An address that git must not be given.
    #[error("{url:?} cannot be used as a repository's address: {reason}")]
    Url {
        /// The address, credentials masked.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file with credentials that the configuration names cannot be used.
    #[error("{what} {path:?} cannot be used: {reason}")]
    Credentials {
        /// Which file: "the token file", say.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// The git program could not be run.
    #[error("cannot run git: {0}; is it installed, and in PATH?")]
    Start(#[from] RunnerError),
    /// The git program failed.
    #[error("cannot {action} {url}: {}", last_line(.output))]
    Failed {
        /// What was tried: "list the branches of", say.
        action: &'static str,
        /// The repository's address.
        url: String,
        /// What sort of failure git's words tell of.
        failure: GitFailure,
        /// The end of what git and the other side wrote, credentials masked.
        output: String,
    },
    /// The git program took longer than it may.
    #[error("cannot {action} {url}: no end after {after:?}")]
    TimedOut {
        /// What was tried.
        action: &'static str,
        /// The repository's address.
        url: String,
        /// How long it was given.
        after: Duration,
    },
    /// There is less free space than is to be kept, so that nothing more is written.
    #[error("stopped: {0}")]
    NoSpace(SpaceShortage),
    /// Somebody stopped the run.
    #[error("stopped before the end")]
    Cancelled,
    /// No branch is configured, and the repository names no default branch.
    #[error("{url} has no default branch: {reason}; name the branches in the configuration")]
    NoDefaultBranch {
        /// The repository's address.
        url: String,
        /// Why: it is empty, its HEAD is detached, or names a branch that is not there.
        reason: &'static str,
    },
    /// A pattern for branches that is none.
    #[error("{pattern:?} is not a pattern for branches: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The remote repository does not have, or does not give, a commit.
    #[error("{url} does not have the commit {commit}; it may have been force-pushed away")]
    NoCommit {
        /// The repository's address.
        url: String,
        /// The commit.
        commit: CommitId,
    },
    /// Objects are missing or broken, also after the mirror was made anew: the repository itself is broken.
    #[error("the mirror {directory:?} is corrupt: {reason}")]
    Corrupt {
        /// The mirror's directory.
        directory: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A commit holds something that must not, or cannot, be written into a working tree.
    #[error("{path:?} in the commit cannot be checked out: {reason}")]
    Tree {
        /// The path inside the working tree.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A submodule could not be checked out.
    #[error("the submodule {path:?} ({url}): {source}")]
    Submodule {
        /// The submodule's path inside its superproject.
        path: PathBuf,
        /// Its address, credentials masked; empty where there is none.
        url: String,
        /// Why.
        source: Box<GitError>,
    },
    /// A submodule was refused, and the project's credentials are not for it.
    #[error("{source}; the project's credentials are for its own url alone")]
    Withheld {
        /// The submodule's address.
        url: String,
        /// How it was refused.
        source: Box<GitError>,
    },
    /// A file of the mirror or the checkout cannot be written, read or removed.
    #[error("cannot {action} {path:?}: {source}")]
    Io {
        /// What was tried: "write", say.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// The sorts of failure that git tells of, by what would mend them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GitFailure {
    /// The host's name could not be resolved.
    Dns,
    /// The host could not be reached, refused, or stopped in the middle.
    Unreachable,
    /// The host wants other credentials (401, 403, a refused key).
    Unauthorised,
    /// There is no such repository, or these credentials may not know of it.
    NotFound,
    /// The repository does not have a branch or commit.
    RefMissing,
    /// The host asks to be left alone for a while (429).
    RateLimited,
    /// The host is broken (5xx).
    ServerError,
    /// The host's ssh key is not known, or is another one than before.
    HostKey,
    /// TLS could not be agreed on, or the certificate is not trusted.
    Tls,
    /// The disk is full.
    DiskFull,
    /// A file cannot be read or written.
    Permission,
    /// The repository on this machine belongs to somebody else (git's `safe.directory`).
    Ownership,
    /// The way to reach it is not allowed: git's `protocol.allow`, or a local path in a submodule of a remote
    /// repository.
    Protocol,
    /// The git program is missing, or is too old for what was asked.
    Tool,
    /// The repository names its objects by SHA-256, which is not supported.
    ObjectFormat,
    /// Objects are missing or broken, here or on the other side.
    Corrupt,
    /// The configuration is wrong: an address, a pattern, a credentials file, no branches.
    Configuration,
    /// The project's repository is wrong: a submodule without address, a path that cannot be checked out.
    Repository,
    /// The git program was killed by somebody else.
    Killed,
    /// It took too long.
    TimedOut,
    /// Somebody stopped the run.
    Cancelled,
    /// None of these; git's words have to be read.
    Unknown,
}

impl GitError {
    /// What sort of failure it is: a submodule's is that of its cause.
    pub fn failure(&self) -> GitFailure {
        match self {
            Self::Url { .. } | Self::Credentials { .. } | Self::NoDefaultBranch { .. } | Self::Pattern { .. } => {
                GitFailure::Configuration
            }
            Self::Start(_) => GitFailure::Tool,
            Self::Failed { failure, .. } => *failure,
            Self::TimedOut { .. } => GitFailure::TimedOut,
            Self::NoSpace(_) => GitFailure::DiskFull,
            Self::Cancelled => GitFailure::Cancelled,
            Self::NoCommit { .. } => GitFailure::RefMissing,
            Self::Corrupt { .. } => GitFailure::Corrupt,
            Self::Tree { .. } => GitFailure::Repository,
            Self::Withheld { source, .. } => source.failure(),
            Self::Submodule { source, .. } => match source.failure() {
                GitFailure::Configuration => GitFailure::Repository,
                failure => failure,
            },
            Self::Io { source, .. } if is_full(source) => GitFailure::DiskFull,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => GitFailure::Permission,
                _ => GitFailure::Unknown,
            },
        }
    }

    /// The address of a submodule that was refused, which the project's credentials are not for.
    pub fn withheld(&self) -> Option<&str> {
        match self {
            Self::Withheld { url, .. } => Some(url),
            Self::Submodule { source, .. } => source.withheld(),
            _ => None,
        }
    }

    /// The address of the repository that was asked, without credentials; none where it is not about one.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Url { url, .. }
            | Self::Failed { url, .. }
            | Self::TimedOut { url, .. }
            | Self::NoDefaultBranch { url, .. }
            | Self::Withheld { url, .. }
            | Self::NoCommit { url, .. } => Some(url),
            Self::Submodule { source, .. } => source.url(),
            Self::Credentials { .. }
            | Self::Start(_)
            | Self::Cancelled
            | Self::Pattern { .. }
            | Self::Corrupt { .. }
            | Self::Tree { .. }
            | Self::Io { .. }
            | Self::NoSpace(_) => None,
        }
    }

    /// Makes an error of the system's word on a file.
    ///
    /// What is such an error already, in the system's clothes, stays what it is.
    pub(super) fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        match source.into().downcast::<Self>() {
            Ok(error) => error,
            Err(source) => Self::Io { action, path: path.to_owned(), source },
        }
    }

    /// Whether it may lie in the mirror itself, so that making it anew is worth a try.
    pub(super) fn blames_mirror(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Failed { failure: GitFailure::Corrupt | GitFailure::Unknown, .. })
    }
}

/// What sort of failure git's words tell of. The address is taken out first, for a repository may be called anything.
pub(super) fn classify(output: &str, url: &str) -> GitFailure {
    let output = if url.is_empty() { output.to_owned() } else { output.replace(url, "<url>") };
    phrases::of_git(&output).map_or(GitFailure::Unknown, |(kind, detail)| GitFailure::of(kind, detail))
}

impl GitFailure {
    /// What a failure that git's words tell of is to those who called git.
    fn of(kind: FailureKind, detail: Option<FailureDetail>) -> Self {
        match detail {
            Some(FailureDetail::HostKey) => return GitFailure::HostKey,
            Some(FailureDetail::Ownership) => return GitFailure::Ownership,
            Some(FailureDetail::Transport) => return GitFailure::Protocol,
            Some(FailureDetail::ObjectFormat) => return GitFailure::ObjectFormat,
            Some(FailureDetail::RemoteCorrupt) => return GitFailure::Corrupt,
            Some(
                FailureDetail::NoVenv
                | FailureDetail::Conflict
                | FailureDetail::PythonVersion
                | FailureDetail::Requirements
                | FailureDetail::PackageBuild,
            )
            | None => {}
        }
        match kind {
            FailureKind::Dns => GitFailure::Dns,
            FailureKind::Network => GitFailure::Unreachable,
            FailureKind::Unauthorised => GitFailure::Unauthorised,
            FailureKind::NotFound => GitFailure::NotFound,
            FailureKind::RefMissing => GitFailure::RefMissing,
            FailureKind::RateLimited => GitFailure::RateLimited,
            FailureKind::ServerError => GitFailure::ServerError,
            FailureKind::Tls => GitFailure::Tls,
            FailureKind::DiskFull => GitFailure::DiskFull,
            FailureKind::Permission => GitFailure::Permission,
            FailureKind::HostToolMissing => GitFailure::Tool,
            FailureKind::MirrorCorrupt | FailureKind::Checksum => GitFailure::Corrupt,
            FailureKind::Killed => GitFailure::Killed,
            // The table has more than git's words, which mean nothing in particular here.
            _ => GitFailure::Unknown,
        }
    }
}

/// The line that says most: the last that git itself calls fatal or an error, else the last; what git adds to every
/// failure of a transport says nothing.
fn last_line(output: &str) -> &str {
    let telling = || {
        let lines = output.lines().map(str::trim).filter(|line| !line.is_empty()).rev();
        lines.filter(|line| !phrases::is_added_by_git(line))
    };
    let fatal = |line: &&str| line.starts_with("fatal:") || line.starts_with("error:");
    telling().find(fatal).or_else(|| telling().next()).unwrap_or("git says nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_does_not_decide_what_the_failure_is() {
        let output = "fatal: repository 'https://h/corrupt-ssl certificate' not found";
        assert_eq!(classify(output, "https://h/corrupt-ssl certificate"), GitFailure::NotFound);
    }

    #[test]
    fn the_line_that_says_most_is_shown() {
        let output = "Host key verification failed.\nfatal: Could not read from remote repository.\n\n\
            Please make sure you have the correct access rights\nand the repository exists.\n";
        assert_eq!(last_line(output), "Host key verification failed.");
        assert_eq!(classify(output, "ssh://h/x"), GitFailure::HostKey);
        assert_eq!(last_line("fatal: one\nerror: two\nhint: three"), "error: two");
    }
}
