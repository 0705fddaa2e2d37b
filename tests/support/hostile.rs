//! Commits as git itself would not make them, but can hold and hand on.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::git_fixture::Repo;

/// Writes an object, whatever it holds, and gives its name.
pub fn object(repo: &Repo, kind: &str, content: &[u8]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "core.looseCompression=1", "hash-object", "-t", kind, "-w", "--literally", "--stdin"]);
    command.current_dir(&repo.path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("git");
    child.stdin.take().expect("its input").write_all(content).expect("a write");
    let output = child.wait_with_output().expect("git");
    assert!(output.status.success(), "git hash-object -t {kind}");
    String::from_utf8(output.stdout).expect("a name").trim().to_owned()
}

/// A line of a tree: its mode, name and object.
pub type Line = (&'static str, Vec<u8>, String);

/// Writes a tree of these lines, in this order.
pub fn tree(repo: &Repo, lines: &[Line]) -> String {
    let mut content = Vec::new();
    for (mode, name, id) in lines {
        content.extend_from_slice(format!("{mode} ").as_bytes());
        content.extend_from_slice(name);
        content.push(0);
        let byte = |at: usize| u8::from_str_radix(&id[at..at + 2], 16).expect("a name in hexadecimal");
        content.extend((0..id.len()).step_by(2).map(byte));
    }
    object(repo, "tree", &content)
}

/// Lets the branch `main` be at a commit of a tree; what is checked out stays as it is.
pub fn commit(repo: &Repo, tree: &str, message: &str) {
    let commit = repo.git(&["commit-tree", tree, "-p", "HEAD", "-m", message]);
    repo.git(&["update-ref", "refs/heads/main", &commit]);
}
