//! What is said by those whom this program asks by itself: rustls and the resolver in errors of input and output, mail
//! servers, forges. Where what they say is a status, that is read, and none of these words.

#[cfg(any(feature = "irc", feature = "probe", feature = "webhook"))]
use std::io;

/// rustls on a certificate that is not believed.
#[cfg(any(feature = "email", feature = "irc", feature = "probe", feature = "webhook"))]
const CERTIFICATE: &str = "certificate";
/// Rust's standard library on `getaddrinfo`.
#[cfg(feature = "probe")]
const NAME_LOOKUP: &str = "lookup address";
/// What servers of mail and lettre say where no status says it (RFC 4954, 4).
#[cfg(feature = "email")]
const MAIL_LOGIN: &str = "authentication";
/// GitHub on its secondary limits, whose status is 403 as that of missing rights is.
#[cfg(feature = "forge")]
const FORGE_LIMIT: &str = "rate limit";
/// GitHub on a request of a branch that has one, and on a name that is taken.
#[cfg(feature = "forge")]
const FORGE_TAKEN: [&str; 2] = ["already exists", "already been taken"];
/// GitLab on a commit's state that it has already ("Cannot transition status via :enqueue from :success").
#[cfg(feature = "webhook")]
const SAME_STATUS: &str = "Cannot transition status";

/// Whether the error is that a certificate is not believed: the TLS of a connection under way fails as input or output.
#[cfg(any(feature = "irc", feature = "probe", feature = "webhook"))]
pub(crate) fn is_untrusted(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.to_string().contains(CERTIFICATE))
}

/// Whether the error is that a host's name is not known.
#[cfg(feature = "probe")]
pub(crate) fn is_unresolved(error: &io::Error) -> bool {
    error.to_string().contains(NAME_LOOKUP)
}

/// Whether a mail's error, with its causes, is that the server's certificate is not believed.
#[cfg(feature = "email")]
pub(crate) fn is_untrusted_mail_server(said: &str) -> bool {
    said.contains(CERTIFICATE)
}

/// Whether a mail's error, with its causes, is that the server does not let this sender in.
#[cfg(feature = "email")]
pub(crate) fn is_mail_login(said: &str) -> bool {
    said.contains(MAIL_LOGIN)
}

/// Whether a forge says that it was asked too often.
#[cfg(feature = "forge")]
pub(crate) fn is_forge_limit(said: &str) -> bool {
    said.to_lowercase().contains(FORGE_LIMIT)
}

/// Whether a forge says that what was to be made is there.
#[cfg(feature = "forge")]
pub(crate) fn is_forge_taken(said: &str) -> bool {
    let low = said.to_lowercase();
    FORGE_TAKEN.iter().any(|words| low.contains(words))
}

/// Whether GitLab refuses a commit's state because it has it.
#[cfg(feature = "webhook")]
pub(crate) fn is_same_status(said: &str) -> bool {
    said.contains(SAME_STATUS)
}
