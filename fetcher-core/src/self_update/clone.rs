//! The clone that holds the configuration: what it is at, and what it follows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{ErrorCode, Oid, Repository, RepositoryOpenFlags, RepositoryState, StatusOptions};

use super::error::{Told, UpdateError};
use super::hold::Desk;
use super::place::{self, Place};
use super::view::{Elsewhere, View};
use crate::config::SelfUpdateConfig;
use crate::git::{Access, Git, GitError, Remote};

/// Names what was last taken from upstream.
const TAKEN: &str = "refs/bst-fetcher/taken";

/// A clone with a configuration in it.
pub(super) struct Clone {
    pub(super) repository: Repository,
    pub(super) top: PathBuf,
    /// The configuration file inside it.
    pub(super) entry: PathBuf,
    pub(super) desk: Desk,
}

/// What is followed.
pub(super) struct Upstream {
    pub(super) remote: String,
    pub(super) access: Remote,
    /// The branch there, without `refs/heads/`.
    pub(super) branch: String,
    /// The branch here, in full.
    pub(super) local: String,
}

impl Clone {
    /// The clone that a configuration file is in, if it is in one.
    pub(super) fn of(path: &Path) -> Result<Option<Self>, UpdateError> {
        let Some(Place { top, entry }) = place::find(path) else { return Ok(None) };
        Self::open(top, entry).map(Some)
    }

    pub(super) fn open(top: PathBuf, entry: PathBuf) -> Result<Self, UpdateError> {
        let repository = Repository::open_ext(&top, RepositoryOpenFlags::NO_SEARCH, [] as [&Path; 0]);
        let repository = repository.map_err(|error| match error.code() {
            ErrorCode::Owner => UpdateError::Ownership { top: top.clone() },
            _ => UpdateError::repository("open", &top, error),
        })?;
        let desk = Desk::new(repository.path());
        Ok(Self { repository, top, entry, desk })
    }

    pub(super) fn failed<E>(&self, action: &'static str) -> impl Fn(E) -> UpdateError
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |error| UpdateError::repository(action, &self.top, error)
    }

    /// The commit that is checked out; none before the first.
    pub(super) fn head(&self) -> Option<Oid> {
        self.repository.head().ok()?.peel_to_commit().ok().map(|commit| commit.id())
    }

    /// The branch that is checked out, in full; none where it is a bare commit.
    pub(super) fn branch(&self) -> Option<String> {
        let head = self.repository.find_reference("HEAD").ok()?;
        head.symbolic_target().ok().flatten().map(str::to_owned)
    }

    /// What was last taken from upstream; before anything was, what git knows of the upstream's branch.
    pub(super) fn taken(&self, upstream: &Upstream) -> Option<Oid> {
        let tracking = format!("refs/remotes/{}/{}", upstream.remote, upstream.branch);
        self.last_taken().or_else(|| self.commit_of(&tracking))
    }

    pub(super) fn last_taken(&self) -> Option<Oid> {
        self.commit_of(TAKEN)
    }

    fn commit_of(&self, name: &str) -> Option<Oid> {
        self.repository.refname_to_id(name).ok().filter(|id| self.repository.find_commit(*id).is_ok())
    }

    /// Notes what was taken, for this program and for git's own `status`.
    pub(super) fn take(&self, commit: Oid, upstream: Option<&Upstream>) -> Result<(), git2::Error> {
        let tracking = upstream.map(|upstream| format!("refs/remotes/{}/{}", upstream.remote, upstream.branch));
        for name in [Some(TAKEN.to_owned()), tracking].into_iter().flatten() {
            if self.repository.refname_to_id(&name).ok() != Some(commit) {
                self.unlock(&name);
                self.repository.reference(&name, commit, true, "bst-fetcher: taken")?;
            }
        }
        Ok(())
    }

    /// Removes the lock of a reference that a killed process of ours, or an interrupted git, left. Only for who holds
    /// the lock of all updates.
    pub(super) fn unlock(&self, name: &str) {
        for directory in [self.repository.path(), self.repository.commondir()] {
            let _ = std::fs::remove_file(directory.join(format!("{name}.lock")));
        }
    }

    /// Whether the configuration file is in a commit.
    pub(super) fn tracks(&self, commit: Oid) -> bool {
        let tree = self.repository.find_commit(commit).and_then(|commit| commit.tree());
        tree.is_ok_and(|tree| tree.get_path(&self.entry).is_ok())
    }

    /// Whether files of the commit that is checked out were changed here.
    pub(super) fn is_changed(&self) -> bool {
        let mut options = StatusOptions::new();
        options.include_untracked(false).include_ignored(false).exclude_submodules(true);
        self.repository.statuses(Some(&mut options)).is_ok_and(|changes| !changes.is_empty())
    }

    /// What is under way, where somebody is in the middle of something.
    pub(super) fn underway(&self) -> Result<(), UpdateError> {
        let what = match self.repository.state() {
            RepositoryState::Clean => return Ok(()),
            state => format!("{state:?}").to_lowercase(),
        };
        Err(UpdateError::Underway { top: self.top.clone(), what })
    }

    /// What is to be followed; none where nothing is.
    pub(super) fn upstream(&self, settings: &SelfUpdateConfig) -> Result<Option<Upstream>, UpdateError> {
        let config = git2::Config::open(&self.repository.commondir().join("config"));
        let config = config.map_err(self.failed("read"))?;
        let get = |name: String| config.get_string(&name).ok();
        let head = self.branch();
        let short = head.as_deref().and_then(|name| name.strip_prefix("refs/heads/"));
        let remote = short.and_then(|name| get(format!("branch.{name}.remote"))).filter(|name| name != ".");
        let merge = short.and_then(|name| get(format!("branch.{name}.merge")));
        let branch = merge.and_then(|name| name.strip_prefix("refs/heads/").map(str::to_owned));
        let (remote, branch, local) = match (&settings.branch, remote, branch) {
            (Some(wanted), remote, Some(branch)) if *wanted == branch => (remote, wanted.clone(), head),
            (Some(wanted), remote, _) => (remote, wanted.clone(), Some(format!("refs/heads/{wanted}"))),
            (None, Some(remote), Some(branch)) => (Some(remote), branch, head),
            (None, _, _) if settings.enabled == Some(true) => {
                let reason = "the checked-out branch has no upstream".to_owned();
                return Err(UpdateError::NoUpstream { top: self.top.clone(), reason });
            }
            (None, _, _) => return Ok(None),
        };
        let remote = remote.unwrap_or_else(|| "origin".to_owned());
        let (Some(url), Some(local)) = (get(format!("remote.{remote}.url")), local) else {
            let reason = format!("it has no remote {remote:?}");
            return Err(UpdateError::NoUpstream { top: self.top.clone(), reason });
        };
        let access = Remote::new(&url, &Access::default())?;
        Ok(Some(Upstream { remote, access, branch, local }))
    }

    /// The tip of what is followed, its objects fetched if they are not here yet.
    pub(super) fn tip(&self, git: &Git<'_>, upstream: &Upstream) -> Result<Oid, UpdateError> {
        let name = format!("refs/heads/{}", upstream.branch);
        let url = upstream.access.url().as_str();
        let ask = |args: &[&str]| git.ask_in(self.repository.path(), self.desk.path(), &upstream.access, args);
        let missing = || GitError::Failed {
            action: "follow",
            url: url.to_owned(),
            failure: crate::git::Failure::RefMissing,
            output: format!("there is no branch {}", upstream.branch),
        };
        // Between the two questions it may move, or be rewritten.
        for _ in 0..3 {
            let listing = ask(&["ls-remote", "--quiet", "--refs", "--", url, &name])?;
            let line = listing.lines().find_map(|line| line.split_once('\t').filter(|(_, found)| *found == name));
            let tip = line.and_then(|(id, _)| Oid::from_str(id).ok()).ok_or_else(missing)?;
            if self.repository.find_commit(tip).is_ok() {
                return Ok(tip);
            }
            ask(&["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", "--", url, &name])?;
        }
        Err(missing().into())
    }

    /// A commit as people are told of it.
    pub(super) fn told(&self, commit: Oid) -> Told {
        match self.repository.find_commit(commit) {
            Ok(found) => Told::of(&found),
            Err(_) => Told { commit: commit.to_string(), subject: String::new(), author: String::new() },
        }
    }

    /// The files of a commit.
    pub(super) fn view<'c>(&'c self, commit: Oid, elsewhere: Elsewhere<'c>) -> Result<View<'c>, UpdateError> {
        let tree = self.repository.find_commit(commit).and_then(|commit| commit.tree());
        let tree = tree.map_err(self.failed("read a commit of"))?;
        Ok(View { repository: &self.repository, tree, top: &self.top, elsewhere })
    }

    /// How files are looked for that a commit does not have, on this host.
    pub(super) fn here(&self) -> Elsewhere<'static> {
        let tree = self.head().and_then(|head| self.repository.find_commit(head).ok()?.tree().ok());
        Elsewhere::Here { now: tree.map(|tree| tree.id()) }
    }

    pub(super) fn busy(&self, waited: Duration) -> UpdateError {
        UpdateError::Busy { top: self.top.clone(), waited }
    }
}
