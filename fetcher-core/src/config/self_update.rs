//! What is configured for the configuration's own git repository, and for the program itself.

use std::path::PathBuf;

use super::declare::{FromConfigTable, config_table};
use super::keys::KeyDefault::Words;
use super::keys::{KeyDeclaration, TableDeclaration, ValueKind};

pub(super) static SELF_UPDATE: TableDeclaration = TableDeclaration {
    keys: SelfUpdateConfig::KEYS,
    needs: &[("binary", "required-version")],
    ..TableDeclaration::EMPTY
};

config_table! {
    /// `[self-update]`: how the configuration follows its own git repository.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct SelfUpdateConfig {
        /// Whether the configuration's git repository is followed before every run.
        enabled: Option<bool> = KeyDeclaration::new("enabled", ValueKind::Bool, Words("true where the file lives in a git work tree whose branch has an upstream"), "false");
        /// The branch to follow.
        branch: Option<String> = KeyDeclaration::new("branch", ValueKind::Branch, Words("the checked-out branch's upstream"), "\"main\"");
        /// Only commits signed by one of these keys are taken: a file as in git's
        /// `gpg.ssh.allowedSignersFile`, or OpenPGP public keys.
        allowed_signers: Option<PathBuf> = KeyDeclaration::new("allowed-signers", ValueKind::File, Words("any commit is taken"), "\"allowed_signers\"");
        /// The version of this program that the configuration needs. An older one runs `binary`, or says so
        /// loudly.
        required_version: Option<String> = KeyDeclaration::new("required-version", ValueKind::Version, Words("any version will do"), "\"0.2.0\"");
        /// The command that brings a newer version of this program, run when `required-version` is newer.
        binary: Vec<String> = KeyDeclaration::new("binary", ValueKind::Command, Words("the program is never updated by itself"), "[\"cargo\", \"install\", \"bst-fetcher\"]");
    }
}
