//! What was written into a working tree, and how the file system showed it then: a git index that is kept outside the
//! tree, so that nothing that runs inside can forge it.
//!
//! A file whose inode, size, modification and change time are still the same was not touched: no program but root's
//! can set a change time. As in git, a file that changed in the very tick in which the index was written is not trusted.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use git2::{Index, IndexEntry, IndexTime, Oid};
use rustix::fs::Stat;

use super::budget::CheckoutBudget;
use super::error::GitError;

/// Such an index.
pub(super) struct WrittenIndex {
    path: PathBuf,
    old: HashMap<Vec<u8>, IndexEntry>,
    /// When it was written: seconds and nanoseconds.
    at: (i64, i64),
    new: Vec<IndexEntry>,
    changed: bool,
}

/// How far what is known of a file may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexTrust {
    /// It was not touched since it was written.
    Untouched,
    /// It was not touched later than in the tick in which the index was written.
    Doubtful,
    /// It was touched, or was never written by us.
    Touched,
}

impl WrittenIndex {
    /// Reads the index at a path. One that is missing or broken knows nothing.
    pub(super) fn load(path: PathBuf) -> Self {
        let entries = fs::metadata(&path).ok().and_then(|metadata| {
            use std::os::unix::fs::MetadataExt;
            let index = Index::open(&path).ok()?;
            let old = index.iter().map(|entry| (entry.path.clone(), entry)).collect();
            Some((old, (metadata.mtime(), metadata.mtime_nsec())))
        });
        let changed = entries.is_none();
        let (old, at) = entries.unwrap_or_default();
        Self { path, old, at, new: Vec::new(), changed }
    }

    /// Whether a regular file is still as it was written, with this content.
    pub(super) fn trust(&self, path: &[u8], id: Oid, mode: u32, stat: &Stat) -> IndexTrust {
        let now = entry(path, id, mode, Some(stat));
        let same = |old: &&IndexEntry| {
            old.id == id
                && old.mode == mode
                && (old.ino, old.file_size) == (now.ino, now.file_size)
                && (old.ctime, old.mtime) == (now.ctime, now.mtime)
                && stat.st_nlink == 1
        };
        match self.old.get(path).filter(same) {
            None => IndexTrust::Touched,
            Some(_) if changed_at(stat) >= self.at => IndexTrust::Doubtful,
            Some(_) => IndexTrust::Untouched,
        }
    }

    /// Notes what is at a path now. Without a `stat` it is not looked at again by its times.
    pub(super) fn note(&mut self, path: &[u8], id: Oid, mode: u32, stat: Option<&Stat>, trust: IndexTrust) {
        let known = self.old.get(path).is_some_and(|old| old.id == id && old.mode == mode);
        self.changed |= trust != IndexTrust::Untouched || !known;
        self.new.push(entry(path, id, mode, stat));
    }

    /// Writes what was noted, if it is not what the file says already.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn save(self, budget: &mut CheckoutBudget<'_>) -> Result<(), GitError> {
        if !self.changed && self.new.len() == self.old.len() {
            return Ok(());
        }
        let fresh = self.path.with_extension("new");
        let failed =
            |error: &git2::Error| GitError::io("write", &fresh, std::io::Error::other(error.message().to_owned()));
        for leftover in [fresh.clone(), fresh.with_extension("new.lock")] {
            let _ = fs::remove_file(leftover);
        }
        let mut index = Index::open(&fresh).map_err(|error| failed(&error))?;
        for entry in &self.new {
            budget.check()?;
            index.add(entry).map_err(|error| failed(&error))?;
        }
        index.write().map_err(|error| failed(&error))?;
        fs::rename(&fresh, &self.path).map_err(|error| GitError::io("write", &self.path, error))
    }
}

fn changed_at(stat: &Stat) -> (i64, i64) {
    (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(i64::MAX))
}

/// An index has 32 bits for each of these: git keeps the lower ones too.
fn entry(path: &[u8], id: Oid, mode: u32, stat: Option<&Stat>) -> IndexEntry {
    const LOW: u64 = 0xffff_ffff;
    let low = |value: u64| u32::try_from(value & LOW).unwrap_or_default();
    let seconds = |value: i64| i32::from_ne_bytes(low(value.cast_unsigned()).to_ne_bytes());
    let time = |s: i64, ns: u32| IndexTime::new(seconds(s), ns);
    let none = IndexTime::new(0, 0);
    IndexEntry {
        ctime: stat.map_or(none, |s| time(s.st_ctime, u32::try_from(s.st_ctime_nsec).unwrap_or(0))),
        mtime: stat.map_or(none, |s| time(s.st_mtime, u32::try_from(s.st_mtime_nsec).unwrap_or(0))),
        dev: stat.map_or(0, |s| low(s.st_dev)),
        ino: stat.map_or(0, |s| low(s.st_ino)),
        mode,
        uid: stat.map_or(0, |s| s.st_uid),
        gid: stat.map_or(0, |s| s.st_gid),
        file_size: stat.map_or(0, |s| low(s.st_size.cast_unsigned())),
        id,
        flags: u16::try_from(path.len().min(0xfff)).unwrap_or(0xfff),
        flags_extended: 0,
        path: path.to_vec(),
    }
}
