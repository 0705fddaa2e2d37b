//! What to run, and all that a runner has to know of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::child_watch::ChildWatch;
use super::confinement::ThreadConfinement;
use super::sandbox_options::SandboxOptions;

/// One child process to run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invocation {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// The working directory.
    pub directory: PathBuf,
    /// The whole environment: nothing is inherited.
    pub environment: BTreeMap<OsString, OsString>,
    /// How long it may take.
    pub timeout: Duration,
    /// What it reads on its standard input, which ends after that; none for `/dev/null`.
    pub stdin: Option<Vec<u8>>,
    /// Whether its standard output and error come as one.
    pub output: OutputMode,
    /// What it needs of the file system, for runners that show a child no more than that.
    pub access: ChildAccess,
    /// How [`Sandboxed`](super::Sandboxed) is to confine it.
    pub sandbox: SandboxOptions,
    /// What of the network it is to reach. Only a runner that [says so](super::Runner::confines_network) heeds it.
    pub network: ChildNetwork,
    /// Where a runner says which process it is that [tells of it](super::Runner::is_local).
    pub watch: Option<ChildWatch>,
    /// Whether the command is one that runs the child in a process namespace of its own, and would take a signal for its
    /// own: [`LocalRunner`](super::LocalRunner) then interrupts what runs inside.
    pub is_inside: bool,
    /// How the thread confines itself that starts it.
    pub(crate) confinement: Option<ThreadConfinement>,
    /// Whether whoever made this of another invocation tells of its end.
    pub(crate) is_traced: bool,
}

/// Whether a child's standard output and error come as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputMode {
    /// Through one pipe, in the order in which they were written, all of it as [`OutputStream::Stdout`].
    #[default]
    Merged,
    /// Each by itself.
    Apart,
}

/// Where a child wrote something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// To its standard output, or to either where they come as one.
    Stdout,
    /// To its standard error.
    Stderr,
}

/// What a child needs of the file system beside the system's own programs, libraries and settings. All paths are
/// absolute; a directory stands for all that is in it. A runner that hides nothing need not look at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildAccess {
    /// What it reads.
    pub read: Vec<PathBuf>,
    /// What it writes. The working directory is among them where it is to be written.
    pub write: Vec<PathBuf>,
    /// Its home where it is confined; else, or where none is given, that of its environment. A confined child finds the
    /// latter empty.
    pub home: Option<PathBuf>,
}

/// What of the network a child is to reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildNetwork {
    /// Whatever this machine reaches.
    #[default]
    Host,
    /// Nothing but loopback of its own, where connections to [`RELAY_PORT`] are handed on to this Unix socket of the host.
    /// The socket has to be among what the child may write.
    Relayed(PathBuf),
}

/// The port on a child's own loopback that leads to the socket of [`ChildNetwork::Relayed`]: that of proxies, as a rule.
pub const RELAY_PORT: u16 = 3128;

impl Invocation {
    /// A command in a directory, with an empty environment, without input or a limit of time.
    pub fn new<W: Into<OsString>>(command: impl IntoIterator<Item = W>, directory: impl Into<PathBuf>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            directory: directory.into(),
            environment: BTreeMap::new(),
            timeout: Duration::MAX,
            stdin: None,
            output: OutputMode::default(),
            access: ChildAccess::default(),
            sandbox: SandboxOptions::default(),
            network: ChildNetwork::default(),
            watch: None,
            is_inside: false,
            confinement: None,
            is_traced: false,
        }
    }

    /// Sets the whole environment.
    #[must_use]
    pub fn environment(mut self, environment: BTreeMap<OsString, OsString>) -> Self {
        self.environment = environment;
        self
    }

    /// Limits the time that it may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Gives it something to read on its standard input.
    #[must_use]
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(input.into());
        self
    }

    /// Has its standard output and error come each by itself.
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.output = OutputMode::Apart;
        self
    }

    /// Lets it read these paths.
    #[must_use]
    pub fn reads<P: Into<PathBuf>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.access.read.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Says how it is to be confined.
    #[must_use]
    pub fn sandbox(mut self, options: SandboxOptions) -> Self {
        self.sandbox = options;
        self
    }

    /// Lets it write these paths.
    #[must_use]
    pub fn writes<P: Into<PathBuf>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.access.write.extend(paths.into_iter().map(Into::into));
        self
    }
}
