//! A user that is not root, for tests that root runs: what a sandbox may do depends on who makes it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;
use std::process::Command;

use crate::bst;
use crate::fetcher::program;
use crate::scratch::Scratch;

/// The id of a user, and of its group, that no system has.
const USER: u32 = 54_321;

/// What becomes such a user, as the words in front of a command; none where whoever runs the tests is an ordinary one.
fn words() -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
    ["setpriv", &user, &group, "--clear-groups", "--inh-caps=-all", "--"].map(str::to_owned).into()
}

/// The words in front of the program that run it as an ordinary user, to whom all of a scratch directory is given, and what
/// a test installed is shown. `mounts` are lines of a shell's that root runs before, in a mount namespace of their own.
///
/// # Panics
/// When this machine lets no ordinary user have namespaces although `namespaces` are needed.
pub fn prefix(scratch: &Scratch, mounts: &str, namespaces: bool) -> Vec<String> {
    let become_user = words();
    if namespaces {
        let [first, rest @ ..] = &[&become_user[..], &["unshare", "--user", "true"].map(str::to_owned)].concat()[..]
        else {
            unreachable!("there are words")
        };
        let tried = Command::new(first).args(rest).output().expect("unshare");
        assert!(
            tried.status.success(),
            "this test needs user namespaces, and this machine gives an ordinary user none (see sysctl \
             kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns and \
             user.max_user_namespaces): {}",
            String::from_utf8_lossy(&tried.stderr)
        );
    }
    let mut script = mounts.to_owned();
    if !become_user.is_empty() {
        give(scratch.root());
        script.push_str(&shown());
    }
    if script.is_empty() {
        return become_user;
    }
    let mut words = ["unshare", "--mount"].map(str::to_owned).to_vec();
    words.extend(become_user.is_empty().then(|| "--map-root-user".to_owned()));
    script.push_str("exec \"$0\" \"$@\"");
    words.extend(["/bin/sh".to_owned(), "-c".to_owned(), script]);
    words.extend(become_user);
    words
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
