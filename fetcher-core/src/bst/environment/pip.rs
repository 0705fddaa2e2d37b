//! What pip and venv say when they fail.

use std::fmt;

use crate::failure::FailureKind;
use crate::failure::phrases::{self, FailureDetail};

/// Why an environment could not be made, as far as pip's and venv's words tell. An earlier one is the cause of a later
/// one: without an index there is no package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PipFailure {
    /// The disk is full.
    DiskFull,
    /// Python comes without the modules that make environments (Debian: python3-venv).
    NoVenv,
    /// The package index cannot be reached.
    Index,
    /// The requirements contradict each other.
    Conflict,
    /// There are such versions, but for other Pythons.
    PythonVersion,
    /// No such package, or no such version of it.
    NoSuchPackage,
    /// The requirements are no such thing.
    Requirements,
    /// A package has to be built here, and that fails.
    Build,
    /// Something else.
    Unknown,
}

impl PipFailure {
    /// Reads what pip or venv wrote before it failed.
    ///
    /// What a package's build wrote is no word of pip's. Of what pip says the cause counts: without an index there is no
    /// package.
    pub fn of(output: &str) -> Self {
        output.lines().filter(|line| is_pips_own(line)).filter_map(Self::of_line).min().unwrap_or(PipFailure::Unknown)
    }

    fn of_line(line: &str) -> Option<Self> {
        let (kind, detail) = phrases::of_pip(line)?;
        match detail {
            Some(FailureDetail::NoVenv) => Some(PipFailure::NoVenv),
            Some(FailureDetail::Conflict) => Some(PipFailure::Conflict),
            Some(FailureDetail::PythonVersion) => Some(PipFailure::PythonVersion),
            Some(FailureDetail::Requirements) => Some(PipFailure::Requirements),
            Some(FailureDetail::PackageBuild) => Some(PipFailure::Build),
            None if kind == FailureKind::DiskFull => Some(PipFailure::DiskFull),
            None if kind == FailureKind::NotFound => Some(PipFailure::NoSuchPackage),
            None if kind.is_of_host() => Some(PipFailure::Index),
            // What git is told apart by, and what is not pip's matter.
            Some(
                FailureDetail::HostKey
                | FailureDetail::Ownership
                | FailureDetail::Transport
                | FailureDetail::ObjectFormat
                | FailureDetail::RemoteCorrupt,
            )
            | None => None,
        }
    }
}

/// Whether pip, venv or Python's last word says it, and no program that a package is built with.
fn is_pips_own(line: &str) -> bool {
    let marked = ["ERROR", "WARNING", "error:", "OSError", "Could not", "pip._vendor", "Retrying"];
    marked.iter().any(|mark| line.trim_start().starts_with(mark)) || phrases::is_unmarked_pip(line)
}

impl fmt::Display for PipFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PipFailure::NoVenv => "this Python cannot make environments",
            PipFailure::Index => "the package index cannot be reached",
            PipFailure::NoSuchPackage => "the package index has no such package or version",
            PipFailure::PythonVersion => "the package is not for this version of Python",
            PipFailure::Conflict => "the requirements contradict each other",
            PipFailure::Requirements => "the requirements are malformed",
            PipFailure::Build => "a package has to be built here, and that fails",
            PipFailure::DiskFull => "the disk is full",
            PipFailure::Unknown => "it failed",
        })
    }
}

/// How many lines of a failure are worth telling.
const LINES: usize = 12;
/// How much of one line is: pip lists all versions that there are in one.
const LINE: usize = 300;

/// The lines that matter: pip's errors and what follows them, or else the last ones.
pub(super) fn excerpt(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let error = lines.iter().position(|line| line.trim_start().to_ascii_lowercase().starts_with("error"));
    let from = error.unwrap_or(lines.len().saturating_sub(LINES));
    let cut = |line: &&str| match line.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => (*line).to_owned(),
    };
    lines[from..].iter().take(LINES).map(cut).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_failure_is_understood() {
        let expected = |name: &str| match name {
            "bad-requirement" | "no-such-file" => PipFailure::Requirements,
            "build-failed" => PipFailure::Build,
            "conflict" => PipFailure::Conflict,
            "disk-full" => PipFailure::DiskFull,
            "index-dns" | "proxy-refused" => PipFailure::Index,
            "no-such-package" | "no-such-version" => PipFailure::NoSuchPackage,
            "no-venv" => PipFailure::NoVenv,
            "python-too-old" => PipFailure::PythonVersion,
            _ => panic!("nobody knows what {name} is"),
        };
        let logs = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/pip")).unwrap();
        for path in logs.map(|log| log.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "txt")) {
            let output = std::fs::read_to_string(&path).unwrap();
            assert_eq!(PipFailure::of(&output), expected(path.file_stem().unwrap().to_str().unwrap()), "{path:?}");
            assert!(!excerpt(&output).is_empty() && excerpt(&output).lines().count() <= LINES, "{path:?}");
        }
    }

    #[test]
    fn an_excerpt_begins_with_the_error() {
        let output = "Collecting a\nERROR: Could not find a version\n\nERROR: No matching distribution found for a\n";
        assert_eq!(excerpt(output), "ERROR: Could not find a version\nERROR: No matching distribution found for a");
        assert_eq!(excerpt(&format!("error: {}", "é".repeat(400))).chars().count(), LINE + 1);
        assert_eq!(excerpt(""), "");
    }
}
