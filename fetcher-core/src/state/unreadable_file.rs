//! What is told of a file of the memory that cannot be used.

use std::io;

use super::StateError;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Location, Retry};
use crate::failure::is_full;

impl StateError {
    /// The failure, explained: it is a matter of the fetching host, and of no branch.
    pub fn diagnosis(&self) -> Diagnosis {
        let (kind, retry, hint) = match self {
            StateError::Io { source, .. } if is_full(source) => {
                (FailureKind::DiskFull, Retry::Yes, "make space on the state directory's file system")
            }
            StateError::Io { source, .. } => match source.kind() {
                io::ErrorKind::ReadOnlyFilesystem => (
                    FailureKind::State,
                    Retry::No,
                    "the file system is read-only: see the system's log for errors of the disk",
                ),
                _ => (
                    FailureKind::State,
                    Retry::No,
                    "make the file readable and its directory writable for the user that runs bst-fetcher; until then \
                     nothing of it is remembered",
                ),
            },
            StateError::Format { .. } => (
                FailureKind::State,
                Retry::No,
                "the next run sets it aside and begins anew; restore it from a backup before",
            ),
            StateError::Newer { .. } => (
                FailureKind::State,
                Retry::No,
                "use the newer release again, or move the file away to begin anew without it",
            ),
            StateError::SetAside { .. } => (
                FailureKind::State,
                Retry::No,
                "see the system's log for errors of the disk; restore the file from a backup, or remove what was set aside",
            ),
        };
        let place = Location::of_file(self.path());
        Diagnosis::new(kind, self.to_string(), retry, Actor::Host, hint).with_place(place)
    }
}
