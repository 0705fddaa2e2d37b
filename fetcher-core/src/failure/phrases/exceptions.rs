//! Python's exceptions by their classes, for where their texts say nothing that is known.

use super::super::line_diagnosis::{BLOCKING_HINT, LineDiagnosis, PROXY_HINT};
use super::super::{Actor, FailureKind, Retry};
use super::bst::MESSAGE_FORMAT;
use super::upstream::NO_ARCHIVE_HINT;
use super::{DEFAULT_REMEDY, OwnRemedy, PhraseRemedy, hint, host, project, with_remedy};

/// Classes without their modules; which of them are meant; what that means.
pub(super) struct RaisedClass {
    pub(super) names: &'static [&'static str],
    pub(super) only: ClassCondition,
    kind: FailureKind,
    remedy: OwnRemedy,
}

/// Which exceptions of a class are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ClassCondition {
    /// All.
    Always,
    /// Those of a library for HTTP: other modules have classes of the same names.
    OfHttp,
    /// Those that were raised while a server's answer was read.
    Answered,
    /// Those in whose text this stands.
    Says(&'static str),
}

/// What is known of an exception.
pub(crate) struct RaisedFacts<'a> {
    /// Its class without the module.
    pub(crate) name: &'a str,
    /// Whether its module is of a library for HTTP.
    pub(crate) of_http: bool,
    /// Whether a server's answer was read when it was raised.
    pub(crate) answered: bool,
    /// Its text.
    pub(crate) text: &'a [&'a str],
}

const REDIRECTS: OwnRemedy =
    Some(PhraseRemedy { actor: Some(Actor::Project), retry: Some(Retry::Once), hint: None, detail: None });
const NO_DATA: OwnRemedy = Some(PhraseRemedy {
    actor: None,
    retry: Some(Retry::Once),
    hint: Some(
        "the server sent something else than data, often a page of HTML that it is down or wants a login: open the \
         address by hand",
    ),
    detail: None,
});
const NO_ADDRESS: OwnRemedy = hint("the element's address is none: correct it, or its alias");
const NOT_UTF8: OwnRemedy = hint("the name of a file in the project or in a source is not UTF-8: rename it");

const fn class(
    names: &'static [&'static str],
    only: ClassCondition,
    kind: FailureKind,
    remedy: OwnRemedy,
) -> RaisedClass {
    RaisedClass { names, only, kind, remedy }
}

pub(super) const CLASSES: &[RaisedClass] = &[
    class(
        &[
            "Timeout",
            "ReadTimeout",
            "ConnectTimeout",
            "TimeoutError",
            "ReadTimeoutError",
            "ConnectTimeoutError",
            "timeout",
            "ServerTimeoutError",
            "PoolTimeout",
            "ConnectionError",
            "ConnectionResetError",
            "ConnectionRefusedError",
            "ConnectionAbortedError",
            "BrokenPipeError",
            "RemoteDisconnected",
            "IncompleteRead",
            "ChunkedEncodingError",
            "ProtocolError",
            "HangupException",
            "ContentDecodingError",
            "DecodeError",
            "BadStatusLine",
            "NewConnectionError",
            "MaxRetryError",
            "ConnectError",
            "RemoteProtocolError",
            "ServerDisconnectedError",
            "ClientConnectorError",
            "ClientConnectionError",
            "SSLEOFError",
            "SSLZeroReturnError",
            "ResponseNotReady",
            "LineTooLong",
            "URLError",
            "RetryError",
        ],
        ClassCondition::Always,
        FailureKind::Network,
        DEFAULT_REMEDY,
    ),
    class(&["ReadError"], ClassCondition::OfHttp, FailureKind::Network, DEFAULT_REMEDY),
    class(
        &["gaierror", "NameResolutionError", "ClientConnectorDNSError", "herror"],
        ClassCondition::Always,
        FailureKind::Dns,
        DEFAULT_REMEDY,
    ),
    class(
        &["SSLError", "SSLCertVerificationError", "CertificateError", "SSLCertificateError"],
        ClassCondition::Always,
        FailureKind::Tls,
        DEFAULT_REMEDY,
    ),
    class(
        &["ProxyError", "ProxySchemeUnknown", "ProxyConnectionError", "HTTPProxyUnauthorized"],
        ClassCondition::Always,
        FailureKind::Network,
        host(PROXY_HINT),
    ),
    class(&["HTTPUnauthorized"], ClassCondition::Always, FailureKind::Unauthorised, DEFAULT_REMEDY),
    class(&["NotGitRepository"], ClassCondition::Always, FailureKind::NotFound, DEFAULT_REMEDY),
    class(&["TooManyRedirects"], ClassCondition::Always, FailureKind::ServerError, REDIRECTS),
    class(
        &["InvalidURL", "MissingSchema", "InvalidSchema", "LocationParseError", "URLSchemeUnknown", "UnknownProtocol"],
        ClassCondition::Always,
        FailureKind::ProjectInvalid,
        NO_ADDRESS,
    ),
    class(&["JSONDecodeError"], ClassCondition::Answered, FailureKind::ServerError, NO_DATA),
    class(&["FormattingError"], ClassCondition::Always, FailureKind::Configuration, MESSAGE_FORMAT),
    class(
        &["VersionConflict", "ContextualVersionConflict"],
        ClassCondition::Always,
        FailureKind::PluginMissing,
        DEFAULT_REMEDY,
    ),
    class(&["CalledProcessError"], ClassCondition::Says("git"), FailureKind::Git, DEFAULT_REMEDY),
    class(&["MemoryError"], ClassCondition::Always, FailureKind::HostResources, DEFAULT_REMEDY),
    class(&["PermissionError"], ClassCondition::Always, FailureKind::Permission, DEFAULT_REMEDY),
    class(&["BlockingIOError"], ClassCondition::Always, FailureKind::Configuration, hint(BLOCKING_HINT)),
    class(
        &["UnicodeEncodeError", "UnicodeDecodeError"],
        ClassCondition::Says("surrogate"),
        FailureKind::ProjectInvalid,
        NOT_UTF8,
    ),
    class(
        &["BadZipFile", "LZMAError", "BadGzipFile"],
        ClassCondition::Always,
        FailureKind::Checksum,
        project(NO_ARCHIVE_HINT),
    ),
    class(
        &["HTTPError", "HTTPException", "GitProtocolError", "RequestException"],
        ClassCondition::OfHttp,
        FailureKind::ServerError,
        DEFAULT_REMEDY,
    ),
];

/// Mistakes in code, whose texts quote the code's own names and so say nothing.
const MISTAKES: [&str; 9] = [
    "TypeError",
    "AttributeError",
    "NameError",
    "UnboundLocalError",
    "KeyError",
    "IndexError",
    "AssertionError",
    "NotImplementedError",
    "RecursionError",
];

/// What the class of an exception says.
pub(crate) fn of_class(raised: &RaisedFacts<'_>) -> Option<LineDiagnosis> {
    let is_meant = |class: &&RaisedClass| {
        class.names.contains(&raised.name)
            && match class.only {
                ClassCondition::Always => true,
                ClassCondition::OfHttp => raised.of_http,
                ClassCondition::Answered => raised.answered,
                ClassCondition::Says(words) => raised.text.iter().any(|line| line.contains(words)),
            }
    };
    CLASSES.iter().find(is_meant).map(|class| with_remedy(class.kind, class.remedy))
}

/// Whether the class is one of mistakes in code.
pub(crate) fn is_mistake(name: &str) -> bool {
    MISTAKES.contains(&name)
}
