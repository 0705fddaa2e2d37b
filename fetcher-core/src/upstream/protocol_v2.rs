//! Git's protocol, version 2: asking for references (gitprotocol-v2(5)).

use std::io::{self, Read};

use super::question::RefSelection;
use super::ref_listing::{MAX_REFS, RefCollector, RefListing};

/// How this program names itself to git servers.
const AGENT: &str = concat!("agent=git/2.47.0-bst-fetcher-", env!("CARGO_PKG_VERSION"), "\n");

const FLUSH: &[u8] = b"0000";
const DELIMITER: &[u8] = b"0001";

/// One packet of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// What is in it.
    Data(Vec<u8>),
    /// The end of a message.
    Flush,
    /// The end of a section of a message, or of a response.
    Delimiter,
}

/// What a repository is asked, and how its answer is read.
pub(super) struct RepositoryRequest<'r, T> {
    pub(super) body: Vec<u8>,
    /// None where it is no answer.
    pub(super) read: &'r dyn Fn(&mut dyn Read) -> io::Result<Option<T>>,
}

/// The request for references.
pub(super) fn request(wanted: &RefSelection) -> Vec<u8> {
    let mut request = Vec::new();
    packet(&mut request, "command=ls-refs\n");
    packet(&mut request, AGENT);
    request.extend_from_slice(DELIMITER);
    packet(&mut request, "peel\n");
    packet(&mut request, "symrefs\n");
    packet(&mut request, "ref-prefix HEAD\n");
    for prefix in wanted.names.iter().chain(&wanted.prefixes).filter(|prefix| *prefix != "HEAD") {
        packet(&mut request, &format!("ref-prefix {prefix}\n"));
    }
    request.extend_from_slice(FLUSH);
    request
}

/// The request for one object, which has nothing sent: the other side is to know of a commit that nobody has first.
pub(super) fn want_request(id: &str) -> Vec<u8> {
    let mut request = Vec::new();
    packet(&mut request, "command=fetch\n");
    packet(&mut request, AGENT);
    if id.len() == 64 {
        packet(&mut request, "object-format=sha256\n");
    }
    request.extend_from_slice(DELIMITER);
    packet(&mut request, &format!("want {id}\n"));
    packet(&mut request, &format!("have {}\n", "1".repeat(id.len())));
    request.extend_from_slice(FLUSH);
    request
}

/// Reads the answer to [`want_request`]: whether the object is there; none where it says neither.
pub(super) fn read_whether_held(from: &mut dyn Read, id: &str) -> io::Result<Option<bool>> {
    let Packet::Data(line) = read_packet(from)? else { return Ok(None) };
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    Ok(match line {
        // What it has in common with us: it takes the wish for one that it can grant.
        b"acknowledgments" => Some(true),
        // In this version git looks whether it has the object, and at nothing else.
        _ if line == format!("ERR upload-pack: not our ref {id}").as_bytes() => Some(false),
        _ => None,
    })
}

/// The request by which `git daemon` is asked for a repository, in version 2.
pub(super) fn daemon_request(path: &str, host: &str) -> Vec<u8> {
    let mut request = Vec::new();
    packet(&mut request, &format!("git-upload-pack {path}\0host={host}\0\0version=2\0"));
    request
}

fn packet(out: &mut Vec<u8>, text: &str) {
    // A ref's name that is longer than a packet may be is none; git takes none of more than 64 KiB.
    if text.len() <= 65_000 {
        out.extend_from_slice(format!("{:04x}", text.len() + 4).as_bytes());
        out.extend_from_slice(text.as_bytes());
    }
}

/// Reads the next packet.
pub(super) fn read_packet(from: &mut dyn Read) -> io::Result<Packet> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "not a packet of git's");
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = std::str::from_utf8(&length).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
    match length.and_then(|text| usize::from_str_radix(text, 16).ok()).ok_or_else(malformed)? {
        0 => Ok(Packet::Flush),
        1 | 2 => Ok(Packet::Delimiter),
        3 => Err(malformed()),
        length => {
            let mut data = vec![0; length - 4];
            from.read_exact(&mut data)?;
            Ok(Packet::Data(data))
        }
    }
}

/// Reads the answer to [`request`], to its end; none where it is none.
pub(super) fn read_listing(from: &mut dyn Read) -> io::Result<Option<RefListing>> {
    let mut collector = RefCollector::default();
    for _ in 0..MAX_REFS {
        match read_packet(from)? {
            Packet::Flush => return Ok(Some(collector.finish())),
            Packet::Delimiter => return Ok(None),
            Packet::Data(line) => {
                // A name that is no UTF-8 is none that can be tracked.
                let Ok(line) = std::str::from_utf8(&line) else { continue };
                if !take_line(line.strip_suffix('\n').unwrap_or(line), &mut collector) {
                    return Ok(None);
                }
            }
        }
    }
    Ok(None)
}

/// Takes `ID NAME [symref-target:NAME] [peeled:ID]`; says whether it was one.
fn take_line(line: &str, collector: &mut RefCollector) -> bool {
    let mut words = line.split(' ');
    let (Some(id), Some(name)) = (words.next(), words.next()) else { return false };
    let mut peeled = None;
    for word in words {
        if let Some(target) = word.strip_prefix("symref-target:").filter(|_| name == "HEAD") {
            collector.point_head(target);
        }
        peeled = word.strip_prefix("peeled:").or(peeled);
    }
    // A HEAD of no commit yet has no id; a name that cannot be one is passed over.
    id == "unborn" || collector.take(name, id, peeled) || super::ref_listing::is_id(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    fn answer(lines: &[String]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            packet(&mut bytes, line);
        }
        bytes.extend_from_slice(FLUSH);
        bytes
    }

    fn read(bytes: &[u8]) -> io::Result<Option<RefListing>> {
        read_listing(&mut &bytes[..])
    }

    #[test]
    fn the_request_is_gits() {
        let text = String::from_utf8(request(&RefSelection::named(["refs/heads/main"]))).unwrap();
        assert!(text.starts_with("0014command=ls-refs\n"), "{text}");
        assert!(
            text.ends_with("00010009peel\n000csymrefs\n0014ref-prefix HEAD\n001fref-prefix refs/heads/main\n0000"),
            "{text}"
        );
    }

    #[test]
    fn a_listing_is_read() {
        let lines = [
            format!("{A} HEAD symref-target:refs/heads/main\n"),
            format!("{A} refs/heads/main\n"),
            format!("{A} refs/tags/v1 peeled:{B}\n"),
        ];
        let listing = read(&answer(&lines)).unwrap().unwrap();
        assert_eq!(listing.head.as_deref(), Some("refs/heads/main"));
        assert_eq!(listing.refs.get("refs/tags/v1").unwrap().commit(), B);
        assert_eq!(read(b"0000").unwrap().unwrap(), RefListing::default());
    }

    #[test]
    fn whether_an_object_is_held_is_asked_and_read() {
        let text = String::from_utf8(want_request(A)).unwrap();
        assert!(
            text.starts_with("0012command=fetch\n") && text.contains(&format!("0001003{:x}want {A}\n", 2)),
            "{text}"
        );
        assert!(String::from_utf8(want_request(&"a".repeat(64))).unwrap().contains("object-format=sha256"));
        let held = |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
            read_whether_held(&mut answer(&lines).as_slice(), A).unwrap()
        };
        assert_eq!(held(&["acknowledgments\n", "NAK\n"]), Some(true));
        assert_eq!(held(&[&format!("ERR upload-pack: not our ref {A}")]), Some(false));
        // Of another one, or for another reason.
        assert_eq!(held(&[&format!("ERR upload-pack: not our ref {B}")]), None);
        assert_eq!(held(&["ERR go away\n"]), None);
        assert_eq!(held(&[]), None);
        assert!(read_whether_held(&mut &b"<html>"[..], A).is_err());
    }

    #[test]
    fn hostile_answers_are_no_listings() {
        assert_eq!(read(&answer(&["ERR go away\n".to_owned()])).unwrap(), None);
        assert_eq!(read(&answer(&[format!("{A}\n")])).unwrap(), None);
        assert!(read(b"<html>").is_err());
        assert!(read(b"0003").is_err());
        assert!(read(b"00").is_err());
        assert!(read(&answer(&[format!("{A} refs/heads/main\n")])[..20]).is_err());
        let odd = answer(&[
            format!("{A} refs/heads/\u{1b}[2J\n"),
            format!("{A} ../../etc\n"),
            format!("{A} refs/heads/ok\n"),
        ]);
        let names: Vec<_> = read(&odd).unwrap().unwrap().refs.iter().map(|found| found.name.to_owned()).collect();
        assert_eq!(names, ["refs/heads/ok"]);
    }
}
