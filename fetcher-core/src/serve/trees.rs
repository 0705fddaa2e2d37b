//! Whether a tree is complete, down to its last file.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use bazel_remote_apis::build::bazel::remote::execution::v2::Directory;
use prost::Message as _;

use super::bounded_cache::BoundedCache;
use super::objects::{ObjectStore, ReadError};
use crate::cas::digest::ObjectDigest;

/// How many objects are remembered as those of trees; each takes 40 bytes.
const OBJECTS: usize = 200_000;

/// The largest directory that is read, in bytes: some 500,000 files.
const LARGEST: u64 = 64 << 20;

/// A memory of which objects make which trees.
pub(super) struct TreeCache {
    known: BoundedCache<ObjectDigest, Arc<[ObjectDigest]>>,
}

impl TreeCache {
    pub(super) fn new() -> Self {
        Self { known: BoundedCache::new(OBJECTS) }
    }

    /// Looks at every object of a tree. What a tree is made from is remembered; whether all of it is there is looked at
    /// each time, for objects expire. Contents that were never read are read until the time is up.
    pub(super) fn check(&self, objects: &ObjectStore, root: ObjectDigest, until: Instant) -> Result<(), ReadError> {
        if let Some(known) = self.known.get(&root) {
            return known.iter().try_for_each(|object| objects.check(*object, until));
        }
        let mut found = HashSet::from([root]);
        let mut directories = vec![root];
        while let Some(object) = directories.pop() {
            let directory = directory(objects, object)?;
            for digest in directory.files.iter().map(|file| &file.digest) {
                let file = parsed(digest.as_ref())?;
                if found.insert(file) {
                    objects.check(file, until)?;
                }
            }
            for digest in directory.directories.iter().map(|directory| &directory.digest) {
                let below = parsed(digest.as_ref())?;
                if found.insert(below) {
                    directories.push(below);
                }
            }
        }
        let weight = found.len();
        self.known.insert(root, found.into_iter().collect(), weight);
        Ok(())
    }
}

/// Reads a directory.
pub(super) fn directory(objects: &ObjectStore, object: ObjectDigest) -> Result<Directory, ReadError> {
    if object.size > LARGEST {
        return Err(ReadError::Missing);
    }
    Directory::decode(&*objects.whole(object)?).map_err(|_| ReadError::Missing)
}

fn parsed(
    digest: Option<&bazel_remote_apis::build::bazel::remote::execution::v2::Digest>,
) -> Result<ObjectDigest, ReadError> {
    digest.and_then(ObjectDigest::from_digest).ok_or(ReadError::Missing)
}
