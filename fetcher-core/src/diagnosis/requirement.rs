//! Which line of `requirements` a failure asks for.

use super::tools::{bare_name, requirement_of_module};
use super::{Diagnosis, FailureKind};
use crate::failure::phrases::missing;

impl Diagnosis {
    /// The line for `requirements` of `[buildstream]` that would end it: `requests`, say; none where no package is known
    /// to.
    pub fn missing_requirement(&self) -> Option<String> {
        let in_line = |line: &str| match self.kind {
            FailureKind::PythonModuleMissing => missing::module_in(line).map(requirement_of_module),
            FailureKind::PluginMissing => missing::package_in(line).map(|package| bare_name(package).to_owned()),
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
