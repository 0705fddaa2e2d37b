//! Names of objects that cannot be wrong: nothing of a client's text ever becomes part of a path but these.

#![cfg_attr(not(feature = "serve"), allow(dead_code, reason = "the server looks for files by it"))]

use std::fmt;

use bazel_remote_apis::build::bazel::remote::execution::v2::Digest;
use sha2::{Digest as _, Sha256};

/// A SHA-256, the only digest function of a BuildStream cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sha256Hash([u8; 32]);

impl Sha256Hash {
    /// Exactly 64 digits of lower-case hexadecimal, as the Remote Execution API wants it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }

    pub(crate) fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    pub(crate) fn finish(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    pub(crate) fn first_byte(&self) -> u8 {
        self.0[0]
    }

    /// Where it is kept below `cas/objects`: `ab/cdef…`.
    pub(crate) fn path(&self) -> String {
        let mut path = String::with_capacity(65);
        self.digits(&mut path, Some('/'));
        path
    }

    /// Its digits, with something behind the second one. It is done for every object of every request.
    fn digits(&self, text: &mut String, between: Option<char>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for (at, byte) in self.0.iter().enumerate() {
            if at == 1 {
                text.extend(between);
            }
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(64);
        self.digits(&mut text, None);
        f.write_str(&text)
    }
}

impl fmt::Debug for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A hash with the size that its content has to have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ObjectDigest {
    pub(crate) hash: Sha256Hash,
    /// In bytes.
    pub(crate) size: u64,
}

impl ObjectDigest {
    pub(crate) fn of(content: &[u8]) -> Self {
        Self { hash: Sha256Hash::of(content), size: content.len() as u64 }
    }

    /// None where the digest is malformed.
    pub(crate) fn from_digest(digest: &Digest) -> Option<Self> {
        Some(Self { hash: Sha256Hash::parse(&digest.hash)?, size: u64::try_from(digest.size_bytes).ok()? })
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest { hash: self.hash.to_string(), size_bytes: i64::try_from(self.size).unwrap_or(i64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_lower_case_digits_are_a_hash() {
        let good = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256Hash::parse(good), Some(Sha256Hash::of(b"")));
        assert_eq!(Sha256Hash::of(b"").path(), format!("{}/{}", &good[..2], &good[2..]));
        for bad in [&good[1..], &good.to_uppercase(), &format!("{good}0"), &good.replace('3', "/"), "", "../../etc"] {
            assert_eq!(Sha256Hash::parse(bad), None, "{bad}");
        }
        // 64 bytes that are not 64 characters.
        assert_eq!(Sha256Hash::parse(&"ä".repeat(32)), None);
    }

    #[test]
    fn a_size_is_not_negative() {
        let digest = Digest { hash: Sha256Hash::of(b"").to_string(), size_bytes: -1 };
        assert_eq!(ObjectDigest::from_digest(&digest), None);
    }
}
