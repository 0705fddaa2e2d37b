//! Sentences that hide their reason: each counts where no line beside it says more.

use super::super::FailureKind;
use super::{DEFAULT_REMEDY, OwnRemedy, Phrase, host, project, upstream};

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
    (&["failed to track <url>"], FailureKind::Network, UNTOLD),
    (&["failed to fetch: "], FailureKind::Network, UNTOLD),
    (&["error mirroring <url>"], FailureKind::Network, UNTOLD),
    (&["error mirroring"], FailureKind::Network, UNTOLD),
    (&["failed to fetch tracking ref"], FailureKind::Network, UNTOLD),
    (&["failed to fetch ref", "from origin"], FailureKind::Network, UNTOLD),
    (&["failed to branch from"], FailureKind::Network, UNTOLD),
    (&["failed to pull new changes"], FailureKind::Network, UNTOLD),
    (&["failed to list advertised remote refs"], FailureKind::Network, UNTOLD),
    (&["failed to install python packages"], FailureKind::NotFound, PIP),
    (&["error staging source"], FailureKind::Checksum, ARCHIVE),
    (&["failed to compute checksum of"], FailureKind::MirrorCorrupt, OSTREE),
    (&["failed to checkout ref", "from origin"], FailureKind::MirrorCorrupt, OSTREE),
    (&["unable to create local mirror"], FailureKind::Permission, OSTREE),
    (&["unable to disable minimum disk space"], FailureKind::Permission, OSTREE),
    (&["failed to configure origin"], FailureKind::Permission, OSTREE),
    (&["failed to read the revision number"], FailureKind::Git, DEFAULT_REMEDY),
    (&["failed to checkout revision"], FailureKind::Git, DEFAULT_REMEDY),
    (&["failed to branch revision"], FailureKind::Git, DEFAULT_REMEDY),
    (&["failed to switch workspace's parent branch"], FailureKind::Git, DEFAULT_REMEDY),
    (&["failed to initialize bzr repository"], FailureKind::Git, DEFAULT_REMEDY),
    (&["failed to generate lockfile"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["error occurred while calling"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (
        &["smudge filter lfs failed"],
        FailureKind::Git,
        upstream("git-lfs could not download a file: see its words in the task's log"),
    ),
];
