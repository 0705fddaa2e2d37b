//! Pythons and packages that do not fit together: the environment's matter, not the plugin's.

use crate::failure::{LineDiagnosis, phrases};

/// Modules of Python's own library, and of others, whose contents change with their releases.
const LIBRARY: [&str; 31] = [
    "click",
    "dulwich",
    "grpc",
    "jinja2",
    "packaging",
    "psutil",
    "requests",
    "tomlkit",
    "urllib3",
    "argparse",
    "ast",
    "asyncio",
    "collections",
    "configparser",
    "contextlib",
    "enum",
    "fractions",
    "functools",
    "gettext",
    "importlib",
    "inspect",
    "itertools",
    "locale",
    "os",
    "pathlib",
    "pkgutil",
    "shutil",
    "ssl",
    "tarfile",
    "time",
    "typing",
];

/// What the line says of Python and its packages; where it is an exception's, its class stands in front.
pub(super) fn of_line(line: &str) -> Option<LineDiagnosis> {
    phrases::python::of_line(line, is_of_library).or_else(|| wrong_version(line))
}

/// Whether it is a module whose contents change with its releases.
fn is_of_library(module: &str) -> bool {
    LIBRARY.contains(&module.split('.').next().unwrap_or_default())
}

/// A plugin that wants another version of a package, as it writes versions.
fn wrong_version(line: &str) -> Option<LineDiagnosis> {
    let said = phrases::python::of_versions(line)?;
    let name = line.split(" version was ").next()?.rsplit(' ').next()?.to_lowercase();
    let version = said.name.trim_end_matches(" or newer").trim_end_matches(" is");
    let version: String = version.replace(", ", ".").chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    Some(said.diagnosis.filled("{version}", &version).filled("{package}", &name))
}
