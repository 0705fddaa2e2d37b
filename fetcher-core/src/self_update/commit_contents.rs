//! What a commit holds, looked at before anything of it is written: everything that could not be written here, or only
//! without end, is found now.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use git2::{ObjectType, Odb, Oid, Repository};

use super::error::CheckoutObstacle;
use super::objects::{CommitEntry, EXECUTABLE, LINK, SUBMODULE, indexed, path_of, small_tree};
use crate::cancel::Cancel;

/// A commit with more files and directories is a trap, not a configuration; as is any that goes beyond what follows.
const MAX_ENTRIES: usize = 100_000;
/// Directories inside each other.
const DEEPEST: usize = 100;
/// Bytes of a file, which is in memory while it is written.
const LARGEST_FILE: usize = 256 << 20;
/// Bytes of all files together.
const LARGEST: u64 = 4 << 30;
/// Bytes of all paths together.
const NAMES: usize = 64 << 20;
/// Bytes of a symbolic link's target, `PATH_MAX` without its end.
const LONGEST_LINK: usize = 4095;
/// Bytes of a path, of which `PATH_MAX` leaves the rest to where the clone lies.
const LONGEST_PATH: usize = 3000;
/// Bytes of a name, as every usual file system has it.
const LONGEST_NAME: usize = 255;

/// What a file is called until it is whole, by older versions of this program.
pub(super) const FRESH: &str = ".bst-fetcher-new";

/// Everything in a commit that is to be in a work tree.
#[derive(Debug, Default)]
pub(super) struct CommitContents {
    pub(super) entries: BTreeMap<PathBuf, CommitEntry>,
    /// Every directory, those of submodules too, parents before what is in them.
    pub(super) directories: BTreeSet<PathBuf>,
}

impl CommitContents {
    /// Looks through a commit.
    ///
    /// # Errors
    /// When it cannot be read, holds what must not or cannot be written, or more than any configuration has.
    pub(super) fn of(repository: &Repository, commit: Oid, cancel: &Cancel) -> Result<Self, CheckoutObstacle> {
        let odb = repository.odb()?;
        let mut contents = Self::default();
        let mut open = vec![(PathBuf::new(), 0, repository.find_commit(commit)?.tree_id())];
        let (mut names, mut bytes) = (0, 0);
        while let Some((directory, depth, tree)) = open.pop() {
            if cancel.is_cancelled() {
                return Err(CheckoutObstacle::Cancelled);
            }
            let tree = small_tree(repository, &odb, tree).map_err(|error| CheckoutObstacle::at(&directory, &error))?;
            let mut seen = HashSet::new();
            for entry in &tree {
                let name = entry.name_bytes();
                let path = directory.join(path_of(name));
                check_name(name).map_err(|why| CheckoutObstacle::refuse(&path, why))?;
                if path.as_os_str().len() > LONGEST_PATH {
                    return Err(CheckoutObstacle::refuse(
                        &path,
                        &format!("whose path is longer than {LONGEST_PATH} bytes"),
                    ));
                }
                if !seen.insert(name.to_owned()) {
                    return Err(CheckoutObstacle::refuse(&path, "which is there twice"));
                }
                names += path.as_os_str().len();
                let id = entry.id();
                match entry.filemode_raw() {
                    0o040_000 if depth == DEEPEST => {
                        let why = format!("which is more than {DEEPEST} directories deep");
                        return Err(CheckoutObstacle::refuse(&path, &why));
                    }
                    0o040_000 => {
                        contents.directories.insert(path.clone());
                        open.push((path, depth + 1, id));
                    }
                    mode => {
                        let entry = entry_of(&odb, &path, mode, id)?;
                        bytes += entry.size as u64;
                        if entry.is_submodule() {
                            contents.directories.insert(path.clone());
                        }
                        contents.entries.insert(path, entry);
                    }
                }
                contents.is_bounded(names, bytes)?;
            }
        }
        contents.is_known_to_git(repository)?;
        Ok(contents)
    }

    fn is_bounded(&self, names: usize, bytes: u64) -> Result<(), CheckoutObstacle> {
        if self.entries.len() + self.directories.len() > MAX_ENTRIES {
            return Err(CheckoutObstacle::Refused(format!("it has more than {MAX_ENTRIES} files and directories")));
        }
        if names > NAMES {
            return Err(CheckoutObstacle::Refused(format!(
                "the names of its files have more than {} MiB",
                NAMES >> 20
            )));
        }
        if bytes > LARGEST {
            return Err(CheckoutObstacle::Refused(format!("its files have more than {} GiB", LARGEST >> 30)));
        }
        Ok(())
    }

    /// Git's index refuses some paths; without the index git would take the files for changed here.
    fn is_known_to_git(&self, repository: &Repository) -> Result<(), CheckoutObstacle> {
        let mut index = repository.index()?;
        index.clear()?;
        let added = self.entries.iter().try_for_each(|(path, entry)| {
            index.add(&indexed(path, *entry, None)).map_err(|error| {
                CheckoutObstacle::refuse(path, &format!("which git does not take into its index: {}", error.message()))
            })
        });
        // It is the same index for all of the repository.
        index.read(true)?;
        added
    }
}

/// What is at a path that is no directory.
fn entry_of(odb: &Odb<'_>, path: &Path, mode: i32, id: Oid) -> Result<CommitEntry, CheckoutObstacle> {
    let refuse = |why: &str| Err(CheckoutObstacle::refuse(path, why));
    let mode = match mode {
        // Old versions of git wrote the second one.
        0o100_644 | 0o100_664 => 0o100_644,
        0o100_755 => EXECUTABLE,
        0o120_000 => LINK,
        0o160_000 => return Ok(CommitEntry { id, mode: SUBMODULE, size: 0 }),
        mode => return refuse(&format!("which has the mode {mode:o}, which git does not have")),
    };
    let (size, kind) = odb.read_header(id).map_err(|error| CheckoutObstacle::at(path, &error))?;
    if kind != ObjectType::Blob {
        return refuse("which is no file, though its mode says so");
    }
    if size > LARGEST_FILE {
        return refuse(&format!("which is larger than {} MiB", LARGEST_FILE >> 20));
    }
    let is_target = || Ok((1..=LONGEST_LINK).contains(&size) && !odb.read(id)?.data().contains(&0));
    if mode == LINK && !is_target().map_err(|error: git2::Error| CheckoutObstacle::at(path, &error))? {
        return refuse("a symbolic link whose target no link can have");
    }
    Ok(CommitEntry { id, mode, size })
}

/// Why a name must not be written.
fn check_name(name: &[u8]) -> Result<(), &'static str> {
    const NEVER: &str = "which no work tree may have";
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || is_git(name) || name == FRESH.as_bytes() {
        return Err(NEVER);
    }
    if name.len() > LONGEST_NAME {
        return Err("whose name is longer than 255 bytes");
    }
    Ok(())
}

/// Whether some file system takes a name for `.git`: as git does with `core.protectNTFS` and `core.protectHFS`.
fn is_git(name: &[u8]) -> bool {
    // On NTFS a backslash ends a directory's name, blanks and dots at the end do not count, nor does what follows a
    // colon, and `git~1` is the short name.
    let ntfs = name.split(|byte| *byte == b'\\').any(|part| {
        let part = part.split(|byte| *byte == b':').next().unwrap_or_default();
        let end = part.iter().rposition(|byte| !matches!(byte, b'.' | b' ')).map_or(0, |at| at + 1);
        part[..end].eq_ignore_ascii_case(b".git") || part[..end].eq_ignore_ascii_case(b"git~1")
    });
    // On HFS+ some characters do not count at all.
    let counts = |c: &char| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let hfs = String::from_utf8_lossy(name).chars().filter(counts).collect::<String>();
    ntfs || hfs.eq_ignore_ascii_case(".git")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_gits_own_on_some_file_system_are_known() {
        let names = [
            ".git",
            ".GIT",
            ".Git",
            ".git.",
            ".git ",
            ".git. .",
            "a\\.git",
            ".git::$INDEX_ALLOCATION",
            ".git\\x",
            "git~1",
            "GIT~1 ",
            ".g\u{200c}it",
            "\u{feff}.git",
            ".gi\u{206f}T",
        ];
        for name in names {
            assert!(check_name(name.as_bytes()).is_err(), "{name:?}");
        }
        for name in [".gitignore", ".gitattributes", "git", "git~2", ".gi", "x.git", ".", "..", ""] {
            assert!(!is_git(name.as_bytes()), "{name:?}");
        }
        assert!(check_name(&[b'a'; 255]).is_ok() && check_name(&[b'a'; 256]).is_err());
        assert!(check_name(b"\xff\xfe").is_ok());
    }
}
