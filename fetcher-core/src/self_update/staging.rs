//! Changing a work tree so that it is the old one or the new one, whatever happens on the way. What differs is written
//! whole aside; then it is moved into place, and what was there is moved aside. Moving takes no room, so that all of it
//! can be moved back where one step cannot be done.
//!
//! The files are written here and not by libgit2's own checkout (1.9), which writes through symbolic links to directories
//! that git does not know, and loses a link that takes a directory's place.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use super::commit_contents::{CommitContents, FRESH};
use super::error::CheckoutObstacle;
use super::objects::CommitEntry;
use super::objects::path_of;
use crate::cancel::Cancel;

/// What a file or directory takes on the disk beside its bytes, about.
const BLOCK: u64 = 4096;

/// One step of the change of a work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StagedMove {
    /// What is there goes.
    Away(PathBuf),
    /// A directory is made.
    Directory(PathBuf),
    /// A file or link that was written aside gets into its place.
    Put(PathBuf),
}

impl StagedMove {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Away(path) | Self::Directory(path) | Self::Put(path) => path,
        }
    }

    fn record(&self) -> Vec<u8> {
        let letter = match self {
            Self::Away(_) => b'a',
            Self::Directory(_) => b'd',
            Self::Put(_) => b'p',
        };
        [&[letter], self.path().as_os_str().as_bytes(), b"\0"].concat()
    }

    fn parse(record: &[u8]) -> Option<Self> {
        let (letter, path) = record.split_first()?;
        let path = path_of(path);
        match letter {
            b'a' => Some(Self::Away(path)),
            b'd' => Some(Self::Directory(path)),
            b'p' => Some(Self::Put(path)),
            _ => None,
        }
    }
}

/// The place where a change of a work tree is made ready: `new` holds what comes as it will lie in the work tree, `old`
/// what goes by the number of its step, `commit` whose files they are, `moves` the steps, which is called `back` once they are taken back.
#[derive(Debug)]
pub(super) struct StagingArea {
    top: PathBuf,
    place: PathBuf,
}

impl StagingArea {
    /// The one of a work tree; `desk` is a directory of ours inside its git directory.
    pub(super) fn of(top: &Path, desk: &Path) -> io::Result<Self> {
        // Only on one file system things are moved.
        let together = fs::metadata(top)?.dev() == fs::metadata(desk)?.dev();
        let place = if together { desk.join("staging") } else { top.join(FRESH) };
        Ok(Self { top: top.to_owned(), place })
    }

    /// Writes aside what is to come, and notes the steps. Nothing of the work tree is touched.
    ///
    /// # Errors
    /// When it cannot be written; nothing is left of it then.
    pub(super) fn prepare(
        &self,
        repository: &Repository,
        commit: Oid,
        contents: &CommitContents,
        moves: &[StagedMove],
        cancel: &Cancel,
    ) -> Result<(), CheckoutObstacle> {
        let written = self
            .clear()
            .map_err(|error| CheckoutObstacle::io(&self.place, error))
            .and_then(|()| self.write(repository, commit, contents, moves, cancel));
        if written.is_err() {
            // What stays of it goes before the next one; what is told is why it was not written.
            let _ = self.clear();
        }
        written
    }

    fn write(
        &self,
        repository: &Repository,
        commit: Oid,
        contents: &CommitContents,
        moves: &[StagedMove],
        cancel: &Cancel,
    ) -> Result<(), CheckoutObstacle> {
        let own = |error| CheckoutObstacle::io(&self.place, error);
        DirBuilder::new().mode(0o700).create(&self.place).map_err(own)?;
        self.has_room(contents, moves)?;
        for name in ["new", "old"] {
            fs::create_dir(self.place.join(name)).map_err(own)?;
        }
        for step in moves {
            if cancel.is_cancelled() {
                return Err(CheckoutObstacle::Cancelled);
            }
            let path = step.path();
            let new = self.place.join("new").join(path);
            match step {
                StagedMove::Away(_) => {}
                StagedMove::Directory(_) => {
                    fs::create_dir_all(&new).map_err(|error| CheckoutObstacle::io(path, error))?;
                }
                StagedMove::Put(_) => {
                    let Some(entry) = contents.entries.get(path) else { continue };
                    let blob = repository.find_blob(entry.id).map_err(|error| CheckoutObstacle::at(path, &error))?;
                    let old = there(&self.top, path);
                    let parent = new.parent().map_or(Ok(()), fs::create_dir_all);
                    parent
                        .and_then(|()| put(&new, blob.content(), *entry, old.as_ref()))
                        .map_err(|error| CheckoutObstacle::io(path, error))?;
                }
            }
        }
        match fs::copy(repository.path().join("index"), self.place.join("index")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(own(error)),
            Ok(_) | Err(_) => {}
        }
        fs::write(self.place.join("commit"), commit.to_string()).map_err(own)?;
        fs::write(self.place.join("moves"), moves.iter().flat_map(StagedMove::record).collect::<Vec<_>>())
            .map_err(own)?;
        // All of it is on the disk before anybody says that it is.
        File::open(&self.place).and_then(|place| Ok(rustix::fs::syncfs(place)?)).map_err(own)
    }

    fn has_room(&self, contents: &CommitContents, moves: &[StagedMove]) -> Result<(), CheckoutObstacle> {
        let size = |step: &StagedMove| contents.entries.get(step.path()).map_or(0, |entry| entry.size as u64) + BLOCK;
        let needed: u64 = moves.iter().filter(|step| !matches!(step, StagedMove::Away(_))).map(size).sum();
        let failed = |error| CheckoutObstacle::io(&self.place, error);
        let found = rustix::fs::statvfs(&self.place).map_err(|error| failed(error.into()))?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if needed > free {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            let what = format!("its files need {} MiB, and {} MiB are free", mib(needed), free >> 20);
            return Err(CheckoutObstacle::Io {
                path: self.top.clone(),
                source: io::Error::new(io::ErrorKind::StorageFull, what),
            });
        }
        Ok(())
    }

    /// The steps that are noted, and whether they are being taken back.
    ///
    /// # Errors
    /// When there are none.
    fn moves(&self) -> io::Result<(Vec<StagedMove>, bool)> {
        let (text, back) = match fs::read(self.place.join("moves")) {
            Ok(text) => (text, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (fs::read(self.place.join("back"))?, true),
            Err(error) => return Err(error),
        };
        let records = text.split(|byte| *byte == 0).filter(|record| !record.is_empty());
        let moves: Option<Vec<StagedMove>> = records.map(StagedMove::parse).collect();
        Ok((moves.ok_or(io::ErrorKind::InvalidData)?, back))
    }

    /// Whether a commit's files lie ready to be moved, forward or back.
    pub(super) fn is_ready(&self, commit: &str) -> bool {
        self.moves().is_ok() && fs::read_to_string(self.place.join("commit")).is_ok_and(|ready| ready == commit)
    }

    /// Whether the steps are being taken back already.
    pub(super) fn is_going_back(&self) -> bool {
        self.moves().is_ok_and(|(_, back)| back)
    }

    /// Takes every step that was not taken yet.
    pub(super) fn forward(&self) -> Result<(), CheckoutObstacle> {
        let (moves, _) = self.moves().map_err(|error| CheckoutObstacle::io(&self.place, error))?;
        for (number, step) in moves.iter().enumerate() {
            self.step(number, step).map_err(|source| CheckoutObstacle::Io { path: step.path().to_owned(), source })?;
        }
        let gone = moves.iter().filter(|step| matches!(step, StagedMove::Away(_)));
        gone.for_each(|step| prune(&self.top, step.path()));
        Ok(())
    }

    fn step(&self, number: usize, step: &StagedMove) -> io::Result<()> {
        let path = step.path();
        let (there, place) = (there(&self.top, path), self.top.join(path));
        match step {
            StagedMove::Away(_) => {
                let old = self.place.join("old").join(number.to_string());
                match there {
                    // What is there now may be the new one already.
                    _ if old.symlink_metadata().is_ok() => Ok(()),
                    Some(_) => fs::rename(place, old),
                    None => Err(io::Error::other("somebody else has taken it away meanwhile")),
                }
            }
            StagedMove::Directory(_) if there.as_ref().is_some_and(Metadata::is_dir) => Ok(()),
            StagedMove::Directory(_) => fs::create_dir(place),
            StagedMove::Put(_) => {
                let new = self.place.join("new").join(path);
                match (new.symlink_metadata(), there) {
                    (Err(error), Some(_)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    (Err(error), _) => Err(error),
                    (Ok(_), Some(_)) => Err(io::Error::other("somebody else has put something there meanwhile")),
                    (Ok(_), None) if !is_inside(&self.top, path) => Err(io::ErrorKind::NotADirectory.into()),
                    (Ok(_), None) => fs::rename(new, place),
                }
            }
        }
    }

    /// Takes every step back that was taken; `git` is the git directory, whose index becomes the old one. From here on
    /// there is no other way.
    pub(super) fn back(&self, git: &Path) -> Result<(), CheckoutObstacle> {
        let own = |error| CheckoutObstacle::io(&self.place, error);
        let (moves, back) = self.moves().map_err(own)?;
        if !back {
            fs::rename(self.place.join("moves"), self.place.join("back")).map_err(own)?;
        }
        for (number, step) in moves.iter().enumerate().rev() {
            self.step_back(number, step)
                .map_err(|source| CheckoutObstacle::Io { path: step.path().to_owned(), source })?;
        }
        let (kept, index) = (self.place.join("index"), git.join("index"));
        match fs::rename(&kept, &index) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => fs::copy(&kept, &index).map(drop),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
        .map_err(own)
    }

    fn step_back(&self, number: usize, step: &StagedMove) -> io::Result<()> {
        let path = step.path();
        let place = self.top.join(path);
        match step {
            StagedMove::Put(_) => {
                let new = self.place.join("new").join(path);
                let is_put = new.symlink_metadata().is_err() && there(&self.top, path).is_some();
                if is_put { fs::rename(place, new) } else { Ok(()) }
            }
            StagedMove::Directory(_) => match fs::remove_dir(place) {
                // Somebody else's file in it is left alone.
                Err(error) if is_taken(&error) || error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            },
            StagedMove::Away(_) => {
                let old = self.place.join("old").join(number.to_string());
                if old.symlink_metadata().is_err() {
                    return Ok(());
                }
                // Directories that were empty without it are gone.
                if !is_inside(&self.top, path) {
                    place.parent().map_or(Ok(()), fs::create_dir_all)?;
                }
                fs::rename(old, place)
            }
        }
    }

    /// Removes all of it.
    pub(super) fn clear(&self) -> io::Result<()> {
        match fs::symlink_metadata(&self.place) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&self.place),
            Ok(_) => fs::remove_file(&self.place),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory)
}

/// Whether everything above a path is a directory of the work tree, and no symbolic link.
fn is_inside(top: &Path, path: &Path) -> bool {
    let mut parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
    parents.all(|parent| fs::symlink_metadata(top.join(parent)).is_ok_and(|parent| parent.is_dir()))
}

/// What is there at a path inside the work tree, where no symbolic link leads to it.
pub(super) fn there(top: &Path, path: &Path) -> Option<Metadata> {
    is_inside(top, path).then(|| fs::symlink_metadata(top.join(path)).ok()).flatten()
}

/// Writes a file or link that takes the place of an old one.
fn put(path: &Path, content: &[u8], entry: CommitEntry, old: Option<&Metadata>) -> io::Result<()> {
    if entry.is_link() {
        return symlink(path_of(content), path);
    }
    // Who could not read the old one, which may hold a secret, cannot read the new one.
    let readable = old.filter(|old| old.is_file()).map_or(0o777, Metadata::mode) & 0o666;
    // Who may read an executable may execute it, as git has it.
    let mode = if entry.is_executable() { readable | (readable & 0o444) >> 2 } else { readable };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(content)
}

/// Removes the directories above a path that are empty.
fn prune(top: &Path, path: &Path) {
    for parent in path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
        if !is_inside(top, parent) || fs::remove_dir(top.join(parent)).is_err() {
            break;
        }
    }
}

/// Removes what older versions of this program left of files that they had not written whole.
pub(super) fn clear_fresh(top: &Path) -> io::Result<()> {
    let mut open = vec![top.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            if kind.is_dir() && name != ".git" {
                open.push(entry.path());
            } else if !kind.is_dir() && name == FRESH {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
