//! What is to be done to a work tree for it to hold a commit's files.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use git2::Repository;

use super::commit_contents::CommitContents;
use super::error::CheckoutObstacle;
use super::objects::CommitEntry;
use super::staging::{StagedMove, there};
use crate::cancel::Cancel;

/// The steps that make a work tree hold a commit's files, and none of those that git knows there. Whatever else is
/// there is left alone, but for what is in the way.
pub(super) fn differences(
    repository: &Repository,
    contents: &CommitContents,
    top: &Path,
    known: &[PathBuf],
    cancel: &Cancel,
) -> Result<Vec<StagedMove>, CheckoutObstacle> {
    let CommitContents { entries, directories } = contents;
    let gone = known.iter().filter(|path| !entries.contains_key(*path) && !directories.contains(*path));
    let gone = gone.filter(|path| there(top, path).is_some_and(|metadata| !metadata.is_dir()));
    let mut moves: Vec<StagedMove> = gone.cloned().map(StagedMove::Away).collect();
    // Whether a directory of the commit is one of the work tree already.
    let mut real: HashMap<&Path, bool> = HashMap::new();
    let is_real = |real: &HashMap<&Path, bool>, path: &Path| {
        path.parent().is_none_or(|parent| parent.as_os_str().is_empty() || real.get(parent) == Some(&true))
    };
    for path in directories {
        let found = look(top, path, is_real(&real, path))?;
        let kept = found.as_ref().is_some_and(Metadata::is_dir);
        if !kept {
            moves.extend(found.map(|_| StagedMove::Away(path.clone())));
            moves.push(StagedMove::Directory(path.clone()));
        }
        real.insert(path, kept);
    }
    for (path, entry) in entries.iter().filter(|(_, entry)| !entry.is_submodule()) {
        if cancel.is_cancelled() {
            return Err(CheckoutObstacle::Cancelled);
        }
        let found = look(top, path, is_real(&real, path))?;
        if let Some(found) = found {
            if same(repository, &top.join(path), *entry, &found).map_err(|error| CheckoutObstacle::io(path, error))? {
                continue;
            }
            moves.push(StagedMove::Away(path.clone()));
        }
        moves.push(StagedMove::Put(path.clone()));
    }
    Ok(moves)
}

/// What is at a path of the work tree whose parent directory is known to be one, or not to be.
fn look(top: &Path, path: &Path, parent: bool) -> Result<Option<Metadata>, CheckoutObstacle> {
    if !parent {
        return Ok(None);
    }
    match fs::symlink_metadata(top.join(path)) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CheckoutObstacle::io(path, error)),
    }
}

/// Whether what is there is an entry of a commit already.
fn same(repository: &Repository, path: &Path, entry: CommitEntry, found: &Metadata) -> io::Result<bool> {
    if found.len() != entry.size as u64 || found.is_symlink() != entry.is_link() {
        return Ok(false);
    }
    let content = if found.is_symlink() {
        fs::read_link(path)?.into_os_string().into_encoded_bytes()
    } else if found.is_file() && (found.mode() & 0o100 != 0) == entry.is_executable() {
        match fs::read(path) {
            // It gives way to one that can be read.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
            read => read?,
        }
    } else {
        return Ok(false);
    };
    Ok(repository.find_blob(entry.id).is_ok_and(|blob| blob.content() == content))
}
