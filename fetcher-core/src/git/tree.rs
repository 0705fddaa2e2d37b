//! Making a directory hold exactly a commit's tree, whatever it held before.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use git2::{FileMode, Oid, Repository};
use rustix::fs::FileType;

use super::GitNote;
use super::budget::{self, CheckoutBudget, MAX_DEPTH, TreeError};
use super::contained_files::{self, Tombstones};
use super::error::GitError;
use super::store::MirrorStore;
use super::written_index::{IndexTrust, WrittenIndex};

/// How many files with attributes that do nothing are told of, and how many attributes of each.
const MAX_NOTES: usize = 20;
/// How much of a `.gitattributes` is looked at.
const MAX_ATTRIBUTES: usize = 1 << 20;

/// One walk over a working tree.
pub(super) struct TreeWriter<'w, 'g> {
    pub(super) store: &'w MirrorStore,
    pub(super) repository: &'w Repository,
    pub(super) trash: &'w mut Tombstones,
    pub(super) written: WrittenIndex,
    pub(super) budget: &'w mut CheckoutBudget<'g>,
    /// The file `.git` of a submodule; none at the top, whose `.git` is made apart.
    pub(super) git_file: Option<String>,
    /// The working tree's path inside the checkout, for messages.
    pub(super) prefix: PathBuf,
    /// Whether a submodule's directory is left to who checks it out, else it is emptied.
    pub(super) keep_submodules: bool,
    pub(super) found: TreeWalkResult,
}

/// What a walk found and did.
#[derive(Debug, Default)]
pub(super) struct TreeWalkResult {
    /// Submodules: path and commit.
    pub(super) submodules: Vec<(Vec<u8>, Oid)>,
    /// How many files and links were written.
    pub(super) written: usize,
    pub(super) notes: Vec<GitNote>,
}

/// What a tree says of one name.
#[derive(Clone, Copy)]
struct TreeEntry {
    kind: TreeEntryKind,
    id: Oid,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TreeEntryKind {
    File,
    Executable,
    Link,
    Directory,
    Submodule,
}

impl<'w> TreeWriter<'w, '_> {
    /// Makes a directory hold exactly a tree, unless that is more than is left of the budget.
    pub(super) fn top(&mut self, directory: BorrowedFd<'_>, tree: Oid) -> Result<(), GitError> {
        self.budget.take_tree(self.store, self.repository, tree).map_err(|error| match error {
            TreeError::Git(error) => error,
            TreeError::Refused(reason) => GitError::Tree { path: budget::shown(&self.prefix), reason },
        })?;
        self.directory(directory, tree, &mut Vec::new(), 0)
    }

    /// Makes a directory hold exactly a tree.
    fn directory(
        &mut self,
        directory: BorrowedFd<'_>,
        tree: Oid,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), GitError> {
        self.budget.check()?;
        if depth > MAX_DEPTH {
            return Err(self.refuse(path, &format!("it is more than {MAX_DEPTH} directories deep")));
        }
        let expected = self.entries(tree, path)?;
        let wanted = |name: &[u8]| (depth == 0 && name == b".git") || expected.contains_key(name);
        self.clear(directory, wanted).map_err(|error| self.failed("tidy", path, error))?;
        if depth == 0 {
            self.git_file(directory)?;
        }
        for (name, entry) in expected {
            self.at(path, &name, |walk, path| walk.entry(directory, &name, entry, path, depth))?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        entry: TreeEntry,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), GitError> {
        self.budget.check()?;
        match entry.kind {
            TreeEntryKind::File | TreeEntryKind::Executable => self.file(parent, name, entry, path),
            TreeEntryKind::Link => self.link(parent, name, entry, path),
            TreeEntryKind::Directory => {
                let directory = self.open(parent, name, path)?;
                self.directory(directory.as_fd(), entry.id, path, depth + 1)
            }
            TreeEntryKind::Submodule => {
                let directory = self.open(parent, name, path)?;
                self.written.note(path, entry.id, u32::from(FileMode::Commit), None, IndexTrust::Untouched);
                self.found.submodules.push((path.clone(), entry.id));
                if self.keep_submodules {
                    return Ok(());
                }
                self.clear(directory.as_fd(), |_| false).map_err(|error| self.failed("empty", path, error))
            }
        }
    }

    /// Removes all names of a directory but the wanted ones.
    fn clear(&mut self, directory: BorrowedFd<'_>, wanted: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        let budget = &mut *self.budget;
        self.trash.throw_all_but(directory, wanted, &mut || budget.check().map_err(io::Error::other))
    }

    /// Reads what a file or a link is to hold, where that is not too much.
    fn blob(&mut self, entry: TreeEntry, path: &[u8]) -> Result<git2::Blob<'w>, GitError> {
        let size = budget::blob_size(self.store, self.repository, entry.id)?;
        self.budget.take_bytes(size).map_err(|reason| self.refuse(path, &reason))?;
        self.repository.find_blob(entry.id).map_err(|error| self.store.damage(&error))
    }

    fn file(&mut self, parent: BorrowedFd<'_>, name: &[u8], entry: TreeEntry, path: &[u8]) -> Result<(), GitError> {
        if name == b".gitattributes" {
            let blob = self.blob(entry, path)?;
            self.note_attributes(path, blob.content());
        }
        let executable = entry.kind == TreeEntryKind::Executable;
        let mode = u32::from(if executable { FileMode::BlobExecutable } else { FileMode::Blob });
        let stat = contained_files::stat(parent, name).map_err(|error| self.failed("look at", path, error))?;
        let regular = stat.filter(|stat| contained_files::kind(stat) == FileType::RegularFile);
        let trust = regular.map_or(IndexTrust::Touched, |stat| self.written.trust(path, entry.id, mode, &stat));
        if trust == IndexTrust::Untouched {
            let size = regular.map_or(0, |stat| stat.st_size.cast_unsigned());
            self.budget.take_bytes(size).map_err(|reason| self.refuse(path, &reason))?;
            self.written.note(path, entry.id, mode, regular.as_ref(), trust);
            return Ok(());
        }
        let blob = self.blob(entry, path)?;
        let bits = if executable { 0o100 } else { 0 };
        let usual = regular.filter(|stat| trust == IndexTrust::Doubtful && stat.st_mode & 0o7102 == bits);
        let kept = usual.filter(|_| contained_files::holds(parent, name, blob.content()).unwrap_or(false));
        let stat = match kept {
            Some(stat) => stat,
            None => self
                .trash
                .throw(parent, name)
                .and_then(|()| contained_files::write_new(parent, name, blob.content(), executable))
                .map_err(|error| self.failed("write", path, error))?,
        };
        self.found.written += usize::from(kept.is_none());
        self.written.note(path, entry.id, mode, Some(&stat), trust);
        Ok(())
    }

    fn link(&mut self, parent: BorrowedFd<'_>, name: &[u8], entry: TreeEntry, path: &[u8]) -> Result<(), GitError> {
        let blob = self.blob(entry, path)?;
        let there =
            rustix::fs::readlinkat(parent, name, Vec::new()).is_ok_and(|target| target.as_bytes() == blob.content());
        if !there {
            let made = self.trash.throw(parent, name);
            made.and_then(|()| Ok(rustix::fs::symlinkat(blob.content(), parent, name)?))
                .map_err(|error| self.failed("write", path, error))?;
            self.found.written += 1;
        }
        let stat = contained_files::stat(parent, name).map_err(|error| self.failed("look at", path, error))?;
        let trust = if there { IndexTrust::Untouched } else { IndexTrust::Touched };
        self.written.note(path, entry.id, u32::from(FileMode::Link), stat.as_ref(), trust);
        Ok(())
    }

    /// Opens a directory that has to be there; what is there instead is removed.
    fn open(&mut self, parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<std::os::fd::OwnedFd, GitError> {
        self.trash.directory(parent, name).map_err(|error| self.failed("open", path, error))
    }

    /// Makes the `.git` of a submodule the file that git makes it, so that a directory's content is the same wherever
    /// it is checked out.
    fn git_file(&mut self, directory: BorrowedFd<'_>) -> Result<(), GitError> {
        let Some(content) = self.git_file.clone() else { return Ok(()) };
        let settled = self.trash.settle(directory, b".git", content.as_bytes());
        settled.map_err(|error| self.failed("write", b".git", error))
    }

    /// The entries of a tree by name. Names that could lead elsewhere, which git itself refuses too, are refused.
    fn entries(&self, tree: Oid, path: &[u8]) -> Result<BTreeMap<Vec<u8>, TreeEntry>, GitError> {
        let tree = self.repository.find_tree(tree).map_err(|error| self.store.damage(&error))?;
        let mut entries = BTreeMap::new();
        for entry in &tree {
            let name = entry.name_bytes();
            let bad = matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.eq_ignore_ascii_case(b".git");
            let kind = match entry.filemode() {
                0o040_000 => TreeEntryKind::Directory,
                0o100_755 => TreeEntryKind::Executable,
                0o100_644 => TreeEntryKind::File,
                0o120_000 => TreeEntryKind::Link,
                0o160_000 => TreeEntryKind::Submodule,
                _ => return Err(self.refuse(path, "it has an entry of no known type")),
            };
            if bad || entries.insert(name.to_vec(), TreeEntry { kind, id: entry.id() }).is_some() {
                let name = String::from_utf8_lossy(name);
                return Err(self.refuse(path, &format!("it holds the name {name:?}, which git does not allow there")));
            }
        }
        Ok(entries)
    }

    /// Says which conversions a project asks for: none is done, for a filter is a program.
    fn note_attributes(&mut self, path: &[u8], content: &[u8]) {
        let text = String::from_utf8_lossy(&content[..content.len().min(MAX_ATTRIBUTES)]);
        let converts = |word: &str| {
            word.starts_with("filter=")
                || word == "eol=crlf"
                || word == "ident"
                || word.starts_with("working-tree-encoding=")
        };
        let words = text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
        let mut asked: Vec<_> = words.filter(|word| converts(word)).map(str::to_owned).collect();
        asked.sort();
        asked.dedup();
        asked.truncate(MAX_NOTES);
        if !asked.is_empty() && self.found.notes.len() < MAX_NOTES {
            self.found.notes.push(GitNote::Unconverted { file: self.shown(path), attributes: asked });
        }
    }

    /// Does something with the path of a name in a directory.
    fn at<T>(&mut self, path: &mut Vec<u8>, name: &[u8], act: impl FnOnce(&mut Self, &mut Vec<u8>) -> T) -> T {
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        let result = act(self, path);
        path.truncate(length);
        result
    }

    fn shown(&self, path: &[u8]) -> PathBuf {
        self.prefix.join(OsStr::from_bytes(path))
    }

    fn failed(&self, action: &'static str, path: &[u8], error: io::Error) -> GitError {
        GitError::io(action, &self.shown(path), error)
    }

    fn refuse(&self, path: &[u8], reason: &str) -> GitError {
        GitError::Tree { path: self.shown(path), reason: reason.to_owned() }
    }
}
