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
    (&["attempts to extract outside"], FailureKind::ProjectInvalid, UNSAFE),
    (&["attempts to hardlink outside"], FailureKind::ProjectInvalid, UNSAFE),
    (&["is outside the destination"], FailureKind::ProjectInvalid, UNSAFE),
    (&["outside of the staging area"], FailureKind::ProjectInvalid, UNSAFE),
    (&["sources require a ref and/or track"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["no track or ref"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["is not in the expected format"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["failed to move"], FailureKind::Permission, CACHE_MOVE),
    (&["failed to get a checksum of file"], FailureKind::Permission, DEFAULT_REMEDY),
    (&["files clash with existing directory"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["filename parameter cannot contain directories"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["expected hash", ", got "], FailureKind::Checksum, DEFAULT_REMEDY),
    (&["does not match specified"], FailureKind::Checksum, DEFAULT_REMEDY),
    (&["background process died with error code -"], FailureKind::Killed, DEFAULT_REMEDY),
    (&["background process didn't exit"], FailureKind::Killed, DEFAULT_REMEDY),
    // git, git_repo, git_tag, git_module, bzr, ostree.
    (&["failed to ensure ref", "was mirrored"], FailureKind::RefMissing, DEFAULT_REMEDY),
    (&["failed to find", " from <url>"], FailureKind::RefMissing, DEFAULT_REMEDY),
    (&["could not find submodule at path"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["unexpected output from 'git submodule status'"], FailureKind::Git, DEFAULT_REMEDY),
    // docker, oci.
    (&["unexpected www-authenticate response"], FailureKind::ServerError, REGISTRY),
    (
        &["schema version 1 is unsupported"],
        FailureKind::ProjectInvalid,
        project("the image is of an old form: have it pushed anew, or take another"),
    ),
    (&["manifest did not include the"], FailureKind::ServerError, REGISTRY),
    (&["server did not return a valid manifest"], FailureKind::ServerError, REGISTRY),
    (&["did not set the docker-content-digest header"], FailureKind::ServerError, REGISTRY),
    (&["returned a non-matching content digest"], FailureKind::Checksum, DEFAULT_REMEDY),
    (&["requested image", "got manifest with digest"], FailureKind::Checksum, DEFAULT_REMEDY),
    (
        &["no images found for architecture"],
        FailureKind::RefMissing,
        project("the image is not made for that architecture: correct `architecture`, or take another"),
    ),
    (&["unsupported manifest type"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["unsupported layer type"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["unsupported digest method"], FailureKind::ServerError, REGISTRY),
    (&["unable to load manifest"], FailureKind::MirrorCorrupt, DEFAULT_REMEDY),
    (&["may specify either 'url', or 'image'"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["must define either 'url' or 'image'"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    // patch, patch_queue, quilt, pip, deb, zip.
    (&["nothing to patch in directory"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["directory does not exist"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["failed to apply patch"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["'packages' or 'requirements-files' must be specified"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    // cargo, cargo2, gen_cargo_lock.
    (&["malformed", "file at:"], FailureKind::ProjectInvalid, RUST),
    (&["failed to find", "file at:"], FailureKind::ProjectInvalid, RUST),
    (&["requests crate", "from multiple sources"], FailureKind::ProjectInvalid, RUST),
    (&["found in root", "manifest"], FailureKind::ProjectInvalid, RUST),
    (&["failed to inherit"], FailureKind::ProjectInvalid, RUST),
    (&["source kind", "for crate"], FailureKind::ProjectInvalid, RUST),
    // anitya, cpan, gnu, go_module, pypi, bazel.
    (&["anitya project", "has no versions"], FailureKind::RefMissing, DEFAULT_REMEDY),
    (&["does not provide", "for the url template"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["\" not found in "], FailureKind::RefMissing, DEFAULT_REMEDY),
    (&["cannot find any tracking for"], FailureKind::RefMissing, DEFAULT_REMEDY),
    (&["unimplemented support for replace directive"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["<file> did not contain"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["version string", "not recognized"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["no repository resolved file found"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["with host bazel"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["shutdown host bazel"], FailureKind::HostResources, DEFAULT_REMEDY),
    // Elements.
    (&["api is only available with buildstream"], FailureKind::BstVersion, NEWER_BST),
    (&["is only supported with buildstream"], FailureKind::BstVersion, NEWER_BST),
    (&["doesn't support rule"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["some elements were forbidden"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["elements may not have sources"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["not in dependencies"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["invalid manifest for source"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["doesn't have a debian/control"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["unexpectedly missing command"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["dependency specified"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["does not have any bst.dpkg-data"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["can't get package list for"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["does not have bst.split-rules"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["cannot reconstitute package"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["section must be present in metadata"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["no flatpak images specified"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["invalid compression option"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    // What a build says is the project's: nothing that is built says anything about this host.
    (&["command failed with exitcode"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["unknown domains declared"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["element must have exactly 1 build-dependency"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["import element must have at least one source"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["no files were found inside directory"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    (&["must be both build and runtime dependencies"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
];
