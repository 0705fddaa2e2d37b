//! A bare repository that follows a remote one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use git2::{Oid, Repository};

use super::GitNote;
use super::access::RemoteRepository;
use super::child::Git;
use super::error::{GitError, GitFailure};
use super::refs::{BranchTip, RemoteRefs};
use super::store::{MirrorStore, RefsByName};
use crate::names::CommitId;

/// A bare repository on this machine that holds what is needed of one remote repository.
///
/// It belongs to a directory, not to an address: where the address changes, the objects stay of use. Threads and
/// processes may use one at once: who changes it holds a kernel lock on a file beside it alone, who reads it holds that
/// lock with others.
#[derive(Debug)]
pub struct Mirror<'a> {
    git: Git<'a>,
    remote: RemoteRepository,
    store: MirrorStore,
    /// The branches of the last fetch: what making it anew has to get.
    wanted: Mutex<Vec<BranchTip>>,
}

/// What a fetch did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchSummary {
    /// The branches that the mirror has now. A branch that moved while it was fetched is at its newer tip.
    pub tips: Vec<BranchTip>,
    /// Branches that vanished from the remote repository between its listing and the fetch.
    pub gone: Vec<BranchTip>,
    /// Whether the remote repository was asked at all: the mirror had not all the tips yet.
    pub asked: bool,
    /// Why the mirror was removed and made anew, if it was: it was corrupt.
    pub rebuilt: Option<String>,
    /// What else is worth saying.
    pub notes: Vec<GitNote>,
}

/// How often a repository whose branches move while they are fetched is listed again.
const MOVES: usize = 3;
/// How many commits of a history are looked at for those that need no reference of their own.
const MAX_HISTORY: usize = 100_000;
/// How many branches one `git fetch` is asked for: its arguments have to fit the system's limit.
const MOST_NAMES: usize = 2000;

impl<'a> Mirror<'a> {
    /// The mirror of a remote repository in a directory, which need not exist yet; its parents are made. Nothing
    /// happens until it is used.
    pub fn new(git: Git<'a>, directory: &Path, remote: RemoteRepository) -> Self {
        Self { git, remote, store: MirrorStore::new(directory.to_owned()), wanted: Mutex::default() }
    }

    /// Where it has the objects of commits.
    pub fn objects(&self) -> PathBuf {
        self.store.objects()
    }

    /// Takes over what an earlier release mirrored in another directory, where this mirror is not there yet: nothing of it
    /// is fetched again. Says whether it did.
    ///
    /// # Errors
    /// When the directory cannot be renamed.
    pub fn take_over(&self, directory: &Path) -> Result<bool, GitError> {
        let _lock = self.store.lock(true, self.git.context.cancel)?;
        self.store.take_over(&MirrorStore::new(directory.to_owned()))
    }

    /// Asks the remote repository for its branches and its HEAD, with one connection.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn remote_refs(&self) -> Result<RemoteRefs, GitError> {
        let _lock = self.store.lock(false, self.git.context.cancel)?;
        self.list()
    }

    /// Gets these branches, all with one connection, and none if the mirror has every tip already. Other branches of
    /// the mirror are dropped. A mirror that turns out to be corrupt is made anew.
    ///
    /// # Errors
    /// When the remote repository cannot be asked, does not have the tips, or the mirror cannot be written.
    pub fn fetch(&self, tips: &[BranchTip]) -> Result<FetchSummary, GitError> {
        let _lock = self.store.lock(true, self.git.context.cancel)?;
        *self.wanted() = tips.to_vec();
        let fresh = !self.store.exists();
        self.store.prepare()?;
        let tried = self.store.check().and_then(|()| self.fetch_into(&self.store, tips));
        let mut fetched = match tried {
            Err(error) if error.blames_mirror() && !fresh => self.rebuild(tips, &error)?,
            other => other?,
        };
        self.wanted().clone_from(&fetched.tips);
        fetched.notes.extend(self.maintain());
        Ok(fetched)
    }

    /// Runs `read` on the mirror once it has the commit, which is fetched by itself if need be. Where `read` finds
    /// objects missing or broken, the mirror is made anew and `read` runs once more.
    pub(super) fn with_commit<T>(
        &self,
        commit: &CommitId,
        notes: &mut Vec<GitNote>,
        mut read: impl FnMut(&git2::Repository) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        self.ensure(commit, notes)?;
        let (generation, failed) = {
            let _lock = self.store.lock(false, self.git.context.cancel)?;
            match self.store.open().and_then(|repository| read(&repository)) {
                Err(error @ GitError::Corrupt { .. }) => (self.store.generation(), error),
                other => return other,
            }
        };
        {
            let _lock = self.store.lock(true, self.git.context.cancel)?;
            if self.store.generation() == generation {
                self.rebuild_wanted(&failed, notes)?;
            }
        }
        self.ensure(commit, notes)?;
        let _lock = self.store.lock(false, self.git.context.cancel)?;
        self.store.open().and_then(|repository| read(&repository))
    }

    /// The messages of a commit and of those before it, each the first parent of the last, at most so many.
    ///
    /// # Errors
    /// When the commit cannot be had.
    pub fn messages(&self, commit: &CommitId, most: usize) -> Result<Vec<String>, GitError> {
        self.with_commit(commit, &mut Vec::new(), |repository| {
            let damage = |error: git2::Error| self.store.damage(&error);
            let mut messages = Vec::new();
            let mut next = Some(Oid::from_str(commit.as_str()).map_err(damage)?);
            while let Some(id) = next.filter(|_| messages.len() < most) {
                let found = repository.find_commit(id).map_err(damage)?;
                messages.push(String::from_utf8_lossy(found.message_bytes()).into_owned());
                next = found.parent_id(0).ok();
            }
            Ok(messages)
        })
    }

    pub(super) fn store(&self) -> &MirrorStore {
        &self.store
    }

    pub(super) fn git(&self) -> Git<'a> {
        self.git
    }

    pub(super) fn remote(&self) -> &RemoteRepository {
        &self.remote
    }

    /// Sees to it that a commit is there: by its id, which every server that speaks git's protocol 2 gives, else among
    /// all branches and tags.
    fn ensure(&self, commit: &CommitId, notes: &mut Vec<GitNote>) -> Result<(), GitError> {
        {
            let _lock = self.store.lock(false, self.git.context.cancel)?;
            if self.store.exists() && MirrorStore::has(&self.store.open()?, commit) {
                return Ok(());
            }
        }
        let _lock = self.store.lock(true, self.git.context.cancel)?;
        let fresh = !self.store.exists();
        self.store.prepare()?;
        match self.store.check().and_then(|()| self.fetch_commit(&self.store, commit)) {
            Err(error) if error.blames_mirror() && !fresh => {
                self.rebuild_wanted(&error, notes)?;
                self.fetch_commit(&self.store, commit)?;
            }
            other => other?,
        }
        notes.extend(self.maintain());
        Ok(())
    }

    fn fetch_commit(&self, store: &MirrorStore, commit: &CommitId) -> Result<(), GitError> {
        if MirrorStore::has(&store.open()?, commit) {
            return Ok(());
        }
        let mut refs = store.refs().map_err(|reason| self.corrupt(reason))?;
        match self.run_fetch(store, &[commit.as_str()]) {
            // What an old server or a dumb one says to an id has more than one form.
            Err(error) if !matches!(error.failure(), GitFailure::RefMissing | GitFailure::Unknown) => {
                return Err(error);
            }
            _ => (),
        }
        if !MirrorStore::has(&store.open()?, commit) {
            self.run_fetch(store, &["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"])?;
        }
        let repository = store.open()?;
        if !MirrorStore::has(&repository, commit) {
            return Err(GitError::NoCommit { url: self.remote.url().to_string(), commit: commit.clone() });
        }
        // A reference keeps the commit from being collected and tells the next fetch what is here. Those behind it are
        // kept by it.
        for behind in self.behind(&repository, commit, &refs)? {
            refs.remove(&format!("refs/commits/{behind}"));
        }
        refs.insert(format!("refs/commits/{commit}"), commit.to_string());
        store.set_refs(&refs)
    }

    /// Which commits with a reference of their own a commit has in its history, as far as that is looked at.
    fn behind(&self, repository: &Repository, commit: &CommitId, refs: &RefsByName) -> Result<Vec<Oid>, GitError> {
        let damage = |error: git2::Error| self.store.damage(&error);
        let names = refs.keys().filter_map(|name| name.strip_prefix("refs/commits/"));
        let known: HashSet<Oid> = names.filter_map(|id| Oid::from_str(id).ok()).collect();
        if known.is_empty() {
            return Ok(Vec::new());
        }
        let mut walk = repository.revwalk().map_err(damage)?;
        walk.push(Oid::from_str(commit.as_str()).map_err(damage)?).map_err(damage)?;
        let mut behind = Vec::new();
        for id in walk.take(MAX_HISTORY) {
            if self.git.context.cancel.is_cancelled() {
                return Err(GitError::Cancelled);
            }
            // Where the history is not whole, the rest of the references stay.
            let Ok(id) = id else { break };
            if known.contains(&id) {
                behind.push(id);
            }
        }
        Ok(behind)
    }

    /// Fetches into a store whatever of the tips is not there, and makes them its references.
    fn fetch_into(&self, store: &MirrorStore, tips: &[BranchTip]) -> Result<FetchSummary, GitError> {
        let mut fetched = FetchSummary { tips: tips.to_vec(), ..FetchSummary::default() };
        for _ in 0..MOVES {
            let lacking = store.lacks(&fetched.tips)?;
            if lacking.is_empty() {
                let refs =
                    fetched.tips.iter().map(|tip| (format!("refs/heads/{}", tip.branch), tip.commit.to_string()));
                store.set_refs(&refs.collect::<RefsByName>())?;
                return Ok(fetched);
            }
            fetched.asked = true;
            let names: Vec<_> = lacking.iter().map(|tip| format!("refs/heads/{}", tip.branch)).collect();
            for names in names.chunks(MOST_NAMES) {
                match self.run_fetch(store, &names.iter().map(String::as_str).collect::<Vec<_>>()) {
                    Err(error) if error.failure() != GitFailure::RefMissing => return Err(error),
                    _ => (),
                }
            }
            if !store.lacks(&fetched.tips)?.is_empty() {
                self.follow(&mut fetched)?;
            }
        }
        Err(self.corrupt("the remote repository does not give the commits that it lists".to_owned()))
    }

    /// Looks where the branches are now: they moved since they were listed.
    fn follow(&self, fetched: &mut FetchSummary) -> Result<(), GitError> {
        let refs = self.list()?;
        let (there, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut fetched.tips).into_iter().partition(|tip| refs.branches.contains_key(&tip.branch));
        fetched.gone.extend(gone);
        let now = |tip: BranchTip| refs.branches.get(&tip.branch).cloned().map(|commit| BranchTip { commit, ..tip });
        fetched.tips = there.into_iter().filter_map(now).collect();
        Ok(())
    }

    /// Makes the mirror anew beside itself, and puts it into its place once it is whole.
    fn rebuild(&self, tips: &[BranchTip], cause: &GitError) -> Result<FetchSummary, GitError> {
        let beside = self.store.beside("new");
        beside.remove()?;
        beside.prepare()?;
        let made = self.fetch_into(&beside, tips).and_then(|fetched| {
            self.store.replace_with(&beside)?;
            Ok(FetchSummary { rebuilt: Some(cause.to_string()), ..fetched })
        });
        if made.is_err() {
            beside.remove()?;
        }
        made
    }

    /// Makes the mirror anew with the branches of the last fetch, or without any if those are no more.
    fn rebuild_wanted(&self, cause: &GitError, notes: &mut Vec<GitNote>) -> Result<(), GitError> {
        let tips = self.wanted().clone();
        let rebuilt = match self.rebuild(&tips, cause) {
            Err(error) if matches!(error.failure(), GitFailure::RefMissing | GitFailure::Corrupt) => {
                self.rebuild(&[], cause)
            }
            other => other,
        };
        let directory = self.store.path().to_owned();
        notes.extend(rebuilt?.rebuilt.map(|reason| GitNote::Rebuilt { directory, reason }));
        Ok(())
    }

    fn list(&self) -> Result<RemoteRefs, GitError> {
        self.store.make()?;
        let url = self.remote.url().as_str();
        let args = ["ls-remote", "--quiet", "--symref", "--", url, "HEAD", "refs/heads/*"];
        let listing = self.git.ask(self.store.path(), &self.remote, &args)?;
        Ok(RemoteRefs::parse(url, &listing))
    }

    fn run_fetch(&self, store: &MirrorStore, refspecs: &[&str]) -> Result<(), GitError> {
        let mut args = vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"];
        args.extend(["--prune", "--", self.remote.url().as_str()]);
        args.extend(refspecs);
        let fetched = self.git.fetch(store.path(), &self.remote, &args);
        if fetched.is_err() {
            // Half a pack may be all that the disk has room for.
            store.tidy()?;
        }
        fetched
    }

    /// Collects garbage now and then. That it fails is no reason to fail.
    fn maintain(&self) -> Option<GitNote> {
        let collected = if self.store.is_littered() { self.git.collect_garbage(self.store.path()) } else { Ok(()) };
        collected
            .err()
            .map(|error| GitNote::Maintenance { directory: self.store.path().to_owned(), reason: error.to_string() })
    }

    fn corrupt(&self, reason: String) -> GitError {
        GitError::Corrupt { directory: self.store.path().to_owned(), reason }
    }

    fn wanted(&self) -> std::sync::MutexGuard<'_, Vec<BranchTip>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
