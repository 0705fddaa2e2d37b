//! Locks on a configuration's clone, and the journal of a checkout under way.
//!
//! All of it is in `bst-fetcher` inside the clone's git directory. Whoever updates holds `update.lock`; who reads the
//! work tree shares `tree.lock`, a run until its end; who changes the work tree has that one alone. They are the
//! kernel's locks: they end with their holder.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::atomic_file::write_atomic_with;
use crate::cancel::Cancel;

/// How often a lock that somebody else holds is tried.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The desk of self-update inside a git directory.
#[derive(Debug, Clone)]
pub(super) struct CloneLocks(PathBuf);

/// A checkout that was begun, and has to be brought to its end before anybody reads the work tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CheckoutJournal {
    /// The version of this format, [`CheckoutJournal::VERSION`].
    pub(super) version: u32,
    /// The commit that the work tree becomes.
    pub(super) commit: String,
    /// The local branch that then names it, in full.
    pub(super) branch: String,
    /// The reference that says what was taken from upstream: it names the commit too, where it was taken from there.
    pub(super) taken: bool,
    /// What the references were before; version 1 did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<PreviousRefs>,
}

/// What the references were before a checkout was begun.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PreviousRefs {
    /// The branch that was checked out, in full; none for a bare commit.
    pub(super) head: Option<String>,
    /// The commit that was checked out.
    pub(super) commit: Option<String>,
    /// The commit of the branch that is to be checked out.
    pub(super) branch: Option<String>,
    /// What was last taken.
    pub(super) taken: Option<String>,
}

/// What a journal says.
#[derive(Debug)]
pub(super) enum JournalEntry {
    /// Nothing is under way.
    Nothing,
    /// A checkout of this version of the program's.
    Checkout(CheckoutJournal),
    /// One of an older version's, of which nothing lies ready.
    Old(CheckoutJournal),
    /// It cannot be made out.
    Unknown,
}

impl CheckoutJournal {
    pub(super) const VERSION: u32 = 2;
}

impl CloneLocks {
    pub(super) fn new(git_directory: &Path) -> Self {
        Self(git_directory.join("bst-fetcher"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the directory, for what is confidential as well.
    pub(super) fn make(&self) -> io::Result<()> {
        fs::create_dir_all(&self.0)
    }

    /// Marks the clone as one that is there for nothing but to be followed.
    pub(super) fn make_hosts(&self) -> io::Result<()> {
        self.open("host").map(drop)
    }

    pub(super) fn is_hosts(&self) -> bool {
        self.0.join("host").exists()
    }

    /// Shares the work tree with other readers; none where nothing was ever updated here.
    pub(super) fn read(&self, wait: Duration, cancel: &Cancel) -> io::Result<Option<File>> {
        // Nothing is made here: a reader may lack the right to, or be root, whose files would be in the user's way.
        match File::open(self.0.join("tree.lock")) {
            Ok(file) if patient(&file, File::try_lock_shared, wait, cancel)? => Ok(Some(file)),
            Ok(_) => Err(io::Error::new(io::ErrorKind::WouldBlock, "somebody changes it and does not come to an end")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has the work tree alone; none where somebody reads it for longer than `wait`.
    pub(super) fn write(&self, wait: Duration, cancel: &Cancel) -> io::Result<Option<File>> {
        let file = self.open("tree.lock")?;
        Ok(patient(&file, File::try_lock, wait, cancel)?.then_some(file))
    }

    /// Is the only one that updates; none where somebody else does for longer than `wait`. From the first time on there
    /// is a lock for readers too.
    pub(super) fn update(&self, wait: Duration, cancel: &Cancel) -> io::Result<Option<File>> {
        self.open("tree.lock")?;
        let file = self.open("update.lock")?;
        Ok(patient(&file, File::try_lock, wait, cancel)?.then_some(file))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        self.make()?;
        File::options().create(true).truncate(false).write(true).open(self.0.join(name))
    }

    pub(super) fn journal(&self) -> io::Result<JournalEntry> {
        let text = match fs::read(self.0.join("journal")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(JournalEntry::Nothing),
            Err(error) => return Err(error),
        };
        Ok(match serde_json::from_slice::<CheckoutJournal>(&text) {
            Ok(journal) if journal.version == CheckoutJournal::VERSION => JournalEntry::Checkout(journal),
            Ok(journal) if journal.version < CheckoutJournal::VERSION => JournalEntry::Old(journal),
            Ok(_) | Err(_) => JournalEntry::Unknown,
        })
    }

    /// From here on the checkout is brought to its end, or taken back, whatever happens.
    pub(super) fn begin(&self, journal: &CheckoutJournal) -> io::Result<()> {
        write_atomic_with(&self.0.join("journal"), |file| {
            serde_json::to_writer(&mut *file, journal)?;
            file.sync_all()
        })?;
        File::open(&self.0)?.sync_all()
    }

    pub(super) fn end(&self) -> io::Result<()> {
        fs::remove_file(self.0.join("journal"))
    }
}

/// Tries a lock until it is had, says whether it was.
fn patient(
    file: &File,
    lock: impl Fn(&File) -> Result<(), TryLockError>,
    wait: Duration,
    cancel: &Cancel,
) -> io::Result<bool> {
    let until = Instant::now() + wait;
    loop {
        match lock(file) {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= until || cancel.wait(LOCK_POLL_INTERVAL) => {
                return Ok(false);
            }
            Err(TryLockError::WouldBlock) => {}
        }
    }
}
