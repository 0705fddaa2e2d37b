//! A cachedir of BuildStream's, made by hand: for what the real one cannot be made to hold quickly.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use bazel_remote_apis::build::bazel::remote::execution::v2::{Digest, Directory, FileNode};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

/// What every name of a source begins with.
pub const SOURCE: &str = "urn:fdc:buildstream.build:2020:source:";

/// Such a cachedir.
pub struct Cachedir(PathBuf);

impl Cachedir {
    /// An empty one.
    pub fn new(path: PathBuf) -> Self {
        fs::create_dir_all(path.join("cas/objects")).expect("a directory");
        fs::create_dir_all(path.join("elementsources")).expect("a directory");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where an object is.
    pub fn object(&self, digest: &Digest) -> PathBuf {
        object_below(&self.0, &digest.hash)
    }

    /// Adds an object.
    pub fn put(&self, content: &[u8]) -> Digest {
        let hash = hash(content);
        let digest = Digest { hash, size_bytes: i64::try_from(content.len()).expect("a size") };
        let path = self.object(&digest);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("an object");
        digest
    }

    /// Adds the sources of an element: a directory of files. Gives its URN and its root.
    pub fn element(&self, key: &str, files: &[&[u8]]) -> (String, Digest) {
        let node = |content: &&[u8]| {
            let digest = self.put(content);
            FileNode { name: digest.hash.clone(), digest: Some(digest), ..FileNode::default() }
        };
        let directory = Directory { files: files.iter().map(node).collect(), ..Directory::default() };
        let root = self.put(&directory.encode_to_vec());
        let digest = root.encode_to_vec();
        let length = u8::try_from(digest.len()).expect("a short message");
        // `buildstream.v2.Source`: its field 2 is the digest of the root.
        fs::write(self.0.join("elementsources").join(key), [&[0x12, length][..], &digest].concat()).expect("an entry");
        (format!("{SOURCE}{key}"), root)
    }
}

/// Where an object of a cachedir is.
pub fn object_below(cachedir: &Path, hash: &str) -> PathBuf {
    cachedir.join("cas/objects").join(&hash[..2]).join(&hash[2..])
}

/// The SHA-256 of a content, as objects are named.
pub fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes in which nothing repeats (xorshift).
pub fn incompressible(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}
