//! Diagnoses of what git could not do, and of branches and checkouts that are not what they should be.

use crate::diagnosis::{Actor, Diagnosis, FailureKind, Location, Retry};
use crate::git::{GitError, GitFailure, MissingBranch};
use crate::names::{BranchName, Stage};
use crate::project::CheckoutError;

impl GitError {
    /// The failure as data: who must act, and what to do.
    ///
    /// ```
    /// use fetcher_core::diagnosis::FailureKind;
    /// use fetcher_core::git::{GitAccess, RemoteRepository};
    ///
    /// let error = RemoteRepository::new("ftp://example.org/x.git", &GitAccess::default()).unwrap_err();
    /// assert_eq!(error.diagnosis(fetcher_core::Stage::Checkout).kind, FailureKind::Configuration);
    /// ```
    pub fn diagnosis(&self, stage: Stage) -> Diagnosis {
        git(self, stage)
    }
}

impl CheckoutError {
    /// The failure as data: who must act, and what to do.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            CheckoutError::Git(error) => error.diagnosis(Stage::Checkout),
            CheckoutError::NoProject { .. } => no_project(self),
        }
    }
}

/// A failure of git's.
pub(super) fn git(error: &GitError, stage: Stage) -> Diagnosis {
    let (kind, retry, actor, hint) = of_failure(error.failure());
    let hint = error.withheld().map_or_else(|| hint.to_owned(), credentials_for);
    let place = Location { url: error.url().map(str::to_owned), ..Location::default() };
    Diagnosis::new(kind, error.to_string(), retry, actor, hint).with_stage(stage).with_place(place)
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
pub(super) fn of_failure(failure: GitFailure) -> (FailureKind, Retry, Actor, &'static str) {
    match failure {
        GitFailure::Dns => (
            FailureKind::Dns,
            Retry::Yes,
            Actor::Upstream,
            "check the host's name in the project's url, and this host's DNS",
        ),
        GitFailure::Unreachable => (
            FailureKind::Network,
            Retry::Yes,
            Actor::Upstream,
            "the next run tries again; if it lasts, see whether the server is up and this host may reach it",
        ),
        GitFailure::Unauthorised => (
            FailureKind::Unauthorised,
            Retry::No,
            Actor::Host,
            "give the project's `git` table a `token-file`, or an `ssh-key` that the server knows",
        ),
        GitFailure::NotFound => (
            FailureKind::NotFound,
            Retry::Once,
            Actor::Host,
            "correct the project's `url`; a private repository needs `git.token-file` or `git.ssh-key`",
        ),
        GitFailure::RefMissing => (
            FailureKind::RefMissing,
            Retry::Once,
            Actor::Project,
            "a commit vanished from the repository; the next run follows the branch's new tip",
        ),
        GitFailure::RateLimited => (
            FailureKind::RateLimited,
            Retry::Yes,
            Actor::Nobody,
            "the next run tries again; run less often if it lasts",
        ),
        GitFailure::ServerError => {
            (FailureKind::ServerError, Retry::Yes, Actor::Upstream, "the server is broken; the next run tries again")
        }
        GitFailure::HostKey => (
            FailureKind::Unauthorised,
            Retry::No,
            Actor::Host,
            "check the server's ssh key with its operator, then put it into the file that `git.known-hosts` names",
        ),
        GitFailure::Tls => (
            FailureKind::Tls,
            Retry::No,
            Actor::Host,
            "the server's certificate is not trusted here: install its authority, or mend the certificate",
        ),
        GitFailure::DiskFull => (
            FailureKind::DiskFull,
            Retry::No,
            Actor::Host,
            "make space for the cache directory, or lower `min-free-space`",
        ),
        GitFailure::Permission => (
            FailureKind::Permission,
            Retry::No,
            Actor::Host,
            "make the file readable and the cache directory writable for the user that runs this",
        ),
        GitFailure::Ownership => (
            FailureKind::Permission,
            Retry::No,
            Actor::Host,
            "the repository belongs to another user: see `safe.directory` in git-config(1)",
        ),
        GitFailure::Protocol => (
            FailureKind::Git,
            Retry::No,
            Actor::Project,
            "use https, ssh, git or file, and no local path in a submodule of a remote repository",
        ),
        GitFailure::Tool => (
            FailureKind::HostToolMissing,
            Retry::No,
            Actor::Host,
            "install git (Debian and Fedora: git), 2.31 or newer, and see that it is in PATH",
        ),
        GitFailure::ObjectFormat => (FailureKind::Git, Retry::No, Actor::Project, OBJECT_FORMAT),
        GitFailure::Corrupt => (
            FailureKind::Git,
            Retry::Yes,
            Actor::Project,
            "the repository is broken on the other side as well: run git fsck there",
        ),
        GitFailure::Configuration => (
            FailureKind::Configuration,
            Retry::No,
            Actor::Host,
            "correct the project's `url`, `branches` or `git` in the configuration",
        ),
        GitFailure::Repository => (
            FailureKind::ProjectInvalid,
            Retry::No,
            Actor::Project,
            "mend the submodule or file in the project's repository",
        ),
        GitFailure::Killed => (
            FailureKind::Killed,
            Retry::Yes,
            Actor::Host,
            "git was killed from outside; was the machine out of memory?",
        ),
        GitFailure::TimedOut => (
            FailureKind::TimeOut,
            Retry::Yes,
            Actor::Upstream,
            "the server, or this host's disk, is too slow for the project's `timeout`; raise it, or look at the network",
        ),
        GitFailure::Cancelled => (FailureKind::Interrupted, Retry::Yes, Actor::Nobody, "the next run goes on"),
        GitFailure::Unknown => (FailureKind::Git, Retry::Once, Actor::Nobody, "run the same git command by hand"),
    }
}

/// A branch that is configured by name, and not there.
pub(super) fn missing_branch(missing: &MissingBranch, url: &str) -> Diagnosis {
    let hint = match &missing.nearest {
        Some(nearest) => format!("is {nearest} meant? Correct `branches` in the configuration, or create the branch"),
        None => "take it out of `branches` in the configuration, or create the branch".to_owned(),
    };
    let message = format!("{url} has no branch {}", missing.name);
    Diagnosis::new(FailureKind::RefMissing, message, Retry::No, Actor::Host, hint).with_stage(Stage::Checkout)
}

/// A branch that vanished while it was fetched.
pub(super) fn vanished(branch: &BranchName, url: &str) -> Diagnosis {
    let message = format!("{branch} vanished from {url} while it was fetched");
    let hint = "if it was deleted on purpose, take it out of `branches` in the configuration";
    Diagnosis::new(FailureKind::RefMissing, message, Retry::Yes, Actor::Nobody, hint).with_stage(Stage::Checkout)
}

/// A checkout without a project.
pub(super) fn no_project(error: &CheckoutError) -> Diagnosis {
    let message = error.to_string();
    let hint = "set the project's `directory` in the configuration to where project.conf is; where the project is on another \
                branch, name that in `branches`";
    Diagnosis::new(FailureKind::ProjectInvalid, message, Retry::No, Actor::Host, hint).with_stage(Stage::Checkout)
}
