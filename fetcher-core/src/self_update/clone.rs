//! The clone that holds the configuration: what it is at, and what it follows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{
    DiffDelta, ErrorCode, FileMode, ObjectType, Oid, Repository, RepositoryOpenFlags, RepositoryState, Status,
    StatusEntry, StatusOptions,
};

use super::clone_locks::CloneLocks;
use super::clone_path::{self, ClonePath};
use super::commit_files::{CommitFiles, FallbackFiles};
use super::error::{CommitSummary, UpdateError};
use super::objects::small_tree;
use crate::config::SelfUpdateConfig;
use crate::git::{Git, GitAccess, GitError, GitFailure, RemoteRepository};

/// Names what was last taken from upstream.
pub(super) const TAKEN: &str = "refs/bst-fetcher/taken";

/// A clone with a configuration in it.
pub(super) struct ConfigRepository {
    pub(super) repository: Repository,
    pub(super) top: PathBuf,
    /// The configuration file inside it.
    pub(super) entry: PathBuf,
    pub(super) desk: CloneLocks,
}

/// What is followed.
pub(super) struct FollowedBranch {
    pub(super) remote: String,
    pub(super) access: RemoteRepository,
    /// The branch there, without `refs/heads/`.
    pub(super) branch: String,
    /// The branch here, in full.
    pub(super) local: String,
}

impl ConfigRepository {
    /// The clone that a configuration file is in, if it is in one.
    pub(super) fn of(path: &Path) -> Result<Option<Self>, UpdateError> {
        // A link that took the place of a directory of the accepted commit leads to nothing of it.
        let left =
            clone_path::left(path).into_iter().filter_map(|ClonePath { top, entry }| Self::open(top, entry).ok());
        let is_its_own = |clone: &Self| clone.last_taken().is_some_and(|commit| clone.has_file(commit));
        if let Some(clone) = left.into_iter().find(is_its_own) {
            return Ok(Some(clone));
        }
        let Some(ClonePath { top, entry }) = clone_path::find(path) else { return Ok(None) };
        Self::open(top, entry).map(Some)
    }

    pub(super) fn open(top: PathBuf, entry: PathBuf) -> Result<Self, UpdateError> {
        let repository = Repository::open_ext(&top, RepositoryOpenFlags::NO_SEARCH, [] as [&Path; 0]);
        let repository = repository.map_err(|error| match error.code() {
            ErrorCode::Owner => UpdateError::Ownership { top: top.clone() },
            _ => UpdateError::repository("open", &top, error),
        })?;
        let desk = CloneLocks::new(repository.path());
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
    pub(super) fn taken(&self, upstream: &FollowedBranch) -> Option<Oid> {
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
    pub(super) fn take(&self, commit: Oid, upstream: Option<&FollowedBranch>) -> Result<(), git2::Error> {
        let tracking = upstream.map(|upstream| format!("refs/remotes/{}/{}", upstream.remote, upstream.branch));
        for name in [Some(TAKEN.to_owned()), tracking].into_iter().flatten() {
            if self.repository.refname_to_id(&name).ok() != Some(commit) {
                self.unlock(&name);
                self.repository.reference(&name, commit, true, "bst-fetcher: taken")?;
            }
        }
        Ok(())
    }

    /// Lets a reference name what it named before, if it named anything.
    pub(super) fn restore(&self, name: &str, commit: Option<&str>) -> Result<(), git2::Error> {
        let commit = commit.map(Oid::from_str).transpose()?;
        if self.repository.refname_to_id(name).ok() == commit {
            return Ok(());
        }
        self.unlock(name);
        match commit {
            Some(commit) => self.repository.reference(name, commit, true, "bst-fetcher: taken back").map(drop),
            None => self.repository.find_reference(name)?.delete(),
        }
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

    /// Whether the configuration file is in a commit, and no symbolic link there.
    fn has_file(&self, commit: Oid) -> bool {
        let tree = self.repository.find_commit(commit).and_then(|commit| commit.tree());
        let entry = tree.and_then(|tree| tree.get_path(&self.entry));
        entry.is_ok_and(|entry| entry.kind() == Some(ObjectType::Blob) && entry.filemode() != i32::from(FileMode::Link))
    }

    /// Whether files of the commit that is checked out were changed here.
    pub(super) fn is_changed(&self) -> bool {
        let mut options = StatusOptions::new();
        options.include_untracked(false).include_ignored(false).exclude_submodules(true);
        self.repository
            .statuses(Some(&mut options))
            .is_ok_and(|changes| changes.iter().any(|change| is_change(&change)))
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
    pub(super) fn upstream(&self, settings: &SelfUpdateConfig) -> Result<Option<FollowedBranch>, UpdateError> {
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
        let access = RemoteRepository::new(&url, &GitAccess::default())?;
        Ok(Some(FollowedBranch { remote, access, branch, local }))
    }

    /// The tip of what is followed, its objects fetched if they are not here yet.
    pub(super) fn tip(&self, git: &Git<'_>, upstream: &FollowedBranch) -> Result<Oid, UpdateError> {
        let name = format!("refs/heads/{}", upstream.branch);
        let url = upstream.access.url().as_str();
        let ask = |args: &[&str]| git.ask_in(self.repository.path(), self.desk.path(), &upstream.access, args);
        let missing = || GitError::Failed {
            action: "follow",
            url: url.to_owned(),
            failure: crate::git::GitFailure::RefMissing,
            output: format!("there is no branch {}", upstream.branch),
        };
        // Between the two questions it may move, or be rewritten.
        for _ in 0..3 {
            let listing = ask(&["ls-remote", "--quiet", "--refs", "--", url, &name])?;
            let line = listing.lines().find_map(|line| line.split_once('\t').filter(|(_, found)| *found == name));
            let tip = line.and_then(|(id, _)| Oid::from_str(id).ok()).ok_or_else(missing)?;
            if self.has(tip)? {
                return Ok(tip);
            }
            self.clear_leftovers();
            let fetched =
                ask(&["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", "--", url, &name]);
            if let Err(error) = fetched {
                if error.failure() == GitFailure::DiskFull {
                    self.make_room(git);
                }
                return Err(error.into());
            }
        }
        Err(missing().into())
    }

    /// Whether a commit is here. One with a message without end is none.
    fn has(&self, commit: Oid) -> Result<bool, UpdateError> {
        const LARGEST: usize = 1 << 20;
        let odb = self.repository.odb().map_err(self.failed("read"))?;
        match odb.read_header(commit) {
            Ok((size, ObjectType::Commit)) if size <= LARGEST => Ok(self.repository.find_commit(commit).is_ok()),
            Ok((_, kind)) => {
                let (commit, what) =
                    (commit.to_string(), if kind == ObjectType::Commit { "larger than 1 MiB" } else { "none" });
                let commit = CommitSummary { commit, subject: String::new(), author: String::new() };
                Err(UpdateError::Refused { commit, reason: format!("the commit at the branch's tip is {what}") })
            }
            Err(_) => Ok(false),
        }
    }

    /// Removes what was fetched and is not used, so that there is room for what upstream has next. In a clone of their
    /// own somebody may still want it.
    pub(super) fn make_room(&self, git: &Git<'_>) {
        self.clear_leftovers();
        if self.desk.is_hosts() {
            // That there was no room is told; where none can be made it is told again.
            let _ = git.verify(self.repository.path(), self.desk.path(), None, &["gc", "--quiet", "--prune=now"]);
        }
    }

    /// Removes what a git that was stopped, or had no room, left of the packs that it fetched. Only for who holds the
    /// lock of all updates.
    pub(super) fn clear_leftovers(&self) {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let pack = self.repository.commondir().join("objects/pack");
        for entry in std::fs::read_dir(pack).into_iter().flatten().flatten() {
            let is_left = entry.file_name().as_encoded_bytes().starts_with(b"tmp_");
            // In a clone of their own somebody may be fetching just now.
            let is_old = || entry.metadata().ok()?.modified().ok()?.elapsed().ok().map(|age| age > DAY);
            if is_left && (self.desk.is_hosts() || is_old() == Some(true)) {
                // Where it cannot be removed, the git that needs the room says so.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// A commit as people are told of it.
    pub(super) fn told(&self, commit: Oid) -> CommitSummary {
        match self.repository.find_commit(commit) {
            Ok(found) => CommitSummary::of(&found),
            Err(_) => CommitSummary { commit: commit.to_string(), subject: String::new(), author: String::new() },
        }
    }

    /// The files of a commit.
    pub(super) fn view<'c>(
        &'c self,
        commit: Oid,
        elsewhere: FallbackFiles<'c>,
    ) -> Result<CommitFiles<'c>, UpdateError> {
        let tree =
            || small_tree(&self.repository, &self.repository.odb()?, self.repository.find_commit(commit)?.tree_id());
        let tree = tree().map_err(self.failed("read a commit of"))?;
        Ok(CommitFiles { repository: &self.repository, tree, top: &self.top, elsewhere })
    }

    /// How files are looked for that a commit does not have, on this host.
    pub(super) fn here(&self) -> FallbackFiles<'static> {
        let tree = self.head().and_then(|head| self.repository.find_commit(head).ok()?.tree().ok());
        FallbackFiles::Here { now: tree.map(|tree| tree.id()) }
    }

    pub(super) fn busy(&self, waited: Duration) -> UpdateError {
        UpdateError::Busy { top: self.top.clone(), waited }
    }
}

/// Whether what git sees was changed here. Old versions of git wrote a mode into commits that no index has.
pub(super) fn is_change(seen: &StatusEntry<'_>) -> bool {
    let is_mode_of_old = |delta: DiffDelta<'_>| {
        let (old, new) = (delta.old_file(), delta.new_file());
        old.id() == new.id() && (old.mode(), new.mode()) == (FileMode::BlobGroupWritable, FileMode::Blob)
    };
    seen.status() != Status::INDEX_MODIFIED || !seen.head_to_index().is_some_and(is_mode_of_old)
}
