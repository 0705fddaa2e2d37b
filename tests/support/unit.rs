//! Where a service runs that systemd starts, imitated by mounts: no systemd runs where tests do.

use std::fmt::Write as _;
use std::path::Path;

use crate::scratch::Scratch;

/// What of a unit changes what its service can do.
#[derive(Debug, Default)]
pub struct UnitSurroundings {
    /// Lines of a shell's for root, in a mount namespace of the service's own.
    pub mounts: String,
    /// Options of setpriv(1).
    pub privileges: Vec<String>,
    /// Whether it runs as an ordinary user.
    pub is_ordinary: bool,
}

/// Settings of which a service notices nothing that these tests could tell, or that only filter system calls or the
/// network: neither bubblewrap's calls nor bst's are among what those refuse.
const UNNOTICED: [&str; 24] = [
    "Type",
    "ExecStart",
    "StateDirectory",
    "CacheDirectory",
    "RuntimeDirectory",
    "ConfigurationDirectory",
    "EnvironmentFile",
    "LoadCredential",
    "SuccessExitStatus",
    "KillMode",
    "TimeoutStopSec",
    "Nice",
    "ProtectClock",
    "ProtectHostname",
    "RestrictRealtime",
    "LockPersonality",
    "RestrictAddressFamilies",
    "SystemCallArchitectures",
    "IPAddressDeny",
    "UMask",
    "Description",
    "Wants",
    "After",
    "ProtectHome",
];

const REMOUNT: &str = "mount -o remount,bind,ro \"$place\" || exit 97";

impl UnitSurroundings {
    /// Those of a service's unit, for a service that works below a scratch directory.
    ///
    /// # Panics
    /// When it has a setting of which nothing is known here.
    pub fn of(unit: &str, scratch: &Scratch) -> Self {
        let (mut all, mut writable, mut hidden) = (Self::default(), Vec::new(), String::new());
        let root = scratch.root().canonicalize().expect("a directory");
        let root = root.display();
        let (mut is_strict, mut has_own_tmp) = (false, false);
        let settings = unit.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty());
        for (name, value) in settings.filter_map(|line| line.split_once('=')) {
            match (name, value) {
                ("ProtectSystem", "strict") => is_strict = true,
                ("PrivateTmp", "yes") => has_own_tmp = true,
                ("ReadWritePaths", path) => writable.push(path.trim_start_matches('-').to_owned()),
                ("NoNewPrivileges", "yes") => all.privileges.push("--no-new-privs".to_owned()),
                ("CapabilityBoundingSet", "") => all.privileges.push("--bounding-set=-all".to_owned()),
                ("User", _) => all.is_ordinary = true,
                ("ProtectControlGroups", "yes") => {
                    hidden.push_str(&read_only(&format!("/sys/fs/cgroup*) {REMOUNT} ;;")));
                }
                ("ProtectKernelModules", "yes") => hidden.push_str(
                    "[ ! -d /usr/lib/modules ] || mount -t tmpfs -o mode=000,ro none /usr/lib/modules || exit 97\n",
                ),
                ("ProtectKernelLogs", "yes") => hidden.push_str("mount --bind /dev/null /proc/kmsg || exit 97\n"),
                ("ProtectKernelTunables", "yes") => hidden
                    .push_str("mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys || exit 97\n"),
                (name, _) if UNNOTICED.contains(&name) => {}
                other => panic!("{other:?} is not imitated: say what it does"),
            }
        }
        all.mounts = format!("exec 9<'{root}'\n");
        if is_strict {
            all.mounts.push_str(&read_only(&format!("/dev|/dev/*|/proc|/proc/*|/sys|/sys/*) ;; *) {REMOUNT} ;;")));
        }
        all.mounts.push_str(&hidden);
        if has_own_tmp {
            all.mounts
                .push_str("for place in /tmp /var/tmp; do mount -t tmpfs -o mode=1777 none $place || exit 97; done\n");
        }
        // What a test works with is in /tmp as a rule.
        let _ = writeln!(
            all.mounts,
            "mkdir -p '{root}' && mount --no-canonicalize --bind /proc/self/fd/9 '{root}' || exit 97"
        );
        if is_strict {
            let _ = writeln!(all.mounts, "mount -o remount,bind,ro '{root}' || exit 97");
        }
        for path in writable.iter().filter(|path| Path::new(path).exists()) {
            let _ =
                writeln!(all.mounts, "mount --bind '{path}' '{path}' && mount -o remount,bind,rw '{path}' || exit 97");
        }
        if is_strict {
            let _ = writeln!(
                all.mounts,
                "for place in /usr '{root}'; do ! touch $place/probe 2>/dev/null || exit 98; done"
            );
        }
        all
    }
}

/// Lines that make what is mounted read-only, for the places of which a branch of a shell's `case` says so.
fn read_only(branches: &str) -> String {
    format!(
        "while read -r _ place _; do place=$(printf %b \"$place\"); case $place in {branches} esac; done \
         </proc/self/mounts\n"
    )
}
