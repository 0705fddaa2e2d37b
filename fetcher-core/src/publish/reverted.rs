//! Refs that the base had, and that somebody took back there: the same is not proposed again until it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use git2::{Commit, DiffOptions, Oid, Repository, Sort};

use super::PublicationError;
use super::component::Component;
use super::trailers::is_pushed;
use super::update::{RefSpot, RefUpdate};
use crate::bst::refs::{LARGEST, placed_refs, stored_refs};
use crate::names::CommitId;

/// As many commits of the base are looked at, the newest.
const MAX_COMMITS: usize = 500;
/// And none that is older than this before its tip, in seconds.
const MAX_AGE: i64 = 120 * 24 * 3600;

/// A commit that changed a file, with what the file was before and after.
struct FileChange {
    commit: Oid,
    /// Whether the commit says that it is of this program.
    is_ours: bool,
    old: Oid,
    new: Oid,
}

/// Which components, by their number, would bring back what somebody took back on the base, and the commit that did.
pub(super) fn reverted(
    repository: &Repository,
    base: &CommitId,
    components: &[&Component],
) -> Result<BTreeMap<usize, String>, PublicationError> {
    let files: BTreeSet<_> =
        components.iter().flat_map(|part| &part.updates).map(|update| update.file.clone()).collect();
    let history = if files.is_empty() { BTreeMap::new() } else { history(repository, base, &files)? };
    let mut found = BTreeMap::new();
    for (number, component) in components.iter().enumerate() {
        let reverting = component.updates.iter().find_map(|update| {
            let changes = history.get(&update.file)?;
            Some((update, reverting(repository, changes, update)?))
        });
        if let Some((update, commit)) = reverting {
            let (element, short) = (&update.change.element, &commit.to_string()[..12]);
            let reason = format!("{short} took the new ref of {element} back: the same is not proposed again");
            found.insert(number, reason);
        }
    }
    Ok(found)
}

/// What changed some files lately, the newest first. Merges change nothing themselves.
fn history(
    repository: &Repository,
    base: &CommitId,
    files: &BTreeSet<PathBuf>,
) -> Result<BTreeMap<PathBuf, Vec<FileChange>>, PublicationError> {
    let tip = Oid::from_str(base.as_str())?;
    let oldest = repository.find_commit(tip)?.time().seconds() - MAX_AGE;
    let mut walk = repository.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME)?;
    walk.push(tip)?;
    let mut history: BTreeMap<PathBuf, Vec<FileChange>> = BTreeMap::new();
    for id in walk.take(MAX_COMMITS) {
        let commit = repository.find_commit(id?)?;
        if commit.parent_count() != 1 || commit.time().seconds() < oldest {
            continue;
        }
        for (path, change) in changes(repository, &commit)? {
            if files.contains(&path) {
                history.entry(path).or_default().push(change);
            }
        }
    }
    Ok(history)
}

fn changes(repository: &Repository, commit: &Commit<'_>) -> Result<Vec<(PathBuf, FileChange)>, PublicationError> {
    // Of a history that is not whole, the rest is not known.
    let Ok(parent) = commit.parent(0) else { return Ok(Vec::new()) };
    let (old, new) = (parent.tree()?, commit.tree()?);
    let diff = repository.diff_tree_to_tree(Some(&old), Some(&new), Some(&mut DiffOptions::new()))?;
    let is_ours = commit.message().is_ok_and(is_pushed);
    let changes = diff.deltas().filter_map(|delta| {
        let (commit, old, new) = (commit.id(), delta.old_file().id(), delta.new_file().id());
        Some((delta.new_file().path()?.to_owned(), FileChange { commit, is_ours, old, new }))
    });
    Ok(changes.collect())
}

/// The commit that took an update's new ref back; none where the last change of the ref was another one.
fn reverting(repository: &Repository, changes: &[FileChange], update: &RefUpdate) -> Option<Oid> {
    let values = |change: &FileChange| {
        [change.old, change.new].map(|blob| text(repository, blob).and_then(|text| reference(&text, &update.spot)))
    };
    let last = changes.iter().map(|change| (change, values(change))).find(|(_, [old, new])| old != new);
    let (change, [old, new]) = last?;
    let is_back = old.is_some() && old == update.change.new && new == update.change.old;
    (is_back && !change.is_ours).then_some(change.commit)
}

/// The ref in a place of a file's text.
fn reference(text: &str, spot: &RefSpot) -> Option<String> {
    match spot {
        RefSpot::Source(place) => placed_refs(text).get(place).cloned().flatten(),
        RefSpot::Stored(key, source) => stored_refs(Some(text)).get(key)?.get(*source)?.clone(),
    }
}

fn text(repository: &Repository, blob: Oid) -> Option<String> {
    let size = repository.odb().ok()?.read_header(blob).ok()?.0;
    if size > LARGEST {
        return None;
    }
    String::from_utf8(repository.find_blob(blob).ok()?.content().to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use git2::{Signature, Time};

    use super::super::commits::commit_id;
    use super::super::update::tests::update;
    use super::*;

    /// The base after these commits, each as many seconds after the one before: the element's ref, and whether the commit
    /// says that it is of this program.
    fn base(repository: &Repository, commits: &[(char, bool)], apart: i64) -> CommitId {
        let mut tip: Option<Oid> = None;
        for (number, (reference, is_ours)) in commits.iter().enumerate() {
            let text = format!("kind: import\nsources:\n- kind: git\n  ref: {reference}\n");
            let mut elements = repository.treebuilder(None).unwrap();
            elements.insert("a.bst", repository.blob(text.as_bytes()).unwrap(), 0o100_644).unwrap();
            let elements = elements.write().unwrap();
            let mut tree = repository.treebuilder(None).unwrap();
            tree.insert("elements", elements, 0o040_000).unwrap();
            let tree = repository.find_tree(tree.write().unwrap()).unwrap();
            let me = Signature::new("x", "x@y", &Time::new(i64::try_from(number).unwrap() * apart, 0)).unwrap();
            let message = if *is_ours { "x\n\nBst-Fetcher-Digest: 1\n" } else { "Revert\n" };
            let parents: Vec<_> = tip.into_iter().map(|id| repository.find_commit(id).unwrap()).collect();
            let parents: Vec<_> = parents.iter().collect();
            tip = Some(repository.commit(None, &me, &me, message, &tree, &parents).unwrap());
        }
        commit_id(tip.unwrap()).unwrap()
    }

    /// Whether a ref was taken back by the last of these commits that changed it.
    fn is_taken_back(commits: &[(char, bool)], apart: i64, new: char) -> bool {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(directory.path()).unwrap();
        let odb = repository.odb().unwrap();
        let _in_memory = odb.add_new_mempack_backend(1_000).unwrap();
        let tip = base(&repository, commits, apart);
        let old = commits[commits.len() - 1].0;
        let known = update("a.bst", "git", Some(&old.to_string()), &new.to_string());
        let place = placed_refs("kind: import\nsources:\n- kind: git\n  ref: 1\n").into_keys().next().unwrap();
        let part = Component { updates: vec![RefUpdate { spot: RefSpot::Source(place), ..known }], group: None };
        !reverted(&repository, &tip, &[&part]).unwrap().is_empty()
    }

    #[test]
    fn what_was_taken_back_long_ago_is_not_looked_for() {
        let (mut commits, day) = (vec![('1', false), ('2', true), ('1', false), ('1', false)], 24 * 3600);
        assert!(is_taken_back(&commits, 119 * day, '2'));
        assert!(!is_taken_back(&commits, 121 * day, '2'));
        commits.resize(MAX_COMMITS + 2, ('1', false));
        assert!(is_taken_back(&commits, 1, '2'), "it is the last one that is looked at");
        commits.push(('1', false));
        assert!(!is_taken_back(&commits, 1, '2'));
    }

    #[test]
    fn what_somebody_took_back_is_told_from_what_went_to_and_fro() {
        let taken_back = |commits: &[(char, bool)], new| is_taken_back(commits, 1, new);
        let ours = true;
        assert!(taken_back(&[('1', false), ('2', ours), ('1', false)], '2'));
        assert!(!taken_back(&[('1', false), ('2', ours), ('1', false)], '3'), "the content has changed");
        assert!(!taken_back(&[('1', false), ('2', ours), ('1', ours)], '2'), "upstream went to and fro");
        assert!(!taken_back(&[('1', false), ('2', ours), ('1', false), ('3', ours)], '2'), "something else came since");
        assert!(
            taken_back(&[('1', false), ('2', ours), ('1', false), ('1', false)], '2'),
            "others changed other things"
        );
        assert!(!taken_back(&[('1', false)], '2'));
    }
}
