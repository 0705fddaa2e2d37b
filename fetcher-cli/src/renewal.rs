//! Going on in a newer version of the program.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fetcher_core::Environment;
use fetcher_core::diagnosis::{Actor, Diagnosis, FailureKind, Location, Retry};

/// Set for a program that was started by a renewal: it does not renew itself again.
const RENEWED: &str = "BST_FETCHER_RENEWED";

/// Whether this program was started by a renewal.
pub(crate) fn is_renewed(environment: &Environment) -> bool {
    environment.get(RENEWED).is_some()
}

/// The file that this program was started from. `/proc/self/exe` would name the old one, once that is replaced.
pub(crate) fn program(environment: &Environment) -> PathBuf {
    let name = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    if name.components().count() > 1 {
        return std::path::absolute(&name).unwrap_or(name);
    }
    let search = environment.get("PATH").map(env::split_paths).into_iter().flatten();
    let found = search.map(|directory| directory.join(&name)).find(|path| path.is_file());
    found.or_else(|| env::current_exe().ok()).unwrap_or(name)
}

/// Becomes the program that is there now; gives what went wrong, where that does not work.
pub(crate) fn go_on(program: &Path) -> Diagnosis {
    let error = Command::new(program).args(env::args_os().skip(1)).env(RENEWED, "1").exec();
    let message = format!("cannot go on in the new {}, so the old one does: {error}", program.display());
    let hint = "see whether the file can be executed on this host";
    Diagnosis::new(FailureKind::SelfUpdate, message, Retry::Once, Actor::Host, hint)
        .with_place(Location::of_file(program))
}
