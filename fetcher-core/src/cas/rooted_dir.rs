//! Opening what is below a directory, and nothing else.

#![cfg_attr(not(feature = "serve"), allow(dead_code, reason = "the server alone touches files"))]

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;

/// A FIFO must not be waited for.
const FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// A directory that may not be there yet, and that may be removed and made again while it is looked into.
#[derive(Debug)]
pub(crate) struct RootedDir {
    path: PathBuf,
    open: Mutex<Option<Arc<OwnedFd>>>,
}

impl RootedDir {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, open: Mutex::new(None) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file for reading. No symbolic link is followed, and no path leads out of the directory.
    pub(crate) fn file(&self, name: &str) -> io::Result<OwnedFd> {
        self.with(|directory| {
            match rustix::fs::openat2(directory, name, FLAGS, Mode::empty(), BENEATH) {
                // Linux before 5.6, and sandboxes that do not know the call. Names are built from checked parts only.
                Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(directory, name, FLAGS, Mode::empty()),
                other => other,
            }
        })
    }

    /// The same where it takes no waiting for the disk; none where it would, or where anything else is in the way.
    pub(crate) fn file_now(&self, name: &str) -> Option<OwnedFd> {
        let directory = Arc::clone(self.open.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?);
        // Linux 5.12 and later.
        rustix::fs::openat2(&*directory, name, FLAGS, Mode::empty(), BENEATH | ResolveFlags::CACHED).ok()
    }

    /// What the file is, a link at its end not followed.
    pub(crate) fn stat(&self, name: &str) -> io::Result<Stat> {
        self.with(|directory| rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW))
    }

    /// Sets the time of the last change to now.
    pub(crate) fn touch(&self, name: &str) -> io::Result<()> {
        let omitted = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: omitted, last_modification: now };
        self.with(|directory| rustix::fs::utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW))
    }

    fn with<T>(&self, call: impl Fn(&OwnedFd) -> rustix::io::Result<T>) -> io::Result<T> {
        let directory = self.directory(false)?;
        match call(&directory) {
            // The directory itself may be another one by now.
            Err(Errno::NOENT) if rustix::fs::fstat(directory.as_fd()).is_ok_and(|stat| stat.st_nlink == 0) => {
                Ok(call(&*self.directory(true)?)?)
            }
            other => Ok(other?),
        }
    }

    fn directory(&self, again: bool) -> io::Result<Arc<OwnedFd>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = open.as_ref().filter(|_| !again) {
            return Ok(Arc::clone(directory));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = Arc::new(rustix::fs::openat(CWD, &self.path, flags, Mode::empty())?);
        *open = Some(Arc::clone(&directory));
        Ok(directory)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_outside_is_opened() {
        let root = tempfile::tempdir().unwrap();
        let inside = root.path().join("inside");
        fs::create_dir(&inside).unwrap();
        fs::write(root.path().join("secret"), "secret").unwrap();
        fs::write(inside.join("good"), "good").unwrap();
        symlink("../secret", inside.join("link")).unwrap();
        symlink("..", inside.join("up")).unwrap();
        let beneath = RootedDir::new(inside.clone());
        beneath.file("good").unwrap();
        for name in ["link", "up/secret", "../secret", root.path().join("secret").to_str().unwrap()] {
            assert!(beneath.file(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_directory_may_come_late_and_be_made_again() {
        let root = tempfile::tempdir().unwrap();
        let inside = root.path().join("inside");
        let beneath = RootedDir::new(inside.clone());
        assert!(beneath.file("good").is_err());
        for _ in 0..2 {
            fs::create_dir(&inside).unwrap();
            fs::write(inside.join("good"), "good").unwrap();
            beneath.file("good").unwrap();
            fs::remove_dir_all(&inside).unwrap();
            assert!(beneath.file("good").is_err());
        }
    }
}
