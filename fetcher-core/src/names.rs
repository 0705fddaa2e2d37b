//! Names that cannot be wrong: each is checked once, where it comes in, and carries that proof in its type.

mod project_branch;
mod stage;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use project_branch::{ProjectBranch, ProjectBranchBuf};
pub use stage::{Stage, StageName};

/// A name that its kind does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name:?} is not a {kind}: {reason}")]
#[non_exhaustive]
pub struct NameError {
    /// What it was to be, as in "branch name".
    pub kind: &'static str,
    /// The text that was given.
    pub name: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                match $check(&name) {
                    Ok(()) => Ok(Self(name)),
                    Err(reason) => Err(NameError { kind: $kind, name, reason }),
                }
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::try_from(name.to_owned())
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name! {
    /// A project's name in the configuration: letters, digits, `.`, `_` and `-`, beginning with a letter or digit.
    /// It names directories and page files as it is.
    ///
    /// ```
    /// use fetcher_core::ProjectName;
    /// assert!("freedesktop-sdk".parse::<ProjectName>().is_ok());
    /// assert!("../etc".parse::<ProjectName>().is_err());
    /// ```
    ProjectName, "project name", check_plain
}

name! {
    /// The name of one option set of a project; the same rules as for [`ProjectName`].
    VariantName, "variant name", check_plain
}

name! {
    /// The name of those who believe what each other's code wrote, and share caches therefore; the same rules as for
    /// [`ProjectName`].
    TrustName, "trust name", check_plain
}

name! {
    /// A branch's name without `refs/heads/`, by the rules of `git check-ref-format --branch`.
    BranchName, "branch name", check_branch
}

name! {
    /// An element's name as BuildStream writes it: a path ending in `.bst` as a rule, behind its junctions' names and
    /// colons (`sub.bst:lib/a.bst`).
    ElementName, "element name", check_element
}

name! {
    /// A full object id of a commit: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
    CommitId, "commit id", check_commit
}

name! {
    /// The key of an element's sources, as bst's messages name it where keys are told whole: 64 digits of lower-case
    /// hexadecimal.
    SourceKey, "source key", check_source_key
}

name! {
    /// A run's name, unique on its host; its order is the order of time.
    RunId, "run id", check_plain
}

/// Who is named by nobody else is trusted by nobody else.
impl From<&ProjectName> for TrustName {
    fn from(name: &ProjectName) -> Self {
        Self(name.0.clone())
    }
}

impl BranchName {
    /// The name as one component of a path or an address: `/` becomes `~`, which git allows in no branch name, so
    /// that two branches never share a slug. A name too long for a file system ends in a digest instead.
    ///
    /// ```
    /// use fetcher_core::BranchName;
    /// let branch: BranchName = "release/24.08".parse()?;
    /// assert_eq!(branch.slug(), "release~24.08");
    /// # Ok::<(), fetcher_core::NameError>(())
    /// ```
    pub fn slug(&self) -> String {
        const LONGEST: usize = 180;
        let slug = self.0.replace('/', "~");
        if slug.len() <= LONGEST {
            return slug;
        }
        let mut end = LONGEST;
        while !slug.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}~~{}", &slug[..end], &digest(self.0.as_bytes())[..16])
    }
}

impl ElementName {
    /// The junctions that lead to the element, outermost first, each by its full name: `a.bst:b.bst:c.bst` lies behind
    /// `a.bst` and `a.bst:b.bst`.
    pub fn junctions(&self) -> impl Iterator<Item = ElementName> + '_ {
        self.0.match_indices(':').map(|(at, _)| Self(self.0[..at].to_owned()))
    }
}

impl RunId {
    /// A run's name from when it started and the process that does it.
    pub fn new(started: Timestamp, process: u32) -> Self {
        Self(format!("{}-{process}", started.strftime("%Y%m%dT%H%M%S.%3fZ")))
    }

    /// Whether its name says that the run began after a moment: of one in the past, that the clock was ahead then.
    pub(crate) fn is_after(&self, moment: Timestamp) -> bool {
        let latest = Self::new(moment, 0);
        // Names that an embedding program chose say no time.
        let time = |run: &Self| run.0.get(..20).filter(|time| time.ends_with('Z')).map(str::to_owned);
        time(self).is_some_and(|time_of_run| Some(time_of_run) > time(&latest))
    }
}

/// Which refs a stage was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refs {
    /// Those that the branch's tip has: what people build.
    Committed,
    /// Those that tracking finds: what people will build.
    Tracked,
}

impl Refs {
    /// The name as reports and files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Refs::Committed => "committed",
            Refs::Tracked => "tracked",
        }
    }
}

impl fmt::Display for Refs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The SHA-256 of some bytes in lower-case hexadecimal: how this library names what is known by its content.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn check_plain(name: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name.chars().next() {
        None => Err("it is empty"),
        Some(first) if !first.is_ascii_alphanumeric() => Err("it has to begin with a letter or a digit"),
        Some(_) if name.len() > 100 => Err("it is longer than 100 characters"),
        Some(_) if !name.chars().all(plain) => Err("it may hold only letters, digits, '.', '_' and '-'"),
        Some(_) => Ok(()),
    }
}

fn check_branch(name: &str) -> Result<(), &'static str> {
    if name.starts_with('-') {
        return Err("it begins with '-'");
    }
    if name == "HEAD" || !is_ref_name(name) {
        return Err("git does not allow it (see git check-ref-format)");
    }
    Ok(())
}

/// Whether git takes it for a name below `refs/heads/`, by the rules of git-check-ref-format(1). They are written out here,
/// so that a name can be checked where there is no libgit2; a test compares the two.
fn is_ref_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
    let is_component = |part: &str| {
        let lock = part.as_bytes().ends_with(b".lock");
        !part.is_empty() && !part.starts_with('.') && !lock
    };
    !name.contains(forbidden)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && name.split('/').all(is_component)
}

fn check_element(name: &str) -> Result<(), &'static str> {
    match name.chars().next() {
        None => Err("it is empty"),
        Some('-') => Err("it begins with '-'"),
        Some(_) if name.chars().any(char::is_control) => Err("it holds a control character"),
        Some(_) if name.len() > 4096 => Err("it is longer than 4096 bytes"),
        Some(_) => Ok(()),
    }
}

fn check_commit(name: &str) -> Result<(), &'static str> {
    let hex = name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if hex && matches!(name.len(), 40 | 64) {
        Ok(())
    } else {
        Err("it has to be 40 or 64 lower-case hexadecimal digits")
    }
}

fn check_source_key(name: &str) -> Result<(), &'static str> {
    let hex = name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if hex && name.len() == 64 { Ok(()) } else { Err("it has to be 64 lower-case hexadecimal digits") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "fetcher")]
    #[test]
    fn branches_are_named_as_libgit2_allows() {
        let parts = [
            "a", ".", "..", "/", ".lock", "@", "{", "@{", "~", "^", ":", "?", "*", "[", "\\", " ", "\u{7f}", "\t", "é",
            "HEAD",
        ];
        for first in parts {
            for second in parts {
                for third in parts {
                    let name = format!("{first}{second}{third}");
                    let allowed = git2::Reference::is_valid_name(&format!("refs/heads/{name}"));
                    assert_eq!(is_ref_name(&name), allowed, "{name:?}");
                }
            }
        }
    }

    #[test]
    fn names_refuse_what_would_leave_their_directory() {
        for bad in ["", "..", ".git", "a/b", "a b", "-x", "ä"] {
            assert!(bad.parse::<ProjectName>().is_err(), "{bad:?}");
        }
        for bad in ["", "a..b", "a b", "a~b", "/a", "a/", "-a", "a.lock", "@{x}", "HEAD", "a\nb"] {
            assert!(bad.parse::<BranchName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn slugs_keep_branches_apart_and_fit_a_file_name() {
        let slug = |name: &str| name.parse::<BranchName>().unwrap().slug();
        assert_ne!(slug("a/b"), slug("a-b"));
        let long = "x/".repeat(150) + "y";
        assert!(slug(&long).len() < 255);
        assert_ne!(slug(&long), slug(&(long.clone() + "z")));
    }

    #[test]
    fn junctions_of_an_element_are_named_in_full() {
        let element: ElementName = "a.bst:b.bst:c.bst".parse().unwrap();
        let junctions: Vec<_> = element.junctions().map(String::from).collect();
        assert_eq!(junctions, ["a.bst", "a.bst:b.bst"]);
    }
}
