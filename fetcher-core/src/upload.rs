//! Sending the status pages and logs to another host, for hosts that serve nothing themselves.
//!
//! What was sent is remembered, so that each run sends what is new. Deeper files go first, so that nobody who looks
//! meanwhile finds a link to nothing. Nothing is removed there: let the server's own housekeeping do that.

#[cfg(feature = "webhook")]
mod upload_server;
#[cfg(feature = "webhook")]
mod upload_state;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::bst::child_environment;
use crate::config::UploadConfig;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Retry};
use crate::names::RunId;
use crate::runner::{Exit, Invocation, RunContext, RunnerError, output};
use crate::secret::{Redact, Redactor};
use crate::state::{StateError, StateStore};

/// How much of what a command says is kept, in bytes: its end.
const TAIL_BYTES: usize = 4096;

/// What is to be sent, where, and with what.
#[derive(Debug, Clone, Copy)]
pub struct SiteUpload<'a> {
    /// `[upload]`.
    pub config: &'a UploadConfig,
    /// The folder that [`SitePublisher`](crate::pages::SitePublisher) writes.
    pub directory: &'a Path,
    /// What was sent before is kept in it, in `uploaded.json`.
    pub store: &'a StateStore,
    /// The run after which it is sent.
    pub run: &'a RunId,
    /// What runs a command, as one of this host's own, in which environment and until when; and what masks secrets in what
    /// a command or a server says.
    pub context: RunContext<'a>,
}

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadResult {
    /// How many files; 0 where a command sent them.
    pub files: usize,
    /// How many bytes.
    pub bytes: u64,
}

/// Why not everything was sent. What was sent is remembered, and the next run goes on from there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UploadError {
    /// A page could not be read.
    #[error("cannot read or write {path:?} to send the pages elsewhere: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The memory of what was sent cannot be used: what was sent may be sent again.
    #[error("what was sent cannot be remembered: {0}")]
    State(StateError),
    /// A file with a token or with certificates, or the address, is of no use.
    #[error("the pages cannot be sent: {0}")]
    Setup(String),
    /// The server could not be reached, or broke off.
    #[error("the pages cannot be sent to {host}: {reason}")]
    Unreachable {
        /// The server.
        host: String,
        /// What was wrong.
        reason: String,
    },
    /// The server does not take a file.
    #[error("{host} does not take {path}: it answers {status}")]
    Refused {
        /// The server.
        host: String,
        /// The file, relative to the folder.
        path: String,
        /// The status of HTTP (RFC 9110, section 15).
        status: u16,
    },
    /// The time was over.
    #[error("sending the pages took longer than upload.timeout; {left} files are left")]
    TimedOut {
        /// How many files were not sent.
        left: usize,
    },
    /// The command could not be run.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The command failed.
    #[error("upload.command ended with {exit:?}: {output}")]
    Command {
        /// How it ended.
        exit: Exit,
        /// The end of what it said.
        output: String,
    },
    /// This program was built without HTTP.
    #[error("this program cannot send by HTTP: it was built without the feature `webhook`")]
    Unsupported,
}

impl UploadError {
    /// The failure, explained: it is a matter of the fetching host, and of no branch.
    pub fn diagnosis(&self) -> Diagnosis {
        let hint = match self {
            UploadError::State(error) => return error.diagnosis().with_message(self.to_string()),
            UploadError::File { .. } => "make the state directory and fetcher.publish-dir readable and writable here",
            UploadError::Setup(_) => "correct `url`, `headers`, `token-file` or `ca-file` of [upload]",
            UploadError::Unreachable { .. } => "the next run tries again; see whether the server is up",
            UploadError::Refused { status: 401 | 403, .. } => {
                "give [upload] a `token-file` or `headers` that may write"
            }
            UploadError::Refused { status: 507 | 413, .. } => "make room on the server, or raise its limits",
            UploadError::Refused { .. } => "see that the server takes PUT below upload.url, and makes directories",
            UploadError::TimedOut { .. } => "the next run goes on from there; raise upload.timeout if it lasts",
            UploadError::Runner(_) | UploadError::Command { .. } => "run upload.command by hand in fetcher.publish-dir",
            UploadError::Unsupported => "set upload.command, or build with the feature",
        };
        Diagnosis::new(FailureKind::Upload, self.to_string(), Retry::Yes, Actor::Host, hint)
    }
}

impl Redact for UploadError {
    fn redacted(self, redactor: &Redactor) -> Self {
        match self {
            UploadError::File { path, source } => UploadError::File { path: path.redacted(redactor), source },
            UploadError::Setup(what) => UploadError::Setup(what.redacted(redactor)),
            UploadError::Unreachable { host, reason } => {
                UploadError::Unreachable { host: host.redacted(redactor), reason: reason.redacted(redactor) }
            }
            UploadError::Refused { host, path, status } => {
                UploadError::Refused { host: host.redacted(redactor), path: path.redacted(redactor), status }
            }
            UploadError::Command { exit, output } => UploadError::Command { exit, output: output.redacted(redactor) },
            UploadError::State(_)
            | UploadError::TimedOut { .. }
            | UploadError::Runner(_)
            | UploadError::Unsupported => self,
        }
    }
}

impl SiteUpload<'_> {
    /// Sends what was not sent yet.
    ///
    /// # Errors
    /// When not everything was sent: with the first thing that went wrong.
    pub fn send(&self) -> Result<UploadResult, UploadError> {
        send(self).map_err(|error| error.redacted(self.context.redactor))
    }
}

fn send(upload: &SiteUpload<'_>) -> Result<UploadResult, UploadError> {
    let config = upload.config;
    match &config.url {
        #[cfg(feature = "webhook")]
        Some(url) => upload_server::UploadServer::new(upload, url)?.put_all(upload),
        #[cfg(not(feature = "webhook"))]
        Some(_) => Err(UploadError::Unsupported),
        None if config.command.is_empty() => Err(UploadError::Setup("there is neither `url` nor `command`".to_owned())),
        None => by_command(upload, &config.command).map(|()| UploadResult::default()),
    }
}

fn by_command(upload: &SiteUpload<'_>, command: &[String]) -> Result<(), UploadError> {
    let mut environment = child_environment(upload.context.environment, &["SSH_AUTH_SOCK".to_owned()]);
    environment.insert("BST_FETCHER_RUN".into(), upload.run.as_str().into());
    let invocation = Invocation::new(command, upload.directory).environment(environment).timeout(upload.config.timeout);
    let said = output(upload.context.local_runner, &invocation, upload.context.cancel, TAIL_BYTES)?;
    if said.exit.is_success() {
        return Ok(());
    }
    let (exit, output) = (said.exit, said.stdout.text().trim().to_owned());
    Err(UploadError::Command { exit, output })
}
