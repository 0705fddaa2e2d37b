//! What tracking changed in a checkout, and the digest of all that a fetch depends on.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Repository, Status, StatusOptions};

use crate::bst::refs::{self, LARGEST};
use crate::names::ElementName;
use crate::report::RefChange;

/// A file of the checkout that is not what the commit has.
#[derive(Debug)]
pub(super) struct Changed {
    /// Its path, relative to the directory of the project.
    pub(super) path: PathBuf,
    /// What the commit has; none where it has no such file.
    pub(super) old: Option<String>,
    /// What is there now; none where it is gone.
    pub(super) new: Option<String>,
}

/// The files in which a project's refs may be, and which differ from the commit: changed ones of any name, and new
/// elements and ref files.
pub(super) fn changed(project: &Path) -> Result<Vec<Changed>, git2::Error> {
    let repository = Repository::open_ext(project, git2::RepositoryOpenFlags::empty(), [] as [&Path; 0])?;
    let mut files = Vec::new();
    collect(&repository, project, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(repository: &Repository, project: &Path, files: &mut Vec<Changed>) -> Result<(), git2::Error> {
    let Some(top) = repository.workdir() else { return Ok(()) };
    let top = top.canonicalize().unwrap_or_else(|_| top.to_owned());
    let project = project.canonicalize().unwrap_or_else(|_| project.to_owned());
    let mut options = StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).include_ignored(false);
    let head = repository.head()?.peel_to_tree()?;
    for entry in repository.statuses(Some(&mut options))?.iter() {
        let relative = Path::new(std::ffi::OsStr::from_bytes(entry.path_bytes()));
        let full = top.join(relative);
        let Ok(path) = full.strip_prefix(&project) else { continue };
        let is_new = entry.status().intersects(Status::WT_NEW | Status::INDEX_NEW);
        let names_refs = path.extension().is_some_and(|end| end == "bst" || end == "refs");
        // bst stages junctions in `.bst`.
        let staged = path.components().any(|part| part.as_os_str() == ".bst");
        if is_new && (!names_refs || staged) {
            continue;
        }
        if fs::symlink_metadata(&full).is_ok_and(|found| found.is_dir()) {
            // A submodule in which tracking wrote.
            if let Ok(submodule) = Repository::open(&full) {
                let mut inner = Vec::new();
                collect(&submodule, &full, &mut inner)?;
                files.extend(inner.into_iter().map(|file| Changed { path: path.join(&file.path), ..file }));
            }
            continue;
        }
        let old = head.get_path(relative).ok().filter(|entry| entry.kind() == Some(ObjectType::Blob));
        let old = old.and_then(|entry| repository.find_blob(entry.id()).ok());
        let old = old.map(|blob| String::from_utf8_lossy(blob.content()).into_owned());
        files.push(Changed { path: path.to_owned(), old, new: read(&full).ok() });
    }
    Ok(())
}

/// The refs that differ, by element.
pub(super) fn ref_changes(project: &Path, files: &[Changed]) -> Vec<RefChange> {
    let conf = read(&project.join("project.conf")).unwrap_or_default();
    let elements = refs::top_level(&conf, "element-path").unwrap_or_else(|| ".".to_owned());
    let elements = Path::new(&elements).components().collect::<PathBuf>();
    let elements = elements.strip_prefix(".").unwrap_or(&elements);
    let name = refs::top_level(&conf, "name").unwrap_or_default();
    let mut changes = Vec::new();
    for file in files {
        let (old, new) = (file.old.as_deref(), file.new.as_deref());
        if file.path.extension().is_some_and(|end| end == "refs") {
            changes.extend(refs::stored_changes(&name, old, new));
        } else if let Ok(element) = file.path.strip_prefix(elements)
            && let Ok(element) = ElementName::try_from(element.to_string_lossy().into_owned())
        {
            changes.extend(refs::element_changes(&element, old, new));
        }
    }
    changes.sort();
    changes
}

/// All elements of a project, for releases to which naming none means none.
pub(super) fn all_elements(project: &Path) -> Vec<String> {
    let conf = read(&project.join("project.conf")).unwrap_or_default();
    let top = project.join(refs::top_level(&conf, "element-path").unwrap_or_default());
    let mut elements = Vec::new();
    let mut open = vec![top.clone()];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            if kind.is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
                open.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|end| end == "bst") {
                elements.extend(path.strip_prefix(&top).ok().and_then(Path::to_str).map(str::to_owned));
            }
        }
    }
    elements.sort();
    elements
}

/// Reads a regular file that may be hostile: neither through a symbolic link nor beyond what a project's file can be.
pub(super) fn read(path: &Path) -> io::Result<String> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
