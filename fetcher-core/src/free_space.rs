//! How much space is to stay free, and whether it is.

use std::path::PathBuf;

use thiserror::Error;

/// A least amount of space that the file systems of some directories are to keep free.
///
/// ```
/// use fetcher_core::FreeSpace;
///
/// assert_eq!(FreeSpace::new([std::env::temp_dir()], 0).shortage(), None);
/// assert!(FreeSpace::new([std::env::temp_dir()], u64::MAX).shortage().is_some());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeSpace {
    directories: Vec<PathBuf>,
    least: u64,
}

/// A file system that has less space than it is to keep free.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} MiB are free for {}, {} MiB are wanted (min-free-space)", .free >> 20, .directory.display(), .wanted >> 20)]
#[non_exhaustive]
pub struct SpaceShortage {
    /// The directory whose file system it is.
    pub directory: PathBuf,
    /// How many bytes are free there for this user.
    pub free: u64,
    /// How many bytes are to be free.
    pub wanted: u64,
}

impl FreeSpace {
    /// At least so many bytes on the file system of each directory.
    pub fn new(directories: impl IntoIterator<Item = PathBuf>, least: u64) -> Self {
        Self { directories: directories.into_iter().collect(), least }
    }

    /// Where there is too little space now, if anywhere. Of a directory that is not there, or a file system that does
    /// not say, nothing is known: whoever writes there gets the system's own word.
    pub fn shortage(&self) -> Option<SpaceShortage> {
        self.directories.iter().find_map(|directory| {
            let found = rustix::fs::statvfs(directory).ok()?;
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            (free < self.least).then(|| SpaceShortage { directory: directory.clone(), free, wanted: self.least })
        })
    }
}
