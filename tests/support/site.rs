//! A host whose configuration comes from a git repository.

use std::fs;
use std::path::PathBuf;

use fetcher_core::CommitId;

use crate::fake::{FakeBst, upstream};
use crate::fetcher::{Ended, Fetcher};
use crate::git_fixture::Repo;
use crate::scratch::Scratch;

/// Where `init --from` puts the clone.
pub const CLONE: &str = "home/.config/bst-fetcher/repository";

/// Such a host, with a fake `bst` and a project to fetch.
pub struct Site {
    /// The directory that holds all of it.
    pub scratch: Scratch,
    /// The configuration's repository.
    pub repo: Repo,
    /// The project's repository.
    pub project: Repo,
    /// The `bst`.
    pub fake: FakeBst,
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// One whose repository has a good configuration in `config.toml`; the host is not set up yet.
    pub fn new() -> Self {
        let scratch = Scratch::new();
        let project = upstream(&scratch, &["other"]);
        let fake = FakeBst::new(&scratch, "");
        let repo = scratch.repo("configuration");
        let site = Self { scratch, repo, project, fake };
        site.repo.write("config.toml", &site.config(""));
        site.repo.commit("A configuration");
        site
    }

    /// A good configuration; `more` is in its `[[project]]`, and may begin further tables.
    pub fn config(&self, more: &str) -> String {
        let root = self.scratch.root().display();
        format!(
            "[fetcher]\nstate-dir = \"{root}/state\"\ncache-dir = \"{root}/cache\"\nmin-free-space = \"1M\"\n\
             {}[[project]]\nurl = \"{root}/project\"\n{more}\n",
            self.fake.config()
        )
    }

    /// Commits a configuration to the repository.
    pub fn push(&self, config: &str, message: &str) -> CommitId {
        self.repo.write("config.toml", config);
        self.repo.commit(message)
    }

    /// Sets the host up from this address.
    pub fn init_from(&self, url: &str) -> Ended {
        self.fetcher().run(&["init", "--from", url])
    }

    /// The host, set up.
    #[must_use]
    pub fn set_up(self) -> Self {
        self.init_from(&self.repo.url()).expect(0);
        self
    }

    /// The program with the configuration that `init` put into place.
    pub fn fetcher(&self) -> Fetcher<'_> {
        Fetcher::new(&self.scratch).using("home/.config/bst-fetcher/config.toml")
    }

    /// `run`.
    pub fn run(&self) -> Ended {
        self.fetcher().run(&["run"])
    }

    /// The clone on the host.
    pub fn cloned(&self) -> Repo {
        Repo::at(self.scratch.root(), CLONE)
    }

    /// A path in the clone.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(CLONE).join(name)
    }

    /// The text of a file in the clone.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file of the clone")
    }

    /// The branches that the last run worked on.
    pub fn branches(&self) -> Vec<String> {
        let report = self.fetcher().report();
        let branches = report["branches"].as_array().expect("branches").iter();
        branches.map(|branch| branch["branch"].as_str().expect("a name").to_owned()).collect()
    }
}
