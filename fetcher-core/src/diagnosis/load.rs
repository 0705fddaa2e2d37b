//! What bst says of its configuration, of the project's files and of its plugins.

use super::place::provenance;
use super::tools::{between, quoted_after};
use super::{Actor, FailureKind, Retry};
use crate::failure::LineDiagnosis;

/// What the line says, `detail` being the lines under it.
pub(super) fn of_line(line: &str, detail: &str) -> Option<LineDiagnosis> {
    configuration(line).or_else(|| version(line, detail)).or_else(|| junction(line)).or_else(|| project(line))
}

/// What the line says where nothing else is known of it: the project's files are wrong wherever it names a place in them.
pub(super) fn by_place(line: &str) -> Option<LineDiagnosis> {
    provenance(line).map(|_| LineDiagnosis::of(FailureKind::ProjectInvalid))
}

fn configuration(line: &str) -> Option<LineDiagnosis> {
    if line.starts_with("Error loading user configuration") {
        return Some(
            LineDiagnosis::of(FailureKind::Configuration)
                .hint("correct `config` of `[buildstream]`, or the user configuration that bst was called with, at the place named"),
        );
    }
    if line.contains("Failed to load credentials file") {
        return Some(LineDiagnosis::of(FailureKind::Configuration).hint(
            "the file is not there, or cannot be read: correct `auth` of the cache in `source-caches`, or renew the file",
        ));
    }
    if line.contains("FormattingError") {
        return Some(
            LineDiagnosis::of(FailureKind::Configuration)
                .hint("correct `logging: message-format`: this bst does not know the name in it"),
        );
    }
    if let Some(option) = quoted_after(line, "Unknown option ").filter(|_| line.ends_with("on the command line")) {
        return Some(LineDiagnosis::of(FailureKind::Configuration).hint(format!(
            "the project has no option {option}: correct `options` (or `variants`) in the configuration"
        )));
    }
    if line.starts_with("Untrackable sources") {
        return Some(LineDiagnosis::of(FailureKind::Configuration).hint(
            "tracking across junctions needs `ref-storage: project.refs` in the project: say `cross-junctions = false`, or \
             have the project changed",
        ));
    }
    if line.starts_with("Unable to determine default targets")
        || (line.contains("None of ") && line.contains("found in "))
        || line.contains("No project.conf or active workspace was located")
    {
        return Some(
            LineDiagnosis::of(FailureKind::Configuration)
                .hint(
                    "there is no project.conf here: correct the project's `directory` in the configuration, or `branches`, where the \
                     project is on another branch",
                ),
        );
    }
    click(line)
}

/// What click says of bst's command line, and nobody else of anything (many programs begin with `Error: `).
fn click(line: &str) -> Option<LineDiagnosis> {
    const FORMS: [&str; 16] = [
        "No such command ",
        "No such option",
        "no such option",
        "Missing argument",
        "Missing option",
        "Missing command",
        "Missing parameter",
        "Invalid value for ",
        "Invalid value: ",
        "Got unexpected extra argument",
        "Option '-",
        "Argument '",
        "-- argument",
        "Could not open file '",
        "Got unexpected ",
        "option requires ",
    ];
    let words = line.strip_prefix("Error: ")?;
    if !FORMS.iter().any(|form| words.starts_with(form)) && !words.ends_with("option requires an argument") {
        return None;
    }
    if line.contains("'--config'") || line.contains("'-c'") {
        return Some(
            LineDiagnosis::of(FailureKind::Configuration)
                .hint("the user configuration that bst was called with is not there, or cannot be read"),
        );
    }
    Some(LineDiagnosis::of(FailureKind::Usage))
}

fn version(line: &str, detail: &str) -> Option<LineDiagnosis> {
    let needs = |version: &str| {
        match version {
        "1" => LineDiagnosis::of(FailureKind::BstVersion).hint(
            "the project is one for BuildStream 1: give it a `buildstream` table of its own with the requirements \
             `buildstream==1.6.*` and `ruamel.yaml<0.18`, and a `python` of at most 3.11; install libfuse 2 and bubblewrap, without \
             which it does not start (Debian: libfuse2, bubblewrap; Fedora: fuse-libs, bubblewrap)",
        ),
        _ => LineDiagnosis::of(FailureKind::BstVersion).hint(format!(
            "the project needs BuildStream {version}: say so in `requirements` of `[buildstream]` (`buildstream{}`), for this \
             project alone where others need another",
            requirement(version)
        )),
    }
    };
    if line.contains("Version mismatch") {
        let wanted =
            between(detail, "requires at least BuildStream ", ",").map(|version| format!("{version} or newer"));
        let wanted = wanted.or_else(|| between(detail, "requires BuildStream ", ",").map(str::to_owned));
        return Some(wanted.map_or_else(|| LineDiagnosis::of(FailureKind::BstVersion), |wanted| needs(&wanted)));
    }
    if line.contains("expected key 'min-version'") || detail.contains("use a BuildStream 1 project") {
        return Some(needs("1"));
    }
    if line.contains("BuildStream 2 project with BuildStream 1") {
        return Some(needs("2"));
    }
    // BuildStream 1: `Project requested format version 99, but BuildStream 1.6.9 only supports up until format version 18`.
    if line.contains("only supports up until format version") {
        return Some(needs("1, a newer release"));
    }
    if let Some(wanted) = between(line, " requires BuildStream ", ", but is being loaded") {
        return Some(needs(&format!("{wanted} or newer")));
    }
    if line.contains("did not specify BST_MIN_VERSION") {
        return Some(LineDiagnosis::of(FailureKind::PluginMissing).actor(Actor::Project).hint(
            "the plugin is one for BuildStream 1: the project has to take its successor, from buildstream-plugins or \
             buildstream-plugins-community as a rule",
        ));
    }
    None
}

/// `3` → `==3.*`; `2.99 or newer` → `>=2.99`; what is neither gets nothing.
fn requirement(version: &str) -> String {
    match version.split_once(' ') {
        Some((version, "or newer")) => format!(">={version}"),
        None if version.bytes().all(|byte| byte.is_ascii_digit()) => format!("=={version}.*"),
        _ => String::new(),
    }
}

fn junction(line: &str) -> Option<LineDiagnosis> {
    if line.contains("Subproject has no ref for junction") {
        return Some(LineDiagnosis::of(FailureKind::JunctionNoRef));
    }
    if line.contains("Subproject fetch needed for junction") {
        return Some(LineDiagnosis::of(FailureKind::JunctionNotFetched));
    }
    if line.contains("is inconsistent") || line.starts_with("Inconsistent pipeline") {
        return Some(LineDiagnosis::of(FailureKind::NoRef));
    }
    None
}

/// What bst says of files of the project's that are wrong.
const LOAD_ERRORS: [&str; 44] = [
    "alformed YAML",
    "Unexpected key",
    "did not contain expected key",
    "is not of the expected type",
    "Could not find element",
    "Could not find file",
    "Could not find junction",
    "No element file",
    "Circular dependency detected",
    "Circular reference while searching",
    "Circular variable reference",
    "Dependency depth is too large",
    "undefined variable",
    "Unresolved variable",
    "Cyclic variable reference",
    "Specified path '",
    "Invalid alias",
    "is invalid in the parent project",
    "did not provide a mapping for alias",
    "URI found for alias",
    "Cannot depend on junction",
    "Expected junction but element kind is",
    "Dependencies are forbidden for 'junction'",
    "was loaded in multiple contexts",
    "Invalid value",
    "Unknown option '",
    "Failed to evaluate expression",
    "Invalid project name",
    "is a directory",
    "has an invalid extension",
    "invalid characters in its name",
    "does not declare a",
    "was not specified as a relative path",
    "Failed to apply patch",
    "Could not find base directory matching pattern",
    "cannot be the first source of an element",
    "cannot be specified conditionally",
    "Conditional statement has more than one key",
    "can be composed",
    "trying to recursively include",
    "No values specified for",
    "to override subproject junction",
    "Cannot track source in a fragment",
    "provenance attribute not defined",
];

fn project(line: &str) -> Option<LineDiagnosis> {
    if let Some(kind) = registered_kind(line) {
        return Some(LineDiagnosis::of(FailureKind::PluginUndeclared).hint(format!(
            "declare the plugin `{kind}` under `plugins` in project.conf, or correct the element's `kind`"
        )));
    }
    // A target that is not there may be the configuration's mistake as well.
    if line.starts_with("Could not find element") {
        return Some(LineDiagnosis::of(FailureKind::ProjectInvalid).hint(
            "there is no such element: correct `targets` in the configuration, or `defaults: targets` in project.conf",
        ));
    }
    if line.contains("does not have expected file extension")
        || line.contains("Invalid element names or element glob patterns")
        || line.contains("does not appear to be an artifact or element name")
    {
        return Some(LineDiagnosis::of(FailureKind::ProjectInvalid).hint(
            "elements' names end in `.bst`: correct the name where the project says it, or in `targets` of the configuration",
        ));
    }
    let verdict = LineDiagnosis::of(FailureKind::ProjectInvalid).retry(Retry::No).hint(
        "correct the project's files at the place that is named; without `targets`, and `defaults: targets` in project.conf, bst \
         loads every file there is: where this one is not meant to be used, say which are in `targets` of the configuration",
    );
    if is_of_loading(line) {
        return Some(verdict);
    }
    LOAD_ERRORS
        .iter()
        .any(|word| line.contains(word))
        .then(|| LineDiagnosis::of(FailureKind::ProjectInvalid).retry(Retry::No))
}

/// What stops the loading of an element that need not be wanted.
fn is_of_loading(line: &str) -> bool {
    const LOADING: [&str; 6] = [
        "alformed YAML",
        "undefined variable",
        "Unresolved variable",
        "Specified path '",
        "Could not find file",
        "No element file",
    ];
    LOADING.iter().any(|word| line.contains(word))
}

/// `No source plugin registered for kind 'x'`, in BuildStream 1 `No Source type registered for kind 'x'`.
fn registered_kind(line: &str) -> Option<&str> {
    let begin = line.find("plugin registered for kind").or_else(|| line.find("type registered for kind"))?;
    quoted_after(&line[begin..], "registered for kind ").filter(|_| !line.contains("More than one"))
}
