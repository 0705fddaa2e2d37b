//! What git keeps, as far as a checkout of a configuration needs it: directories, files of them, and entries of the index.

use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use git2::{IndexEntry, IndexTime, Odb, Oid, Repository, Tree};

/// Bytes of a directory as git keeps it.
const LARGEST_TREE: usize = 16 << 20;

pub(super) const LINK: u32 = 0o120_000;
pub(super) const EXECUTABLE: u32 = 0o100_755;
pub(super) const SUBMODULE: u32 = 0o160_000;

/// A file, link or submodule of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CommitEntry {
    pub(super) id: Oid,
    pub(super) mode: u32,
    /// In bytes; 0 for a submodule.
    pub(super) size: usize,
}

impl CommitEntry {
    pub(super) fn is_submodule(self) -> bool {
        self.mode == SUBMODULE
    }

    pub(super) fn is_link(self) -> bool {
        self.mode == LINK
    }

    pub(super) fn is_executable(self) -> bool {
        self.mode == EXECUTABLE
    }
}

/// A tree whose size is looked at first.
pub(super) fn small_tree<'r>(repository: &'r Repository, odb: &Odb<'_>, id: Oid) -> Result<Tree<'r>, git2::Error> {
    if odb.read_header(id)?.0 > LARGEST_TREE {
        return Err(git2::Error::from_str("the directory has too many files"));
    }
    repository.find_tree(id)
}

/// An entry of the index; without what is there, one that git would compare.
pub(super) fn indexed(path: &Path, entry: CommitEntry, there: Option<&Metadata>) -> IndexEntry {
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

/// A path of git's, whose bytes are those of the file system.
pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}
