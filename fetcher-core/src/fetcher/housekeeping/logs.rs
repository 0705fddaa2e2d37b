//! A bound on the size of all runs' logs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Fetcher, HousekeepingResult};
use crate::names::RunId;
use crate::state::StateStore;

impl Fetcher {
    /// Removes the logs of the oldest runs beyond `keep-logs`; their reports stay. The newest run keeps all of its own.
    pub(super) fn old_logs(&self, store: &StateStore, under_way: Option<&RunId>, removed: &mut HousekeepingResult) {
        let runs = store.runs_as_of(self.clock.now());
        let mut kept = 0_u64;
        for (age, run) in runs.iter().rev().enumerate() {
            let directory = store.run_directory(run);
            let logs = match logs(&directory) {
                Ok(logs) => logs,
                // Somebody else removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    removed.unread(&directory, &error);
                    continue;
                }
            };
            kept = kept.saturating_add(logs.bytes);
            if age > 0 && Some(run) != under_way && kept > self.config.keep_logs {
                logs.paths.iter().for_each(|path| remove(path, removed));
            }
        }
    }
}

fn remove(path: &Path, removed: &mut HousekeepingResult) {
    let found = fs::symlink_metadata(path);
    let gone = found.and_then(|found| if found.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) });
    removed.note(path, gone);
}

/// What a run's directory has beside the report.
struct RunLogs {
    /// The files and directories at its top.
    paths: Vec<PathBuf>,
    bytes: u64,
}

fn logs(run: &Path) -> io::Result<RunLogs> {
    let mut logs = RunLogs { paths: Vec::new(), bytes: 0 };
    for entry in fs::read_dir(run)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with("report.json") {
            logs.bytes = logs.bytes.saturating_add(size(&entry)?);
            logs.paths.push(entry.path());
        }
    }
    Ok(logs)
}

fn size(entry: &fs::DirEntry) -> io::Result<u64> {
    let metadata = entry.metadata()?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut bytes = 0_u64;
    for entry in fs::read_dir(entry.path())? {
        bytes = bytes.saturating_add(size(&entry?)?);
    }
    Ok(bytes)
}
