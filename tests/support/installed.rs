//! Programs that tests need and that are packages of the system: installed here, and nowhere else.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// The Debian packages that tests may need, by the program that is looked for.
const PACKAGES: &[(&str, &str)] = &[
    ("atheme-services", "atheme-services"),
    ("bwrap", "bubblewrap"),
    ("chromium", "chromium"),
    ("crontab", "cron"),
    ("gpg", "gnupg"),
    ("inspircd", "inspircd"),
    ("nginx", "nginx-light"),
    ("ngircd", "ngircd"),
    ("openssl", "openssl"),
    ("ostree", "ostree"),
    ("promtool", "prometheus"),
    ("ssh", "openssh-client"),
    ("systemd-analyze", "systemd"),
];

/// One at a time: apt takes a lock, and would fail where it is held.
static INSTALLING: Mutex<()> = Mutex::new(());

/// The path of a program. Where it is missing it is installed with `apt-get`; where that does not work, the test fails
/// with what to do.
pub fn program(name: &str) -> PathBuf {
    let _guard = INSTALLING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(path) = find(name) {
        return path;
    }
    let package = PACKAGES.iter().find(|(program, _)| *program == name).map(|(_, package)| *package);
    let package = package.unwrap_or_else(|| panic!("no package is known for {name:?}"));
    for arguments in [&["update"][..], &["install", "-y", "--no-install-recommends", package]] {
        let status = Command::new("apt-get")
            .args(["-o", "DPkg::Lock::Timeout=300"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // No server among them is to be started (invoke-rc.d(8)).
            .env("RUNLEVEL", "1")
            .stdout(Stdio::null())
            .status();
        let worked = status.as_ref().is_ok_and(std::process::ExitStatus::success);
        assert!(worked, "this test needs {name:?}; apt-get {arguments:?}: {status:?}. Install {package} by hand.");
    }
    find(name).unwrap_or_else(|| panic!("apt-get installed {package}, but there is no {name:?} in PATH"))
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Debian puts servers where only root looks.
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|directory| directory.join(name)).find(|program| program.is_file())
}
