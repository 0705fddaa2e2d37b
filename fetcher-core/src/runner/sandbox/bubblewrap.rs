//! The arguments of bubblewrap.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use super::layout::{Layout, SETTINGS, SYSTEM};
use crate::runner::{ChildNetwork, Invocation};

/// Where the helper is inside.
const HELPER: &str = "/run/bst-fetcher-helper";
/// The home where the environment names none.
pub(super) const NO_HOME: &str = "/run/home";

/// How `/proc` gets into the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcMount {
    /// One of its own, which shows its own processes alone.
    Own,
    /// The host's, where part of that is masked, so that the kernel allows no other (in containers, above all): other
    /// processes' names and command lines can be read there, and nothing else of them.
    Host,
}

/// How bubblewrap is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bubblewrap<'b> {
    /// The program.
    pub(super) program: &'b Path,
    /// How `/proc` gets in.
    pub(super) proc: ProcMount,
    /// The small `/etc/passwd` and `/etc/group`.
    pub(super) accounts: [&'b Path; 2],
    /// The program that sets what bubblewrap cannot, with its arguments.
    pub(super) helper: Option<(&'b Path, &'b [OsString])>,
}

impl Bubblewrap<'_> {
    /// The whole command line for an invocation whose program is at this path inside.
    pub(super) fn command(&self, invocation: &Invocation, program: &Path, layout: &Layout) -> Vec<OsString> {
        let mut words = Words(vec![self.program.into()]);
        words.add(["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]);
        // Run by root the child would keep all capabilities in its namespace, and could write what is shown read-only.
        words.add(["--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
        if invocation.network != ChildNetwork::Host {
            words.add(["--unshare-net"]);
        }
        self.system(&mut words);
        words.add(["--tmpfs", "/tmp", "--tmpfs", "/run"]);
        let [passwd, group] = self.accounts;
        words.bind("--ro-bind", passwd, Path::new("/etc/passwd"));
        words.bind("--ro-bind", group, Path::new("/etc/group"));
        let home = invocation.environment.get(OsStr::new("HOME")).map_or(Path::new(NO_HOME), Path::new);
        // Installers and build tools keep caches in their home, and fail where they cannot. It goes with the child.
        let kind = if is_systems(home) { "--dir" } else { "--tmpfs" };
        words.0.extend([kind.into(), home.into(), "--dir".into(), invocation.directory.clone().into()]);
        for (path, writable) in layout.shallow_first() {
            words.bind(if writable { "--bind" } else { "--ro-bind" }, path, path);
        }
        if let Some((helper, _)) = self.helper {
            words.bind("--ro-bind", helper, Path::new(HELPER));
        }
        words.add(["--remount-ro", "/", "--chdir"]);
        words.0.push(invocation.directory.clone().into());
        words.add(["--"]);
        if let Some((_, arguments)) = self.helper {
            words.0.push(HELPER.into());
            words.0.extend(arguments.iter().cloned());
        }
        words.0.push(program.into());
        words.0.extend(invocation.command.iter().skip(1).cloned());
        words.0
    }

    /// The system's programs, libraries and settings.
    fn system(&self, words: &mut Words) {
        for name in SYSTEM {
            let path = Path::new(name);
            match fs::read_link(path) {
                Ok(target) => words.0.extend(["--symlink".into(), target.into(), name.into()]),
                Err(_) => words.bind("--ro-bind-try", path, path),
            }
        }
        match self.proc {
            ProcMount::Own => words.add(["--proc", "/proc"]),
            ProcMount::Host => words.add(["--ro-bind", "/proc", "/proc"]),
        }
        words.add(["--dev", "/dev"]);
        for name in SETTINGS {
            words.bind("--ro-bind-try", Path::new(name), Path::new(name));
        }
    }
}

/// Whether a home is a directory with other things, as some of the system's own users have it (`/`, `/bin`, `/dev`).
fn is_systems(home: &Path) -> bool {
    let others = ["/", "/tmp", "/run", "/etc"].map(Path::new);
    others.contains(&home) || SYSTEM.iter().chain(&["/proc", "/dev"]).any(|directory| home.starts_with(directory))
}

struct Words(Vec<OsString>);

impl Words {
    fn add<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(OsString::from));
    }

    fn bind(&mut self, how: &str, from: &Path, to: &Path) {
        self.0.extend([how.into(), from.into(), to.into()]);
    }
}
