//! What was sent where.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::file_state::FileState;
use crate::json_file::{JsonFile, StoredJson};
use crate::names::digest;
use crate::state::StateError;

/// For how long it is known what a server has to which nothing is sent any more.
const UNUSED_SERVER_RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);

type UploadedFiles = BTreeMap<String, FileState>;

/// The files that servers have from here. Two configurations with one state directory may send to different ones.
#[derive(Debug, Serialize, Deserialize)]
struct UploadManifest {
    version: u32,
    /// By the digest of the server's address, which may be a secret.
    #[serde(default)]
    servers: BTreeMap<String, ServerFiles>,
}

impl StoredJson for UploadManifest {
    const VERSION: u32 = 2;
    const WHAT: &'static str = "manifest of what was sent";
}

#[derive(Debug, Serialize, Deserialize)]
struct ServerFiles {
    /// When something was last sent there.
    at: Timestamp,
    files: UploadedFiles,
}

/// The files that one server has from here.
#[derive(Debug)]
pub(super) struct UploadState {
    file: JsonFile<UploadManifest>,
    manifest: UploadManifest,
    server: String,
    files: UploadedFiles,
}

impl UploadState {
    /// What is known of an address, and what went wrong: where that is no more than that a broken file was set aside,
    /// everything is sent again.
    pub(super) fn read(state_dir: &Path, url: &str) -> (Self, Option<StateError>) {
        let (file, server) = (JsonFile::at(state_dir.join("uploaded.json")), digest(url.as_bytes()));
        let (manifest, failure) = file.load();
        // What version 1 knew of files is not enough to know them again: they are sent once more.
        let mut manifest =
            manifest.unwrap_or(UploadManifest { version: UploadManifest::VERSION, servers: BTreeMap::new() });
        let files = manifest.servers.remove(&server).map(|known| known.files).unwrap_or_default();
        (Self { file, manifest, server, files }, failure)
    }

    pub(super) fn has(&self, name: &str, state: FileState) -> bool {
        self.files.get(name) == Some(&state)
    }

    pub(super) fn note(&mut self, name: &str, state: FileState) {
        self.files.insert(name.to_owned(), state);
    }

    /// Forgets the files that are no longer here.
    pub(super) fn forget_but<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        let names: BTreeSet<_> = names.collect();
        self.files.retain(|name, _| names.contains(name.as_str()));
    }

    pub(super) fn write(mut self) -> Result<(), StateError> {
        let now = Timestamp::now();
        for known in self.manifest.servers.values_mut() {
            // A clock was ahead.
            known.at = known.at.min(now);
        }
        self.manifest.servers.retain(|_, known| now.duration_since(known.at) <= UNUSED_SERVER_RETENTION);
        self.manifest.servers.insert(self.server, ServerFiles { at: now, files: self.files });
        self.manifest.version = UploadManifest::VERSION;
        self.file.save(&self.manifest)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn two_servers_are_remembered_beside_each_other_and_the_first_format_is_nothing_to_go_by() {
        let directory = tempfile::tempdir().unwrap();
        let state = FileState::of(&directory.path().metadata().unwrap());
        let known = |url: &str| UploadState::read(directory.path(), url).0.has("a.html", state);
        let stamp = serde_json::json!({ "size": 1, "seconds": 2, "nanoseconds": 3 });
        let first = serde_json::json!({ "version": 1, "server": digest(b"https://a/"), "files": { "a.html": stamp } });
        fs::write(directory.path().join("uploaded.json"), first.to_string()).unwrap();
        for url in ["https://a/", "https://b/"] {
            assert!(!known(url));
            let (mut memory, failure) = UploadState::read(directory.path(), url);
            assert!(failure.is_none(), "{failure:?}");
            memory.note("a.html", state);
            memory.write().unwrap();
        }
        assert!(known("https://a/") && known("https://b/") && !known("https://c/"));
        fs::write(directory.path().join("uploaded.json"), "{").unwrap();
        let (anew, failure) = UploadState::read(directory.path(), "https://a/");
        assert!(matches!(failure, Some(StateError::SetAside { .. })) && !anew.has("a.html", state));
        anew.write().unwrap();
    }
}
