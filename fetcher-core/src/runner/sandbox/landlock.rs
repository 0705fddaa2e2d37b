//! Confining this process, and all that it becomes and starts, with Landlock (landlock(7)).

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use serde::{Deserialize, Serialize};

use super::layout::{Layout, SETTINGS, SYSTEM};

/// The newest rules that are asked for; a kernel that knows fewer enforces those.
const NEWEST: ABI = ABI::V6;
/// Devices that every program may use.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// Who the user is, the whole list, for there is no other to show; git's settings for all users, since git gives up on what
/// it may not read; and what psutil looks at when bst ends a task. Of other processes' it shows what any user may see.
const SHARED: [&str; 4] = ["/etc/passwd", "/etc/group", "/etc/gitconfig", "/proc"];

/// What of the file system may be used beside the system's programs, libraries and settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileRules {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

impl FileRules {
    pub(super) fn of(layout: &Layout) -> Self {
        let paths = |wanted: bool| {
            let all = layout.paths.iter().filter(move |(_, writable)| **writable == wanted);
            all.map(|(path, _)| path.clone()).collect()
        };
        Self { read: paths(false), write: paths(true) }
    }
}

/// Confines this thread's process to files, and to signals and abstract sockets of its own. Without rules for files all
/// of them may be used.
pub(super) fn confine(files: Option<&FileRules>) -> io::Result<()> {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let ruleset = match files {
        None => ruleset.handle_access(AccessFs::Refer).and_then(|rules| rules.scope(Scope::from_all(NEWEST))),
        Some(_) => {
            ruleset.handle_access(AccessFs::from_all(NEWEST)).and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
        }
    };
    let created = ruleset.and_then(Ruleset::create).map_err(|error| failed(&error))?;
    let created = match files {
        // Every ruleset forbids what hard links and renames between directories need unless it grants it.
        None => allow(created, Path::new("/"), AccessFs::Refer.into())?,
        Some(files) => allow_files(created, files)?,
    };
    let status = created.restrict_self().map_err(|error| failed(&error))?;
    if files.is_some() && status.ruleset == RulesetStatus::NotEnforced {
        return Err(io::Error::other("this kernel has no Landlock"));
    }
    Ok(())
}

/// Confines this process's signals to what it starts itself; fails where the kernel cannot.
pub(super) fn confine_signals() -> io::Result<()> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)
        .and_then(|rules| rules.scope(Scope::Signal))
        .and_then(Ruleset::create)
        .map_err(|error| failed(&error))?;
    let status =
        allow(ruleset, Path::new("/"), AccessFs::Refer.into())?.restrict_self().map_err(|error| failed(&error))?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced | RulesetStatus::NotEnforced => {
            Err(io::Error::other("this kernel cannot confine signals (Linux 6.12 can)"))
        }
    }
}

fn allow_files(mut rules: RulesetCreated, files: &FileRules) -> io::Result<RulesetCreated> {
    let run = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let all = AccessFs::from_all(NEWEST);
    let write = all & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    // casd opens the root directory.
    rules = allow(rules, Path::new("/"), AccessFs::ReadDir.into())?;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    for (paths, access) in
        [(&SYSTEM[..], run), (&SETTINGS, read), (&SHARED, read), (&DEVICES, device), (&["/dev/shm"], write)]
    {
        for path in paths {
            rules = allow(rules, Path::new(path), access)?;
        }
    }
    for (paths, access) in [(&files.read, run), (&files.write, write)] {
        for path in paths {
            rules = allow(rules, path, access)?;
        }
    }
    Ok(rules)
}

/// Allows something beneath a path, where that is there.
fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> io::Result<RulesetCreated> {
    let Ok(opened) = PathFd::new(path) else { return Ok(rules) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    rules.add_rule(PathBeneath::new(opened, access)).map_err(|error| failed(&error))
}

fn failed(error: &RulesetError) -> io::Error {
    io::Error::other(format!("Landlock: {error}"))
}
