//! What the local cache knows of an element's sources: every object that they consist of.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use bazel_remote_apis::build::bazel::remote::execution::v2::{Digest, Directory};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::digest::{ObjectDigest, Sha256Hash};
use super::index::{AssetIndex, AssetName};
use super::rooted_dir::RootedDir;

/// The largest directory that is read, in bytes: some 500,000 files.
pub(super) const LARGEST_DIRECTORY: u64 = 64 << 20;
/// How many objects an element's sources may consist of.
pub(super) const MOST_OBJECTS: usize = 4_000_000;

/// The local cache, read without bst.
pub(super) struct LocalSources {
    index: AssetIndex,
    objects: RootedDir,
    /// The objects below directories that were walked before.
    trees: HashMap<ObjectDigest, Arc<[ObjectDigest]>>,
}

/// Every object that the sources of one element consist of.
#[derive(Debug, Clone)]
pub(super) struct SourceObjects {
    /// The message that the index has, itself an object.
    pub(super) message: ObjectDigest,
    /// The root directory, every directory below, and every file.
    pub(super) objects: Arc<[ObjectDigest]>,
}

/// Why the local cache does not say what an element's sources consist of.
#[derive(Debug)]
pub(super) enum LocalGap {
    /// Its index has no entry.
    NoEntry,
    /// An object that is needed to go on is not there, or not whole.
    NoObject,
    /// Something cannot be read.
    Unreadable(io::Error),
}

impl LocalSources {
    pub(super) fn new(cachedir: &Path) -> Self {
        let objects = RootedDir::new(cachedir.join("cas/objects"));
        Self { index: AssetIndex::new(cachedir), objects, trees: HashMap::new() }
    }

    /// The message that the index has for a key, where it can be read.
    pub(super) fn message_of(&self, key: &str) -> Option<ObjectDigest> {
        let entry = self.index.find(&AssetName::Sources(key.to_owned())).ok()??;
        Some(ObjectDigest::of(&entry.message))
    }

    /// What the sources of a key consist of.
    pub(super) fn objects_of(&mut self, key: &str) -> Result<SourceObjects, LocalGap> {
        let entry = self.index.find(&AssetName::Sources(key.to_owned())).map_err(LocalGap::Unreadable)?;
        let entry = entry.ok_or(LocalGap::NoEntry)?;
        let message = ObjectDigest::of(&entry.message);
        let root = entry.root.ok_or(LocalGap::NoObject)?;
        if let Some(known) = self.trees.get(&root) {
            return Ok(SourceObjects { message, objects: Arc::clone(known) });
        }
        let objects: Arc<[ObjectDigest]> = walk(root, |object| self.directory(object))?.into();
        self.trees.insert(root, Arc::clone(&objects));
        Ok(SourceObjects { message, objects })
    }

    /// Whether an object is there with the right size.
    pub(super) fn has(&self, object: ObjectDigest) -> bool {
        object.size == 0
            || self.objects.stat(&object.hash.path()).is_ok_and(|stat| u64::try_from(stat.st_size) == Ok(object.size))
    }

    /// Whether an object is there with the content that its name says. Every byte of it is read.
    pub(super) fn is_whole(&self, object: ObjectDigest) -> bool {
        let Ok(file) = self.objects.file(&object.hash.path()) else { return object.size == 0 };
        let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
        let (mut file, mut length) = (File::from(file).take(object.size + 1), 0_u64);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return ObjectDigest { hash: Sha256Hash::finish(hasher), size: length } == object,
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    length += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    fn directory(&self, object: ObjectDigest) -> Result<Vec<u8>, LocalGap> {
        if object.size == 0 && object == ObjectDigest::of(b"") {
            return Ok(Vec::new());
        }
        if object.size > LARGEST_DIRECTORY {
            return Err(LocalGap::NoObject);
        }
        let file = self.objects.file(&object.hash.path()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => LocalGap::NoObject,
            _ => LocalGap::Unreadable(error),
        })?;
        let mut content = Vec::new();
        File::from(file).take(object.size + 1).read_to_end(&mut content).map_err(LocalGap::Unreadable)?;
        if ObjectDigest::of(&content) == object { Ok(content) } else { Err(LocalGap::NoObject) }
    }
}

/// Every object of a tree, each once; `read` gives a directory's content, which has been seen to be what its name says.
pub(super) fn walk<E: From<LocalGap>>(
    root: ObjectDigest,
    mut read: impl FnMut(ObjectDigest) -> Result<Vec<u8>, E>,
) -> Result<Vec<ObjectDigest>, E> {
    let mut found = HashSet::from([root]);
    let mut open = vec![root];
    while let Some(object) = open.pop() {
        let (files, directories) = members(&read(object)?)?;
        found.extend(files);
        open.extend(directories.into_iter().filter(|directory| found.insert(*directory)));
        if found.len() > MOST_OBJECTS {
            return Err(LocalGap::NoObject.into());
        }
    }
    Ok(found.into_iter().collect())
}

/// The files and the directories in a directory.
pub(super) fn members(content: &[u8]) -> Result<(Vec<ObjectDigest>, Vec<ObjectDigest>), LocalGap> {
    let directory = Directory::decode(content).map_err(|_| LocalGap::NoObject)?;
    let parsed = |digest: Option<Digest>| digest.as_ref().and_then(ObjectDigest::from_digest).ok_or(LocalGap::NoObject);
    let files = directory.files.into_iter().map(|file| parsed(file.digest)).collect::<Result<_, _>>()?;
    let directories = directory.directories.into_iter().map(|below| parsed(below.digest)).collect::<Result<_, _>>()?;
    Ok((files, directories))
}
