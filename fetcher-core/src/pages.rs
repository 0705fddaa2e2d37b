//! Status pages for a web server to serve: the branches, their runs and logs, a feed and a status for programs.
//!
//! The site is plain files: no script runs on it, nothing is loaded from elsewhere, and links are relative, so that it
//! may lie under any address. Pages are functions of reports and states; what is shown is masked, escaped and free of
//! control characters. Each file is written whole and renamed, pages before what links to them, so that nobody who
//! looks while it is made finds half a page or a link to nothing.

mod branch;
mod changes;
mod feed;
mod format;
mod index;
mod layout;
mod log;
mod log_preview;
mod plot;
mod publish;
mod run;
mod site;
mod site_view;
mod status;
mod text;
mod upstreams;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::clock::Clock;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Location, Retry};
use crate::failure::is_full;
use crate::names::RunId;
use crate::secret::Redactor;
use crate::state::{BranchState, StateStore};

/// What is to be published, and where.
///
/// ```
/// use std::time::Duration;
/// use fetcher_core::{Redactor, SystemClock, fetcher::{SitePublisher, StateStore}};
/// # let directory = tempfile::tempdir()?;
/// # let (site, state_dir) = (directory.path().join("site"), directory.path().join("state"));
/// let store = StateStore::new(state_dir);
/// let pages = SitePublisher {
///     directory: &site,
///     store: &store,
///     states: &store.branches(),
///     running: None,
///     base_url: Some("https://fetcher.example.org/"),
///     keep_runs: Duration::from_secs(30 * 24 * 3600),
///     keep_logs: 2 << 30,
///     redactor: &Redactor::default(),
///     clock: &SystemClock,
/// };
/// pages.publish()?;
/// assert!(site.join("index.html").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SitePublisher<'a> {
    /// `publish-dir`: the folder that a web server serves. It belongs to this alone: a folder that was begun by
    /// something else is refused.
    pub directory: &'a Path,
    /// The memory between runs, for the run directories with their reports and logs.
    pub store: &'a StateStore,
    /// The branches, in the order in which they are to be shown; those of one project after each other.
    pub states: &'a [BranchState],
    /// The run that goes on; of any other without an end it is said that it was killed.
    pub running: Option<&'a RunId>,
    /// `base-url`: where the folder is served; none where that is not known, and links are relative everywhere.
    pub base_url: Option<&'a str>,
    /// `keep-runs`: the pages of runs that started longer ago are removed.
    pub keep_runs: Duration,
    /// `keep-logs`, in bytes: the pages of the oldest runs whose logs would take more together are removed; those of the
    /// newest run stay.
    pub keep_logs: u64,
    /// Masks the secrets in everything that is shown.
    pub redactor: &'a Redactor,
    /// Where the present time comes from.
    pub clock: &'a dyn Clock,
}

/// What publishing did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct PublishedSite {
    /// The files that were written, in their order, relative to the folder.
    pub written: Vec<String>,
    /// How many files were already what they should be.
    pub unchanged: usize,
    /// How many files were removed.
    pub removed: usize,
    /// What could not be shown, read or removed, each told once.
    pub failures: Vec<Diagnosis>,
}

/// The site could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// There is something in the folder that is not ours and that pages would overwrite.
    #[error("{0:?} is not a page of ours: give publish-dir a folder of its own, or empty it")]
    Foreign(PathBuf),
    /// A file of ours could not be removed.
    #[error("cannot remove the status page {path:?}, which nothing links to any more: {source}")]
    Remove {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A file or directory could not be written.
    #[error("cannot write the status page {path:?}: {source}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

impl PublishError {
    /// The failure, explained: it is a matter of the fetching host, and of no branch.
    pub fn diagnosis(&self) -> Diagnosis {
        let (kind, path, hint) = match self {
            PublishError::Foreign(path) => {
                (FailureKind::Configuration, path, "Set fetcher.publish-dir to a folder that nothing else writes to.")
            }
            PublishError::Write { path, source } | PublishError::Remove { path, source } => {
                let hint = if is_full(source) {
                    "Make room on the file system of fetcher.publish-dir, or shorten keep-runs."
                } else {
                    "Make the folder readable and writable for the user that runs bst-fetcher, or set \
                     fetcher.publish-dir to one that is."
                };
                (FailureKind::of_io(source), path, hint)
            }
        };
        let place = Location::of_file(path);
        Diagnosis::new(kind, self.to_string(), Retry::Yes, Actor::Host, hint).with_place(place)
    }
}

impl SitePublisher<'_> {
    /// Brings the site up to date. What did not change is not written; runs that have pages are not read again.
    ///
    /// Two at once on one folder would get into each other's way: the caller sees to it that there is one.
    ///
    /// # Errors
    /// When the folder cannot be written or is somebody else's. What was written until then is whole and stays, and the
    /// next time goes on from there.
    pub fn publish(&self) -> Result<PublishedSite, PublishError> {
        publish::publish(self)
    }
}
