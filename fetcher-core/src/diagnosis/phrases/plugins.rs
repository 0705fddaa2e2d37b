//! What the plugins of buildstream-plugins and buildstream-plugins-community say. A test takes these texts from the
//! packages and demands that each is known.

use super::super::{Actor, Kind};
use super::{OwnRemedy, Phrase, USUAL, host, lasting, project, upstream};

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
    (&["attempts to extract outside"], Kind::ProjectInvalid, UNSAFE),
    (&["attempts to hardlink outside"], Kind::ProjectInvalid, UNSAFE),
    (&["is outside the destination"], Kind::ProjectInvalid, UNSAFE),
    (&["outside of the staging area"], Kind::ProjectInvalid, UNSAFE),
    (&["sources require a ref and/or track"], Kind::ProjectInvalid, USUAL),
    (&["no track or ref"], Kind::ProjectInvalid, USUAL),
    (&["is not in the expected format"], Kind::ProjectInvalid, USUAL),
    (&["failed to move"], Kind::Permission, CACHE_MOVE),
    (&["failed to get a checksum of file"], Kind::Permission, USUAL),
    (&["files clash with existing directory"], Kind::ProjectInvalid, USUAL),
    (&["filename parameter cannot contain directories"], Kind::ProjectInvalid, USUAL),
    (&["expected hash", ", got "], Kind::Checksum, USUAL),
    (&["does not match specified"], Kind::Checksum, USUAL),
    (&["background process died with error code -"], Kind::Killed, USUAL),
    (&["background process didn't exit"], Kind::Killed, USUAL),
    // git, git_repo, git_tag, git_module, bzr, ostree.
    (&["failed to ensure ref", "was mirrored"], Kind::RefMissing, USUAL),
    (&["failed to find", " from <url>"], Kind::RefMissing, USUAL),
    (&["could not find submodule at path"], Kind::ProjectInvalid, USUAL),
    (&["unexpected output from 'git submodule status'"], Kind::Git, USUAL),
    // docker, oci.
    (&["unexpected www-authenticate response"], Kind::ServerError, REGISTRY),
    (
        &["schema version 1 is unsupported"],
        Kind::ProjectInvalid,
        project("the image is of an old form: have it pushed anew, or take another"),
    ),
    (&["manifest did not include the"], Kind::ServerError, REGISTRY),
    (&["server did not return a valid manifest"], Kind::ServerError, REGISTRY),
    (&["did not set the docker-content-digest header"], Kind::ServerError, REGISTRY),
    (&["returned a non-matching content digest"], Kind::Checksum, USUAL),
    (&["requested image", "got manifest with digest"], Kind::Checksum, USUAL),
    (
        &["no images found for architecture"],
        Kind::RefMissing,
        project("the image is not made for that architecture: correct `architecture`, or take another"),
    ),
    (&["unsupported manifest type"], Kind::ProjectInvalid, USUAL),
    (&["unsupported layer type"], Kind::ProjectInvalid, USUAL),
    (&["unsupported digest method"], Kind::ServerError, REGISTRY),
    (&["unable to load manifest"], Kind::MirrorCorrupt, USUAL),
    (&["may specify either 'url', or 'image'"], Kind::ProjectInvalid, USUAL),
    (&["must define either 'url' or 'image'"], Kind::ProjectInvalid, USUAL),
    // patch, patch_queue, quilt, pip, deb, zip.
    (&["nothing to patch in directory"], Kind::ProjectInvalid, USUAL),
    (&["directory does not exist"], Kind::ProjectInvalid, USUAL),
    (&["failed to apply patch"], Kind::ProjectInvalid, USUAL),
    (&["'packages' or 'requirements-files' must be specified"], Kind::ProjectInvalid, USUAL),
    // cargo, cargo2, gen_cargo_lock.
    (&["malformed", "file at:"], Kind::ProjectInvalid, RUST),
    (&["failed to find", "file at:"], Kind::ProjectInvalid, RUST),
    (&["requests crate", "from multiple sources"], Kind::ProjectInvalid, RUST),
    (&["found in root", "manifest"], Kind::ProjectInvalid, RUST),
    (&["failed to inherit"], Kind::ProjectInvalid, RUST),
    (&["source kind", "for crate"], Kind::ProjectInvalid, RUST),
    // anitya, cpan, gnu, go_module, pypi, bazel.
    (&["anitya project", "has no versions"], Kind::RefMissing, USUAL),
    (&["does not provide", "for the url template"], Kind::ProjectInvalid, USUAL),
    (&["\" not found in "], Kind::RefMissing, USUAL),
    (&["cannot find any tracking for"], Kind::RefMissing, USUAL),
    (&["unimplemented support for replace directive"], Kind::ProjectInvalid, USUAL),
    (&["<file> did not contain"], Kind::ProjectInvalid, USUAL),
    (&["version string", "not recognized"], Kind::ProjectInvalid, USUAL),
    (&["no repository resolved file found"], Kind::ProjectInvalid, USUAL),
    (&["with host bazel"], Kind::ProjectInvalid, USUAL),
    (&["shutdown host bazel"], Kind::HostResources, USUAL),
    // Elements.
    (&["api is only available with buildstream"], Kind::BstVersion, NEWER_BST),
    (&["is only supported with buildstream"], Kind::BstVersion, NEWER_BST),
    (&["doesn't support rule"], Kind::ProjectInvalid, USUAL),
    (&["some elements were forbidden"], Kind::ProjectInvalid, USUAL),
    (&["elements may not have sources"], Kind::ProjectInvalid, USUAL),
    (&["not in dependencies"], Kind::ProjectInvalid, USUAL),
    (&["invalid manifest for source"], Kind::ProjectInvalid, USUAL),
    (&["doesn't have a debian/control"], Kind::ProjectInvalid, USUAL),
    (&["unexpectedly missing command"], Kind::ProjectInvalid, USUAL),
    (&["dependency specified"], Kind::ProjectInvalid, USUAL),
    (&["does not have any bst.dpkg-data"], Kind::ProjectInvalid, USUAL),
    (&["can't get package list for"], Kind::ProjectInvalid, USUAL),
    (&["does not have bst.split-rules"], Kind::ProjectInvalid, USUAL),
    (&["cannot reconstitute package"], Kind::ProjectInvalid, USUAL),
    (&["section must be present in metadata"], Kind::ProjectInvalid, USUAL),
    (&["no flatpak images specified"], Kind::ProjectInvalid, USUAL),
    (&["invalid compression option"], Kind::ProjectInvalid, USUAL),
    // What a build says is the project's: nothing that is built says anything about this host.
    (&["command failed with exitcode"], Kind::ProjectInvalid, USUAL),
    (&["unknown domains declared"], Kind::ProjectInvalid, USUAL),
    (&["element must have exactly 1 build-dependency"], Kind::ProjectInvalid, USUAL),
    (&["import element must have at least one source"], Kind::ProjectInvalid, USUAL),
    (&["no files were found inside directory"], Kind::ProjectInvalid, USUAL),
    (&["must be both build and runtime dependencies"], Kind::ProjectInvalid, USUAL),
];
