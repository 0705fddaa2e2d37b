//! Messages in files, for programs that get them on standard input: below the directory of the notifiers' memory, whence
//! they are cleared after whoever was killed.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Below the directory of the memory.
const DIRECTORY: &str = "tmp";

/// Writes a message into a file in the first of the directories that can be written; the last resort is one that anybody
/// uses. It is removed with what is given.
///
/// # Errors
/// When it can be written in none of them: with the last of them.
pub(super) fn write(
    directories: &[PathBuf],
    elsewhere: &Path,
    message: &[u8],
) -> Result<NamedTempFile, (PathBuf, io::Error)> {
    for directory in directories {
        let own = directory.join(DIRECTORY);
        // That one cannot be written may be what the message tells.
        if let Ok(file) = fs::create_dir_all(&own).and_then(|()| write_in(&own, message)) {
            return Ok(file);
        }
    }
    write_in(elsewhere, message).map_err(|error| (elsewhere.to_owned(), error))
}

fn write_in(directory: &Path, message: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(directory)?;
    // Held as long as it is in use: what is not is left by somebody who was killed.
    file.as_file().lock()?;
    file.write_all(message)?;
    Ok(file)
}

/// Removes what killed processes left.
///
/// # Errors
/// When something of it cannot be removed.
pub(super) fn clear(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory.join(DIRECTORY)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        match file.try_lock() {
            Ok(()) => fs::remove_file(path)?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_what_was_left_goes() {
        let directory = tempfile::tempdir().unwrap();
        let (nowhere, own) = (PathBuf::from("/proc/nowhere"), directory.path().join("notify"));
        let used = write(&[nowhere.clone(), own.clone()], Path::new("/proc"), b"a message").unwrap();
        assert!(used.path().starts_with(&own));
        let (_, left) = write(std::slice::from_ref(&own), Path::new("/proc"), b"left").unwrap().keep().unwrap();
        clear(&own).unwrap();
        assert!(used.path().exists() && !left.exists());
        drop(used);
        assert_eq!(fs::read_dir(own.join(DIRECTORY)).unwrap().count(), 0);
        let elsewhere = write(&[nowhere], directory.path(), b"a message").unwrap();
        assert_eq!(fs::read(elsewhere.path()).unwrap(), b"a message");
        clear(&directory.path().join("none")).unwrap();
    }
}
