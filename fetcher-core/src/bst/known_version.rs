//! Releases of `bst` that were asked for before: not asked again where the same files would answer.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::distributions::{find_program, packages, python_of};
use super::version::{BstVersion, ProbeError};
use crate::environment::Environment;
use crate::file_state::FileState;
use crate::json_file::{JsonFile, StateError, StoredJson};

/// No more commands than these are remembered.
const MAX_COMMANDS: usize = 100;

/// What commands answered.
#[derive(Debug)]
pub(crate) struct VersionMemory {
    file: JsonFile<StoredVersions>,
    known: Mutex<StoredVersions>,
    /// What is older is asked again.
    refresh_after: Duration,
    unread: Option<StateError>,
}

/// What commands answered, as it is written down.
#[derive(Debug, Default, Serialize, Deserialize)]
struct StoredVersions {
    version: u32,
    #[serde(default)]
    commands: Vec<KnownVersion>,
    #[serde(skip)]
    is_changed: bool,
}

/// What a command answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct KnownVersion {
    command: Vec<String>,
    /// The files that decide on the answer, as they were before it was asked.
    files: BTreeMap<PathBuf, FileState>,
    version: BstVersion,
    at: Timestamp,
}

impl StoredJson for StoredVersions {
    const VERSION: u32 = 1;
    const WHAT: &'static str = "memory of releases of bst";
}

impl VersionMemory {
    /// What a directory of states holds of it.
    pub(crate) fn read(state_dir: &Path, refresh_after: Duration) -> Self {
        let file = JsonFile::at(state_dir.join("bst-versions.json"));
        let (known, unread) = file.load();
        Self { file, known: Mutex::new(known.unwrap_or_default()), refresh_after, unread }
    }

    /// The release of a command, which `ask` asks where it is not known.
    ///
    /// # Errors
    /// Those of `ask`.
    pub(crate) fn version(
        &self,
        command: &[OsString],
        environment: &BTreeMap<OsString, OsString>,
        now: Timestamp,
        ask: impl FnOnce() -> Result<BstVersion, ProbeError>,
    ) -> Result<BstVersion, ProbeError> {
        let words: Option<Vec<String>> = command.iter().map(|word| word.to_str().map(str::to_owned)).collect();
        let Some((words, files)) = words.zip(deciding_files(command, environment)) else { return ask() };
        let is_fresh = |at| now >= at && now.duration_since(at).unsigned_abs() < self.refresh_after;
        let same = |known: &&KnownVersion| known.command == words && known.files == files && is_fresh(known.at);
        if let Some(known) = self.lock().commands.iter().find(same) {
            return Ok(known.version);
        }
        let version = ask()?;
        let mut known = self.lock();
        known.commands.retain(|known| known.command != words);
        let surplus = (known.commands.len() + 1).saturating_sub(MAX_COMMANDS);
        known.commands.drain(..surplus);
        known.commands.push(KnownVersion { command: words, files, version, at: now });
        known.is_changed = true;
        Ok(version)
    }

    /// Writes down what was learnt; gives what of it cannot be read or written.
    pub(crate) fn conclude(self) -> Vec<StateError> {
        let mut known = self.known.into_inner().unwrap_or_else(PoisonError::into_inner);
        known.version = StoredVersions::VERSION;
        let unsaved = known.is_changed.then(|| self.file.save(&known).err()).flatten();
        self.unread.into_iter().chain(unsaved).collect()
    }

    fn lock(&self) -> MutexGuard<'_, StoredVersions> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files that decide on what a `bst` says, with their states: the script, its Python, the directories of its
/// packages, and the metadata of BuildStream in one of them. None where something else may decide: behind a wrapper, in a
/// container, where BuildStream is installed in a way that leaves its code where it is, or where variables lead Python
/// elsewhere.
fn deciding_files(
    command: &[OsString],
    environment: &BTreeMap<OsString, OsString>,
) -> Option<BTreeMap<PathBuf, FileState>> {
    let is_leading = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with("PYTHON") && !matches!(&*name, "PYTHONUNBUFFERED" | "PYTHONNOUSERSITE")
    };
    if environment.keys().any(|name| is_leading(name)) {
        return None;
    }
    let environment: Environment = environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let program = find_program(command.first()?.as_ref(), &environment)?;
    let python = python_of(program.clone())?;
    let prefix = python.parent()?.parent()?;
    let directories: Vec<PathBuf> = packages(prefix, &environment).into_iter().filter(|path| path.is_dir()).collect();
    let installed: Vec<PathBuf> = directories.iter().flat_map(|directory| metadata_of_bst(directory)).collect();
    if installed.is_empty() || installed.iter().any(|directory| is_editable(directory)) {
        return None;
    }
    // Where Python was replaced beneath an environment, the link into it stays as it was.
    let real_python = python.canonicalize().ok()?;
    let settings = Some(prefix.join("pyvenv.cfg")).filter(|path| path.is_file());
    let metadata = installed.iter().map(|directory| directory.join("METADATA"));
    let all = [program, real_python].into_iter().chain(settings).chain(directories).chain(metadata);
    all.map(|path| fs::metadata(&path).ok().map(|found| (path, FileState::of(&found)))).collect()
}

/// Where the metadata of BuildStream itself is among installed packages.
fn metadata_of_bst(packages: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(packages).into_iter().flatten().flatten();
    let is_bst = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        name.starts_with("buildstream-") && name.ends_with(".dist-info")
    };
    entries.map(|entry| entry.path()).filter(is_bst).collect()
}

/// Whether its code is elsewhere, and changes without its metadata (PEP 610).
fn is_editable(metadata: &Path) -> bool {
    match fs::read_to_string(metadata.join("direct_url.json")) {
        Ok(text) => text.contains("editable"),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Venv(tempfile::TempDir);

    impl Venv {
        fn new() -> Self {
            let venv = Self(tempfile::tempdir().unwrap());
            venv.write("lib/python3.12/site-packages/buildstream-2.8.1.dist-info/METADATA", "Version: 2.8.1\n");
            venv.write("bin/python3", "");
            let script = format!("#!{}\nimport x\n", venv.path("bin/python3").display());
            venv.write("bin/bst", &script);
            venv
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            fs::write(self.path(name), text).unwrap();
        }

        /// Whether a run asks a command, and writes down what it answers.
        fn is_asked(&self, command: &[&str], variable: Option<&str>, at: &str) -> bool {
            let memory = VersionMemory::read(&self.path("state"), Duration::from_secs(3600));
            let command: Vec<OsString> = command.iter().map(OsString::from).collect();
            let variables = [Some("PYTHONUNBUFFERED"), variable].into_iter().flatten();
            let mut environment: BTreeMap<OsString, OsString> =
                variables.map(|name| (name.into(), "1".into())).collect();
            environment.insert("PATH".into(), self.path("bin").into());
            let asked = Cell::new(false);
            let version = memory.version(&command, &environment, at.parse().unwrap(), || {
                asked.set(true);
                Ok(BstVersion::parse("2.8.1").unwrap())
            });
            assert_eq!(version.unwrap().to_string(), "2.8.1");
            assert!(memory.conclude().is_empty());
            asked.get()
        }
    }

    const NOW: &str = "2026-01-02T03:04:05Z";

    #[test]
    fn a_release_is_asked_for_once_while_nothing_changes_that_decides_on_it() {
        let venv = Venv::new();
        assert!(venv.is_asked(&["bst"], None, NOW));
        assert!(!venv.is_asked(&["bst"], None, NOW));
        assert!(venv.is_asked(&["bst", "--debug"], None, NOW));
        assert!(venv.is_asked(&["bst"], None, "2026-01-02T05:04:05Z"), "after a while");
        assert!(venv.is_asked(&["bst"], None, "2026-01-02T04:04:05Z"), "the clock was ahead");
        for path in ["bin/bst", "lib/python3.12/site-packages/buildstream-2.8.1.dist-info/METADATA"] {
            let text = fs::read_to_string(venv.path(path)).unwrap();
            venv.write(path, &format!("{text}\n"));
            assert!(venv.is_asked(&["bst"], None, "2026-01-02T04:04:05Z"), "{path}");
        }
        venv.write("lib/python3.12/site-packages/other-1.dist-info/METADATA", "");
        assert!(venv.is_asked(&["bst"], None, "2026-01-02T04:04:05Z"), "another package");
        assert!(!venv.is_asked(&["bst"], None, "2026-01-02T04:04:05Z"));
    }

    #[test]
    fn what_cannot_be_seen_from_here_is_asked_each_time() {
        let venv = Venv::new();
        venv.write("bin/wrapper", "#!/bin/sh\nexec bst \"$@\"\n");
        for command in [&["wrapper"][..], &["podman", "run", "bst"], &["/no/such"], &[]] {
            venv.is_asked(command, None, NOW);
            assert!(venv.is_asked(command, None, NOW), "{command:?}");
        }
        for _ in 0..2 {
            assert!(venv.is_asked(&["bst"], Some("PYTHONPATH"), NOW));
        }
        let direct = "lib/python3.12/site-packages/buildstream-2.8.1.dist-info/direct_url.json";
        venv.write(direct, "{\"dir_info\": {\"editable\": true}, \"url\": \"file:///src\"}");
        for _ in 0..2 {
            assert!(venv.is_asked(&["bst"], None, NOW));
        }
    }
}
