//! `[sandbox]` and `[project.credentials]`: the keys of [`SandboxOptions`] and [`UpstreamCredentials`].

use super::declare::{FromConfigTable as _, config_keys, config_nodes, config_word_names};
use super::keys::KeyDefault::Words;
use super::keys::{KeyDeclaration, TableDeclaration, ValueKind};
use crate::runner::{SandboxMode, SandboxOptions, UpstreamCredentials};

pub(super) static SANDBOX: TableDeclaration =
    TableDeclaration { keys: SandboxOptions::KEYS, layered: true, ..TableDeclaration::EMPTY };

pub(super) static CREDENTIALS: TableDeclaration =
    TableDeclaration { keys: UpstreamCredentials::KEYS, ..TableDeclaration::EMPTY };

config_word_names! {
    SANDBOX_MODES: SandboxMode {
        Auto = "auto",
        Required = "required",
        Off = "off",
    }
}

config_keys! {
    SandboxOptions {
        mode = KeyDeclaration::new("mode", ValueKind::Word(SANDBOX_MODES), Words("`\"auto\"`"), "\"required\""), or SandboxMode::Auto;
        read = KeyDeclaration::new("read", ValueKind::List(&ValueKind::Path, 0), Words("nothing"), "[\"/opt/tools\"]");
        write = KeyDeclaration::new("write", ValueKind::List(&ValueKind::Path, 0), Words("nothing"), "[\"/srv/downloads\"]");
        max_processes = KeyDeclaration::new("max-processes", ValueKind::Number(1, 1_000_000), Words("no limit"), "500"), or 0;
        max_file_size = KeyDeclaration::new("max-file-size", ValueKind::Size, Words("no limit"), "\"20G\""), or 0;
        max_memory = KeyDeclaration::new("max-memory", ValueKind::Size, Words("no limit"), "\"8G\""), or 0;
    }
}

config_keys! {
    UpstreamCredentials {
        netrc = KeyDeclaration::new("netrc", ValueKind::SecretFile, Words("none"), "\"upstreams.netrc\"");
        ssh_key = KeyDeclaration::new("ssh-key", ValueKind::SecretFile, Words("none"), "\"id_ed25519\"");
        known_hosts = KeyDeclaration::new("known-hosts", ValueKind::File, Words("`/etc/ssh/ssh_known_hosts` alone"), "\"known_hosts\"");
        git_config = KeyDeclaration::new("git-config", ValueKind::SecretFile, Words("none"), "\"upstreams.gitconfig\"");
    }
}

config_nodes!(SandboxOptions, UpstreamCredentials);
