//! A copy of each configuration that could be used, so that somebody is told when it no longer can be.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{DiskFiles, FileLookup, FileStatus};
use super::sources::ConfigSources;
use super::{Config, load};
use crate::environment::Environment;
use crate::json_file::{JsonFile, StoredJson};
use crate::names::digest;

/// A configuration as it was.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct LastGoodConfig {
    version: u32,
    /// Where the file really was.
    place: PathBuf,
    text: String,
}

impl StoredJson for LastGoodConfig {
    const VERSION: u32 = 1;
    const WHAT: &'static str = "copy of a configuration";
    const MODE: u32 = 0o600;
}

impl Config {
    /// Keeps a copy of this configuration, which was loaded from `path`, for [`Config::last_good`]: below
    /// `configurations` in the state directory that follows from the environment, since the one that a broken
    /// configuration names is not known. Nobody else may read it, for it may hold secrets.
    ///
    /// # Errors
    /// When it cannot be read again, was changed since, or the copy cannot be written; also when the last copy was
    /// broken, and had to be set aside before this one was written.
    pub fn keep(&self, path: &Path, environment: &Environment) -> io::Result<()> {
        let text = DiskFiles.read(&self.path)?;
        if digest(text.as_bytes()) != self.digest {
            return Err(io::Error::other("it was changed meanwhile"));
        }
        let Some(copy) = copy_of(path, environment) else { return Ok(()) };
        let kept = LastGoodConfig { version: LastGoodConfig::VERSION, place: self.path.clone(), text };
        let (there, broken) = copy.load();
        if there.as_ref() != Some(&kept) {
            copy.save(&kept).map_err(io::Error::other)?;
        }
        broken.map_or(Ok(()), |broken| Err(io::Error::other(broken)))
    }

    /// The last configuration that was [kept](Config::keep), if any was, of the file that [`Config::discover`] is about:
    /// to tell by its notifiers what is wrong with the one that is there now. A file that it names and that has vanished
    /// is no error here, for that may be what is wrong.
    pub fn last_good(explicit: Option<&Path>, environment: &Environment) -> Option<Self> {
        let places = match Self::places(explicit, environment) {
            ConfigSources::Named(file) => vec![file],
            ConfigSources::Usual(all) => all,
        };
        places.iter().find_map(|path| {
            // A copy that cannot be used is none: then it is only the caller who says what is wrong.
            let kept = copy_of(path, environment)?.read().ok()??;
            load::parse(&kept.text, path, &kept.place, &AssumePresent, environment).ok()
        })
    }
}

fn copy_of(path: &Path, environment: &Environment) -> Option<JsonFile<LastGoodConfig>> {
    let path = std::path::absolute(path).ok()?;
    let name = &digest(path.as_os_str().as_encoded_bytes())[..16];
    let (state, _) = load::directory(environment, "STATE_DIRECTORY", "XDG_STATE_HOME", ".local/state")?;
    Some(JsonFile::at(state.join("configurations").join(format!("{name}.json"))))
}

/// The disk, on which every file seems to be there.
struct AssumePresent;

impl FileLookup for AssumePresent {
    fn look(&self, path: &Path) -> io::Result<FileStatus> {
        Ok(DiskFiles.look(path).unwrap_or(FileStatus { is_file: true, open_to_all: false }))
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        Ok(DiskFiles.read(path).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_was_kept_is_there_when_the_file_and_what_it_names_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let (file, token) = (directory.path().join("config.toml"), directory.path().join("token"));
        let environment = Environment::from_iter([("HOME", directory.path().to_str().unwrap())]);
        fs::write(&token, "t0ken").unwrap();
        fs::write(&file, "[[project]]\nurl = 'https://h/x.git'\ngit = { token-file = 'token' }\n").unwrap();
        assert!(Config::last_good(Some(&file), &environment).is_none());
        Config::load(&file, &environment).unwrap().keep(&file, &environment).unwrap();
        fs::remove_file(token).unwrap();
        assert!(Config::load(&file, &environment).is_err());
        let kept = Config::last_good(Some(&file), &environment).unwrap();
        assert_eq!(kept.projects[0].name.as_str(), "x");
        assert_eq!(kept.path, file.canonicalize().unwrap());
        fs::write(&file, "[[project]]\n").unwrap();
        assert!(Config::last_good(Some(&file), &environment).is_some());
        let copies = directory.path().join(".local/state/bst-fetcher/configurations");
        let copy = fs::read_dir(copies).unwrap().next().unwrap().unwrap();
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
