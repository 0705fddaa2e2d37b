//! Removing what is no longer of use.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::tools::{environments_directory, with_environment};
use super::{Fetcher, FetcherError, explain};
use crate::bst::environment::prune;
use crate::cancel::Cancel;
use crate::diagnosis::Diagnosis;
use crate::names::RunId;
use crate::state::{Lock, Store};

/// What housekeeping removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Files and directories.
    pub paths: Vec<PathBuf>,
}

impl Fetcher {
    /// Removes runs older than `keep-runs`, environments that nothing in the configuration names, and mirrors,
    /// checkouts and memories of projects that are no longer configured. Every run does so at its end.
    ///
    /// # Errors
    /// When a run is under way.
    pub fn housekeeping(&self) -> Result<Removed, FetcherError> {
        let holder = format!("housekeeping, process {}", std::process::id());
        let _lock = Lock::acquire(&self.config.state_dir, &holder, std::time::Duration::ZERO, &Cancel::new())?;
        Ok(self.gc(&Store::new(&self.config.state_dir), None))
    }

    pub(super) fn gc(&self, store: &Store, under_way: Option<&RunId>) -> Removed {
        let mut removed = Removed::default();
        self.old_runs(store, under_way, &mut removed);
        let cache = &self.config.cache_dir;
        let projects: BTreeSet<_> = self.config.projects.iter().map(|project| project.name.to_string()).collect();
        for kind in ["mirrors", "checkouts"] {
            remove_but(
                &cache.join(kind),
                |name| projects.contains(name.strip_suffix(".lock").unwrap_or(name)),
                &mut removed,
            );
        }
        let slots: BTreeSet<_> = (0..self.config.jobs.get()).map(|slot| slot.to_string()).collect();
        remove_but(&cache.join("sources"), |name| slots.contains(name), &mut removed);
        remove_but(&store.directory().join("branches"), |name| projects.contains(name), &mut removed);
        // What cannot be locked or read now is removed another time.
        let unused = prune(&environments_directory(&self.config), &with_environment(&self.config));
        removed.paths.extend(unused.unwrap_or_default());
        removed
    }

    /// The newest run is kept however old it is: `status` and `logs` tell of it.
    fn old_runs(&self, store: &Store, under_way: Option<&RunId>, removed: &mut Removed) {
        let runs = store.runs();
        let Some(oldest) = self.clock.now().checked_sub(self.config.keep_runs).ok().map(|at| RunId::new(at, 0)) else {
            return;
        };
        for run in runs.iter().rev().skip(1).filter(|run| **run < oldest && Some(*run) != under_way) {
            if store.forget_run(run).is_ok() {
                removed.paths.push(store.run_directory(run));
            }
        }
    }

    /// Sees that there is space, and makes some if there is not.
    pub(super) fn space(&self, store: &Store) -> Result<(), Diagnosis> {
        if self.lacking_space().is_some() {
            self.gc(store, None);
        }
        self.lacking_space().map_or(Ok(()), Err)
    }

    /// Where there is too little space, if anywhere.
    pub(super) fn lacking_space(&self) -> Option<Diagnosis> {
        [&self.config.cache_dir, &self.config.state_dir].into_iter().find_map(|path| {
            let found = rustix::fs::statvfs(path).ok()?;
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            (free < self.config.min_free_space).then(|| explain::space(path, free, self.config.min_free_space))
        })
    }
}

fn remove_but(directory: &Path, keep: impl Fn(&str) -> bool, removed: &mut Removed) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if !keep(&entry.file_name().to_string_lossy()) {
            remove(&entry.path(), removed);
        }
    }
}

fn remove(path: &Path, removed: &mut Removed) {
    let is_directory = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let gone = if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if gone.is_ok() {
        removed.paths.push(path.to_owned());
    }
}
