//! Git repositories for tests, made with the real git and nothing of the user's own configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fetcher_core::git::{BranchMatches, FetchSummary, Git, GitAccess, Mirror, RemoteRepository, select};
use fetcher_core::{Cancel, CommitId, Environment, FreeSpace, RunContext};
use tempfile::TempDir;

use crate::plain_runner::PlainRunner;

/// A directory with repositories, mirrors and checkouts of one test.
pub struct Fixture {
    directory: TempDir,
    /// What runs git for the code under test.
    pub runner: PlainRunner,
    /// The environment handed to the code under test.
    pub environment: Environment,
    /// What stops the code under test.
    pub cancel: Cancel,
    /// How long one exchange may take.
    pub timeout: Duration,
    /// What is to stay free.
    pub space: Option<FreeSpace>,
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixture {
    /// An empty one.
    pub fn new() -> Self {
        let directory = crate::host::temporary("g-");
        fs::create_dir(directory.path().join("home")).expect("a home");
        let environment = hermetic(directory.path()).into_iter().collect();
        let (runner, cancel) = (PlainRunner::default(), Cancel::new());
        Self { directory, runner, environment, cancel, timeout: Duration::from_secs(60), space: None }
    }

    /// A path below the fixture's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a repository with one commit on `main`.
    pub fn repo(&self, name: &str) -> Repo {
        let repo = Repo::init(self.directory.path(), name);
        repo.write("project.conf", &format!("name: {}\n", name.replace('/', "-")));
        repo.commit("first");
        repo
    }

    /// Makes the code under test run a script for `git`; in it, `$GIT` is the real one.
    pub fn instead_of_git(&mut self, script: &str) {
        let (bin, path) = (self.path("bin"), std::env::var_os("PATH").expect("PATH"));
        let real = std::env::split_paths(&path).map(|directory| directory.join("git")).find(|path| path.exists());
        fs::create_dir(&bin).expect("a directory for programs");
        let script = format!("#!/bin/sh\nGIT={}\n{script}\n", real.expect("git").display());
        fs::write(bin.join("git"), script).expect("the script");
        fs::set_permissions(bin.join("git"), PermissionsExt::from_mode(0o755)).expect("its mode");
        let rest = self.environment.get("PATH").expect("PATH").to_string_lossy().into_owned();
        self.environment.set("PATH", format!("{}:{rest}", bin.display()));
    }

    /// How the code under test runs git.
    pub fn git(&self) -> Git<'_> {
        let context = RunContext::new(&self.environment, &self.cancel).local_runner(&self.runner);
        let mut git = Git::new(context, self.timeout);
        git.space = self.space.as_ref();
        git
    }

    /// The mirror, of the name `mirror`, of an address.
    pub fn mirror(&self, url: impl AsRef<str>) -> Mirror<'_> {
        self.mirror_with(url.as_ref(), &GitAccess::default())
    }

    /// The same with credentials.
    pub fn mirror_with(&self, url: &str, access: &GitAccess) -> Mirror<'_> {
        Mirror::new(self.git(), &self.path("mirror"), RemoteRepository::new(url, access).expect("a remote"))
    }
}

/// Chooses and fetches branches.
pub fn fetch(mirror: &Mirror<'_>, patterns: &[&str]) -> FetchSummary {
    mirror.fetch(&chosen(mirror, patterns).tips).expect("a fetch")
}

/// Chooses branches.
pub fn chosen(mirror: &Mirror<'_>, patterns: &[&str]) -> BranchMatches {
    let patterns: Vec<_> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    select(&patterns, &[], &mirror.remote_refs().expect("a listing")).expect("a selection")
}

/// A repository with a working tree.
pub struct Repo {
    /// Where it is.
    pub path: PathBuf,
    home: PathBuf,
}

impl Repo {
    /// Makes an empty repository of this name below a directory that has a `home`.
    pub fn init(directory: &Path, name: &str) -> Self {
        let repo = Self { path: directory.join(name), home: directory.to_owned() };
        fs::create_dir_all(&repo.path).expect("a repository's directory");
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    /// One that is there already.
    pub fn at(directory: &Path, name: &str) -> Self {
        Self { path: directory.join(name), home: directory.to_owned() }
    }

    /// The path as an address.
    pub fn url(&self) -> String {
        self.path.display().to_string()
    }

    /// Runs git in it, and gives what it says.
    pub fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(args).current_dir(&self.path).env_clear().envs(hermetic(&self.home));
        let output = command.output().expect("git");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Writes a file of the working tree.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, content).expect("a file");
    }

    /// Commits everything, and gives the commit.
    pub fn commit(&self, message: &str) -> CommitId {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.tip("HEAD")
    }

    /// The commit that a name stands for.
    pub fn tip(&self, name: &str) -> CommitId {
        self.git(&["rev-parse", &format!("{name}^{{commit}}")]).parse().expect("a commit")
    }

    /// Makes a submodule of another repository and commits it.
    pub fn submodule(&self, url: &str, path: &str, commit: &CommitId) -> CommitId {
        self.git(&["config", "--file", ".gitmodules", &format!("submodule.{path}.path"), path]);
        self.git(&["config", "--file", ".gitmodules", &format!("submodule.{path}.url"), url]);
        self.git(&["add", ".gitmodules"]);
        // Else the next commit of everything would take it for deleted.
        fs::create_dir_all(self.path.join(path)).expect("the submodule's directory");
        self.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
        self.git(&["commit", "--quiet", "--message", "submodule"]);
        self.tip("HEAD")
    }

    /// What a fresh clone's working tree of a commit holds, as git itself writes it.
    pub fn expected(&self, commit: &CommitId, place: &Path) -> Vec<String> {
        let clone = place.display().to_string();
        self.git(&["clone", "--quiet", "--no-checkout", ".", &clone]);
        let clone = Repo { path: place.to_owned(), home: self.home.clone() };
        clone.git(&["checkout", "--quiet", "--detach", commit.as_str()]);
        contents(place)
    }
}

/// Everything in a directory but its own `.git`, a line each: path, sort and mode, content.
pub fn contents(directory: &Path) -> Vec<String> {
    fn walk(directory: &Path, prefix: &str, lines: &mut Vec<String>) {
        for entry in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry")) {
            let name = format!("{prefix}{}", entry.file_name().display());
            if name == ".git" {
                continue;
            }
            let metadata = entry.path().symlink_metadata().expect("metadata");
            if metadata.is_dir() {
                lines.push(format!("{name}/"));
                walk(&entry.path(), &format!("{name}/"), lines);
            } else if metadata.is_symlink() {
                lines.push(format!("{name} -> {}", fs::read_link(entry.path()).expect("a link").display()));
            } else if metadata.is_file() {
                let content = String::from_utf8_lossy(&fs::read(entry.path()).expect("a file")).into_owned();
                lines.push(format!("{name} {:o} {content:?}", metadata.permissions().mode() & 0o7777));
            } else {
                lines.push(format!("{name} special"));
            }
        }
    }
    let mut lines = Vec::new();
    walk(directory, "", &mut lines);
    lines.sort();
    lines
}

/// The environment of git in tests.
pub fn hermetic(directory: &Path) -> Vec<(String, String)> {
    let directory = directory.display();
    let mut variables: Vec<_> = [
        ("HOME", format!("{directory}/home")),
        ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ("GIT_CONFIG_GLOBAL", format!("{directory}/home/.gitconfig")),
        ("GIT_AUTHOR_NAME", "A".to_owned()),
        ("GIT_AUTHOR_EMAIL", "a@example.org".to_owned()),
        ("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z".to_owned()),
        ("GIT_COMMITTER_NAME", "A".to_owned()),
        ("GIT_COMMITTER_EMAIL", "a@example.org".to_owned()),
        ("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    variables.extend(std::env::var("PATH").map(|path| ("PATH".to_owned(), path)));
    variables
}
