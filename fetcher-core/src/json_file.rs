//! Small files of memory: JSON with a version, read with care, written whole and durably, and never over anything that
//! could not be read.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::atomic_file::{sync_directory, write_durable};

/// How many broken files of one name are kept beside it; a further one takes the place of the last.
const BROKEN: usize = 9;

/// What such a file holds.
pub(crate) trait StoredJson: Serialize + DeserializeOwned {
    /// The version of the format that is written. What is stored has it in a field `version`; older ones are read too.
    const VERSION: u32;
    /// What it is, as in "state of a branch".
    const WHAT: &'static str;
    /// Who may read it.
    const MODE: u32 = 0o644;
}

/// A file of the memory between runs that cannot be used as it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateError {
    /// It cannot be written or read.
    #[error("cannot {action} {path:?}: {source}")]
    Io {
        /// "write", "read" or the like.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{path:?} is not a valid {what} of this program: {source}")]
    Format {
        /// What it should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A newer release of this program wrote it. It is neither used nor overwritten.
    #[error("{path:?} is a {what} of version {version}, from a newer release; this one knows versions up to {known}")]
    Newer {
        /// What it is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest version that this release knows.
        known: u32,
    },
    /// It could not be used, and was set aside; what it held is lost to this program.
    #[error("the {what} was set aside as {aside:?} and begins anew: {reason}")]
    SetAside {
        /// What it should have been.
        what: &'static str,
        /// Where it was.
        path: PathBuf,
        /// Where it is now.
        aside: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl StateError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Format { path, .. }
            | Self::Newer { path, .. }
            | Self::SetAside { path, .. } => path,
        }
    }

    /// Whether the file is of no use for anybody, rather than only unreadable here and now.
    fn is_broken(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::IsADirectory,
            Self::Format { .. } => true,
            Self::Newer { .. } | Self::SetAside { .. } => false,
        }
    }
}

/// One such file.
#[derive(Debug, Clone)]
pub(crate) struct JsonFile<T> {
    path: PathBuf,
    content: PhantomData<fn() -> T>,
}

impl<T: StoredJson> JsonFile<T> {
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), content: PhantomData }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it; nothing where there is no such file. Changes nothing.
    ///
    /// # Errors
    /// When it cannot be read, is broken, or is from a newer release.
    pub(crate) fn read(&self) -> Result<Option<T>, StateError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::io("read", &self.path)(error)),
        };
        let failed = |source| StateError::Format { what: T::WHAT, path: self.path.clone(), source };
        let FileHeader { version } = serde_json::from_slice(&text).map_err(failed)?;
        if version > T::VERSION {
            return Err(StateError::Newer { what: T::WHAT, path: self.path.clone(), version, known: T::VERSION });
        }
        serde_json::from_slice(&text).map(Some).map_err(failed)
    }

    /// The same for whom alone may write it: a broken file is set aside, which is told beside what there is.
    pub(crate) fn load(&self) -> (Option<T>, Option<StateError>) {
        match self.read() {
            Ok(value) => (value, None),
            Err(error) if error.is_broken() => (None, Some(self.set_aside(&error))),
            Err(error) => (None, Some(error)),
        }
    }

    /// Writes it, whole, and to the disk; the directories that it lies in are made.
    ///
    /// # Errors
    /// When it cannot be written, or what is there could not be [read](Self::read); the file is then what it was.
    pub(crate) fn save(&self, value: &T) -> Result<(), StateError> {
        self.read()?;
        let written = serde_json::to_vec_pretty(value).map_err(io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            self.path.parent().map_or(Ok(()), fs::create_dir_all)?;
            write_durable(&self.path, &text, T::MODE)
        });
        written.map_err(StateError::io("write", &self.path))
    }

    /// Sets the file aside; gives what is to be told of it.
    pub(crate) fn set_aside(&self, error: &StateError) -> StateError {
        let named = |number: usize| {
            let mut name = OsString::from(self.path.file_name().unwrap_or_default());
            name.push(if number == 1 { ".broken".to_owned() } else { format!(".broken-{number}") });
            self.path.with_file_name(name)
        };
        // A name that cannot be looked at cannot be renamed to either, which is told.
        let free = |path: &PathBuf| path.symlink_metadata().is_err();
        let aside = (1..BROKEN).map(named).find(free).unwrap_or_else(|| named(BROKEN));
        match fs::rename(&self.path, &aside).and_then(|()| sync_directory(&aside)) {
            Ok(()) => {
                let (path, reason) = (self.path.clone(), error.to_string());
                StateError::SetAside { what: T::WHAT, path, aside, reason }
            }
            Err(source) => StateError::io("set aside", &self.path)(source),
        }
    }
}

#[derive(serde::Deserialize)]
struct FileHeader {
    /// Files of the first releases may have none.
    #[serde(default)]
    version: u32,
}

#[cfg(test)]
mod tests;
