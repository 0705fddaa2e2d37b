//! Releases of BuildStream, as `bst --version` prints them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::invocation;
use crate::runner::{ChildOutput, Exit, RunContext, RunnerError, output};

/// A release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BstVersion {
    /// 1 or 2.
    pub major: u32,
    /// 90 and above are the pre-releases of the next major one.
    pub minor: u32,
    /// The patch level.
    pub patch: u32,
}

/// Why a `bst` cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// It cannot be started.
    #[error(transparent)]
    Start(#[from] RunnerError),
    /// It ended badly, or did not end.
    #[error("`{command} --version` ended with {exit:?}: {output}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        exit: Exit,
        /// The end of what it wrote.
        output: String,
    },
    /// It printed something else than a version.
    #[error("`{command} --version` printed {output:?}, which is no version of BuildStream")]
    Garbage {
        /// The command.
        command: String,
        /// The end of what it wrote.
        output: String,
    },
}

/// How long `bst --version` may take; a quarter of a second is usual, a container's first start is not.
const TIMEOUT: Duration = Duration::from_secs(120);
const TAIL_BYTES: usize = 4096;

impl BstVersion {
    /// Reads a version as `bst --version` prints it: `2.8.1`, `1.93.6`, `2.0.0.dev1+g0123`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('.').map(|part| {
            let digits = part.find(|c: char| !c.is_ascii_digit()).map_or(part, |end| &part[..end]);
            digits.parse::<u32>().ok()
        });
        let (major, minor) = (parts.next()??, parts.next()??);
        Some(Self { major, minor, patch: parts.next().flatten().unwrap_or_default() })
    }

    /// Asks a `bst` for its version.
    ///
    /// # Errors
    /// When it cannot be started, fails, or prints something else.
    pub fn probe(
        command: &[OsString],
        directory: &Path,
        environment: BTreeMap<OsString, OsString>,
        context: RunContext<'_>,
    ) -> Result<Self, ProbeError> {
        let shown = command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let invocation = invocation(command, ["--version".into()], directory, environment).timeout(TIMEOUT);
        let ChildOutput { exit, stdout, .. } = output(context.runner, &invocation, context.cancel, TAIL_BYTES)?;
        let output = stdout.text().trim().to_owned();
        if !exit.is_success() {
            return Err(ProbeError::Failed { command: shown, exit, output });
        }
        // Python's warnings come before it.
        let version = output.lines().rev().find_map(Self::parse);
        version.ok_or(ProbeError::Garbage { command: shown, output })
    }
}

impl fmt::Display for BstVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_with_their_suffixes() {
        let read = |text| BstVersion::parse(text).map(|version| version.to_string());
        assert_eq!(read("2.8.1\n").as_deref(), Some("2.8.1"));
        assert_eq!(read("1.93.6").as_deref(), Some("1.93.6"));
        assert_eq!(read("2.0.0.dev1+g0123abc").as_deref(), Some("2.0.0"));
        assert_eq!(read("2.1rc1").as_deref(), Some("2.1.0"));
        for garbage in ["", "bst", "Usage: bst", "99999999999999.1", "."] {
            assert_eq!(read(garbage), None, "{garbage:?}");
        }
    }
}
