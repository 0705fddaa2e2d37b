//! What a killed run left, and the short-lived directories that are cleared after it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Fetcher, FetcherError, explain};
use crate::diagnosis::Diagnosis;
use crate::report::Outcome;
use crate::runner::processes;
use crate::state::{Current, Store};

const TEMPORARY: &str = "bst-fetcher-";

impl Fetcher {
    /// A directory with a short path: bst makes a socket in it, whose path may have 107 bytes (unix(7)).
    pub(super) fn temporary(&self) -> Result<tempfile::TempDir, FetcherError> {
        let wanted = self.environment.get("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let parent = if wanted.as_os_str().len() > 40 { PathBuf::from("/tmp") } else { wanted };
        let made = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(&parent);
        made.map_err(|source| FetcherError::Directory { path: parent.join(TEMPORARY), source })
    }
}

/// Clears away what a killed run left; gives that there was one, and what went wrong beside it.
pub(super) fn clear_killed(store: &Store, owner: &OsStr) -> (Option<Diagnosis>, Vec<Diagnosis>) {
    let (current, broken) = store.current();
    let mut failures: Vec<_> = broken.iter().map(crate::state::StateError::diagnosis).collect();
    let Some(current) = current else {
        // The note is there and cannot be used: there was a run, of which no more is known.
        if broken.is_some()
            && let Err(error) = processes::clear_leftovers(owner)
        {
            failures.push(explain::of_io(&error, format!("cannot end what a killed run left: {error}")));
        }
        return (None, failures);
    };
    let left = processes::clear_leftovers(owner);
    failures.extend(remove_temporary(&current).err());
    failures.extend(store.clear_current().err().map(|error| error.diagnosis()));
    let noted = store.report(&current.run).and_then(|report| {
        report.map_or(Ok(()), |report| {
            store.save_report(&crate::report::RunReport { outcome: Outcome::Interrupted, ..report })
        })
    });
    failures.extend(noted.err().map(|error| error.diagnosis()));
    (Some(explain::killed(&current.run, current.process, left)), failures)
}

fn remove_temporary(current: &Current) -> Result<(), Diagnosis> {
    let path = &current.temporary;
    if !(path.is_absolute() && is_ours(path)) {
        return Ok(());
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(explain::of_io(&error, format!("cannot remove {}, which a killed run left: {error}", path.display())))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn is_ours(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes()))
}
