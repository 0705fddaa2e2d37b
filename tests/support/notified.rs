//! A project that fails or not as a test says, and notifiers that hear of it.

use crate::fake::{FakeBst, upstream};
use crate::fetcher::{Ended, Fetcher};
use crate::git_fixture::Repo;
use crate::scratch::Scratch;

/// A scenario of the fake bst in which `a.bst` cannot be fetched.
pub const FAILS: &str = "fails() { [ $command = push ] && [ $1 = a.bst ]; }";

/// A project called `project` with the branch `main` and those asked for.
pub struct Notified {
    /// Where all of it is.
    pub scratch: Scratch,
    /// The project's repository.
    pub repo: Repo,
    /// Its bst.
    pub fake: FakeBst,
    general: String,
    notifiers: String,
}

impl Notified {
    /// One that hears in the way that these tables say.
    pub fn new(branches: &[&str], notifiers: &str) -> Self {
        let scratch = Scratch::new();
        let (repo, fake) = (upstream(&scratch, branches), FakeBst::new(&scratch, ""));
        let general = "base-url = \"https://fetcher.example.org/\"".to_owned();
        Self { scratch, repo, fake, general, notifiers: notifiers.to_owned() }
    }

    /// Hears in another way from now on.
    pub fn notifiers(&mut self, notifiers: &str) {
        notifiers.clone_into(&mut self.notifiers);
    }

    /// Further keys of `[fetcher]`.
    pub fn general(&mut self, keys: &str) {
        keys.clone_into(&mut self.general);
    }

    /// The program, configured.
    pub fn fetcher(&self) -> Fetcher<'_> {
        let project = "[[project]]\nurl = \"project\"\ntargets = [\"all.bst\"]\nretries = 0\nverify = false\nbranches = [\"*\"]\n";
        let cache = "[[project.source-caches]]\nurl = \"http://127.0.0.1:1\"\npush = true\n";
        let (general, bst, notifiers) = (&self.general, self.fake.config(), &self.notifiers);
        Fetcher::new(&self.scratch).config(format!("[fetcher]\n{general}\n{bst}\n{project}{cache}\n{notifiers}"))
    }

    /// A run in which `a.bst` of every branch fails.
    pub fn fails(&self) -> Ended {
        self.fake.now(FAILS);
        self.fetcher().run(&["run", "--force"])
    }

    /// A run in which nothing fails.
    pub fn works(&self) -> Ended {
        self.fake.now("");
        self.fetcher().run(&["run", "--force"])
    }
}
