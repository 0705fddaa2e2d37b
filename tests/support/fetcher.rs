//! Running the program, so that a test reads like a sentence.

use std::fmt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::ordinary_user;
use crate::scratch::Scratch;
use crate::unit::UnitSurroundings;

/// The program with a configuration, in the environment of a scratch directory.
pub struct Fetcher<'s> {
    scratch: &'s Scratch,
    configuration: PathBuf,
    environment: Vec<(String, String)>,
    prefix: Vec<String>,
    program: Option<PathBuf>,
}

impl<'s> Fetcher<'s> {
    /// The program without any configuration.
    pub fn new(scratch: &'s Scratch) -> Self {
        let configuration = scratch.path("config.toml");
        Self { scratch, configuration, environment: scratch.environment(), prefix: Vec::new(), program: None }
    }

    /// Writes the configuration. Memory and caches are below the scratch directory, in `state` and `cache`.
    #[must_use]
    pub fn config(self, text: impl fmt::Display) -> Self {
        let root = self.scratch.root().display();
        // Ordinary tests are not to fail because the machine has little room.
        let own = format!("state-dir = \"{root}/state\"\ncache-dir = \"{root}/cache\"\nmin-free-space = \"1M\"\n");
        let text = text.to_string();
        let text = match text.split_once("[fetcher]\n") {
            Some((before, after)) => format!("{before}[fetcher]\n{own}{after}"),
            None => format!("[fetcher]\n{own}\n{text}"),
        };
        let text = shows_scenarios(text);
        self.scratch.write("config.toml", text);
        self
    }

    /// Uses this configuration file of the scratch directory, whoever writes it.
    #[must_use]
    pub fn using(mut self, name: &str) -> Self {
        self.configuration = self.scratch.path(name);
        self
    }

    /// Sets a variable of the program's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// Starts this copy of the program, by its path.
    #[must_use]
    pub fn program(mut self, path: &Path) -> Self {
        self.program = Some(path.to_owned());
        self
    }

    /// Lets a shell run this line before it becomes the program: `ulimit`, say.
    #[must_use]
    pub fn limited(mut self, line: &str) -> Self {
        let line = format!("{line}\nexec \"$0\" \"$@\"");
        self.prefix.extend(["/bin/sh".to_owned(), "-c".to_owned(), line]);
        self
    }

    /// Lets the program have a file system of this size as a directory of the scratch directory. It takes root, or a
    /// kernel that lets users mount in a namespace of their own.
    #[must_use]
    pub fn small_disk(mut self, directory: &str, size: &str) -> Self {
        self.prefix = vec!["unshare".to_owned(), "--mount".to_owned()];
        if !rustix::process::geteuid().is_root() {
            self.prefix.push("--map-root-user".to_owned());
        }
        let path = self.scratch.path(directory);
        std::fs::create_dir_all(&path).expect("the directory");
        self.limited(&format!("mount -t tmpfs -o size={size} none '{}' || exit 96", path.display()))
    }

    /// Lets the program run where there is no network, not even loopback. It takes root, or a kernel that lets users have
    /// a namespace of their own.
    #[must_use]
    pub fn offline(mut self) -> Self {
        self.prefix = vec!["unshare".to_owned(), "--net".to_owned()];
        if !rustix::process::geteuid().is_root() {
            self.prefix.push("--map-root-user".to_owned());
        }
        self
    }

    /// Lets these words run the program.
    #[must_use]
    pub fn through(mut self, words: Vec<String>) -> Self {
        self.prefix = words;
        self
    }

    /// Runs the program as a user that is not root, to whom the scratch directory is given as it is now.
    ///
    /// # Panics
    /// When this machine has no user namespaces, which bubblewrap needs.
    #[must_use]
    pub fn as_ordinary_user(self) -> Self {
        self.within(&UnitSurroundings { is_ordinary: true, ..UnitSurroundings::default() })
    }

    /// Runs the program in surroundings such as a service has.
    ///
    /// # Panics
    /// When this machine has no user namespaces, and those are an ordinary user's.
    #[must_use]
    pub fn within(mut self, surroundings: &UnitSurroundings) -> Self {
        self.prefix = ordinary_user::prefix(self.scratch, surroundings);
        self
    }

    /// The command, not started. It has a process group of its own.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match (&self.program, &self.prefix[..]) {
            (Some(program), _) => Command::new(program),
            (None, []) => {
                let mut command = Command::new(program());
                command.arg0("bst-fetcher");
                command
            }
            (None, [first, rest @ ..]) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program());
                command
            }
        };
        command.args(arguments).current_dir(self.scratch.root()).stdin(Stdio::null());
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("BST_FETCHER_CONFIG", &self.configuration).process_group(0);
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().expect("the program starts");
        Ended { arguments: arguments.join(" "), output }
    }

    /// `status --json`.
    pub fn status(&self) -> Value {
        self.run(&["status", "--json"]).expect(0).json()
    }

    /// The report of the last run.
    pub fn report(&self) -> Value {
        let runs = std::fs::read_dir(self.scratch.path("state/runs")).expect("the runs");
        let last = runs.map(|run| run.expect("a run").path()).max().expect("a run");
        let text = std::fs::read(last.join("report.json")).expect("the report");
        serde_json::from_slice(&text).expect("a report")
    }

    /// Shows what differs from run to run by its name, in snapshots taken inside.
    pub fn snapshots<T>(&self, inside: impl FnOnce() -> T) -> T {
        let mut settings = insta::Settings::clone_current();
        let escape = |path: &Path| path.display().to_string().replace('.', "\\.");
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
        for (pattern, name) in [
            (escape(self.scratch.root()).as_str(), "[scratch]"),
            (escape(repository).as_str(), "[repository]"),
            (r"/tmp/bst-fetcher-\w+", "[temporary]"),
            (r"\d{8}T\d{6}\.\d{3}Z-\d+", "[run]"),
            (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC)?", "[time]"),
            (r"\b\d+(\.\d+)? ?(ms|s)\b", "[span]"),
            (r"127\.0\.0\.1:\d+", "[address]"),
            (r"\b[0-9a-f]{64}\b", "[digest]"),
            (r"\b[0-9a-f]{40}\b", "[commit]"),
            (r"\b[0-9a-f]{12}\b", "[short commit]"),
            (r"process \d+", "process [pid]"),
        ] {
            settings.add_filter(pattern, name);
        }
        settings.set_omit_expression(true);
        settings.set_prepend_module_to_snapshot(false);
        settings.bind(inside)
    }
}

/// Lets fake `bst`s write into the directories of their scenarios, which the sandbox would hide.
fn shows_scenarios(text: String) -> String {
    let mut scenarios: Vec<_> =
        text.split("'--scenario', '").skip(1).filter_map(|rest| rest.split('\'').next()).collect();
    scenarios.sort_unstable();
    scenarios.dedup();
    if scenarios.is_empty() || text.contains("[sandbox]") {
        return text;
    }
    let write = scenarios.iter().map(|path| format!("'{path}'")).collect::<Vec<_>>().join(", ");
    // Behind a table's header a key would belong to that.
    format!("sandbox.write = [{write}]\n{text}")
}

/// A run that is over. Shown, it is the whole command: arguments, exit status, standard output and error.
pub struct Ended {
    arguments: String,
    output: Output,
}

impl Ended {
    /// The exit status, as a shell has it.
    pub fn status(&self) -> i32 {
        let status = self.output.status;
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
    }

    /// The same, which has to have this exit status.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "a check, which may be all that is wanted")]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status(), status, "{self}");
        self
    }

    /// Standard output.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// Standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.output.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl From<(&[&str], Output)> for Ended {
    fn from((arguments, output): (&[&str], Output)) -> Self {
        Self { arguments: arguments.join(" "), output }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ bst-fetcher {}\nexit status {}", self.arguments, self.status())?;
        for (name, text) in [("stdout", self.stdout()), ("stderr", self.stderr())] {
            if !text.is_empty() {
                write!(f, "---- {name}\n{text}")?;
            }
        }
        Ok(())
    }
}

/// The program under test, which cargo builds beside the tests.
///
/// # Panics
/// When it is not there.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("this test's own path");
    let directory = test.ancestors().nth(2).expect("target's directory");
    let program = directory.join("fetcher-under-test");
    assert!(program.exists(), "{} is not built: run the tests with cargo test", program.display());
    program
}
