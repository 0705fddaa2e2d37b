//! A newer version of the program, where the configuration needs one.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use semver::Version;

use super::error::diagnosis;
use crate::bst::child_environment;
use crate::config::SelfUpdateConfig;
use crate::diagnosis::{Diagnosis, FailureKind, Retry};
use crate::runner::{Exit, Invocation, RunContext, output};
use crate::sanitize::strip_control;

/// Compiling it may take long on a small machine.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// A program that does not even say its version in this time does not work.
const VERSION_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of what a command says is told.
const LINES: usize = 10;
/// What the command of `self-update.binary` gets of the environment beside what every child gets.
const PASSED: [&str; 10] = [
    "CARGO_HOME",
    "RUSTUP_HOME",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The running program, and how it is renewed.
pub(super) struct RunningProgram<'p> {
    /// The file that is started the next time.
    pub(super) path: &'p Path,
    /// Its version.
    pub(super) version: &'p str,
    /// Whether this program was itself started by a renewal.
    pub(super) renewed: bool,
    pub(super) context: RunContext<'p>,
}

impl RunningProgram<'_> {
    /// Whether a version is newer than the running one.
    pub(super) fn is_too_old(&self, wanted: &str) -> bool {
        match (Version::parse(wanted), Version::parse(self.version)) {
            (Ok(wanted), Ok(running)) => running < wanted,
            (Err(_), _) | (_, Err(_)) => false,
        }
    }

    /// Lets the command bring a newer version, and sees that it is one that works. `directory` is that of the
    /// configuration.
    pub(super) fn renew(&self, wanted: &str, settings: &SelfUpdateConfig, directory: &Path) -> Result<(), Diagnosis> {
        let old = format!("the configuration needs bst-fetcher {wanted}, and this is {}", self.version);
        let failed = |what: &str, hint: &str| {
            let message = format!("{old}; {what}");
            Err(diagnosis(FailureKind::SelfUpdate, message, Retry::Once, hint))
        };
        // Another run, or somebody, may have brought it already.
        if !self.renewed && self.there(directory).is_ok_and(|said| is_enough(&said, wanted)) {
            return Ok(());
        }
        if settings.binary.is_empty() {
            return failed(
                "no command is configured to bring it",
                "install it, or set self-update.binary to what does",
            );
        }
        if self.renewed {
            let what = format!("self-update.binary was run, and {} is still the old one", self.path.display());
            return failed(&what, "see that the command installs it to where cron or systemd start it from");
        }
        let mut environment = child_environment(self.context.environment, &PASSED.map(str::to_owned));
        environment.insert("BST_FETCHER_REQUIRED_VERSION".into(), wanted.into());
        environment.insert("BST_FETCHER_PROGRAM".into(), self.path.into());
        let old_program = ReplacedProgram::of(self.path);
        let invocation = Invocation::new(&settings.binary, directory).environment(environment).timeout(TIMEOUT);
        if let Err(said) = self.run(&invocation) {
            let what = format!("self-update.binary did not bring it, so the old one goes on: {said}");
            return failed(&what, "run the command by hand as this user, and mend it in the configuration");
        }
        let said = match self.there(directory) {
            Ok(said) => said,
            Err(said) => {
                let back = match old_program.put_back() {
                    Ok(true) => "was put back",
                    Ok(false) => "goes on; the next run starts what is there now",
                    Err(_) => "goes on, but cannot be put back; the next run starts what is there now",
                };
                let what = format!("what self-update.binary brought does not work, and the old one {back}: {said}");
                return failed(&what, "let self-update.binary install a bst-fetcher that works on this host");
            }
        };
        if is_enough(&said, wanted) {
            return Ok(());
        }
        let what = format!("self-update.binary was run, and {} now says {:?}", self.path.display(), said.trim());
        failed(&what, "see that the command installs it to where cron or systemd start it from")
    }

    /// What the program that is there now says of its version.
    fn there(&self, directory: &Path) -> Result<String, String> {
        let command = [self.path.as_os_str(), OsStr::new("--version")];
        let environment = child_environment(self.context.environment, &[]);
        self.run(&Invocation::new(command, directory).environment(environment).timeout(VERSION_TIMEOUT))
    }

    /// What a command says; as an error where it fails.
    fn run(&self, invocation: &Invocation) -> Result<String, String> {
        let output = output(self.context.local_runner, invocation, self.context.cancel, 64 << 10)
            .map_err(|error| error.to_string())?;
        let said = strip_control(&output.stdout.text());
        let lines: Vec<&str> = said.trim().lines().collect();
        let end = lines[lines.len().saturating_sub(LINES)..].join("\n");
        match output.exit {
            Exit::Status(0) => Ok(said),
            Exit::Status(status) => Err(format!("exit status {status}\n{end}")),
            Exit::Signal(signal) => Err(format!("killed by signal {signal}\n{end}")),
            Exit::TimedOut => Err(format!("no end after {:?}\n{end}", invocation.timeout)),
            Exit::NoSpace { .. } => Err("there is too little free space".to_owned()),
            Exit::Cancelled => Err("stopped before the end".to_owned()),
        }
    }
}

/// Whether what a program says of its version is that version or a newer one.
fn is_enough(said: &str, wanted: &str) -> bool {
    let version = said.split_whitespace().filter_map(|word| Version::parse(word).ok()).next_back();
    version.zip(Version::parse(wanted).ok()).is_some_and(|(version, wanted)| version >= wanted)
}

/// The file of the program before it is renewed.
struct ReplacedProgram<'p> {
    path: &'p Path,
    /// Open, so that it is there when another one has its name; none where its name is that of a link.
    file: Option<File>,
}

impl<'p> ReplacedProgram<'p> {
    fn of(path: &'p Path) -> Self {
        let link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        Self { path, file: File::open(path).ok().filter(|_| !link) }
    }

    /// Gives it back its name; says whether it had lost that.
    fn put_back(self) -> io::Result<bool> {
        let Some(mut old) = self.file else { return Ok(false) };
        let there = fs::symlink_metadata(self.path);
        let kept = old.metadata()?;
        if there.is_ok_and(|there| there.is_symlink() || (there.dev(), there.ino()) == (kept.dev(), kept.ino())) {
            return Ok(false);
        }
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let mut new = tempfile::NamedTempFile::new_in(directory)?;
        io::copy(&mut old, &mut new)?;
        new.as_file().set_permissions(kept.permissions())?;
        new.persist(self.path)?;
        Ok(true)
    }
}
