//! A program that gets something on its standard input.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use super::error::{Fault, NotifyError};
use super::host::NotifierHost;
use crate::bst::child_environment;
use crate::plain::plain;
use crate::runner::{Exit, Invocation, LocalRunner, output};

/// How much of what it writes is kept: its end.
const KEPT: usize = 4096;

/// Runs a program of the host's with `input` as its standard input, and these variables beside the usual ones.
pub(super) fn run(
    host: &NotifierHost,
    command: &[OsString],
    input: &[u8],
    variables: Vec<(&str, String)>,
    timeout: Duration,
) -> Result<(), NotifyError> {
    let program = command.first().cloned().unwrap_or_default();
    let mut environment: BTreeMap<OsString, OsString> = child_environment(&host.environment, &[]);
    // An argument or variable ends at a NUL (execve(2)).
    environment.extend(variables.into_iter().map(|(name, value)| (name.into(), value.replace('\0', "").into())));
    let invocation = Invocation::new(command, &host.directory).environment(environment).timeout(timeout).stdin(input);
    let runner = LocalRunner::new(&host.owner);
    let said = output(&runner, &invocation, &host.cancel, KEPT).map_err(|error| {
        let hint = "see that the program is there, executable and in PATH";
        NotifyError::new(Fault::Setup, error.to_string(), hint)
    })?;
    ended(&program, said.exit, said.stdout.bytes(), timeout)
}

fn ended(program: &OsStr, exit: Exit, said: &[u8], timeout: Duration) -> Result<(), NotifyError> {
    let said = plain(&String::from_utf8_lossy(said));
    let said = said.trim();
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let failed = |fault, how: String, hint: &str| {
        Err(NotifyError::new(fault, format!("{} {how}{said}", program.display()), hint))
    };
    match exit {
        Exit::Status(0) => Ok(()),
        Exit::Status(status @ (126 | 127)) => {
            let hint = "see that the program is there, executable and in PATH";
            failed(Fault::Setup, format!("could not be started (exit status {status})"), hint)
        }
        // EX_TEMPFAIL of sysexits.h
        Exit::Status(75) => failed(Fault::Unreachable, "said to try again later".to_owned(), "see what it waits for"),
        Exit::Status(status) => {
            failed(Fault::Refused, format!("ended with exit status {status}"), "see what the program says")
        }
        Exit::Signal(signal) => {
            failed(Fault::Refused, format!("was ended by signal {signal}"), "see the system's log for who ended it")
        }
        Exit::TimedOut => failed(
            Fault::Unreachable,
            format!("took longer than its timeout of {timeout:?}"),
            "see what it waits for, or raise the notifier's `timeout`",
        ),
        Exit::NoSpace { .. } => {
            failed(Fault::Unreachable, "was stopped, for there is too little space".to_owned(), "make space")
        }
        Exit::Cancelled => failed(Fault::Unreachable, "was stopped with the run".to_owned(), "the next run tells it"),
    }
}
