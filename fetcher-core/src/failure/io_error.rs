//! What the operating system's errors on files are.

use std::io;

use super::FailureKind;

/// Whether there is no room for what was to be written.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl FailureKind {
    /// What kept a file from being read, written or removed, where its being there is not in question.
    pub(crate) fn of_io(error: &io::Error) -> Self {
        if is_full(error) { FailureKind::DiskFull } else { FailureKind::Permission }
    }
}
