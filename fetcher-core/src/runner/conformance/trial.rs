//! One child of a runner whose contract is tried.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::runner::{Exit, Invocation, OutputStream, Runner, RunnerError};

/// How long any child of these may take; none needs it.
const LONG: Duration = Duration::from_secs(60);

/// A runner with a directory of its own.
pub(super) struct Trial<'r> {
    pub(super) runner: &'r dyn Runner,
    pub(super) directory: PathBuf,
    search: String,
}

/// What was seen of a child.
pub(super) struct Seen {
    pub(super) ended: Result<Exit, RunnerError>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) took: Duration,
}

impl<'r> Trial<'r> {
    pub(super) fn new(runner: &'r dyn Runner, directory: PathBuf, search: &str) -> Result<Self, String> {
        fs::create_dir_all(&directory).map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
        Ok(Self { runner, directory, search: search.to_owned() })
    }

    /// A shell script, which has the directory to itself.
    pub(super) fn script(&self, script: &str) -> Invocation {
        self.command(&["sh", "-c", script])
    }

    pub(super) fn command(&self, words: &[&str]) -> Invocation {
        let environment: BTreeMap<OsString, OsString> = BTreeMap::from([("PATH".into(), self.search.clone().into())]);
        let invocation = Invocation::new(words, &self.directory).environment(environment).timeout(LONG);
        invocation.reads([&self.directory]).writes([&self.directory])
    }

    pub(super) fn run(&self, invocation: &Invocation) -> Seen {
        self.run_until(invocation, &Cancel::new(), &mut |_| {})
    }

    /// The same; `tell` gets each piece as it comes.
    pub(super) fn run_until(&self, invocation: &Invocation, cancel: &Cancel, tell: &mut dyn FnMut(&[u8])) -> Seen {
        let began = Instant::now();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let ended = self.runner.run(invocation, cancel, &mut |stream, piece| {
            match stream {
                OutputStream::Stdout => stdout.extend_from_slice(piece),
                OutputStream::Stderr => stderr.extend_from_slice(piece),
            }
            tell(piece);
        });
        Seen { ended, stdout, stderr, took: began.elapsed() }
    }

    /// How much a file of the directory holds; nothing, where there is none.
    pub(super) fn size(&self, name: &str) -> u64 {
        fs::metadata(self.directory.join(name)).map_or(0, |file| file.len())
    }
}

impl Seen {
    /// Expects that it ended so, and wrote this.
    pub(super) fn expect(&self, exit: Exit, stdout: &str) -> Result<(), String> {
        self.expect_exit(&[exit])?;
        if self.stdout == stdout.as_bytes() {
            return Ok(());
        }
        Err(format!("it wrote {:?} instead of {stdout:?}", self.text()))
    }

    pub(super) fn expect_exit(&self, allowed: &[Exit]) -> Result<(), String> {
        match &self.ended {
            Ok(exit) if allowed.contains(exit) => Ok(()),
            ended => Err(format!("it ended with {ended:?} instead of {allowed:?}, having written {:?}", self.text())),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout[self.stdout.len().saturating_sub(500)..]).into_owned()
    }
}
