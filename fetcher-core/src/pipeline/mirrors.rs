//! BuildStream's copies of repositories below its `sourcedir`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Removes the copies that have a name, of whatever kind of git source (`SOURCEDIR/git/NAME`), and gives their paths.
///
/// The name may come from anybody: it is only compared with the names that are there, of directories right below those
/// of the kinds. Nothing is followed on the way, neither links nor a name that is a path.
///
/// # Errors
/// When a directory cannot be read, or the copy not be removed as a whole.
pub(super) fn remove(sourcedir: &Path, name: &OsStr) -> io::Result<Vec<PathBuf>> {
    let sources = rustix::fs::open(sourcedir, DIRECTORY, Mode::empty())?;
    let mut removed = Vec::new();
    for kind in directories(&sources)?.into_iter().filter(|kind| kind.as_bytes().starts_with(b"git")) {
        let of_kind = rustix::fs::openat(&sources, &*kind, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        for mirror in directories(&of_kind)?.into_iter().filter(|mirror| *mirror == name) {
            // By way of the open directory, whatever is put in its place meanwhile; the standard library follows no
            // link at the end of a path that it removes, nor below it.
            let through = PathBuf::from(format!("/proc/self/fd/{}", of_kind.as_raw_fd()));
            fs::remove_dir_all(through.join(&mirror))?;
            removed.push(sourcedir.join(&kind).join(mirror));
        }
    }
    Ok(removed)
}

/// The names of the directories in a directory, links to some left out.
fn directories(directory: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory.as_fd())? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            names.push(OsStr::from_bytes(name.to_bytes()).to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_no_mirror_of_its_own_stays() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (victim, sources) = (root.join("victim"), root.join("sources"));
        for path in [&victim.join("deep"), &sources.join("git/good/refs"), &sources.join("tar/name"), &root.join("git")]
        {
            fs::create_dir_all(path).unwrap();
        }
        symlink(&victim, sources.join("git/linked")).unwrap();
        symlink(root, sources.join("git_linked")).unwrap();
        fs::write(sources.join("git/file"), "").unwrap();
        for name in ["..", ".", "", "/", "linked", "file", "name", "victim", "../../victim", "git/good", "good/refs"] {
            assert_eq!(remove(&sources, OsStr::new(name)).unwrap(), Vec::<PathBuf>::new(), "{name:?}");
        }
        assert!(victim.join("deep").is_dir() && sources.join("git/good/refs").is_dir());
        assert!(sources.join("git/linked").is_symlink() && sources.join("tar/name").is_dir());
        assert!(remove(&root.join("none"), OsStr::new("good")).is_err());
    }

    #[test]
    fn a_mirror_is_removed_and_what_it_links_to_stays() {
        let directory = tempfile::tempdir().unwrap();
        let sources = directory.path().join("sources");
        let victim = directory.path().join("victim");
        fs::create_dir_all(victim.join("deep")).unwrap();
        for path in ["git/bad/refs/heads", "git_repo/bad", "git/good"] {
            fs::create_dir_all(sources.join(path)).unwrap();
        }
        symlink(&victim, sources.join("git/bad/objects")).unwrap();
        let mut removed = remove(&sources, OsStr::new("bad")).unwrap();
        removed.sort();
        assert_eq!(removed, [sources.join("git/bad"), sources.join("git_repo/bad")]);
        assert!(!sources.join("git/bad").exists() && sources.join("git/good").is_dir());
        assert!(victim.join("deep").is_dir());
    }
}
