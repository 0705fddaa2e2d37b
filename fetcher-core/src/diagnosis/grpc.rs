//! Statuses of gRPC, in the words of bst, casd, Python, Go and Rust: of this host's buildbox-casd, or of a source cache.

use crate::failure::LineDiagnosis;
use crate::failure::phrases::answers;

/// The statuses of <https://grpc.io/docs/guides/status-codes/>, by their numbers.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Who answered a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GrpcPeer {
    /// buildbox-casd on this host.
    Casd,
    /// A source cache.
    Remote,
}

/// What a line says of a call that failed: `FetchBlob failed with status UNAVAILABLE: …`, `Failed to upload blob …: 7`.
pub(super) fn of_line(line: &str, low: &str) -> Option<LineDiagnosis> {
    let status = status(line)?;
    let peer = if answers::is_of_casd(low) { GrpcPeer::Casd } else { GrpcPeer::Remote };
    Some(of_status(status, low, peer))
}

/// What Python prints of a call that failed: `<_InactiveRpcError of RPC that terminated with:`, a status, its details and
/// what the library knows of it, on a line each or on one.
pub(super) fn of_block(lines: &[&str]) -> Option<(LineDiagnosis, String)> {
    let text = lines.join("\n");
    if !text.contains("RPC that terminated with") && !text.contains("RpcError") && !text.contains("StatusCode.") {
        return None;
    }
    let status = status(&text)?;
    let details = quoted_line(&text, "details = \"");
    let low = text.to_lowercase();
    // Where the peer is not told, the file of casd's that stumbled is; else connections that break are casd's own.
    let of_casd = answers::is_of_casd(&low) || !answers::is_of_remote(&low);
    let peer = if of_casd { GrpcPeer::Casd } else { GrpcPeer::Remote };
    let told = details.unwrap_or_default();
    let words = if told.is_empty() { status.to_owned() } else { format!("{status}: {told}") };
    Some((of_status(status, &low, peer), words))
}

/// The text behind a mark up to the end of its line, without the closing quotation mark.
fn quoted_line<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    let line = rest.lines().next()?;
    Some(line.split("\" debug_error_string").next().unwrap_or(line).trim_end().trim_end_matches('"'))
}

/// The status that the text names, in its canonical form.
fn status(text: &str) -> Option<&'static str> {
    // What stands in front of a status, and whether it may be a number there.
    const BEFORE: [(&str, bool); 11] = [
        ("failed with status ", false),
        ("failed with response status ", true),
        ("StatusCode.", false),
        ("status = ", false),
        ("status: ", false),
        ("code = ", false),
        ("code: ", false),
        ("gRPC error was [", true),
        ("grpc_status:", true),
        ("\"grpc_status\":", true),
        ("grpc-status: ", true),
    ];
    let after = BEFORE.iter().find_map(|(mark, numbers)| {
        text.match_indices(mark).find_map(|(at, _)| {
            let rest = &text[at + mark.len()..];
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            // `status: Internal Server Error` is HTTP's.
            let alone = !mark.ends_with(": ") || !rest[end..].starts_with(' ');
            canonical(&rest[..end], *numbers).filter(|_| alone)
        })
    });
    after.or_else(|| by_position(text))
}

/// A status that stands alone between colons: `Failed to push source blobs: UNIMPLEMENTED: unknown service`, `FetchBlob: 14:
/// failed to connect`, or as a number at the end, behind the name of what was to be done with a blob.
fn by_position(text: &str) -> Option<&'static str> {
    let line = text.lines().next()?;
    let blob = ["upload blob", "download blob", "push source", "pull source", "capture blob", "capture tree"];
    let calls = ["FetchBlob: ", "FetchDirectory: ", "PushBlob: ", "PushDirectory: ", "FindMissingBlobs: "];
    let numbers = blob.iter().chain(&calls).any(|word| line.contains(word));
    let parts: Vec<&str> = line.split(": ").map(str::trim).collect();
    parts.iter().rev().find_map(|part| {
        let named = STATUSES[1..].iter().find(|status| *status == part).copied();
        let leading = || {
            let word = part.split(' ').next()?;
            let word = word.trim_end_matches(['(', ')']);
            STATUSES[1..].iter().find(|status| word == **status && status.contains('_')).copied()
        };
        named.or_else(leading).or_else(|| if numbers { canonical(part, true) } else { None })
    })
}

/// The canonical form of a status: `Unavailable`, `UNAVAILABLE`, and where numbers count, `14`.
fn canonical(word: &str, numbers: bool) -> Option<&'static str> {
    if let Ok(number) = word.parse::<usize>() {
        return STATUSES.get(number).copied().filter(|status| numbers && *status != "OK");
    }
    // `status: none` of other programs is no status; Go and Rust write their own names for them, in one word.
    let plain = |text: &str| text.replace('_', "").to_ascii_lowercase();
    let upper = word.starts_with(|c: char| c.is_ascii_uppercase());
    STATUSES[1..].iter().find(|status| upper && plain(status) == plain(word)).copied()
}

fn of_status(status: &str, low: &str, peer: GrpcPeer) -> LineDiagnosis {
    match peer {
        GrpcPeer::Casd => answers::of_casd(status, low),
        GrpcPeer::Remote => answers::of_cache(status, low),
    }
}
