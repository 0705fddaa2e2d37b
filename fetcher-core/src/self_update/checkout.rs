//! Bringing the work tree to a commit: what was changed here is kept aside first, then a journal is written, and from
//! then on whoever comes next brings the checkout to its end.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Signature, StatusOptions, Time};
use jiff::Timestamp;

use super::clone::{Clone, Upstream};
use super::error::UpdateError;
use super::hold::Journal;
use super::view::path_of;
use super::write::{entries, there, write};

/// What was changed here and is kept aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// The reference that names it.
    pub(super) name: String,
    /// Paths that were changed; none where only commits were made.
    pub(super) paths: Vec<PathBuf>,
}

/// Brings a clone to a commit, what it would lose kept aside. Only for who has the work tree alone, and no journal is left.
pub(super) fn checkout(
    clone: &Clone,
    commit: Oid,
    upstream: Option<&Upstream>,
    losses: Losses,
    now: Timestamp,
) -> Result<Option<Kept>, UpdateError> {
    let kept = keep(clone, losses, now).map_err(clone.failed("keep local changes aside in"))?;
    let checked_out = clone.branch().unwrap_or_else(|| "refs/heads/bst-fetcher".to_owned());
    let branch = upstream.map_or(checked_out, |upstream| upstream.local.clone());
    if let Some(upstream) = upstream {
        follow(clone, upstream).map_err(clone.failed("set the upstream of"))?;
    }
    let taken = upstream.is_some();
    let journal = Journal { version: Journal::VERSION, commit: commit.to_string(), branch, taken };
    clone.desk.begin(&journal).map_err(clone.failed("write in"))?;
    finish(clone, &journal)?;
    Ok(kept)
}

/// Brings a checkout that was begun to its end; doing it twice does no harm.
pub(super) fn finish(clone: &Clone, journal: &Journal) -> Result<(), UpdateError> {
    let failed = clone.failed("check out a commit in");
    let commit = Oid::from_str(&journal.commit).map_err(&failed)?;
    // Nobody else is at work here but who was killed in the middle.
    for name in ["index", "HEAD", &journal.branch] {
        clone.unlock(name);
    }
    write(&clone.repository, &clone.top, commit).map_err(&failed)?;
    clone.repository.reference(&journal.branch, commit, true, "bst-fetcher: follow upstream").map_err(&failed)?;
    if clone.branch().as_ref() != Some(&journal.branch) {
        clone.repository.set_head(&journal.branch).map_err(&failed)?;
    }
    if journal.taken {
        clone.take(commit, None).map_err(&failed)?;
    }
    // Only what is on the disk may be forgotten, for the machine may lose its power.
    let sync = || rustix::fs::syncfs(fs::File::open(&clone.top)?).map_err(io::Error::from);
    sync().and_then(|()| clone.desk.end()).map_err(clone.failed("write in"))
}

/// Lets the local branch have what is followed as its upstream, for git and for the next run.
fn follow(clone: &Clone, upstream: &Upstream) -> Result<(), git2::Error> {
    let Some(short) = upstream.local.strip_prefix("refs/heads/") else { return Ok(()) };
    let mut config = git2::Config::open(&clone.repository.commondir().join("config"))?;
    let merge = format!("refs/heads/{}", upstream.branch);
    for (name, value) in [("remote", upstream.remote.as_str()), ("merge", merge.as_str())] {
        let name = format!("branch.{short}.{name}");
        if config.get_string(&name).ok().as_deref() != Some(value) {
            clone.unlock("config");
            config.set_str(&name, value)?;
        }
    }
    Ok(())
}

/// What a checkout would lose.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Files that were changed, in the index or beside it, and untracked ones that are in the way.
    paths: Vec<PathBuf>,
    /// Commits that were made here: at the one that is checked out, and at the branch that is followed.
    commits: Vec<Oid>,
}

impl Losses {
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.commits.is_empty()
    }
}

/// Looks at what bringing a clone to a commit would lose.
pub(super) fn losses(clone: &Clone, commit: Oid, upstream: Option<&Upstream>) -> Result<Losses, UpdateError> {
    let look = || {
        let Some(head) = clone.head() else { return Ok(Losses::default()) };
        let mut options = StatusOptions::new();
        options.include_untracked(false).include_ignored(false).exclude_submodules(true).no_refresh(true);
        let changes = clone.repository.statuses(Some(&mut options))?;
        let mut paths: Vec<PathBuf> = changes.iter().map(|change| path_of(change.path_bytes())).collect();
        paths.extend(in_the_way(clone, commit)?);
        let branch = upstream.and_then(|upstream| clone.repository.refname_to_id(&upstream.local).ok());
        let mut commits = Vec::new();
        for tip in [Some(head), branch.filter(|branch| *branch != head)].into_iter().flatten() {
            if is_own(clone, commit, tip, upstream)? {
                commits.push(tip);
            }
        }
        Ok(Losses { paths, commits })
    };
    look().map_err(|error: git2::Error| UpdateError::repository("look for local changes in", &clone.top, error))
}

/// Keeps aside what would be lost.
fn keep(clone: &Clone, losses: Losses, now: Timestamp) -> Result<Option<Kept>, git2::Error> {
    let repository = &clone.repository;
    let Losses { paths, mut commits } = losses;
    if let Some(head) = clone.head().filter(|_| !paths.is_empty()) {
        commits.retain(|commit| *commit != head);
        commits.insert(0, snapshot(clone, head, &paths, now)?);
    }
    let name = format!("refs/bst-fetcher/kept/{}", now.strftime("%Y%m%dT%H%M%S.%3fZ"));
    for (number, commit) in commits.iter().enumerate() {
        let name = if number == 0 { name.clone() } else { format!("{name}-{number}") };
        repository.reference(&name, *commit, true, "bst-fetcher: local changes")?;
    }
    Ok((!commits.is_empty()).then_some(Kept { name, paths }))
}

/// Whether a commit neither came from upstream nor is in the new one.
fn is_own(clone: &Clone, commit: Oid, head: Oid, upstream: Option<&Upstream>) -> Result<bool, git2::Error> {
    let taken = upstream.map_or_else(|| clone.last_taken(), |upstream| clone.taken(upstream));
    for known in [Some(commit), taken].into_iter().flatten() {
        if known == head || clone.repository.graph_descendant_of(known, head)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A commit of the files as they are, on top of the one that is checked out; the index, where it is something else
/// again, is a second parent, as in git's own stash.
fn snapshot(clone: &Clone, head: Oid, paths: &[PathBuf], now: Timestamp) -> Result<Oid, git2::Error> {
    let repository = &clone.repository;
    let head = repository.find_commit(head)?;
    let who = Signature::new("bst-fetcher", "bst-fetcher@localhost", &Time::new(now.as_second(), 0))?;
    let mut parents = vec![head.clone()];
    let mut index = repository.index()?;
    if !index.has_conflicts() {
        let staged = index.write_tree()?;
        if staged != head.tree_id() {
            let tree = repository.find_tree(staged)?;
            let message = "What was staged here, kept aside by bst-fetcher\n";
            let commit = repository.commit(None, &who, &who, message, &tree, &[&head])?;
            parents.push(repository.find_commit(commit)?);
        }
    }
    let mut update = TreeUpdateBuilder::new();
    let base = head.tree()?;
    for path in paths {
        match blob(clone, path)? {
            Some((id, mode)) => {
                update.upsert(path.as_path(), id, mode);
            }
            None if base.get_path(path).is_ok() => {
                update.remove(path.as_path());
            }
            None => {}
        }
    }
    let tree = repository.find_tree(update.create_updated(repository, &base)?)?;
    let message = "Local changes, kept aside by bst-fetcher\n";
    repository.commit(None, &who, &who, message, &tree, &parents.iter().collect::<Vec<_>>())
}

/// A file of the work tree as a blob; none where it is not there, or is nothing that git keeps.
fn blob(clone: &Clone, path: &Path) -> Result<Option<(Oid, FileMode)>, git2::Error> {
    let there = clone.top.join(path);
    let Ok(metadata) = fs::symlink_metadata(&there) else { return Ok(None) };
    let read = |result: io::Result<Vec<u8>>| result.map_err(|error| git2::Error::from_str(&error.to_string()));
    let (bytes, mode) = if metadata.is_symlink() {
        let target = fs::read_link(&there).map(|target| target.into_os_string().into_encoded_bytes());
        (read(target)?, FileMode::Link)
    } else if metadata.is_file() {
        let executable = metadata.mode() & 0o100 != 0;
        (read(fs::read(&there))?, if executable { FileMode::BlobExecutable } else { FileMode::Blob })
    } else {
        return Ok(None);
    };
    Ok(Some((clone.repository.blob(&bytes)?, mode)))
}

/// Files that git does not know here, and that a commit has something else for.
fn in_the_way(clone: &Clone, commit: Oid) -> Result<Vec<PathBuf>, git2::Error> {
    let index = clone.repository.index()?;
    let known = |path: &Path| (0..4).any(|stage| index.get_path(path, stage).is_some());
    let mut paths = Vec::new();
    for (path, entry) in entries(&clone.repository, commit)? {
        // A file where there is to be a directory, or the file itself, or a directory where there is to be a file.
        for part in path.ancestors().filter(|part| !part.as_os_str().is_empty()) {
            let Some(metadata) = there(&clone.top, part) else { continue };
            if metadata.is_dir() {
                if part == path && !entry.is_submodule() {
                    paths.extend(inside(&clone.top, part).into_iter().filter(|path| !known(path)));
                }
            } else if !known(part) {
                let same = part == path && blob(clone, part)?.is_some_and(|(id, _)| id == entry.id);
                if !same {
                    paths.push(part.to_owned());
                }
            }
        }
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Every file and link below a directory, relative to the top.
fn inside(top: &Path, directory: &Path) -> Vec<PathBuf> {
    let mut open = vec![directory.to_owned()];
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(top.join(&directory)).into_iter().flatten().flatten() {
            let path = directory.join(entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) { open.push(path) } else { found.push(path) }
        }
    }
    found
}
