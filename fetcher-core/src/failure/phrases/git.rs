//! What git says of a repository that is this program's own mirror. In a log of bst's the same words may be a plugin's
//! or a build's, so that only a caller of git believes them.

use super::super::FailureKind;
use super::{DEFAULT_REMEDY, Phrase};

/// What git says before a status that it knows no more of.
pub(super) const ANSWERED: &str = "returned error: ";

/// What git adds to every failure of a transport, and says nothing; as it is written.
pub(super) const ADDED: [&str; 3] =
    ["Could not read from remote repository", "Please make sure you have", "and the repository"];

/// Certificates, in whatever words curl and the TLS library below it choose.
pub(super) const TRUST: &[Phrase] = &[
    Phrase(&["ssl certificate"], FailureKind::Tls, DEFAULT_REMEDY),
    Phrase(&["server certificate"], FailureKind::Tls, DEFAULT_REMEDY),
    Phrase(&["peer's certificate"], FailureKind::Tls, DEFAULT_REMEDY),
    Phrase(&["ssl_connect"], FailureKind::Tls, DEFAULT_REMEDY),
    Phrase(&["tlsv1"], FailureKind::Tls, DEFAULT_REMEDY),
    Phrase(&["unable to get password"], FailureKind::Unauthorised, DEFAULT_REMEDY),
];

/// Objects that the mirror lacks.
pub(super) const OBJECTS: &[Phrase] = &[
    Phrase(&["fatal: unable to read tree"], FailureKind::MirrorCorrupt, DEFAULT_REMEDY),
    Phrase(&["bad object"], FailureKind::MirrorCorrupt, DEFAULT_REMEDY),
    Phrase(&["missing blob"], FailureKind::MirrorCorrupt, DEFAULT_REMEDY),
    Phrase(&["missing tree"], FailureKind::MirrorCorrupt, DEFAULT_REMEDY),
];

/// The most general, after all others.
pub(super) const GENERAL: &[Phrase] = &[
    Phrase(&["unadvertised object"], FailureKind::RefMissing, DEFAULT_REMEDY),
    Phrase(&["repository not exported"], FailureKind::NotFound, DEFAULT_REMEDY),
    Phrase(&["' not found"], FailureKind::NotFound, DEFAULT_REMEDY),
    Phrase(&["corrupt"], FailureKind::MirrorCorrupt, DEFAULT_REMEDY),
    Phrase(&["unable to read"], FailureKind::MirrorCorrupt, DEFAULT_REMEDY),
    Phrase(&["necessary objects"], FailureKind::MirrorCorrupt, DEFAULT_REMEDY),
    Phrase(&["inflate"], FailureKind::MirrorCorrupt, DEFAULT_REMEDY),
    Phrase(&["packfile"], FailureKind::MirrorCorrupt, DEFAULT_REMEDY),
    Phrase(&["unknown option"], FailureKind::HostToolMissing, DEFAULT_REMEDY),
    Phrase(&["git: not found"], FailureKind::HostToolMissing, DEFAULT_REMEDY),
    Phrase(&["operation timed out"], FailureKind::Network, DEFAULT_REMEDY),
    // What git adds to every failure of a transport.
    Phrase(&["could not read from remote repository"], FailureKind::Network, DEFAULT_REMEDY),
];
