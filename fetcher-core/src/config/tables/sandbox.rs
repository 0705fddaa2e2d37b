//! The keys of `[sandbox]` and `[project.credentials]`.

use super::super::keys::{KeyDefault, TableDeclaration, ValueKind};
use super::key;

use KeyDefault::Words;

pub(super) static SANDBOX: TableDeclaration = TableDeclaration {
    keys: &[
        key(
            "mode",
            ValueKind::Word(&["auto", "required", "off"]),
            Words("`\"auto\"`"),
            "\"required\"",
            "`\"auto\"`: the best sandbox that this machine has, and a warning where it has none. `\"required\"`: without one, \
             or with less than is asked for, no `bst` is started. `\"off\"`: a project's code may do all that this user may.",
        ),
        key(
            "read",
            ValueKind::List(&ValueKind::Path, 0),
            Words("nothing"),
            "[\"/opt/tools\"]",
            "Further files and directories that may be read.",
        ),
        key(
            "write",
            ValueKind::List(&ValueKind::Path, 0),
            Words("nothing"),
            "[\"/srv/downloads\"]",
            "Further files and directories that may be read and written.",
        ),
        key(
            "max-processes",
            ValueKind::Number(1, 1_000_000),
            Words("no limit"),
            "500",
            "How many processes and threads there may be in one sandbox at once. Outside of bubblewrap all of the \
             user's count.",
        ),
        key(
            "max-file-size",
            ValueKind::Size,
            Words("no limit"),
            "\"20G\"",
            "How large a file may become that is written in it.",
        ),
        key(
            "max-memory",
            ValueKind::Size,
            Words("no limit"),
            "\"8G\"",
            "How much address space each process in it may have.",
        ),
    ],
    layered: true,
    ..TableDeclaration::EMPTY
};

pub(super) static CREDENTIALS: TableDeclaration = TableDeclaration {
    keys: &[
        key(
            "netrc",
            ValueKind::SecretFile,
            Words("none"),
            "\"upstreams.netrc\"",
            "Users and passwords by host, as in netrc(5): shown as `~/.netrc`.",
        ),
        key(
            "ssh-key",
            ValueKind::SecretFile,
            Words("none"),
            "\"id_ed25519\"",
            "A private key, shown as `~/.ssh/id_rsa`.",
        ),
        key(
            "known-hosts",
            ValueKind::File,
            Words("`/etc/ssh/ssh_known_hosts` alone"),
            "\"known_hosts\"",
            "The keys of the hosts that are reached over ssh, shown as `~/.ssh/known_hosts`.",
        ),
        key(
            "git-config",
            ValueKind::SecretFile,
            Words("none"),
            "\"upstreams.gitconfig\"",
            "Settings for git, shown as `~/.gitconfig`.",
        ),
    ],
    ..TableDeclaration::EMPTY
};
