//! A bare repository for the commits that this program makes: it borrows a mirror's objects, and is gone after its use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use git2::Repository;

use super::access::RemoteRepository;
use super::checkout::CheckoutResult;
use super::child::Git;
use super::error::GitError;
use super::mirror::Mirror;
use super::push::{PushFailure, PushLease, PushUpdate, Pushed, outcome};
use super::refs::RemoteRefs;
use super::store::MirrorStore;
use crate::names::CommitId;

/// A repository in which commits are made, and from which they are pushed.
#[derive(Debug)]
pub struct ScratchRepository<'a> {
    git: Git<'a>,
    remote: RemoteRepository,
    /// What the mirror follows: addresses of submodules may be relative to it.
    origin: RemoteRepository,
    store: MirrorStore,
}

impl<'a> ScratchRepository<'a> {
    /// Makes one in a directory, which is to be empty or not there, for pushes to `remote`. Its objects are its own and
    /// those of the mirror.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(mirror: &Mirror<'a>, remote: RemoteRepository, directory: &Path) -> Result<Self, GitError> {
        let store = MirrorStore::new(directory.to_owned());
        store.prepare()?;
        let alternates = store.objects().join("info/alternates");
        let failed = |error| GitError::io("write", &alternates, error);
        let objects = mirror.objects();
        let objects = fs::canonicalize(&objects).map_err(|error| GitError::io("find", &objects, error))?;
        fs::write(&alternates, format!("{}\n", objects.display())).map_err(failed)?;
        Ok(Self { git: mirror.git(), remote, origin: mirror.remote().clone(), store })
    }

    /// Makes `directory/tree` exactly a commit of this repository, as [`Mirror::checkout`] does.
    ///
    /// # Errors
    /// As of a mirror's checkout.
    pub fn checkout(
        &self,
        directory: &Path,
        commit: &CommitId,
        submodules: Option<&Path>,
    ) -> Result<CheckoutResult, GitError> {
        Mirror::new(self.git, self.store.path(), self.origin.clone()).checkout(directory, commit, submodules)
    }

    /// Where it has the objects of its own; those of the mirror it borrows.
    pub fn objects(&self) -> PathBuf {
        self.store.objects()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.store.path()
    }

    /// Opens it, to read and to write objects.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self) -> Result<Repository, GitError> {
        Repository::open_bare(self.store.path()).map_err(|error| self.store.damage(&error))
    }

    /// The branches of the remote repository.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn remote_refs(&self) -> Result<RemoteRefs, GitError> {
        let url = self.remote.url().as_str();
        let args = ["ls-remote", "--quiet", "--symref", "--", url, "HEAD", "refs/heads/*"];
        Ok(RemoteRefs::parse(url, &self.git.ask(self.store.path(), &self.remote, &args)?))
    }

    /// What references of the remote repository are, by their full names; those that are not there are left out.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn references(&self, names: &[&str]) -> Result<BTreeMap<String, CommitId>, GitError> {
        let url = self.remote.url().as_str();
        let args = [&["ls-remote", "--quiet", "--", url][..], names].concat();
        let listing = self.git.ask(self.store.path(), &self.remote, &args)?;
        let lines = listing.lines().filter_map(|line| line.split_once('\t'));
        Ok(lines.filter_map(|(id, name)| Some((name.to_owned(), id.parse().ok()?))).collect())
    }

    /// Whether a commit is here.
    pub fn has(&self, commit: &CommitId) -> bool {
        self.open().is_ok_and(|repository| MirrorStore::has(&repository, commit))
    }

    /// Gets references, by their full names, of the remote repository.
    ///
    /// # Errors
    /// When one cannot be had.
    pub fn fetch(&self, references: &[&str]) -> Result<(), GitError> {
        let mut args = vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"];
        args.extend(["--", self.remote.url().as_str()]);
        args.extend(references);
        self.git.fetch(self.store.path(), &self.remote, &args)
    }

    /// Pushes all of the updates or none of them, where the other side can do that.
    ///
    /// # Errors
    /// When it was refused, or did not come to an end.
    pub fn push(&self, updates: &[PushUpdate], options: &[String]) -> Result<Pushed, PushFailure> {
        let mut args = vec!["push".to_owned(), "--porcelain".to_owned(), "--no-verify".to_owned()];
        args.extend(["--no-follow-tags", "--no-recurse-submodules", "--no-signed"].map(str::to_owned));
        for PushUpdate { reference, lease, .. } in updates {
            let expected = match lease {
                PushLease::Forward => continue,
                PushLease::Absent => "",
                PushLease::At(commit) => commit.as_str(),
            };
            args.push(format!("--force-with-lease={reference}:{expected}"));
        }
        let url = self.remote.url().as_str();
        args.extend(["--".to_owned(), url.to_owned()]);
        for PushUpdate { reference, to, .. } in updates {
            args.push(format!("{}:{reference}", to.as_ref().map_or("", CommitId::as_str)));
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let said = self.git.push(self.store.path(), &self.remote, &args, options).map_err(PushFailure::Git)?;
        outcome(&said.statuses, &said.said, said.failure, url)
    }

    /// What runs git, and until when.
    pub fn git(&self) -> Git<'a> {
        self.git
    }

    /// A directory of its own for what is needed beside it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.store.path().join(name)
    }
}
