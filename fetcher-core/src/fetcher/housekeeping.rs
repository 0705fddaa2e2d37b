//! Removing what is no longer of use.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::tools::{environments_directory, with_environment};
use super::{Fetcher, FetcherError};
use crate::bst::environment::prune;
use crate::cancel::Cancel;
use crate::names::RunId;
use crate::own_directory::OwnDirectory;
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
            remove_but(cache, kind, |name| projects.contains(name.strip_suffix(".lock").unwrap_or(name)), &mut removed);
        }
        let slots: BTreeSet<_> = (0..self.config.jobs.get()).map(|slot| slot.to_string()).collect();
        remove_but(cache, "sources", |name| slots.contains(name), &mut removed);
        remove_but(store.directory(), "branches", |name| projects.contains(name), &mut removed);
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
}

/// Removes from a directory of ours what is not to be kept. A link in its place is followed nowhere.
fn remove_but(parent: &Path, directory: &str, keep: impl Fn(&str) -> bool, removed: &mut Removed) {
    let Ok(Some(directory)) =
        OwnDirectory::open(parent).and_then(|parent| parent.map_or(Ok(None), |p| p.below(directory)))
    else {
        return;
    };
    for name in directory.names().unwrap_or_default() {
        if !keep(&name.to_string_lossy()) && directory.remove(&name).is_ok_and(|removed| removed) {
            removed.paths.push(directory.path().join(name));
        }
    }
}
