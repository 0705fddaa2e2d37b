//! Status codes of HTTP, in the words of the many programs that tell of them.

use super::line_diagnosis::LineDiagnosis;
use super::{Actor, FailureKind, Retry};

/// What stands in front of a status: Python's urllib (`HTTP Error 404: Not Found`), git and curl (`The requested URL
/// returned error: 404`), git's and bzr's (`Unexpected HTTP status 503`, `HTTP 500 curl 22`), dulwich, ostree, go, npm.
const BEFORE: [&str; 17] = [
    "http error ",
    "returned error: ",
    "returned error code ",
    "http status ",
    "http status: ",
    "status code ",
    "status code: ",
    "server returned http ",
    "server returned status ",
    "unexpected http resp ",
    "http response code ",
    "http/1.1 ",
    "http/2 ",
    "http ",
    "http_code = ",
    "status: ",
    "npm err! code e",
];

/// What stands behind one: requests (`404 Client Error: Not Found for url`), go (`404 Not Found`).
const BEHIND: [&str; 14] = [
    " error responses",
    " client error",
    " server error",
    " not found",
    " gone",
    " unauthorized",
    " forbidden",
    " too many requests",
    " internal server error",
    " bad gateway",
    " service unavailable",
    " service temporarily unavailable",
    " gateway time-out",
    " gateway timeout",
];

/// What to do where a server sends in circles.
pub(super) const REDIRECTS_HINT: &str =
    "the server sends from one address to another without end: give the element the address that it means";

/// What the line, in lower case, says of an answer of HTTP.
pub(super) fn of_line(low: &str) -> Option<LineDiagnosis> {
    status(low).and_then(verdict)
}

/// What git's line, in lower case, says of an answer of HTTP, where that is the same whatever git asked for: a server that
/// does not know a request of git's protocol may still know another.
pub(super) fn of_git_line(low: &str) -> Option<FailureKind> {
    let code = status(low).filter(|code| matches!(code, 401 | 403 | 404 | 410 | 429 | 500..=599))?;
    verdict(code).map(|found| found.kind)
}

fn status(low: &str) -> Option<u16> {
    let behind = |at: usize| low[at..].get(..3).filter(|_| !low[at + 3..].starts_with(|c: char| c.is_ascii_digit()));
    let code = |text: &str| text.parse().ok().filter(|code| (300..600).contains(code));
    let after =
        BEFORE.iter().find_map(|word| low.match_indices(word).find_map(|(at, _)| code(behind(at + word.len())?)));
    after.or_else(|| {
        let before = |at: usize| at.checked_sub(3).and_then(|begin| low.get(begin..at));
        BEHIND.iter().find_map(|word| low.match_indices(word).find_map(|(at, _)| code(before(at)?)))
    })
}

fn verdict(code: u16) -> Option<LineDiagnosis> {
    Some(match code {
        401 => LineDiagnosis::of(FailureKind::Unauthorised),
        403 => LineDiagnosis::of(FailureKind::Unauthorised).hint(
            "the server refuses: where it wants credentials, give them (~/.netrc, a git credential helper); where it needs none, it \
             refuses this host's address or client, or upstream was closed: open the address from elsewhere, and use a mirror",
        ),
        407 => LineDiagnosis::of(FailureKind::Unauthorised)
            .hint("the proxy wants credentials: put them into `https_proxy` and `http_proxy` of this host"),
        404 | 410 => LineDiagnosis::of(FailureKind::NotFound),
        408 | 425 => LineDiagnosis::of(FailureKind::Network),
        429 => LineDiagnosis::of(FailureKind::RateLimited),
        451 => LineDiagnosis::of(FailureKind::NotFound)
            .retry(Retry::No)
            .actor(Actor::Upstream)
            .hint("the address is blocked for legal reasons: give the element another source"),
        300..=399 => LineDiagnosis::of(FailureKind::ServerError).retry(Retry::Once).actor(Actor::Project).hint(REDIRECTS_HINT),
        400..=499 => {
            LineDiagnosis::of(FailureKind::NotFound).hint("the server does not take the request: correct the element's address")
        }
        500..=599 => LineDiagnosis::of(FailureKind::ServerError),
        _ => return None,
    })
}
