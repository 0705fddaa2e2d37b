//! Which line of `requirements` a failure asks for.

use super::tools::{between, quoted_after, requirement_of_module};
use super::{Diagnosis, FailureKind};

impl Diagnosis {
    /// The line for `requirements` of `[buildstream]` that would end it: `requests`, say; none where no package is known
    /// to.
    pub fn missing_requirement(&self) -> Option<String> {
        let in_line = |line: &str| match self.kind {
            FailureKind::PythonModuleMissing => quoted_after(line, "No module named ").map(requirement_of_module),
            FailureKind::PluginMissing => between(line, "No package metadata was found for ", "")
                .or_else(|| between(line, "The '", "' distribution was not found"))
                .or_else(|| between(line, "PackageNotFoundError: ", ""))
                .map(|package| package.trim().trim_matches(['\'', '"', '.']).to_owned()),
            _ => None,
        };
        // What a failing program says goes into a line of a configuration: nothing but the name of a package.
        let fits = |line: &String| {
            let part = |c: char| c.is_ascii_alphanumeric() || "-_.[],<>=!~ ".contains(c);
            line.starts_with(|c: char| c.is_ascii_alphanumeric()) && line.len() <= 200 && line.chars().all(part)
        };
        self.message.lines().find_map(in_line).filter(fits)
    }
}
