//! A BuildStream project for the real `bst`, with everything that it is made from on loopback.
//!
//! | element | its sources |
//! |---|---|
//! | `git.bst` | a git repository |
//! | `tar.bst` | a tar file over http |
//! | `local.bst` | files of a git submodule of the project's repository |
//! | `flavoured.bst` | a branch of a git repository, another one for each value of the option `flavour` |
//! | `sub.bst`, `sub.bst:lib.bst` | a junction that is tracked, and an element behind it |
//! | `fixed.bst`, `fixed.bst:lib.bst` | a junction that has a ref and is not tracked, and an element behind it |
//! | `all.bst` | a stack of all |

use std::fs;
use std::process::Command;

use crate::daemon::Daemon;
use crate::git_fixture::Repo;
use crate::scratch::Scratch;

/// The project, its upstreams and their servers.
pub struct Project {
    /// The project's own repository, with the branches `main` and `stable`.
    pub repo: Repo,
    /// The upstreams' repositories: `hello`, and the project behind the junctions.
    pub hello: Repo,
    /// The project behind the junctions.
    pub sub: Repo,
    git: Daemon,
    _files: Daemon,
}

/// Every element of the project that has a source, by the name that its own project knows.
pub const ELEMENTS: [&str; 8] = [
    "git.bst",
    "tar.bst",
    "local.bst",
    "flavoured.bst",
    "sub.bst",
    "fixed.bst",
    "sub.bst:lib.bst",
    "fixed.bst:lib.bst",
];

impl Project {
    /// Makes all of it below the scratch directory, and starts the servers.
    pub fn new(scratch: &Scratch) -> Self {
        let hello = scratch.repo("up/hello");
        hello.write("hello.c", "int main(void) { return 0; }\n");
        hello.commit("Say hello");
        for flavour in ["sweet", "sour"] {
            hello.git(&["checkout", "--quiet", "-b", flavour, "main"]);
            hello.write("flavour", flavour);
            hello.commit(flavour);
        }
        hello.git(&["checkout", "--quiet", "main"]);
        scratch.write("files/pkg-1/README", "A package\n");
        let mut tar = Command::new("tar");
        tar.args(["-C", "files", "-czf", "files/pkg-1.tar.gz", "pkg-1"]).current_dir(scratch.root());
        let done = tar.status().expect("tar");
        assert!(done.success(), "tar: {done}");
        let (git, files) = (Daemon::git(&scratch.path("up")), Daemon::files(&scratch.path("files")));

        let sub = scratch.repo("up/sub");
        sub.write("project.conf", &conf("sub", &git, &files));
        sub.write("elements/lib.bst", &git_element("hello", "main", &hello.git(&["rev-parse", "main"])));
        sub.commit("A library");

        // A project may be loaded through one junction only, so that the other one leads elsewhere.
        let pinned = scratch.repo("up/fixed");
        pinned.write("project.conf", &conf("fixed", &git, &files));
        pinned.write("elements/lib.bst", &git_element("hello", "main", &hello.git(&["rev-parse", "main"])));
        pinned.commit("A library");

        let vendored = scratch.repo("up/vendored");
        vendored.write("data/file", "vendored\n");
        let vendored_commit = vendored.commit("Something vendored");

        let repo = scratch.repo("up/project");
        repo.write("project.conf", &conf("example", &git, &files));
        repo.write("elements/git.bst", &git_source("import", "hello", "main"));
        repo.write("elements/tar.bst", "kind: import\nsources:\n- kind: tar\n  url: files:pkg-1.tar.gz\n");
        repo.write("elements/local.bst", "kind: import\nsources:\n- kind: local\n  path: vendored/data\n");
        repo.write("elements/flavoured.bst", &flavoured());
        repo.write("elements/sub.bst", &git_source("junction", "sub", "main"));
        let fixed = format!("kind: junction\nsources:\n- kind: git\n  url: up:fixed\n  ref: {}\n", pinned.tip("main"));
        repo.write("elements/fixed.bst", &fixed);
        let all = "[git.bst, tar.bst, local.bst, flavoured.bst, 'sub.bst:lib.bst', 'fixed.bst:lib.bst']";
        repo.write("elements/all.bst", &format!("kind: stack\ndepends: {all}\n"));
        repo.commit("A project");
        // Relative to the project's own address, as forges advise.
        repo.submodule("../vendored", "vendored", &vendored_commit);
        repo.git(&["checkout", "--quiet", "-b", "stable"]);
        repo.write("elements/git.bst", &git_source("import", "hello", "sour"));
        repo.commit("Another branch");
        repo.git(&["checkout", "--quiet", "main"]);
        Self { repo, hello, sub, git, _files: files }
    }

    /// The address of the project's repository.
    pub fn url(&self) -> String {
        format!("{}/project", self.git.url())
    }

    /// Lets every upstream but the project's own repository vanish: servers answer that there is nothing.
    pub fn hide_upstreams(&self, scratch: &Scratch) {
        for name in ["up/hello", "up/sub", "up/fixed", "files"] {
            fs::rename(scratch.path(name), scratch.path(&format!("{name}-hidden"))).expect("an upstream to hide");
        }
    }
}

fn conf(name: &str, git: &Daemon, files: &Daemon) -> String {
    format!(
        "name: {name}
min-version: 2.0
element-path: elements
aliases:
  up: {}/
  files: {}/
plugins:
- origin: pip
  package-name: buildstream-plugins
  sources: [git]
options:
  flavour:
    type: enum
    description: Which branch
    values: [sweet, sour]
    default: sweet
",
        git.url(),
        files.url()
    )
}

fn git_source(kind: &str, repository: &str, branch: &str) -> String {
    format!("kind: {kind}\nsources:\n- kind: git\n  url: up:{repository}\n  track: {branch}\n")
}

fn git_element(repository: &str, branch: &str, reference: &str) -> String {
    format!("{}  ref: {reference}\n", git_source("import", repository, branch))
}

fn flavoured() -> String {
    let source = |flavour| {
        format!(
            "- flavour == '{flavour}':\n    sources:\n    - kind: git\n      url: up:hello\n      track: {flavour}\n"
        )
    };
    format!("kind: import\n(?):\n{}{}", source("sweet"), source("sour"))
}
