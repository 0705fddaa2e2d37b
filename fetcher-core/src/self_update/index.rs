//! The index of the configuration's clone: what git knows of the work tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use git2::Repository;

use super::commit_contents::CommitContents;
use super::error::CheckoutObstacle;
use super::objects::indexed;
use super::objects::path_of;
use crate::cancel::Cancel;

/// What git knows in the work tree: the files of the index and of the commit that is checked out.
pub(super) fn known(repository: &Repository, cancel: &Cancel) -> Result<Vec<PathBuf>, CheckoutObstacle> {
    let mut index = repository.index()?;
    index.read(true)?;
    let mut paths: BTreeSet<PathBuf> = index.iter().map(|entry| path_of(&entry.path)).collect();
    let head = repository.head().ok().and_then(|head| head.target());
    // One that could not be taken today is no obstacle to the next: what was written of it is in the index.
    let contents = head.and_then(|head| CommitContents::of(repository, head, cancel).ok());
    paths.extend(contents.into_iter().flat_map(|contents| contents.entries.into_keys()));
    Ok(paths.into_iter().collect())
}

/// Makes the index that of a commit whose files are in the work tree, so that git sees that nothing was changed since.
pub(super) fn write(repository: &Repository, top: &Path, contents: &CommitContents) -> Result<(), CheckoutObstacle> {
    let mut index = repository.index()?;
    index.clear()?;
    for (path, entry) in &contents.entries {
        let metadata = fs::symlink_metadata(top.join(path)).map_err(|error| CheckoutObstacle::io(path, error))?;
        index.add(&indexed(path, *entry, Some(&metadata)))?;
    }
    Ok(index.write()?)
}
