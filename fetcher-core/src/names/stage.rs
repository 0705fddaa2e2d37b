//! The parts of the work on a branch.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::NameError;

/// The parts of the work on a branch, in their order.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Getting the branch's tip and a clean working tree of it, submodules included.
    Checkout,
    /// Running what the configuration says a clean checkout needs before `bst` (`prepare`).
    Prepare,
    /// `bst source track`: looking for new refs upstream.
    Track,
    /// `bst source fetch`: getting the sources into the local cache.
    Fetch,
    /// `bst source push`: handing the sources to a remote source cache.
    Push,
    /// Handing the refs that tracking found to those who merge them.
    Publish,
    /// Asking the source caches whether all that was pushed is there.
    Verify,
    /// A stage of an embedding program's own, or one that this release does not know, in the report of a newer one.
    Custom(StageName),
    /// What in a report is no name of a stage at all.
    Other,
}

impl Stage {
    /// All stages that this library knows, in their order.
    pub const ALL: [Stage; 7] =
        [Stage::Checkout, Stage::Prepare, Stage::Track, Stage::Fetch, Stage::Push, Stage::Verify, Stage::Publish];

    /// A stage of an embedding program's own, by its name in reports.
    ///
    /// ```
    /// use fetcher_core::Stage;
    ///
    /// assert_eq!(Stage::custom("licences")?.to_string(), "licences");
    /// assert!(Stage::custom("fetch").is_err(), "the library has one");
    /// assert!(Stage::custom("../x").is_err());
    /// # Ok::<(), fetcher_core::NameError>(())
    /// ```
    ///
    /// # Errors
    /// When it is no name of a stage ([`StageName`]), or that of one of the library's own.
    pub fn custom(name: &str) -> Result<Self, NameError> {
        name.parse().map(Stage::Custom)
    }

    /// The stage's name as reports and files have it.
    pub fn as_str(&self) -> &str {
        match self {
            Stage::Checkout => "checkout",
            Stage::Prepare => "prepare",
            Stage::Track => "track",
            Stage::Fetch => "fetch",
            Stage::Push => "push",
            Stage::Publish => "publish",
            Stage::Verify => "verify",
            Stage::Custom(name) => name.as_str(),
            Stage::Other => OTHER,
        }
    }
}

const OTHER: &str = "other";

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Stage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = Stage::ALL.into_iter().find(|stage| stage.as_str() == name);
        Ok(known.or_else(|| Stage::custom(&name).ok()).unwrap_or(Stage::Other))
    }
}

/// The longest name of a stage, in bytes.
const LONGEST: usize = 32;

/// The name of a stage that is not one of the library's own: at most 32 lower-case letters, digits and `-`, beginning with
/// a letter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageName {
    /// Filled up with zeros, so that names are ordered as their texts.
    bytes: [u8; LONGEST],
}

impl StageName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        let end = self.bytes.iter().position(|byte| *byte == 0).unwrap_or(LONGEST);
        // Only ASCII gets in.
        std::str::from_utf8(&self.bytes[..end]).unwrap_or_default()
    }
}

impl FromStr for StageName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<Self, NameError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let wrong = if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
            Some("it has to begin with a lower-case letter")
        } else if name.len() > LONGEST {
            Some("it is longer than 32 characters")
        } else if !name.bytes().all(allowed) {
            Some("it may hold only lower-case letters, digits and '-'")
        } else if name == OTHER || Stage::ALL.iter().any(|stage| stage.as_str() == name) {
            Some("it is that of one of the library's own")
        } else {
            None
        };
        if let Some(reason) = wrong {
            return Err(NameError { kind: "name of a stage", name: name.to_owned(), reason });
        }
        let mut bytes = [0; LONGEST];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self { bytes })
    }
}

impl fmt::Debug for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_as_they_are_written() {
        let own = Stage::custom(&"x".repeat(LONGEST)).unwrap();
        for stage in Stage::ALL.into_iter().chain([own, Stage::custom("a-1").unwrap(), Stage::Other]) {
            let text = serde_json::to_string(&stage).unwrap();
            assert_eq!(serde_json::from_str::<Stage>(&text).unwrap(), stage);
        }
        for bad in ["", "-a", "A", "a b", "a/b", "1", "\u{1b}[0m", "ä", &"x".repeat(LONGEST + 1), "track", "other"] {
            assert!(Stage::custom(bad).is_err(), "{bad:?}");
        }
        assert_eq!(serde_json::from_str::<Stage>("\"../x\"").unwrap(), Stage::Other);
    }
}
