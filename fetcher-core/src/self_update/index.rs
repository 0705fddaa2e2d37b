//! The index of the configuration's clone: what git knows of the work tree.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use git2::{IndexEntry, IndexTime, Repository};

use super::contents::{Contents, Entry};
use super::error::Obstacle;
use super::view::path_of;
use crate::cancel::Cancel;

/// What git knows in the work tree: the files of the index and of the commit that is checked out.
pub(super) fn known(repository: &Repository, cancel: &Cancel) -> Result<Vec<PathBuf>, Obstacle> {
    let mut index = repository.index()?;
    index.read(true)?;
    let mut paths: BTreeSet<PathBuf> = index.iter().map(|entry| path_of(&entry.path)).collect();
    let head = repository.head().ok().and_then(|head| head.target());
    // One that could not be taken today is no obstacle to the next: what was written of it is in the index.
    let contents = head.and_then(|head| Contents::of(repository, head, cancel).ok());
    paths.extend(contents.into_iter().flat_map(|contents| contents.entries.into_keys()));
    Ok(paths.into_iter().collect())
}

/// Makes the index that of a commit whose files are in the work tree, so that git sees that nothing was changed since.
pub(super) fn write(repository: &Repository, top: &Path, contents: &Contents) -> Result<(), Obstacle> {
    let mut index = repository.index()?;
    index.clear()?;
    for (path, entry) in &contents.entries {
        let metadata = fs::symlink_metadata(top.join(path)).map_err(|error| Obstacle::io(path, error))?;
        index.add(&indexed(path, *entry, Some(&metadata)))?;
    }
    Ok(index.write()?)
}

/// An entry of the index; without what is there, one that git would compare.
pub(super) fn indexed(path: &Path, entry: Entry, there: Option<&Metadata>) -> IndexEntry {
    let time = |seconds: i64, nanoseconds: i64| {
        IndexTime::new(i32::try_from(seconds).unwrap_or_default(), u32::try_from(nanoseconds).unwrap_or_default())
    };
    // Git keeps the lower 32 bits of all of these (gitformat-index(5)).
    let low = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default();
    IndexEntry {
        ctime: there.map_or(time(0, 0), |there| time(there.ctime(), there.ctime_nsec())),
        mtime: there.map_or(time(0, 0), |there| time(there.mtime(), there.mtime_nsec())),
        dev: there.map_or(0, |there| low(there.dev())),
        ino: there.map_or(0, |there| low(there.ino())),
        mode: entry.mode,
        uid: there.map_or(0, Metadata::uid),
        gid: there.map_or(0, Metadata::gid),
        file_size: there.filter(|_| !entry.is_submodule()).map_or(0, |there| low(there.len())),
        id: entry.id,
        flags: 0,
        flags_extended: 0,
        path: path.as_os_str().as_bytes().to_vec(),
    }
}
