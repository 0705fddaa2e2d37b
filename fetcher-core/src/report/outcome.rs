//! How things end.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// How a stage, a branch or a run ended, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// It was not done, for a reason that is said.
    Skipped,
    /// All of it worked.
    Ok,
    /// Some of it worked, and that is kept.
    Partial,
    /// It failed; also what a newer release calls otherwise.
    Failed,
    /// Somebody stopped it.
    Interrupted,
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let known = [Self::Skipped, Self::Ok, Self::Partial, Self::Failed, Self::Interrupted];
        Ok(known.into_iter().find(|outcome| outcome.as_str() == word).unwrap_or(Self::Failed))
    }
}

impl Outcome {
    /// The outcome's name as reports and files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Skipped => "skipped",
            Outcome::Ok => "ok",
            Outcome::Partial => "partial",
            Outcome::Failed => "failed",
            Outcome::Interrupted => "interrupted",
        }
    }

    /// Whether nothing went wrong.
    pub fn is_good(self) -> bool {
        match self {
            Outcome::Skipped | Outcome::Ok => true,
            Outcome::Partial | Outcome::Failed | Outcome::Interrupted => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
