//! What is said of programs and Python packages that are not there, as it is written.

use super::super::FailureKind;
use super::super::line_diagnosis::LineDiagnosis;
use super::sentence::{self, NameIn, Sentence, says};
use super::{DEFAULT_REMEDY, OwnRemedy, hint};

/// The last of a message of the system's.
const NO_FILE: &str = "No such file or directory";

const OTHER_PLUGINS: OwnRemedy = hint(
    "the installed version of {} does not have the plugin: give `requirements` one that does (`{}>=VERSION`), or correct the \
     plugin's name in project.conf",
);
const OTHER_PACKAGE: OwnRemedy = hint(
    "an installed Python package has the wrong version for the one that uses it: pin both in `requirements` of `[buildstream]`",
);
const WANTED_LINE: OwnRemedy = hint("add the line `{}` to `requirements` of `[buildstream]`");
const WANTED_VERSION: OwnRemedy =
    hint("give the plugins' package the version that the project asks for in `requirements` of `[buildstream]`");

const fn program(has: &'static [&'static str], name: NameIn) -> Sentence {
    says(has, FailureKind::HostToolMissing, DEFAULT_REMEDY).naming(name)
}

/// A program is missing, whatever it is called.
pub(super) const PROGRAMS: &[Sentence] = &[
    program(&[" in PATH"], NameIn::Quoted("Did not find ")),
    program(&["is not a git command", "git: 'lfs'"], NameIn::Meant("git-lfs")),
    program(&["is not a git command", "git: '"], NameIn::Meant("git")),
    program(&["Git lfs not installed"], NameIn::Meant("git-lfs")),
    program(&["Unable to find a suitable pip command"], NameIn::Meant("pip3")),
    program(&["nable to find remote helper for"], NameIn::Meant("git")),
    // git: `error: cannot run ssh: No such file or directory`.
    program(&[], NameIn::Between("cannot run ", ": No such file or directory")),
];

/// A program is missing, or a file: it is a program where it is one that is known.
pub(super) const PROGRAMS_OR_FILES: &[Sentence] = &[
    // A shell: `sh: 1: git-lfs: not found`.
    program(&[], NameIn::LastWord).ending(": command not found"),
    program(&[], NameIn::LastWord).ending(": not found"),
    // Python's subprocess, with a bare name: `[Errno 2] No such file or directory: 'cargo'`.
    program(&[], NameIn::Quoted("No such file or directory: ")),
    program(&["executable file not found"], NameIn::Quoted("exec: ")),
    program(&[], NameIn::Quoted("env: ")).ending(NO_FILE),
];

const fn package(name: NameIn) -> Sentence {
    says(&[], FailureKind::PluginMissing, DEFAULT_REMEDY).naming(name)
}

/// A package of plugins is missing.
pub(super) const PACKAGES: &[Sentence] = &[
    package(NameIn::Between("No package metadata was found for ", "")),
    package(NameIn::Between("The '", "' distribution was not found")),
    package(NameIn::Between("PackageNotFoundError: ", "")),
];

/// A package has another version than the one that is wanted.
pub(super) const OTHER_VERSIONS: &[Sentence] =
    &[says(&[], FailureKind::PluginMissing, OTHER_PLUGINS)
        .naming(NameIn::Between("Pip package ", " does not contain a"))];

/// Versions contradict each other; which is wanted stands beside it.
pub(super) const CONFLICTS: &[Sentence] = &[
    says(&["Version conflict encountered while loading"], FailureKind::PluginMissing, WANTED_VERSION),
    says(&["VersionConflict"], FailureKind::PluginMissing, WANTED_VERSION),
];

/// `pkg_resources` says `(six 1.16.0 (/usr/lib/…), Requirement.parse('six>=2'))`.
pub(super) const WANTED: &[Sentence] = &[
    says(&[], FailureKind::PluginMissing, WANTED_LINE).naming(NameIn::Between("Requirement.parse('", "')")),
    says(&[], FailureKind::PluginMissing, WANTED_LINE).naming(NameIn::Between(" but ", " is required")),
];

/// A Python module is missing.
pub(super) const MODULES: &[Sentence] =
    &[says(&[], FailureKind::PythonModuleMissing, DEFAULT_REMEDY).naming(NameIn::Quoted("No module named "))];

/// A Python module is another than the one that is wanted.
pub(super) const OTHER_MODULES: &[Sentence] =
    &[says(&["cannot import name "], FailureKind::PythonModuleMissing, OTHER_PACKAGE)];

/// The program that the line says is not there; `is_known` knows programs from files.
pub(crate) fn program_in(line: &str, is_known: fn(&str) -> bool) -> Option<&str> {
    sentence::find(PROGRAMS, line)
        .or_else(|| sentence::find_named(PROGRAMS_OR_FILES, line, is_known))
        .map(|said| said.name)
}

/// The package of plugins that the words call missing, with what stands behind it.
pub(crate) fn package_in(words: &str) -> Option<&str> {
    sentence::find(PACKAGES, words).map(|said| said.name)
}

/// The Python module that the words call missing.
pub(crate) fn module_in(words: &str) -> Option<&str> {
    sentence::find(MODULES, words).map(|said| said.name)
}

/// What the line says of a package whose version is another.
pub(crate) fn of_other_version(line: &str) -> Option<LineDiagnosis> {
    sentence::meaning(OTHER_VERSIONS, line)
}

/// Whether the line says that versions contradict each other.
pub(crate) fn is_conflict(line: &str) -> bool {
    sentence::find(CONFLICTS, line).is_some()
}

/// What versions that contradict each other mean; `detail` may say which is wanted.
pub(crate) fn of_conflict(detail: &str) -> LineDiagnosis {
    let wanted = sentence::meaning(WANTED, detail);
    wanted.unwrap_or_else(|| super::with_remedy(FailureKind::PluginMissing, WANTED_VERSION))
}

/// What the line says of a module that is another.
pub(crate) fn of_other_module(line: &str) -> Option<LineDiagnosis> {
    sentence::meaning(OTHER_MODULES, line)
}
