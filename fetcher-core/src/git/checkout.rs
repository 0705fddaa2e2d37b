//! A working tree that is exactly a commit, submodules included.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use super::GitNote;
use super::budget::{self, CheckoutBudget};
use super::contained_files::{self, Tombstones};
use super::error::{GitError, GitFailure};
use super::gitdir::GitDirectory;
use super::gitmodules::{self, SubmoduleEntry};
use super::mirror::Mirror;
use super::store::MirrorStore;
use super::tree::{TreeWalkResult, TreeWriter};
use super::written_index::WrittenIndex;
use crate::cancel::Cancel;
use crate::names::{CommitId, digest};

/// Submodules inside submodules inside … deeper than this are a trap, not a project.
const MAX_DEPTH: usize = 10;
/// As are more of them than this in one checkout.
const MAX_SUBMODULES: usize = 1000;

/// A working tree that was just made exactly a commit's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckoutResult {
    /// The working tree.
    pub path: PathBuf,
    /// The commit that it holds.
    pub commit: CommitId,
    /// How many files and links had to be written, submodules included: 0 where nothing had changed.
    pub written: usize,
    /// How many files, links and directories had to go, whether changed or not the commit's at all.
    pub removed: usize,
    /// What is worth saying: a mirror that was made anew, a submodule that was left out, attributes that do nothing.
    pub notes: Vec<GitNote>,
}

impl Mirror<'_> {
    /// Makes `directory/tree` exactly the commit: a working tree with a detached HEAD that shares this mirror's objects.
    /// Whatever else was in it is gone. Beside it, `directory` holds what this library needs to know which files were
    /// not touched since, so that those are not written again. `submodules` is the directory that holds the mirrors of
    /// submodules, one an address, which every project may share; without it their directories stay empty.
    ///
    /// Only one thread or process may use a `directory` at a time, and nothing else may still run in it.
    ///
    /// # Errors
    /// When the commit or a submodule cannot be had, when the commit holds what must not be written, or when a file
    /// cannot be written or removed. The tree is then half the old one and must not be used, nor git be run in it; the
    /// next call makes it right.
    pub fn checkout(
        &self,
        directory: &Path,
        commit: &CommitId,
        submodules: Option<&Path>,
    ) -> Result<CheckoutResult, GitError> {
        let mut checkout = TreeCheckout::open(self, directory, submodules)?;
        let top = SubmodulePath { path: PathBuf::new(), git: PathBuf::new(), depth: 0 };
        match checkout.one(self, &top, commit).and_then(|()| checkout.settle()) {
            Err(error) if error.failure() == GitFailure::DiskFull => {
                // Half a tree is of no use, and its space is.
                checkout.give_up(self.git().context.cancel)?;
                return Err(error);
            }
            other => other?,
        }
        Ok(CheckoutResult {
            path: directory.join("tree"),
            commit: commit.clone(),
            written: checkout.written,
            removed: checkout.trash.thrown,
            notes: checkout.notes,
        })
    }
}

/// One checkout under way.
struct TreeCheckout<'c> {
    directory: &'c Path,
    /// The working tree's top.
    top: OwnedFd,
    /// What its `.git` has to hold.
    git: GitDirectory,
    submodules: Option<&'c Path>,
    budget: CheckoutBudget<'c>,
    trash: Tombstones,
    /// Where it is kept what was written.
    records: OwnedFd,
    /// The files that say what was written.
    indexes: BTreeSet<String>,
    seen: usize,
    written: usize,
    notes: Vec<GitNote>,
}

/// Where one repository of the checkout is.
struct SubmodulePath {
    /// Its working tree below the top; empty for the top itself.
    path: PathBuf,
    /// Its git directory below the top's `.git`; empty for the top's.
    git: PathBuf,
    depth: usize,
}

impl<'c> TreeCheckout<'c> {
    fn open(mirror: &Mirror<'c>, directory: &'c Path, submodules: Option<&'c Path>) -> Result<Self, GitError> {
        let failed = |error: io::Error| GitError::io("prepare", directory, error);
        let mut budget = CheckoutBudget::new(mirror.git(), mirror.remote().url().as_str());
        budget.check()?;
        fs::create_dir_all(directory).map_err(failed)?;
        let slot = contained_files::open_own(directory).map_err(failed)?;
        let mut trash = Tombstones::open(&slot, &mut || budget.check().map_err(io::Error::other)).map_err(failed)?;
        let top = trash.directory(&slot, b"tree").map_err(failed)?;
        let records = trash.directory(&slot, b"written").map_err(failed)?;
        Ok(Self {
            directory,
            top,
            git: GitDirectory::default(),
            submodules,
            budget,
            trash,
            records,
            indexes: BTreeSet::new(),
            seen: 0,
            written: 0,
            notes: Vec::new(),
        })
    }

    /// Makes the `.git` and what is kept beside the tree what they have to be.
    fn settle(&mut self) -> Result<(), GitError> {
        let Self { top, git, trash, records, indexes, budget, directory, .. } = self;
        let mut go_on = || budget.check().map_err(io::Error::other);
        git.settle(top, b".git", trash, &mut go_on)
            // What is kept of submodules that are no more goes.
            .and_then(|()| {
                let wanted = |name: &[u8]| std::str::from_utf8(name).is_ok_and(|name| indexes.contains(name));
                let thrown = trash.thrown;
                trash.throw_all_but(records, wanted, &mut go_on)?;
                trash.thrown = thrown;
                trash.empty(&mut go_on)
            })
            .map_err(|error| GitError::io("write", &directory.join("tree/.git"), error))
    }

    /// Removes what there is of the working tree.
    fn give_up(&mut self, cancel: &Cancel) -> Result<(), GitError> {
        let mut go_on = || if cancel.is_cancelled() { Err(io::Error::other(GitError::Cancelled)) } else { Ok(()) };
        let Self { top, trash, directory, .. } = self;
        let thrown = trash.throw_all_but(top, |_| false, &mut go_on).and_then(|()| trash.empty(&mut go_on));
        thrown.map_err(|error| GitError::io("remove", &directory.join("tree"), error))
    }

    /// Checks out one repository, and then its submodules.
    fn one(&mut self, mirror: &Mirror<'_>, place: &SubmodulePath, commit: &CommitId) -> Result<(), GitError> {
        let index = self.index(place);
        let mut notes = Vec::new();
        let (found, modules) = mirror.with_commit(commit, &mut notes, |repository| {
            self.walk(mirror, repository, place, commit, WrittenIndex::load(index.clone()))
        })?;
        self.notes.append(&mut notes);
        self.notes.extend(found.notes);
        self.written += found.written;
        self.git_directory(place, commit, &mirror.objects(), &index)?;
        if self.submodules.is_none() {
            return Ok(());
        }
        let mut by_path = HashMap::new();
        for module in &modules {
            by_path.entry(module.path.as_str()).or_insert(module);
        }
        for (path, commit) in found.submodules {
            self.budget.check()?;
            let path = String::from_utf8_lossy(&path).into_owned();
            let module = by_path.get(path.as_str()).copied();
            self.submodule(mirror, place, &path, module, commit).map_err(|source| match source {
                GitError::Cancelled => GitError::Cancelled,
                GitError::NoSpace(shortage) => GitError::NoSpace(shortage),
                source => {
                    let url = module.map(|module| crate::address::without_credentials(&module.url)).unwrap_or_default();
                    GitError::Submodule { path: PathBuf::from(&path), url, source: Box::new(source) }
                }
            })?;
        }
        Ok(())
    }

    fn walk(
        &mut self,
        mirror: &Mirror<'_>,
        repository: &Repository,
        place: &SubmodulePath,
        commit: &CommitId,
        written: WrittenIndex,
    ) -> Result<(TreeWalkResult, Vec<SubmoduleEntry>), GitError> {
        let store: &MirrorStore = mirror.store();
        let damage = |error: git2::Error| store.damage(&error);
        let commit = repository.find_commit(Oid::from_str(commit.as_str()).map_err(damage)?).map_err(damage)?;
        let modules = match commit.tree().map_err(damage)?.get_name(".gitmodules") {
            Some(entry) if self.submodules.is_some() && entry.kind() == Some(git2::ObjectType::Blob) => {
                modules(store, repository, entry.id(), place)?
            }
            _ => Vec::new(),
        };
        let directory = self.descend(&self.top, &place.path)?;
        let mut walk = TreeWriter {
            store,
            repository,
            trash: &mut self.trash,
            written,
            budget: &mut self.budget,
            git_file: (place.depth > 0).then(|| format!("gitdir: {}.git/{}\n", up(&place.path), place.git.display())),
            prefix: place.path.clone(),
            keep_submodules: self.submodules.is_some(),
            found: TreeWalkResult::default(),
        };
        walk.top(directory.as_fd(), commit.tree_id())?;
        walk.written.save(walk.budget)?;
        Ok((walk.found, modules))
    }

    fn submodule(
        &mut self,
        parent: &Mirror<'_>,
        place: &SubmodulePath,
        path: &str,
        module: Option<&SubmoduleEntry>,
        commit: Oid,
    ) -> Result<(), GitError> {
        let whole = place.path.join(path);
        let refuse = |reason: &str| GitError::Tree { path: whole.clone(), reason: reason.to_owned() };
        let module = module.ok_or_else(|| refuse("the commit has no submodule of this path in its .gitmodules"))?;
        if module.left_out {
            self.empty(&whole)?;
            self.notes.push(GitNote::SubmoduleLeftOut { path: whole });
            return Ok(());
        }
        if module.url.is_empty() {
            return Err(refuse("its submodule has no url in .gitmodules"));
        }
        if !gitmodules::is_safe_name(&module.name) {
            return Err(refuse("its submodule's name in .gitmodules is not one that git allows"));
        }
        self.seen += 1;
        if place.depth >= MAX_DEPTH || self.seen > MAX_SUBMODULES {
            return Err(refuse("there are too many submodules, or too many inside each other"));
        }
        let commit = commit.to_string().parse().map_err(|_| refuse("its commit is no commit id"))?;
        let remote = parent.remote().submodule(&module.url)?;
        let mirrors = self.submodules.unwrap_or(self.directory);
        let directory = mirrors.join(&digest(remote.mirror_key().as_bytes())[..32]);
        let inner = SubmodulePath {
            path: whole.clone(),
            git: place.git.join("modules").join(&module.name),
            depth: place.depth + 1,
        };
        let withheld = remote.withholds().then(|| remote.url().as_str().to_owned());
        let done = self.one(&Mirror::new(self.budget.git(), &directory, remote), &inner, &commit);
        done.map_err(|error| match (withheld, error) {
            (Some(url), error @ GitError::Failed { failure: GitFailure::Unauthorised | GitFailure::NotFound, .. }) => {
                GitError::Withheld { url, source: Box::new(error) }
            }
            (_, error) => error,
        })
    }

    /// Notes what the git directory of a repository has to hold.
    fn git_directory(
        &mut self,
        place: &SubmodulePath,
        commit: &CommitId,
        objects: &Path,
        index: &Path,
    ) -> Result<(), GitError> {
        let index = fs::read(index).map_err(|error| GitError::io("read", index, error))?;
        let worktree = format!("{}../{}", up(&place.git), place.path.display());
        let worktree = (place.depth > 0).then_some(worktree.as_str());
        if self.git.add(&place.git, commit.as_str(), worktree, objects, index) {
            return Ok(());
        }
        let reason = "its submodule's name in .gitmodules collides with another's".to_owned();
        Err(GitError::Tree { path: place.path.clone(), reason })
    }

    /// Removes what is in a directory of the working tree.
    fn empty(&mut self, path: &Path) -> Result<(), GitError> {
        let directory = self.descend(&self.top, path)?;
        let Self { trash, budget, .. } = self;
        let emptied = trash.throw_all_but(&directory, |_| false, &mut || budget.check().map_err(io::Error::other));
        emptied.map_err(|error| GitError::io("empty", path, error))
    }

    /// Opens a directory below another, step by step.
    fn descend(&self, from: &OwnedFd, path: &Path) -> Result<OwnedFd, GitError> {
        let start = from.try_clone();
        let opened =
            path.iter().fold(start, |parent, name| contained_files::open_directory(parent?, name.as_encoded_bytes()));
        opened.map_err(|error| GitError::io("open", &self.directory.join("tree").join(path), error))
    }

    /// Where it is kept what was written into a repository's working tree.
    /// It is reached by the open directory, for the name of that may lead elsewhere by now.
    fn index(&mut self, place: &SubmodulePath) -> PathBuf {
        let name = match place.depth {
            0 => "top".to_owned(),
            _ => digest(place.path.as_os_str().as_encoded_bytes())[..32].to_owned(),
        };
        let path = Path::new("/proc/self/fd").join(self.records.as_raw_fd().to_string()).join(&name);
        self.indexes.insert(name);
        path
    }
}

/// What the `.gitmodules` of a commit says.
fn modules(
    store: &MirrorStore,
    repository: &Repository,
    id: Oid,
    place: &SubmodulePath,
) -> Result<Vec<SubmoduleEntry>, GitError> {
    let refuse = |reason| GitError::Tree { path: place.path.join(".gitmodules"), reason };
    if budget::blob_size(store, repository, id)? > gitmodules::MAX_BYTES {
        return Err(refuse(format!("it is larger than {} MiB", gitmodules::MAX_BYTES >> 20)));
    }
    let blob = repository.find_blob(id).map_err(|error| store.damage(&error))?;
    gitmodules::parse(&String::from_utf8_lossy(blob.content())).map_err(refuse)
}

/// The way from a directory up to where its relative path begins.
fn up(path: &Path) -> String {
    "../".repeat(path.iter().count())
}
