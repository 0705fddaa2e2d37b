//! What bst says of its configuration, of the project's files, of its plugins and of builds, as it is written.

use super::super::FailureKind;
use super::super::line_diagnosis::LineDiagnosis;
use super::sentence::{self, NameIn, Sentence, begins, says};
use super::{DEFAULT_REMEDY, OwnRemedy, hint, project};

/// Python's logging of a format that has a name it does not know.
pub(super) const MESSAGE_FORMAT: OwnRemedy =
    hint("correct `logging: message-format`: this bst does not know the name in it");
const USER_CONFIG: OwnRemedy =
    hint("correct `config` of `[buildstream]`, or the user configuration that bst was called with, at the place named");
const NO_USER_CONFIG: OwnRemedy =
    hint("the user configuration that bst was called with is not there, or cannot be read");
const CREDENTIALS_FILE: OwnRemedy =
    hint("the file is not there, or cannot be read: correct `auth` of the cache in `source-caches`, or renew the file");
const NO_OPTION: OwnRemedy =
    hint("the project has no option {}: correct `options` (or `variants`) in the configuration");
const UNTRACKABLE: OwnRemedy = hint(
    "tracking across junctions needs `ref-storage: project.refs` in the project: say `cross-junctions = false`, or \
     have the project changed",
);
const NO_PROJECT: OwnRemedy = hint(
    "there is no project.conf here: correct the project's `directory` in the configuration, or `branches`, where the \
     project is on another branch",
);
const FOR_BST_1: OwnRemedy = hint(
    "the project is one for BuildStream 1: give it a `buildstream` table of its own with the requirements \
     `buildstream==1.6.*` and `ruamel.yaml<0.18`, and a `python` of at most 3.11; install libfuse 2 and bubblewrap, without \
     which it does not start (Debian: libfuse2, bubblewrap; Fedora: fuse-libs, bubblewrap)",
);
const OTHER_BST: OwnRemedy = hint(
    "the project needs BuildStream {version}: say so in `requirements` of `[buildstream]` (`buildstream{requirement}`), for this \
     project alone where others need another",
);
const OLD_PLUGIN: OwnRemedy = project(
    "the plugin is one for BuildStream 1: the project has to take its successor, from buildstream-plugins or \
     buildstream-plugins-community as a rule",
);
const UNDECLARED: OwnRemedy =
    hint("declare the plugin `{}` under `plugins` in project.conf, or correct the element's `kind`");
const NO_TARGET: OwnRemedy =
    hint("there is no such element: correct `targets` in the configuration, or `defaults: targets` in project.conf");
const NO_ELEMENT_NAME: OwnRemedy = hint(
    "elements' names end in `.bst`: correct the name where the project says it, or in `targets` of the configuration",
);
const OF_LOADING: OwnRemedy = hint(
    "correct the project's files at the place that is named; without `targets`, and `defaults: targets` in project.conf, bst \
     loads every file there is: where this one is not meant to be used, say which are in `targets` of the configuration",
);
const OF_BUILD: OwnRemedy =
    hint("the build failed, which is the project's matter: see its log. This fetcher does not build");

pub(super) const CONFIGURATION: &[Sentence] = &[
    begins("Error loading user configuration", FailureKind::Configuration, USER_CONFIG),
    says(&["Failed to load credentials file"], FailureKind::Configuration, CREDENTIALS_FILE),
    says(&["FormattingError"], FailureKind::Configuration, MESSAGE_FORMAT),
    says(&[], FailureKind::Configuration, NO_OPTION)
        .naming(NameIn::Quoted("Unknown option "))
        .ending("on the command line"),
    begins("Untrackable sources", FailureKind::Configuration, UNTRACKABLE),
    begins("Unable to determine default targets", FailureKind::Configuration, NO_PROJECT),
    says(&["None of ", "found in "], FailureKind::Configuration, NO_PROJECT),
    says(&["No project.conf or active workspace was located"], FailureKind::Configuration, NO_PROJECT),
];

/// What click says of bst's command line, and nobody else of anything (many programs begin with `Error: `).
pub(super) const COMMAND_LINE: &[Sentence] = &[
    usage("Error: No such command "),
    usage("Error: No such option"),
    usage("Error: no such option"),
    usage("Error: Missing argument"),
    usage("Error: Missing option"),
    usage("Error: Missing command"),
    usage("Error: Missing parameter"),
    usage("Error: Invalid value for "),
    usage("Error: Invalid value: "),
    usage("Error: Option '-"),
    usage("Error: Argument '"),
    usage("Error: -- argument"),
    usage("Error: Could not open file '"),
    usage("Error: Got unexpected "),
    usage("Error: option requires "),
    usage("Error: ").ending("option requires an argument"),
];

/// Which of click's words are about the configuration that bst is given.
pub(super) const CONFIG_OPTION: &[Sentence] = &[
    says(&["'--config'"], FailureKind::Configuration, NO_USER_CONFIG),
    says(&["'-c'"], FailureKind::Configuration, NO_USER_CONFIG),
];

/// Versions do not fit; which is wanted stands under the line.
pub(super) const MISMATCHES: &[Sentence] = &[says(&["Version mismatch"], FailureKind::BstVersion, DEFAULT_REMEDY)];

/// The version that is wanted, or a newer one.
pub(super) const AT_LEAST: &[Sentence] = &[wants(NameIn::Between("requires at least BuildStream ", ","))];
/// The version that is wanted.
pub(super) const EXACTLY: &[Sentence] = &[wants(NameIn::Between("requires BuildStream ", ","))];

/// The project is one for BuildStream 1; the second may stand under the line.
pub(super) const BST_1: &[Sentence] = &[says(&["expected key 'min-version'"], FailureKind::BstVersion, FOR_BST_1)];
pub(super) const BST_1_DETAILS: &[Sentence] =
    &[says(&["use a BuildStream 1 project"], FailureKind::BstVersion, FOR_BST_1)];

/// The version that a line of its own asks for.
pub(super) const VERSIONS: &[Sentence] = &[
    says(&["BuildStream 2 project with BuildStream 1"], FailureKind::BstVersion, OTHER_BST).naming(NameIn::Meant("2")),
    // BuildStream 1: `Project requested format version 99, but BuildStream 1.6.9 only supports up until format version 18`.
    says(&["only supports up until format version"], FailureKind::BstVersion, OTHER_BST)
        .naming(NameIn::Meant("1, a newer release")),
];
/// The same of a plugin: the version, or a newer one.
pub(super) const PLUGIN_VERSIONS: &[Sentence] =
    &[wants(NameIn::Between(" requires BuildStream ", ", but is being loaded"))];

pub(super) const ELEMENTS: &[Sentence] = &[
    says(&["did not specify BST_MIN_VERSION"], FailureKind::PluginMissing, OLD_PLUGIN),
    says(&["Subproject has no ref for junction"], FailureKind::JunctionNoRef, DEFAULT_REMEDY),
    says(&["Subproject fetch needed for junction"], FailureKind::JunctionNotFetched, DEFAULT_REMEDY),
    says(&["is inconsistent"], FailureKind::NoRef, DEFAULT_REMEDY),
    begins("Inconsistent pipeline", FailureKind::NoRef, DEFAULT_REMEDY),
    // In BuildStream 1 `No Source type registered for kind 'x'`; where there is more than one, it says so otherwise.
    undeclared(&["No ", "plugin registered for kind"]),
    undeclared(&["No ", "type registered for kind"]),
    // A target that is not there may be the configuration's mistake as well.
    begins("Could not find element", FailureKind::ProjectInvalid, NO_TARGET),
    says(&["does not have expected file extension"], FailureKind::ProjectInvalid, NO_ELEMENT_NAME),
    says(&["Invalid element names or element glob patterns"], FailureKind::ProjectInvalid, NO_ELEMENT_NAME),
    says(&["does not appear to be an artifact or element name"], FailureKind::ProjectInvalid, NO_ELEMENT_NAME),
    // What stops the loading of an element that need not be wanted.
    says(&["alformed YAML"], FailureKind::ProjectInvalid, OF_LOADING),
    says(&["undefined variable"], FailureKind::ProjectInvalid, OF_LOADING),
    says(&["Unresolved variable"], FailureKind::ProjectInvalid, OF_LOADING),
    says(&["Specified path '"], FailureKind::ProjectInvalid, OF_LOADING),
    says(&["Could not find file"], FailureKind::ProjectInvalid, OF_LOADING),
    says(&["No element file"], FailureKind::ProjectInvalid, OF_LOADING),
    // What else is wrong with files of the project's.
    says(&["Unexpected key"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["did not contain expected key"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["is not of the expected type"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Could not find element"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Could not find junction"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Circular dependency detected"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Circular reference while searching"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Circular variable reference"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Dependency depth is too large"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Cyclic variable reference"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Invalid alias"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["is invalid in the parent project"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["did not provide a mapping for alias"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["URI found for alias"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Cannot depend on junction"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Expected junction but element kind is"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Dependencies are forbidden for 'junction'"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["was loaded in multiple contexts"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Invalid value"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Unknown option '"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Failed to evaluate expression"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Invalid project name"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["is a directory"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["has an invalid extension"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["invalid characters in its name"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["does not declare a"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["was not specified as a relative path"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Failed to apply patch"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Could not find base directory matching pattern"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["cannot be the first source of an element"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["cannot be specified conditionally"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Conditional statement has more than one key"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["can be composed"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["trying to recursively include"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["No values specified for"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["to override subproject junction"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["Cannot track source in a fragment"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
    says(&["provenance attribute not defined"], FailureKind::ProjectInvalid, DEFAULT_REMEDY),
];

/// A build that failed.
pub(super) const BUILDS: &[Sentence] = &[begins("Command failed", FailureKind::ProjectInvalid, OF_BUILD)];

/// What the sources on git say at work, where nothing else is known.
pub(super) const GIT_SOURCES: &[Sentence] = &[
    says(&["git source"], FailureKind::Git, DEFAULT_REMEDY),
    says(&["git_tag source"], FailureKind::Git, DEFAULT_REMEDY),
    says(&["git_repo source"], FailureKind::Git, DEFAULT_REMEDY),
    says(&["git_module source"], FailureKind::Git, DEFAULT_REMEDY),
    says(&["git repository"], FailureKind::Git, DEFAULT_REMEDY),
    says(&["git mirror"], FailureKind::Git, DEFAULT_REMEDY),
];

/// Tracking found other content.
pub(super) const WARNINGS: &[Sentence] = &[says(&["man-in-the-middle"], FailureKind::ChecksumChanged, DEFAULT_REMEDY)];

/// What `source push` stumbles over where the fetch queue of its own loading had to fetch a junction.
const SECOND_QUEUE: &str = "Trying to add task group";

const fn usage(with: &'static str) -> Sentence {
    begins(with, FailureKind::Usage, DEFAULT_REMEDY)
}

const fn wants(version: NameIn) -> Sentence {
    says(&[], FailureKind::BstVersion, OTHER_BST).naming(version)
}

const fn undeclared(has: &'static [&'static str]) -> Sentence {
    says(has, FailureKind::PluginUndeclared, UNDECLARED).naming(NameIn::Quoted("registered for kind "))
}

/// What the line says of bst's configuration or command line.
pub(crate) fn of_configuration(line: &str) -> Option<LineDiagnosis> {
    let click = || {
        let usage = sentence::meaning(COMMAND_LINE, line)?;
        Some(sentence::meaning(CONFIG_OPTION, line).unwrap_or(usage))
    };
    sentence::meaning(CONFIGURATION, line).or_else(click)
}

/// What the line says of the version of bst that is wanted; `detail` are the lines under it.
pub(crate) fn of_version(line: &str, detail: &str) -> Option<LineDiagnosis> {
    let at_least = |table, text| sentence::find(table, text).map(|said| wanted(said, true));
    let exactly = |table, text| sentence::find(table, text).map(|said| wanted(said, false));
    if let Some(found) = sentence::meaning(MISMATCHES, line) {
        return Some(at_least(AT_LEAST, detail).or_else(|| exactly(EXACTLY, detail)).unwrap_or(found));
    }
    sentence::meaning(BST_1, line)
        .or_else(|| sentence::meaning(BST_1_DETAILS, detail))
        .or_else(|| exactly(VERSIONS, line))
        .or_else(|| at_least(PLUGIN_VERSIONS, line))
}

/// The diagnosis with the version that is wanted: `3` is `==3.*`, `2.99` or newer `>=2.99`; what is neither has no line.
fn wanted(said: sentence::SaidSentence<'_>, or_newer: bool) -> LineDiagnosis {
    let version = said.name;
    let requirement = match version.contains(' ') {
        false if or_newer => format!(">={version}"),
        false if version.bytes().all(|byte| byte.is_ascii_digit()) => format!("=={version}.*"),
        _ => String::new(),
    };
    if version == "1" && !or_newer {
        return super::with_remedy(said.diagnosis.kind, FOR_BST_1);
    }
    let told = if or_newer { format!("{version} or newer") } else { version.to_owned() };
    said.diagnosis.filled("{requirement}", &requirement).filled("{version}", &told)
}

/// What the line says of the project's junctions, plugins and files.
pub(crate) fn of_elements(line: &str) -> Option<LineDiagnosis> {
    sentence::meaning(ELEMENTS, line)
}

/// Whether the text is bst's of a build that failed.
pub(crate) fn is_of_build(text: &str) -> bool {
    sentence::find(BUILDS, text).is_some()
}

/// What a build that failed means.
pub(crate) fn of_build() -> LineDiagnosis {
    super::with_remedy(FailureKind::ProjectInvalid, OF_BUILD)
}

/// What the text says, where it is a source's on git, and nothing more is known.
pub(crate) fn of_git_source(text: &str) -> Option<LineDiagnosis> {
    sentence::meaning(GIT_SOURCES, text)
}

/// What a warning says that fails nothing.
pub(crate) fn of_warning(text: &str) -> Option<FailureKind> {
    sentence::meaning(WARNINGS, text).map(|found| found.kind)
}

/// Whether a push stumbled over a second fetch queue: the same command works then.
pub(crate) fn is_second_fetch_queue(text: &str) -> bool {
    text.contains(SECOND_QUEUE)
}
