//! What tracking changed in a checkout, and the digest of all that a fetch depends on.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Repository, Status, StatusOptions};

use super::prepare::{PreparedFiles, PreparedText};
use crate::bst::project_files::ProjectFiles;
use crate::bst::refs::{self, LARGEST, StoredKey};
use crate::names::ElementName;
use crate::report::RefChange;

/// A file of the checkout that is not what the commit has, or what was prepared.
#[derive(Debug)]
pub(crate) struct ChangedFile {
    /// Its path, relative to the directory of the project.
    pub(crate) path: PathBuf,
    /// What the commit has, or what was prepared in its place; none where there was no such file.
    pub(crate) old: Option<String>,
    /// What is there now; none where it is gone.
    pub(crate) new: Option<String>,
}

/// The most files and directories of a checkout that is looked through: those of a commit (`git` has a limit of its own),
/// and as many more that bst may have left.
const MAX_ENTRIES: usize = 2_000_000;
/// The most changed files, and bytes of them, that are looked into.
const MAX_CHANGED: usize = 100_000;
const MAX_CHANGED_BYTES: usize = 512 << 20;
/// The most repositories inside each other.
const MAX_DEPTH: usize = 10;

/// Opens the repository of a checkout. Where no sandbox keeps them from it, a project's plugins may have written its
/// settings, which are not to lead to another directory.
fn open(project: &Path) -> Result<Repository, git2::Error> {
    let repository = Repository::open_ext(project, git2::RepositoryOpenFlags::empty(), [] as [&Path; 0])?;
    let of = |path: Option<&Path>| path.and_then(|path| path.canonicalize().ok());
    let same = of(repository.workdir()) == of(repository.path().parent());
    if same { Ok(repository) } else { Err(git2::Error::from_str("the checkout's repository names another directory")) }
}

/// The tree of the commit that is checked out.
pub(super) fn tree(project: &Path) -> Option<String> {
    let repository = open(project).ok()?;
    Some(repository.head().ok()?.peel_to_tree().ok()?.id().to_string())
}

/// The files in which a project's refs may be, and which differ from the commit: changed ones of any name, and new
/// elements and ref files.
pub(crate) fn changed(project: &Path, prepared: Option<&PreparedFiles>) -> Result<Vec<ChangedFile>, git2::Error> {
    let repository = open(project)?;
    let top = repository.workdir().unwrap_or(project);
    if !has_at_most(top, MAX_ENTRIES) {
        return Err(git2::Error::from_str(&format!("the checkout has more than {MAX_ENTRIES} files")));
    }
    let mut files = Vec::new();
    collect(&repository, project, &mut files, 0)?;
    if let Some(prepared) = prepared {
        compare_with_prepared(project, &mut files, prepared);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Compares with what was prepared, where that differs from the commit.
fn compare_with_prepared(project: &Path, files: &mut Vec<ChangedFile>, prepared: &PreparedFiles) {
    let project = project.canonicalize().unwrap_or_else(|_| project.to_owned());
    for file in &mut *files {
        match prepared.text(&project.join(&file.path)) {
            PreparedText::AsCommitted => {}
            PreparedText::None => file.old = None,
            PreparedText::Text(text) => file.old = Some(text),
        }
    }
    files.retain(|file| file.old != file.new);
}

/// Whether there are not more files and directories in a directory, at any depth. No link is followed.
fn has_at_most(directory: &Path, most: usize) -> bool {
    let (mut open, mut left) = (vec![directory.to_owned()], most);
    while let Some(directory) = open.pop() {
        // What cannot be read is none of git's either.
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if left == 0 {
                return false;
            }
            left -= 1;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
    }
    true
}

fn collect(
    repository: &Repository,
    project: &Path,
    files: &mut Vec<ChangedFile>,
    depth: usize,
) -> Result<(), git2::Error> {
    if depth > MAX_DEPTH {
        return Err(git2::Error::from_str(&format!("there are more than {MAX_DEPTH} repositories inside each other")));
    }
    let mut bytes = 0;
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
                collect(&submodule, &full, &mut inner, depth + 1)?;
                files.extend(inner.into_iter().map(|file| ChangedFile { path: path.join(&file.path), ..file }));
            }
            continue;
        }
        let old = match head.get_path(relative) {
            Ok(entry) if entry.kind() == Some(ObjectType::Blob) => {
                Some(String::from_utf8_lossy(repository.find_blob(entry.id())?.content()).into_owned())
            }
            Ok(_) => None,
            Err(error) if error.code() == git2::ErrorCode::NotFound => None,
            Err(error) => return Err(error),
        };
        let new = read(&full).map_err(|error| git2::Error::from_str(&format!("{}: {error}", full.display())))?;
        bytes += old.as_ref().map_or(0, String::len) + new.as_ref().map_or(0, String::len);
        files.push(ChangedFile { path: path.to_owned(), old, new });
        if files.len() > MAX_CHANGED || bytes > MAX_CHANGED_BYTES {
            let most = MAX_CHANGED_BYTES >> 20;
            let text = format!("more than {MAX_CHANGED} files, or {most} MiB, differ from the commit");
            return Err(git2::Error::from_str(&text));
        }
    }
    Ok(())
}

/// The refs that differ, by element: in elements, in what elements include, and where the project stores refs.
///
/// # Errors
/// When the elements that include a file cannot be found out.
pub(super) fn ref_changes(project: &Path, files: &[ChangedFile]) -> io::Result<Vec<RefChange>> {
    let changes = keyed_ref_changes(&ProjectFiles::new(project), files)?;
    Ok(changes.into_iter().map(|(change, _)| change).collect())
}

/// The same, with the element as the file has it, of those in a file where the project stores refs.
///
/// # Errors
/// When the elements that include a file cannot be found out.
pub(super) fn keyed_ref_changes(
    known: &ProjectFiles,
    files: &[ChangedFile],
) -> io::Result<Vec<(RefChange, Option<StoredKey>)>> {
    let mut changes = Vec::new();
    for file in files {
        let (old, new) = (file.old.as_deref(), file.new.as_deref());
        let found = if file.path.extension().is_some_and(|end| end == "refs") {
            let stored = refs::keyed_changes(known.name(), old, new).into_iter();
            stored.map(|(key, change)| (change, Some(key))).collect()
        } else {
            let found = match known.element_of(&file.path) {
                Some(element) => refs::element_changes(&element, old, new),
                None => included_changes(known, file)?,
            };
            found.into_iter().map(|change| (change, None)).collect::<Vec<_>>()
        };
        let path = file.path.to_string_lossy();
        let in_file = |change| RefChange { file: Some(path.clone().into_owned()), ..change };
        changes.extend(found.into_iter().map(|(change, key)| (in_file(change), key)));
    }
    changes.sort();
    Ok(changes)
}

/// The refs that differ in a file that elements may include.
fn included_changes(known: &ProjectFiles, file: &ChangedFile) -> io::Result<Vec<RefChange>> {
    let (old, new) = (file.old.as_deref(), file.new.as_deref());
    // Whose they are is found out only where there are some: that takes reading all elements.
    let Ok(nobody) = ElementName::try_from(file.path.to_string_lossy().into_owned()) else { return Ok(Vec::new()) };
    let changes = refs::element_changes(&nobody, old, new);
    if changes.is_empty() {
        return Ok(changes);
    }
    let mut elements = known.elements_that_include(&file.path)?.into_iter();
    let Some(element) = elements.next() else { return Ok(Vec::new()) };
    let shared_with: Vec<_> = elements.collect();
    let of = |change| RefChange { element: element.clone(), shared_with: shared_with.clone(), ..change };
    Ok(changes.into_iter().map(of).collect())
}

/// All elements of a project, for releases to which naming none means none.
///
/// # Errors
/// When they cannot be listed.
pub(super) fn all_elements(project: &Path) -> io::Result<Vec<String>> {
    Ok(ProjectFiles::new(project).elements()?.iter().map(ToString::to_string).collect())
}

/// Reads a regular file that may be hostile: neither through a symbolic link nor beyond what a project's file can be. None
/// where there is no such file, or something else in its place, which holds no refs.
fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_at_any_depth_and_no_further_than_wanted() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        fs::write(directory.path().join("a/b/c"), "").unwrap();
        std::os::unix::fs::symlink("/", directory.path().join("root")).unwrap();
        assert!(has_at_most(directory.path(), 4) && !has_at_most(directory.path(), 3));
    }
}
