//! The files that a configuration names: on the disk as a rule, in a commit where a new configuration is judged.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The largest file that is read as configuration, in bytes.
pub(crate) const LARGEST: u64 = 4 << 20;

/// Where the files that a configuration names are looked up.
///
/// [`DiskFiles`] is the ordinary one. Whoever judges a configuration in a git commit before it is checked out hands in a
/// view in which the paths of the work tree are those of the commit, and every other path is the disk's.
pub trait FileLookup {
    /// Looks at a file without reading it, symbolic links followed, and sees that it can be read.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    fn look(&self, path: &Path) -> io::Result<FileStatus>;

    /// Reads a whole file of text.
    ///
    /// # Errors
    /// When it cannot be read, is not UTF-8, or is larger than any file of this kind.
    fn read(&self, path: &Path) -> io::Result<String>;
}

/// What [`FileLookup::look`] sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileStatus {
    /// Whether it is an ordinary file.
    pub is_file: bool,
    /// Whether everybody on this host may read it.
    pub open_to_all: bool,
}

impl FileStatus {
    /// What is there: whether it is an ordinary file, and whether all may read it.
    pub fn new(is_file: bool, open_to_all: bool) -> Self {
        Self { is_file, open_to_all }
    }
}

/// The files as they are on the disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskFiles;

impl FileLookup for DiskFiles {
    fn look(&self, path: &Path) -> io::Result<FileStatus> {
        let metadata = fs::metadata(path)?;
        let seen = FileStatus { is_file: metadata.is_file(), open_to_all: metadata.permissions().mode() & 0o004 != 0 };
        if seen.is_file {
            File::open(path)?;
        }
        Ok(seen)
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        // A FIFO would be waited for without end, a device read without end.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is not an ordinary file"));
        }
        let mut text = String::new();
        let size = File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
        if size as u64 > LARGEST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB"));
        }
        Ok(text)
    }
}
