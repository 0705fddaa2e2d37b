//! A program that gets something on its standard input.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use super::error::{DeliveryErrorKind, NotifyError};
use super::host::NotifierHost;
use super::message_files;
use crate::bst::child_environment;
use crate::runner::{Exit, Invocation, LocalRunner, Runner as _};
use crate::sanitize::strip_control;

/// How much of what it writes is kept: its end.
const TAIL_BYTES: usize = 4096;

/// Runs a program of the host's with `input` as its standard input, and these variables beside the usual ones.
pub(super) fn run(
    host: &NotifierHost,
    command: &[OsString],
    input: &[u8],
    variables: Vec<(&str, String)>,
    timeout: Duration,
) -> Result<(), NotifyError> {
    let program = command.first().cloned().unwrap_or_default();
    let elsewhere = host.environment.get("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let file = message_files::write(&host.memory, &elsewhere, input).map_err(|(directory, error)| {
        let hint = "make space there, or name another directory with TMPDIR";
        NotifyError::new(
            DeliveryErrorKind::Setup,
            format!("cannot write a file in {}: {error}", directory.display()),
            hint,
        )
    })?;
    let mut environment: BTreeMap<OsString, OsString> = child_environment(&host.environment, &[]);
    // An argument or variable ends at a NUL (execve(2)).
    environment.extend(variables.into_iter().map(|(name, value)| (name.into(), value.replace('\0', "").into())));
    environment.insert("BST_FETCHER_STDIN".into(), file.path().into());
    let words = ["sh", "-c", r#"exec "$@" <"$BST_FETCHER_STDIN""#, "sh"];
    let command = words.iter().map(OsString::from).chain(command.iter().cloned()).collect();
    let invocation = Invocation { command, directory: host.directory.clone(), environment, timeout };
    let mut said = Vec::new();
    let exit = LocalRunner::new(&host.owner).run(&invocation, &host.cancel, &mut |piece| {
        said.extend_from_slice(piece);
        if said.len() > 2 * TAIL_BYTES {
            said.drain(..said.len() - TAIL_BYTES);
        }
    });
    let exit = exit.map_err(|error| {
        NotifyError::new(DeliveryErrorKind::Setup, error.to_string(), "see that the host can run programs")
    })?;
    ended(&program, exit, &said, timeout)
}

fn ended(program: &OsStr, exit: Exit, said: &[u8], timeout: Duration) -> Result<(), NotifyError> {
    let said = strip_control(&String::from_utf8_lossy(&said[said.len().saturating_sub(TAIL_BYTES)..]));
    let said = said.trim();
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let failed = |fault, how: String, hint: &str| {
        Err(NotifyError::new(fault, format!("{} {how}{said}", program.display()), hint))
    };
    match exit {
        Exit::Status(0) => Ok(()),
        Exit::Status(status @ (126 | 127)) => {
            let hint = "see that the program is there, executable and in PATH";
            failed(DeliveryErrorKind::Setup, format!("could not be started (exit status {status})"), hint)
        }
        // EX_TEMPFAIL of sysexits.h
        Exit::Status(75) => {
            failed(DeliveryErrorKind::Unreachable, "said to try again later".to_owned(), "see what it waits for")
        }
        Exit::Status(status) => {
            failed(DeliveryErrorKind::Refused, format!("ended with exit status {status}"), "see what the program says")
        }
        Exit::Signal(signal) => failed(
            DeliveryErrorKind::Refused,
            format!("was ended by signal {signal}"),
            "see the system's log for who ended it",
        ),
        Exit::TimedOut => failed(
            DeliveryErrorKind::Unreachable,
            format!("took longer than its timeout of {timeout:?}"),
            "see what it waits for, or raise the notifier's `timeout`",
        ),
        Exit::NoSpace { .. } => failed(
            DeliveryErrorKind::Unreachable,
            "was stopped, for there is too little space".to_owned(),
            "make space",
        ),
        Exit::Cancelled => {
            failed(DeliveryErrorKind::Unreachable, "was stopped with the run".to_owned(), "the next run tells it")
        }
    }
}
