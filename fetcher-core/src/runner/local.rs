//! The runner that starts children on this machine.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use duct::Handle;
use os_pipe::PipeReader;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid};

use super::confinement::{HeldProgram, SignalDomain};
use super::processes::{self, ClearResult, KILL, MARKER_VAR, Process, ProcessTree, TERM_THEN_KILL};
use super::trace::traced;
use super::{Exit, Invocation, OutputMode, OutputStream, Runner, RunnerError};
use crate::cancel::Cancel;

/// How long a child that is to stop has to put its things in order, from SIGINT to SIGTERM.
const INTERRUPT_GRACE: Duration = Duration::from_secs(10);
/// How long a child has for itself before what it waits for is interrupted too.
const INTERRUPT_PAUSE: Duration = Duration::from_millis(500);
/// How often the cancellation handle is looked at. The child's end and its output are noticed at once.
const CANCEL_LOOK: Duration = Duration::from_millis(50);
/// How often a child is looked at where the kernel cannot tell of its end.
const EXIT_LOOK: Duration = Duration::from_millis(5);
/// The most that a pipe holds for an unprivileged user (`/proc/sys/fs/pipe-max-size`, pipe(7)).
const PIPE_CAPACITY: usize = 1 << 20;
/// What holds a program until it may begin.
const SHELL: &str = "/bin/sh";
/// How much output is taken at once.
const BUFFER: usize = 64 << 10;

/// Runs children on this machine.
///
/// A child gets a process group of its own, and one pipe for output and errors unless it is to have two. Whatever it
/// started ends with it, daemons in sessions of their own included. When its time is over or the run is cancelled, it
/// gets SIGINT first and ten seconds, then all that is left gets SIGTERM and five, then SIGKILL.
#[derive(Debug, Clone, Default)]
pub struct LocalRunner {
    owner: OsString,
}

impl LocalRunner {
    /// A runner whose children say in their environment to whom they belong, so that
    /// [`clear_leftovers`](super::processes::clear_leftovers) finds them after this program was killed. The owner
    /// should be what only one running program can hold, as is a locked state directory's absolute path.
    pub fn new(owner: impl Into<OsString>) -> Self {
        Self { owner: owner.into() }
    }

    /// A cookie that no other child has: the owner, and a number that nobody used before.
    fn cookie(&self) -> OsString {
        let mut cookie = self.owner.clone();
        cookie.push(format!("|{:016x}", RandomState::new().build_hasher().finish()));
        cookie
    }
}

impl Runner for LocalRunner {
    fn run(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        if cancel.is_cancelled() {
            return Ok(Exit::Cancelled);
        }
        if invocation.is_traced {
            return self.follow(invocation, cancel, output);
        }
        traced(invocation, || self.follow(invocation, cancel, output))
    }

    fn is_local(&self) -> bool {
        true
    }
}

impl LocalRunner {
    fn follow(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        let program = invocation.command.first().cloned().unwrap_or_default();
        let until = Instant::now().checked_add(invocation.timeout);
        let mut child =
            RunningChild::start(invocation, self.cookie(), output).map_err(|source| RunnerError::Start {
                source: explain(&source, invocation),
                program: program.clone(),
                directory: invocation.directory.clone(),
            })?;
        let follow = |source| RunnerError::Follow { program: program.clone(), source };
        let stopped = child.follow(until, cancel).map_err(follow)?;
        if let ClearResult::Not(processes) = child.clear().map_err(follow)? {
            return Err(RunnerError::Unstoppable { program, processes });
        }
        let status = child.finish().map_err(follow)?;
        Ok(stopped.unwrap_or_else(|| exit_of(status)))
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    // One that has ended has either a status or a signal.
    status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or_default()), Exit::Status)
}

/// A child under way. However this ends, by a panic of `output` too, everything it started ends with it.
struct RunningChild<'a> {
    handle: Handle,
    tree: ProcessTree,
    stream: ChildStream<'a>,
    is_inside: bool,
    /// What of it has left its session, its parents and its environment, where a thread of this program's confines it.
    domain: Option<SignalDomain>,
    finished: bool,
}

impl<'a> RunningChild<'a> {
    fn start(
        invocation: &Invocation,
        cookie: OsString,
        output: &'a mut dyn FnMut(OutputStream, &[u8]),
    ) -> io::Result<Self> {
        let Some((program, arguments)) = invocation.command.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
        };
        let mut environment = invocation.environment.clone();
        environment.insert(MARKER_VAR.into(), cookie.clone());
        let (stdout, writer) = os_pipe::pipe()?;
        let mut held = None;
        let mut child = if invocation.confinement.is_some() {
            let (program, words, stdin) = HeldProgram::new(program, arguments, invocation.stdin.clone())?;
            held = Some(program);
            duct::cmd(SHELL, words).stdin_file(stdin)
        } else {
            let child = duct::cmd(program, arguments);
            match &invocation.stdin {
                Some(input) => child.stdin_bytes(input.clone()),
                None => child.stdin_null(),
            }
        };
        child = child.dir(&invocation.directory).full_env(environment);
        let mut stderr = None;
        child = match invocation.output {
            OutputMode::Merged => child.stderr_to_stdout(),
            OutputMode::Apart => {
                let (reader, writer) = os_pipe::pipe()?;
                stderr = Some(reader);
                child.stderr_file(writer)
            }
        };
        let child = child.stdout_file(writer).before_spawn(|command| {
            command.process_group(0);
            Ok(())
        });
        let child = child.unchecked();
        let (handle, domain) = match (&invocation.confinement, held) {
            (Some(confinement), Some(held)) => {
                let (handle, domain) = SignalDomain::start(confinement, child, held)?;
                (handle, Some(domain))
            }
            _ => (child.start()?, None),
        };
        // It stays a zombie until `finish`, so that its id cannot become anybody else's before.
        let pid = handle.pids().first().and_then(|&id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or_else(|| io::Error::other("it has no process id"))?;
        if let Some(watch) = &invocation.watch {
            watch.started(pid.as_raw_pid());
        }
        let stream = ChildStream {
            pid,
            end: pidfd_open(pid, PidfdFlags::empty()).ok(),
            ended: false,
            pipes: [Some(stdout), stderr],
            output,
            buffer: vec![0; BUFFER].into_boxed_slice(),
        };
        Ok(Self {
            handle,
            tree: ProcessTree::of_child(cookie, pid, invocation.is_inside),
            stream,
            is_inside: invocation.is_inside,
            domain,
            finished: false,
        })
    }

    /// Hands its output on until it ends, or makes it end; says how in that case.
    fn follow(&mut self, until: Option<Instant>, cancel: &Cancel) -> io::Result<Option<Exit>> {
        let stopped = match self.stream.wait(until, Some(cancel))? {
            WakeReason::Ended => return Ok(None),
            WakeReason::TimeOver => Exit::TimedOut,
            WakeReason::Cancelled => Exit::Cancelled,
        };
        self.interrupt()?;
        Ok(Some(stopped))
    }

    /// Asks it to stop as a terminal would, and gives it time to.
    ///
    /// The whole process group is asked, for a wrapper script would wait for its bst without telling it. Bst then
    /// waits for its gits, which have sessions of their own: so after a moment those are asked too, and bst 2.8.1 ends
    /// within a second, its casd and temporary directories with it. Asked at once, bst would take a git's end for a
    /// failure to report.
    fn interrupt(&mut self) -> io::Result<()> {
        let over = Instant::now() + INTERRUPT_GRACE;
        let mut asked = BTreeSet::new();
        // What its descendants are is known best while it lives.
        let members = self.tree.members()?;
        if self.is_inside {
            for process in inside(&members) {
                asked.insert(process.id());
                process.signal(Signal::INT);
            }
        } else {
            kill_process_group(self.stream.pid, Signal::INT)?;
        }
        while Instant::now() < over {
            if let WakeReason::Ended = self.stream.wait(Some(Instant::now() + INTERRUPT_PAUSE), None)? {
                break;
            }
            for process in self.tree.members()? {
                if process.leads_session() && asked.insert(process.id()) {
                    process.signal(Signal::INT);
                }
            }
        }
        Ok(())
    }

    /// Ends all that is left.
    fn clear(&mut self) -> io::Result<ClearResult> {
        let cleared = self.tree.clear(&TERM_THEN_KILL, &mut |pause| {
            let until = Instant::now() + pause;
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                self.stream.pump(left)?;
            }
            Ok(())
        })?;
        let left = self.domain.take().map(|mut domain| domain.clear()).unwrap_or_default();
        Ok(if left.is_empty() { cleared } else { ClearResult::Not(left) })
    }

    /// Takes what is still in the pipe, without waiting for whoever may hold its other end, and reaps the child.
    fn finish(mut self) -> io::Result<ExitStatus> {
        let mut rounds = 2 * PIPE_CAPACITY / BUFFER;
        while rounds > 0 && self.stream.pump(Duration::ZERO)? {
            rounds -= 1;
        }
        let status = self.handle.wait()?.status;
        self.finished = true;
        Ok(status)
    }
}

impl Drop for RunningChild<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        drop(self.domain.take());
        // Nothing can be said from here, and what cannot be killed cannot be waited for.
        if let Ok(ClearResult::All) = self.tree.clear(&KILL, &mut processes::sleep) {
            let _ = self.handle.wait();
        }
    }
}

/// What a child runs in a process namespace of its own: not what made that, which would take all with it, nor the first
/// process in it, whose end is that of all others; but the second, and what is in one group with it.
fn inside(members: &[Process]) -> Vec<&Process> {
    let group = members.iter().find(|process| process.id_inside() == Some(2)).map(Process::group);
    members
        .iter()
        .filter(|process| Some(process.group()) == group && process.id_inside().is_some_and(|id| id > 1))
        .collect()
}

/// What is seen of a child: its output and its end.
struct ChildStream<'a> {
    pid: Pid,
    /// Becomes readable when the child ends; none where the kernel has no such thing.
    end: Option<OwnedFd>,
    ended: bool,
    /// Of the standard output, or of both; and of the standard error where it comes by itself. None after its end.
    pipes: [Option<PipeReader>; 2],
    output: &'a mut dyn FnMut(OutputStream, &[u8]),
    buffer: Box<[u8]>,
}

/// Why a wait is over.
enum WakeReason {
    Ended,
    TimeOver,
    Cancelled,
}

impl ChildStream<'_> {
    /// Hands the output on until the child ends, the time is over, or somebody cancels.
    fn wait(&mut self, until: Option<Instant>, cancel: Option<&Cancel>) -> io::Result<WakeReason> {
        while !self.ended {
            if cancel.is_some_and(Cancel::is_cancelled) {
                return Ok(WakeReason::Cancelled);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(WakeReason::TimeOver);
            }
            let look = if self.end.is_some() { CANCEL_LOOK } else { EXIT_LOOK };
            self.pump(left.map_or(look, |left| left.min(look)))?;
        }
        Ok(WakeReason::Ended)
    }

    /// Waits for output or the child's end, but not for longer than `time`; says whether something came of a pipe.
    fn pump(&mut self, time: Duration) -> io::Result<bool> {
        let mut descriptors = Vec::with_capacity(3);
        descriptors.extend(self.pipes.iter().flatten().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        if !self.ended {
            descriptors.extend(self.end.as_ref().map(|end| PollFd::new(end, PollFlags::IN)));
        }
        match poll(&mut descriptors, Some(&Timespec::try_from(time).map_err(io::Error::other)?)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = descriptors.iter().map(|descriptor| !descriptor.revents().is_empty());
        let readable = self.pipes.each_ref().map(|pipe| pipe.is_some() && ready.next() == Some(true));
        drop(descriptors);
        for (at, _) in readable.iter().enumerate().filter(|(_, readable)| **readable) {
            self.read(at)?;
        }
        if !self.ended {
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            self.ended = waitid(WaitId::Pid(self.pid), look)?.is_some();
        }
        Ok(readable.contains(&true))
    }

    fn read(&mut self, at: usize) -> io::Result<()> {
        let Some(pipe) = &mut self.pipes[at] else { return Ok(()) };
        let stream = if at == 0 { OutputStream::Stdout } else { OutputStream::Stderr };
        match pipe.read(&mut self.buffer) {
            Ok(0) => self.pipes[at] = None,
            Ok(length) => (self.output)(stream, &self.buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What is wrong with a program that cannot be started. The system's word leaves out which of the paths it means.
fn explain(error: &io::Error, invocation: &Invocation) -> io::Error {
    let program = Path::new(invocation.command.first().map_or(OsStr::new(""), OsString::as_os_str));
    let search = invocation.environment.get(OsStr::new("PATH"));
    let text = if !invocation.directory.is_dir() {
        "the directory is not there".to_owned()
    } else if program.components().count() == 1 && !program.has_root() {
        format!("{error}: it is looked for in PATH={search:?}")
    } else if program.is_dir() {
        "it is a directory".to_owned()
    } else {
        match (error.kind(), first_line(program)) {
            (io::ErrorKind::NotFound, Some(line)) => format!("the interpreter in its first line is not there: {line}"),
            (io::ErrorKind::PermissionDenied, _) => format!("{error}: it must be executable (chmod +x)"),
            _ => error.to_string(),
        }
    };
    io::Error::new(error.kind(), text)
}

/// The first line of a script, `#!` included.
fn first_line(program: &Path) -> Option<String> {
    let mut start = [0; 256];
    let length = File::open(program).ok()?.read(&mut start).ok()?;
    let text = String::from_utf8_lossy(&start[..length]);
    text.starts_with("#!").then(|| text.lines().next().unwrap_or_default().to_owned())
}
