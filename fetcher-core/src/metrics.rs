//! Metrics for Prometheus, as a textfile that its node exporter reads. `docs/metrics.md` lists them for users.
//!
//! The program ends after each run, so what Prometheus is to see as counters is kept in a file beside the state. Each
//! run of each branch is counted once, however often and whenever the metrics are written, also where the run that it
//! belongs to was killed before they were.

mod metrics_state;
mod render;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::atomic_file::write_atomic;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Location, Retry};
use crate::failure::is_full;
use crate::json_file::JsonFile;
use crate::report::RunReport;
use crate::state::{BranchState, StateError, StateStore};
use crate::upstream::RotMemory;
use metrics_state::MetricsState;

/// What the metrics are made from, and where they go.
#[derive(Debug, Clone, Copy)]
pub struct MetricsWriter<'a> {
    /// `metrics-file`: its directory has to be there, for it is the node exporter's.
    pub file: &'a Path,
    /// The memory between runs: for the reports of branches' runs that are not counted yet. Beside it the counters are
    /// kept, in `metrics.json`.
    pub store: &'a StateStore,
    /// The branches.
    pub states: &'a [BranchState],
    /// The run that goes on or has just ended. What is said of the last run is said when it has ended.
    pub report: &'a RunReport,
}

/// The metrics could not be written, or not everything is in them.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct MetricsError(#[from] MetricsErrorKind);

#[derive(Debug, Error)]
enum MetricsErrorKind {
    /// The textfile cannot be written.
    #[error("cannot write the metrics to {path:?}: {source}")]
    Write { path: PathBuf, source: io::Error },
    /// What was counted before, or a report that is to be counted, cannot be used.
    #[error("the metrics are not complete: {0}")]
    Memory(StateError),
}

impl MetricsError {
    /// The failure, explained: it is a matter of the fetching host, and of no branch.
    pub fn diagnosis(&self) -> Diagnosis {
        let (path, source) = match &self.0 {
            MetricsErrorKind::Memory(error) => return error.diagnosis().with_message(self.to_string()),
            MetricsErrorKind::Write { path, source } => (path, source),
        };
        let (kind, hint) = match source.kind() {
            _ if is_full(source) => (FailureKind::DiskFull, "Make room on the file's file system."),
            io::ErrorKind::NotFound => (
                FailureKind::Configuration,
                "Set fetcher.metrics-file to a file in the directory that the node exporter reads \
                 (its --collector.textfile.directory), and see that the directory is there.",
            ),
            _ => (FailureKind::Permission, "Make the directory writable for the user that runs bst-fetcher."),
        };
        let place = Location::of_file(path);
        Diagnosis::new(kind, self.to_string(), Retry::Yes, Actor::Host, hint).with_place(place)
    }
}

impl MetricsWriter<'_> {
    /// Writes the metrics, whole and renamed, readable for everybody.
    ///
    /// # Errors
    /// When the file or the memory of the counters cannot be written: nothing that was not counted yet is lost then. Also
    /// when something that was to be counted could not be read, which is set aside or left out; then they are written none
    /// the less.
    pub fn write(&self) -> Result<(), MetricsError> {
        write(self)
    }
}

fn write(metrics: &MetricsWriter) -> Result<(), MetricsError> {
    let kept = JsonFile::<MetricsState>::at(metrics.store.directory().join("metrics.json"));
    // Counters that are lost begin again at zero, which Prometheus knows how to take.
    let (memory, broken) = kept.load();
    let mut memory = memory.unwrap_or_default();
    let unread = memory.take_in(metrics.states, metrics.report, metrics.store);
    if let Err(error) = kept.save(&memory) {
        return Err(MetricsErrorKind::Memory(broken.unwrap_or(error)).into());
    }
    // What cannot be read is told by the run that is to change it.
    let rot = RotMemory::read(metrics.store.directory()).unwrap_or_default();
    let text = render::render(&memory, metrics.states, rot.findings().0);
    let path = metrics.file.to_owned();
    write_atomic(metrics.file, text.as_bytes()).map_err(|source| MetricsErrorKind::Write { path, source })?;
    broken.or(unread).map_or(Ok(()), |error| Err(MetricsErrorKind::Memory(error).into()))
}
