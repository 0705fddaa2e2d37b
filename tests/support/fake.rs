//! The fake `bst` of `fixtures/fake-bst`, and a project that it is enough for.

use std::fs;
use std::path::{Path, PathBuf};

use crate::git_fixture::Repo;
use crate::scratch::Scratch;

/// The fake with a scenario of its own.
pub struct FakeBst {
    directory: PathBuf,
}

/// One call of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The working directory.
    pub directory: PathBuf,
    /// `track`, `fetch`, `push` or `show`.
    pub command: String,
    /// All of the command line.
    pub arguments: Vec<String>,
}

impl FakeBst {
    /// One that does what `scenario` says, as `fixtures/fake-bst/README.md` has it.
    pub fn new(scratch: &Scratch, scenario: &str) -> Self {
        let fake = Self { directory: scratch.path("scenario") };
        fake.now(scenario);
        fake
    }

    /// One that does nothing else yet than succeed, with its scenario in a directory of this name.
    pub fn at(scratch: &Scratch, directory: &str) -> Self {
        let fake = Self { directory: scratch.path(directory) };
        fake.now("");
        fake
    }

    /// From now on another scenario.
    pub fn now(&self, scenario: &str) {
        fs::create_dir_all(&self.directory).expect("the scenario's directory");
        // Renamed into place, for it may be read at this moment.
        fs::write(self.directory.join("new"), scenario).expect("the scenario");
        fs::rename(self.directory.join("new"), self.directory.join("scenario.sh")).expect("the scenario");
    }

    /// A file in the scenario's directory, for scenarios that read or write one.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Lines of the configuration that name it as the `bst` of everything.
    pub fn config(&self) -> String {
        let scenario = self.directory.display();
        format!("[sandbox]\nwrite = ['{scenario}']\n[buildstream]\ncommand = {}\n", self.command())
    }

    /// The value of `command` in the configuration.
    pub fn command(&self) -> String {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/fake-bst/bst");
        let program = program.canonicalize().expect("the fake bst");
        format!("['{}', '--scenario', '{}']", program.display(), self.directory.display())
    }

    /// The calls so far, those for the version, those that list elements and those that only ask for keys left out.
    pub fn calls(&self) -> Vec<Call> {
        let asks_for_keys = |call: &Call| call.values("-c").iter().any(|conf| conf.ends_with("/keys.conf"));
        self.every_call().into_iter().filter(|call| call.command != "show" && !asks_for_keys(call)).collect()
    }

    /// The calls that list elements.
    pub fn listings(&self) -> Vec<Call> {
        self.every_call().into_iter().filter(|call| call.command == "show").collect()
    }

    /// The calls so far, those for the version left out.
    pub fn every_call(&self) -> Vec<Call> {
        let text = fs::read_to_string(self.directory.join("calls")).unwrap_or_default();
        text.lines().map(Call::from_line).collect()
    }

    /// The commands so far, in their order.
    pub fn commands(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.command).collect()
    }

    /// Forgets the calls so far.
    pub fn forget(&self) {
        let _ = fs::remove_file(self.directory.join("calls"));
    }
}

impl Call {
    fn from_line(line: &str) -> Self {
        let mut words = line.split('\t').map(str::to_owned);
        let mut next = || words.next().expect("a word");
        Self { directory: next().into(), command: next(), arguments: words.collect() }
    }

    /// What follows an option, each time it is given.
    pub fn values(&self, option: &str) -> Vec<&str> {
        let pairs = self.arguments.windows(2).filter(|pair| pair[0] == option);
        pairs.map(|pair| pair[1].as_str()).collect()
    }

    /// What stands behind `--`.
    pub fn targets(&self) -> Vec<&str> {
        self.arguments.iter().skip_while(|word| *word != "--").skip(1).map(String::as_str).collect()
    }
}

/// A project's repository with the elements `a.bst` and `b.bst`, which have refs, and `all.bst` over them; its branches
/// are `main` and the ones named.
pub fn upstream(scratch: &Scratch, branches: &[&str]) -> Repo {
    let repo = scratch.repo("project");
    repo.write("project.conf", "name: fake\nmin-version: 2.0\nelement-path: elements\n");
    for name in ["a", "b"] {
        let reference = name.repeat(40);
        let element =
            format!("kind: import\nsources:\n- kind: git\n  url: up:{name}\n  track: main\n  ref: {reference}\n");
        repo.write(&format!("elements/{name}.bst"), &element);
    }
    repo.write("elements/all.bst", "kind: stack\ndepends: [a.bst, b.bst]\n");
    repo.commit("A project");
    for branch in branches {
        repo.git(&["branch", branch]);
    }
    repo
}
