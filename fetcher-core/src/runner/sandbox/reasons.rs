//! Why a sandbox does not work here, in words that say what to change.

use crate::failure::phrases;

/// What was said, with what it means where that is known.
pub(super) fn explained(said: &str) -> String {
    match phrases::of_sandbox(said) {
        Some(meaning) => format!("{said} ({meaning})"),
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
