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
        /// `"auto"`: the best sandbox that this machine has, and a warning where it has none. `"required"`: without
        /// one, or with less than is asked for, no `bst` is started. `"off"`: a project's code may do all that this
        /// user may.
        mode = KeyDeclaration::new("mode", ValueKind::Word(SANDBOX_MODES), Words("`\"auto\"`"), "\"required\""), or SandboxMode::Auto;
        /// Further files and directories that may be read.
        read = KeyDeclaration::new("read", ValueKind::List(&ValueKind::Path, 0), Words("nothing"), "[\"/opt/tools\"]");
        /// Further files and directories that may be read and written.
        write = KeyDeclaration::new("write", ValueKind::List(&ValueKind::Path, 0), Words("nothing"), "[\"/srv/downloads\"]");
        /// How many processes and threads there may be in one sandbox at once. Outside of bubblewrap all of the
        /// user's count.
        max_processes = KeyDeclaration::new("max-processes", ValueKind::Number(1, 1_000_000), Words("no limit"), "500"), or 0;
        /// How large a file may become that is written in it.
        max_file_size = KeyDeclaration::new("max-file-size", ValueKind::Size, Words("no limit"), "\"20G\""), or 0;
        /// How much address space each process in it may have.
        max_memory = KeyDeclaration::new("max-memory", ValueKind::Size, Words("no limit"), "\"8G\""), or 0;
    }
}

config_keys! {
    UpstreamCredentials {
        /// Users and passwords by host, as in netrc(5): shown as `~/.netrc`.
        netrc = KeyDeclaration::new("netrc", ValueKind::SecretFile, Words("none"), "\"upstreams.netrc\"");
        /// A private key, shown as `~/.ssh/id_rsa`.
        ssh_key = KeyDeclaration::new("ssh-key", ValueKind::SecretFile, Words("none"), "\"id_ed25519\"");
        /// The keys of the hosts that are reached over ssh, shown as `~/.ssh/known_hosts`.
        known_hosts = KeyDeclaration::new("known-hosts", ValueKind::File, Words("`/etc/ssh/ssh_known_hosts` alone"), "\"known_hosts\"");
        /// Settings for git, shown as `~/.gitconfig`.
        git_config = KeyDeclaration::new("git-config", ValueKind::SecretFile, Words("none"), "\"upstreams.gitconfig\"");
    }
}

config_nodes!(SandboxOptions, UpstreamCredentials);
