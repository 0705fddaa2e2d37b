//! A directory of one test's own, with a home, and nothing of the user's.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::git_fixture::{Repo, hermetic};

/// Such a directory; it is gone when it is dropped. Where the test has failed, the logs below `state` are shown first.
pub struct Scratch(TempDir);

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            show_logs(&self.path("state"));
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// An empty one.
    pub fn new() -> Self {
        // A short path: bst makes sockets below, whose paths may have 107 bytes (unix(7)).
        let directory = crate::host::temporary("t-");
        fs::create_dir(directory.path().join("home")).expect("a home");
        Self(directory)
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// A path below it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(&path, content).expect("a file");
        path
    }

    /// Where the repository of this name is mirrored, relative to the cache directory.
    ///
    /// # Panics
    /// When it is not.
    pub fn mirror(&self, repository: &str) -> String {
        let all = fs::read_dir(self.path("cache/mirrors")).expect("the mirrors");
        let mut names = all.map(|entry| entry.expect("a mirror").file_name().to_string_lossy().into_owned());
        let is_its = |name: &String| {
            name.starts_with(&format!("{repository}@")) && Path::new(name).extension().is_none_or(|end| end != "lock")
        };
        let name = names.find(is_its).unwrap_or_else(|| panic!("no mirror of {repository}"));
        format!("mirrors/{name}")
    }

    /// Makes an empty git repository.
    pub fn repo(&self, name: &str) -> Repo {
        Repo::init(self.root(), name)
    }

    /// The environment of every program in tests: a home of its own, and git's settings and dates pinned.
    pub fn environment(&self) -> Vec<(String, String)> {
        hermetic(self.root())
    }
}

fn show_logs(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            show_logs(&path);
        } else if path.extension().is_some_and(|end| end == "log") {
            let text = fs::read(&path).unwrap_or_default();
            let end = &text[text.len().saturating_sub(10_000)..];
            eprintln!("---- {}\n{}", path.display(), String::from_utf8_lossy(end));
        }
    }
}
