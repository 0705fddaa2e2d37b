//! The trailers of commits that this program makes, and whose a commit is.
//!
//! Merge bots rewrite committer, message and parents of a commit. What it changes stays, and that is what its digest
//! is of: a commit whose digest does not follow from what it changes is somebody else's by now.

use std::path::Path;

use git2::{Commit, Delta, DiffOptions, Oid, Repository, Tree};

use super::component::content_digest;
use super::update::is_stored;
use crate::bst::ref_writer::differ_in_refs_alone;
use crate::bst::refs::{placed_changes, stored_refs};
use crate::names::BranchName;

const ELEMENT: &str = "Bst-Fetcher-Element";
const DIGEST: &str = "Bst-Fetcher-Digest";
const BRANCH: &str = "Bst-Fetcher-Branch";
/// As many elements of a commit are named in trailers.
const MAX_ELEMENTS: usize = 100;
/// As many files of a commit are looked into.
const MAX_FILES: usize = 5_000;

/// The trailers of a commit.
pub(super) fn trailers(elements: &[String], digest: &str, branch: Option<&BranchName>) -> Vec<String> {
    let elements = elements.iter().take(MAX_ELEMENTS).map(|name| format!("{ELEMENT}: {}", super::text::line(name)));
    let branch = branch.map(|branch| format!("{BRANCH}: {branch}"));
    elements.chain([format!("{DIGEST}: {digest}")]).chain(branch).collect()
}

/// The value of a trailer in a commit's message.
fn trailer<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    message.lines().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
}

/// Whether a commit says that it was pushed by this program, from any host, to a branch of this name.
pub(crate) fn is_pushed_as(message: &str, branch: &BranchName) -> bool {
    trailer(message, BRANCH) == Some(branch.as_str()) && trailer(message, DIGEST).is_some()
}

/// Whether a commit's message says that this program made it, or something of it: forges squash.
pub(super) fn is_pushed(message: &str) -> bool {
    trailer(message, DIGEST).is_some()
}

/// Whether a commit is one that this program made, as far as it can be seen: it has one parent, changes refs alone, and
/// its digest follows from them. `author` is ours.
pub(super) fn is_ours(repository: &Repository, commit: &Commit<'_>, author: &str) -> bool {
    let Ok(parent) = commit.parent(0) else { return false };
    if commit.parent_count() != 1 {
        return false;
    }
    let trees = commit.tree().and_then(|tree| Ok((parent.tree()?, tree)));
    let Some(digest) = trees.ok().and_then(|(old, new)| recomputed(repository, &old, &new)) else { return false };
    match commit.message().ok().and_then(|message| trailer(message, DIGEST).map(str::to_owned)) {
        Some(told) => told == digest,
        // A bot has written the message anew.
        None => commit.author().email().is_ok_and(|email| email == author),
    }
}

/// What a commit changes, a line for each ref; none where that is more than refs.
pub(super) fn commit_contents(repository: &Repository, commit: &Commit<'_>) -> Option<Vec<String>> {
    let (old, new) = (commit.parent(0).ok()?.tree().ok()?, commit.tree().ok()?);
    tree_contents(repository, &old, &new)
}

/// The digest of what lies between two trees; none where that is more than refs.
fn recomputed(repository: &Repository, old: &Tree<'_>, new: &Tree<'_>) -> Option<String> {
    Some(content_digest(tree_contents(repository, old, new)?.into_iter()))
}

fn tree_contents(repository: &Repository, old: &Tree<'_>, new: &Tree<'_>) -> Option<Vec<String>> {
    let mut options = DiffOptions::new();
    let diff = repository.diff_tree_to_tree(Some(old), Some(new), Some(&mut options)).ok()?;
    let mut contents = Vec::new();
    for delta in diff.deltas().take(MAX_FILES + 1) {
        if contents.len() > MAX_FILES {
            return None;
        }
        let path = delta.new_file().path()?;
        let old_text = match delta.status() {
            Delta::Added if is_stored(path) => None,
            Delta::Modified if delta.old_file().mode() == delta.new_file().mode() => {
                Some(text(repository, delta.old_file().id())?)
            }
            _ => return None,
        };
        contents.extend(contents_of(path, old_text.as_deref(), &text(repository, delta.new_file().id())?)?);
    }
    (!contents.is_empty()).then_some(contents)
}

fn text(repository: &Repository, id: Oid) -> Option<String> {
    let size = repository.odb().ok()?.read_header(id).ok()?.0;
    if size > crate::bst::refs::LARGEST {
        return None;
    }
    String::from_utf8(repository.find_blob(id).ok()?.content().to_vec()).ok()
}

/// What a file's change contributes to a digest, as [`RefUpdate::content`](super::update::RefUpdate) has it.
fn contents_of(path: &Path, old: Option<&str>, new: &str) -> Option<Vec<String>> {
    let shown = path.display();
    if is_stored(path) {
        let (before, after) = (stored_refs(old), stored_refs(Some(new)));
        let mut contents = Vec::new();
        let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let (one, other) = (before.get(key), after.get(key)?);
            for (source, reference) in other.iter().enumerate() {
                if one.and_then(|one| one.get(source)).cloned().flatten() != *reference {
                    let new = reference.as_deref().unwrap_or_default();
                    contents.push(format!("{shown}\0{}\0{}\0{source}\0{new}\n", key.0, key.1));
                }
            }
        }
        return Some(contents);
    }
    let old = old?;
    if !differ_in_refs_alone(old, new) {
        return None;
    }
    let nobody = "x.bst".parse().ok()?;
    let changes = placed_changes(&nobody, Some(old), Some(new)).into_iter();
    Some(changes.map(|(place, change)| format!("{shown}\0{place}\0{}\n", change.new.unwrap_or_default())).collect())
}
