//! The facade: one whole run over all configured branches, what it remembers, the configuration that follows its git
//! repository, and the pages and metrics that come of it.

mod branch;
mod branch_work;
mod caches;
mod callbacks;
mod candidates;
mod error;
mod error_diagnoses;
mod git_diagnoses;
mod hints;
pub mod host;
mod housekeeping;
mod inventory;
mod leftovers;
mod listing;
pub mod mirrors;
mod notifications;
mod own_cache;
mod publish_failures;
mod publishing;
mod reasons;
mod republish;
mod run_outcome;
mod run_selection;
mod shared;
mod space;
mod tools;
mod tracked_publication;
mod upstreams;
pub mod verify;
mod workers;
mod workspace;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::cancel::Cancel;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::diagnosis::{Diagnosis, FailureKind};
use crate::environment::Environment;
use crate::free_space::FreeSpace;
use crate::names::RunId;
use crate::notify::Notifier;
use crate::publish::Forge;
use crate::report::{Activity, BranchReport, Event, Outcome, RunReport};
use crate::runner::{LocalRunner, RunContext, Runner, SandboxMechanism, Sandboxed, SpaceGuard};
use crate::secret::{Redact as _, Redactor, Secret};
use crate::state::{RunInProgress, UsageRegister};

use callbacks::{GuardedClock, GuardedSink};
use run_outcome::outcome;

pub use caches::SharedCaches;
pub use error::FetcherError;
pub use host::HostCheck;
pub use housekeeping::HousekeepingResult;
pub use run_selection::RunSelection;
pub use workspace::{OpenBranch, OpenError, Workspace};

pub use crate::links::{LogForm, PageAddress};
pub use crate::metrics::{MetricsError, MetricsWriter};
pub use crate::pages::{PublishError, PublishedSite, SitePublisher};
pub use crate::self_update::{
    CommitSummary, FollowResult, InitError, Initialized, LoadedConfig, SelfUpdate, UpdateError, ValidatedConfig,
    WorkTreeGuard,
};
pub use crate::state::{
    BranchRun, BranchState, CacheLayout, DirectoryLock, DoneElement, ElementMemory, FailedSources, LockError,
    RefsMemory, RememberedInventory, StateError, StateStore, TrustDirectories,
};
pub use crate::upload::{SiteUpload, UploadError, UploadResult};
pub use crate::upstream::RotMemory;

/// Runs everything that a configuration asks for.
///
/// ```no_run
/// use fetcher_core::{Config, Environment, Fetcher, RunSelection};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let environment = Environment::of_this_process();
/// let config = Config::load("config.toml", &environment)?;
/// let report = Fetcher::new(config, environment).run(&RunSelection::all(), &mut |event| println!("{event:?}"))?;
/// println!("{}", report.outcome);
/// # Ok(())
/// # }
/// ```
pub struct Fetcher {
    config: Config,
    environment: Environment,
    runner: Option<Box<dyn Runner>>,
    clock: GuardedClock,
    cancel: Cancel,
    redactor: Redactor,
    notifiers: Vec<Arc<dyn Notifier>>,
    forge: Option<Arc<dyn Forge>>,
    configuration: Option<String>,
    failures: Vec<Diagnosis>,
    sandbox_helper: Option<PathBuf>,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// A fetcher for a configuration. Children get a little of `environment`, by an allow-list.
    pub fn new(config: Config, environment: Environment) -> Self {
        let redactor = Redactor::watching(config.secrets(&environment));
        let clock = GuardedClock::new(SystemClock);
        Self {
            config,
            environment,
            runner: None,
            clock,
            cancel: Cancel::new(),
            redactor,
            notifiers: Vec::new(),
            forge: None,
            configuration: None,
            failures: Vec::new(),
            sandbox_helper: None,
        }
    }

    /// Names the program that is the sandbox's helper: this one, where its `main` calls
    /// [`helper_main`](crate::runner::helper_main) first of all. Without a helper bubblewrap sets no limits and leaves
    /// abstract sockets open, and where it does not work a thread of this program's confines itself with Landlock for each
    /// child: that does all but end what is left of a child when this program is killed.
    #[must_use]
    pub fn sandbox_helper(mut self, program: impl Into<PathBuf>) -> Self {
        self.sandbox_helper = Some(program.into());
        self
    }

    /// What runs every `bst` where no other runner was lent: this machine, in a sandbox.
    fn sandboxed(&self, local: &LocalRunner, temporary: &Path) -> Sandboxed<LocalRunner> {
        Sandboxed::new(local.clone(), temporary.join("sandbox")).helper(self.sandbox_helper.clone())
    }

    /// What all that a run does shares: `runner` runs every `bst`, and `local` what is no business of a project's.
    fn context<'c>(&'c self, runner: &'c dyn Runner, local: &'c LocalRunner) -> RunContext<'c> {
        RunContext::new(&self.environment, &self.cancel)
            .runner(runner)
            .local_runner(local)
            .clock(&self.clock)
            .redactor(&self.redactor)
    }

    /// Lets `runner` run every `bst` instead of a [`LocalRunner`] in a sandbox ([`Sandboxed`]). Git stays on this machine.
    #[must_use]
    pub fn runner(mut self, runner: impl Runner + 'static) -> Self {
        self.runner = Some(Box::new(runner));
        self
    }

    /// Tells `notifier` too, beside those that the configuration names.
    #[must_use]
    pub fn notifier(mut self, notifier: impl Notifier + 'static) -> Self {
        self.notifiers.push(Arc::new(notifier));
        self
    }

    /// Lets requests to merge go to this forge, instead of the one that a project's configuration means.
    #[must_use]
    pub fn forge(mut self, forge: impl Forge + 'static) -> Self {
        self.forge = Some(Arc::new(forge));
        self
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = GuardedClock::new(clock);
        self
    }

    /// Stops when `cancel` says so.
    #[must_use]
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Masks these secrets too, beside those of the configuration ([`Config::secrets`]): what an embedding program's own
    /// runner or notifier uses, say. Everything that a run writes or sends is masked: logs, reports, events, pages,
    /// messages.
    #[must_use]
    pub fn secrets(mut self, secrets: impl IntoIterator<Item = Secret>) -> Self {
        self.redactor = self.redactor.with(secrets);
        self
    }

    /// What masks the secrets, for what the caller itself writes.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Says where the configuration came from, and what went wrong on the way: every report has the commit, and the
    /// failures among its own.
    #[must_use]
    pub fn configured_by(mut self, commit: Option<String>, failures: Vec<Diagnosis>) -> Self {
        self.configuration = commit;
        self.failures = failures;
        self
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is known of every branch that the last run of any configuration on the same directories named, those of this
    /// configuration's projects first, in its order; and every file of the memory that cannot be read. It needs no lock.
    pub fn states(&self) -> (Vec<BranchState>, Vec<StateError>) {
        let directories = [&*self.config.state_dir, &*self.config.cache_dir];
        let (config, now) = (&self.config, self.clock.now());
        let (usage, mut failures) = UsageRegister::open(&directories, &config.path, config.keep_runs, now, false);
        let (states, unread) = StateStore::new(&config.state_dir).read_branches();
        failures.extend(unread);
        (self.current(states, &usage), failures)
    }

    /// Does one run: every selected branch of every selected project. `events` is called on this thread.
    ///
    /// A panic of what was lent to it (the runner, the clock, `events`) is a failure of the branch that was at work, and
    /// of the run where none was.
    ///
    /// # Errors
    /// When there was no run at all. A branch that fails is data in the report.
    pub fn run(&self, selection: &RunSelection, events: &mut dyn FnMut(Event)) -> Result<RunReport, FetcherError> {
        self.check(selection)?;
        let mut events = GuardedSink::new(events);
        let started = self.clock.now();
        let process = std::process::id();
        let run = RunId::new(started, process);
        let state_dir = made(&self.config.state_dir)?;
        made(&self.config.cache_dir)?;
        let holder = format!("process {process}, since {}", started.strftime("%Y-%m-%d %H:%M:%S UTC"));
        let ((_locks, unended), untold) = self.wait_for_lock(&holder, selection.lock_wait, &mut events)?;
        let store = StateStore::new(&self.config.state_dir);
        let (killed, failures) = self.clear_killed(&store, state_dir.as_os_str());
        let mut at_start: Vec<_> = killed.into_iter().chain(unended).chain(failures).chain(untold).collect();
        let temporary = self.temporary()?;
        store.set_current(&RunInProgress::new(run.clone(), process, temporary.path().to_owned()))?;
        let mut report = RunReport { configuration: self.configuration.clone(), ..empty_report(run, started) };
        let (usage, mut failures) = self.usage(started, !selection.dry_run);
        let usage = Mutex::new(usage);
        if !selection.dry_run {
            failures.extend(usage.lock().unwrap_or_else(PoisonError::into_inner).save());
            at_start.extend(store.recover(started).iter().chain(&failures).map(StateError::diagnosis));
        }
        report.failures.extend(self.failures.iter().chain(&at_start).cloned().map(|failure| self.masked(failure)));
        let directory = store.begin(&report)?;
        report.failures.extend(events.send(Event::RunStarted { run: report.run.clone(), directory }).err());
        let mut telling = Vec::new();
        if !selection.dry_run {
            let failures;
            (telling, failures) = self.tell_start(&report.run, &at_start);
            report.failures.extend(failures.into_iter().map(|failure| self.masked(failure)));
        }
        let local = LocalRunner::new(state_dir.as_os_str());
        let (sandboxed, space) = (self.sandboxed(&local, temporary.path()), self.free_space());
        let guard = SpaceGuard::new(self.runner.as_deref().unwrap_or(&sandboxed), &space);
        let context = self.context(&guard, &local);
        let mut unknown = None;
        match self.space(&store, &report.run, &usage) {
            Err(full) => report.failures.push(self.masked(full)),
            Ok(made) => {
                report.failures.extend(made.map(|made| self.masked(made)));
                let (layout, failures) = self.layout(selection.dry_run, &usage, &mut events);
                report.failures.extend(failures.into_iter().map(|failure| self.masked(failure)));
                let place = RunDirectories {
                    store: &store,
                    temporary: temporary.path(),
                    usage: &usage,
                    layout: &layout,
                    space: &space,
                    sandboxed: &sandboxed,
                };
                unknown = self.work(selection, context, place, &mut report, &mut events);
                if !selection.dry_run && !self.cancel.is_cancelled() {
                    let mut failures = Vec::new();
                    let sink = &mut |event: Event| failures.extend(events.send(event.redacted(&self.redactor)).err());
                    self.find_reasons(&mut report, context, temporary.path(), sink);
                    report.failures.extend(failures);
                    report = report.redacted(&self.redactor);
                }
            }
        }
        if !selection.dry_run && !self.cancel.is_cancelled() {
            report.failures.extend(events.tell(Activity::CleaningUp).err());
            report.failures.extend(self.gc(&store, Some(&report.run), &usage).failures);
        }
        report.finished = Some(self.clock.now());
        report.failures.extend(self.clock.take_failures());
        report.outcome = outcome(&report, self.cancel.is_cancelled());
        if selection.dry_run {
            store.forget_run(&report.run).map_err(StateError::io("remove", &store.run_directory(&report.run)))?;
        } else {
            store.save_report(&report)?;
            let untold = events.tell(Activity::Publishing).err();
            let mut failures = self.show(&store, &usage, &report, context, true);
            failures.extend(untold);
            // A server that does not answer now is not waited for twice.
            let uploads = failures.iter().all(|failure| failure.kind != FailureKind::Upload);
            self.add(&store, &mut report, failures)?;
            let untold = events.tell(Activity::Notifying).err();
            // Pages are there by now, so that links lead somewhere.
            let mut failures = match unknown {
                None => self.tell_end(&store, &notifications::told(&report, selection), selection.is_all(), telling),
                Some(_) => Vec::new(),
            };
            failures.extend(self.clock.take_failures().into_iter().chain(untold));
            if !failures.is_empty() {
                self.add(&store, &mut report, failures)?;
                self.show(&store, &usage, &report, context, uploads);
            }
        }
        drop(temporary);
        // Else the next run would say that this one was killed.
        store.clear_current()?;
        if let Some(name) = unknown {
            return Err(FetcherError::NoSuchBranch { name });
        }
        let is_nowhere =
            !report.branches.is_empty() && report.branches.iter().all(|branch| branch.outcome == Outcome::Skipped);
        if let Some(name) = selection.elements.first().filter(|_| is_nowhere) {
            return Err(FetcherError::NoSuchElement { name: name.clone() });
        }
        if let Err(failure) = events.send(Event::RunFinished(report.clone())) {
            self.add(&store, &mut report, vec![failure])?;
        }
        Ok(report)
    }

    /// Adds failures that showed after the work was done.
    fn add(&self, store: &StateStore, report: &mut RunReport, failures: Vec<Diagnosis>) -> Result<(), StateError> {
        if failures.is_empty() {
            return Ok(());
        }
        for failure in failures.into_iter().map(|failure| self.masked(failure)) {
            // The notifier that could not tell at the start may be the one that cannot at the end.
            if !report.failures.contains(&failure) {
                report.failures.push(failure);
            }
        }
        report.outcome = outcome(report, self.cancel.is_cancelled());
        store.save_report(report)
    }

    /// A failure as the report has it.
    fn masked(&self, failure: Diagnosis) -> Diagnosis {
        failure.redacted(&self.redactor)
    }

    fn check(&self, selection: &RunSelection) -> Result<(), FetcherError> {
        let known = || self.config.projects.iter().map(|project| project.name.as_str());
        match selection.projects.iter().find(|name| !known().any(|known| known == *name)) {
            None => Ok(()),
            Some(name) => {
                Err(FetcherError::NoSuchProject { name: name.clone(), known: known().map(str::to_owned).collect() })
            }
        }
    }

    /// Does the work; gives the name of a branch that was asked for and is nowhere.
    fn work(
        &self,
        selection: &RunSelection,
        context: RunContext<'_>,
        place: RunDirectories<'_>,
        report: &mut RunReport,
        events: &mut GuardedSink<'_>,
    ) -> Option<String> {
        let RunDirectories { store, temporary, usage, layout, space, sandboxed } = place;
        let tools = tools::RunTools::new(self, context, &store.run_directory(&report.run));
        let tools = if selection.force || selection.dry_run { tools } else { tools.remembering() };
        let all = workers::WorkerPool {
            fetcher: self,
            selection,
            store,
            temporary,
            usage,
            layout,
            context,
            space,
            tools,
            upstreams: upstreams::RunUpstreams::new(
                &self.config.probe,
                store,
                context,
                space,
                temporary.join("upstreams"),
            ),
            run: &report.run.clone(),
        };
        let order = all.run(&mut |message| match message {
            workers::WorkerMessage::Event(event) => events.send_of_branch(event.redacted(&self.redactor)),
            workers::WorkerMessage::Branch(branch) => {
                let mut branch = branch.redacted(&self.redactor);
                events.settle(&mut branch);
                if selection.elements.is_empty() {
                    let forgotten = self.remember(store, &report.run, &branch).err();
                    report.failures.extend(forgotten.map(|error| self.masked(error.diagnosis())));
                }
                report.branches.push(branch.clone());
                // A failure to write here will be told when the report is written for the last time.
                let _ = store.save_report(report);
                events.send_of_branch(Event::BranchFinished(branch));
                if let Some(branch) = report.branches.last_mut() {
                    events.settle(branch);
                }
            }
        });
        report.failures.extend(events.take_failures());
        report.failures.extend(self.unconfined(sandboxed).map(|warning| self.masked(warning)));
        let place = |branch: &BranchReport| order.iter().position(|known| known.borrowed() == branch.project_branch());
        report.branches.sort_by_key(place);
        if !selection.dry_run && !self.cancel.is_cancelled() {
            self.complete_hints(report, context, temporary, &all.tools);
        }
        if !selection.dry_run {
            let whole = selection.is_all() && !self.cancel.is_cancelled();
            let unsaved = all.upstreams.conclude(report, whole);
            let unsaved = unsaved.into_iter().chain(all.tools.conclude());
            report.failures.extend(unsaved.map(|error| self.masked(error.diagnosis())));
        }
        // Where a project's branches could not be found out, it may have been one of those.
        let known =
            |name: &&String| order.iter().any(|known| known.borrowed().branch().is_some_and(|b| b.as_str() == *name));
        let failed = report.branches.iter().any(|branch| branch.outcome != Outcome::Ok);
        selection.branches.iter().find(|name| !failed && !known(name)).cloned()
    }

    /// The warning that projects' code ran without a sandbox although one was wanted.
    fn unconfined(&self, sandboxed: &Sandboxed<LocalRunner>) -> Option<Diagnosis> {
        let report = sandboxed.found().filter(|report| report.mechanism == SandboxMechanism::None)?;
        (self.runner.is_none()).then(|| error_diagnoses::unconfined(report))
    }

    /// Enters what a run did into the memory of the branch.
    fn remember(&self, store: &StateStore, run: &RunId, branch: &BranchReport) -> Result<(), StateError> {
        if branch.outcome == Outcome::Skipped && branch.stages.is_empty() {
            return Ok(());
        }
        let known = store.branch(&branch.project, branch.branch.as_ref())?;
        let mut state = known.unwrap_or_else(|| BranchState::new(branch.project.clone(), branch.branch.clone()));
        state.record(run, branch, self.clock.now());
        store.save(&state)
    }
}

/// Where a run works.
#[derive(Clone, Copy)]
struct RunDirectories<'r> {
    store: &'r StateStore,
    temporary: &'r Path,
    usage: &'r Mutex<UsageRegister>,
    layout: &'r CacheLayout,
    /// What is to stay free there.
    space: &'r FreeSpace,
    /// What confines projects' code there, where no other runner was lent.
    sandboxed: &'r Sandboxed<LocalRunner>,
}

fn empty_report(run: RunId, started: Timestamp) -> RunReport {
    RunReport::new(run, notifications::host_name(), started)
}

fn made(path: &Path) -> Result<PathBuf, FetcherError> {
    let made = fs::create_dir_all(path).and_then(|()| path.canonicalize());
    made.map_err(|source| FetcherError::Directory { path: path.to_owned(), source })
}
