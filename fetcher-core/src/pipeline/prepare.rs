//! What a clean checkout needs before bst can load its project: a command of the configuration, run once for each tip,
//! and what it made, kept for the next clean checkout of the same tip.

mod kept;
mod snapshot;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::access;
use super::log::StageLog;
use crate::bst::child_environment;
use crate::config::ProjectConfig;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Retry, of_runner};
use crate::failure::is_full;
use crate::names::{CommitId, Stage, digest};
use crate::panics;
use crate::report::{Outcome, StageReport};
use crate::runner::{Exit, Invocation, RunContext, RunnerError};
use crate::sanitize::strip_control;
use crate::secret::Redact as _;

pub use kept::PreparedFiles;
use kept::PreparedStore;
pub(super) use kept::PreparedText;
use snapshot::TreeSnapshot;

/// What of a command's last words is told, in bytes and lines.
const TAIL_BYTES: usize = 4 << 10;
const TAIL_LINES: usize = 10;
/// The name of its log.
const LOG: &str = "prepare.log";

/// Preparing one clean checkout.
#[derive(Debug)]
#[non_exhaustive]
pub struct Preparation<'a> {
    /// The project, whose `prepare` is run.
    pub project: &'a ProjectConfig,
    /// The commit that is checked out.
    pub commit: &'a CommitId,
    /// What runs the command, in which environment and until when, whose clock and what masks secrets.
    pub context: RunContext<'a>,
    /// The directory with `project.conf`, in which the command is run.
    pub directory: &'a Path,
    /// The top of the working tree. What is made is kept in `prepared` beside it.
    pub tree: &'a Path,
    /// The objects that the working tree's repository borrows, as in [`PipelineDirectories::objects`](super::PipelineDirectories::objects).
    pub objects: Option<&'a Path>,
    /// For the command's temporary files.
    pub temporary: &'a Path,
    /// The run's directory, which the log is named relative to.
    pub run: &'a Path,
    /// Where the log goes, below `run`.
    pub logs: &'a Path,
    /// Whether the command is run although what it made is kept.
    pub again: bool,
}

impl Preparation<'_> {
    /// Runs the command, or puts back what it made of the same commit; gives the report, and what was made where all of
    /// it is there. Nothing else may be at work in the checkout, which has to be clean.
    pub fn run(&self) -> (StageReport, Option<PreparedFiles>) {
        let began = Instant::now();
        let mut report = StageReport::new(Stage::Prepare, None, self.context.clock.now());
        let prepared = match self.put_back(&mut report) {
            Ok(Some(prepared)) => {
                let made = prepared.made().strftime("%Y-%m-%d %H:%M:%S UTC");
                report.outcome = Outcome::Skipped;
                report.skipped = Some(format!("what it made of this commit at {made} was put back"));
                Ok(prepared)
            }
            Ok(None) => self.make(&mut report),
            Err(error) => Err(self.cannot("put back what it made", &error)),
        };
        report.seconds = began.elapsed().as_secs_f64();
        let prepared = prepared.map_err(|failure| {
            report.outcome =
                if failure.kind == FailureKind::Interrupted { Outcome::Interrupted } else { Outcome::Failed };
            report.failures.push(failure.with_stage(Stage::Prepare));
        });
        (report.redacted(self.context.redactor), prepared.ok())
    }

    /// What stands for everything that decides what is made.
    fn key(&self) -> String {
        let inputs = (self.commit, &self.project.directory, &self.project.prepare, self.project.submodules);
        digest(format!("{inputs:?}").as_bytes())
    }

    fn put_back(&self, report: &mut StageReport) -> io::Result<Option<PreparedFiles>> {
        if self.again {
            return Ok(None);
        }
        let key = self.key();
        match (PreparedStore { slot: self.slot(), key: &key }).load() {
            Ok(Some(prepared)) => prepared.put_back().map(|()| Some(prepared)),
            Ok(None) => Ok(None),
            Err(error) => {
                report.notes.push(format!("what it made before cannot be used, so that it is run again: {error}"));
                Ok(None)
            }
        }
    }

    /// Runs the command, and keeps what it makes.
    fn make(&self, report: &mut StageReport) -> Result<PreparedFiles, Diagnosis> {
        let look = || TreeSnapshot::of(self.tree).map_err(|error| self.cannot("look through the checkout", &error));
        let before = look()?;
        self.execute(report)?;
        let changes = before.changes(&look()?);
        let key = self.key();
        let store = PreparedStore { slot: self.slot(), key: &key };
        store.keep(&changes, self.context.clock.now()).map_err(|error| self.cannot("keep what it made", &error))
    }

    fn execute(&self, report: &mut StageReport) -> Result<(), Diagnosis> {
        let mut log = self.open_log(report);
        log.write(format!("$ {}\n", self.command_line()).as_bytes());
        let mut tail = VecDeque::new();
        let invocation = self.invocation().map_err(|error| self.cannot("begin", &error))?;
        report.attempts = 1;
        let ended = panics::catch(|| {
            self.context.runner.run(&invocation, self.context.cancel, &mut |_, bytes| {
                log.write(bytes);
                tail.extend(bytes.iter().rev().take(TAIL_BYTES).rev());
                tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
            })
        });
        if let Err(error) = log.finish() {
            report.notes.push(format!("the log is not whole: {error}"));
        }
        match ended {
            Ok(Ok(exit)) if exit.is_success() => Ok(()),
            Ok(Ok(exit)) => Err(self.ended(exit, &last_lines(tail.make_contiguous()))),
            Ok(Err(error)) => Err(self.not_run(&error)),
            Err(words) => {
                let hint =
                    "report this to the authors of the program that runs bst-fetcher's library, with the message";
                let message = format!("the runner of this program panicked: {words}");
                Err(Diagnosis::new(FailureKind::Bug, message, Retry::No, Actor::Host, hint))
            }
        }
    }

    fn invocation(&self) -> io::Result<Invocation> {
        fs::create_dir_all(self.temporary)?;
        let mut command: Vec<OsString> = self.project.prepare.iter().map(OsString::from).collect();
        if let Some(program) = self.project.prepare.first().filter(|program| program.contains('/')) {
            // A file of the checkout, whichever directory a runner starts from.
            command[0] = self.directory.join(program).into();
        }
        let mut environment = child_environment(self.context.environment, &self.project.buildstream.pass_environment);
        environment.insert("TMPDIR".into(), self.temporary.into());
        // It runs the branch's own code, as bst does, and is confined as that is.
        let git = self.tree.join(".git");
        access::make_home(self.project, self.temporary)?;
        let mut invocation = Invocation::new(command, self.directory)
            .environment(environment)
            .timeout(self.project.timeout)
            .reads([Some(&*git), self.objects].into_iter().flatten().filter(|path| path.exists()))
            .reads(self.project.credentials.files().map(|(_, file)| file))
            .writes([self.tree, self.temporary])
            .sandbox(self.project.sandbox.clone());
        invocation.access.home = Some(access::home(self.temporary));
        Ok(invocation)
    }

    fn open_log(&self, report: &mut StageReport) -> StageLog {
        let path = self.logs.join(LOG);
        match StageLog::open(&path, self.context.redactor) {
            Ok(log) => {
                report.log = Some(path.strip_prefix(self.run).map(PathBuf::from).unwrap_or(path));
                log
            }
            Err(error) => {
                report.notes.push(format!("no log: cannot write {}: {error}", path.display()));
                StageLog::none()
            }
        }
    }

    /// The command for people.
    fn command_line(&self) -> String {
        let plain =
            |word: &str| !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "'\"\\$`".contains(c));
        let words = self.project.prepare.iter();
        words.map(|word| if plain(word) { word.clone() } else { format!("{word:?}") }).collect::<Vec<_>>().join(" ")
    }

    fn slot(&self) -> &Path {
        self.tree.parent().unwrap_or(self.tree)
    }

    /// Why the command did not end well.
    fn ended(&self, exit: Exit, last: &str) -> Diagnosis {
        let (kind, how) = match exit {
            Exit::Status(status) => (FailureKind::PrepareFailed, format!("ended with exit status {status}")),
            Exit::Signal(signal) => (FailureKind::PrepareFailed, format!("was killed by signal {signal}")),
            Exit::TimedOut => {
                (FailureKind::TimeOut, format!("was stopped after {} (`timeout`)", span(self.project.timeout)))
            }
            Exit::Cancelled => (FailureKind::Interrupted, "was stopped with the run".to_owned()),
            Exit::NoSpace { free, wanted } => {
                let (free, wanted) = (free >> 20, wanted >> 20);
                (
                    FailureKind::DiskFull,
                    format!("was stopped because {free} MiB are free and {wanted} MiB are to stay free"),
                )
            }
        };
        let said = if last.is_empty() { String::new() } else { format!("; its last words:\n{last}") };
        self.failed(kind, &format!("{how}{said}"))
    }

    fn not_run(&self, error: &RunnerError) -> Diagnosis {
        let found = of_runner(error, Stage::Prepare);
        match (error, found.kind) {
            (RunnerError::Start { source, .. }, FailureKind::BstMissing) => {
                let hint = "install the program, or correct `prepare` in the configuration";
                let failure = self.failed(FailureKind::PrepareFailed, &format!("cannot be started: {source}"));
                failure.with_hint(hint.to_owned())
            }
            _ => found,
        }
    }

    /// Something that is ours to do failed.
    fn cannot(&self, what: &str, error: &io::Error) -> Diagnosis {
        let how = format!("cannot {what}: {error}");
        if is_full(error) {
            return self.failed(FailureKind::DiskFull, &how);
        }
        let hint = "let the command make only files, directories and links, with names in UTF-8, of less than 1 GiB in all, \
                    that this user can read";
        self.failed(FailureKind::PrepareFailed, &how).with_hint(hint.to_owned())
    }

    fn failed(&self, kind: FailureKind, how: &str) -> Diagnosis {
        let message = match how.strip_prefix("cannot ") {
            Some(rest) if !how.starts_with("cannot be ") => {
                format!("`prepare` ({}): cannot {rest}", self.command_line())
            }
            _ => format!("`{}` (prepare) {how}", self.command_line()),
        };
        Diagnosis::of_kind(kind, message)
    }
}

/// The last lines of an output, in readable form.
fn last_lines(tail: &[u8]) -> String {
    let text = strip_control(&String::from_utf8_lossy(tail));
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds >= 60 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
