//! Looking into a commit without checking it out: what is in it is hostile, and only read.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Repository, Tree};

use super::error::GitError;
use super::mirror::Mirror;
use crate::names::CommitId;

/// Files larger than this are not read.
const LARGEST: usize = 1 << 20;

/// The files of a commit, straight from its objects: no link is followed, and nothing is written anywhere.
pub struct TreeReader<'r> {
    repository: &'r Repository,
    tree: Tree<'r>,
}

impl Mirror<'_> {
    /// Lets `read` look into a commit, which is fetched by itself if it is not here.
    ///
    /// # Errors
    /// When the commit cannot be had, or the mirror cannot be read.
    pub fn read_tree<T>(&self, commit: &CommitId, mut read: impl FnMut(&TreeReader<'_>) -> T) -> Result<T, GitError> {
        self.with_commit(commit, &mut Vec::new(), |repository| {
            let tree = git2::Oid::from_str(commit.as_str()).and_then(|id| repository.find_commit(id)?.tree());
            let tree = tree.map_err(|error| self.store().damage(&error))?;
            Ok(read(&TreeReader { repository, tree }))
        })
    }
}

impl std::fmt::Debug for TreeReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TreeReader").finish_non_exhaustive()
    }
}

impl TreeReader<'_> {
    /// The text of a regular file; none where there is no such file, or it is larger than a mebibyte. What is not UTF-8
    /// in it is replaced.
    pub fn file(&self, path: &Path) -> Option<String> {
        let path: PathBuf = path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect();
        let entry = self.tree.get_path(&path).ok()?;
        let regular = entry.kind() == Some(ObjectType::Blob) && entry.filemode() != 0o120_000;
        let (size, _) = self.repository.odb().and_then(|objects| objects.read_header(entry.id())).ok()?;
        if !regular || size > LARGEST {
            return None;
        }
        let blob = self.repository.find_blob(entry.id()).ok()?;
        Some(String::from_utf8_lossy(blob.content()).into_owned())
    }

    /// The paths, as bytes, of the first `most` files for which `wanted` says so, those near the top first. Of a tree of
    /// any size and depth the first 200,000 entries are looked at.
    pub fn find(&self, most: usize, mut wanted: impl FnMut(&[u8]) -> bool) -> Vec<Vec<u8>> {
        const MOST_ENTRIES: usize = 200_000;
        let (mut found, mut seen) = (Vec::new(), 0);
        let mut open = VecDeque::from([(Vec::new(), self.tree.id())]);
        while let Some((directory, id)) = open.pop_front() {
            let Ok(tree) = self.repository.find_tree(id) else { continue };
            for entry in &tree {
                seen += 1;
                if seen > MOST_ENTRIES || found.len() == most {
                    return found;
                }
                let path = [&directory, entry.name_bytes()].concat();
                match entry.kind() {
                    Some(ObjectType::Tree) => open.push_back(([&path[..], b"/"].concat(), entry.id())),
                    Some(ObjectType::Blob) if wanted(&path) => found.push(path),
                    _ => {}
                }
            }
        }
        found
    }
}
