//! The real `bst` with a cache of its own, as the client of another.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bst;
use crate::scratch::Scratch;

/// A copy of a project, and a configuration.
pub struct Client<'s> {
    scratch: &'s Scratch,
    home: PathBuf,
}

impl<'s> Client<'s> {
    /// A client with an empty cache, that has a copy of a project's tree. `remotes` is further configuration.
    pub fn new(scratch: &'s Scratch, name: &str, tree: &Path, remotes: &str) -> Self {
        let home = scratch.path(name);
        let cache = home.join("cache");
        Self::with_cache(scratch, name, tree, &cache, remotes)
    }

    /// The same on a cache that is there.
    pub fn with_cache(scratch: &'s Scratch, name: &str, tree: &Path, cache: &Path, remotes: &str) -> Self {
        let home = scratch.path(name);
        fs::create_dir_all(&home).expect("a client's home");
        let copied = Command::new("cp").arg("-r").arg(tree).arg(home.join("project")).status().expect("cp");
        assert!(copied.success());
        let (here, cache) = (home.display(), cache.display());
        let conf = format!("cachedir: {cache}\nsourcedir: {here}/sources\nlogdir: {here}/logs\n{remotes}");
        fs::write(home.join("buildstream.conf"), conf).expect("a configuration");
        Self { scratch, home }
    }

    /// Lets all upstreams of the copy be somewhere where nothing is. Cache keys stay the same: they have aliases.
    #[must_use]
    pub fn without_upstreams(self) -> Self {
        let path = self.home.join("project/project.conf");
        let text = fs::read_to_string(&path).expect("project.conf");
        let lines = text.lines().map(|line| match line.split_once(": ") {
            Some((alias @ ("  up" | "  files"), _)) => format!("{alias}: http://127.0.0.1:9/"),
            _ => line.to_owned(),
        });
        fs::write(&path, lines.collect::<Vec<_>>().join("\n") + "\n").expect("project.conf");
        self
    }

    /// Runs `bst`; gives whether it succeeded, and what it said.
    pub fn bst(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.command(arguments).output().expect("bst");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The command, not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(bst::bst());
        command.env_clear().envs(self.scratch.environment()).current_dir(self.home.join("project"));
        command.arg("--no-interactive").arg("-c").arg(self.home.join("buildstream.conf")).args(arguments);
        command
    }

    /// Runs `bst`, which has to succeed.
    #[track_caller]
    pub fn must(&self, arguments: &[&str]) -> String {
        let (succeeded, said) = self.bst(arguments);
        assert!(succeeded, "bst {arguments:?}:\n{said}");
        said
    }

    /// Fetches an element's sources, and all that it depends on.
    #[track_caller]
    pub fn fetch(&self, element: &str) -> String {
        self.must(&["source", "fetch", "--deps", "all", element])
    }

    /// Checks an element's sources out, and says where.
    #[track_caller]
    pub fn sources(&self, element: &str) -> PathBuf {
        let directory = self.home.join("sources-of").join(element.replace(':', "-"));
        fs::create_dir_all(directory.parent().expect("a parent")).expect("a directory");
        self.must(&["source", "checkout", "--deps", "none", "--directory", path(&directory), element]);
        directory
    }

    /// Checks an element's artifact out, and says where.
    #[track_caller]
    pub fn artifact(&self, element: &str) -> PathBuf {
        let directory = self.home.join("artifact-of").join(element.replace(':', "-"));
        fs::create_dir_all(directory.parent().expect("a parent")).expect("a directory");
        self.must(&["artifact", "checkout", "--deps", "none", "--directory", path(&directory), element]);
        directory
    }
}

/// The configuration of one server for sources and artifacts; `more` are further lines of the entry.
pub fn remotes(url: &str, more: &str) -> String {
    let entry = format!("  - url: {url}\n{more}");
    format!("source-caches:\n  servers:\n{entry}artifacts:\n  servers:\n{entry}")
}

/// Fails where two directories differ in anything.
#[track_caller]
pub fn same(one: &Path, other: &Path) {
    let output = Command::new("diff").args(["-r", "--no-dereference"]).arg(one).arg(other).output().expect("diff");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(fs::read_dir(one).expect("a directory").next().is_some(), "{} is empty", one.display());
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of characters")
}
