//! Smart HTTP: asking in version 2 of git's protocol, with one request.

use super::answer::{ProbeCost, ProbeDoubt};
use super::client::{HttpFailure, HttpLocation, HttpReply, ProbeClient, UpstreamRequest};
use super::protocol_v2::RepositoryRequest;
use super::ref_listing::MAX_LISTING;

/// Behind a repository's address, where it is asked.
const UPLOAD_PACK: &str = "/git-upload-pack";
const INFO_REFS: &str = "/info/refs?service=git-upload-pack";

/// What a server of smart HTTP said.
pub(super) struct SmartAnswer<T> {
    pub(super) said: T,
    /// The address to which the repository moved for good.
    pub(super) moved: Option<HttpLocation>,
    /// Who answered.
    pub(super) location: HttpLocation,
}

/// Why there is no answer.
pub(super) enum SmartError {
    /// The server could not be asked, and could not be by git either.
    Failed(HttpFailure),
    /// It asks to be left alone for a while, or is broken: its status, and for how long.
    Busy(Box<HttpReply>),
    /// It answered in another way: git may understand it, or has credentials.
    Other,
}

/// Asks a repository.
pub(super) fn ask<T>(
    client: &ProbeClient,
    url: &str,
    request: &RepositoryRequest<'_, T>,
    cost: &mut ProbeCost,
) -> Result<SmartAnswer<T>, SmartError> {
    let base = url.trim_end_matches('/');
    let reply = post(client, base, &request.body, cost)?;
    match said(&reply, request) {
        Some(said) => return Ok(SmartAnswer { said, moved: None, location: reply.location }),
        None if is_busy(reply.status) => return Err(SmartError::Busy(Box::new(reply))),
        // Nobody gets in who did not say who they are: git may know how.
        None if reply.status == 401 => return Err(SmartError::Other),
        None => {}
    }
    // As git begins: servers redirect what is got and not what is sent.
    let headers = vec![("git-protocol", "version=2".to_owned())];
    let get = UpstreamRequest { follow: true, begins: Some(is_packets), ..UpstreamRequest::get(headers, MAX_LISTING) };
    let reply = client.send(&format!("{base}{INFO_REFS}"), &get, cost).map_err(SmartError::from)?;
    if is_busy(reply.status) {
        return Err(SmartError::Busy(Box::new(reply)));
    }
    let url = reply.location.url();
    let elsewhere = url.strip_suffix(INFO_REFS).filter(|elsewhere| reply.status == 200 && *elsewhere != base);
    let repository = |location: &HttpLocation| {
        let url = location.url();
        url.strip_suffix(INFO_REFS).and_then(HttpLocation::parse).map(|(location, _)| location)
    };
    let moved = reply.moved.as_ref().and_then(repository);
    let reply = post(client, elsewhere.ok_or(SmartError::Other)?, &request.body, cost)?;
    let said = said(&reply, request).ok_or(SmartError::Other)?;
    Ok(SmartAnswer { said, moved, location: reply.location })
}

fn post(client: &ProbeClient, base: &str, body: &[u8], cost: &mut ProbeCost) -> Result<HttpReply, SmartError> {
    let headers = vec![
        ("git-protocol", "version=2".to_owned()),
        ("content-type", "application/x-git-upload-pack-request".to_owned()),
        ("accept", "application/x-git-upload-pack-result".to_owned()),
    ];
    let post = UpstreamRequest {
        method: "POST",
        body,
        begins: Some(is_packets),
        ..UpstreamRequest::get(headers, MAX_LISTING)
    };
    client.send(&format!("{base}{UPLOAD_PACK}"), &post, cost).map_err(SmartError::from)
}

/// What an answer says; none where it is none.
fn said<T>(reply: &HttpReply, request: &RepositoryRequest<'_, T>) -> Option<T> {
    let is_result = reply.header("content-type") == Some("application/x-git-upload-pack-result");
    let mut body = reply.body.as_slice();
    let said = (request.read)(&mut body).ok().flatten();
    said.filter(|_| reply.status == 200 && is_result)
}

/// Whether bytes may be the beginning of packets: all else need not be read any further.
fn is_packets(bytes: &[u8]) -> bool {
    bytes.iter().take(4).all(u8::is_ascii_hexdigit)
}

/// Whether a status says that another time may do.
pub(super) fn is_busy(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 506..=599)
}

impl From<HttpFailure> for SmartError {
    fn from(failure: HttpFailure) -> Self {
        match failure.doubt {
            // What makes no sense here may do so for git.
            ProbeDoubt::Malformed | ProbeDoubt::Unsupported => Self::Other,
            _ => Self::Failed(failure),
        }
    }
}
