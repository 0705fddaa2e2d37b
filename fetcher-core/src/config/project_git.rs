//! `[project.git]`: the keys of [`GitAccess`].

use super::declare::{FromConfigTable as _, config_keys, config_nodes};
use super::keys::KeyDefault::Words;
use super::keys::{KeyDeclaration, TableDeclaration, ValueKind};
use crate::git::GitAccess;

pub(super) static GIT: TableDeclaration = TableDeclaration { keys: GitAccess::KEYS, ..TableDeclaration::EMPTY };

config_keys! {
    GitAccess {
        ssh_key = KeyDeclaration::new("ssh-key", ValueKind::SecretFile, Words("ssh's agent and configuration"), "\"id_ed25519\"");
        known_hosts = KeyDeclaration::new("known-hosts", ValueKind::File, Words("ssh's own"), "\"known_hosts\"");
        token_file = KeyDeclaration::new("token-file", ValueKind::SecretFile, Words("no password"), "\"gitlab.token\"");
        credentials_for = KeyDeclaration::new("credentials-for", ValueKind::List(&ValueKind::Text, 0), Words("the project's own url alone"), "[\"https://gitlab.example.org/group/\"]");
        username = KeyDeclaration::new("username", ValueKind::Text, Words("`oauth2` where there is a token"), "\"me\"");
    }
}

config_nodes!(GitAccess);
