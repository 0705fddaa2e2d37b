//! What was changed on this host: found before it gives way, and kept aside.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use git2::{FileMode, Index, Oid, Signature, StatusOptions, Time};
use jiff::Timestamp;

use super::clone::{ConfigRepository, FollowedBranch, is_change};
use super::error::CheckoutObstacle;
use super::objects::CommitEntry;
use super::objects::indexed;
use super::objects::path_of;
use super::staging::{StagedMove, there};

/// What was changed here and is kept aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalBackup {
    /// The reference that names it.
    pub(super) name: String,
    /// All of them.
    names: Vec<String>,
    /// Paths that were changed; none where only commits were made.
    pub(super) paths: Vec<PathBuf>,
}

/// What a checkout would lose.
#[derive(Debug, Default)]
pub(super) struct LocalChanges {
    /// Files that were changed, in the index or beside it, and untracked ones that are in the way.
    paths: Vec<PathBuf>,
    /// Commits that were made here: at the one that is checked out, and at the branch that is followed.
    commits: Vec<Oid>,
}

impl LocalChanges {
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.commits.is_empty()
    }
}

/// Looks at what bringing a clone to a commit would lose.
pub(super) fn local_changes(
    clone: &ConfigRepository,
    commit: Oid,
    upstream: Option<&FollowedBranch>,
    moves: &[StagedMove],
    known: &BTreeSet<PathBuf>,
) -> Result<LocalChanges, CheckoutObstacle> {
    let Some(head) = clone.head() else { return Ok(LocalChanges::default()) };
    let mut options = StatusOptions::new();
    options.include_untracked(false).include_ignored(false).exclude_submodules(true).no_refresh(true);
    let changes = clone.repository.statuses(Some(&mut options))?;
    let mut paths: Vec<PathBuf> = changes.iter().filter(is_change).map(|change| path_of(change.path_bytes())).collect();
    paths.extend(in_the_way(clone, moves, known)?);
    paths.sort();
    paths.dedup();
    let branch = upstream.and_then(|upstream| clone.repository.refname_to_id(&upstream.local).ok());
    let mut commits = Vec::new();
    for tip in [Some(head), branch.filter(|branch| *branch != head)].into_iter().flatten() {
        if is_own(clone, commit, tip, upstream)? {
            commits.push(tip);
        }
    }
    Ok(LocalChanges { paths, commits })
}

/// Keeps aside what would be lost.
pub(super) fn back_up(
    clone: &ConfigRepository,
    losses: LocalChanges,
    now: Timestamp,
) -> Result<Option<LocalBackup>, git2::Error> {
    let repository = &clone.repository;
    let LocalChanges { paths, mut commits } = losses;
    if let Some(head) = clone.head().filter(|_| !paths.is_empty()) {
        commits.retain(|commit| *commit != head);
        commits.insert(0, snapshot(clone, head, &paths, now)?);
    }
    let name = format!("refs/bst-fetcher/kept/{}", now.strftime("%Y%m%dT%H%M%S.%3fZ"));
    let numbered = |(number, _): (usize, &Oid)| if number == 0 { name.clone() } else { format!("{name}-{number}") };
    let names: Vec<String> = commits.iter().enumerate().map(numbered).collect();
    for (name, commit) in names.iter().zip(&commits) {
        repository.reference(name, *commit, true, "bst-fetcher: local changes")?;
    }
    Ok((!commits.is_empty()).then_some(LocalBackup { name, names, paths }))
}

/// Forgets what was kept aside, for it is still in its place. A reference more does no harm.
pub(super) fn forget(clone: &ConfigRepository, kept: &LocalBackup) {
    for name in &kept.names {
        let _ = clone.repository.find_reference(name).and_then(|mut reference| reference.delete());
    }
}

/// Whether a commit neither came from upstream nor is in the new one.
fn is_own(
    clone: &ConfigRepository,
    commit: Oid,
    head: Oid,
    upstream: Option<&FollowedBranch>,
) -> Result<bool, git2::Error> {
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
fn snapshot(clone: &ConfigRepository, head: Oid, paths: &[PathBuf], now: Timestamp) -> Result<Oid, git2::Error> {
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
    // An index of its own, since what was a directory may be a file now, or the other way round.
    let mut files = Index::new()?;
    files.read_tree(&head.tree()?)?;
    for path in paths {
        if files.get_path(path, 0).is_some() {
            files.remove(path, 0)?;
        }
    }
    for path in paths {
        if let Some((id, mode)) = blob(clone, path)? {
            let entry = CommitEntry { id, mode: mode.into(), size: 0 };
            files.add(&indexed(path, entry, None))?;
        }
    }
    let tree = repository.find_tree(files.write_tree_to(repository)?)?;
    let message = "Local changes, kept aside by bst-fetcher\n";
    repository.commit(None, &who, &who, message, &tree, &parents.iter().collect::<Vec<_>>())
}

/// A file of the work tree as a blob; none where it is not there, or is nothing that git keeps.
fn blob(clone: &ConfigRepository, path: &Path) -> Result<Option<(Oid, FileMode)>, git2::Error> {
    let Some(metadata) = there(&clone.top, path) else { return Ok(None) };
    let there = clone.top.join(path);
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

/// Files that git does not know here, and that a commit has something else for: a file where there is to be a directory,
/// or the file itself, or a directory where there is to be a file.
fn in_the_way(
    clone: &ConfigRepository,
    moves: &[StagedMove],
    known: &BTreeSet<PathBuf>,
) -> Result<Vec<PathBuf>, CheckoutObstacle> {
    let mut paths = Vec::new();
    for step in moves {
        let StagedMove::Away(path) = step else { continue };
        if there(&clone.top, path).is_some_and(|found| found.is_dir()) {
            let inside = inside(&clone.top, path).map_err(|error| CheckoutObstacle::io(path, error))?;
            paths.extend(inside.into_iter().filter(|path| !known.contains(path)));
        } else if !known.contains(path) {
            paths.push(path.clone());
        }
    }
    Ok(paths)
}

/// Every file and link below a directory, relative to the top.
fn inside(top: &Path, directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut open = vec![directory.to_owned()];
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(top.join(&directory))? {
            let entry = entry?;
            let path = directory.join(entry.file_name());
            if entry.file_type()?.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    Ok(found)
}
