//! Canaries: secrets that are printed in many forms, and looked for in everything that was written or sent.

use std::fs;
use std::path::{Path, PathBuf};

use crate::browser::decoded;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 (RFC 4648) without padding.
fn base64(bytes: &[u8]) -> String {
    let bits = |at: usize| {
        (0..6).fold(0, |bits, bit| {
            bits << 1 | bytes.get((at + bit) / 8).map_or(0, |byte| byte >> (7 - (at + bit) % 8) & 1)
        })
    };
    (0..bytes.len() * 8).step_by(6).map(|at| char::from(BASE64[usize::from(bits(at))])).collect()
}

/// Every byte as `%xx`.
pub fn percent_encoded(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).expect("a digit");
    bytes.iter().flat_map(|byte| ['%', digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Lines in which a program prints a secret in all sorts of ways.
pub fn noise(secret: &str) -> String {
    let (first, second) = secret.split_at(secret.len() / 2);
    let percent = percent_encoded(secret.as_bytes());
    let json = serde_json::Value::from(secret);
    [
        format!("raw {secret} raw"),
        format!("percent {percent} percent"),
        format!("basic {}", base64(format!("user:{secret}").as_bytes())),
        format!("alone {}", base64(secret.as_bytes())),
        format!("second {}", base64(format!("ab{secret}c").as_bytes())),
        format!("json {{\"key\": {json}}}"),
        format!("lines {first}\n    {second}"),
        format!("many {first}{}{second}", "\n    ".repeat(6)),
        format!("colour {first}\u{1b}[31m{second}\u{1b}[0m"),
        format!("https://me:{secret}@host/{secret}?q={secret}"),
    ]
    .join("\n")
        + "\n"
}

/// A text as it is, and as it may be read.
struct Readings {
    texts: [(&'static str, String); 5],
}

impl Readings {
    fn of(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).into_owned();
        // Quoted-printable, as mails are written.
        let quoted = text.replace("=\r\n", "").replace("=\n", "");
        let solid: String = quoted.split_whitespace().collect();
        let plain = fetcher_core::report::strip_control(&quoted).split_whitespace().collect();
        let escapes = solid.contains('%');
        let decoded =
            if escapes { std::panic::catch_unwind(|| decoded(&solid)).unwrap_or_default() } else { String::new() };
        Self { texts: [("raw", text), ("quoted", quoted), ("solid", solid), ("plain", plain), ("decoded", decoded)] }
    }

    /// The forms in which the secret is still in there, if it is in any.
    fn forms(&self, secret: &str) -> Vec<&'static str> {
        let mut found: Vec<_> =
            self.texts.iter().filter(|(_, text)| text.contains(secret)).map(|(form, _)| *form).collect();
        for offset in 0..3 {
            let whole = base64(&[&vec![0; offset][..], secret.as_bytes()].concat());
            let (from, to) = ((offset * 8_usize).div_ceil(6), (offset + secret.len()) * 8 / 6);
            if self.texts[2].1.contains(&whole[from..to]) {
                found.push("base64");
            }
        }
        found
    }
}

/// Asserts that none of the secrets is in a text.
#[track_caller]
pub fn assert_masked(place: &str, text: &[u8], secrets: &[(String, String)]) {
    let readings = Readings::of(text);
    for (name, secret) in secrets {
        let found = readings.forms(secret);
        if !found.is_empty() {
            let text = &readings.texts[0].1;
            let near = text.find(&secret[..secret.len() / 2]).map(|at| text[..at].chars().count().saturating_sub(200));
            let near = near.map(|from| text.chars().skip(from).take(600).collect::<String>());
            panic!("{place}: the secret of {name} is there, {found:?}: {near:?}");
        }
    }
}

/// Every file below a directory.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let kind = entry.file_type().expect("a sort of file");
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found
}
