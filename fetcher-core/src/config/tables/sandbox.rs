//! The keys of `[sandbox]` and `[project.credentials]`.

use super::super::keys::{Fallback, Kind, Table};
use super::key;

use Fallback::Words;

pub(super) static SANDBOX: Table = Table {
    keys: &[
        key(
            "mode",
            Kind::Word(&["auto", "required", "off"]),
            Words("`\"auto\"`"),
            "\"required\"",
            "`\"auto\"`: the best sandbox that this machine has, and a warning where it has none. `\"required\"`: without one, \
             or with less than is asked for, no `bst` is started. `\"off\"`: a project's code may do all that this user may.",
        ),
        key(
            "read",
            Kind::List(&Kind::Path, 0),
            Words("nothing"),
            "[\"/opt/tools\"]",
            "Further files and directories that may be read.",
        ),
        key(
            "write",
            Kind::List(&Kind::Path, 0),
            Words("nothing"),
            "[\"/srv/downloads\"]",
            "Further files and directories that may be read and written.",
        ),
        key(
            "max-processes",
            Kind::Number(1, 1_000_000),
            Words("no limit"),
            "500",
            "How many processes and threads there may be in one sandbox at once. Outside of bubblewrap all of the \
             user's count.",
        ),
        key(
            "max-file-size",
            Kind::Size,
            Words("no limit"),
            "\"20G\"",
            "How large a file may become that is written in it.",
        ),
        key(
            "max-memory",
            Kind::Size,
            Words("no limit"),
            "\"8G\"",
            "How much address space each process in it may have.",
        ),
    ],
    layered: true,
    ..Table::EMPTY
};

pub(super) static CREDENTIALS: Table = Table {
    keys: &[
        key(
            "netrc",
            Kind::SecretFile,
            Words("none"),
            "\"upstreams.netrc\"",
            "Users and passwords by host, as in netrc(5): shown as `~/.netrc`.",
        ),
        key("ssh-key", Kind::SecretFile, Words("none"), "\"id_ed25519\"", "A private key, shown as `~/.ssh/id_rsa`."),
        key(
            "known-hosts",
            Kind::File,
            Words("`/etc/ssh/ssh_known_hosts` alone"),
            "\"known_hosts\"",
            "The keys of the hosts that are reached over ssh, shown as `~/.ssh/known_hosts`.",
        ),
        key(
            "git-config",
            Kind::SecretFile,
            Words("none"),
            "\"upstreams.gitconfig\"",
            "Settings for git, shown as `~/.gitconfig`.",
        ),
    ],
    ..Table::EMPTY
};
