//! What a command made in a checkout, kept beside it and put back into the next clean one.
//!
//! ```text
//! SLOT/tree                     the checkout
//! SLOT/prepared/KEY/manifest    what was made of the tip and command that KEY stands for
//! SLOT/prepared/KEY/files/N     the contents of a file
//! SLOT/prepared/KEY.new         the same while it is written
//! ```
//!
//! Contents have numbers for names, so that nothing that a command wrote is a path here; and what is put back goes below
//! the tree step by step from open directories, so that no link leads it elsewhere.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::snapshot::{SnapshotEntry, TreeChange};
use crate::names::{digest, hexadecimal};
use crate::own_directory::OwnDirectory;

/// The most that is kept: files and directories, and bytes in all of them.
const MAX_ENTRIES: usize = 100_000;
const MAX_BYTES: u64 = 1 << 30;
/// The largest manifest that is read.
const MAX_MANIFEST: u64 = 64 << 20;
/// What of a file is looked into for refs.
const MAX_TEXT: u64 = 8 << 20;

const PREPARED: &str = "prepared";
const MANIFEST: &str = "manifest";
const FILES: &str = "files";

/// What `prepare` made in a checkout.
#[derive(Debug)]
pub struct PreparedFiles {
    manifest: PreparedManifest,
    digest: String,
    /// Where the contents are.
    files: PathBuf,
    /// The top of the working tree.
    tree: PathBuf,
}

/// What a file held once it was prepared.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum PreparedText {
    /// What the commit has.
    AsCommitted,
    /// Nothing: there was no such file, or it is no text.
    None,
    /// This.
    Text(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PreparedManifest {
    version: u32,
    made: Timestamp,
    /// By path; a directory comes before what is in it.
    entries: BTreeMap<PathBuf, PreparedEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PreparedEntry {
    Directory,
    File { number: usize, size: u64, mode: u32, sha256: String },
    Link { target: String },
    Removed,
}

const VERSION: u32 = 1;

/// Where what was made for one tip and command is kept.
pub(super) struct PreparedStore<'a> {
    /// The directory that holds the checkout's tree.
    pub(super) slot: &'a Path,
    /// What stands for tip and command: a digest.
    pub(super) key: &'a str,
}

impl PreparedStore<'_> {
    /// What is kept, whole and undamaged; none where nothing is.
    pub(super) fn load(&self) -> io::Result<Option<PreparedFiles>> {
        let Some(kept) = self.directory()?.below(self.key)? else { return Ok(None) };
        let text = match open(&kept.path().join(MANIFEST)) {
            Ok(file) => read_most(file, MAX_MANIFEST)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let manifest: PreparedManifest = serde_json::from_slice(&text)?;
        let prepared = self.prepared(manifest, kept.path());
        prepared.verify()?;
        Ok(Some(prepared))
    }

    /// Keeps what differs in the tree, in the place of whatever was kept before.
    pub(super) fn keep(&self, changes: &BTreeMap<PathBuf, TreeChange>, made: Timestamp) -> io::Result<PreparedFiles> {
        let directory = self.directory()?;
        let fresh = format!("{}.new", self.key);
        directory.remove(&fresh)?;
        let new = directory.make(&fresh)?;
        let files = new.make(FILES)?;
        let entries = copy_all(&self.slot.join("tree"), changes, files.path())?;
        let manifest = PreparedManifest { version: VERSION, made, entries };
        let mut file = File::create_new(new.path().join(MANIFEST))?;
        file.write_all(&serde_json::to_vec(&manifest)?)?;
        rustix::fs::syncfs(&file)?;
        directory.remove(self.key)?;
        fs::rename(new.path(), directory.path().join(self.key))?;
        File::open(directory.path())?.sync_all()?;
        for name in directory.names()?.iter().filter(|name| *name != self.key) {
            directory.remove(name)?;
        }
        Ok(self.prepared(manifest, &directory.path().join(self.key)))
    }

    fn directory(&self) -> io::Result<OwnDirectory> {
        OwnDirectory::open_own(self.slot)?.ok_or(io::ErrorKind::NotFound)?.make(PREPARED)
    }

    fn prepared(&self, manifest: PreparedManifest, kept: &Path) -> PreparedFiles {
        // Written by this program, so that it is the same text for the same content.
        let digest = digest(&serde_json::to_vec(&manifest.entries).unwrap_or_default());
        PreparedFiles { manifest, digest, files: kept.join(FILES), tree: self.slot.join("tree") }
    }
}

impl PreparedFiles {
    /// What stands for all of it: the same for the same files with the same contents.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// When it was made.
    pub fn made(&self) -> Timestamp {
        self.manifest.made
    }

    /// What was added, changed or removed: paths relative to the top of the working tree, directories included.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.manifest.entries.keys().map(PathBuf::as_path)
    }

    /// What a file of the tree held once it was prepared, by its absolute path without links.
    pub(in crate::pipeline) fn text(&self, path: &Path) -> PreparedText {
        let tree = self.tree.canonicalize().unwrap_or_else(|_| self.tree.clone());
        let entry = path.strip_prefix(tree).ok().and_then(|path| self.manifest.entries.get(path));
        match entry {
            None => PreparedText::AsCommitted,
            Some(PreparedEntry::File { number, .. }) => {
                let file = open(&self.files.join(number.to_string())).ok();
                let bytes = file.and_then(|file| read_most(file, MAX_TEXT).ok());
                bytes.map_or(PreparedText::None, |bytes| {
                    PreparedText::Text(String::from_utf8_lossy(&bytes).into_owned())
                })
            }
            Some(PreparedEntry::Directory | PreparedEntry::Link { .. } | PreparedEntry::Removed) => PreparedText::None,
        }
    }

    /// Puts all of it into a clean checkout.
    pub(super) fn put_back(&self) -> io::Result<()> {
        for (path, entry) in &self.manifest.entries {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            let top = OwnDirectory::open_own(&self.tree)?.ok_or(io::ErrorKind::NotFound)?;
            if *entry == PreparedEntry::Removed {
                // It may have been in a directory that was removed with it.
                let found = parent.iter().try_fold(Some(top), |at, part| at.map_or(Ok(None), |at| at.below(part)));
                if let Some(directory) = found? {
                    directory.remove(name)?;
                }
                continue;
            }
            let directory = parent.iter().try_fold(top, |directory, part| directory.make(part))?;
            if *entry != PreparedEntry::Directory {
                directory.remove(name)?;
            }
            match entry {
                PreparedEntry::Removed => {}
                PreparedEntry::Directory => drop(directory.make(name)?),
                PreparedEntry::Link { target } => directory.make_link(name, target)?,
                PreparedEntry::File { number, mode, .. } => {
                    let mut file = directory.create(name)?;
                    io::copy(&mut open(&self.files.join(number.to_string()))?, &mut file)?;
                    file.set_permissions(Permissions::from_mode(*mode))?;
                }
            }
        }
        Ok(())
    }

    /// Sees that paths are such as may be written to, and that contents are what they were.
    fn verify(&self) -> io::Result<()> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let plain =
            |path: &Path| path.components().all(|part| matches!(part, Component::Normal(name) if name != ".git"));
        if self.manifest.version != VERSION || !self.manifest.entries.keys().all(|path| plain(path)) {
            return Err(wrong("its manifest is not valid"));
        }
        for entry in self.manifest.entries.values() {
            if let PreparedEntry::File { number, sha256, .. } = entry {
                let mut file = open(&self.files.join(number.to_string()))?;
                if copy_hashed(&mut file, &mut io::sink(), MAX_BYTES)?.1 != *sha256 {
                    return Err(wrong("a file is damaged"));
                }
            }
        }
        Ok(())
    }
}

/// Copies what was made into numbered files, and gives what there is of each path.
fn copy_all(
    tree: &Path,
    changes: &BTreeMap<PathBuf, TreeChange>,
    files: &Path,
) -> io::Result<BTreeMap<PathBuf, PreparedEntry>> {
    let made = |path: &Path, what: &str| io::Error::other(format!("{} {what}", path.display()));
    let mut entries = BTreeMap::new();
    let mut left = MAX_BYTES;
    for (number, (path, change)) in changes.iter().enumerate() {
        if number >= MAX_ENTRIES {
            return Err(io::Error::other(format!("there are more than {MAX_ENTRIES} files, which are not kept")));
        }
        if path.to_str().is_none() {
            return Err(made(path, "has a name that is not UTF-8, and cannot be kept"));
        }
        let entry = match change {
            TreeChange::Removed => PreparedEntry::Removed,
            TreeChange::Made(SnapshotEntry::Directory) => PreparedEntry::Directory,
            TreeChange::Made(SnapshotEntry::Special) => {
                return Err(made(path, "is neither file nor link, and cannot be kept"));
            }
            TreeChange::Made(SnapshotEntry::Link(_)) => {
                let target = fs::read_link(tree.join(path))?;
                let target = target.to_str().ok_or_else(|| made(path, "leads to what is not UTF-8"))?.to_owned();
                PreparedEntry::Link { target }
            }
            TreeChange::Made(SnapshotEntry::File(stamp)) => {
                let mut copy = File::create_new(files.join(number.to_string()))?;
                let (size, sha256) = copy_hashed(&mut open(&tree.join(path))?, &mut copy, left)
                    .map_err(|error| if error.kind() == io::ErrorKind::FileTooLarge { too_large() } else { error })?;
                left -= size;
                // Whoever runs this can always write and remove it, and nobody becomes somebody else by it.
                PreparedEntry::File { number, size, mode: stamp.mode & 0o777 | 0o600, sha256 }
            }
        };
        entries.insert(path.clone(), entry);
    }
    Ok(entries)
}

fn too_large() -> io::Error {
    io::Error::other(format!("there are more than {} MiB, which are not kept", MAX_BYTES >> 20))
}

/// Opens a regular file that may be hostile.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits();
    let file = File::options().read(true).custom_flags(i32::try_from(flags).unwrap_or_default()).open(path)?;
    if file.metadata()?.mode() & 0o170_000 == 0o100_000 {
        return Ok(file);
    }
    Err(io::Error::other(format!("{} is not a regular file", path.display())))
}

fn read_most(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Copies to the end of a file, and gives how many bytes that were and their digest.
fn copy_hashed(from: &mut File, to: &mut dyn io::Write, most: u64) -> io::Result<(u64, String)> {
    let (mut sha256, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        size += read as u64;
        if size > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        sha256.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
    }
    Ok((size, hexadecimal(&sha256.finalize())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::snapshot::TreeSnapshot;
    use super::*;

    /// A slot whose tree holds a few files of a commit.
    fn slot() -> tempfile::TempDir {
        let slot = tempfile::tempdir().unwrap();
        fill(slot.path());
        slot
    }

    fn fill(slot: &Path) {
        let _ = fs::remove_dir_all(slot.join("tree"));
        fs::create_dir_all(slot.join("tree/keys/old")).unwrap();
        fs::write(slot.join("tree/project.conf"), "name: p\n").unwrap();
        fs::write(slot.join("tree/keys/old/key"), "old").unwrap();
        fs::write(slot.join("tree/plain"), "plain").unwrap();
    }

    fn changes(slot: &Path, command: impl FnOnce(&Path)) -> BTreeMap<PathBuf, TreeChange> {
        let before = TreeSnapshot::of(&slot.join("tree")).unwrap();
        command(&slot.join("tree"));
        before.changes(&TreeSnapshot::of(&slot.join("tree")).unwrap())
    }

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn make(tree: &Path) {
        fs::create_dir_all(tree.join("keys/new/empty")).unwrap();
        fs::write(tree.join("keys/new/db.key"), "secret").unwrap();
        fs::set_permissions(tree.join("keys/new/db.key"), Permissions::from_mode(0o400)).unwrap();
        fs::write(tree.join("script"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(tree.join("script"), Permissions::from_mode(0o4755)).unwrap();
        symlink("/etc/passwd", tree.join("keys/link")).unwrap();
        fs::remove_dir_all(tree.join("keys/old")).unwrap();
        fs::remove_file(tree.join("plain")).unwrap();
        fs::create_dir(tree.join("plain")).unwrap();
        fs::write(tree.join("plain/inner"), "inner").unwrap();
        fs::write(tree.join("project.conf"), "name: q\n").unwrap();
        fs::create_dir_all(tree.join(".git")).unwrap();
        fs::write(tree.join(".git/config"), "[core]\n").unwrap();
    }

    #[test]
    fn what_was_made_is_put_back_as_it_was() {
        let slot = slot();
        let store = PreparedStore { slot: slot.path(), key: "k" };
        assert!(store.load().unwrap().is_none());
        let kept = store.keep(&changes(slot.path(), make), now()).unwrap();
        let wanted = TreeSnapshot::of(&slot.path().join("tree")).unwrap();
        assert!(kept.paths().all(|path| !path.starts_with(".git")));
        fill(slot.path());
        let found = store.load().unwrap().unwrap();
        assert_eq!((found.digest(), found.made()), (kept.digest(), now()));
        found.put_back().unwrap();
        let names =
            |snapshot: &TreeSnapshot| snapshot.changes(&TreeSnapshot::default()).into_keys().collect::<Vec<_>>();
        let tree = slot.path().join("tree");
        assert_eq!(names(&TreeSnapshot::of(&tree).unwrap()), names(&wanted));
        assert_eq!(fs::read_to_string(tree.join("keys/new/db.key")).unwrap(), "secret");
        let mode = |name: &str| fs::metadata(tree.join(name)).unwrap().mode() & 0o7777;
        assert_eq!((mode("keys/new/db.key"), mode("script")), (0o600, 0o755));
        assert_eq!(fs::read_link(tree.join("keys/link")).unwrap(), Path::new("/etc/passwd"));
        let text = |name: &str| found.text(&tree.canonicalize().unwrap().join(name));
        assert_eq!(text("project.conf"), PreparedText::Text("name: q\n".to_owned()));
        assert_eq!((text("keys/old/key"), text("other")), (PreparedText::None, PreparedText::AsCommitted));
        // Another tip's takes the place of this one's.
        fill(slot.path());
        let other = PreparedStore { slot: slot.path(), key: "other" };
        other.keep(&changes(slot.path(), |tree| fs::write(tree.join("new"), "new").unwrap()), now()).unwrap();
        assert!(store.load().unwrap().is_none() && other.load().unwrap().is_some());
    }

    #[test]
    fn a_link_in_the_way_leads_nothing_out_of_the_tree() {
        let slot = slot();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("db.key"), "precious").unwrap();
        let store = PreparedStore { slot: slot.path(), key: "k" };
        store.keep(&changes(slot.path(), make), now()).unwrap();
        fill(slot.path());
        symlink(outside.path(), slot.path().join("tree/keys/new")).unwrap();
        symlink(outside.path().join("db.key"), slot.path().join("tree/script")).unwrap();
        store.load().unwrap().unwrap().put_back().unwrap();
        assert_eq!(fs::read_to_string(outside.path().join("db.key")).unwrap(), "precious");
        assert!(slot.path().join("tree/keys/new").symlink_metadata().unwrap().is_dir());
        assert!(slot.path().join("tree/script").symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn what_is_damaged_or_forged_is_not_put_back() {
        let slot = slot();
        let store = PreparedStore { slot: slot.path(), key: "k" };
        store.keep(&changes(slot.path(), make), now()).unwrap();
        let kept = slot.path().join("prepared/k");
        let manifest = fs::read_to_string(kept.join(MANIFEST)).unwrap();
        for forged in ["../outside", "/etc/x", ".git/config", "keys/../../x"] {
            fs::write(kept.join(MANIFEST), manifest.replace("\"script\"", &format!("{forged:?}"))).unwrap();
            assert_eq!(store.load().unwrap_err().kind(), io::ErrorKind::InvalidData, "{forged}");
        }
        fs::write(kept.join(MANIFEST), "{").unwrap();
        assert!(store.load().is_err());
        fs::write(kept.join(MANIFEST), &manifest).unwrap();
        assert!(store.load().unwrap().is_some());
        let file = fs::read_dir(kept.join(FILES)).unwrap().next().unwrap().unwrap();
        fs::write(file.path(), "other").unwrap();
        assert_eq!(store.load().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_nobody_can_keep_is_said() {
        let slot = slot();
        let store = PreparedStore { slot: slot.path(), key: "k" };
        let fifo = |tree: &Path| {
            let (sort, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
            rustix::fs::mknodat(rustix::fs::CWD, tree.join("fifo"), sort, mode, 0).unwrap();
        };
        let error = store.keep(&changes(slot.path(), fifo), now()).unwrap_err().to_string();
        assert_eq!(error, "fifo is neither file nor link, and cannot be kept");
        fill(slot.path());
        let large = |tree: &Path| File::create(tree.join("large")).unwrap().set_len(MAX_BYTES + 1).unwrap();
        let error = store.keep(&changes(slot.path(), large), now()).unwrap_err().to_string();
        assert_eq!(error, "there are more than 1024 MiB, which are not kept");
        assert!(store.load().unwrap().is_none());
    }
}
