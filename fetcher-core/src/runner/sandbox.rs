//! A sandbox round children that run a project's code.
//!
//! A project brings plugins, which are programs of strangers that run here. [`Sandboxed`] lets another runner run children
//! so that they see the system's programs and libraries, what their [`ChildAccess`](super::ChildAccess) says and what
//! their command needs, and nothing else of this machine: with bubblewrap where that works, else with Landlock. What a
//! process has to do to itself the helper does, which is a program that is started anew, or else a thread of this one.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::confinement::ThreadConfinement;
use super::sandbox_options::SandboxMode;
use super::trace::traced;
use super::{ChildNetwork, Exit, Invocation, OutputStream, Runner, RunnerError, output};
use crate::atomic_file::write_atomic;
use crate::cancel::Cancel;
use crate::names::digest;

mod bubblewrap;
mod helper;
mod landlock;
mod layout;
mod reasons;
mod relay;
mod tool;

use bubblewrap::{Bubblewrap, ProcMount};
use helper::HelperTask;
use landlock::FileRules;
use layout::Layout;
use relay::RelayTask;

pub use helper::helper_main;
pub use tool::{find_program, tool_paths};

/// Programs that run their command elsewhere: what they show it is theirs to say.
const RUNS_ELSEWHERE: [&str; 7] = ["podman", "docker", "nerdctl", "toolbox", "distrobox", "flatpak-spawn", "ssh"];
/// How long a sandbox may take that is tried.
const TRY_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of what it says then is kept.
const TRY_OUTPUT: usize = 4096;

/// Runs children by another runner, confined.
///
/// ```
/// use fetcher_core::runner::{SandboxMechanism, Sandboxed, output};
/// use fetcher_core::{Cancel, Invocation, LocalRunner};
///
/// let directory = tempfile::tempdir()?;
/// let secret = directory.path().join("secret");
/// std::fs::write(&secret, "not for strangers")?;
/// let runner = Sandboxed::new(LocalRunner::default(), directory.path().join("sandbox"));
/// let environment = [("PATH".into(), "/usr/bin:/bin".into())].into();
/// let invocation = Invocation::new(["cat".into(), secret.into_os_string()], "/").environment(environment);
/// let said = output(&runner, &invocation, &Cancel::new(), 1000)?;
/// let report = runner.found().expect("it was looked for");
/// println!("{}: {}", report.mechanism, said.stdout.text());
/// assert!(report.mechanism == SandboxMechanism::None || !said.stdout.text().contains("strangers"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sandboxed<R> {
    runner: R,
    directory: PathBuf,
    helper: Option<PathBuf>,
    found: OnceLock<SandboxReport>,
    /// Whether children can have a network of their own.
    network: OnceLock<bool>,
}

/// What confines children on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SandboxMechanism {
    /// bubblewrap: namespaces of their own.
    Bubblewrap {
        /// Whether they have a `/proc` of their own; else the host's, of which they can read names and command lines.
        own_proc: bool,
        /// Whether the helper is in it too, which sets limits and closes abstract sockets with Landlock.
        helper: bool,
    },
    /// Landlock alone, with the helper.
    Landlock,
    /// Landlock alone, set by a thread of this program's, where there is no helper.
    LandlockByThread,
    /// Nothing.
    None,
}

/// What confines children, and why not something better.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SandboxReport {
    /// What does.
    pub mechanism: SandboxMechanism,
    /// What was tried before and does not work here, with the reasons.
    pub failed: Vec<String>,
}

impl SandboxReport {
    /// What is not covered, in words; empty where everything is.
    pub fn gaps(&self) -> &'static str {
        match self.mechanism {
            SandboxMechanism::Bubblewrap { own_proc: true, helper: true } => "",
            SandboxMechanism::Bubblewrap { own_proc: false, helper: true } => {
                "other processes' names and command lines can be read"
            }
            SandboxMechanism::Bubblewrap { helper: false, .. } => {
                "abstract sockets can be reached, and limits are not set"
            }
            SandboxMechanism::Landlock => {
                "names of files and other processes' command lines can be read, sockets with a path reached, and modes of hidden \
                 files changed"
            }
            SandboxMechanism::LandlockByThread => {
                "names of files and other processes' command lines can be read, sockets with a path reached, and modes of hidden \
                 files changed; if this program is killed, what has no mark of its is left behind"
            }
            SandboxMechanism::None => "everything that this user may do",
        }
    }
}

impl fmt::Display for SandboxMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SandboxMechanism::Bubblewrap { own_proc: true, helper: true } => "bubblewrap and Landlock",
            SandboxMechanism::Bubblewrap { own_proc: false, helper: true } => {
                "bubblewrap and Landlock, with the host's /proc"
            }
            SandboxMechanism::Bubblewrap { own_proc: true, helper: false } => "bubblewrap",
            SandboxMechanism::Bubblewrap { own_proc: false, helper: false } => "bubblewrap, with the host's /proc",
            SandboxMechanism::Landlock => "Landlock",
            SandboxMechanism::LandlockByThread => "Landlock, set by a thread",
            SandboxMechanism::None => "no sandbox",
        })
    }
}

impl<R: Runner> Sandboxed<R> {
    /// Confines what `runner` runs. `directory` is for a few small files that children are shown; nothing that is confined
    /// may write there.
    pub fn new(runner: R, directory: impl Into<PathBuf>) -> Self {
        Self { runner, directory: directory.into(), helper: None, found: OnceLock::new(), network: OnceLock::new() }
    }

    /// Names the program that calls [`helper_main`]. Without it bubblewrap sets no limits, and leaves abstract sockets open;
    /// and Landlock alone is set by a thread of this program's, if the runner [is local](Runner::is_local).
    #[must_use]
    pub fn helper(mut self, program: Option<PathBuf>) -> Self {
        self.helper = program;
        self
    }

    /// What confines children on this machine, which is tried once. `search` is where programs are looked for.
    pub fn report(&self, search: Option<&OsStr>, cancel: &Cancel) -> &SandboxReport {
        self.found.get_or_init(|| self.look(search, cancel))
    }

    /// The same where something was confined, or was to be.
    pub fn found(&self) -> Option<&SandboxReport> {
        self.found.get()
    }

    /// Tries one mechanism after another.
    fn look(&self, search: Option<&OsStr>, cancel: &Cancel) -> SandboxReport {
        let mut failed = Vec::new();
        for mechanism in self.candidates() {
            if matches!(mechanism, SandboxMechanism::Bubblewrap { .. })
                && find_program(OsStr::new("bwrap"), search).is_none()
            {
                let missing = "bubblewrap: bwrap is not in PATH".to_owned();
                if !failed.contains(&missing) {
                    failed.push(missing);
                }
                continue;
            }
            match self.attempt(mechanism, ChildNetwork::Host, search, cancel) {
                Ok(()) => return SandboxReport { mechanism, failed },
                Err(reason) => failed.push(format!("{mechanism}: {}", reasons::explained(&reason))),
            }
        }
        SandboxReport { mechanism: SandboxMechanism::None, failed }
    }

    fn candidates(&self) -> Vec<SandboxMechanism> {
        let helper = self.helper.is_some();
        let bubblewrap = |own_proc, helper| SandboxMechanism::Bubblewrap { own_proc, helper };
        let mut all = vec![bubblewrap(true, helper), bubblewrap(false, helper)];
        if helper {
            all.extend([bubblewrap(true, false), SandboxMechanism::Landlock]);
        } else if self.runner.is_local() {
            all.push(SandboxMechanism::LandlockByThread);
        }
        all
    }

    /// Whether a child can be run so.
    fn attempt(
        &self,
        mechanism: SandboxMechanism,
        network: ChildNetwork,
        search: Option<&OsStr>,
        cancel: &Cancel,
    ) -> Result<(), String> {
        let mut invocation = Invocation::new(["true"], "/").timeout(TRY_TIMEOUT);
        invocation.network = network;
        invocation.environment.extend(search.map(|search| ("PATH".into(), search.to_owned())));
        let wrapped = self.wrapped(&invocation, mechanism).map_err(|error| error.to_string())?;
        let said = output(&self.runner, &wrapped, cancel, TRY_OUTPUT).map_err(|error| error.to_string())?;
        let text = said.stdout.text();
        match (said.exit, text.trim()) {
            (Exit::Status(0), _) => Ok(()),
            (exit, "") => Err(format!("it ended with {exit:?}")),
            (_, text) => Err(text.to_owned()),
        }
    }

    /// The invocation of what confines a child of this invocation.
    fn wrapped(&self, invocation: &Invocation, mechanism: SandboxMechanism) -> Result<Invocation, RunnerError> {
        let search = invocation.environment.get(OsStr::new("PATH")).map(OsString::as_os_str);
        let name = invocation.command.first().map_or(OsStr::new(""), OsString::as_os_str);
        let start =
            |source| RunnerError::Start { program: name.to_owned(), directory: invocation.directory.clone(), source };
        let program = find_program(name, search).filter(|program| program.exists()).ok_or_else(|| {
            let text = format!("it is looked for in PATH={search:?}");
            start(io::Error::new(io::ErrorKind::NotFound, text))
        })?;
        let missing = |path: PathBuf| {
            let reason = format!("{} is to be shown in it, and is not there", path.display());
            RunnerError::Sandbox { reason }
        };
        let mut confined = invocation.clone();
        if let Some(home) = invocation.access.home.as_ref().filter(|_| mechanism != SandboxMechanism::None) {
            confined.environment.insert("HOME".into(), home.into());
        }
        let invocation = &confined;
        let layout = Layout::of(invocation).map_err(missing)?;
        let relay = match &invocation.network {
            ChildNetwork::Host => None,
            ChildNetwork::Relayed(socket) => Some(RelayTask { socket: socket.clone() }),
        };
        if relay.is_some() && !has_networks(mechanism) {
            let reason = format!("{mechanism} gives a child no network of its own");
            return Err(RunnerError::Sandbox { reason });
        }
        let task = HelperTask {
            supervise_for: None,
            relay,
            relays: false,
            files: None,
            max_processes: invocation.sandbox.max_processes,
            max_file_size: invocation.sandbox.max_file_size,
            max_memory: invocation.sandbox.max_memory,
        };
        let mut confinement = None;
        let command = match mechanism {
            SandboxMechanism::Bubblewrap { own_proc, helper } => {
                let bwrap = find_program(OsStr::new("bwrap"), search).ok_or_else(|| {
                    let text = "bwrap is not in PATH; install bubblewrap (Debian and Fedora: bubblewrap)";
                    RunnerError::Sandbox { reason: text.to_owned() }
                })?;
                let accounts = self.accounts(invocation).map_err(start)?;
                let arguments = task.arguments().map_err(start)?;
                let helper = self.helper.as_deref().filter(|_| helper).map(|helper| (helper, &arguments[..]));
                let proc = if own_proc { ProcMount::Own } else { ProcMount::Host };
                let accounts = accounts.each_ref().map(PathBuf::as_path);
                Bubblewrap { program: &bwrap, proc, accounts, helper }.command(invocation, &program, &layout)
            }
            SandboxMechanism::Landlock => {
                let helper = self.helper.as_deref().ok_or_else(|| RunnerError::Sandbox {
                    reason: "Landlock takes a helper, and there is none".to_owned(),
                })?;
                let parent = rustix::process::getpid().as_raw_pid();
                let task = HelperTask { supervise_for: Some(parent), files: Some(FileRules::of(&layout)), ..task };
                let mut words = vec![helper.into()];
                words.extend(task.arguments().map_err(start)?);
                words.push(program.into());
                words.extend(invocation.command.iter().skip(1).cloned());
                words
            }
            SandboxMechanism::LandlockByThread => {
                let rules = FileRules::of(&layout);
                let rest = Arc::new(move || helper::confine_to(Some(&rules)));
                let limits = task.limits();
                confinement = Some(ThreadConfinement { signals: landlock::confine_signals, rest, limits });
                let mut words = vec![program.into()];
                words.extend(invocation.command.iter().skip(1).cloned());
                words
            }
            SandboxMechanism::None => invocation.command.clone(),
        };
        let is_inside = matches!(mechanism, SandboxMechanism::Bubblewrap { .. });
        Ok(Invocation { command, is_inside, confinement, is_traced: true, ..invocation.clone() })
    }

    /// A small list of users, with the home that the environment names, and of groups.
    fn accounts(&self, invocation: &Invocation) -> io::Result<[PathBuf; 2]> {
        let of = |name: &str, fallback: &str| {
            let value =
                invocation.environment.get(OsStr::new(name)).map_or(fallback.into(), |value| value.to_string_lossy());
            value.replace([':', '\n'], "_")
        };
        let (home, name) = (of("HOME", bubblewrap::NO_HOME), of("USER", "user"));
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let users =
            format!("{name}:x:{user}:{group}:{name}:{home}:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n");
        let groups = format!("{name}:x:{group}:\nnogroup:x:65534:\n");
        fs::create_dir_all(&self.directory)?;
        let write = |text: &str| -> io::Result<PathBuf> {
            let path = self.directory.join(&digest(text.as_bytes())[..20]);
            if !path.exists() {
                write_atomic(&path, text.as_bytes())?;
            }
            Ok(path)
        };
        Ok([write(&users)?, write(&groups)?])
    }
}

impl<R: Runner> Runner for Sandboxed<R> {
    fn run(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        let required = invocation.sandbox.mode == SandboxMode::Required;
        if invocation.sandbox.mode == SandboxMode::Off {
            return self.runner.run(invocation, cancel, output);
        }
        if let Some(program) = runs_elsewhere(invocation) {
            if required {
                let reason = format!("{program} runs its command where no sandbox of this program's reaches it");
                return Err(RunnerError::Sandbox { reason });
            }
            return self.runner.run(invocation, cancel, output);
        }
        if cancel.is_cancelled() {
            return Ok(Exit::Cancelled);
        }
        let search = invocation.environment.get(OsStr::new("PATH")).map(OsString::as_os_str);
        let report = self.report(search, cancel);
        let limited =
            [invocation.sandbox.max_processes, invocation.sandbox.max_file_size, invocation.sandbox.max_memory];
        let unlimited =
            matches!(report.mechanism, SandboxMechanism::Bubblewrap { helper: false, .. } | SandboxMechanism::None);
        if required && report.mechanism == SandboxMechanism::None {
            return Err(RunnerError::Sandbox { reason: report.failed.join("; ") });
        }
        if required && unlimited && limited != [0; 3] {
            let reason = format!("{} without a helper sets no limits", report.mechanism);
            return Err(RunnerError::Sandbox { reason });
        }
        let wrapped = self.wrapped(invocation, report.mechanism)?;
        traced(invocation, || {
            Ok(match self.runner.run(&wrapped, cancel, output)? {
                // Both bubblewrap and the helper end as a shell does whose child was ended by a signal.
                Exit::Status(status) if (129..=192).contains(&status) && is_wrapped(report.mechanism) => {
                    Exit::Signal(status - 128)
                }
                exit => exit,
            })
        })
    }

    fn hides_files(&self, invocation: &Invocation, cancel: &Cancel) -> bool {
        if invocation.sandbox.mode == SandboxMode::Off || runs_elsewhere(invocation).is_some() {
            return false;
        }
        let search = invocation.environment.get(OsStr::new("PATH")).map(OsString::as_os_str);
        self.report(search, cancel).mechanism != SandboxMechanism::None
    }

    fn is_local(&self) -> bool {
        self.runner.is_local()
    }

    fn confines_network(&self, invocation: &Invocation, cancel: &Cancel) -> bool {
        if invocation.sandbox.mode == SandboxMode::Off || runs_elsewhere(invocation).is_some() {
            return false;
        }
        let search = invocation.environment.get(OsStr::new("PATH")).map(OsString::as_os_str);
        let mechanism = self.report(search, cancel).mechanism;
        let works = || {
            let nowhere = ChildNetwork::Relayed("/nonexistent".into());
            has_networks(mechanism) && self.attempt(mechanism, nowhere, search, cancel).is_ok()
        };
        *self.network.get_or_init(works)
    }
}

/// Whether a child's end is told by what wraps it.
fn is_wrapped(mechanism: SandboxMechanism) -> bool {
    matches!(mechanism, SandboxMechanism::Bubblewrap { .. } | SandboxMechanism::Landlock)
}

/// Whether a mechanism can give children a network of their own, with a way out of it.
fn has_networks(mechanism: SandboxMechanism) -> bool {
    matches!(mechanism, SandboxMechanism::Bubblewrap { helper: true, .. })
}

/// The program of an invocation that runs its command elsewhere.
pub(crate) fn runs_elsewhere(invocation: &Invocation) -> Option<&'static str> {
    let name = Path::new(invocation.command.first()?).file_name()?;
    RUNS_ELSEWHERE.into_iter().find(|known| name == *known)
}
