//! Pythons and packages that do not fit together: the environment's matter, not the plugin's.

use super::FailureKind;
use super::tools::{between, quoted_after};
use crate::failure::LineDiagnosis;

/// Words of packages that do not fit each other, or their Python.
const BROKEN: [&str; 23] = [
    "make_metavar() missing",
    "escriptors cannot be created directly",
    "escriptors cannot not be created directly",
    "generated code is out of date and must be regenerated",
    "Detected incompatible Protobuf Gencode/Runtime versions",
    "Detected mismatched Protobuf Gencode/Runtime",
    "but the generated code in ",
    "Couldn't build proto file into descriptor pool",
    "from 'google.protobuf",
    "module 'google.protobuf",
    "FieldDescriptor' object has no attribute",
    "No module named '_ruamel_yaml'",
    "No module named 'ruamel.yaml.clib'",
    "_ruamel_yaml",
    "module 'ruamel",
    "\"load()\" has been removed",
    "\"safe_load()\" has been removed",
    "There is no current event loop",
    "no running event loop",
    "undefined symbol:",
    "' not found (required by ",
    "compiled using NumPy",
    "bad magic number in",
];

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

/// What only newer Pythons have: what an older one says, and the release that it came with.
const NEWER: [(&[&str], &str); 38] = [
    (&["unexpected keyword argument 'delete_on_close'"], "3.12"),
    (&["unexpected keyword argument 'onexc'"], "3.12"),
    (&["unexpected keyword argument 'walk_up'"], "3.12"),
    (&["unexpected keyword argument 'case_sensitive'"], "3.12"),
    (&["unexpected keyword argument 'filter'", "extract"], "3.12"),
    (&["unexpected keyword argument 'ignore_cleanup_errors'"], "3.10"),
    (&["unexpected keyword argument 'missing_ok'"], "3.8"),
    (&["unexpected keyword argument 'slots'"], "3.10"),
    (&["unexpected keyword argument 'kw_only'"], "3.10"),
    (&["unexpected keyword argument 'root_dir'"], "3.10"),
    (&["unexpected keyword argument 'process_group'"], "3.11"),
    (&["unexpected keyword argument 'include_hidden'"], "3.11"),
    (&["unexpected keyword argument 'recurse_symlinks'"], "3.13"),
    (&["zip() takes no keyword arguments"], "3.10"),
    (&["unsupported operand type(s) for |: 'type'"], "3.10"),
    (&["unsupported operand type(s) for |: '_GenericAlias'"], "3.10"),
    (&["object has no attribute 'removesuffix'"], "3.9"),
    (&["object has no attribute 'removeprefix'"], "3.9"),
    (&["Path' object has no attribute 'walk'"], "3.12"),
    (&["Path' object has no attribute 'full_match'"], "3.13"),
    (&["Path' object has no attribute 'hardlink_to'"], "3.10"),
    (&["object has no attribute 'add_note'"], "3.11"),
    (&["has no attribute 'batched'"], "3.12"),
    (&["has no attribute 'pairwise'"], "3.10"),
    (&["has no attribute 'file_digest'"], "3.11"),
    (&["has no attribute 'chdir'", "contextlib"], "3.11"),
    (&["has no attribute 'TaskGroup'"], "3.11"),
    (&["module 'asyncio' has no attribute 'timeout'"], "3.11"),
    (&["has no attribute 'to_thread'"], "3.9"),
    (&["cannot import name 'batched'"], "3.12"),
    (&["cannot import name 'override' from 'typing'"], "3.12"),
    (&["cannot import name 'Self' from 'typing'"], "3.11"),
    (&["cannot import name 'StrEnum'"], "3.11"),
    (&["cannot import name 'UTC' from 'datetime'"], "3.11"),
    (&["cannot import name 'TypeIs' from 'typing'"], "3.13"),
    (&["cannot import name 'ParamSpec' from 'typing'"], "3.10"),
    (&["No module named 'tomllib'"], "3.11"),
    (&["No module named 'compression'"], "3.14"),
];

/// Modules that newer Pythons do not have any more.
const REMOVED: [&str; 11] =
    ["asynchat", "asyncore", "cgi", "crypt", "imghdr", "imp", "lib2to3", "nntplib", "pipes", "smtpd", "telnetlib"];

/// What the line says of Python and its packages; where it is an exception's, its class stands in front.
pub(super) fn of_line(line: &str) -> Option<LineDiagnosis> {
    if let Some((_, version)) = NEWER.iter().find(|(words, _)| words.iter().all(|word| line.contains(word))) {
        return Some(needs(version));
    }
    if line.contains("cannot import name ") && line.contains(" from 'buildstream'") {
        return Some(LineDiagnosis::of(FailureKind::BstVersion).hint(
            "the plugin is made for a newer BuildStream: give `requirements` of `[buildstream]` a newer `buildstream`, or an older \
             release of the plugin",
        ));
    }
    if quoted_after(line, "No module named ").is_some_and(|module| REMOVED.contains(&module)) {
        return Some(broken());
    }
    if BROKEN.iter().any(|word| line.contains(word)) || misses_of_library(line) || misses_of_bst(line) {
        return Some(broken());
    }
    if line.contains("requires a different Python") || line.contains("is required to run BuildStream") {
        return Some(
            LineDiagnosis::of(FailureKind::Environment)
                .hint("say which `python` in `[buildstream]`: this one is too old, or too new"),
        );
    }
    wrong_version(line)
}

/// The packages of the environment, or its Python, do not fit together.
pub(super) fn broken() -> LineDiagnosis {
    LineDiagnosis::of(FailureKind::Environment).hint(
        "the Python packages of this bst do not fit together, or not its Python: make the environment anew (a virtual environment \
         of its own, from `requirements`), with a `python` that this BuildStream is made for",
    )
}

/// The plugin was written for a Python at least as new as this.
pub(super) fn needs(version: &str) -> LineDiagnosis {
    LineDiagnosis::of(FailureKind::Environment).hint(format!(
        "the plugin needs Python {version} or newer: say `python = \"python{version}\"` (or a newer one) in `[buildstream]`, and \
         install it"
    ))
}

/// A module of Python's own library without what is asked of it: this Python is too new, or too old.
fn misses_of_library(line: &str) -> bool {
    let module = quoted_after(line, "module ").filter(|_| line.contains("has no attribute"));
    let name = quoted_after(line, "cannot import name ").and_then(|_| quoted_after(line, " from "));
    let top = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    module.or(name).is_some_and(|name| LIBRARY.contains(&top(name).as_str()))
}

/// A part of BuildStream itself that is not there, or not as it should be.
fn misses_of_bst(line: &str) -> bool {
    let module = quoted_after(line, "No module named ").or_else(|| quoted_after(line, " from "));
    let own = module.is_some_and(|name| name.starts_with("buildstream."));
    let missing =
        line.contains("No such file or directory") || line.contains("alformed YAML") || line.contains(" [line ");
    own || (missing && is_file_of_bst(line))
}

/// Whether a file of the installed BuildStream is named.
pub(super) fn is_file_of_bst(text: &str) -> bool {
    text.contains("-packages/buildstream/")
}

/// `Dulwich version was (0, 24, 0) but (0, 25) required`, and the like of others.
fn wrong_version(line: &str) -> Option<LineDiagnosis> {
    let name = line.split(" version was ").next().filter(|_| line.contains(" version was "))?;
    let wanted = between(line, " but ", " required")?;
    let name = name.rsplit(' ').next()?.to_lowercase();
    let version = wanted.trim_end_matches(" or newer").trim_end_matches(" is");
    let version: String = version.replace(", ", ".").chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    Some(LineDiagnosis::of(FailureKind::PythonModuleMissing).hint(format!(
        "the plugin needs another version of {name} than is installed: add the line `{name}>={version}` to `requirements` of \
         `[buildstream]`"
    )))
}
