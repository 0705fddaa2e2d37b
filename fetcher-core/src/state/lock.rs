//! One run at a time on a state directory, and on a cache directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use thiserror::Error;

use crate::cancel::Cancel;

/// How often a lock that somebody else holds is tried.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The kernel's lock on a state or cache directory, held until it is dropped or the process ends in any way.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
    /// To whom belonged what the last holder started, where that one was killed.
    abandoned: Option<PathBuf>,
}

/// Why a directory cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else has it.
    #[error("another run holds {path:?}: {holder}; wait for it with --lock-wait, or look at what it does")]
    Held {
        /// The lock's file.
        path: PathBuf,
        /// What the other wrote of itself.
        holder: String,
        /// Since when it has it, where it wrote that.
        since: Option<Timestamp>,
    },
    /// The file cannot be opened or locked.
    #[error("cannot lock {path:?}: {source}; its directory has to be writable")]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

impl DirectoryLock {
    /// Locks a directory, which is made if need be; waits for at most `wait` while somebody else holds it.
    /// `holder` is what others are told of this one.
    ///
    /// # Errors
    /// When somebody else keeps it, or the file cannot be used.
    pub fn acquire(directory: &Path, holder: &str, wait: Duration, cancel: &Cancel) -> Result<Self, LockError> {
        Self::acquire_for(directory, holder, None, wait, cancel)
    }

    /// The same, with a note of to whom belongs what this one starts.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn acquire_for(
        directory: &Path,
        holder: &str,
        owner: Option<&Path>,
        wait: Duration,
        cancel: &Cancel,
    ) -> Result<Self, LockError> {
        let path = directory.join("lock");
        let failed = |source| LockError::Io { path: path.clone(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(failed)?;
        let until = Instant::now() + wait;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) if Instant::now() >= until || cancel.wait(POLL_INTERVAL) => {
                    let mut note = String::new();
                    // That it is held is what counts; who holds it is said where that can be read.
                    let _ = file.read_to_string(&mut note);
                    let (holder, since) = read_note(&note);
                    return Err(LockError::Held { path, holder, since });
                }
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let mut last = String::new();
        // A note that is no text is of no holder of ours.
        let abandoned = file.read_to_string(&mut last).ok().and_then(|_| owner_in(&last));
        let mut note = format!("{}\n{SINCE}{}\n", holder.replace('\n', " "), Timestamp::now());
        if let Some(owner) = owner.and_then(Path::to_str).filter(|owner| !owner.contains('\n')) {
            note = format!("{note}{OWNER}{owner}\n");
        }
        let note = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(note.as_bytes()));
        note.map_err(failed)?;
        Ok(Self { file, abandoned })
    }

    /// To whom belonged what the last holder started, where that one was killed and its children may run on.
    pub(crate) fn abandoned(&self) -> Option<&Path> {
        self.abandoned.as_deref()
    }
}

/// What the lines begin with that are for programs.
const SINCE: &str = "since=";
const OWNER: &str = "owner=";

/// To whom belongs what a holder started, where it wrote that.
fn owner_in(note: &str) -> Option<PathBuf> {
    note.lines().find_map(|line| line.strip_prefix(OWNER)).map(PathBuf::from).filter(|owner| owner.is_absolute())
}

/// What a holder wrote of itself, and since when it holds the lock.
fn read_note(note: &str) -> (String, Option<Timestamp>) {
    let since = note.lines().find_map(|line| line.strip_prefix(SINCE)?.parse().ok());
    (note.lines().next().unwrap_or_default().trim().to_owned(), since)
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // The note is for people; and the lock goes with the file, which is closed now.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_who_waits_in_vain_learns_who_holds_it_and_since_when() {
        let directory = tempfile::tempdir().unwrap();
        let acquire = || DirectoryLock::acquire(directory.path(), "process 7\nsince=x", Duration::ZERO, &Cancel::new());
        let before = Timestamp::now();
        let held = acquire().unwrap();
        let Err(LockError::Held { holder, since: Some(since), .. }) = acquire() else { panic!("it is not held") };
        assert_eq!(holder, "process 7 since=x");
        assert!(since >= before && since <= Timestamp::now());
        drop(held);
        acquire().unwrap();
    }

    #[test]
    fn whoever_was_killed_leaves_a_note_of_whose_children_may_run_on() {
        let directory = tempfile::tempdir().unwrap();
        let acquire = |owner| {
            let owner = Some(Path::new(owner));
            DirectoryLock::acquire_for(directory.path(), "one", owner, Duration::ZERO, &Cancel::new()).unwrap()
        };
        drop(acquire("/state a"));
        assert_eq!(acquire("/state a").abandoned(), None, "it ended in order");
        // A killed process drops nothing, and the kernel gives its lock away.
        let killed = acquire("/state a");
        killed.file.unlock().unwrap();
        std::mem::forget(killed);
        assert_eq!(acquire("/state b").abandoned(), Some(Path::new("/state a")));
        assert_eq!(acquire("relative").abandoned(), None);
    }

    #[test]
    fn the_note_of_an_older_release_has_no_time() {
        assert_eq!(read_note("process 7, since then\n"), ("process 7, since then".to_owned(), None));
    }
}
