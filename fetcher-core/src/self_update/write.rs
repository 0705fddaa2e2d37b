//! Writing a commit's files into a work tree that holds other files too. Libgit2's own checkout (1.9) writes through
//! symbolic links to directories that git does not know, and loses a link that takes a directory's place.

use std::collections::BTreeMap;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use git2::{Index, IndexEntry, IndexTime, ObjectType, Oid, Repository};

use super::view::path_of;

/// A commit with more files is a trap, not a configuration.
const MOST: usize = 500_000;
/// A file is in memory while it is written.
const LARGEST: usize = 256 << 20;

/// What a file is called until it is whole.
const FRESH: &str = ".bst-fetcher-new";

const LINK: u32 = 0o120_000;
const EXECUTABLE: u32 = 0o100_755;
const SUBMODULE: u32 = 0o160_000;

/// A file, link or submodule of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: Oid,
    mode: u32,
}

impl Entry {
    pub(super) fn is_submodule(self) -> bool {
        self.mode == SUBMODULE
    }
}

/// Everything in a commit that is to be in a work tree.
///
/// # Errors
/// When it cannot be read, or holds what must not be written.
pub(super) fn entries(repository: &Repository, commit: Oid) -> Result<BTreeMap<PathBuf, Entry>, git2::Error> {
    let refuse = |why: String| Err(git2::Error::from_str(&why));
    let odb = repository.odb()?;
    let mut open = vec![(PathBuf::new(), repository.find_commit(commit)?.tree_id())];
    let mut entries = BTreeMap::new();
    while let Some((directory, tree)) = open.pop() {
        for entry in &repository.find_tree(tree)? {
            let name = entry.name_bytes();
            let path = directory.join(path_of(name));
            let shown = path.display();
            // Such names are never git's own doing.
            let taken = name.eq_ignore_ascii_case(b".git") || name == FRESH.as_bytes();
            if taken || matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
                return refuse(format!("the commit holds \"{shown}\", which no work tree may have"));
            }
            let mode = u32::try_from(entry.filemode()).unwrap_or_default();
            let id = entry.id();
            match entry.kind() {
                Some(ObjectType::Tree) => open.push((path, id)),
                Some(ObjectType::Blob) if odb.read_header(id)?.0 > LARGEST => {
                    return refuse(format!("\"{shown}\" in the commit is larger than 256 MiB"));
                }
                Some(ObjectType::Blob | ObjectType::Commit) => drop(entries.insert(path, Entry { id, mode })),
                _ => {}
            }
        }
        if entries.len() + open.len() > MOST {
            return refuse(format!("the commit has more than {MOST} files"));
        }
    }
    Ok(entries)
}

/// Makes a work tree hold the files of a commit, and none of those that git knew there before. Whatever else is there is
/// left alone, but for what is in the way.
pub(super) fn write(repository: &Repository, top: &Path, commit: Oid) -> Result<(), git2::Error> {
    let failed = |path: &Path, error: io::Error| git2::Error::from_str(&format!("{}: {error}", path.display()));
    let new = entries(repository, commit)?;
    let mut index = repository.index()?;
    index.read(true)?;
    for path in known(repository, &index)? {
        if !new.contains_key(&path) {
            remove(top, &path).map_err(|error| failed(&path, error))?;
        }
    }
    index.clear()?;
    for (path, entry) in &new {
        make_way(top, path, *entry).map_err(|error| failed(path, error))?;
        let there = top.join(path);
        let metadata = if entry.is_submodule() {
            fs::create_dir_all(&there).and_then(|()| fs::symlink_metadata(&there))
        } else {
            let blob = repository.find_blob(entry.id)?;
            put(&there, blob.content(), entry.mode).and_then(|()| fs::symlink_metadata(&there))
        };
        index.add(&indexed(path, *entry, &metadata.map_err(|error| failed(path, error))?))?;
    }
    index.write()
}

/// What git knows in the work tree: the files of the index and of the commit that is checked out.
fn known(repository: &Repository, index: &Index) -> Result<Vec<PathBuf>, git2::Error> {
    let mut paths: Vec<PathBuf> = index.iter().map(|entry| path_of(&entry.path)).collect();
    if let Some(head) = repository.head().ok().and_then(|head| head.target()) {
        paths.extend(entries(repository, head)?.into_keys());
    }
    Ok(paths)
}

/// What is there at a path inside the work tree, where no symbolic link leads to it.
pub(super) fn there(top: &Path, path: &Path) -> Option<Metadata> {
    let mut parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
    let real = parents.all(|parent| fs::symlink_metadata(top.join(parent)).is_ok_and(|parent| parent.is_dir()));
    real.then(|| fs::symlink_metadata(top.join(path)).ok()).flatten()
}

/// Removes a file, and the directories that are empty then. A directory in its place (of a submodule, say) stays.
fn remove(top: &Path, path: &Path) -> io::Result<()> {
    match there(top, path) {
        Some(metadata) if !metadata.is_dir() => fs::remove_file(top.join(path))?,
        Some(_) | None => return Ok(()),
    }
    for parent in path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
        if fs::remove_dir(top.join(parent)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Removes what would stop a file from being written, or lead it elsewhere, and makes the directories above it.
fn make_way(top: &Path, path: &Path, entry: Entry) -> io::Result<()> {
    let parents: Vec<&Path> = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()).collect();
    for parent in parents.into_iter().rev() {
        let parent = top.join(parent);
        match fs::symlink_metadata(&parent) {
            Ok(there) if there.is_dir() => continue,
            Ok(_) => fs::remove_file(&parent)?,
            Err(_) => {}
        }
        fs::create_dir(&parent)?;
    }
    let path = top.join(path);
    match fs::symlink_metadata(&path) {
        Ok(there) if there.is_dir() && !entry.is_submodule() => fs::remove_dir_all(&path),
        Ok(there) if !there.is_dir() && entry.is_submodule() => fs::remove_file(&path),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Writes a file or link in one step, if it is another one than what is there.
fn put(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let fresh = path.with_file_name(FRESH);
    if mode == LINK {
        let target = path_of(content);
        if fs::read_link(path).is_ok_and(|there| there.as_os_str().as_bytes() == content) {
            return Ok(());
        }
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        symlink(target, &fresh)?;
        return fs::rename(&fresh, path);
    }
    let executable = mode == EXECUTABLE;
    let same = fs::symlink_metadata(path).is_ok_and(|there| {
        there.is_file()
            && there.len() == content.len() as u64
            && (there.mode() & 0o100 != 0) == executable
            && fs::read(path).is_ok_and(|there| there == content)
    });
    if same {
        return Ok(());
    }
    // What a killed process left under this name could have another mode, or be a link.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Who could not read the old one, which may hold a secret, cannot read the new one.
    let old = fs::symlink_metadata(path).ok().filter(Metadata::is_file).map_or(0o777, |old| old.mode());
    let readable = old & 0o666;
    // Who may read an executable may execute it, as git has it.
    let mode = if executable { readable | (readable & 0o444) >> 2 } else { readable };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
    file.write_all(content)?;
    fs::rename(&fresh, path)
}

/// An entry of the index, by which git sees that nothing was changed since.
fn indexed(path: &Path, entry: Entry, metadata: &Metadata) -> IndexEntry {
    let time = |seconds: i64, nanoseconds: i64| {
        IndexTime::new(i32::try_from(seconds).unwrap_or_default(), u32::try_from(nanoseconds).unwrap_or_default())
    };
    // Git keeps the lower 32 bits of all of these (gitformat-index(5)).
    let low = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default();
    IndexEntry {
        ctime: time(metadata.ctime(), metadata.ctime_nsec()),
        mtime: time(metadata.mtime(), metadata.mtime_nsec()),
        dev: low(metadata.dev()),
        ino: low(metadata.ino()),
        mode: entry.mode,
        uid: metadata.uid(),
        gid: metadata.gid(),
        file_size: if entry.is_submodule() { 0 } else { low(metadata.len()) },
        id: entry.id,
        flags: 0,
        flags_extended: 0,
        path: path.as_os_str().as_bytes().to_vec(),
    }
}
