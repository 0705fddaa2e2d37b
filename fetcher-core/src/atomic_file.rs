//! Files that are written whole and then renamed, so that no reader ever sees half of one.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Writes a file beside its place, then renames it there; everybody may read it.
///
/// # Errors
/// When it cannot be written; the file is then what it was.
pub(crate) fn write_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    write_atomic_with(path, |file| file.write_all(content))
}

/// As [`write_atomic`], for content that `fill` writes piece by piece.
///
/// # Errors
/// When `fill` fails or the file cannot be written; the file is then what it was.
pub(crate) fn write_atomic_with<T>(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
    // Whoever serves or scrapes the file is somebody else, whatever the umask.
    write(path, 0o644, fill)
}

/// As [`write_atomic`], and on the disk when this returns, so that a machine that stops right after has the old file or
/// the new one. `mode` is who may read it.
///
/// # Errors
/// When it cannot be written; the file is then what it was.
pub(crate) fn write_durable(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    write(path, mode, |file| {
        file.write_all(content)?;
        file.sync_all()
    })?;
    sync_directory(path)
}

/// Brings the name of a file to the disk.
///
/// # Errors
/// When its directory cannot be opened or synced.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn write<T>(path: &Path, mode: u32, fill: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
    let fresh = aside(path);
    let written = (|| {
        // What is there already may be a link that leads elsewhere.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut new = File::create_new(&fresh)?;
        new.set_permissions(Permissions::from_mode(mode & 0o600))?;
        let outcome = fill(&mut new)?;
        new.set_permissions(Permissions::from_mode(mode))?;
        fs::rename(&fresh, path)?;
        Ok(outcome)
    })();
    if written.is_err() {
        // What failed is told by the error; a rest is overwritten the next time.
        let _ = fs::remove_file(&fresh);
    }
    written
}

/// Where a file is written before it is renamed: always the same name, so that what a killed process left there is
/// overwritten by the next.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_through_a_link_that_stands_where_it_is_written_first() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("page.html"), directory.path().join("other"));
        fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, aside(&path)).unwrap();
        write_atomic(&path, b"page").unwrap();
        assert_eq!((fs::read(&path).unwrap(), fs::read(&other).unwrap()), (b"page".to_vec(), b"precious".to_vec()));
    }

    #[test]
    fn a_failed_write_leaves_the_file_as_it_was_and_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("page.html");
        write_atomic(&path, b"one").unwrap();
        let failed = write_atomic_with(&path, |file| {
            file.write_all(b"half")?;
            Err::<(), _>(io::Error::other("disk full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }
}
