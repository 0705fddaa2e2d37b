//! Removing environments that nobody needs.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{BY_KEY, BY_PROJECT, IN_USE, LOCK, lock_file};
use crate::names::ProjectName;
use crate::own_directory::OwnDirectory;

/// Removes from `directory` what killed processes left and every environment but those that served one of `projects`
/// last, those that served anybody within `unused_for`, and those in use; gives what was removed. Nothing happens while
/// somebody makes an environment.
///
/// # Errors
/// When the directory cannot be locked or read, or something cannot be removed.
pub fn prune(directory: &Path, projects: &BTreeSet<ProjectName>, unused_for: Duration) -> io::Result<Vec<PathBuf>> {
    // Whatever else runs as this user may have put a link anywhere here: none is followed.
    let Some(own) = OwnDirectory::open_own(directory)? else { return Ok(Vec::new()) };
    let lock = lock_file(directory)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Vec::new()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let known = |name: &OsStr| projects.iter().any(|project| project.as_str() == name);
    let mut wanted = BTreeSet::new();
    for environment in own.names()? {
        if served_within(&directory.join(&environment), unused_for)? {
            wanted.insert(environment);
        }
    }
    if let Some(links) = own.below(BY_PROJECT)? {
        for name in links.names()? {
            // What is no link is none of ours.
            let target = fs::read_link(links.path().join(&name)).ok();
            let target = target.and_then(|target| target.file_name().map(OsStr::to_owned));
            match target.filter(|_| known(&name)) {
                Some(target) => drop(wanted.insert(target)),
                None => drop(links.remove(&name)?),
            }
        }
    }
    if let Some(links) = own.below(BY_KEY)? {
        for name in links.names()? {
            let target = fs::read_link(links.path().join(&name));
            if !target.is_ok_and(|target| target.file_name().is_some_and(|name| wanted.contains(name))) {
                links.remove(&name)?;
            }
        }
    }
    let ours = [BY_KEY, BY_PROJECT, LOCK].map(OsStr::new);
    let mut removed = Vec::new();
    for name in own.names()? {
        let path = directory.join(&name);
        if !ours.contains(&&*name) && !wanted.contains(&name) && !is_held(&path) && own.remove(&name)? {
            removed.push(path);
        }
    }
    Ok(removed)
}

/// Whether an environment served somebody within a time. One that claims to have done so after now, for a clock was
/// ahead, did so now.
fn served_within(environment: &Path, time: Duration) -> io::Result<bool> {
    let file = environment.join(IN_USE);
    let served = match fs::metadata(&file).and_then(|found| found.modified()) {
        Ok(served) => served,
        // One that a killed process began may lack the file; and beside environments there are links and the lock.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let now = SystemTime::now();
    match now.duration_since(served) {
        Ok(age) => Ok(age < time),
        Err(_) => File::options().write(true).open(file)?.set_modified(now).map(|()| !time.is_zero()),
    }
}

/// Whether somebody uses an environment. One that a killed process began may lack the file.
fn is_held(environment: &Path) -> bool {
    let file = File::options().read(true).write(true).open(environment.join(IN_USE));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}
