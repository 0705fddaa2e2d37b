//! What the plugins of buildstream-plugins and buildstream-plugins-community say. A test takes these texts from the
//! packages and demands that each is known.

use super::super::{Actor, FailureKind};
use super::{DEFAULT_REMEDY, OwnRemedy, Phrase, host, lasting, project, upstream};

const UNSAFE: OwnRemedy = lasting(
    Actor::Upstream,
    "the archive wants to write outside of where it is unpacked: it is broken or malicious; ask upstream",
);
const REGISTRY: OwnRemedy = upstream(
    "the registry answers in a way that the plugin does not understand: see whether it is up, and what it serves",
);
const CACHE_MOVE: OwnRemedy = host(
    "bst could not move what was downloaded to its place: see that the cache directory is writable, whole and on one file system",
);
const NEWER_BST: OwnRemedy = host("give `requirements` of `[buildstream]` a newer `buildstream`");
const RUST: OwnRemedy =
    project("the crate's Cargo.toml or Cargo.lock is not what the plugin can read: correct it, or the source");

pub(super) const PHRASES: &[Phrase] = &[
    // Sources of all kinds.
    Phrase(&["attempts to extract outside"], FailureKind::ProjectInvalid, UNSAFE),
    Phrase(&["attempts to hardlink outside"], FailureKind::ProjectInvalid, UNSAFE),
    Phrase(&["is outside the destination"], FailureKind::ProjectInvalid, UNSAFE),
    Phrase(&["outside of the staging area"], FailureKind::ProjectInvalid, UNSAFE),
    Phrase(&["sources require a ref and/or track"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["no track or ref"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["is not in the expected format"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["failed to move"], FailureKind::Permission, CACHE_MOVE),
    Phrase(&["failed to get a checksum of file"], FailureKind::Permission, DEFAULT_REMEDY),
    Phrase(&["files clash with existing directory"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["filename parameter cannot contain directories"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["expected hash", ", got "], FailureKind::Checksum, DEFAULT_REMEDY),
    Phrase(&["does not match specified"], FailureKind::Checksum, DEFAULT_REMEDY),
    Phrase(&["background process died with error code -"], FailureKind::Killed, DEFAULT_REMEDY),
    Phrase(&["background process didn't exit"], FailureKind::Killed, DEFAULT_REMEDY),
    // git, git_repo, git_tag, git_module, bzr, ostree.
    Phrase(&["failed to ensure ref", "was mirrored"], FailureKind::RefMissing, DEFAULT_REMEDY),
    Phrase(&["failed to find", " from <url>"], FailureKind::RefMissing, DEFAULT_REMEDY),
    Phrase(&["could not find submodule at path"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["unexpected output from 'git submodule status'"], FailureKind::Git, DEFAULT_REMEDY),
    // docker, oci.
    Phrase(&["unexpected www-authenticate response"], FailureKind::ServerError, REGISTRY),
    Phrase(
        &["schema version 1 is unsupported"],
        FailureKind::ProjectInvalid,
        project("the image is of an old form: have it pushed anew, or take another"),
    ),
    Phrase(&["manifest did not include the"], FailureKind::ServerError, REGISTRY),
    Phrase(&["server did not return a valid manifest"], FailureKind::ServerError, REGISTRY),
    Phrase(&["did not set the docker-content-digest header"], FailureKind::ServerError, REGISTRY),
    Phrase(&["returned a non-matching content digest"], FailureKind::Checksum, DEFAULT_REMEDY),
    Phrase(&["requested image", "got manifest with digest"], FailureKind::Checksum, DEFAULT_REMEDY),
    Phrase(
        &["no images found for architecture"],
        FailureKind::RefMissing,
        project("the image is not made for that architecture: correct `architecture`, or take another"),
    ),
    Phrase(&["unsupported manifest type"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["unsupported layer type"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["unsupported digest method"], FailureKind::ServerError, REGISTRY),
    Phrase(&["unable to load manifest"], FailureKind::MirrorCorrupt, DEFAULT_REMEDY),
    Phrase(&["may specify either 'url', or 'image'"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["must define either 'url' or 'image'"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    // patch, patch_queue, quilt, pip, deb, zip.
    Phrase(&["nothing to patch in directory"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["directory does not exist"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["failed to apply patch"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["'packages' or 'requirements-files' must be specified"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    // cargo, cargo2, gen_cargo_lock.
    Phrase(&["malformed", "file at:"], FailureKind::ProjectInvalid, RUST),
    Phrase(&["failed to find", "file at:"], FailureKind::ProjectInvalid, RUST),
    Phrase(&["requests crate", "from multiple sources"], FailureKind::ProjectInvalid, RUST),
    Phrase(&["found in root", "manifest"], FailureKind::ProjectInvalid, RUST),
    Phrase(&["failed to inherit"], FailureKind::ProjectInvalid, RUST),
    Phrase(&["source kind", "for crate"], FailureKind::ProjectInvalid, RUST),
    // anitya, cpan, gnu, go_module, pypi, bazel.
    Phrase(&["anitya project", "has no versions"], FailureKind::RefMissing, DEFAULT_REMEDY),
    Phrase(&["does not provide", "for the url template"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["\" not found in "], FailureKind::RefMissing, DEFAULT_REMEDY),
    Phrase(&["cannot find any tracking for"], FailureKind::RefMissing, DEFAULT_REMEDY),
    Phrase(&["unimplemented support for replace directive"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["<file> did not contain"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["version string", "not recognized"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["no repository resolved file found"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["with host bazel"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["shutdown host bazel"], FailureKind::HostResources, DEFAULT_REMEDY),
    // Elements.
    Phrase(&["api is only available with buildstream"], FailureKind::BstVersion, NEWER_BST),
    Phrase(&["is only supported with buildstream"], FailureKind::BstVersion, NEWER_BST),
    Phrase(&["doesn't support rule"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["some elements were forbidden"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["elements may not have sources"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["not in dependencies"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["invalid manifest for source"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["doesn't have a debian/control"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["unexpectedly missing command"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["dependency specified"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["does not have any bst.dpkg-data"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["can't get package list for"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["does not have bst.split-rules"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["cannot reconstitute package"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["section must be present in metadata"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["no flatpak images specified"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["invalid compression option"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    // What a build says is the project's: nothing that is built says anything about this host.
    Phrase(&["command failed with exitcode"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["unknown domains declared"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["element must have exactly 1 build-dependency"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["import element must have at least one source"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["no files were found inside directory"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    Phrase(&["must be both build and runtime dependencies"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
];
