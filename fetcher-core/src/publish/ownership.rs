//! Whose a branch on the other side is: what this program pushed, from whichever host, or somebody else's too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use git2::{Commit, DiffOptions, Oid, Repository, Tree};

use super::PublicationError;
use super::trailers::{commit_contents, is_ours, is_pushed_as};
use crate::names::{BranchName, CommitId};

/// As many commits of a branch are looked at.
const MAX_COMMITS: usize = 5_000;

/// As many merges of the base into a branch are made again.
const MAX_MERGES: usize = 50;

/// The first commit, from the tip, of `base..head` that this program did not make; none where it made all of them.
pub(super) fn foreign_commit(
    repository: &Repository,
    base: &CommitId,
    head: &CommitId,
    author: &str,
) -> Result<Option<Oid>, PublicationError> {
    let mut walk = repository.revwalk()?;
    walk.push(Oid::from_str(head.as_str())?)?;
    walk.hide(Oid::from_str(base.as_str())?)?;
    let mut merges = MAX_MERGES;
    for (number, id) in walk.enumerate() {
        let id = id?;
        let commit = repository.find_commit(id)?;
        let known = is_ours(repository, &commit, author) || is_update_from(repository, base, &commit, &mut merges)?;
        if number >= MAX_COMMITS || !known {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Whether a commit merges the base into a branch and adds nothing to that, as the button of a forge does: its tree is what
/// comes of a merge without conflicts. `left` is how many more are tried.
fn is_update_from(
    repository: &Repository,
    base: &CommitId,
    commit: &Commit<'_>,
    left: &mut usize,
) -> Result<bool, PublicationError> {
    let (2, Some(rest)) = (commit.parent_count(), left.checked_sub(1)) else { return Ok(false) };
    *left = rest;
    let (first, second) = (commit.parent(0)?, commit.parent(1)?);
    let base = Oid::from_str(base.as_str())?;
    if base != second.id() && !repository.graph_descendant_of(base, second.id())? {
        return Ok(false);
    }
    let mut merged = repository.merge_commits(&first, &second, None)?;
    Ok(!merged.has_conflicts() && merged.write_tree_to(repository)? == commit.tree_id())
}

/// Whether a commit of `base..head` says that this program pushed it to a branch of this name.
pub(super) fn names_branch(
    repository: &Repository,
    base: &CommitId,
    head: &CommitId,
    branch: &BranchName,
) -> Result<bool, PublicationError> {
    let mut walk = repository.revwalk()?;
    walk.push(Oid::from_str(head.as_str())?)?;
    walk.hide(Oid::from_str(base.as_str())?)?;
    for id in walk.take(MAX_COMMITS) {
        if repository.find_commit(id?)?.message().is_ok_and(|message| is_pushed_as(message, branch)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the commits of `base..head` that this program made have written, a line for each ref.
pub(super) fn own_contents(
    repository: &Repository,
    base: &CommitId,
    head: &CommitId,
    author: &str,
) -> Result<BTreeSet<String>, PublicationError> {
    let mut walk = repository.revwalk()?;
    walk.push(Oid::from_str(head.as_str())?)?;
    walk.hide(Oid::from_str(base.as_str())?)?;
    let mut contents = BTreeSet::new();
    for id in walk.take(MAX_COMMITS) {
        let commit = repository.find_commit(id?)?;
        if is_ours(repository, &commit, author) {
            contents.extend(commit_contents(repository, &commit).unwrap_or_default());
        }
    }
    Ok(contents)
}

/// Whether a branch that is there has the same as one that was made anew: in all paths that either touches.
pub(super) fn same_paths(
    repository: &Repository,
    base: &CommitId,
    there: &CommitId,
    made: &CommitId,
    touched: &BTreeSet<PathBuf>,
) -> Result<bool, PublicationError> {
    let (base, there, made) =
        (Oid::from_str(base.as_str())?, Oid::from_str(there.as_str())?, Oid::from_str(made.as_str())?);
    let Ok(common) = repository.merge_base(base, there) else { return Ok(false) };
    let tree = |id: Oid| Ok::<_, PublicationError>(repository.find_commit(id)?.tree()?);
    let (old, now, new) = (tree(common)?, tree(there)?, tree(made)?);
    let mut paths: BTreeSet<PathBuf> = touched.clone();
    let diff = repository.diff_tree_to_tree(Some(&old), Some(&now), Some(&mut DiffOptions::new()))?;
    paths.extend(diff.deltas().filter_map(|delta| Some(delta.new_file().path()?.to_owned())));
    Ok(paths.iter().all(|path| entry(&now, path) == entry(&new, path)))
}

/// Whether a branch cannot be merged into a base as it is.
pub(super) fn conflicts(repository: &Repository, base: &CommitId, head: &CommitId) -> Result<bool, PublicationError> {
    let ours = repository.find_commit(Oid::from_str(base.as_str())?)?;
    let theirs = repository.find_commit(Oid::from_str(head.as_str())?)?;
    Ok(repository.merge_commits(&ours, &theirs, None)?.has_conflicts())
}

/// Whether a base has all of a branch's content already.
pub(super) fn is_contained(
    repository: &Repository,
    base: &CommitId,
    head: &CommitId,
) -> Result<bool, PublicationError> {
    let (base, head) = (Oid::from_str(base.as_str())?, Oid::from_str(head.as_str())?);
    if base == head || repository.graph_descendant_of(base, head)? {
        return Ok(true);
    }
    let Ok(common) = repository.merge_base(base, head) else { return Ok(false) };
    let tree = |id: Oid| Ok::<_, PublicationError>(repository.find_commit(id)?.tree()?);
    let (old, there, now) = (tree(common)?, tree(head)?, tree(base)?);
    let diff = repository.diff_tree_to_tree(Some(&old), Some(&there), Some(&mut DiffOptions::new()))?;
    Ok(diff.deltas().filter_map(|delta| delta.new_file().path()).all(|path| entry(&there, path) == entry(&now, path)))
}

fn entry(tree: &Tree<'_>, path: &Path) -> Option<(Oid, i32)> {
    tree.get_path(path).ok().map(|entry| (entry.id(), entry.filemode()))
}

#[cfg(test)]
mod tests {
    use git2::{Signature, Time};

    use super::*;
    use crate::publish::commits::commit_id;

    #[test]
    fn what_cannot_be_merged_is_told_from_what_the_base_has() {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(directory.path()).unwrap();
        let commit = |parent: Option<Oid>, text: &str| {
            let mut tree = repository.treebuilder(None).unwrap();
            tree.insert("a.bst", repository.blob(text.as_bytes()).unwrap(), 0o100_644).unwrap();
            let tree = repository.find_tree(tree.write().unwrap()).unwrap();
            let me = Signature::new("x", "x@y", &Time::new(0, 0)).unwrap();
            let parents: Vec<_> = parent.into_iter().map(|id| repository.find_commit(id).unwrap()).collect();
            repository.commit(None, &me, &me, text, &tree, &parents.iter().collect::<Vec<_>>()).unwrap()
        };
        let text = |reference: char| format!("kind: import\nsources:\n- kind: git\n  ref: {reference}\n");
        let base = commit(None, &text('a'));
        let (ours, theirs) = (commit(Some(base), &text('1')), commit(Some(base), &text('3')));
        let [base, ours, theirs] = [base, ours, theirs].map(|id| commit_id(id).unwrap());
        assert!(conflicts(&repository, &theirs, &ours).unwrap());
        assert!(!conflicts(&repository, &base, &ours).unwrap());
        assert!(
            is_contained(&repository, &ours, &base).unwrap() && !is_contained(&repository, &theirs, &ours).unwrap()
        );
    }
}
