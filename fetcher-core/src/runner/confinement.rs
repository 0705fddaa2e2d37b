//! Starting a child from a thread that has confined itself, for programs that cannot start themselves anew as a helper.
//!
//! What a thread does to itself with Landlock its children inherit, and no other thread of the program does. Two threads
//! do it: the first may signal nothing but what descends from it, and lives as long as the child, so that in the end it can
//! kill all that this started; the second, started by the first, confines itself to files as well, starts the child and ends.
//! A process may look into others of its own domain: so the child is a shell that waits for a word until the second thread
//! is gone, and becomes the program then.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use duct::{Expression, Handle};
use os_pipe::{PipeReader, PipeWriter};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};

use super::processes;

/// How long the kernel has to remove what was killed.
const KILL_GRACE: Duration = Duration::from_secs(10);
/// What the child is until it may become the program. The word comes before what the program reads itself.
const HOLDS: &str = "read -r BST_FETCHER_GO || exit 126; exec \"$@\"";
/// The same where the program is to read nothing.
const HOLDS_WITHOUT_INPUT: &str = "read -r BST_FETCHER_GO || exit 126; exec \"$@\" </dev/null";

type Confine = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// How the threads that start a child confine themselves.
#[derive(Clone)]
pub(crate) struct ThreadConfinement {
    /// Lets a thread signal what descends from it alone, or fails.
    pub(super) signals: fn() -> io::Result<()>,
    /// Confines a thread to what the child is to have.
    pub(super) rest: Confine,
    /// What of each resource the child may have.
    pub(super) limits: [(Resource, u64); 3],
}

impl fmt::Debug for ThreadConfinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadConfinement").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Two are equal that are one.
impl PartialEq for ThreadConfinement {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rest, &other.rest)
    }
}

impl Eq for ThreadConfinement {}

/// A program that waits for a word before it begins.
pub(super) struct HeldProgram {
    word: PipeWriter,
    stdin: Option<Vec<u8>>,
}

impl HeldProgram {
    /// The command line that has a shell wait, and what is to be its standard input.
    pub(super) fn new(
        program: &OsStr,
        arguments: &[OsString],
        stdin: Option<Vec<u8>>,
    ) -> io::Result<(Self, Vec<OsString>, PipeReader)> {
        let script = if stdin.is_some() { HOLDS } else { HOLDS_WITHOUT_INPUT };
        let mut words: Vec<OsString> = ["-c", script, "sh"].map(OsString::from).into();
        words.push(program.to_owned());
        words.extend(arguments.iter().cloned());
        let (reader, word) = os_pipe::pipe()?;
        Ok((Self { word, stdin }, words, reader))
    }

    /// Lets it begin, with its limits.
    fn release(mut self, child: Pid, limits: &[(Resource, u64)]) -> io::Result<()> {
        for (resource, limit) in limits.iter().filter(|(_, limit)| *limit > 0) {
            prlimit(Some(child), *resource, Rlimit { current: Some(*limit), maximum: Some(*limit) })?;
        }
        self.word.write_all(b"\n")?;
        if let Some(input) = self.stdin {
            // One that reads none of it is no error.
            thread::Builder::new().spawn(move || self.word.write_all(&input))?;
        }
        Ok(())
    }
}

/// Everything that descends from a thread, until it is dropped.
#[derive(Debug)]
pub(super) struct SignalDomain {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<Vec<i32>>>,
}

impl SignalDomain {
    /// Starts a child in one.
    pub(super) fn start(
        confinement: &ThreadConfinement,
        command: Expression,
        held: HeldProgram,
    ) -> io::Result<(Handle, Self)> {
        let (end, ended) = channel();
        let (tell, told) = channel();
        let ThreadConfinement { signals, rest, limits } = confinement.clone();
        let thread = thread::Builder::new().name("sandbox".to_owned()).spawn(move || {
            let started = signals().and_then(|()| start_confined(rest, command));
            // Without that there is nothing here that may be killed, but all of the user's.
            let has_domain = started.is_ok();
            if tell.send(started).is_err() || !has_domain {
                return Vec::new();
            }
            wait_and_kill(&ended)
        })?;
        let domain = Self { end: Some(end), thread: Some(thread) };
        let handle = told.recv().map_err(|_| io::Error::other("the thread that starts it has ended"))??;
        let pid = handle.pids().first().and_then(|&id| Pid::from_raw(i32::try_from(id).ok()?));
        held.release(pid.ok_or_else(|| io::Error::other("it has no process id"))?, &limits)?;
        Ok((handle, domain))
    }

    /// Kills all that is left; gives what outlives that.
    pub(super) fn clear(&mut self) -> Vec<i32> {
        drop(self.end.take());
        // It has nothing that panics.
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for SignalDomain {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Starts a command from a thread of its own that is confined; the thread is gone when this returns.
fn start_confined(confine: Confine, command: Expression) -> io::Result<Handle> {
    let thread = thread::Builder::new().name("sandbox-start".to_owned()).spawn(move || {
        confine()?;
        command.start()
    })?;
    thread.join().map_err(|_| io::Error::other("the thread that starts it has panicked"))?
}

/// Waits until the child is done with, and kills all that this thread may signal but the program itself.
fn wait_and_kill(ended: &Receiver<()>) -> Vec<i32> {
    // It comes by the end of who would send something.
    let _ = ended.recv();
    let until = Instant::now() + KILL_GRACE;
    let mut pause = Duration::from_millis(1);
    loop {
        // To the group of process 1 is `kill(-1)`: to all that may be reached, in one step.
        let _ = kill_process_group(Pid::INIT, Signal::KILL);
        let left = processes::reached_by_this_thread();
        if left.is_empty() || Instant::now() >= until {
            return left;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
