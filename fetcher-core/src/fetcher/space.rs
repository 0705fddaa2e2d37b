//! Seeing that there is space, and making some: first what killed programs left, then what nothing names any more, then
//! what can be had again.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Mutex;

use super::{Fetcher, error_diagnoses};
use crate::cancel::Cancel;
use crate::diagnosis::Diagnosis;
use crate::free_space::{FreeSpace, SpaceShortage};
use crate::git;
use crate::names::RunId;
use crate::own_directory::OwnDirectory;
use crate::project::Project;
use crate::runner::processes;
use crate::state::{StateStore, UsageRegister};

/// How many files are counted at most to know what their removal would give.
const MAX_COUNTED: usize = 5_000_000;

/// What can be had again: a mirror or the checkout of a branch.
struct ReclaimableDirectory {
    /// The directory that holds it.
    parent: Rc<OwnDirectory>,
    name: OsString,
    is_mirror: bool,
    /// Whether a configured project names it.
    configured: bool,
    /// When it was last of use, in seconds.
    used: i64,
    bytes: u64,
}

impl Fetcher {
    /// Removes what killed programs left, sees that there is space, and makes some if there is not; tells what was given
    /// up for it.
    ///
    /// # Errors
    /// When there still is too little.
    pub(super) fn space(
        &self,
        store: &StateStore,
        run: &RunId,
        usage: &Mutex<UsageRegister>,
    ) -> Result<Option<Diagnosis>, Diagnosis> {
        // What cannot be removed is told where it stands in the way: by the shortage, or by git.
        let left = self.remove_leftovers();
        let told = |shortage: &SpaceShortage| error_diagnoses::space(shortage, left.as_ref().err());
        if self.free_space().shortage().is_none() {
            return Ok(None);
        }
        // What cannot be removed now is told at the end of the run.
        self.gc(store, Some(run), usage);
        let Some(shortage) = self.free_space().shortage() else { return Ok(None) };
        let given_up = self.give_up(&shortage).map_err(|error| error_diagnoses::space(&shortage, Some(&error)))?;
        match self.free_space().shortage() {
            None if given_up.is_empty() => Ok(None),
            None => Ok(Some(error_diagnoses::made_space(&shortage, &given_up))),
            Some(shortage) => Err(told(&shortage)),
        }
    }

    /// Removes casd's count of its cache, which it makes anew then. A wrong one is no reason to fail.
    pub(super) fn forget_disk_usage(&self) {
        for home in self.homes_of_caches().unwrap_or_default() {
            let cas = home.below("cachedir").and_then(|cachedir| cachedir.map_or(Ok(None), |own| own.below("cas")));
            if let Ok(Some(cas)) = cas {
                let _ = cas.remove("disk_usage");
            }
        }
    }

    /// What is to stay free.
    pub(super) fn free_space(&self) -> FreeSpace {
        let config = &self.config;
        FreeSpace::new([config.cache_dir.clone(), config.state_dir.clone()], config.min_free_space)
    }

    /// Removes what killed programs left below the cache directory. Nothing of this configuration's runs now; mirrors
    /// that somebody else is using are left alone, and so is bst's cache while anything names it.
    fn remove_leftovers(&self) -> io::Result<()> {
        let Some(cache) = OwnDirectory::open(&self.config.cache_dir)? else { return Ok(()) };
        for kind in ["mirrors", "submodules"] {
            if let Some(mirrors) = cache.below(kind)? {
                git::remove_all_leftovers(&mirrors).map_err(io::Error::other)?;
            }
        }
        if processes::any_names(&cache.path().canonicalize()?)? {
            return Ok(());
        }
        self.homes_of_caches()?.iter().try_for_each(remove_leftovers_of_bst)
    }

    /// Gives up checkouts and mirrors until there is no shortage: those of projects that are not configured first, then
    /// checkouts before mirrors, then what was not of use for longest. Nothing where all of them would not be enough.
    fn give_up(&self, shortage: &SpaceShortage) -> io::Result<Vec<PathBuf>> {
        let device = |path: &Path| fs::metadata(path).map(|found| found.dev());
        if device(&shortage.directory)? != device(&self.config.cache_dir)? {
            return Ok(Vec::new());
        }
        let mut spare = self.spare()?;
        spare.sort_by_key(|spare| (spare.configured, spare.is_mirror, spare.used));
        let all = spare.iter().fold(shortage.free, |sum, spare| sum.saturating_add(spare.bytes));
        let mut given_up = Vec::new();
        if all < shortage.wanted {
            return Ok(given_up);
        }
        for ReclaimableDirectory { parent, name, is_mirror, .. } in spare {
            if self.cancel.is_cancelled() || self.free_space().shortage().is_none() {
                break;
            }
            let removed = if is_mirror {
                git::give_up(&parent, &name).map_err(io::Error::other)?
            } else {
                parent.remove(&name)?
            };
            if removed {
                given_up.push(parent.path().join(name));
            }
        }
        Ok(given_up)
    }

    fn spare(&self) -> io::Result<Vec<ReclaimableDirectory>> {
        let mut spare = Vec::new();
        let Some(cache) = OwnDirectory::open(&self.config.cache_dir)? else { return Ok(spare) };
        let configured = |name: &OsString| self.config.projects.iter().any(|project| *name == *project.name.as_str());
        let mirrored: Vec<_> = self.config.projects.iter().filter_map(|it| Project::mirror_name(it).ok()).collect();
        let is_mirrored = |name: &OsString| mirrored.iter().any(|known| *name == **known);
        for kind in ["mirrors", "submodules"] {
            let Some(mirrors) = cache.below(kind)?.map(Rc::new) else { continue };
            for name in mirrors.names()? {
                let Some(mirror) = mirrors.below(&name)? else { continue };
                spare.push(ReclaimableDirectory {
                    is_mirror: true,
                    // Whose submodules they are nothing says.
                    configured: kind == "submodules" || is_mirrored(&name) || configured(&name),
                    used: mirror.changed_at("packed-refs")?.unwrap_or_default(),
                    bytes: disk_usage(mirror.path(), &self.cancel),
                    parent: mirrors.clone(),
                    name,
                });
            }
        }
        let Some(checkouts) = cache.below("checkouts")? else { return Ok(spare) };
        for project in checkouts.names()? {
            let Some(branches) = checkouts.below(&project)?.map(Rc::new) else { continue };
            for branch in branches.directories()? {
                let branch = branch?;
                spare.push(ReclaimableDirectory {
                    is_mirror: false,
                    configured: configured(&project),
                    used: branch.changed_at("written")?.unwrap_or_default(),
                    bytes: disk_usage(branch.path(), &self.cancel),
                    parent: branches.clone(),
                    name: branch.path().file_name().unwrap_or_default().to_owned(),
                });
            }
        }
        Ok(spare)
    }
}

/// Removes what killed programs left in one BuildStream's cache and sources.
fn remove_leftovers_of_bst(home: &OwnDirectory) -> io::Result<()> {
    // Where bst puts what it unpacks, and casd objects that are not whole yet.
    if let Some(cachedir) = home.below("cachedir")? {
        let of_casd = cachedir.below("cas")?.map_or(Ok(None), |cas| cas.below("tmp"))?;
        for directory in cachedir.below("tmp")?.iter().chain(&of_casd) {
            directory.names()?.iter().try_for_each(|name| directory.remove(name).map(drop))?;
        }
    }
    let Some(sources) = home.below("sources")? else { return Ok(()) };
    for slot in sources.directories()? {
        for kind in slot?.directories()? {
            let kind = kind?;
            for name in kind.names()?.iter().filter(|name| is_temporary(name)) {
                kind.remove(name)?;
            }
        }
    }
    Ok(())
}

/// Whether a name is one that Python's `tempfile` gives: `tmp` and eight characters.
fn is_temporary(name: &OsString) -> bool {
    let random = |rest: &str| rest.len() == 8 && rest.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    name.to_str().and_then(|name| name.strip_prefix("tmp")).is_some_and(random)
}

/// About how much space a directory takes; what cannot be looked at counts nothing, and nothing counts twice.
pub(super) fn disk_usage(directory: &Path, cancel: &Cancel) -> u64 {
    let (mut open, mut bytes, mut counted) = (vec![directory.to_owned()], 0_u64, 0);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            counted += 1;
            if counted > MAX_COUNTED || cancel.is_cancelled() {
                return bytes;
            }
            // No link is followed: this is about the entry itself.
            let Ok(found) = entry.metadata() else { continue };
            bytes = bytes.saturating_add(found.blocks().saturating_mul(512) / found.nlink().max(1));
            if found.is_dir() {
                open.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names_are_those_of_python() {
        for (name, temporary) in [("tmpab_c12xy", true), ("tmp", false), ("tmpfs_x.org", false), ("https___tmp", false)]
        {
            assert_eq!(is_temporary(&name.into()), temporary, "{name}");
        }
    }
}
