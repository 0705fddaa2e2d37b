//! What a killed run left, and the short-lived directories that are cleared after it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{Fetcher, FetcherError, error_diagnoses};
use crate::diagnosis::Diagnosis;
use crate::own_directory::OwnDirectory;
use crate::report::{Outcome, RunReport};
use crate::runner::processes;
use crate::state::{RunInProgress, StateError, StateStore};

const TEMPORARY: &str = "bst-fetcher-";

impl Fetcher {
    /// Where short-lived directories are.
    fn temporary_parent(&self) -> PathBuf {
        let wanted = self.environment.get("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        if wanted.as_os_str().len() > 40 { PathBuf::from("/tmp") } else { wanted }
    }

    /// A directory with a short path: bst makes a socket in it, whose path may have 107 bytes (unix(7)).
    pub(super) fn temporary(&self) -> Result<tempfile::TempDir, FetcherError> {
        let parent = self.temporary_parent();
        let made = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(&parent);
        made.map_err(|source| FetcherError::Directory { path: parent.join(TEMPORARY), source })
    }

    /// Clears away what an earlier run left, a killed one above all; gives what there is to tell of it, and what went
    /// wrong beside it.
    pub(super) fn clear_killed(&self, store: &StateStore, owner: &OsStr) -> (Option<Diagnosis>, Vec<Diagnosis>) {
        let (current, broken) = store.current();
        let mut failures: Vec<_> = broken.iter().map(StateError::diagnosis).collect();
        // What a run started has ended with it, unless it was too quick for who looked.
        let left = processes::clear_leftovers(owner);
        let Some(current) = current else { return (error_diagnoses::left_running(left), failures) };
        failures.extend(self.remove_temporary(&current).err());
        failures.extend(store.clear_current().err().map(|error| error.diagnosis()));
        let noted = store.report(&current.run).and_then(|report| {
            report.map_or(Ok(()), |report| store.save_report(&RunReport { outcome: Outcome::Interrupted, ..report }))
        });
        failures.extend(noted.err().map(|error| error.diagnosis()));
        (Some(error_diagnoses::killed(&current.run, current.process, left)), failures)
    }

    /// Only the name is taken from the note of the run, for more than this program may write it.
    fn remove_temporary(&self, current: &RunInProgress) -> Result<(), Diagnosis> {
        let Some(name) = current.temporary.file_name().filter(|_| is_ours(&current.temporary)) else { return Ok(()) };
        let parent = self.temporary_parent();
        let removed = OwnDirectory::open(&parent).and_then(|parent| parent.map_or(Ok(false), |own| own.remove(name)));
        removed.map(drop).map_err(|error| {
            let path = parent.join(name);
            let message = format!("cannot remove {}, which a killed run left: {error}", path.display());
            error_diagnoses::of_io(&error, message)
        })
    }
}

fn is_ours(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes()))
}
