//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::secret::{Redact, Redactor};

/// One thing that is wrong with a configuration, or worth a remark.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// The configuration file, as the caller named it.
    pub file: PathBuf,
    /// The line, from 1; 0 where it is about the file as a whole.
    pub line: usize,
    /// The column in characters, from 1; 0 where it is about the file as a whole.
    pub column: usize,
    /// The key, as in `fetcher.jobs` or `project "x": git.token-file`; empty where it is about no key.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

/// A value that is refused may be repeated, and have come from a variable with a secret.
impl Redact for ConfigProblem {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self { file, line, column, key, message, advice } = self;
        let [key, message, advice] = [key, message, advice].map(|text| text.redacted(redactor));
        Self { file, line, column, key, message, advice }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}; {}", self.message, self.advice)
    }
}

/// A configuration that cannot be used, with everything that is wrong with it in the order of its lines.
///
/// ```
/// use std::path::Path;
/// use fetcher_core::{Environment, config::{Config, DiskFiles}};
///
/// let text = "[[project]]\nurl = 'https://example.org/x.git'\nbranch = ['main']\n";
/// let environment = Environment::from_iter([("HOME", "/home/me")]);
/// let error = Config::parse(text, Path::new("/etc/x.toml"), &DiskFiles, &environment).unwrap_err();
/// assert!(error.to_string().starts_with("/etc/x.toml:3:1: project \"x\": branch: there is no such key"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", lines(.problems))]
#[non_exhaustive]
pub struct ConfigError {
    /// What is wrong; never empty.
    pub problems: Vec<ConfigProblem>,
}

impl ConfigError {
    /// An error about the file as a whole.
    pub(super) fn of_file(file: &Path, message: impl Into<String>, advice: impl Into<String>) -> Self {
        let problem = ConfigProblem {
            file: file.to_owned(),
            line: 0,
            column: 0,
            key: String::new(),
            message: message.into(),
            advice: advice.into(),
        };
        Self { problems: vec![problem] }
    }
}

fn lines(problems: &[ConfigProblem]) -> String {
    problems.iter().map(ConfigProblem::to_string).collect::<Vec<_>>().join("\n")
}
