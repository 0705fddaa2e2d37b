//! A small BuildStream project for the real `bst` whose sources are files of its own repository: nothing of it needs an
//! upstream, and everything of it goes through the caches.

use crate::bst;
use crate::git_fixture::Repo;
use crate::scratch::Scratch;

/// The project's repository: `e0.bst` to `e2.bst` with three files each, `twin.bst` with the same sources as `e0.bst`, and
/// `all.bst`, a stack of all.
pub struct LocalProject {
    /// Its repository, with the branch `main`.
    pub repo: Repo,
}

/// Its elements, in the order of their names.
pub const ELEMENTS: [&str; 5] = ["all.bst", "e0.bst", "e1.bst", "e2.bst", "twin.bst"];

/// The files of an element.
const FILES: [&str; 3] = ["a", "deep/b", "deep/er/c"];

impl LocalProject {
    /// Makes it below the scratch directory.
    pub fn new(scratch: &Scratch) -> Self {
        let repo = scratch.repo("small");
        repo.write("project.conf", "name: small\nmin-version: 2.0\nelement-path: elements\n");
        for number in 0..3 {
            let text = format!("kind: import\nsources:\n- kind: local\n  path: files/{number}\n");
            repo.write(&format!("elements/e{number}.bst"), &text);
            for name in FILES {
                repo.write(&format!("files/{number}/{name}"), &content(number, name));
            }
        }
        repo.write("elements/twin.bst", "kind: import\nsources:\n- kind: local\n  path: files/0\n");
        repo.write("elements/all.bst", "kind: stack\ndepends: [e0.bst, e1.bst, e2.bst, twin.bst]\n");
        repo.commit("A project");
        Self { repo }
    }

    /// A configuration that does what is committed: `general` stands in `[fetcher]`, `more` in the project.
    pub fn config(&self, general: &str, more: &str) -> String {
        format!(
            "[fetcher]\n{general}\n[buildstream]\ncommand = ['{}']\n[[project]]\nname = \"small\"\nurl = \"{}\"\n\
             targets = [\"all.bst\"]\ntrack = false\nretries = 0\n{more}\n",
            bst::bst().display(),
            self.repo.url()
        )
    }
}

/// The content of a file of an element.
pub fn content(number: u32, name: &str) -> String {
    format!("{name} of {number}\n")
}

/// The configuration of a source cache that is pushed to; `more` are further keys of it.
pub fn pushed_to(url: &str, more: &str) -> String {
    format!("[[project.source-caches]]\nurl = \"{url}\"\npush = true\n{more}\n")
}
