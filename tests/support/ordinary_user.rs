//! A user that is not root, for tests that root runs: what a sandbox may do depends on who makes it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;
use std::process::Command;

use crate::bst;
use crate::fetcher::program;
use crate::scratch::Scratch;
use crate::unit::UnitSurroundings;

/// The id of a user, and of its group, that no system has.
const USER: u32 = 54_321;

/// The words in front of the program that run it in surroundings such as these: with the rights that these leave, and as
/// an ordinary user, to whom all of a scratch directory is given then, and what tests installed is shown.
///
/// # Panics
/// When this machine gives an ordinary user no namespaces, which bubblewrap needs.
pub fn prefix(scratch: &Scratch, surroundings: &UnitSurroundings) -> Vec<String> {
    let changes_user = surroundings.is_ordinary && rustix::process::geteuid().is_root();
    let mut rights = vec!["setpriv".to_owned()];
    if changes_user {
        rights.extend([format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".to_owned()]);
    }
    rights.extend(surroundings.privileges.clone());
    if rights.len() == 1 {
        rights.clear();
    }
    if surroundings.is_ordinary {
        namespaces_work(&rights);
    }
    let mut script = String::new();
    if changes_user {
        give(scratch.root());
        script.push_str(&shown());
    }
    script.push_str(&surroundings.mounts);
    if script.is_empty() {
        return rights;
    }
    let mut words = ["unshare", "--mount"].map(str::to_owned).to_vec();
    words.extend((!rustix::process::geteuid().is_root()).then(|| "--map-root-user".to_owned()));
    script.push_str("exec \"$0\" \"$@\"");
    words.extend(["/bin/sh".to_owned(), "-c".to_owned(), script]);
    words.extend(rights);
    words
}

fn namespaces_work(rights: &[String]) {
    let words = [rights, &["unshare", "--user", "true"].map(str::to_owned)].concat();
    let tried = Command::new(&words[0]).args(&words[1..]).output().expect("setpriv and unshare, of util-linux");
    assert!(
        tried.status.success(),
        "this test needs user namespaces, and this machine gives an ordinary user none (see sysctl \
         kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns and \
         user.max_user_namespaces): {}",
        String::from_utf8_lossy(&tried.stderr)
    );
}

/// Gives that user a directory and all in it.
fn give(path: &Path) {
    lchown(path, Some(USER), Some(USER)).expect("root gives away what it owns");
    if path.symlink_metadata().expect("it is there").is_dir() {
        fs::read_dir(path).expect("a directory").for_each(|entry| give(&entry.expect("an entry").path()));
    }
}

/// Lines that show the program and what tests install below directories that are closed to others, as root's home is.
fn shown() -> String {
    let (program, bst) = (program(), bst::bst());
    // The environment's Python may be one that its user has installed at home.
    let python = bst.with_file_name("python3").canonicalize().expect("the environment's Python");
    let prefix = |program: &Path| program.ancestors().nth(2).expect("a prefix").to_owned();
    let needed = [program.parent().expect("a directory").to_owned(), prefix(&bst), prefix(&python)];
    let (mut held, mut mounted) = (String::new(), String::new());
    for (path, descriptor) in needed.iter().zip(3..) {
        let is_closed = |above: &&Path| above.metadata().is_ok_and(|found| found.mode() & 0o001 == 0);
        let Some(closed) = path.ancestors().filter(is_closed).last() else { continue };
        let (path, closed) = (path.display(), closed.display());
        // What is open can be bound also when something else is mounted above it.
        let _ = writeln!(held, "exec {descriptor}<'{path}'");
        let _ = writeln!(
            mounted,
            "mountpoint -q '{closed}' || mount -t tmpfs -o mode=755 none '{closed}' || exit 96\n\
             mkdir -p '{path}' && mount --no-canonicalize --bind /proc/self/fd/{descriptor} '{path}' || exit 96"
        );
    }
    held + &mounted
}
