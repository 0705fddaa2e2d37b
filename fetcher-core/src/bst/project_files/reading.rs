//! Reading files of a checkout, which are a stranger's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::bst::yaml::LARGEST;

/// Reads many files of one checkout: where a directory really is, is found out once.
#[derive(Debug)]
pub(super) struct ProjectFileReader {
    root: PathBuf,
    /// Each directory's own path; none where it is not in the checkout.
    directories: RefCell<BTreeMap<PathBuf, Option<PathBuf>>>,
}

impl ProjectFileReader {
    /// A reader of the files below a directory, which has no link in its own path.
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, directories: RefCell::default() }
    }

    /// A file's text, as [`read_file`] has it.
    pub(super) fn read(&self, path: &Path) -> io::Result<String> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return read_file(&self.root, path);
        };
        let read = self.directory(parent).map(|directory| read_regular(&directory.join(name)));
        match read {
            // A link may lead to somewhere in the checkout.
            Some(Err(error)) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => read_file(&self.root, path),
            Some(read) => read,
            None => read_file(&self.root, path),
        }
    }

    fn directory(&self, path: &Path) -> Option<PathBuf> {
        if let Some(known) = self.directories.borrow().get(path) {
            return known.clone();
        }
        let real = self.root.join(path).canonicalize().ok().filter(|real| real.starts_with(&self.root));
        self.directories.borrow_mut().insert(path.to_owned(), real.clone());
        real
    }
}

/// Reads a file of a checkout, whose directory has no link in its own path: not through a link that leads out of it, and
/// not more than [`LARGEST`] bytes.
pub(super) fn read_file(root: &Path, path: &Path) -> io::Result<String> {
    let real = root.join(path).canonicalize()?;
    if !real.starts_with(root) {
        return Err(io::Error::other("it leads out of the checkout"));
    }
    read_regular(&real)
}

/// Reads a regular file, which is no link.
fn read_regular(path: &Path) -> io::Result<String> {
    // Whatever was put there meanwhile: no link is followed, and a FIFO is not waited for.
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits();
    let file = File::options().read(true).custom_flags(i32::try_from(flags).unwrap_or_default()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    // One byte more than it has, so that its end is seen with the first look.
    let length = usize::try_from(metadata.len()).unwrap_or(LARGEST).min(LARGEST);
    let mut bytes = Vec::with_capacity(length + 1);
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LARGEST {
        return Err(io::Error::other("it is too large"));
    }
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_within_the_checkout_alone() {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path().canonicalize().unwrap();
        let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, root.join(from)).unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::fs::write(root.join("real/a"), "a\u{e4}").unwrap();
        link("real", "inside");
        link("/etc", "outside");
        link("a", "real/link");
        link("/etc/passwd", "real/away");
        link("circle", "circle");
        let reader = ProjectFileReader::new(root.clone());
        for (path, fine) in [
            ("real/a", true),
            ("inside/a", true),
            ("real/link", true),
            ("inside/link", true),
            ("real/away", false),
            ("inside/away", false),
            ("outside/passwd", false),
            ("circle", false),
            ("none/a", false),
            ("real", false),
            ("", false),
        ] {
            assert_eq!(reader.read(Path::new(path)).ok().as_deref(), fine.then_some("aä"), "{path}");
            assert_eq!(read_file(&root, Path::new(path)).is_ok(), fine, "{path}");
        }
    }
}
