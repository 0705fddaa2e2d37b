//! Which `bst` a project gets: each is looked for, or made, once a run.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Fetcher, error_diagnoses};
use crate::bst::environment::{BstEnvironments, DEFAULT_REQUIREMENTS, EnvironmentSpec, InstalledBst};
use crate::bst::known_version::VersionMemory;
use crate::bst::version::{BstVersion, ProbeError};
use crate::bst::{Bst, child_environment, probe};
use crate::config::{BuildStreamConfig, BuildStreamTool, Config, ProjectConfig};
use crate::diagnosis::{Diagnosis, FailureKind};
use crate::json_file::StateError;
use crate::pipeline::log::StageLog;
use crate::runner::{RunContext, SandboxOptions, WithSandbox};

/// How long a program may take that is asked one question, where it is not bst.
pub(super) const QUESTION_TIMEOUT: Duration = Duration::from_secs(60);

/// The tools of one run.
pub(super) struct RunTools<'f> {
    fetcher: &'f Fetcher,
    context: RunContext<'f>,
    log: PathBuf,
    found: Mutex<Vec<KnownTool>>,
    /// What served before and serves again, held to the end of the run so that nobody removes it.
    last_good: Mutex<Vec<InstalledBst>>,
    /// What was answered before; none where it is to be asked anew.
    known: Option<VersionMemory>,
}

/// What was looked for, how it is confined, and what was found.
type KnownTool = (BuildStreamConfig, SandboxOptions, Result<ResolvedTool, Diagnosis>);

/// A `bst`, held if it is one of ours.
#[derive(Clone)]
struct ResolvedTool {
    bst: Bst,
    installed: Option<Arc<InstalledBst>>,
}

impl ResolvedTool {
    fn installed(installed: InstalledBst) -> Self {
        Self { bst: bst_of(&installed), installed: Some(Arc::new(installed)) }
    }
}

fn bst_of(installed: &InstalledBst) -> Bst {
    Bst { command: vec![installed.bst.clone().into()], version: installed.version }
}

impl<'f> RunTools<'f> {
    /// What installing packages says goes into a file of the run's directory.
    pub(super) fn new(fetcher: &'f Fetcher, context: RunContext<'f>, run_directory: &Path) -> Self {
        let log = run_directory.join("environment.log");
        Self { fetcher, context, log, found: Mutex::default(), last_good: Mutex::default(), known: None }
    }

    /// Asks no `bst` for its release that was asked before and is the same still; for whoever alone may write the state.
    pub(super) fn remembering(mut self) -> Self {
        let config = &self.fetcher.config;
        self.known = Some(VersionMemory::read(&config.state_dir, config.refresh_after));
        self
    }

    /// Writes down what was answered; gives what of it cannot be read or written.
    pub(super) fn conclude(self) -> Vec<StateError> {
        self.known.map(VersionMemory::conclude).unwrap_or_default()
    }

    /// The `bst` of a project, with what went wrong where it is not the one that is configured but the last that
    /// served. Who asks for one that is being made waits for it.
    pub(super) fn bst(&self, project: &ProjectConfig) -> Result<(Bst, Option<Diagnosis>), Diagnosis> {
        self.bst_telling(project, &mut || {})
    }

    /// The same; `installing` is called where it has to be installed first.
    pub(super) fn bst_telling(
        &self,
        project: &ProjectConfig,
        installing: &mut dyn FnMut(),
    ) -> Result<(Bst, Option<Diagnosis>), Diagnosis> {
        let directory = environments_directory(&self.fetcher.config);
        // It runs where the project's own code will.
        let runner = WithSandbox::new(self.context.runner, &project.sandbox);
        let context = self.context.runner(&runner);
        let passed = &project.buildstream.pass_environment;
        let environments = BstEnvironments::new(&directory, context, passed);
        let environments = environments.remembering(self.known.as_ref(), context.clock.now());
        match self.configured(project, &environments, context, installing) {
            Ok(ResolvedTool { bst, installed }) => {
                if let Some(installed) = installed {
                    // Without it a later failure has nothing to fall back on, which is no failure now.
                    let _ = environments.remember(&project.name, &installed);
                }
                Ok((bst, None))
            }
            Err(failure)
                if failure.kind == FailureKind::Interrupted
                    || matches!(project.buildstream.tool, BuildStreamTool::Command(_)) =>
            {
                Err(failure)
            }
            Err(mut failure) => {
                let Some(installed) = environments.last_good(&project.name) else { return Err(failure) };
                let bst = bst_of(&installed);
                self.last_good.lock().unwrap_or_else(PoisonError::into_inner).push(installed);
                let serves = format!("\nthe environment that served last serves again, with bst {}", bst.version);
                failure.message.push_str(&serves);
                Ok((bst, Some(failure)))
            }
        }
    }

    fn configured(
        &self,
        project: &ProjectConfig,
        environments: &BstEnvironments<'_>,
        context: RunContext<'_>,
        installing: &mut dyn FnMut(),
    ) -> Result<ResolvedTool, Diagnosis> {
        let (wanted, sandbox) = (&project.buildstream, &project.sandbox);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let same =
            |known: &BuildStreamConfig| known.tool == wanted.tool && known.pass_environment == wanted.pass_environment;
        if let Some((_, _, found)) = found.iter().find(|(known, confined, _)| same(known) && confined == sandbox) {
            return found.clone();
        }
        let bst = self.find(wanted, environments, context, installing);
        found.push((wanted.clone(), sandbox.clone(), bst.clone()));
        bst
    }

    fn find(
        &self,
        wanted: &BuildStreamConfig,
        environments: &BstEnvironments<'_>,
        context: RunContext<'_>,
        installing: &mut dyn FnMut(),
    ) -> Result<ResolvedTool, Diagnosis> {
        let environment = child_environment(context.environment, &wanted.pass_environment);
        let (requirements, python, directory) = match &wanted.tool {
            BuildStreamTool::Command(command) => {
                let command: Vec<OsString> = command.iter().map(OsString::from).collect();
                let version =
                    self.probe(&command, &environment, context).map_err(|error| error_diagnoses::no_bst(&error))?;
                return Ok(ResolvedTool { bst: Bst { command, version }, installed: None });
            }
            BuildStreamTool::Requirements { requirements, python, directory } => {
                (requirements.as_str(), python, directory)
            }
            BuildStreamTool::Default { python } => {
                let command = vec![OsString::from("bst")];
                if let Ok(version) = self.probe(&command, &environment, context) {
                    let bst = Bst { command, version };
                    if self.can_start(&bst, environment, context) {
                        return Ok(ResolvedTool { bst, installed: None });
                    }
                }
                (DEFAULT_REQUIREMENTS, python, &self.fetcher.config.cache_dir)
            }
        };
        // Without a log it is made all the same; what matters of pip's words is in the failure.
        let mut log = StageLog::open(&self.log, context.redactor).unwrap_or_else(|_| StageLog::none());
        let recipe = EnvironmentSpec { requirements, directory, python };
        let installed = environments.ensure_telling(recipe, installing, &mut |bytes| log.write(bytes));
        installed.map(ResolvedTool::installed).map_err(|error| error_diagnoses::environment(&error))
    }

    fn probe(
        &self,
        command: &[OsString],
        environment: &BTreeMap<OsString, OsString>,
        context: RunContext<'_>,
    ) -> Result<BstVersion, ProbeError> {
        let directory = &self.fetcher.config.cache_dir;
        let ask = || BstVersion::probe(command, directory, environment.clone(), context);
        match &self.known {
            Some(known) => known.version(command, environment, context.clock.now(), ask),
            None => ask(),
        }
    }

    /// Whether a `bst` that is there can do more than tell its version. Where there is bubblewrap that is taken for
    /// granted, for trying it takes a second.
    fn can_start(&self, bst: &Bst, environment: BTreeMap<OsString, OsString>, context: RunContext<'_>) -> bool {
        let path = environment.get(OsStr::new("PATH"));
        if path.is_some_and(|path| std::env::split_paths(path).any(|directory| directory.join("bwrap").is_file())) {
            return true;
        }
        // What cannot be tried is not relied on: then an environment is made, and what is wrong with that is told.
        let Ok(place) = self.fetcher.temporary() else { return false };
        probe::starts(bst, place.path(), environment, context).unwrap_or(false)
    }
}

/// Where managed environments are.
pub(super) fn environments_directory(config: &Config) -> PathBuf {
    config.cache_dir.join("environments")
}
