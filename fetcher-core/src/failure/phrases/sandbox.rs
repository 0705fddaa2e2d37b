//! What bubblewrap and the kernel say of a sandbox that does not work, and what lies behind it. The kind is the same for
//! all; the meaning is what differs.

/// As it is written; the first that stands anywhere decides.
const REASONS: [(&str, &str); 6] = [
    (
        "Can't mount proc on ",
        "a part of /proc is masked: by a container, or by `ProtectKernelLogs=` or `ProtectKernelTunables=` of the service",
    ),
    (
        "o permissions to create new namespace",
        "user namespaces are forbidden: by sysctl kernel.unprivileged_userns_clone, by a container, or by \
         `RestrictNamespaces=` of the service",
    ),
    (
        "user/max_*_namespaces exceeded",
        "there may be no more user namespaces: by sysctl user.max_user_namespaces, or since this runs in such a sandbox itself",
    ),
    (
        "setting up uid map: Permission denied",
        "user namespaces have no rights: by AppArmor (sysctl kernel.apparmor_restrict_unprivileged_userns), or since this \
         runs under Landlock itself",
    ),
    ("Can't read /proc/sys/kernel/overflowuid", "/proc shows processes alone: by `ProcSubset=pid` of the service"),
    (
        "it ended with Signal(31)",
        "a system call is forbidden: `SystemCallFilter=` of the service has to have `@mount`, `unshare` and `pivot_root`",
    ),
];

/// What lies behind what was said, where that is known.
pub(crate) fn of_sandbox(said: &str) -> Option<&'static str> {
    REASONS.iter().find(|(text, _)| said.contains(text)).map(|(_, meaning)| *meaning)
}
