//! Local caches of BuildStream's, as clients of a remote one see them. Everything here may block.
//!
//! Each is what the code of other projects wrote. An object is what its digest says, whichever cache it comes from; but
//! what an asset's name stands for is only what was written there. So a client may name whom it trusts by the name of the
//! instance; who names nobody is answered where those that have an asset have the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bazel_remote_apis::build::bazel::remote::execution::v2::Directory;

use super::bounded_cache::BoundedCache;
use super::event::{ServeEvent, ServeEventSink};
use super::objects::{ObjectContent, ObjectStore, ReadError};
use super::trees::{self, TreeCache};
use crate::cas::digest::{ObjectDigest, Sha256Hash};
use crate::cas::index::{self, AssetIndex, AssetName, IndexEntry};

/// How long contents are read before an asset is answered. A tree for which that is not enough is answered once all of
/// it is seen to be there, and each content is read before it is given.
const READING: Duration = Duration::from_secs(5);

/// How much of the index is kept in memory, in bytes.
const MESSAGES: usize = 8 << 20;

/// What an entry takes beside its message, in bytes, about.
const OVERHEAD: usize = 128;

/// A directory that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServedDirectory {
    /// The `cachedir` of a BuildStream. It need not be there yet.
    pub cachedir: PathBuf,
    /// The names of instances that stand for this directory alone; none where there is no other.
    pub instances: Vec<String>,
}

impl ServedDirectory {
    /// A directory that the instances of these names stand for; without names, for any.
    pub fn new(cachedir: PathBuf, instances: Vec<String>) -> Self {
        Self { cachedir, instances }
    }
}

/// One of the caches.
struct CacheShelf {
    instances: Vec<String>,
    index: AssetIndex,
    objects: ObjectStore,
}

/// The caches.
pub(super) struct ServedCache {
    shelves: Vec<CacheShelf>,
    trees: TreeCache,
    /// Messages of the index by their digest. A cache that was never pushed from has them as files of the index only,
    /// and clients ask for them as objects.
    messages: BoundedCache<Sha256Hash, Arc<[u8]>>,
    events: ServeEventSink,
}

/// An asset that is there, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AssetLookup {
    /// The message of the index.
    pub(super) message: ObjectDigest,
    /// The root of its files.
    pub(super) root: Option<ObjectDigest>,
}

impl ServedCache {
    pub(super) fn new(directories: &[ServedDirectory], events: ServeEventSink) -> Self {
        let place = |directory: &ServedDirectory| CacheShelf {
            instances: directory.instances.clone(),
            index: AssetIndex::new(&directory.cachedir),
            objects: ObjectStore::new(&directory.cachedir, Arc::clone(&events)),
        };
        Self {
            shelves: directories.iter().map(place).collect(),
            trees: TreeCache::new(),
            messages: BoundedCache::new(MESSAGES),
            events,
        }
    }

    /// Looks an asset up, with all that belongs to it, as the instance of this name has it.
    pub(super) fn find(&self, instance: &str, asset: &AssetName) -> Result<AssetLookup, ReadError> {
        let is_named = |place: &&CacheShelf| place.instances.iter().any(|name| name == instance);
        let named: Vec<_> = self.shelves.iter().filter(is_named).collect();
        let asked = if named.is_empty() { self.shelves.iter().collect() } else { named };
        let entry = |place| Some((place, self.entry(place, asset)?));
        let entries: Vec<(&CacheShelf, IndexEntry)> = asked.into_iter().filter_map(entry).collect();
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].1 != pair[1].1) {
            let paths = pair.iter().map(|(place, _)| place.index.path(asset)).collect();
            (self.events)(ServeEvent::Disputed { paths });
            return Err(ReadError::Missing);
        }
        let mut trouble = ReadError::Missing;
        for (place, entry) in entries {
            match self.whole_entry(place, &entry) {
                Ok(()) => return Ok(AssetLookup { message: self.keep(&entry.message), root: entry.root }),
                Err(ReadError::Missing) => {}
                Err(busy @ ReadError::Busy(_)) => trouble = busy,
            }
        }
        Err(trouble)
    }

    fn whole_entry(&self, place: &CacheShelf, entry: &IndexEntry) -> Result<(), ReadError> {
        let until = Instant::now() + READING;
        entry.blobs.iter().try_for_each(|blob| place.objects.check(*blob, until))?;
        entry.root.map_or(Ok(()), |root| self.trees.check(&place.objects, root, until))
    }

    /// Opens an object.
    pub(super) fn open(&self, object: ObjectDigest) -> Result<ObjectContent, ReadError> {
        match self.message(object) {
            Some(message) => Ok(ObjectContent::Memory(message.to_vec())),
            None => self.any(|objects| objects.open(object)),
        }
    }

    /// Opens an object where that takes no waiting; the one thing here that does not block.
    pub(super) fn open_now(&self, object: ObjectDigest) -> Option<ObjectContent> {
        match self.message(object) {
            Some(message) => Some(ObjectContent::Memory(message.to_vec())),
            None => self.shelves.iter().find_map(|place| place.objects.open_now(object)),
        }
    }

    /// Reads a whole object that is known to be small.
    pub(super) fn whole(&self, object: ObjectDigest) -> Result<Vec<u8>, ReadError> {
        match self.message(object) {
            Some(message) => Ok(message.to_vec()),
            None => self.any(|objects| objects.whole(object)),
        }
    }

    /// Whether an object could be given.
    pub(super) fn check(&self, object: ObjectDigest, until: Instant) -> Result<(), ReadError> {
        if self.message(object).is_some() { Ok(()) } else { self.any(|objects| objects.check(object, until)) }
    }

    /// Reads a directory of a tree.
    pub(super) fn directory(&self, object: ObjectDigest) -> Result<Directory, ReadError> {
        self.any(|objects| trees::directory(objects, object))
    }

    /// What the first of the caches gives that has it.
    fn any<T>(&self, ask: impl Fn(&ObjectStore) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let mut trouble = ReadError::Missing;
        for place in &self.shelves {
            match ask(&place.objects) {
                Ok(found) => return Ok(found),
                Err(ReadError::Missing) => {}
                Err(busy @ ReadError::Busy(_)) => trouble = busy,
            }
        }
        Err(trouble)
    }

    /// Reads the index once, so that a client that got a digest before a restart can ask for it after it.
    pub(super) fn read_index(&self) {
        let mut left = MESSAGES / 2;
        for (place, depth) in self.shelves.iter().flat_map(|place| place.index.places()) {
            self.read_below(place, depth, &mut left);
        }
    }

    fn read_below(&self, directory: &Path, depth: usize, left: &mut usize) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if depth > 1 && kind.is_dir() {
                self.read_below(&path, depth - 1, left);
            } else if depth == 1
                && kind.is_file()
                && entry.metadata().is_ok_and(|metadata| metadata.len() <= index::LARGEST)
                && let Ok(message) = fs::read(&path)
            {
                let Some(rest) = left.checked_sub(message.len() + OVERHEAD) else { return };
                *left = rest;
                self.keep(&message);
            }
        }
    }

    fn entry(&self, place: &CacheShelf, asset: &AssetName) -> Option<IndexEntry> {
        place.index.find(asset).unwrap_or_else(|error| {
            let path = place.index.path(asset);
            (self.events)(ServeEvent::Unreadable { path, message: error.to_string() });
            None
        })
    }

    fn keep(&self, message: &[u8]) -> ObjectDigest {
        let object = ObjectDigest::of(message);
        self.messages.insert(object.hash, message.into(), message.len() + OVERHEAD);
        object
    }

    fn message(&self, object: ObjectDigest) -> Option<Arc<[u8]>> {
        if object.size > index::LARGEST {
            return None;
        }
        self.messages.get(&object.hash).filter(|message| message.len() as u64 == object.size)
    }
}

#[cfg(test)]
mod tests;
