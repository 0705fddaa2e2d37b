//! Why a sandbox does not work here, in words that say what to change.

/// What bubblewrap and the kernel say, and what lies behind it.
const KNOWN: [(&str, &str); 6] = [
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

/// What was said, with what it means where that is known.
pub(super) fn explained(said: &str) -> String {
    match KNOWN.iter().find(|(text, _)| said.contains(text)) {
        Some((_, meaning)) => format!("{said} ({meaning})"),
        None => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bubblewrap_says_is_explained() {
        let said = "bwrap: Can't mount proc on /newroot/proc: Operation not permitted";
        assert!(explained(said).starts_with(said) && explained(said).contains("`ProtectKernelLogs=`"));
        let said = "bwrap: No permissions to create new namespace, likely because the kernel does not allow \
                    non-privileged user namespaces.";
        assert!(explained(said).contains("`RestrictNamespaces=`"));
        assert_eq!(explained("bwrap: something new"), "bwrap: something new");
    }
}
