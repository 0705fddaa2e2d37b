//! A commit's files, where they would be in the work tree: what a configuration is judged by before it is taken.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, Repository, Tree, TreeEntry};

use super::clone_path::parts;
use super::objects::small_tree;
use crate::config::{DiskFiles, FileLookup, FileStatus, LARGEST};

/// As many symbolic links are followed as the kernel would (`path_resolution(7)`).
const LINKS: usize = 40;
/// Of a symbolic link in a tree.
const LINK: i32 = 0o120_000;

/// What a path of a commit leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathLookup {
    /// A file, and where it is once all links are followed.
    File(Oid, PathBuf),
    Directory,
    Nothing,
    /// Something inside a submodule, of which this is the path.
    Submodule(PathBuf),
    /// Somewhere outside the work tree.
    Outside {
        /// Whether a symbolic link of the commit led there.
        by_link: bool,
    },
}

/// What is done about files that a commit does not have.
#[derive(Debug)]
pub(super) enum FallbackFiles<'e> {
    /// They are looked for on this host. What the checked-out commit has and this one has not is going to be gone.
    Here {
        /// The commit's tree that is checked out.
        now: Option<Oid>,
    },
    /// They are on another host: what is outside the work tree, or ignored in it, is taken to be there, and noted.
    OnTheHost(&'e RefCell<Vec<PathBuf>>),
}

/// A commit's tree as [`FileLookup`].
pub(super) struct CommitFiles<'r> {
    pub(super) repository: &'r Repository,
    pub(super) tree: Tree<'r>,
    pub(super) top: &'r Path,
    pub(super) elsewhere: FallbackFiles<'r>,
}

impl CommitFiles<'_> {
    /// Follows a path inside the work tree as the kernel would after a checkout.
    pub(super) fn find(&self, path: &Path) -> io::Result<PathLookup> {
        let mut todo: VecDeque<OsString> = parts(path);
        let (mut at, mut links) = (PathBuf::new(), 0);
        while let Some(part) = todo.pop_front() {
            if part == ".." {
                if !at.pop() {
                    return Ok(PathLookup::Outside { by_link: links > 0 });
                }
                continue;
            }
            at.push(&part);
            let Some(entry) = self.entry(&at)? else { return Ok(PathLookup::Nothing) };
            match entry.kind() {
                Some(ObjectType::Tree) => {}
                Some(ObjectType::Commit) => return Ok(PathLookup::Submodule(at)),
                Some(ObjectType::Blob) if entry.filemode() == LINK => {
                    links += 1;
                    if links > LINKS {
                        return Err(io::Error::other("too many symbolic links"));
                    }
                    let target = PathBuf::from(OsString::from_vec(self.bytes(entry.id())?));
                    at.pop();
                    if target.is_absolute() {
                        let Ok(inside) = target.strip_prefix(self.top) else {
                            return Ok(PathLookup::Outside { by_link: true });
                        };
                        at = PathBuf::new();
                        todo = parts(inside).into_iter().chain(todo).collect();
                    } else {
                        todo = parts(&target).into_iter().chain(todo).collect();
                    }
                }
                Some(ObjectType::Blob) if todo.is_empty() => return Ok(PathLookup::File(entry.id(), at)),
                _ => return Ok(PathLookup::Nothing),
            }
        }
        Ok(PathLookup::Directory)
    }

    /// What the commit has at a path; the size of every directory on the way is looked at first.
    fn entry(&self, path: &Path) -> io::Result<Option<TreeEntry<'static>>> {
        let odb = self.repository.odb().map_err(io::Error::other)?;
        let mut found: Option<TreeEntry<'static>> = None;
        for name in path {
            let name = name.as_bytes();
            let inner = match &found {
                Some(entry) if entry.kind() == Some(ObjectType::Tree) => {
                    Some(small_tree(self.repository, &odb, entry.id()).map_err(io::Error::other)?)
                }
                Some(_) => return Ok(None),
                None => None,
            };
            found = inner.as_ref().unwrap_or(&self.tree).get_name_bytes(name).map(|entry| entry.to_owned());
            if found.is_none() {
                return Ok(None);
            }
        }
        Ok(found)
    }

    /// A blob's text, its size looked at first.
    pub(super) fn text(&self, blob: Oid) -> io::Result<String> {
        String::from_utf8(self.bytes(blob)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    pub(super) fn bytes(&self, blob: Oid) -> io::Result<Vec<u8>> {
        let odb = self.repository.odb().map_err(io::Error::other)?;
        let (size, _) = odb.read_header(blob).map_err(io::Error::other)?;
        if size as u64 > LARGEST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB"));
        }
        let blob = self.repository.find_blob(blob).map_err(io::Error::other)?;
        Ok(blob.content().to_owned())
    }

    /// The file that a path stands for: in the commit, or elsewhere.
    fn locate(&self, path: &Path) -> io::Result<PathSource> {
        let Ok(inside) = path.strip_prefix(self.top) else { return Ok(PathSource::Elsewhere) };
        match self.find(inside)? {
            PathLookup::File(blob, _) => Ok(PathSource::Here(blob)),
            PathLookup::Directory => Ok(PathSource::Directory),
            PathLookup::Outside { by_link: false } => Ok(PathSource::Elsewhere),
            PathLookup::Outside { by_link: true } => Err(io::Error::other(
                "it is a symbolic link that leads out of the repository: name the file itself instead",
            )),
            PathLookup::Submodule(at) => Err(io::Error::other(format!(
                "it is in the submodule {}, and submodules of the configuration's repository are not checked out: put \
                 the file into the repository itself",
                at.display()
            ))),
            PathLookup::Nothing => match &self.elsewhere {
                FallbackFiles::Here { now } if now.is_some_and(|now| self.tracked(now, inside)) => {
                    Err(io::Error::new(io::ErrorKind::NotFound, "the commit does not have it"))
                }
                FallbackFiles::OnTheHost(_) if !self.repository.is_path_ignored(inside).unwrap_or(false) => {
                    Err(io::Error::new(io::ErrorKind::NotFound, "the commit does not have it"))
                }
                FallbackFiles::Here { .. } | FallbackFiles::OnTheHost(_) => Ok(PathSource::Elsewhere),
            },
        }
    }

    fn tracked(&self, tree: Oid, path: &Path) -> bool {
        self.repository.find_tree(tree).is_ok_and(|tree| tree.get_path(path).is_ok())
    }
}

enum PathSource {
    Here(Oid),
    Directory,
    Elsewhere,
}

impl FileLookup for CommitFiles<'_> {
    fn look(&self, path: &Path) -> io::Result<FileStatus> {
        match self.locate(path)? {
            // Who may read it is seen when it is checked out.
            PathSource::Here(_) => Ok(FileStatus { is_file: true, open_to_all: false }),
            PathSource::Directory => Ok(FileStatus { is_file: false, open_to_all: false }),
            PathSource::Elsewhere => match &self.elsewhere {
                FallbackFiles::Here { .. } => DiskFiles.look(path),
                FallbackFiles::OnTheHost(noted) => {
                    noted.borrow_mut().push(path.to_owned());
                    Ok(FileStatus { is_file: true, open_to_all: false })
                }
            },
        }
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        match self.locate(path)? {
            PathSource::Here(blob) => self.text(blob),
            PathSource::Directory => Err(io::Error::other("it is not an ordinary file")),
            PathSource::Elsewhere => match &self.elsewhere {
                FallbackFiles::Here { .. } => DiskFiles.read(path),
                FallbackFiles::OnTheHost(noted) => {
                    noted.borrow_mut().push(path.to_owned());
                    Ok(String::new())
                }
            },
        }
    }
}
