//! A run by hand: projects, branches and the stages of their pipelines one by one, in the directories and with the tools
//! that a configuration names.

mod open_branch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::callbacks::GuardedSink;
use super::{Fetcher, FetcherError, RunSelection, empty_report, made, outcome};
use crate::bst::conf::has_quota;
use crate::cancel::Cancel;
use crate::diagnosis::Diagnosis;
use crate::free_space::FreeSpace;
use crate::git::{Git, GitError};
use crate::names::RunId;
use crate::project::Project;
use crate::report::{BranchReport, RunReport};
use crate::runner::{
    Exit, Invocation, LocalRunner, OutputStream, RunContext, Runner, RunnerError, Sandboxed, SpaceGuard, processes,
};
use crate::secret::Redact as _;
use crate::state::{CacheLayout, DirectoryLock, RunInProgress, StateError, StateStore};

pub use open_branch::{OpenBranch, OpenError};

/// The directories of a [`Fetcher`], held for work by hand ([`Fetcher::workspace`]). No other run gets at them until it is
/// dropped, and none of what a run does by itself is done: no upstream is asked beforehand, nobody is notified, nothing is
/// published or removed.
pub struct Workspace<'f> {
    fetcher: &'f Fetcher,
    runner: WorkspaceRunner<'f>,
    local: LocalRunner,
    store: StateStore,
    report: RunReport,
    temporary: tempfile::TempDir,
    /// Whose the caches are.
    layout: CacheLayout,
    /// Whose sourcedirs are in use.
    slots: Mutex<BTreeSet<usize>>,
    /// Held while `bst` runs, where a quota means one at a time.
    one_at_a_time: Option<Mutex<()>>,
    _locks: [Option<DirectoryLock>; 2],
}

impl std::fmt::Debug for Workspace<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspace").field("run", &self.report.run).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Takes the directories of the configuration for work by hand, a stage at a time.
    ///
    /// A program that leaves tracking out and has a stage of its own:
    ///
    /// ```no_run
    /// use fetcher_core::config::{Config, ProjectConfig};
    /// use fetcher_core::pipeline::ElementChoice;
    /// use fetcher_core::{Environment, Fetcher, Stage};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let environment = Environment::of_this_process();
    /// let project = ProjectConfig::new("https://gitlab.com/freedesktop-sdk/freedesktop-sdk.git")?;
    /// let fetcher = Fetcher::new(Config::new(&environment)?.project(project), environment);
    /// let workspace = fetcher.workspace()?;
    /// let mut reports = Vec::new();
    /// for project in workspace.projects()? {
    ///     for branch in project.fetch(&project.list()?.tips)?.branches {
    ///         let open = workspace.open(&branch)?;
    ///         let pipeline = open.pipeline();
    ///         let mut session = open.session(&pipeline, |event| println!("{event:?}"))?;
    ///         session.fetch(ElementChoice::Configured);
    ///         session.custom(Stage::custom("show")?, |session, report| {
    ///             report.failures.extend(session.bst(["show", "--deps", "all"])?.failures);
    ///             Ok(())
    ///         });
    ///         reports.push(open.report(session.finish()));
    ///     }
    /// }
    /// println!("{}", serde_json::to_string_pretty(&workspace.finish(reports)?)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When another run is under way, or the directories cannot be made and written.
    pub fn workspace(&self) -> Result<Workspace<'_>, FetcherError> {
        let (started, process) = (self.clock.now(), std::process::id());
        let run = RunId::new(started, process);
        let owner = made(&self.config.state_dir)?;
        let holder = format!("process {process}, since {}", started.strftime("%Y-%m-%d %H:%M:%S UTC"));
        let (locks, unended) = self.lock(&holder, RunSelection::all().lock_wait)?;
        let store = StateStore::new(&self.config.state_dir);
        // A run that was killed is told by the report of this one.
        let (killed, failures) = self.clear_killed(&store, owner.as_os_str());
        let temporary = self.temporary()?;
        store.set_current(&RunInProgress::new(run.clone(), process, temporary.path().to_owned()))?;
        let (usage, unread) = self.usage(started, true);
        let usage = Mutex::new(usage);
        let ignore = &mut |_| {};
        let (layout, untaken) = self.layout(false, &usage, &mut GuardedSink::new(ignore));
        let usage = usage.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut report = RunReport { configuration: self.configuration.clone(), ..empty_report(run, started) };
        let unsaved = usage.save();
        report.failures.extend(self.failures.iter().cloned().chain(killed).chain(unended).chain(failures));
        report.failures.extend(untaken);
        report.failures.extend(unread.iter().chain(&unsaved).map(StateError::diagnosis));
        report = report.redacted(&self.redactor);
        store.begin(&report)?;
        let local = LocalRunner::new(owner.as_os_str());
        let quota = self.config.projects.iter().any(|project| has_quota(&project.buildstream.config));
        Ok(Workspace {
            fetcher: self,
            runner: WorkspaceRunner {
                lent: self.runner.as_deref(),
                sandboxed: self.sandboxed(&local, temporary.path()),
                space: self.free_space(),
            },
            local,
            store,
            report,
            temporary,
            layout,
            slots: Mutex::default(),
            one_at_a_time: quota.then(Mutex::default),
            _locks: locks,
        })
    }
}

impl Workspace<'_> {
    /// The run's name, which its directory has too.
    pub fn run(&self) -> &RunId {
        &self.report.run
    }

    /// The run's directory, with the logs of all stages.
    pub fn run_directory(&self) -> PathBuf {
        self.store.run_directory(&self.report.run)
    }

    /// Why it was not whole what an earlier run left, and what else went wrong before anything was done.
    pub fn failures(&self) -> &[Diagnosis] {
        &self.report.failures
    }

    /// The projects of the configuration, in its order.
    ///
    /// # Errors
    /// When the address of one is none, or the file with its token cannot be read.
    pub fn projects(&self) -> Result<Vec<Project<'_>>, GitError> {
        let config = &self.fetcher.config;
        config
            .projects
            .iter()
            .map(|project| Project::new(project, &config.cache_dir, self.git(project.timeout)))
            .collect()
    }

    /// Git on this machine, for the caller's own ends.
    pub fn git(&self, timeout: std::time::Duration) -> Git<'_> {
        Git { context: self.context(), timeout, space: Some(&self.runner.space) }
    }

    /// What all that is done here shares.
    fn context(&self) -> RunContext<'_> {
        self.fetcher.context(&self.runner, &self.local)
    }

    /// Ends the run: writes its report, with those of the branches.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, branches: Vec<BranchReport>) -> Result<RunReport, FetcherError> {
        let fetcher = self.fetcher;
        let unconfined = fetcher.unconfined(&self.runner.sandboxed);
        self.report.failures.extend(unconfined.map(|warning| warning.redacted(&fetcher.redactor)));
        self.report.branches = branches.redacted(&fetcher.redactor);
        self.report.finished = Some(fetcher.clock.now());
        self.report.outcome = outcome(&self.report, fetcher.cancel.is_cancelled());
        self.store.save_report(&self.report)?;
        self.store.clear_current()?;
        Ok(self.report.clone())
    }
}

impl Drop for Workspace<'_> {
    fn drop(&mut self) {
        // What runs on after this was asked for by nobody; where it cannot be ended, or the note of the run not be removed,
        // the next run does that and tells.
        let owner = self.store.directory().canonicalize();
        let _ = owner.and_then(|owner| processes::clear_leftovers(owner.as_os_str()));
        let _ = self.store.clear_current();
    }
}

/// What runs `bst` in a workspace, and stops it where space runs short.
struct WorkspaceRunner<'f> {
    lent: Option<&'f dyn Runner>,
    sandboxed: Sandboxed<LocalRunner>,
    space: FreeSpace,
}

impl WorkspaceRunner<'_> {
    fn runner(&self) -> &dyn Runner {
        self.lent.unwrap_or(&self.sandboxed)
    }
}

impl Runner for WorkspaceRunner<'_> {
    fn run(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        SpaceGuard::new(self.runner(), &self.space).run(invocation, cancel, output)
    }

    fn hides_files(&self, invocation: &Invocation, cancel: &Cancel) -> bool {
        self.runner().hides_files(invocation, cancel)
    }

    fn is_local(&self) -> bool {
        self.runner().is_local()
    }

    fn confines_network(&self, invocation: &Invocation, cancel: &Cancel) -> bool {
        self.runner().confines_network(invocation, cancel)
    }
}

/// A sourcedir that nobody else uses.
struct SourceSlot<'w> {
    slots: &'w Mutex<BTreeSet<usize>>,
    number: usize,
}

impl<'w> SourceSlot<'w> {
    fn take(slots: &'w Mutex<BTreeSet<usize>>) -> Self {
        let mut taken = slots.lock().unwrap_or_else(PoisonError::into_inner);
        let number = (0..taken.len()).find(|number| !taken.contains(number)).unwrap_or(taken.len());
        taken.insert(number);
        Self { slots, number }
    }
}

impl Drop for SourceSlot<'_> {
    fn drop(&mut self) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
