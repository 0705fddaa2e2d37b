//! Directories of our own below a directory that the administrator named. Projects' plugins run as this user and may
//! have put a symbolic link anywhere: none is followed, and one that stands where a directory of ours belongs is
//! replaced, what it led to left alone.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

mod copy;

/// How often a directory is made anew that something else takes the place of.
const MAKE_TRIES: usize = 10;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An open directory. Whatever becomes of its name, what is done in it is done in this one.
#[derive(Debug)]
pub(crate) struct OwnDirectory {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl OwnDirectory {
    /// Opens a directory that somebody may name by any path, links included; none where there is none.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        let opened = rustix::fs::open(path, DIRECTORY, Mode::empty());
        there(opened).map(|opened| opened.map(|descriptor| Self { descriptor, path: path.to_owned() }))
    }

    /// The same for a directory that only this program makes: a link is none.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open_own(path: &Path) -> io::Result<Option<Self>> {
        let opened = rustix::fs::open(path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
        there(opened).map(|opened| opened.map(|descriptor| Self { descriptor, path: path.to_owned() }))
    }

    /// Opens the directory of this name; none where there is none, or something else.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn below(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Self>> {
        let name = name.as_ref();
        let opened = rustix::fs::openat(&self.descriptor, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
        there(opened).map(|opened| opened.map(|descriptor| Self { descriptor, path: self.path.join(name) }))
    }

    /// Opens the directory of this name, which is made where it is missing; a link or file in its place is removed.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub(crate) fn make(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = name.as_ref();
        // Other threads make the same directory, and none may remove what another one made.
        for _ in 0..MAKE_TRIES {
            match rustix::fs::mkdirat(&self.descriptor, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(directory) = self.below(name)? {
                return Ok(directory);
            }
            // It is no directory, and this call removes none.
            match rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::from(io::ErrorKind::NotADirectory))
    }

    /// Makes a file of this name, for this user alone so far; there must be nothing of that name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn create(&self, name: impl AsRef<OsStr>) -> io::Result<fs::File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.descriptor, name.as_ref(), flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Makes a symbolic link of this name; there must be nothing of that name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn make_link(&self, name: impl AsRef<OsStr>, target: &str) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.descriptor, name.as_ref())?)
    }

    /// Where it is, for messages and for what is not done through it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directories in it, by name, each opened when it is asked for.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn directories(&self) -> io::Result<impl Iterator<Item = io::Result<Self>>> {
        Ok(self.names()?.into_iter().filter_map(|name| self.below(name).transpose()))
    }

    /// What is in it, by name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(self.descriptor.as_fd())? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// When what has this name was last changed, in seconds; none where there is nothing.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub(crate) fn changed_at(&self, name: impl AsRef<OsStr>) -> io::Result<Option<i64>> {
        let stat = rustix::fs::statat(&self.descriptor, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW);
        there(stat).map(|stat| stat.map(|stat| stat.st_mtime))
    }

    /// Removes whatever has this name, a directory with all that is in it; says whether there was something.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        let name = name.as_ref();
        let Some(stat) = there(rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW))? else {
            return Ok(false);
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            // It follows no link below this path, and this path none at all.
            let path = Path::new("/proc/self/fd").join(self.descriptor.as_raw_fd().to_string()).join(name);
            fs::remove_dir_all(path)?;
        } else {
            rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty())?;
        }
        Ok(true)
    }
}

/// What was found; none where nothing, or no directory, is there.
fn there<T>(found: Result<T, Errno>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_is_followed_and_what_it_led_to_stays() {
        let root = tempfile::tempdir().unwrap();
        let (own, others) = (root.path().join("own"), root.path().join("others"));
        for directory in [&own, &others.join("p")] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(others.join("p/file"), "precious").unwrap();
        symlink(&others, own.join("checkouts")).unwrap();
        let own = OwnDirectory::open(&own).unwrap().unwrap();
        assert!(own.below("checkouts").unwrap().is_none());
        let checkouts = own.make("checkouts").unwrap();
        assert_eq!(checkouts.names().unwrap(), Vec::<OsString>::new());
        symlink(&others, checkouts.path().join("p")).unwrap();
        assert!(checkouts.remove("p").unwrap());
        assert!(!checkouts.remove("p").unwrap());
        fs::create_dir_all(checkouts.path().join("q")).unwrap();
        symlink(&others, checkouts.path().join("q/link")).unwrap();
        assert!(own.remove("checkouts").unwrap());
        assert_eq!(fs::read_to_string(others.join("p/file")).unwrap(), "precious");
    }

    #[test]
    fn threads_that_make_the_same_directory_all_get_it() {
        let root = tempfile::tempdir().unwrap();
        let own = OwnDirectory::open(root.path()).unwrap().unwrap();
        for round in 0..200 {
            let name = format!("d{round}");
            symlink("/", root.path().join(&name)).unwrap();
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let (own, name) = (&own, &name);
                    scope.spawn(move || {
                        let made = own.make(name).unwrap();
                        fs::write(made.path().join(thread.to_string()), "").unwrap();
                    });
                }
            });
            assert_eq!(own.below(&name).unwrap().unwrap().names().unwrap().len(), 4);
        }
    }
}
