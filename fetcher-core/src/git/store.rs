//! A mirror on disk: a bare repository of which this library writes everything but the objects itself, so that
//! whatever a killed run or a bad disk left of it is simply written anew.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{ErrorClass, ErrorCode, Odb, Oid, Repository};
use rustix::fs::OFlags;

use super::error::GitError;
use super::refs::BranchTip;
use crate::cancel::Cancel;
use crate::names::CommitId;
use crate::own_directory::OwnDirectory;

/// The most bytes of a tree or a commit as git stores it.
pub(super) const MAX_OBJECT_BYTES: u64 = 64 << 20;

/// HEAD of every mirror; nothing reads it.
const HEAD: &str = "ref: refs/heads/main\n";
/// The configuration of every mirror. Packs are kept as they come (`unpackLimit`), and garbage is collected when this
/// library says so.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n[gc]\n\tauto = 0\n\
    [maintenance]\n\tauto = false\n[transfer]\n\tunpackLimit = 1\n[fetch]\n\tunpackLimit = 1\n";
/// More packs than this slow down every look-up.
const MANY_PACKS: usize = 50;

/// The directory of a mirror.
#[derive(Debug, Clone)]
pub(super) struct MirrorStore(PathBuf);

/// References by full name.
pub(super) type RefsByName = BTreeMap<String, String>;

impl MirrorStore {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The path beside the mirror that has one more suffix.
    pub(super) fn beside(&self, suffix: &str) -> Self {
        let mut path = self.0.clone().into_os_string();
        path.push(".");
        path.push(suffix);
        Self(path.into())
    }

    /// Where the objects are.
    pub(super) fn objects(&self) -> PathBuf {
        self.0.join("objects")
    }

    /// Waits for the mirror: alone (to change it) or with others (to read it). It is a lock of the kernel's on a file
    /// beside the mirror, so that it ends with its holder and outlives the mirror's being made anew.
    pub(super) fn lock(&self, alone: bool, cancel: &Cancel) -> Result<File, GitError> {
        let (path, file) = self.lock_file()?;
        loop {
            match if alone { file.try_lock() } else { file.try_lock_shared() } {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(GitError::io("lock", &path, error)),
                Err(TryLockError::WouldBlock) if cancel.wait(Duration::from_millis(10)) => {
                    return Err(GitError::Cancelled);
                }
                Err(TryLockError::WouldBlock) => (),
            }
        }
    }

    /// Takes the mirror alone if nobody else is using it.
    fn try_lock(&self) -> Result<Option<File>, GitError> {
        let (path, file) = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(GitError::io("lock", &path, error)),
        }
    }

    /// Opens the file that is locked. What else stands there, a link or a pipe, is removed.
    fn lock_file(&self) -> Result<(PathBuf, File), GitError> {
        let path = self.beside("lock").0;
        let failed = |error| GitError::io("lock", &path, error);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            remove(&path).map_err(failed)?;
        }
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let mut options = File::options();
        options.create(true).truncate(false).write(true).custom_flags(flags);
        let file = options.open(&path).map_err(failed)?;
        Ok((path, file))
    }

    /// Whether there is one at all.
    pub(super) fn exists(&self) -> bool {
        self.objects().is_dir()
    }

    /// Which making of the mirror this is, to see whether somebody else made it anew meanwhile.
    pub(super) fn generation(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(&self.0).map_or(0, |metadata| metadata.ino())
    }

    /// Makes the mirror ready for git: what is missing is made, what a killed git left is removed, and what git reads
    /// before anything else is as it should be. Only for who holds the lock alone.
    pub(super) fn prepare(&self) -> Result<(), GitError> {
        let failed = |error| GitError::io("prepare", &self.0, error);
        self.make()?;
        for directory in ["objects", "objects/pack", "objects/info", "refs"] {
            real_directory(&self.0.join(directory)).map_err(failed)?;
        }
        for (name, text) in [("HEAD", HEAD), ("config", CONFIG)] {
            let path = self.0.join(name);
            if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
                remove(&path).and_then(|()| fs::write(&path, text)).map_err(failed)?;
            }
        }
        self.tidy()?;
        // A loose reference would win over the file of all references.
        let loose = self.0.join("refs");
        remove(&loose).and_then(|()| fs::create_dir(&loose)).map_err(failed)
    }

    /// Makes the directory, empty, where there is none.
    pub(super) fn make(&self) -> Result<(), GitError> {
        real_directory(&self.0).map_err(|error| GitError::io("make", &self.0, error))
    }

    /// Removes what a git that was killed, or found the disk full, has left. Only for who holds the lock alone.
    pub(super) fn tidy(&self) -> Result<(), GitError> {
        let tidied = (|| {
            let Some(top) = OwnDirectory::open_own(&self.0)? else { return Ok(()) };
            remove_leftovers(&top)?;
            let Some(objects) = top.below("objects")? else { return Ok(()) };
            remove_leftovers(&objects)?;
            // `pack`, `info`, and those of loose objects.
            objects.names()?.iter().try_for_each(|name| objects.below(name)?.iter().try_for_each(remove_leftovers))
        })();
        tidied.map_err(|error| GitError::io("tidy", &self.0, error))
    }

    /// Removes the mirror.
    pub(super) fn remove(&self) -> Result<(), GitError> {
        remove(&self.0).map_err(|error| GitError::io("remove", &self.0, error))
    }

    /// Takes another mirror's directory for this one, where there is none here yet and nobody works in the other.
    pub(super) fn take_over(&self, other: &MirrorStore) -> Result<bool, GitError> {
        if self.exists() || !other.exists() || fs::symlink_metadata(&other.0).is_ok_and(|found| found.is_symlink()) {
            return Ok(false);
        }
        let Some(_others) = other.try_lock()? else { return Ok(false) };
        // What is there instead of a mirror is nothing.
        self.remove()?;
        fs::rename(&other.0, &self.0).map_err(|error| GitError::io("rename", &other.0, error))?;
        Ok(true)
    }

    /// Puts another mirror in this one's place.
    pub(super) fn replace_with(&self, other: &MirrorStore) -> Result<(), GitError> {
        let old = self.beside("old");
        old.remove()?;
        if self.0.exists() {
            fs::rename(&self.0, &old.0).map_err(|error| GitError::io("rename", &self.0, error))?;
        }
        fs::rename(&other.0, &self.0).map_err(|error| GitError::io("rename", &other.0, error))?;
        old.remove()
    }

    /// The references that this library wrote.
    ///
    /// # Errors
    /// The reason why they cannot be read.
    pub(super) fn refs(&self) -> Result<RefsByName, String> {
        let text = match fs::read_to_string(self.0.join("packed-refs")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(RefsByName::new()),
            Err(error) => return Err(format!("its references cannot be read: {error}")),
        };
        let lines = text.lines().filter(|line| !line.starts_with(['#', '^']));
        let parsed = lines.map(|line| {
            let (id, name) = line.split_once(' ')?;
            (id.parse::<CommitId>().is_ok() && name.starts_with("refs/")).then(|| (name.to_owned(), id.to_owned()))
        });
        parsed.collect::<Option<_>>().ok_or_else(|| "its references are garbage".to_owned())
    }

    /// Looks, without much ado, whether the mirror is whole: whether all that it should have can at least be begun to
    /// be read.
    pub(super) fn check(&self) -> Result<(), GitError> {
        let corrupt = |reason| GitError::Corrupt { directory: self.0.clone(), reason };
        let refs = self.refs().map_err(corrupt)?;
        let repository = self.open()?;
        let commit = |id: &String| id.parse().is_ok_and(|commit| Self::has(&repository, &commit));
        match refs.iter().find(|(_, id)| !commit(id)) {
            None => Ok(()),
            Some((name, id)) => Err(corrupt(format!("{name} is {id}, which cannot be read"))),
        }
    }

    /// Makes these all the references that there are, in one step.
    pub(super) fn set_refs(&self, refs: &RefsByName) -> Result<(), GitError> {
        let path = self.0.join("packed-refs");
        let failed = |error| GitError::io("write", &path, error);
        if self.refs().as_ref() != Ok(refs) {
            // `sorted` is true: a BTreeMap's order is that of the bytes, which is git's.
            let lines = refs.iter().flat_map(|(name, id)| [id, " ", name, "\n"]);
            let text = ["# pack-refs with: sorted \n"].into_iter().chain(lines).collect::<String>();
            let fresh = path.with_extension("new");
            // What somebody put there, a link to another file say, is not written through.
            let written = remove(&fresh).and_then(|()| fs::write(&fresh, text));
            written.and_then(|()| fs::rename(&fresh, &path)).map_err(failed)?;
        }
        Ok(())
    }

    /// The objects, for reading. No configuration is read, this user's or the machine's.
    pub(super) fn open(&self) -> Result<Repository, GitError> {
        let objects = self.objects();
        let path = objects.to_str().filter(|path| !path.contains('\n'));
        let path =
            path.ok_or_else(|| GitError::io("open", &objects, io::Error::from(io::ErrorKind::InvalidFilename)))?;
        let odb = Odb::new().map_err(|error| self.damage(&error))?;
        odb.add_disk_alternate(path).map_err(|error| self.damage(&error))?;
        Repository::from_odb(odb).map_err(|error| self.damage(&error))
    }

    /// Whether a commit and its tree are there and can be read; one of more bytes than any has is none.
    pub(super) fn has(repository: &Repository, commit: &CommitId) -> bool {
        let small = |id| Ok::<_, git2::Error>(repository.odb()?.read_header(id)?.0 as u64 <= MAX_OBJECT_BYTES);
        let read = |id| Ok(small(id)? && small(repository.find_commit(id)?.tree_id())?);
        Oid::from_str(commit.as_str()).and_then(read).unwrap_or(false)
    }

    /// The tips that are not there.
    pub(super) fn lacks(&self, tips: &[BranchTip]) -> Result<Vec<BranchTip>, GitError> {
        let repository = self.open()?;
        Ok(tips.iter().filter(|tip| !Self::has(&repository, &tip.commit)).cloned().collect())
    }

    /// Whether garbage should be collected.
    pub(super) fn is_littered(&self) -> bool {
        let packs = fs::read_dir(self.objects().join("pack")).into_iter().flatten().flatten();
        packs.filter(|entry| entry.path().extension().is_some_and(|e| e == "pack")).count() > MANY_PACKS
    }

    /// What libgit2 says of the objects, as an error: they are broken, unless the machine itself failed.
    pub(super) fn damage(&self, error: &git2::Error) -> GitError {
        match error.class() {
            ErrorClass::NoMemory => GitError::io("read", &self.0, io::Error::from(io::ErrorKind::OutOfMemory)),
            ErrorClass::Os if error.code() != ErrorCode::NotFound => {
                GitError::io("read", &self.0, io::Error::other(error.message().to_owned()))
            }
            _ => GitError::Corrupt { directory: self.0.clone(), reason: error.message().to_owned() },
        }
    }
}

/// Removes whatever is there.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Makes a directory where none is; a link or a file in its place goes.
fn real_directory(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_dir()) {
        remove(path)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Removes what a git that was killed leaves: locks, and files that were not yet whole.
fn remove_leftovers(directory: &OwnDirectory) -> io::Result<()> {
    for name in directory.names()? {
        let text = name.to_string_lossy();
        if text.ends_with(".lock") || text.starts_with("tmp_") || text.starts_with(".tmp") || text == "gc.pid" {
            directory.remove(&name)?;
        }
    }
    Ok(())
}

/// Removes what killed gits left in the mirrors of a directory, but for those that somebody is using.
///
/// # Errors
/// When something cannot be looked at or removed.
pub(crate) fn remove_all_leftovers(mirrors: &OwnDirectory) -> Result<(), GitError> {
    let failed = |error| GitError::io("tidy", mirrors.path(), error);
    for name in mirrors.names().map_err(failed)? {
        let text = name.to_string_lossy();
        if text.ends_with(".lock") {
            continue;
        }
        let store = MirrorStore::new(mirrors.path().join(&name));
        // What has a lock of its own is a mirror, whatever its name ends in.
        let base = [".new", ".old"].iter().find_map(|suffix| text.strip_suffix(suffix));
        if let Some(base) = base.filter(|_| !store.beside("lock").0.exists()) {
            if let Some(_lock) = MirrorStore::new(mirrors.path().join(base)).try_lock()? {
                mirrors.remove(&name).map_err(failed)?;
            }
        } else if let Some(_lock) = store.try_lock()? {
            store.tidy()?;
        }
    }
    Ok(())
}

/// Gives up a mirror, to be made anew when it is wanted; says whether it was there and nobody is using it.
///
/// # Errors
/// When it cannot be locked or removed.
pub(crate) fn give_up(mirrors: &OwnDirectory, name: &OsStr) -> Result<bool, GitError> {
    let store = MirrorStore::new(mirrors.path().join(name));
    let Some(_lock) = store.try_lock()? else { return Ok(false) };
    mirrors.remove(name).map_err(|error| GitError::io("remove", &store.0, error))
}
