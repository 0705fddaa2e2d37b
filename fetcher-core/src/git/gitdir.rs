//! The `.git` of a checkout, those of its submodules inside it, as git lays them out: few and small files, all of which
//! are known. Hooks, configuration, locks, whatever else is in it, goes.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::contained_files::{GoOn, Tombstones};

/// What a `.git` has to hold.
#[derive(Debug, Default)]
pub(super) struct GitDirectory(BTreeMap<Vec<u8>, GitdirNode>);

#[derive(Debug)]
enum GitdirNode {
    File(Vec<u8>),
    Directory(GitDirectory),
}

impl GitDirectory {
    /// Adds a repository's git directory: at a path below the top's, or the empty path for the top's itself. Says
    /// whether that does not collide with another one.
    #[must_use]
    pub(super) fn add(
        &mut self,
        path: &Path,
        commit: &str,
        worktree: Option<&str>,
        objects: &Path,
        index: Vec<u8>,
    ) -> bool {
        let mut config = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n".to_owned();
        if let Some(worktree) = worktree {
            let worktree = worktree.replace('\\', "\\\\").replace('"', "\\\"");
            config = format!("{config}\tworktree = \"{worktree}\"\n");
        }
        let alternates = [objects.as_os_str().as_encoded_bytes(), b"\n"].concat();
        let refs = self.below(&path.join("refs")).is_some();
        refs && [
            ("HEAD", format!("{commit}\n").into_bytes()),
            ("config", config.into_bytes()),
            ("objects/info/alternates", alternates),
            ("index", index),
        ]
        .into_iter()
        .all(|(name, content)| self.file(&path.join(name), content))
    }

    fn file(&mut self, path: &Path, content: Vec<u8>) -> bool {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return false };
        let directory = self.below(parent);
        directory.is_some_and(|d| d.0.insert(name.as_encoded_bytes().to_vec(), GitdirNode::File(content)).is_none())
    }

    fn below(&mut self, path: &Path) -> Option<&mut Self> {
        path.iter().try_fold(self, |directory, name| {
            let node = directory.0.entry(name.as_encoded_bytes().to_vec());
            match node.or_insert_with(|| GitdirNode::Directory(Self::default())) {
                GitdirNode::Directory(directory) => Some(directory),
                GitdirNode::File(_) => None,
            }
        })
    }

    /// Makes `name` in a directory hold exactly this.
    pub(super) fn settle(
        &self,
        parent: impl AsFd,
        name: &[u8],
        trash: &mut Tombstones,
        go_on: GoOn<'_>,
    ) -> io::Result<()> {
        let directory = trash.directory(&parent, name)?;
        trash.throw_all_but(&directory, |name| self.0.contains_key(name), go_on)?;
        for (name, node) in &self.0 {
            match node {
                GitdirNode::Directory(inner) => inner.settle(&directory, name, trash, go_on)?,
                GitdirNode::File(content) => trash.settle(&directory, name, content)?,
            }
        }
        Ok(())
    }
}
