//! Finding secrets by their values, in the guises that programs put them in.

use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::{Redactor, Secret, SecretSpan};

/// A longer value is looked for in pieces of this many bytes, so that what has to be held back of a stream is short.
const PIECE: usize = 256;

/// Only so many bytes of a value are looked for: nothing that opens a door is longer.
const LONGEST: usize = 64 * 1024;

/// Tables up to this many bytes of patterns are made for speed, larger ones for size.
const FAST: usize = 4 * 1024;

/// The values that are masked, and the tables that find them.
#[derive(Default)]
pub(super) struct SecretValues {
    secrets: Vec<Secret>,
    /// What is looked for in [condensed](CondensedText) text, sorted.
    patterns: Vec<SecretPattern>,
    automaton: Option<AhoCorasick>,
    /// The length of the longest pattern.
    longest: usize,
    /// The first bytes of the patterns.
    starts: Vec<u8>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SecretPattern {
    bytes: Vec<u8>,
    /// Whether it is part of a base64 text, all of which is masked then.
    base64: bool,
    /// Whether white space is part of the value, and may so be anywhere in the text.
    spaced: bool,
}

impl SecretValues {
    #[expect(clippy::unwrap_used, reason = "the automaton can only fail on more than two thousand million states")]
    pub(super) fn new(secrets: Vec<Secret>) -> Self {
        let mut patterns: Vec<SecretPattern> = secrets.iter().flat_map(|secret| patterns(secret.expose())).collect();
        patterns.sort_unstable();
        patterns.dedup_by(|a, b| a.bytes == b.bytes);
        let automaton = (!patterns.is_empty()).then(|| {
            let fast = patterns.iter().map(|pattern| pattern.bytes.len()).sum::<usize>() < FAST;
            let kind = fast.then_some(AhoCorasickKind::DFA);
            let bytes = patterns.iter().map(|pattern| &pattern.bytes);
            AhoCorasick::builder().match_kind(MatchKind::Standard).kind(kind).build(bytes).unwrap()
        });
        let longest = patterns.iter().map(|pattern| pattern.bytes.len()).max().unwrap_or_default();
        let mut starts: Vec<u8> = patterns.iter().map(|pattern| pattern.bytes[0]).collect();
        starts.dedup();
        Self { secrets, patterns, automaton, longest, starts }
    }

    pub(super) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Adds where values are in the text.
    pub(super) fn find(&self, text: &[u8], found: &mut Vec<SecretSpan>) {
        let Some(automaton) = &self.automaton else { return };
        for view in TextView::of(text) {
            let solid = solid(text, view.sequences);
            // Where each byte came from is worked out only where there is something to find.
            let something = if view.decode { has_escapes(&solid) } else { automaton.is_match(&solid) };
            if !something {
                continue;
            }
            let plain = CondensedText::new(text, view);
            for hit in automaton.find_overlapping_iter(&plain.bytes) {
                found.extend(self.found(&plain, hit.pattern().as_usize(), hit.range(), text));
            }
        }
    }

    fn found(&self, plain: &CondensedText, pattern: usize, hit: Range<usize>, text: &[u8]) -> Option<SecretSpan> {
        let pattern = &self.patterns[pattern];
        let mut part = plain.range(hit, text);
        if !pattern.spaced && has_blank_but_no_line_end(&text[part.clone()]) {
            return None;
        }
        if pattern.base64 {
            part = widen(&part, text);
        }
        Some(SecretSpan { from: part.start, part })
    }

    /// Where the end of the text begins that could be the beginning of a value.
    pub(super) fn unfinished(&self, text: &[u8]) -> usize {
        let mut from = text.len();
        if self.automaton.is_none() {
            return from;
        }
        for view in TextView::of(text) {
            let (tail, plain) = self.end(text, view);
            // An escape that is cut in two may stand for any byte.
            let whole = plain.bytes.len() - cut_escape(&plain.bytes);
            for end in [whole, plain.bytes.len()] {
                for start in end.saturating_sub(self.longest)..end {
                    let starts = self.starts.contains(&plain.bytes[start]);
                    if starts && tail + plain.at[start] < from && self.is_beginning(&plain.bytes[start..end]) {
                        from = tail + plain.at[start];
                        break;
                    }
                }
            }
        }
        from
    }

    /// The end of the text that a beginning of a value may reach back to, however many blanks and escapes it has; and
    /// where it begins.
    fn end(&self, text: &[u8], view: TextView) -> (usize, CondensedText) {
        let mut solid = self.longest + 3;
        loop {
            let is_solid = |(_, byte): &(usize, &u8)| is_solid(**byte);
            let at = text.iter().enumerate().rev().filter(is_solid).nth(solid).map_or(0, |(at, _)| at);
            // Not in the middle of an escape, which may be one of an escape.
            let escape = |byte: &&u8| **byte == b'%' || byte.is_ascii_hexdigit() || !self::is_solid(**byte);
            let from = if view.decode { at - text[..at].iter().rev().take_while(escape).count() } else { at };
            let plain = CondensedText::new(&text[from..], view);
            if from == 0 || plain.bytes.len() >= self.longest + 3 {
                return (from, plain);
            }
            solid *= 2;
        }
    }

    /// Whether some pattern begins with these bytes and goes on.
    fn is_beginning(&self, bytes: &[u8]) -> bool {
        let after = self.patterns.partition_point(|pattern| pattern.bytes.as_slice() <= bytes);
        self.patterns.get(after).is_some_and(|pattern| pattern.bytes.starts_with(bytes))
    }
}

/// The same text with fewer blanks and escapes, for what could be the beginning of a value and has so many of them
/// that it cannot be held back as it is.
pub(super) fn shortened(text: &[u8], most: usize) -> Vec<u8> {
    let mut short: Vec<u8> = Vec::with_capacity(most);
    let mut rest = text;
    while let [byte, ..] = rest {
        let (part, behind) = rest.split_at(escape_sequence(rest).max(1));
        match short.last_mut() {
            // One that is not whole yet stays.
            _ if part.len() > 1 && behind.is_empty() => short.extend_from_slice(&part[..part.len().min(most)]),
            _ if part.len() > 1 => {}
            // A line's end among blanks stays one.
            Some(last) if !is_solid(*byte) && !is_solid(*last) => {
                if *byte == b'\n' {
                    *last = *byte;
                }
            }
            _ => short.push(*byte),
        }
        rest = behind;
    }
    if short.len() > most {
        CondensedText::new(&short, TextView { decode: true, sequences: false }).bytes
    } else {
        short
    }
}

/// How text is looked at.
#[derive(Clone, Copy)]
struct TextView {
    /// With percent-encoding undone.
    decode: bool,
    /// Without a terminal's control sequences.
    sequences: bool,
}

impl TextView {
    /// The ways that make a difference.
    fn of(text: &[u8]) -> impl Iterator<Item = Self> {
        let escapes = text.contains(&ESCAPE);
        let views = [(false, false), (true, false), (false, true), (true, true)];
        views
            .into_iter()
            .map(|(decode, sequences)| Self { decode, sequences })
            .filter(move |view| escapes || !view.sequences)
    }
}

/// Text without the white space and control characters that line ends, indentation and terminals put into a value.
#[derive(Default)]
struct CondensedText {
    bytes: Vec<u8>,
    /// Where in the text each byte was.
    at: Vec<usize>,
}

impl CondensedText {
    fn new(text: &[u8], view: TextView) -> Self {
        let mut plain = Self { bytes: Vec::with_capacity(text.len()), at: Vec::with_capacity(text.len()) };
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            let escape = if view.sequences { escape_sequence(&text[at..]) } else { 0 };
            if escape == 0 && is_solid(byte) {
                plain.bytes.push(byte);
                plain.at.push(at);
                if view.decode {
                    plain.decode_end();
                }
            }
            at += escape.max(1);
        }
        plain
    }

    /// Replaces `%41` at the end by what it stands for. What comes of it may be part of another escape: text may be
    /// encoded several times.
    fn decode_end(&mut self) {
        while let [.., b'%', high, low] = self.bytes[..]
            && let (Some(high), Some(low)) = (hexadecimal(high), hexadecimal(low))
        {
            let keep = self.bytes.len() - 3;
            let byte = high << 4 | low;
            self.bytes.truncate(keep);
            if is_solid(byte) {
                self.bytes.push(byte);
            }
            self.at.truncate(self.bytes.len());
        }
    }

    /// The part of the text that became this part.
    fn range(&self, part: Range<usize>, text: &[u8]) -> Range<usize> {
        let last = self.at[part.end - 1];
        // The next byte that was kept, or the end; and from there back over the white space in between.
        let next = self.at.get(part.end).copied().unwrap_or(text.len());
        let blank = text[last + 1..next].iter().rev().take_while(|byte| !is_solid(**byte)).count();
        self.at[part.start]..next - blank
    }
}

/// The bytes of [condensed text](CondensedText) alone, which is much faster.
fn solid(text: &[u8], sequences: bool) -> Vec<u8> {
    let mut bytes = vec![0; text.len()];
    let mut length = 0;
    for mut piece in text.split_inclusive(|byte| *byte == ESCAPE) {
        // Each piece but the first stands behind an ESC.
        if sequences && piece.as_ptr() != text.as_ptr() {
            piece = &piece[behind_escape(piece)..];
        }
        for &byte in piece {
            bytes[length] = byte;
            length += usize::from(is_solid(byte));
        }
    }
    bytes.truncate(length);
    bytes
}

const ESCAPE: u8 = 0x1b;

/// The length of the terminal's control sequence (ECMA-48, 5.4) that the text begins with; 0 where it begins with none.
fn escape_sequence(text: &[u8]) -> usize {
    match text {
        [ESCAPE, behind @ ..] => 1 + behind_escape(behind),
        _ => 0,
    }
}

/// How much of what stands behind an ESC belongs to it.
fn behind_escape(text: &[u8]) -> usize {
    if text.first() != Some(&b'[') {
        return 0;
    }
    let inside = text[1..].iter().take_while(|byte| (0x20..0x40).contains(*byte)).count();
    let last = text.get(1 + inside).is_some_and(|byte| (0x40..0x7f).contains(byte));
    1 + inside + usize::from(last)
}

fn has_escapes(text: &[u8]) -> bool {
    let is_escape = |part: &[u8]| part[0] == b'%' && part[1].is_ascii_hexdigit() && part[2].is_ascii_hexdigit();
    text.windows(3).any(is_escape)
}

fn is_solid(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// How many bytes at the end are an escape that is not whole.
fn cut_escape(bytes: &[u8]) -> usize {
    match bytes {
        [.., b'%', digit] if hexadecimal(*digit).is_some() => 2,
        [.., b'%'] => 1,
        _ => 0,
    }
}

fn has_blank_but_no_line_end(text: &[u8]) -> bool {
    text.contains(&b' ') && !text.contains(&b'\n') && !text.contains(&b'\r')
}

/// The whole run of base64's characters around a part of it.
fn widen(part: &Range<usize>, text: &[u8]) -> Range<usize> {
    let is_base64 = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
    let before = text[..part.start].iter().rev().take_while(is_base64).count();
    let after = text[part.end..].iter().take_while(is_base64).count();
    part.start - before..part.end + after
}

/// Everything that a value may look like in plain text.
fn patterns(value: &str) -> Vec<SecretPattern> {
    if value.len() < Redactor::SHORTEST {
        return Vec::new();
    }
    let spaced = !value.bytes().all(is_solid);
    let mut patterns = Vec::new();
    for guise in guises(value) {
        for decode in [false, true] {
            let mut plain = CondensedText::new(guise.as_bytes(), TextView { decode, sequences: false });
            plain.bytes.truncate(LONGEST);
            let pieces = pieces(&plain.bytes).into_iter();
            patterns.extend(pieces.map(|piece| SecretPattern { bytes: piece.to_vec(), base64: false, spaced }));
        }
    }
    for piece in pieces(&value.as_bytes()[..value.len().min(LONGEST)]) {
        for offset in 0..3 {
            patterns.extend(inside_base64(piece, offset).map(|bytes| SecretPattern {
                bytes,
                base64: true,
                spaced: false,
            }));
        }
    }
    patterns.retain(|pattern| pattern.bytes.len() >= Redactor::SHORTEST);
    patterns
}

/// The value as it is, and as programs write it into JSON, forms, and HTML (Python's `html.escape` and `MarkupSafe`).
fn guises(value: &str) -> BTreeSet<String> {
    let json = serde_json::Value::from(value).to_string();
    let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    BTreeSet::from([
        value.to_owned(),
        json[1..json.len() - 1].to_owned(),
        value.replace(' ', "+"),
        html.replace('"', "&quot;").replace('\'', "&#x27;"),
        html.replace('"', "&#34;").replace('\'', "&#39;"),
        html,
    ])
}

/// The value in pieces that are not too long; the last reaches back into the one before, so that none is short.
fn pieces(value: &[u8]) -> Vec<&[u8]> {
    let last = &value[value.len().saturating_sub(PIECE)..];
    let whole = value.chunks_exact(PIECE).map(<[u8]>::as_ref);
    if value.len().is_multiple_of(PIECE) && !value.is_empty() { whole.collect() } else { whole.chain([last]).collect() }
}

/// The characters of base64 that the value alone decides, where `offset` bytes (of three) come before it.
fn inside_base64(value: &[u8], offset: usize) -> [Vec<u8>; 2] {
    let bytes: Vec<u8> = std::iter::repeat_n(0, offset).chain(value.iter().copied()).collect();
    let first = (offset * 8).div_ceil(6);
    let last = bytes.len() * 8 / 6;
    [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)].map(|text| text.as_bytes()[first..last].to_vec())
}
