//! Files and pages on servers of HTTP: what of their answers tells one state from another.

use std::io::{BufRead as _, BufReader, Read};

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::answer::{ProbeCost, ProbeDoubt, UpstreamState};
use super::client::{HttpFailure, HttpLocation, HttpReply, ProbeClient, UpstreamRequest};
use super::smart_http::is_busy;
use crate::diagnosis::FailureKind;
use crate::names::digest;

/// The largest page that is read, in bytes.
const LARGEST_PAGE: u64 = 64 << 20;
/// The largest index that is read, in bytes without compression.
const LARGEST_INDEX: u64 = 512 << 20;
/// The longest line of an index, in bytes.
const LONGEST_LINE: u64 = 64 << 10;
/// What a file with a checksum may hold.
const LARGEST_REF: u64 = 4 << 10;
/// No index has more lines than these that hold one text.
const MAX_LINES: usize = 1000;
/// The longest header that is kept.
const LONGEST_VALIDATOR: usize = 512;
/// A file whose last change is no older than this may change again within the same second of the server's clock.
const SETTLED_SECONDS: i64 = 10;

/// What came of asking for a file or page.
pub(super) struct WebAnswer {
    /// The answer's state, or why there is none.
    pub(super) state: Result<UpstreamState, ProbeDoubt>,
    pub(super) reply: HttpReply,
}

/// What is to be known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileAspect {
    /// What tells its content from another one.
    Content,
    /// Whether it is there, for it never changes.
    Existence,
    /// How long it is, whoever serves it.
    Length,
}

/// Asks for a file without getting it.
pub(super) fn file(
    client: &ProbeClient,
    url: &str,
    aspect: FileAspect,
    cost: &mut ProbeCost,
) -> Result<WebAnswer, HttpFailure> {
    let first = HttpLocation::parse(url).map(|(location, _)| location);
    let reply = head_or_get(client, url, cost)?;
    let state = match (reply.status, aspect, &first) {
        (200, FileAspect::Content, Some(first)) => file_state(first, &reply),
        (200, FileAspect::Content | FileAspect::Existence, _) => Ok(UpstreamState::Immutable),
        (200, FileAspect::Length, _) => Ok(UpstreamState::Present { length: length(&reply) }),
        (status, ..) => Err(of_status(status)),
    };
    Ok(WebAnswer { state, reply })
}

/// What the headers are of a file: asked for by HEAD, and where the server takes none, by a GET that is broken off.
fn head_or_get(client: &ProbeClient, url: &str, cost: &mut ProbeCost) -> Result<HttpReply, HttpFailure> {
    let request = |method, largest| {
        let headers = vec![("accept", "*/*".to_owned()), ("accept-encoding", "identity".to_owned())];
        UpstreamRequest { method, largest, follow: true, ..UpstreamRequest::get(headers, 0) }
    };
    let reply = client.send(url, &request("HEAD", Some(0)), cost)?;
    if reply.status == 200 || is_busy(reply.status) {
        return Ok(reply);
    }
    client.send(url, &request("GET", None), cost)
}

/// What tells a file from another one.
fn file_state(first: &HttpLocation, reply: &HttpReply) -> Result<UpstreamState, ProbeDoubt> {
    let permanently = reply.moved.as_ref() == Some(&reply.location);
    if !permanently && !is_same_site(first.host(), reply.location.host()) {
        return Err(ProbeDoubt::Redirected);
    }
    let header = |name| reply.header(name).filter(|value| value.len() <= LONGEST_VALIDATOR && is_visible(value));
    let length = length(reply);
    let final_url = reply.location.without_query();
    match header("etag") {
        Some(tag) if tag.starts_with("W/") => Err(ProbeDoubt::WeakValidator),
        Some(tag) if tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"') => {
            Ok(UpstreamState::File { final_url, etag: Some(tag.to_owned()), last_modified: None, length })
        }
        Some(_) | None => {
            let modified = header("last-modified").filter(|_| length.is_some()).ok_or(ProbeDoubt::NoValidator)?;
            let date = header("date").and_then(http_date).ok_or(ProbeDoubt::NoValidator)?;
            let changed = http_date(modified).ok_or(ProbeDoubt::NoValidator)?;
            if date.as_second() - changed.as_second() < SETTLED_SECONDS {
                return Err(ProbeDoubt::TooRecent);
            }
            Ok(UpstreamState::File { final_url, etag: None, last_modified: Some(modified.to_owned()), length })
        }
    }
}

/// How long a file is, as its headers say.
fn length(reply: &HttpReply) -> Option<u64> {
    reply.header("content-length")?.parse().ok()
}

/// Whether two hosts are one site, so that the one always leads to the same other. Those that send to one mirror or
/// another do not.
fn is_same_site(first: &str, last: &str) -> bool {
    let site = |host: &str| host.rsplitn(3, '.').take(2).map(str::to_owned).collect::<Vec<_>>();
    let is_address = |host: &str| host.parse::<std::net::IpAddr>().is_ok();
    first == last
        || (site(first) == site(last) && !is_address(first) && !is_address(last) && !is_redirector(first))
        || (first == "github.com" && last.ends_with(".githubusercontent.com"))
}

/// Hosts that send to one of many mirrors, some of which have names of the same site.
fn is_redirector(host: &str) -> bool {
    matches!(host, "ftpmirror.gnu.org" | "download.savannah.gnu.org" | "download.savannah.nongnu.org")
        || host == "sourceforge.net"
        || host.ends_with(".sourceforge.net")
}

/// A page as it is now.
pub(super) struct PageAnswer {
    /// None where it is as it was known.
    pub(super) body: Option<Vec<u8>>,
    /// The tag by which it is known next time.
    pub(super) etag: Option<String>,
    pub(super) reply: HttpReply,
}

/// Gets a page, unless it is as it is known by this tag.
pub(super) fn page(
    client: &ProbeClient,
    url: &str,
    (accept, known): (&str, Option<&str>),
    cost: &mut ProbeCost,
) -> Result<PageAnswer, HttpFailure> {
    let mut headers = vec![("accept", accept.to_owned())];
    headers.extend(known.map(|etag| ("if-none-match", etag.to_owned())));
    let request = UpstreamRequest { follow: true, ..UpstreamRequest::get(headers, LARGEST_PAGE) };
    let mut reply = client.send(url, &request, cost)?;
    let tag = reply.header("etag").filter(|tag| tag.len() <= LONGEST_VALIDATOR && is_visible(tag));
    let etag = tag.map(str::to_owned);
    let body = match reply.status {
        200 => Some(std::mem::take(&mut reply.body)),
        304 if known.is_some() => None,
        // Its reader sees to that.
        status if is_busy(status) => None,
        status => return Err(status_failure(status, &reply)),
    };
    Ok(PageAnswer { body, etag, reply })
}

/// What a page's bytes are known by.
pub(super) fn page_state(body: &[u8]) -> UpstreamState {
    UpstreamState::Page { digest: digest(body) }
}

/// The lines of an index, compressed by gzip or not, that hold a text; none where they are more than can be meant, or the
/// index is no text.
pub(super) fn lines(body: &[u8], containing: &str) -> Option<UpstreamState> {
    if containing.is_empty() {
        return None;
    }
    let mut index: Box<dyn Read> =
        if body.starts_with(&[0x1f, 0x8b]) { Box::new(MultiGzDecoder::new(body)) } else { Box::new(body) };
    let mut index = BufReader::new((&mut index).take(LARGEST_INDEX + 1));
    let (mut found, mut line, mut read) = (Vec::new(), Vec::new(), 0);
    loop {
        line.clear();
        // What is broken off is no index.
        read += (&mut index).take(LONGEST_LINE).read_until(b'\n', &mut line).ok()? as u64;
        if line.is_empty() {
            return Some(UpstreamState::Lines { lines: found });
        }
        if read > LARGEST_INDEX || line.len() as u64 == LONGEST_LINE || found.len() > MAX_LINES {
            return None;
        }
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line));
        let text = text.strip_suffix('\r').unwrap_or(&text);
        if text.contains(containing) {
            found.push(text.to_owned());
        }
    }
}

/// Asks what a ref of an `OSTree` repository stands for. Those of collections are in its summary alone, and are not found.
pub(super) fn ostree_ref(
    client: &ProbeClient,
    url: &str,
    name: &str,
    cost: &mut ProbeCost,
) -> Result<(Result<UpstreamState, ProbeDoubt>, HttpReply), HttpFailure> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(HttpFailure::new(FailureKind::NotFound, ProbeDoubt::Unsupported, "not the name of a ref"));
    }
    let request = UpstreamRequest { follow: true, ..UpstreamRequest::get(Vec::new(), LARGEST_REF) };
    let reply = client.send(&format!("{}/refs/heads/{name}", url.trim_end_matches('/')), &request, cost)?;
    let text = std::str::from_utf8(&reply.body).unwrap_or_default().trim();
    let is_checksum = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let state = match reply.status {
        200 if is_checksum => Ok(UpstreamState::Commit { checksum: text.to_owned() }),
        200 => Err(ProbeDoubt::Malformed),
        status => Err(of_status(status)),
    };
    Ok((state, reply))
}

/// What follows from a status that is no success.
pub(super) fn of_status(status: u16) -> ProbeDoubt {
    match status {
        401 | 402 | 403 | 407 => ProbeDoubt::Denied,
        404 | 410 | 451 => ProbeDoubt::NotFound,
        _ => ProbeDoubt::Failed,
    }
}

/// The failure that a status is.
pub(super) fn status_failure(status: u16, reply: &HttpReply) -> HttpFailure {
    let kind = match status {
        401 | 402 | 403 | 407 => FailureKind::Unauthorised,
        404 | 410 | 451 => FailureKind::NotFound,
        429 => FailureKind::RateLimited,
        _ => FailureKind::ServerError,
    };
    HttpFailure::new(kind, of_status(status), format!("{} answers {status}", reply.location.without_query()))
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// A date as HTTP has it (RFC 9110, 5.6.7).
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use ureq::http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

    fn location(url: &str) -> HttpLocation {
        HttpLocation::parse(url).unwrap().0
    }

    fn reply(url: &str, headers: &[(&str, &str)]) -> HttpReply {
        let header =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
        let headers: HeaderMap = headers.iter().map(header).collect();
        HttpReply { status: 200, headers, body: Vec::new(), location: location(url), moved: None }
    }

    fn state(headers: &[(&str, &str)]) -> Result<UpstreamState, ProbeDoubt> {
        file_state(&location("https://h.org/x.tar"), &reply("https://h.org/x.tar?token=1", headers))
    }

    #[test]
    fn a_strong_tag_is_believed() {
        let expected = UpstreamState::File {
            final_url: "https://h.org/x.tar".to_owned(),
            etag: Some("\"abc\"".to_owned()),
            last_modified: None,
            length: Some(7),
        };
        assert_eq!(state(&[("etag", "\"abc\""), ("content-length", "7")]), Ok(expected));
        assert_eq!(state(&[("etag", "W/\"abc\""), ("content-length", "7"), DATE]), Err(ProbeDoubt::WeakValidator));
        assert_eq!(state(&[]), Err(ProbeDoubt::NoValidator));
        assert_eq!(state(&[("etag", "")]), Err(ProbeDoubt::NoValidator));
    }

    #[test]
    fn a_time_of_change_is_believed_with_a_length_and_when_it_is_past() {
        let modified = |text| [("last-modified", text), ("content-length", "7"), DATE];
        let fine = state(&modified("Sun, 06 Nov 1994 08:49:20 GMT"));
        assert!(matches!(fine, Ok(UpstreamState::File { etag: None, length: Some(7), .. })), "{fine:?}");
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:30 GMT", "Sat, 06 Nov 2094 08:49:30 GMT"]
        {
            assert_eq!(state(&modified(text)), Err(ProbeDoubt::TooRecent), "{text}");
        }
        assert_eq!(state(&modified("yesterday")), Err(ProbeDoubt::NoValidator));
        let headers = modified("Sun, 06 Nov 1994 08:49:20 GMT");
        assert_eq!(state(&headers[..2]), Err(ProbeDoubt::NoValidator));
        assert_eq!(state(&[headers[0], headers[2]]), Err(ProbeDoubt::NoValidator));
    }

    #[test]
    fn redirectors_are_not_believed() {
        let tag = [("etag", "\"abc\"")];
        let at = |first: &str, last: &str| file_state(&location(first), &reply(last, &tag)).err();
        assert_eq!(at("https://github.com/a/x", "https://objects.githubusercontent.com/y"), None);
        assert_eq!(at("https://www.h.org/x", "https://dl.h.org/x"), None);
        assert_eq!(at("https://ftpmirror.gnu.org/x", "https://mirror.example/x"), Some(ProbeDoubt::Redirected));
        assert_eq!(
            at("https://downloads.sourceforge.net/x", "https://a.dl.sourceforge.net/x"),
            Some(ProbeDoubt::Redirected)
        );
        assert_eq!(at("http://127.0.0.1/x", "http://10.0.0.1/x"), Some(ProbeDoubt::Redirected));
        let permanent =
            HttpReply { moved: Some(location("https://new.example/x")), ..reply("https://new.example/x", &tag) };
        assert!(file_state(&location("https://old.example/x"), &permanent).is_ok());
    }

    #[test]
    fn the_lines_of_an_index_are_bounded() {
        let state = lines(b"A 1\nB 2\nAB 3\n", "B ");
        assert_eq!(state, Some(UpstreamState::Lines { lines: vec!["B 2".to_owned(), "AB 3".to_owned()] }));
        assert_eq!(lines("x\n".repeat(2000).as_bytes(), "x"), None);
        assert_eq!(lines(b"A\n", ""), None);
        let compressed = |text: &[u8]| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut gzip, text).unwrap();
            gzip.finish().unwrap()
        };
        let index = compressed(b"File: x\r\n\r\nA::B   1 a\r\nA::BC  2 c\r\n");
        assert_eq!(lines(&index, "A::B "), Some(UpstreamState::Lines { lines: vec!["A::B   1 a".to_owned()] }));
        assert_eq!(lines(&index[..index.len() - 9], "A::B "), None, "broken off");
        assert_eq!(lines(&compressed(&vec![b'x'; 1 << 20]), "A::B "), None, "no lines");
    }
}
