//! The files of the memory between runs.
//!
//! ```text
//! state-dir/lock                                  see [`Lock`](super::Lock)
//! state-dir/current.json                          the run under way; left by one that was killed
//! state-dir/branches/PROJECT/BRANCH.json          a [`BranchState`]; `~.json` for the project itself
//! state-dir/publish/PROJECT/BRANCH.json  what was published of a branch
//! state-dir/elements/PROJECT/BRANCH/VARIANT.json  an [`ElementMemory`]; `~.json` where there are no option sets
//! state-dir/tracking/PROJECT.json                 what tracking a project's elements found, for `pipeline`
//! state-dir/run.new, run.old                      a run's directory that is being made or removed
//! state-dir/runs/RUN/report.json                  a [`RunReport`]
//! state-dir/runs/RUN/PROJECT/BRANCH/…             the logs of its stages
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BranchState, ElementMemory};
use crate::json_file::{JsonFile, StateError, StoredJson};
use crate::names::{BranchName, ProjectBranch, ProjectName, RunId, VariantName};
use crate::report::RunReport;

/// The report in a run's directory.
const REPORT: &str = "report.json";

impl StoredJson for BranchState {
    const VERSION: u32 = BranchState::VERSION;
    const WHAT: &'static str = "state of a branch";
}

impl StoredJson for RunReport {
    const VERSION: u32 = RunReport::VERSION;
    const WHAT: &'static str = "report of a run";
}

impl StoredJson for RunInProgress {
    const VERSION: u32 = 1;
    const WHAT: &'static str = "note of the run under way";
}

/// The run under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RunInProgress {
    #[serde(default)]
    version: u32,
    pub(crate) run: RunId,
    pub(crate) process: u32,
    /// What has to be removed once nothing of that run is left.
    pub(crate) temporary: PathBuf,
}

impl RunInProgress {
    pub(crate) fn new(run: RunId, process: u32, temporary: PathBuf) -> Self {
        Self { version: Self::VERSION, run, process, temporary }
    }
}

/// A state directory.
#[derive(Debug, Clone)]
pub struct StateStore {
    directory: PathBuf,
}

impl StateStore {
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
        self.branch_file(project, branch).read()
    }

    /// Writes what is known of a branch, whole and to the disk.
    ///
    /// # Errors
    /// When it cannot be written, or what is there is broken or from a newer release; the file is then what it was.
    pub fn save(&self, state: &BranchState) -> Result<(), StateError> {
        self.branch_file(&state.project, state.branch.as_ref()).save(state)
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
        self.elements_file(project, branch, variant).read()
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
        self.elements_file(project, branch, variant).save(memory)
    }

    fn elements_file(
        &self,
        project: &ProjectName,
        branch: &BranchName,
        variant: Option<&VariantName>,
    ) -> JsonFile<ElementMemory> {
        // No option set is called `~`.
        let variant = variant.map_or("~", VariantName::as_str);
        JsonFile::at(self.elements_directory(project, branch).join(format!("{variant}.json")))
    }

    /// Where it is remembered what was published of a branch.
    pub(crate) fn publish_path(&self, project: &ProjectName, branch: &BranchName) -> PathBuf {
        self.file_of("publish", ProjectBranch::new(project, branch))
    }

    fn elements_directory(&self, project: &ProjectName, branch: &BranchName) -> PathBuf {
        self.directory.join("elements").join(ProjectBranch::new(project, branch).path())
    }

    /// Where it is kept what tracking a project's elements found.
    pub(crate) fn tracking_path(&self, project: &ProjectName) -> PathBuf {
        self.directory.join("tracking").join(format!("{project}.json"))
    }

    /// Forgets a branch; without one what is known of the project itself.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget(&self, project: &ProjectName, branch: Option<&BranchName>) -> Result<(), StateError> {
        if let Some(branch) = branch {
            let directory = self.elements_directory(project, branch);
            gone(&directory).map_err(StateError::io("remove", &directory))?;
            remove_file(&self.publish_path(project, branch))?;
        } else {
            remove_file(&self.tracking_path(project))?;
        }
        remove_file(self.branch_file(project, branch).path())
    }

    /// Every branch of which something is known, by project and name. What cannot be read is left out: see
    /// [`read_branches`](Self::read_branches).
    pub fn branches(&self) -> Vec<BranchState> {
        self.read_branches().0
    }

    /// The same, with every file that cannot be read.
    pub fn read_branches(&self) -> (Vec<BranchState>, Vec<StateError>) {
        let (files, mut failures) = self.branch_files();
        let mut states = Vec::new();
        for file in files {
            match file.read() {
                Ok(state) => states.extend(state),
                Err(error) => failures.push(error),
            }
        }
        states.sort_by(|a, b| a.project_branch().cmp(&b.project_branch()));
        (states, failures)
    }

    /// Sets aside what is broken of the memory of branches, and brings times that a clock gave which was ahead back to
    /// `now`; gives all that is to be told. Only for who holds the [`DirectoryLock`](super::DirectoryLock).
    pub(crate) fn recover(&self, now: Timestamp) -> Vec<StateError> {
        let (files, mut failures) = self.branch_files();
        for file in files {
            let (state, failure) = file.load();
            failures.extend(failure);
            let Some(mut state) = state else { continue };
            if state.clamp(now) {
                failures.extend(file.save(&state).err());
            }
        }
        let (files, unlisted) = self.elements_files();
        failures.extend(unlisted);
        for file in files {
            let (memory, failure) = file.load();
            failures.extend(failure);
            let Some(mut memory) = memory else { continue };
            if memory.forget_future(now) {
                failures.extend(file.save(&memory).err());
            }
        }
        failures
    }

    fn elements_files(&self) -> (Vec<JsonFile<ElementMemory>>, Vec<StateError>) {
        let (mut files, mut failures) = (Vec::new(), Vec::new());
        let mut listed = |directory: &Path| entries(directory).unwrap_or_else(|error| drop_into(&mut failures, error));
        for project in listed(&self.directory.join("elements")) {
            for branch in listed(&project) {
                let all = listed(&branch).into_iter().filter(|path| path.extension().is_some_and(|end| end == "json"));
                files.extend(all.map(JsonFile::at));
            }
        }
        (files, failures)
    }

    fn branch_files(&self) -> (Vec<JsonFile<BranchState>>, Vec<StateError>) {
        let (mut files, mut failures) = (Vec::new(), Vec::new());
        let mut listed = |directory: &Path| entries(directory).unwrap_or_else(|error| drop_into(&mut failures, error));
        for project in listed(&self.directory.join("branches")) {
            // What was set aside, or put there by somebody, does not end in this.
            let states = listed(&project).into_iter().filter(|path| path.extension().is_some_and(|end| end == "json"));
            files.extend(states.map(JsonFile::at));
        }
        (files, failures)
    }

    /// The runs whose directories are there, by name: oldest first, as long as no clock was ahead.
    pub fn runs(&self) -> Vec<RunId> {
        // Where the directory cannot be read, no run can begin in it either, and that is told.
        let names = entries(&self.directory.join("runs")).unwrap_or_default().into_iter();
        let mut runs: Vec<RunId> = names.filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect();
        runs.sort();
        runs
    }

    /// The same, oldest first as far as can be known `now`: a run that began later than that did so while the clock was
    /// ahead, so that any other is taken for newer.
    pub fn runs_as_of(&self, now: Timestamp) -> Vec<RunId> {
        let mut runs = self.runs();
        runs.sort_by_cached_key(|run| (!run.is_after(now), run.clone()));
        runs
    }

    /// A run's report; none where it was killed before it wrote one.
    ///
    /// # Errors
    /// When the file cannot be read, or is not one.
    pub fn report(&self, run: &RunId) -> Result<Option<RunReport>, StateError> {
        JsonFile::at(self.report_path(run)).read()
    }

    /// Writes a run's report, whole and to the disk.
    ///
    /// # Errors
    /// When it cannot be written, or what is there is no such report; the file is then what it was.
    pub fn save_report(&self, report: &RunReport) -> Result<(), StateError> {
        JsonFile::at(self.report_path(&report.run)).save(report)
    }

    /// Makes a run's directory, which has its report in it from its first moment on; gives the directory. Only for who
    /// holds the [`DirectoryLock`](super::DirectoryLock).
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn begin(&self, report: &RunReport) -> Result<PathBuf, StateError> {
        let directory = self.run_directory(&report.run);
        let fresh = self.directory.join("run.new");
        let failed = |source| StateError::Io { action: "write", path: directory.clone(), source };
        // What a killed run left half made.
        gone(&fresh).map_err(failed)?;
        JsonFile::at(fresh.join(REPORT)).save(report)?;
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

    /// The run under way, or the one that was killed. Only for who holds the [`DirectoryLock`](super::DirectoryLock).
    pub(crate) fn current(&self) -> (Option<RunInProgress>, Option<StateError>) {
        let file = self.current_file();
        match file.load() {
            // Nobody runs now, so that it is of no use to the newer release either; and no run could begin.
            (None, Some(newer @ StateError::Newer { .. })) => (None, Some(file.set_aside(&newer))),
            loaded => loaded,
        }
    }

    pub(crate) fn set_current(&self, current: &RunInProgress) -> Result<(), StateError> {
        self.current_file().save(current)
    }

    pub(crate) fn clear_current(&self) -> Result<(), StateError> {
        remove_file(self.current_file().path())
    }

    fn current_file(&self) -> JsonFile<RunInProgress> {
        JsonFile::at(self.directory.join("current.json"))
    }

    fn branch_file(&self, project: &ProjectName, branch: Option<&BranchName>) -> JsonFile<BranchState> {
        JsonFile::at(self.file_of("branches", ProjectBranch::new(project, branch)))
    }

    fn file_of(&self, what: &str, of: ProjectBranch<'_>) -> PathBuf {
        self.directory.join(what).join(of.project().as_str()).join(of.slug() + ".json")
    }
}

/// What is in a directory, which need not be there, hidden files left out.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, StateError> {
    let failed = |source| StateError::Io { action: "read", path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let visible = |path: &PathBuf| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."));
    Ok(paths.into_iter().filter(visible).collect())
}

/// Notes what cannot be listed; nothing is in it then.
fn drop_into(failures: &mut Vec<StateError>, error: StateError) -> Vec<PathBuf> {
    failures.push(error);
    Vec::new()
}

/// Removes a file that need not be there.
fn remove_file(path: &Path) -> Result<(), StateError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StateError::io("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes a directory that need not be there.
fn gone(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::DoneElement;

    #[test]
    fn what_is_saved_is_found_again_and_garbage_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let store = StateStore::new(directory.path());
        let (project, branch): (ProjectName, BranchName) = ("p".parse().unwrap(), "a/b".parse().unwrap());
        assert_eq!(store.branch(&project, Some(&branch)).unwrap(), None);
        let state = BranchState::new(project.clone(), Some(branch.clone()));
        store.save(&state).unwrap();
        store.save(&BranchState::new(project.clone(), None)).unwrap();
        assert_eq!(store.branches().len(), 2);
        assert_eq!(store.branch(&project, Some(&branch)).unwrap(), Some(state));
        fs::write(directory.path().join("branches/p/a~b.json"), b"{").unwrap();
        let error = store.branch(&project, Some(&branch)).unwrap_err().to_string();
        assert!(error.contains("a~b.json") && error.contains("not a valid state of a branch"), "{error}");
        assert_eq!(store.branches().len(), 1);
        fs::write(directory.path().join("branches/file"), b"not a project's directory").unwrap();
        assert_eq!(store.read_branches().1.len(), 2);
        let told = store.recover(Timestamp::now());
        assert!(
            matches!(told[..], [StateError::SetAside { .. }, StateError::Io { .. }] | [_, StateError::SetAside { .. }]),
            "{told:?}"
        );
        assert_eq!(store.branch(&project, Some(&branch)).unwrap(), None);
        assert_eq!(fs::read(directory.path().join("branches/p/a~b.json.broken")).unwrap(), b"{");
        store.save(&BranchState::new(project, Some(branch))).unwrap();
        assert_eq!(store.branches().len(), 2);
    }

    #[test]
    fn a_state_of_version_1_is_read() {
        let text = r#"{ "version": 1, "project": "p", "branch": "main", "last-run": null, "last-success": null,
            "last-failure": null, "failing-since": null, "consecutive-failures": 0 }"#;
        let state: BranchState = serde_json::from_str(text).unwrap();
        assert_eq!(state, BranchState::new("p".parse().unwrap(), Some("main".parse().unwrap())));
    }

    #[test]
    fn what_a_clock_that_was_ahead_wrote_is_neither_newest_nor_later_than_now() {
        let directory = tempfile::tempdir().unwrap();
        let store = StateStore::new(directory.path());
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (ahead, now) = (at("2031-05-06T00:00:00Z"), at("2026-01-02T03:04:05Z"));
        for run in [ahead, at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z")] {
            fs::create_dir_all(store.run_directory(&RunId::new(run, 1))).unwrap();
        }
        assert_eq!(store.runs().pop(), Some(RunId::new(ahead, 1)));
        assert_eq!(store.runs_as_of(now).pop(), Some(RunId::new(at("2026-01-02T00:00:00Z"), 1)));
        assert_eq!(store.runs_as_of(now).remove(0), RunId::new(ahead, 1));
        assert_eq!(store.runs_as_of(ahead), store.runs());
        let mut state = BranchState::new("p".parse().unwrap(), None);
        let old = at("2025-12-31T00:00:00Z");
        (state.failing_since, state.last_failure, state.last_success) = (Some(ahead), Some(ahead), Some(old));
        let (project, branch) = (state.project.clone(), "b".parse().unwrap());
        let done = |name: &str, at| {
            (
                name.parse().unwrap(),
                DoneElement { inputs: "x".to_owned(), at, key: None, proved: None, fetched_by_client: None },
            )
        };
        let mut memory = ElementMemory { version: ElementMemory::VERSION, ..ElementMemory::default() };
        memory.committed.done = [done("old.bst", old), done("ahead.bst", ahead)].into();
        store.save_elements(&project, &branch, None, &memory).unwrap();
        store.save(&state).unwrap();
        assert!(store.recover(now).is_empty());
        let known = store.branch(&state.project, None).unwrap().unwrap();
        assert_eq!((known.failing_since, known.last_failure, known.last_success), (Some(now), Some(now), Some(old)));
        let known = store.elements(&project, &branch, None).unwrap().unwrap().committed.done;
        let known: Vec<_> = known.keys().map(ToString::to_string).collect();
        assert_eq!(known, ["old.bst"], "what is known to be fetched is known since when");
    }
}
