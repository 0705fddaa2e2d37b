//! Copying a directory, so that nothing that happens in the one shows in the other.

use std::fs::{self, File, FileTimes};
use std::io;
use std::os::fd::AsFd as _;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::OwnDirectory;

/// How many directories deep anything is copied: more than BuildStream and git make.
const DEEPEST: usize = 64;

impl OwnDirectory {
    /// Copies all that is in it into another directory: files with their modes and times, links as they are, and nothing
    /// that is neither. Where the file system can, copies share their space until one is changed. What an earlier attempt
    /// copied whole is not copied again. Says whether all of it was copied: `goes_on` is asked before each file.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub(crate) fn copy_into(&self, target: &Self, goes_on: &dyn Fn() -> bool) -> io::Result<bool> {
        self.copy_below(target, DEEPEST, goes_on)
    }

    fn copy_below(&self, target: &Self, depth: usize, goes_on: &dyn Fn() -> bool) -> io::Result<bool> {
        for name in self.names()? {
            if !goes_on() {
                return Ok(false);
            }
            let stat = match rustix::fs::statat(&self.descriptor, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if depth == 0 => {}
                FileType::Directory => {
                    let Some(source) = self.below(&name)? else { continue };
                    let copy = target.make(&name)?;
                    if !source.copy_below(&copy, depth - 1, goes_on)? {
                        return Ok(false);
                    }
                    rustix::fs::fchmod(&copy.descriptor, mode(&stat) | Mode::RWXU)?;
                }
                FileType::RegularFile => self.copy_file(&name, &stat, target)?,
                FileType::Symlink => {
                    let link = rustix::fs::readlinkat(&self.descriptor, &name, Vec::new())?;
                    match rustix::fs::symlinkat(link, &target.descriptor, &name) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                // A socket of a casd that is no more, as a rule.
                _ => {}
            }
        }
        Ok(true)
    }

    fn copy_file(&self, name: &std::ffi::OsStr, stat: &Stat, target: &Self) -> io::Result<()> {
        let there = rustix::fs::statat(&target.descriptor, name, AtFlags::SYMLINK_NOFOLLOW);
        // The time is set last.
        if there.is_ok_and(|there| {
            (there.st_size, there.st_mtime, there.st_mtime_nsec) == (stat.st_size, stat.st_mtime, stat.st_mtime_nsec)
        }) {
            return Ok(());
        }
        target.remove(name)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut source = File::from(rustix::fs::openat(&self.descriptor, name, flags, Mode::empty())?);
        let mut copy = target.create(name)?;
        io::copy(&mut source, &mut copy)?;
        rustix::fs::fchmod(copy.as_fd(), mode(stat))?;
        let modified = source.metadata().and_then(|metadata: fs::Metadata| metadata.modified())?;
        copy.set_times(FileTimes::new().set_modified(modified))
    }

    /// Has all that was written to its file system on the disk.
    ///
    /// # Errors
    /// When that fails.
    pub(crate) fn sync_file_system(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.descriptor)?)
    }

    /// Whether copies in it share their space with what they are copies of.
    pub(crate) fn shares_space(&self) -> bool {
        let tried = || -> io::Result<()> {
            let [one, other] = [tempfile::tempfile_in(&self.path)?, tempfile::tempfile_in(&self.path)?];
            io::Write::write_all(&mut &one, &[1; 4096])?;
            Ok(rustix::fs::ioctl_ficlone(&other, &one)?)
        };
        tried().is_ok()
    }
}

/// The bits of a mode that say who may do what.
fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o777)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn open(path: &std::path::Path) -> OwnDirectory {
        fs::create_dir_all(path).unwrap();
        OwnDirectory::open(path).unwrap().unwrap()
    }

    #[test]
    fn a_copy_has_all_of_it_and_is_changed_by_itself() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (open(&root.path().join("from")), open(&root.path().join("to")));
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("from/cas/objects/ab")).unwrap();
        fs::write(at("from/cas/objects/ab/cd"), "content").unwrap();
        let old = SystemTime::now() - Duration::from_secs(3600);
        File::open(at("from/cas/objects/ab/cd")).unwrap().set_modified(old).unwrap();
        fs::set_permissions(at("from/cas/objects/ab/cd"), fs::Permissions::from_mode(0o444)).unwrap();
        fs::write(at("secret"), "secret").unwrap();
        symlink("../secret", at("from/link")).unwrap();
        let _socket = UnixListener::bind(at("from/casserver.sock")).unwrap();
        assert!(from.copy_into(&to, &|| true).unwrap());
        let copied = fs::metadata(at("to/cas/objects/ab/cd")).unwrap();
        assert_eq!((copied.permissions().mode() & 0o777, copied.modified().unwrap()), (0o444, old));
        assert_eq!(fs::read_link(at("to/link")).unwrap(), std::path::Path::new("../secret"));
        assert!(!at("to/casserver.sock").exists());
        fs::set_permissions(at("to/cas/objects/ab/cd"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(at("to/cas/objects/ab/cd"), "poison!").unwrap();
        assert_eq!(fs::read_to_string(at("from/cas/objects/ab/cd")).unwrap(), "content");
    }

    #[test]
    fn a_copy_that_was_broken_off_is_gone_on_with() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (open(&root.path().join("from")), open(&root.path().join("to")));
        for name in ["a", "b", "c"] {
            fs::write(from.path().join(name), name).unwrap();
        }
        let left = std::cell::Cell::new(2);
        assert!(!from.copy_into(&to, &|| left.replace(left.get() - 1) > 0).unwrap());
        // A file that was half written has another time.
        fs::write(to.path().join("b"), "x").unwrap();
        fs::set_permissions(to.path().join("b"), fs::Permissions::from_mode(0o400)).unwrap();
        assert!(from.copy_into(&to, &|| true).unwrap());
        assert_eq!(["a", "b", "c"].map(|name| fs::read_to_string(to.path().join(name)).unwrap()), ["a", "b", "c"]);
    }
}
