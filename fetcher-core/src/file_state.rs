//! By what a file is known to be the one that was read before.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use serde::{Deserialize, Serialize};

/// What a file system says of a file. A change of its content changes this, also one in place after which the time of
/// modification is put back: the time of the last change (`ctime`) can be set by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileState {
    pub(crate) inode: u64,
    /// In bytes.
    pub(crate) size: u64,
    /// The time of modification: seconds since 1970, and nanoseconds.
    pub(crate) modified: (i64, i64),
    /// The time of the last change of content, name or attributes, in the same form.
    pub(crate) changed: (i64, i64),
}

impl FileState {
    /// The state that a file's metadata tell of.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, FileTimes};

    use super::*;

    #[test]
    fn a_change_shows_though_the_time_is_put_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "one").unwrap();
        let before = fs::metadata(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        loop {
            fs::write(&path, "two").unwrap();
            file.set_times(FileTimes::new().set_modified(before.modified().unwrap())).unwrap();
            let after = FileState::of(&fs::metadata(&path).unwrap());
            assert_eq!(after.modified, FileState::of(&before).modified);
            // The clock may not have gone on yet.
            if after != FileState::of(&before) {
                return;
            }
        }
    }
}
