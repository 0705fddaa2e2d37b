//! Sentences that hide their reason: each counts where no line beside it says more.

use super::super::Kind;
use super::{OwnRemedy, Phrase, USUAL, host, project, upstream};

const UNTOLD: OwnRemedy = upstream(
    "the plugin does not tell why: the server did not answer, refused, or has no such repository; ask it by hand (`git ls-remote`, \
     `curl -I`), and see whether others on the same host fail too",
);
const PIP: OwnRemedy =
    project("see pip's words in the task's log: a package that is not there, or an index that does not answer");
const ARCHIVE: OwnRemedy =
    project("the archive cannot be unpacked: open it by hand; where it is whole, the plugin does not know its form");
const OSTREE: OwnRemedy = host(
    "bst's local ostree repository could not be made or read: see the cache directory's file system, and the task's log",
);

pub(super) const PHRASES: &[Phrase] = &[
    (&["failed to track <url>"], Kind::Network, UNTOLD),
    (&["failed to fetch: "], Kind::Network, UNTOLD),
    (&["error mirroring <url>"], Kind::Network, UNTOLD),
    (&["error mirroring"], Kind::Network, UNTOLD),
    (&["failed to fetch tracking ref"], Kind::Network, UNTOLD),
    (&["failed to fetch ref", "from origin"], Kind::Network, UNTOLD),
    (&["failed to branch from"], Kind::Network, UNTOLD),
    (&["failed to pull new changes"], Kind::Network, UNTOLD),
    (&["failed to list advertised remote refs"], Kind::Network, UNTOLD),
    (&["failed to install python packages"], Kind::NotFound, PIP),
    (&["error staging source"], Kind::Checksum, ARCHIVE),
    (&["failed to compute checksum of"], Kind::MirrorCorrupt, OSTREE),
    (&["failed to checkout ref", "from origin"], Kind::MirrorCorrupt, OSTREE),
    (&["unable to create local mirror"], Kind::Permission, OSTREE),
    (&["unable to disable minimum disk space"], Kind::Permission, OSTREE),
    (&["failed to configure origin"], Kind::Permission, OSTREE),
    (&["failed to read the revision number"], Kind::Git, USUAL),
    (&["failed to checkout revision"], Kind::Git, USUAL),
    (&["failed to branch revision"], Kind::Git, USUAL),
    (&["failed to switch workspace's parent branch"], Kind::Git, USUAL),
    (&["failed to initialize bzr repository"], Kind::Git, USUAL),
    (&["failed to generate lockfile"], Kind::ProjectInvalid, USUAL),
    (&["error occurred while calling"], Kind::ProjectInvalid, USUAL),
    (
        &["smudge filter lfs failed"],
        Kind::Git,
        upstream("git-lfs could not download a file: see its words in the task's log"),
    ),
];
