//! Commits of components, made from trees on a base: no working tree is needed, and the same input makes the same ids.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Repository, Signature, Time};

use super::PublicationError;
use super::component::Component;
use super::text::{TemplateWords, commit_message};
use super::trailers::trailers;
use super::update::{RefSpot, RefUpdate};
use crate::bst::ref_writer::{RefWriteError, with_refs};
use crate::bst::refs::{StoredKey, placed_refs, stored_refs};
use crate::bst::stored_writer::with_blocks;
use crate::config::CommitFormat;
use crate::names::{BranchName, CommitId};

/// A changed file as bst left it, and as the commit has it that was tracked.
#[derive(Debug, Clone)]
pub(super) struct TrackedFile {
    pub(super) old: Option<String>,
    pub(super) new: Option<String>,
}

/// Gives the signature of what it is given.
pub(super) type SignFunction<'f> = dyn Fn(&str) -> Result<String, PublicationError> + 'f;

/// What commits are made with.
pub(super) struct CommitMaker<'m> {
    pub(super) repository: &'m Repository,
    /// The changed files, by their paths in the repository.
    pub(super) files: &'m BTreeMap<PathBuf, TrackedFile>,
    pub(super) format: CommitFormat,
    /// Name and address.
    pub(super) author: (String, String),
    /// Seconds of all dates.
    pub(super) date: i64,
    pub(super) subject: &'m str,
    /// The branch that the requests go to, for texts.
    pub(super) base: &'m BranchName,
    /// Whether each commit is to have a `Change-Id`.
    pub(super) change_ids: bool,
    /// Signs what it is given; none where commits are not signed.
    pub(super) sign: Option<&'m SignFunction<'m>>,
}

/// Commits on top of each other.
#[derive(Debug, Clone)]
pub(super) struct MadeCommits {
    /// The last one.
    pub(super) tip: CommitId,
    /// The subjects, in their order.
    pub(super) subjects: Vec<String>,
    /// The paths that are touched.
    pub(super) paths: BTreeSet<PathBuf>,
    /// The components that could not be written, by their number, and why.
    pub(super) refused: BTreeMap<usize, String>,
    /// The components that changed nothing any more.
    pub(super) done: BTreeSet<usize>,
}

impl CommitMaker<'_> {
    /// Makes a commit for each component on top of the one before, the first on `parent`; or one for all of them, where
    /// they are squashed. What cannot be written is left out, and told. `before` is what earlier commits of ours below
    /// `parent` have written.
    pub(super) fn make(
        &self,
        parent: &CommitId,
        components: &[&Component],
        branch: Option<&BranchName>,
        squash: bool,
        before: &BTreeSet<String>,
    ) -> Result<MadeCommits, PublicationError> {
        let mut tip = Oid::from_str(parent.as_str())?;
        let mut made = MadeCommits {
            tip: parent.clone(),
            subjects: Vec::new(),
            paths: BTreeSet::new(),
            refused: BTreeMap::new(),
            done: BTreeSet::new(),
        };
        let mut squashed = Vec::new();
        let mut tree = self.repository.find_commit(tip)?.tree_id();
        for (number, component) in components.iter().enumerate() {
            let (changed, paths) = match self.tree_with(tree, component, before)? {
                Ok(changed) => changed,
                Err(reason) => {
                    made.refused.insert(number, reason);
                    continue;
                }
            };
            if changed == tree {
                made.done.insert(number);
                continue;
            }
            tree = changed;
            made.paths.extend(paths);
            if squash {
                squashed.push(*component);
            } else {
                tip = self.commit(tip, tree, component, branch, &mut made.subjects)?;
            }
        }
        if !squashed.is_empty() {
            let updates = squashed.iter().flat_map(|component| component.updates.clone()).collect();
            let all = Component { updates, group: squashed.iter().find_map(|component| component.group.clone()) };
            tip = self.commit(tip, tree, &all, branch, &mut made.subjects)?;
        }
        made.tip = commit_id(tip)?;
        Ok(made)
    }

    fn commit(
        &self,
        parent: Oid,
        tree: Oid,
        component: &Component,
        branch: Option<&BranchName>,
        subjects: &mut Vec<String>,
    ) -> Result<Oid, PublicationError> {
        let words = TemplateWords::new(&[component], self.base.as_str(), "");
        let subject = words.fill(self.subject);
        let names: Vec<String> = component.elements().iter().map(ToString::to_string).collect();
        let mut lines = trailers(&names, &component.digest(), branch);
        if self.change_ids {
            let id = crate::names::digest(format!("{}\0{}", component.name(), self.base).as_bytes());
            lines.push(format!("Change-Id: I{}", &id[..40]));
        }
        let message = commit_message(component, &subject, &lines);
        subjects.push(subject);
        let (name, address) = &self.author;
        let signature = Signature::new(name, address, &Time::new(self.date, 0))?;
        let tree = self.repository.find_tree(tree)?;
        let parent = self.repository.find_commit(parent)?;
        let buffer = self.repository.commit_create_buffer(&signature, &signature, &message, &tree, &[&parent])?;
        let content = buffer.as_str().unwrap_or_default().to_owned();
        match self.sign {
            Some(sign) => Ok(self.repository.commit_signed(&content, &sign(&content)?, None)?),
            None => Ok(self.repository.odb()?.write(git2::ObjectType::Commit, content.as_bytes())?),
        }
    }

    /// A tree with a component's refs, and the paths that it touches; or why they cannot be written.
    fn tree_with(
        &self,
        tree: Oid,
        component: &Component,
        before: &BTreeSet<String>,
    ) -> Result<Result<(Oid, BTreeSet<PathBuf>), String>, PublicationError> {
        let tree = self.repository.find_tree(tree)?;
        let mut by_file: BTreeMap<&Path, Vec<&RefUpdate>> = BTreeMap::new();
        for update in &component.updates {
            by_file.entry(&update.file).or_default().push(update);
        }
        let mut builder = TreeUpdateBuilder::new();
        let mut paths = BTreeSet::new();
        for (path, updates) in by_file {
            let entry = match tree.get_path(path) {
                Ok(entry) => Some(entry),
                Err(error) if error.code() == git2::ErrorCode::NotFound => None,
                Err(error) => return Err(error.into()),
            };
            let mode = entry.as_ref().map_or(0o100_644, git2::TreeEntry::filemode);
            let mode = match mode {
                0o100_644 => FileMode::Blob,
                0o100_755 => FileMode::BlobExecutable,
                _ => return Ok(Err(format!("{} is no file of the base", path.display()))),
            };
            let base = match &entry {
                Some(entry) => match String::from_utf8(self.repository.find_blob(entry.id())?.content().to_vec()) {
                    Ok(text) => Some(text),
                    Err(_) => return Ok(Err(format!("{} is not UTF-8", path.display()))),
                },
                None => None,
            };
            let written = match self.written(path, base.as_deref(), &updates, before) {
                Ok(written) => written,
                Err(error) => return Ok(Err(format!("{}: {error}", path.display()))),
            };
            if base.as_deref() != Some(&written) {
                builder.upsert(path.to_string_lossy().as_ref(), self.repository.blob(written.as_bytes())?, mode);
                paths.insert(path.to_owned());
            }
        }
        Ok(Ok((builder.create_updated(self.repository, &tree)?, paths)))
    }

    /// A file with some updates in it.
    fn written(
        &self,
        path: &Path,
        base: Option<&str>,
        updates: &[&RefUpdate],
        before: &BTreeSet<String>,
    ) -> Result<String, RefWriteError> {
        let file = self.files.get(path).ok_or(RefWriteError::Unreadable)?;
        let new = file.new.as_deref().ok_or(RefWriteError::Unreadable)?;
        let (mut places, mut blocks): (BTreeSet<String>, BTreeSet<StoredKey>) = Default::default();
        for update in updates {
            match &update.spot {
                RefSpot::Source(place) => drop(places.insert(place.clone())),
                RefSpot::Stored(key, _) => drop(blocks.insert(key.clone())),
            }
        }
        if !blocks.is_empty() {
            expected_stored(base, updates, before)?;
            return with_blocks(base, new, &blocks);
        }
        let base = base.ok_or(RefWriteError::Moved)?;
        let places = left_to_do(base, updates, places, before)?;
        if places.is_empty() {
            return Ok(base.to_owned());
        }
        let unmoved = file.old.as_deref() == Some(base);
        match self.format {
            CommitFormat::Bst if !unmoved => Err(RefWriteError::Moved),
            CommitFormat::Bst => without_others(base, new, &places),
            // Where the refs alone cannot be changed, what bst wrote says the same.
            CommitFormat::Minimal => with_refs(base, new, &places).or_else(|error| match error {
                RefWriteError::Moved => Err(error),
                _ if unmoved => without_others(base, new, &places),
                error => Err(error),
            }),
        }
    }
}

/// What bst wrote, but for the refs in other places, which stay as they were.
fn without_others(base: &str, new: &str, places: &BTreeSet<String>) -> Result<String, RefWriteError> {
    let (before, after) = (placed_refs(base), placed_refs(new));
    let others: BTreeSet<String> = after
        .iter()
        .filter(|(place, reference)| !places.contains(*place) && before.get(*place) != Some(*reference))
        .map(|(place, _)| place.clone())
        .collect();
    if others.is_empty() { Ok(new.to_owned()) } else { with_refs(new, base, &others) }
}

/// The places in which the base has not the new ref yet.
fn left_to_do(
    base: &str,
    updates: &[&RefUpdate],
    mut places: BTreeSet<String>,
    before: &BTreeSet<String>,
) -> Result<BTreeSet<String>, RefWriteError> {
    let there = placed_refs(base);
    for update in updates {
        let RefSpot::Source(place) = &update.spot else { continue };
        let now = there.get(place).ok_or(RefWriteError::Moved)?;
        if *now == update.change.new {
            places.remove(place);
        } else if *now != update.change.old && !before.contains(&update.content_with(now.as_deref())) {
            return Err(RefWriteError::Moved);
        }
    }
    Ok(places)
}

/// Sees that the base has the stored refs that were tracked from, or the new ones already.
fn expected_stored(base: Option<&str>, updates: &[&RefUpdate], before: &BTreeSet<String>) -> Result<(), RefWriteError> {
    let there = stored_refs(base);
    for update in updates {
        let RefSpot::Stored(key, source) = &update.spot else { continue };
        let now = there.get(key).and_then(|refs| refs.get(*source)).cloned().flatten();
        let is_ours = before.contains(&update.content_with(now.as_deref()));
        if now != update.change.old && now != update.change.new && !is_ours {
            return Err(RefWriteError::Moved);
        }
    }
    Ok(())
}

/// An id as this library has it.
pub(super) fn commit_id(id: Oid) -> Result<CommitId, PublicationError> {
    CommitId::try_from(id.to_string()).map_err(|error| PublicationError::Internal(error.to_string()))
}
