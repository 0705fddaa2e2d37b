//! Running child processes: what to run, how it ended, and the trait that an embedding program may implement itself.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cancel::Cancel;

mod child_watch;
mod confinement;
pub mod conformance;
mod context;
mod forward;
mod invocation;
mod local;
mod output;
pub mod processes;
mod sandbox;
mod sandbox_options;
mod space_guard;
mod trace;
mod with_sandbox;

pub use child_watch::ChildWatch;
pub use context::RunContext;
pub use invocation::{ChildAccess, ChildNetwork, Invocation, OutputMode, OutputStream, RELAY_PORT};
pub use local::LocalRunner;
pub use output::{ChildOutput, OutputTail, output};
pub use sandbox::{SandboxMechanism, SandboxReport, Sandboxed, find_program, helper_main, tool_paths};
pub use sandbox_options::{SandboxMode, SandboxOptions, USER_CREDENTIALS, UpstreamCredentials};
pub use space_guard::SpaceGuard;
#[cfg(feature = "fetcher")]
pub(crate) use space_guard::run_until;
pub use with_sandbox::WithSandbox;

/// How a child process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Exit {
    /// By itself, with this exit status.
    Status(i32),
    /// By a signal that this library did not send.
    Signal(i32),
    /// It was stopped because its time was over.
    TimedOut,
    /// It was stopped because somebody cancelled the run.
    Cancelled,
    /// It was stopped, or not even started, because there was too little space (see [`SpaceGuard`]).
    NoSpace {
        /// How many bytes were free.
        free: u64,
        /// How many bytes are to stay free.
        wanted: u64,
    },
}

impl Exit {
    /// Whether it ended by itself with status 0.
    pub fn is_success(self) -> bool {
        self == Exit::Status(0)
    }
}

/// A child process that could not be run at all, or not to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The program is not there, or cannot be executed.
    #[error("cannot start {program:?} in {directory:?}: {source}")]
    Start {
        /// The program.
        program: OsString,
        /// The directory it was to run in.
        directory: PathBuf,
        /// What is wrong, in words that say what to look at. Its kind is the system's.
        source: io::Error,
    },
    /// It ran, but its output or its end could not be seen.
    #[error("cannot follow {program:?} to its end: {source}")]
    Follow {
        /// The program.
        program: OsString,
        /// The system's word.
        source: io::Error,
    },
    /// What runs children is itself not there, or failed: a container engine, a cluster. What was to be run is not to blame.
    #[error("what runs children failed, before it came to {program:?}: {reason}")]
    Unavailable {
        /// The program.
        program: OsString,
        /// Why.
        reason: String,
    },
    /// It was to be confined, and cannot be.
    #[error("there is no sandbox to run it in: {reason}")]
    Sandbox {
        /// Why.
        reason: String,
    },
    /// Something that it started outlives even SIGKILL, as what waits for a dead disk or file server does.
    #[error(
        "processes {processes:?} of {program:?} cannot be stopped: look at what they wait for (`ps -o stat,wchan,args -p PID`)"
    )]
    Unstoppable {
        /// The program.
        program: OsString,
        /// The process ids.
        processes: Vec<i32>,
    },
}

/// Something that runs an [`Invocation`]: this machine, or a container, a cluster's job, a recording.
///
/// # The contract
///
/// [`conformance::check`] tries all of it on an implementation.
///
/// - **Command**: the first word is the program, looked for in the `PATH` of the invocation's environment where it has no
///   slash; each other word is one argument, with no shell in between.
/// - **Environment**: the child gets the invocation's variables, and nothing of this process's own. What the other side
///   needs for itself (`HOME` of a container) may be added. It carries what a configuration's `pass-environment` names, which
///   may be secret: it belongs into no argument vector.
/// - **Paths**: the working directory and what [`ChildAccess`] names are there on the other side, under the same paths,
///   and what the child writes there is here when the call returns. Beside these bst, Python and git are needed there.
/// - **Standard input**: the invocation's bytes, and then its end; a child that reads none of it is no error.
/// - **Output**: every piece of what the child and what it started write goes to `output`, in order, as it comes and in
///   pieces of any size; which stream it is of matters only with [`OutputMode::Apart`].
/// - **Time-out and cancel**: when the time is over or `cancel` says so, the child is stopped, with everything that it
///   started, and the exit says why. It should have SIGINT first and some seconds: bst saves what it has then. A run that is
///   cancelled beforehand starts nothing.
/// - **The end**: the call returns only when the child and everything that it started have ended, also where it left
///   something in the background.
/// - **At once**: it is called from several threads at a time.
/// - **Errors**: a program that is not there is [`RunnerError::Start`] with the kind `NotFound`; where the runner itself
///   fails it is [`RunnerError::Unavailable`]. Both are told in the run's report, as failures of different kinds.
///
/// A [`Fetcher`](crate#where-to-begin) gives its runner every `bst`, what a project's `prepare` names, and the `python3` and
/// `pip` by which managed environments are made, so that these are made on the side where they serve. Git, notifiers and
/// what tells of this machine stay here.
pub trait Runner: Send + Sync {
    /// Runs one child to its end.
    ///
    /// # Errors
    /// When it could not be run at all. A child that fails is no error: see [`Exit`].
    fn run(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError>;

    /// Whether a child of this invocation would see of this machine's files no more than its
    /// [access](Invocation::access) names. Then what it is not to read is left out of that, and a socket is given it
    /// instead where one will do.
    fn hides_files(&self, invocation: &Invocation, cancel: &Cancel) -> bool {
        let _ = (invocation, cancel);
        false
    }

    /// Whether children are this program's own, as those of a [`LocalRunner`], to which others hand invocations on that say
    /// so. Then it is said which process a child is, where its invocation has a [watch](Invocation::watch), so that what is
    /// opened for that one is closed to others; and a child can be confined by the thread that starts it.
    fn is_local(&self) -> bool {
        false
    }

    /// Whether it would let this invocation reach no more of the network than it says ([`ChildNetwork`]). One that would
    /// not is not asked to run it so.
    fn confines_network(&self, _invocation: &Invocation, _cancel: &Cancel) -> bool {
        false
    }
}
