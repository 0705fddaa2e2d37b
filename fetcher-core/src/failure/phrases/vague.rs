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

/// What the sources of buildstream-plugins-community on dulwich say, whatever happened (`_git_utils.py` of 2.4.0); as it
/// is written.
pub(super) const HIDING: [&str; 1] = ["Failed to track "];

pub(super) const PHRASES: &[Phrase] = &[
    Phrase(&["failed to track <url>"], FailureKind::Network, UNTOLD),
    Phrase(&["failed to fetch: "], FailureKind::Network, UNTOLD),
    Phrase(&["error mirroring <url>"], FailureKind::Network, UNTOLD),
    Phrase(&["error mirroring"], FailureKind::Network, UNTOLD),
    Phrase(&["failed to fetch tracking ref"], FailureKind::Network, UNTOLD),
    Phrase(&["failed to fetch ref", "from origin"], FailureKind::Network, UNTOLD),
    Phrase(&["failed to branch from"], FailureKind::Network, UNTOLD),
    Phrase(&["failed to pull new changes"], FailureKind::Network, UNTOLD),
    Phrase(&["failed to list advertised remote refs"], FailureKind::Network, UNTOLD),
    Phrase(&["failed to install python packages"], FailureKind::NotFound, PIP),
    Phrase(&["error staging source"], FailureKind::Checksum, ARCHIVE),
    Phrase(&["failed to compute checksum of"], FailureKind::MirrorCorrupt, OSTREE),
    Phrase(&["failed to checkout ref", "from origin"], FailureKind::MirrorCorrupt, OSTREE),
    Phrase(&["unable to create local mirror"], FailureKind::Permission, OSTREE),
    Phrase(&["unable to disable minimum disk space"], FailureKind::Permission, OSTREE),
    Phrase(&["failed to configure origin"], FailureKind::Permission, OSTREE),
    Phrase(&["failed to read the revision number"], FailureKind::Git, DEFAULT_REMEDY),
    Phrase(&["failed to checkout revision"], FailureKind::Git, DEFAULT_REMEDY),
    Phrase(&["failed to branch revision"], FailureKind::Git, DEFAULT_REMEDY),
    Phrase(&["failed to switch workspace's parent branch"], FailureKind::Git, DEFAULT_REMEDY),
    Phrase(&["failed to initialize bzr repository"], FailureKind::Git, DEFAULT_REMEDY),
    Phrase(&["failed to generate lockfile"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["error occurred while calling"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(
        &["smudge filter lfs failed"],
        FailureKind::Git,
        upstream("git-lfs could not download a file: see its words in the task's log"),
    ),
];
