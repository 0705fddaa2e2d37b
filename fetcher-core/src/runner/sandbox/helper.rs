//! What this program does in the sandbox, as a process of its own: it sets limits, confines itself, and becomes the child;
//! or it stays beside the child, and ends all that this started.
//!
//! An embedding program that wants it calls [`helper_main`] first thing in its `main`, and names itself with
//! [`Sandboxed::helper`](super::Sandboxed::helper).

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getppid, kill_process_group, pidfd_open,
    set_child_subreaper, set_parent_process_death_signal, setrlimit, waitid,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use serde::{Deserialize, Serialize};

use super::landlock::{self, FileRules};
use super::relay::{self, RelayTask};

/// The first argument of a program that is to be the helper.
const WORD: &str = "--become-sandbox-helper";
/// Not one.
const NO_CAPABILITIES: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};
/// The exit status where the child was not started, as a shell's.
const NOT_STARTED: i32 = 126;

/// What the helper is to do, its second argument.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HelperTask {
    /// The process that waits for it, where it is to stay beside the child and end all with it.
    pub(super) supervise_for: Option<i32>,
    /// Where connections to [`RELAY_PORT`](crate::runner::RELAY_PORT) are to be handed on, where the child has a network of
    /// its own.
    pub(super) relay: Option<RelayTask>,
    /// Whether to do that: this is no child's helper, but the relay beside one.
    pub(super) relays: bool,
    /// What of the file system may be used; all where something else hides the rest.
    pub(super) files: Option<FileRules>,
    pub(super) max_processes: u64,
    pub(super) max_file_size: u64,
    pub(super) max_memory: u64,
}

impl HelperTask {
    /// What of each resource the child may have; 0 for as much as there is.
    pub(super) fn limits(&self) -> [(Resource, u64); 3] {
        [(Resource::Nproc, self.max_processes), (Resource::Fsize, self.max_file_size), (Resource::As, self.max_memory)]
    }

    /// The words in front of the child's command line, after the helper's own path.
    pub(super) fn arguments(&self) -> io::Result<Vec<OsString>> {
        Ok(vec![WORD.into(), serde_json::to_string(self)?.into()])
    }
}

/// Does the work of the sandbox's helper, where this process was started as that: then with the exit status.
///
/// `arguments` are those of the process, its own name first.
///
/// # Errors
/// When the child could not be started: the process should say so, and end with the status 126, as a shell does.
pub fn helper_main(arguments: impl IntoIterator<Item = OsString>) -> Option<io::Result<i32>> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let done = match arguments.next().map(|task| serde_json::from_slice(task.as_encoded_bytes())) {
        Some(Ok(task)) => work(&task, &arguments.collect::<Vec<_>>()),
        Some(Err(error)) => Err(error.into()),
        None => Err(io::ErrorKind::InvalidInput.into()),
    };
    Some(done)
}

fn work(task: &HelperTask, command: &[OsString]) -> io::Result<i32> {
    if let Some(relay) = &task.relay {
        if task.relays {
            return relay.serve();
        }
        let beside = HelperTask { relay: Some(relay.clone()), relays: true, ..HelperTask::default() };
        relay::start(beside.arguments()?)?;
    }
    match task.supervise_for {
        Some(parent) => supervise(&HelperTask { supervise_for: None, ..task.clone() }, parent, command),
        None => Err(enter(task, command)),
    }
}

/// Confines this thread, what it becomes and what it starts.
pub(super) fn confine_to(files: Option<&FileRules>) -> io::Result<()> {
    if files.is_some() {
        // Root's would let it read other processes' environments (CAP_PERFMON, capabilities(7)). They do not come back,
        // for no program that it becomes gets new privileges.
        set_capabilities(None, NO_CAPABILITIES)?;
    }
    landlock::confine(files)
}

/// Confines this process and becomes the child; gives why that was not possible.
fn enter(task: &HelperTask, command: &[OsString]) -> io::Error {
    let Some((program, arguments)) = command.split_first() else { return io::ErrorKind::InvalidInput.into() };
    let confine = || {
        for (resource, limit) in task.limits() {
            if limit > 0 {
                setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
            }
        }
        if task.files.is_some() {
            // Whoever ends the helper ends the child.
            set_parent_process_death_signal(Some(Signal::KILL))?;
        }
        confine_to(task.files.as_ref())
    };
    match confine() {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error,
    }
}

/// Lets another helper become the child, and ends all that it started when it ends, or when whoever waits for this does.
fn supervise(task: &HelperTask, parent: i32, command: &[OsString]) -> io::Result<i32> {
    let parent = Pid::from_raw(parent).ok_or(io::ErrorKind::InvalidInput)?;
    let waiting = pidfd_open(parent, PidfdFlags::empty())?;
    if getppid() != Some(parent) {
        return Err(io::Error::other("whoever waits for the child has ended"));
    }
    // They go to the whole group, and are for the child.
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    set_child_subreaper(Some(rustix::process::getpid()))?;
    // From here on SIGKILL to all reaches what descends from here, and nothing else of the user's.
    landlock::confine_signals()?;
    let child = Command::new("/proc/self/exe").args(task.arguments()?).args(command).spawn()?;
    let ended = wait(child, &waiting);
    kill_all();
    ended
}

/// Waits for the child, or for the end of who waits for it.
fn wait(mut child: Child, waiting: &impl std::os::fd::AsFd) -> io::Result<i32> {
    let end = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    loop {
        let mut ends = [PollFd::new(&end, PollFlags::IN), PollFd::new(waiting, PollFlags::IN)];
        match poll(&mut ends, None) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) if ends[0].revents().is_empty() => return Ok(NOT_STARTED),
            Ok(_) => break,
        }
    }
    let status = child.wait()?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
}

/// Ends everything of this domain but this process, until nothing of it is left to wait for.
fn kill_all() {
    loop {
        // To the group of process 1 is `kill(-1)`: to all that may be reached.
        let _ = kill_process_group(Pid::INIT, Signal::KILL);
        match waitid(WaitId::All, WaitIdOptions::EXITED) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
