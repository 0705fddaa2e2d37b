//! What was sent where.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::UploadError;
use crate::file_state::FileState;
use crate::names::digest;
use crate::whole::write_whole;

/// The version of the format.
const VERSION: u32 = 2;

/// The files that a server has from here.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Memory {
    version: u32,
    /// The digest of the server's address, which may be a secret.
    server: String,
    files: BTreeMap<String, FileState>,
}

impl Memory {
    /// What is known of an address; nothing where another one was served before.
    pub(super) fn read(state_dir: &Path, url: &str) -> Self {
        let server = digest(url.as_bytes());
        let known: Option<Memory> = fs::read(file(state_dir)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let known = known.filter(|memory| memory.version == VERSION && memory.server == server);
        known.unwrap_or(Self { version: VERSION, server, files: BTreeMap::new() })
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

    pub(super) fn write(&self, state_dir: &Path) -> Result<(), UploadError> {
        let path = file(state_dir);
        let written = serde_json::to_vec(self).map_err(Into::into).and_then(|text| write_whole(&path, &text));
        written.map_err(|source| UploadError::File { path, source })
    }
}

fn file(state_dir: &Path) -> std::path::PathBuf {
    state_dir.join("uploaded.json")
}
