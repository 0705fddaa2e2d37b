//! Removing what is no longer of use.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;

use super::caches::PARTS;
use super::tools::environments_directory;
use super::{Fetcher, FetcherError, error_diagnoses};
use crate::bst::environment::prune;
use crate::diagnosis::Diagnosis;
use crate::names::RunId;
use crate::own_directory::OwnDirectory;
use crate::state::{CacheLayout, StateError, StateStore, TRUSTS, UsageRegister, UsageStatus, slot_key, trust_key};

mod logs;

/// What housekeeping removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HousekeepingResult {
    /// Files and directories.
    pub paths: Vec<PathBuf>,
    /// What could not be removed or looked at, and why.
    pub failures: Vec<Diagnosis>,
}

impl HousekeepingResult {
    /// Notes what came of removing something.
    fn note(&mut self, path: &Path, gone: io::Result<()>) {
        match gone {
            Ok(()) => self.paths.push(path.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let message = format!("cannot remove {}, which is no longer needed: {error}", path.display());
                self.failures.push(error_diagnoses::of_io(&error, message));
            }
        }
    }

    /// Notes that something cannot be looked at.
    fn unread(&mut self, path: &Path, error: &io::Error) {
        let message = format!("cannot look for what is no longer needed in {}: {error}", path.display());
        self.failures.push(error_diagnoses::of_io(error, message));
    }
}

impl Fetcher {
    /// Removes runs older than `keep-runs`, the logs of the oldest runs beyond `keep-logs`, and mirrors, checkouts,
    /// environments and memories that no run of any configuration has named for as long as its `keep-runs`. Every run
    /// does so at its end.
    ///
    /// # Errors
    /// When a run is under way.
    pub fn housekeeping(&self) -> Result<HousekeepingResult, FetcherError> {
        let holder = format!("housekeeping, process {}", std::process::id());
        let (_locks, unended) = self.lock(&holder, Duration::ZERO)?;
        let (usage, failures) = self.usage(self.clock.now(), true);
        let mut removed = self.gc(&StateStore::new(&self.config.state_dir), None, &Mutex::new(usage));
        removed.failures.extend(failures.iter().map(StateError::diagnosis).chain(unended));
        Ok(removed)
    }

    pub(super) fn gc(
        &self,
        store: &StateStore,
        under_way: Option<&RunId>,
        usage: &Mutex<UsageRegister>,
    ) -> HousekeepingResult {
        let mut removed = HousekeepingResult::default();
        self.old_runs(store, under_way, &mut removed);
        self.old_logs(store, under_way, &mut removed);
        let mut usage = usage.lock().unwrap_or_else(PoisonError::into_inner);
        let mut there = BTreeSet::new();
        let cache = &self.config.cache_dir;
        for (parent, name, key) in [
            (&**cache, "mirrors", mirror_key as fn(&str) -> String),
            (cache, "checkouts", project_key),
            (cache, TRUSTS, |name| trust_key(name.trim_start_matches('.'))),
            (store.directory(), "branches", project_key),
            (store.directory(), "elements", project_key),
        ] {
            let own = OwnDirectory::open(parent).and_then(|parent| parent.map_or(Ok(None), |own| own.below(name)));
            match own {
                Ok(None) => {}
                Ok(Some(directory)) => remove_expired(&directory, key, &mut usage, &mut there, &mut removed),
                Err(error) => removed.unread(&parent.join(name), &error),
            }
        }
        self.old_caches(&mut usage, &mut there, &mut removed);
        let environments = environments_directory(&self.config);
        match prune(&environments, &usage.needed(), self.config.keep_runs) {
            Ok(unused) => removed.paths.extend(unused),
            Err(error) => removed.unread(&environments, &error),
        }
        usage.forget_expired(&there);
        removed.failures.extend(usage.save().iter().map(StateError::diagnosis));
        removed
    }

    /// The cache that a trust had which nobody names any more, where it is not in a directory of its own; and of each trust
    /// the sources of workers that are no more.
    fn old_caches(&self, usage: &mut UsageRegister, there: &mut BTreeSet<String>, removed: &mut HousekeepingResult) {
        let homes = match self.homes_of_caches() {
            Ok(homes) => homes,
            Err(error) => return removed.unread(&self.config.cache_dir, &error),
        };
        // What is no number was put there by somebody else.
        let key = |name: &str| name.parse().map_or_else(|_| format!("?{name}"), slot_key);
        for home in &homes {
            match home.below("sources") {
                Ok(None) => {}
                Ok(Some(sources)) => remove_expired(&sources, key, usage, there, removed),
                Err(error) => removed.unread(&home.path().join("sources"), &error),
            }
        }
        // One that cannot be read is told by the run.
        let (mut layout, _) = CacheLayout::look(&self.config.cache_dir);
        let (Some(first), Some(cache)) = (layout.first().cloned(), homes.last()) else { return };
        let key = trust_key(first.as_str());
        match usage.standing(&key) {
            UsageStatus::Needed => {}
            UsageStatus::Unknown => usage.adopt(&key),
            UsageStatus::Expired => {
                for name in PARTS {
                    removed.note(&cache.path().join(name), cache.remove(name).and_then(missing));
                }
                if removed.failures.is_empty() {
                    removed.failures.extend(layout.take_back().err().map(|error| error.diagnosis()));
                }
            }
        }
        if layout.first().is_some() {
            there.insert(key);
        }
    }

    /// The newest run is kept however old it is: `status` and `logs` tell of it. One that claims to have begun after now
    /// did so while the clock was ahead: its time begins when that is seen.
    fn old_runs(&self, store: &StateStore, under_way: Option<&RunId>, removed: &mut HousekeepingResult) {
        let now = self.clock.now();
        let runs = store.runs_as_of(now);
        let oldest = now.checked_sub(self.config.keep_runs).ok().map(|at| RunId::new(at, 0));
        for run in runs.iter().rev().skip(1).filter(|run| Some(*run) != under_way) {
            let path = store.run_directory(run);
            let old = if run.is_after(now) {
                is_unchanged_for(&path, self.config.keep_runs, now)
            } else {
                Ok(oldest.as_ref().is_some_and(|oldest| run < oldest))
            };
            match old {
                Ok(true) => removed.note(&path, store.forget_run(run)),
                Ok(false) => {}
                Err(error) => removed.unread(&path, &error),
            }
        }
    }
}

/// Mirrors of earlier releases had the names of projects: who still needs one has taken it over by the end of a run.
fn mirror_key(name: &str) -> String {
    let name = name.strip_suffix(".lock").unwrap_or(name);
    if name.contains('@') { name.to_owned() } else { format!("@{name}") }
}

fn project_key(name: &str) -> String {
    name.strip_suffix(".lock").unwrap_or(name).to_owned()
}

/// What removing nothing is.
fn missing(was_there: bool) -> io::Result<()> {
    if was_there { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Whether a directory has not changed for so long. Of one that claims to have changed after now, it is now that counts
/// from then on.
fn is_unchanged_for(directory: &Path, time: Duration, now: Timestamp) -> io::Result<bool> {
    let changed = Timestamp::try_from(fs::symlink_metadata(directory)?.modified()?).map_err(io::Error::other)?;
    if changed > now {
        let now = UNIX_EPOCH + Duration::try_from(now.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default();
        return fs::File::open(directory)?.set_modified(now).map(|()| false);
    }
    Ok(now.duration_since(changed).unsigned_abs() > time)
}

/// Removes what is in a directory and that no configuration has named for its time. What nobody knows is noted, and has
/// that time too. No link is followed.
fn remove_expired(
    directory: &OwnDirectory,
    key: fn(&str) -> String,
    usage: &mut UsageRegister,
    there: &mut BTreeSet<String>,
    removed: &mut HousekeepingResult,
) {
    let names = match directory.names() {
        Ok(names) => names,
        Err(error) => return removed.unread(directory.path(), &error),
    };
    for name in names {
        let (path, key) = (directory.path().join(&name), key(&name.to_string_lossy()));
        match usage.standing(&key) {
            UsageStatus::Needed => {}
            UsageStatus::Unknown => usage.adopt(&key),
            UsageStatus::Expired => removed.note(&path, directory.remove(&name).map(drop)),
        }
        if path.symlink_metadata().is_ok() {
            there.insert(key);
        }
    }
}
