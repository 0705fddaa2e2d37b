//! A runner for tests of single modules: it runs a child in a process group of its own, and remembers what it ran.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fetcher_core::runner::{OutputMode, OutputStream, RunnerError};
use fetcher_core::{Cancel, Exit, Invocation, Runner};
use rustix::process::{Pid, Signal, kill_process_group};

/// Such a runner.
#[derive(Debug, Default)]
pub struct PlainRunner(Mutex<Vec<Invocation>>);

impl PlainRunner {
    /// What was run since the last call.
    pub fn take(&self) -> Vec<Invocation> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many of the children since the last call did this with git (`fetch`, say).
    pub fn count(&self, verb: &str) -> usize {
        self.take().iter().filter(|invocation| invocation.command.contains(&OsString::from(verb))).count()
    }
}

impl Runner for PlainRunner {
    fn run(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(invocation.clone());
        let program = invocation.command[0].clone();
        let failed = |source: io::Error| RunnerError::Start {
            program: program.clone(),
            directory: invocation.directory.clone(),
            source,
        };
        let (stdout, writer) = io::pipe().map_err(failed)?;
        let (mut readers, stderr) = match invocation.output {
            OutputMode::Merged => (vec![(OutputStream::Stdout, stdout)], writer.try_clone().map_err(failed)?),
            OutputMode::Apart => {
                let (reader, writer) = io::pipe().map_err(failed)?;
                (vec![(OutputStream::Stdout, stdout), (OutputStream::Stderr, reader)], writer)
            }
        };
        let mut command = Command::new(&program);
        command.args(&invocation.command[1..]).current_dir(&invocation.directory);
        command.env_clear().envs(&invocation.environment).process_group(0);
        command.stdin(Stdio::null()).stdout(writer).stderr(stderr);
        let mut child = command.spawn().map_err(failed)?;
        drop(command);
        let (pieces, coming) = sync_channel(16);
        for (stream, mut reader) in readers.drain(..) {
            let pieces = pieces.clone();
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                // Until the end, or until nobody takes it any more.
                while let Ok(length @ 1..) = reader.read(&mut buffer) {
                    if pieces.send((stream, buffer[..length].to_vec())).is_err() {
                        return;
                    }
                }
            });
        }
        drop(pieces);
        let deadline = Instant::now() + invocation.timeout;
        let stop = |child: &mut std::process::Child, exit| {
            let group = Pid::from_child(child);
            let _ = kill_process_group(group, Signal::KILL);
            drop(child.wait());
            Ok(exit)
        };
        let exit = loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                use std::os::unix::process::ExitStatusExt;
                break Ok(status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or(0)), Exit::Status));
            }
            match coming.recv_timeout(Duration::from_millis(1)) {
                Ok((stream, piece)) => output(stream, &piece),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(1)),
            }
            if cancel.is_cancelled() {
                break stop(&mut child, Exit::Cancelled);
            }
            if Instant::now() > deadline {
                break stop(&mut child, Exit::TimedOut);
            }
        };
        for (stream, piece) in coming {
            output(stream, &piece);
        }
        exit
    }
}
