//! What is in a working tree, to know what a command added, changed and removed there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The most that is looked through, and how deep: a commit's files have such limits too.
const MAX_ENTRIES: usize = 2_000_000;
const MAX_DEPTH: usize = 200;

/// What a name in a working tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SnapshotEntry {
    Directory,
    /// A regular file, with what changes whenever it is written.
    File(SnapshotStamp),
    /// A symbolic link, likewise.
    Link(SnapshotStamp),
    /// A FIFO, socket or device, which nobody can keep.
    Special,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SnapshotStamp {
    inode: u64,
    pub(super) size: u64,
    pub(super) mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What a command did to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TreeChange {
    /// It is there now, and was not there in this form.
    Made(SnapshotEntry),
    /// It is gone, or something of another sort is in its place.
    Removed,
}

/// Everything below a directory but git's own.
#[derive(Debug, Default)]
pub(super) struct TreeSnapshot {
    entries: BTreeMap<PathBuf, SnapshotEntry>,
}

impl TreeSnapshot {
    /// Looks at a directory without following links. Nothing may be at work in it.
    ///
    /// # Errors
    /// When something cannot be read, or there is more than any project has.
    pub(super) fn of(top: &Path) -> io::Result<Self> {
        let mut snapshot = Self::default();
        let mut open = vec![(PathBuf::new(), 0)];
        while let Some((directory, depth)) = open.pop() {
            for entry in fs::read_dir(top.join(&directory))? {
                let name = entry?.file_name();
                if name == OsStr::new(".git") {
                    continue;
                }
                let path = directory.join(name);
                let found = kind(&fs::symlink_metadata(top.join(&path))?);
                if found == SnapshotEntry::Directory {
                    if depth == MAX_DEPTH {
                        return Err(io::Error::other(format!("directories lie more than {MAX_DEPTH} deep")));
                    }
                    open.push((path.clone(), depth + 1));
                }
                snapshot.entries.insert(path, found);
                if snapshot.entries.len() > MAX_ENTRIES {
                    return Err(io::Error::other(format!("there are more than {MAX_ENTRIES} files")));
                }
            }
        }
        Ok(snapshot)
    }

    /// What is different in a later one, by path: a directory comes before what is in it.
    pub(super) fn changes(&self, later: &Self) -> BTreeMap<PathBuf, TreeChange> {
        let removed = self.entries.keys().filter(|path| !later.entries.contains_key(*path));
        let removed = removed.map(|path| (path.clone(), TreeChange::Removed));
        let made = later.entries.iter().filter(|(path, entry)| self.entries.get(*path) != Some(entry));
        removed.chain(made.map(|(path, entry)| (path.clone(), TreeChange::Made(*entry)))).collect()
    }
}

fn kind(found: &Metadata) -> SnapshotEntry {
    let stamp = SnapshotStamp {
        inode: found.ino(),
        size: found.len(),
        mode: found.mode() & 0o7777,
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    };
    let sort = found.file_type();
    if sort.is_dir() {
        SnapshotEntry::Directory
    } else if sort.is_symlink() {
        SnapshotEntry::Link(stamp)
    } else if sort.is_fifo() || sort.is_socket() || sort.is_block_device() || sort.is_char_device() {
        SnapshotEntry::Special
    } else {
        SnapshotEntry::File(stamp)
    }
}
