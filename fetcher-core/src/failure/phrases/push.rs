//! What git and forges say of a push that they do not take.
//!
//! git's words are its source's at 2.47 (`builtin/push.c`, `transport.c`, `send-pack.c`, `refs/files-backend.c`); GitLab's
//! those of `gitlab-shell` and of `lib/gitlab/git_access.rb`; GitHub's are in its documentation of `GH…` codes; Gitea's in
//! `hook_pre_receive.go`, Gerrit's in `ReceiveCommits.java`.

use super::super::PushRefusal;

/// In lower case; the first that stands anywhere in what was said decides.
pub(super) const REFUSALS: &[(&str, PushRefusal)] = &[
    ("stale info", PushRefusal::Stale),
    ("(fetch first)", PushRefusal::Stale),
    ("(non-fast-forward)", PushRefusal::Stale),
    ("remote ref updated since checkout", PushRefusal::Stale),
    ("request `force-push` push option", PushRefusal::Stale),
    // A reference changed while it was about to be.
    ("but expected", PushRefusal::Stale),
    ("reference already exists", PushRefusal::Stale),
    (".lock': file exists", PushRefusal::Stale),
    ("no new changes", PushRefusal::NothingNew),
    ("new commit is the same with old commit", PushRefusal::NothingNew),
    ("gh001", PushRefusal::TooLarge),
    ("exceeds maximum allowed size", PushRefusal::TooLarge),
    ("pack exceeds", PushRefusal::TooLarge),
    ("file size limit", PushRefusal::TooLarge),
    ("returned error: 413", PushRefusal::TooLarge),
    ("gh006", PushRefusal::Protected),
    ("protected branch", PushRefusal::Protected),
    ("prohibited by gerrit", PushRefusal::Denied),
    ("gh013", PushRefusal::Rules),
    ("repository rule violations", PushRefusal::Rules),
    ("does not follow the pattern", PushRefusal::Rules),
    ("is not a member of team", PushRefusal::Rules),
    ("commit must be signed", PushRefusal::Rules),
    ("not allowed to push", PushRefusal::Denied),
    ("not allowed to upload", PushRefusal::Denied),
    ("not allowed to create", PushRefusal::Denied),
    ("permission denied", PushRefusal::Denied),
    ("permission to ", PushRefusal::Denied),
    ("read-only", PushRefusal::Denied),
    ("archived", PushRefusal::Denied),
    ("hook declined", PushRefusal::Rules),
    ("directory file conflict", PushRefusal::NameTaken),
    ("cannot lock ref", PushRefusal::NameTaken),
    ("exists; cannot create", PushRefusal::NameTaken),
];
