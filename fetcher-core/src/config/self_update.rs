//! What is configured for the configuration's own git repository, and for the program itself.

use std::path::PathBuf;

use super::declare::{FromConfigTable, config_table};
use super::keys::Fallback::Words;
use super::keys::{Key, Kind, Table};

pub(super) static SELF_UPDATE: Table =
    Table { keys: SelfUpdateConfig::KEYS, needs: &[("binary", "required-version")], ..Table::EMPTY };

config_table! {
    /// `[self-update]`: how the configuration follows its own git repository.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct SelfUpdateConfig {
        /// Whether the configuration's git repository is followed before every run.
        enabled: Option<bool> = Key::new("enabled", Kind::Bool, Words("true where the file lives in a git work tree whose branch has an upstream"), "false");
        /// The branch to follow.
        branch: Option<String> = Key::new("branch", Kind::Branch, Words("the checked-out branch's upstream"), "\"main\"");
        /// Only commits signed by one of these keys are taken: a file as in git's
        /// `gpg.ssh.allowedSignersFile`, or OpenPGP public keys.
        allowed_signers: Option<PathBuf> = Key::new("allowed-signers", Kind::File, Words("any commit is taken"), "\"allowed_signers\"");
        /// The version of this program that the configuration needs. An older one runs `binary`, or says so
        /// loudly.
        required_version: Option<String> = Key::new("required-version", Kind::Version, Words("any version will do"), "\"0.2.0\"");
        /// The command that brings a newer version of this program, run when `required-version` is newer.
        binary: Vec<String> = Key::new("binary", Kind::Command, Words("the program is never updated by itself"), "[\"cargo\", \"install\", \"bst-fetcher\"]");
    }
}
