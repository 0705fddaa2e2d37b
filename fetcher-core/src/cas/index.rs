//! The index of the cache: which sources and artifacts it has, by the names that BuildStream gives them.

#![cfg_attr(not(feature = "serve"), allow(dead_code, reason = "the server alone looks things up by their address"))]

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bazel_remote_apis::build::bazel::remote::execution::v2::Digest;
use prost::Message;

use super::digest::ObjectDigest;
use super::rooted_dir::RootedDir;

/// What every name of an asset begins with (`_sourcecache.py`, `_artifactcache.py` of BuildStream 2.8.1).
pub(crate) const PREFIX: &str = "urn:fdc:buildstream.build:2020:";

/// The largest message of the index that is read, in bytes; real ones have up to a few thousand.
pub(crate) const LARGEST: u64 = 1 << 20;

/// The name of an asset, every part of it checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AssetName {
    /// All sources of an element.
    Sources(String),
    /// One source.
    Source(String),
    /// An artifact.
    Artifact(String),
}

/// Why a URI names no asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAsset {
    /// It is somebody else's: another URN, or the address of an upstream.
    Foreign,
    /// It begins like a name of BuildStream's, and is none.
    Malformed,
}

impl AssetName {
    /// Reads a URI.
    pub(crate) fn parse(uri: &str) -> Result<Self, NoAsset> {
        let name = uri.strip_prefix(PREFIX).ok_or(NoAsset::Foreign)?;
        let (kind, name) = name.split_once(':').ok_or(NoAsset::Malformed)?;
        let parts: Vec<&str> = name.split('/').collect();
        let keyed = parts.last().is_some_and(|key| is_key(key));
        if !keyed || !parts.iter().all(|part| is_part(part)) {
            return Err(NoAsset::Malformed);
        }
        match (kind, parts.len()) {
            ("source", 1) => Ok(Self::Sources(name.to_owned())),
            ("source", 2) => Ok(Self::Source(name.to_owned())),
            ("artifact", 3) => Ok(Self::Artifact(name.to_owned())),
            ("source" | "artifact", _) => Err(NoAsset::Malformed),
            _ => Err(NoAsset::Foreign),
        }
    }
}

/// A cache key: a SHA-256 in hexadecimal (`_cachekey.py`).
fn is_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A name that is one file's name and nothing else. BuildStream makes an element's of letters, digits and `-._`
/// (`_compose_artifact_name` of `element.py`); a project's name and a plugin's kind may be any symbol.
fn is_part(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text != "."
        && text != ".."
        && text.chars().all(|character| character.is_alphanumeric() || "-._+@ ~".contains(character))
}

/// `buildstream.v2.Source` (`source.proto`).
#[derive(Clone, PartialEq, Message)]
struct SourceMessage {
    #[prost(message, optional, tag = "2")]
    files: Option<Digest>,
}

/// `buildstream.v2.Artifact` (`artifact.proto`), of it what a client pulls in any case. Build trees, sources and build
/// roots are pulled on demand, and an artifact that was itself pulled names them without having them.
#[derive(Clone, PartialEq, Message)]
struct ArtifactMessage {
    #[prost(message, optional, tag = "8")]
    files: Option<Digest>,
    #[prost(message, optional, tag = "10")]
    public_data: Option<Digest>,
    #[prost(message, repeated, tag = "11")]
    logs: Vec<LogFile>,
    #[prost(message, optional, tag = "14")]
    low_diversity_meta: Option<Digest>,
    #[prost(message, optional, tag = "15")]
    high_diversity_meta: Option<Digest>,
}

#[derive(Clone, PartialEq, Message)]
struct LogFile {
    #[prost(message, optional, tag = "2")]
    digest: Option<Digest>,
}

/// An entry of the index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// The message, as it is in the file.
    pub(crate) message: Vec<u8>,
    /// The root of its files.
    pub(crate) root: Option<ObjectDigest>,
    /// Further objects that belong to it.
    pub(crate) blobs: Vec<ObjectDigest>,
}

/// The directories with the index.
#[derive(Debug)]
pub(crate) struct AssetIndex {
    sources: RootedDir,
    single: RootedDir,
    artifacts: RootedDir,
}

impl AssetIndex {
    pub(crate) fn new(cachedir: &Path) -> Self {
        Self {
            sources: RootedDir::new(cachedir.join("elementsources")),
            single: RootedDir::new(cachedir.join("source_protos")),
            artifacts: RootedDir::new(cachedir.join("artifacts/refs")),
        }
    }

    /// Looks an asset up; none where it is not there.
    ///
    /// # Errors
    /// When the file cannot be read or is no such message.
    pub(crate) fn find(&self, asset: &AssetName) -> io::Result<Option<IndexEntry>> {
        let (directory, name) = self.place(asset);
        let file = match directory.file(name) {
            Ok(file) => File::from(file),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > LARGEST {
            return Err(io::Error::other("it is no ordinary file, or larger than 1 MiB"));
        }
        let mut message = Vec::new();
        file.take(LARGEST).read_to_end(&mut message)?;
        let malformed = || io::Error::other("it is not the message that it should be");
        let entry = match asset {
            AssetName::Sources(_) | AssetName::Source(_) => source(message),
            AssetName::Artifact(_) => artifact(message),
        };
        entry.ok_or_else(malformed).map(Some)
    }

    /// The file of an asset.
    pub(crate) fn path(&self, asset: &AssetName) -> PathBuf {
        let (directory, name) = self.place(asset);
        directory.path().join(name)
    }

    fn place<'a>(&'a self, asset: &'a AssetName) -> (&'a RootedDir, &'a str) {
        match asset {
            AssetName::Sources(name) => (&self.sources, name),
            AssetName::Source(name) => (&self.single, name),
            AssetName::Artifact(name) => (&self.artifacts, name),
        }
    }

    /// The directories below which every file is an entry, and how deep.
    pub(crate) fn places(&self) -> [(&Path, usize); 2] {
        [(self.sources.path(), 1), (self.artifacts.path(), 3)]
    }
}

fn source(message: Vec<u8>) -> Option<IndexEntry> {
    Some(IndexEntry { root: Some(source_root(&message)?), blobs: Vec::new(), message })
}

/// The root directory that a message for sources names.
pub(crate) fn source_root(message: &[u8]) -> Option<ObjectDigest> {
    ObjectDigest::from_digest(&SourceMessage::decode(message).ok()?.files?)
}

fn artifact(message: Vec<u8>) -> Option<IndexEntry> {
    let artifact = ArtifactMessage::decode(&*message).ok()?;
    let logs = artifact.logs.into_iter().map(|log| log.digest);
    let blobs = [artifact.public_data, artifact.low_diversity_meta, artifact.high_diversity_meta].into_iter();
    let blobs: Option<Vec<_>> = blobs.chain(logs).flatten().map(|digest| ObjectDigest::from_digest(&digest)).collect();
    let root = match artifact.files {
        Some(digest) => Some(ObjectDigest::from_digest(&digest)?),
        None => None,
    };
    let blobs = blobs?;
    // An empty file is a message too, of nothing.
    (root.is_some() || !blobs.is_empty()).then_some(IndexEntry { message, root, blobs })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_taken_apart() {
        let parse = |name: &str| AssetName::parse(&format!("urn:fdc:buildstream.build:2020:{name}"));
        assert_eq!(parse(&format!("source:{KEY}")), Ok(AssetName::Sources(KEY.to_owned())));
        assert_eq!(parse(&format!("source:git/{KEY}")), Ok(AssetName::Source(format!("git/{KEY}"))));
        let artifact = format!("freedesktop-sdk/components-gcc_1.x/{KEY}");
        assert_eq!(parse(&format!("artifact:{artifact}")), Ok(AssetName::Artifact(artifact)));
        for bad in [
            format!("source:../{KEY}"),
            format!("source:./{KEY}"),
            format!("source:/{KEY}"),
            format!("source:a/b/{KEY}"),
            format!("source:a\0b/{KEY}"),
            format!("source:{}/{KEY}", "x".repeat(256)),
            format!("artifact:../../{KEY}"),
            format!("artifact:a//{KEY}"),
            format!("artifact:a/{KEY}"),
            format!("source:{}", KEY.to_uppercase()),
            "source:".to_owned(),
            "source".to_owned(),
            String::new(),
        ] {
            assert_eq!(parse(&bad), Err(NoAsset::Malformed), "{bad}");
        }
        for foreign in ["https://example.org/x.tar.gz", "", "urn:fdc:buildstream.build:2021:source:x"] {
            assert_eq!(AssetName::parse(foreign), Err(NoAsset::Foreign), "{foreign}");
        }
    }

    #[test]
    fn what_is_no_message_is_no_entry() {
        assert_eq!(source(Vec::new()), None);
        assert_eq!(source(b"garbage".to_vec()), None);
        assert_eq!(artifact(Vec::new()), None);
    }
}
