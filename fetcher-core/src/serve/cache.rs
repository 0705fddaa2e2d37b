//! A local cache of BuildStream's, as clients of a remote one see it. Everything here may block.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bounded_cache::BoundedCache;
use super::event::{ServeEvent, ServeEventSink};
use super::objects::{ObjectContent, ObjectStore, ReadError};
use super::trees::TreeCache;
use crate::cas::digest::{ObjectDigest, Sha256Hash};
use crate::cas::index::{self, AssetIndex, AssetName, IndexEntry};

/// How long contents are read before an asset is answered. A tree for which that is not enough is answered once all of
/// it is seen to be there, and each content is read before it is given.
const READING: Duration = Duration::from_secs(5);

/// How much of the index is kept in memory, in bytes.
const MESSAGES: usize = 8 << 20;

/// What an entry takes beside its message, in bytes, about.
const OVERHEAD: usize = 128;

/// The cache.
pub(super) struct ServedCache {
    index: AssetIndex,
    objects: ObjectStore,
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
    pub(super) fn new(cachedir: &Path, events: ServeEventSink) -> Self {
        Self {
            index: AssetIndex::new(cachedir),
            objects: ObjectStore::new(cachedir, Arc::clone(&events)),
            trees: TreeCache::new(),
            messages: BoundedCache::new(MESSAGES),
            events,
        }
    }

    /// Looks an asset up, with all that belongs to it.
    pub(super) fn find(&self, asset: &AssetName) -> Result<AssetLookup, ReadError> {
        let entry = self.entry(asset).ok_or(ReadError::Missing)?;
        let until = Instant::now() + READING;
        for blob in &entry.blobs {
            self.objects.check(*blob, until)?;
        }
        if let Some(root) = entry.root {
            self.trees.check(&self.objects, root, until)?;
        }
        let root = entry.root;
        Ok(AssetLookup { message: self.keep(&entry.message), root })
    }

    /// Opens an object.
    pub(super) fn open(&self, object: ObjectDigest) -> Result<ObjectContent, ReadError> {
        match self.message(object) {
            Some(message) => Ok(ObjectContent::Memory(message.to_vec())),
            None => self.objects.open(object),
        }
    }

    /// Opens an object where that takes no waiting; the one thing here that does not block.
    pub(super) fn open_now(&self, object: ObjectDigest) -> Option<ObjectContent> {
        match self.message(object) {
            Some(message) => Some(ObjectContent::Memory(message.to_vec())),
            None => self.objects.open_now(object),
        }
    }

    /// Reads a whole object that is known to be small.
    pub(super) fn whole(&self, object: ObjectDigest) -> Result<Vec<u8>, ReadError> {
        match self.message(object) {
            Some(message) => Ok(message.to_vec()),
            None => self.objects.whole(object),
        }
    }

    /// Whether an object could be given.
    pub(super) fn check(&self, object: ObjectDigest, until: Instant) -> Result<(), ReadError> {
        if self.message(object).is_some() { Ok(()) } else { self.objects.check(object, until) }
    }

    /// The objects alone, for those who walk trees.
    pub(super) fn objects(&self) -> &ObjectStore {
        &self.objects
    }

    /// Reads the index once, so that a client that got a digest before a restart can ask for it after it.
    pub(super) fn read_index(&self) {
        let mut left = MESSAGES / 2;
        for (place, depth) in self.index.places() {
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

    fn entry(&self, asset: &AssetName) -> Option<IndexEntry> {
        self.index.find(asset).unwrap_or_else(|error| {
            let path = self.index.path(asset);
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
