//! Working below a directory whose content is hostile: every step is taken from an open directory to a name in it, and
//! no symbolic link is ever followed. Nothing outside can be written or removed this way, whatever lies inside.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a directory of ours by its path.
pub(super) fn open_own(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, DIRECTORY, Mode::empty())?)
}

/// Opens a directory in a directory, and takes back what would keep us from working in it.
pub(super) fn open_directory(parent: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let open = || rustix::fs::openat(&parent, name, DIRECTORY, Mode::empty());
    let directory = match open() {
        Err(Errno::ACCESS) => {
            unlock(parent.as_fd(), name)?;
            open()?
        }
        other => other?,
    };
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&directory)?.st_mode);
    if !mode.contains(Mode::RWXU) {
        rustix::fs::fchmod(&directory, Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH)?;
    }
    Ok(directory)
}

/// Makes a directory readable that cannot even be opened; by its `O_PATH` descriptor, so that what is changed is that
/// directory and nothing that was put in its place.
fn unlock(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    Ok(rustix::fs::chmod(format!("/proc/self/fd/{}", held.as_raw_fd()), Mode::RWXU)?)
}

/// Makes a directory in a directory if it is not there.
pub(super) fn make_directory(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// How many names are held at once, for a directory may have any number of them.
const MANY: usize = 4096;

/// The next names in a directory that are not wanted there, none where there are no more. Who removes them asks again.
pub(super) fn unwanted(directory: impl AsFd, wanted: impl Fn(&[u8]) -> bool) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") && !wanted(name) {
            names.push(name.to_vec());
            if names.len() == MANY {
                break;
            }
        }
    }
    Ok(names)
}

/// What a name in a directory is; none where there is nothing.
pub(super) fn stat(directory: impl AsFd, name: &[u8]) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What sort of file it is.
pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Writes a file that is not there yet.
pub(super) fn write_new(directory: impl AsFd, name: &[u8], content: &[u8], executable: bool) -> io::Result<Stat> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
    let mut file = File::from(rustix::fs::openat(directory, name, flags, mode)?);
    file.write_all(content)?;
    Ok(rustix::fs::fstat(&file)?)
}

/// Whether a regular file holds exactly this.
pub(super) fn holds(directory: impl AsFd, name: &[u8], content: &[u8]) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(directory, name, flags, Mode::empty())?);
    let mut found = Vec::with_capacity(content.len() + 1);
    file.take(content.len() as u64 + 1).read_to_end(&mut found)?;
    Ok(found == content)
}

/// Whether to go on with what may take long.
pub(super) type GoOn<'g> = &'g mut dyn FnMut() -> io::Result<()>;

/// A directory into which things are moved to be removed. Taking trees apart there, instead of walking down into them,
/// needs neither stack nor descriptors however deep they are, and a removal that was killed is simply gone on with.
pub(super) struct Tombstones {
    directory: OwnedFd,
    next: u64,
    /// How many things were thrown away.
    pub(super) thrown: usize,
}

impl Tombstones {
    /// The trash in a directory of ours; what an earlier run left in it is removed.
    pub(super) fn open(parent: impl AsFd, go_on: GoOn<'_>) -> io::Result<Self> {
        if !stat(&parent, b"trash")?.is_some_and(|stat| kind(&stat) == FileType::Directory) {
            match rustix::fs::unlinkat(&parent, "trash", AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => (),
                Err(error) => return Err(error.into()),
            }
            make_directory(&parent, b"trash")?;
        }
        let mut trash = Self { directory: open_directory(&parent, b"trash")?, next: 0, thrown: 0 };
        trash.empty(go_on)?;
        Ok(trash)
    }

    /// Removes all names of a directory but the wanted ones.
    pub(super) fn throw_all_but(
        &mut self,
        directory: impl AsFd,
        wanted: impl Fn(&[u8]) -> bool,
        go_on: GoOn<'_>,
    ) -> io::Result<()> {
        loop {
            let names = unwanted(&directory, &wanted)?;
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                go_on()?;
                self.throw(&directory, &name)?;
            }
        }
    }

    /// Removes whatever a name in a directory is; nothing is fine too.
    pub(super) fn throw(&mut self, parent: impl AsFd, name: &[u8]) -> io::Result<()> {
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) => (),
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => self.take(&parent, name)?,
            Err(error) => return Err(error.into()),
        }
        self.thrown += 1;
        Ok(())
    }

    /// Opens a directory in a directory; what is there instead goes, and where nothing is it is made.
    pub(super) fn directory(&mut self, parent: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
        if !stat(&parent, name)?.is_some_and(|stat| kind(&stat) == FileType::Directory) {
            self.throw(&parent, name)?;
            make_directory(&parent, name)?;
        }
        open_directory(&parent, name)
    }

    /// Makes a file hold exactly this, nobody else's name for it and no special mode included.
    pub(super) fn settle(&mut self, parent: impl AsFd, name: &[u8], content: &[u8]) -> io::Result<()> {
        let usual = |s: &Stat| kind(s) == FileType::RegularFile && s.st_nlink == 1 && s.st_mode & 0o7113 == 0;
        if stat(&parent, name)?.is_some_and(|stat| usual(&stat)) && holds(&parent, name, content).unwrap_or(false) {
            return Ok(());
        }
        self.throw(&parent, name)?;
        write_new(&parent, name, content, false).map(drop)
    }

    /// Moves a directory here. To move it, it has to be writable itself, for its `..` changes.
    fn take(&mut self, parent: impl AsFd, name: &[u8]) -> io::Result<()> {
        drop(open_directory(&parent, name)?);
        loop {
            let place = self.next.to_string();
            self.next += 1;
            match rustix::fs::renameat(&parent, name, &self.directory, place.as_str()) {
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => (),
                other => return Ok(other?),
            }
        }
    }

    /// Removes everything in it.
    pub(super) fn empty(&mut self, go_on: GoOn<'_>) -> io::Result<()> {
        loop {
            let names = unwanted(&self.directory, |_| false)?;
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                self.remove(&name, go_on)?;
            }
        }
    }

    fn remove(&mut self, name: &[u8], go_on: GoOn<'_>) -> io::Result<()> {
        go_on()?;
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => (),
            other => return Ok(other?),
        }
        let directory = open_directory(&self.directory, name)?;
        loop {
            let inside = unwanted(&directory, |_| false)?;
            if inside.is_empty() {
                return Ok(rustix::fs::unlinkat(&self.directory, name, AtFlags::REMOVEDIR)?);
            }
            for inner in inside {
                go_on()?;
                match rustix::fs::unlinkat(&directory, inner.as_slice(), AtFlags::empty()) {
                    Err(Errno::ISDIR | Errno::PERM) => self.take(&directory, &inner)?,
                    other => other?,
                }
            }
        }
    }
}
