//! The files of the memory between runs.
//!
//! ```text
//! state-dir/lock                                  see [`Lock`](super::Lock)
//! state-dir/current.json                          the run under way; left by one that was killed
//! state-dir/branches/PROJECT/BRANCH.json          a [`BranchState`]; `~.json` for the project itself
//! state-dir/elements/PROJECT/BRANCH/VARIANT.json  an [`ElementMemory`]; `~.json` where there are no option sets
//! state-dir/run.new, run.old                      a run's directory that is being made or removed
//! state-dir/runs/RUN/report.json                  a [`RunReport`]
//! state-dir/runs/RUN/PROJECT/BRANCH/…             the logs of its stages
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{BranchState, ElementMemory};
use crate::names::{BranchName, ProjectName, RunId, VariantName};
use crate::report::RunReport;
use crate::whole::write_whole;

/// The report in a run's directory.
const REPORT: &str = "report.json";

/// A file of the memory that cannot be read or written.
#[derive(Debug, Error)]
pub enum StateError {
    /// It cannot be written or read.
    #[error("cannot {action} {path:?}: {source}")]
    Io {
        /// "write" or "read".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{path:?} is no {what} of this program: {source}; move it away")]
    Format {
        /// What it should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// The run under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Current {
    pub(crate) run: RunId,
    pub(crate) process: u32,
    /// What has to be removed once nothing of that run is left.
    pub(crate) temporary: PathBuf,
}

/// A state directory.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// The memory in a directory, which need not exist yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A run's directory.
    pub fn run_directory(&self, run: &RunId) -> PathBuf {
        self.directory.join("runs").join(run.as_str())
    }

    /// What is known of a branch (of the project itself, where there is none), if anything is.
    ///
    /// # Errors
    /// When the file cannot be read, or is not one.
    pub fn branch(
        &self,
        project: &ProjectName,
        branch: Option<&BranchName>,
    ) -> Result<Option<BranchState>, StateError> {
        read(&self.branch_path(project, branch), "state of a branch")
    }

    /// Writes what is known of a branch, whole.
    ///
    /// # Errors
    /// When it cannot be written; the file is then what it was.
    pub fn save(&self, state: &BranchState) -> Result<(), StateError> {
        write(&self.branch_path(&state.project, state.branch.as_ref()), state)
    }

    /// What is known of a branch's elements with an option set (with the project's options alone, where there is none).
    ///
    /// # Errors
    /// When the file cannot be read, or is not one.
    pub fn elements(
        &self,
        project: &ProjectName,
        branch: &BranchName,
        variant: Option<&VariantName>,
    ) -> Result<Option<ElementMemory>, StateError> {
        read(&self.elements_path(project, branch, variant), "memory of elements")
    }

    /// Writes what is known of a branch's elements, whole.
    ///
    /// # Errors
    /// When it cannot be written; the file is then what it was.
    pub fn save_elements(
        &self,
        project: &ProjectName,
        branch: &BranchName,
        variant: Option<&VariantName>,
        memory: &ElementMemory,
    ) -> Result<(), StateError> {
        write(&self.elements_path(project, branch, variant), memory)
    }

    fn elements_path(&self, project: &ProjectName, branch: &BranchName, variant: Option<&VariantName>) -> PathBuf {
        // No option set is called `~`.
        let variant = variant.map_or("~", VariantName::as_str);
        let directory = self.directory.join("elements").join(project.as_str()).join(branch.slug());
        directory.join(format!("{variant}.json"))
    }

    /// Forgets a branch.
    pub fn forget(&self, project: &ProjectName, branch: Option<&BranchName>) {
        let _ = fs::remove_file(self.branch_path(project, branch));
        if let Some(branch) = branch {
            let _ = fs::remove_dir_all(self.directory.join("elements").join(project.as_str()).join(branch.slug()));
        }
    }

    /// Every branch of which something is known, by project and name; files that cannot be read are passed over.
    pub fn branches(&self) -> Vec<BranchState> {
        let files = entries(&self.directory.join("branches")).into_iter().flat_map(|project| entries(&project));
        let mut states: Vec<BranchState> =
            files.filter_map(|path| read(&path, "state of a branch").ok().flatten()).collect();
        states.sort_by(|a, b| (&a.project, &a.branch).cmp(&(&b.project, &b.branch)));
        states
    }

    /// The runs whose directories are there, oldest first.
    pub fn runs(&self) -> Vec<RunId> {
        let names = entries(&self.directory.join("runs")).into_iter();
        let mut runs: Vec<RunId> = names.filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect();
        runs.sort();
        runs
    }

    /// A run's report; none where it was killed before it wrote one.
    ///
    /// # Errors
    /// When the file cannot be read, or is not one.
    pub fn report(&self, run: &RunId) -> Result<Option<RunReport>, StateError> {
        read(&self.report_path(run), "report of a run")
    }

    /// Writes a run's report, whole.
    ///
    /// # Errors
    /// When it cannot be written; the file is then what it was.
    pub fn save_report(&self, report: &RunReport) -> Result<(), StateError> {
        write(&self.report_path(&report.run), report)
    }

    /// Makes a run's directory, which has its report in it from its first moment on; gives the directory. Only for who
    /// holds the [`Lock`](super::Lock).
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn begin(&self, report: &RunReport) -> Result<PathBuf, StateError> {
        let directory = self.run_directory(&report.run);
        let fresh = self.directory.join("run.new");
        let failed = |source| StateError::Io { action: "write", path: directory.clone(), source };
        // What a killed run left half made.
        gone(&fresh).map_err(failed)?;
        write(&fresh.join(REPORT), report)?;
        let runs = directory.parent().map_or(Ok(()), fs::create_dir_all);
        runs.and_then(|()| fs::rename(&fresh, &directory)).and_then(|()| directory.canonicalize()).map_err(failed)
    }

    /// Removes a run's directory, from one moment to the next.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn forget_run(&self, run: &RunId) -> io::Result<()> {
        let fading = self.directory.join("run.old");
        gone(&fading)?;
        fs::rename(self.run_directory(run), &fading)?;
        gone(&fading)
    }

    /// Where a run's report is.
    pub(crate) fn report_path(&self, run: &RunId) -> PathBuf {
        self.run_directory(run).join(REPORT)
    }

    pub(crate) fn current(&self) -> Option<Current> {
        read(&self.directory.join("current.json"), "run").ok().flatten()
    }

    pub(crate) fn set_current(&self, current: &Current) -> Result<(), StateError> {
        write(&self.directory.join("current.json"), current)
    }

    pub(crate) fn clear_current(&self) {
        let _ = fs::remove_file(self.directory.join("current.json"));
    }

    fn branch_path(&self, project: &ProjectName, branch: Option<&BranchName>) -> PathBuf {
        // No branch's slug is `~` alone, for no branch is called `/`.
        let name = branch.map_or_else(|| "~".to_owned(), BranchName::slug);
        self.directory.join("branches").join(project.as_str()).join(name + ".json")
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let visible = |path: &PathBuf| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."));
    entries.flatten().map(|entry| entry.path()).filter(visible).collect()
}

/// Removes a directory that need not be there.
fn gone(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn read<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<Option<T>, StateError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::Io { action: "read", path: path.to_owned(), source }),
    };
    let parsed = serde_json::from_slice(&text);
    parsed.map(Some).map_err(|source| StateError::Format { what, path: path.to_owned(), source })
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), StateError> {
    let written = serde_json::to_vec_pretty(value).map_err(io::Error::from).and_then(|mut text| {
        text.push(b'\n');
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        write_whole(path, &text)
    });
    written.map_err(|source| StateError::Io { action: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_found_again_and_garbage_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path());
        let (project, branch): (ProjectName, BranchName) = ("p".parse().unwrap(), "a/b".parse().unwrap());
        assert_eq!(store.branch(&project, Some(&branch)).unwrap(), None);
        let state = BranchState::new(project.clone(), Some(branch.clone()));
        store.save(&state).unwrap();
        store.save(&BranchState::new(project.clone(), None)).unwrap();
        assert_eq!(store.branches().len(), 2);
        assert_eq!(store.branch(&project, Some(&branch)).unwrap(), Some(state));
        fs::write(directory.path().join("branches/p/a~b.json"), b"{").unwrap();
        let error = store.branch(&project, Some(&branch)).unwrap_err().to_string();
        assert!(error.contains("a~b.json") && error.contains("move it away"), "{error}");
        assert_eq!(store.branches().len(), 1);
    }

    #[test]
    fn a_state_of_version_1_is_read() {
        let text = r#"{ "version": 1, "project": "p", "branch": "main", "last-run": null, "last-success": null,
            "last-failure": null, "failing-since": null, "consecutive-failures": 0 }"#;
        let state: BranchState = serde_json::from_str(text).unwrap();
        assert_eq!(state, BranchState::new("p".parse().unwrap(), Some("main".parse().unwrap())));
    }
}
