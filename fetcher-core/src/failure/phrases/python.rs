//! What Python says where packages and interpreters do not fit together, as it is written.

use super::super::FailureKind;
use super::super::line_diagnosis::LineDiagnosis;
use super::sentence::{self, NameIn, SaidSentence, Sentence, says};
use super::{DEFAULT_REMEDY, OwnRemedy, hint};

const BROKEN: OwnRemedy = hint(
    "the Python packages of this bst do not fit together, or not its Python: make the environment anew (a virtual environment \
     of its own, from `requirements`), with a `python` that this BuildStream is made for",
);
const OLD_PYTHON: OwnRemedy = hint(
    "the plugin needs Python {} or newer: say `python = \"python{}\"` (or a newer one) in `[buildstream]`, and install it",
);
const OLD_BST: OwnRemedy = hint(
    "the plugin is made for a newer BuildStream: give `requirements` of `[buildstream]` a newer `buildstream`, or an older \
     release of the plugin",
);
const WHICH_PYTHON: OwnRemedy = hint("say which `python` in `[buildstream]`: this one is too old, or too new");
const OTHER_VERSION: OwnRemedy = hint(
    "the plugin needs another version of {package} than is installed: add the line `{package}>={version}` to `requirements` of \
     `[buildstream]`",
);

/// What an older Python says of what came with the release.
const fn since(release: &'static str, has: &'static [&'static str]) -> Sentence {
    says(has, FailureKind::Environment, OLD_PYTHON).naming(NameIn::Meant(release))
}

/// What packages say that do not fit each other, or their Python.
const fn broken(has: &'static [&'static str]) -> Sentence {
    says(has, FailureKind::Environment, BROKEN)
}

pub(super) const PACKAGES: &[Sentence] = &[
    // What only newer Pythons have.
    since("3.12", &["unexpected keyword argument 'delete_on_close'"]),
    since("3.12", &["unexpected keyword argument 'onexc'"]),
    since("3.12", &["unexpected keyword argument 'walk_up'"]),
    since("3.12", &["unexpected keyword argument 'case_sensitive'"]),
    since("3.12", &["unexpected keyword argument 'filter'", "extract"]),
    since("3.10", &["unexpected keyword argument 'ignore_cleanup_errors'"]),
    since("3.8", &["unexpected keyword argument 'missing_ok'"]),
    since("3.10", &["unexpected keyword argument 'slots'"]),
    since("3.10", &["unexpected keyword argument 'kw_only'"]),
    since("3.10", &["unexpected keyword argument 'root_dir'"]),
    since("3.11", &["unexpected keyword argument 'process_group'"]),
    since("3.11", &["unexpected keyword argument 'include_hidden'"]),
    since("3.13", &["unexpected keyword argument 'recurse_symlinks'"]),
    since("3.10", &["zip() takes no keyword arguments"]),
    since("3.10", &["unsupported operand type(s) for |: 'type'"]),
    since("3.10", &["unsupported operand type(s) for |: '_GenericAlias'"]),
    since("3.9", &["object has no attribute 'removesuffix'"]),
    since("3.9", &["object has no attribute 'removeprefix'"]),
    since("3.12", &["Path' object has no attribute 'walk'"]),
    since("3.13", &["Path' object has no attribute 'full_match'"]),
    since("3.10", &["Path' object has no attribute 'hardlink_to'"]),
    since("3.11", &["object has no attribute 'add_note'"]),
    since("3.12", &["has no attribute 'batched'"]),
    since("3.10", &["has no attribute 'pairwise'"]),
    since("3.11", &["has no attribute 'file_digest'"]),
    since("3.11", &["has no attribute 'chdir'", "contextlib"]),
    since("3.11", &["has no attribute 'TaskGroup'"]),
    since("3.11", &["module 'asyncio' has no attribute 'timeout'"]),
    since("3.9", &["has no attribute 'to_thread'"]),
    since("3.12", &["cannot import name 'batched'"]),
    since("3.12", &["cannot import name 'override' from 'typing'"]),
    since("3.11", &["cannot import name 'Self' from 'typing'"]),
    since("3.11", &["cannot import name 'StrEnum'"]),
    since("3.11", &["cannot import name 'UTC' from 'datetime'"]),
    since("3.13", &["cannot import name 'TypeIs' from 'typing'"]),
    since("3.10", &["cannot import name 'ParamSpec' from 'typing'"]),
    since("3.11", &["No module named 'tomllib'"]),
    since("3.14", &["No module named 'compression'"]),
    // The plugin's.
    says(&["cannot import name ", " from 'buildstream'"], FailureKind::BstVersion, OLD_BST),
    // Modules that newer Pythons do not have any more.
    broken(&["No module named 'asynchat'"]),
    broken(&["No module named 'asyncore'"]),
    broken(&["No module named 'cgi'"]),
    broken(&["No module named 'crypt'"]),
    broken(&["No module named 'imghdr'"]),
    broken(&["No module named 'imp'"]),
    broken(&["No module named 'lib2to3'"]),
    broken(&["No module named 'nntplib'"]),
    broken(&["No module named 'pipes'"]),
    broken(&["No module named 'smtpd'"]),
    broken(&["No module named 'telnetlib'"]),
    // Packages that do not fit each other.
    broken(&["make_metavar() missing"]),
    broken(&["escriptors cannot be created directly"]),
    broken(&["escriptors cannot not be created directly"]),
    broken(&["generated code is out of date and must be regenerated"]),
    broken(&["Detected incompatible Protobuf Gencode/Runtime versions"]),
    broken(&["Detected mismatched Protobuf Gencode/Runtime"]),
    broken(&["but the generated code in "]),
    broken(&["Couldn't build proto file into descriptor pool"]),
    broken(&["from 'google.protobuf"]),
    broken(&["module 'google.protobuf"]),
    broken(&["FieldDescriptor' object has no attribute"]),
    broken(&["No module named '_ruamel_yaml'"]),
    broken(&["No module named 'ruamel.yaml.clib'"]),
    broken(&["_ruamel_yaml"]),
    broken(&["module 'ruamel"]),
    broken(&["\"load()\" has been removed"]),
    broken(&["\"safe_load()\" has been removed"]),
    broken(&["There is no current event loop"]),
    broken(&["no running event loop"]),
    broken(&["undefined symbol:"]),
    broken(&["' not found (required by "]),
    broken(&["compiled using NumPy"]),
    broken(&["bad magic number in"]),
    // A part of BuildStream itself that is not there, or not as it should be.
    broken(&["No such file or directory", INSTALLED_BST]),
    broken(&["alformed YAML", INSTALLED_BST]),
    broken(&[" [line ", INSTALLED_BST]),
];

/// A path into the installed BuildStream.
const INSTALLED_BST: &str = "-packages/buildstream/";

/// A module without what is asked of it: where it is Python's own, this Python is too new, or too old.
pub(super) const LACKING: &[Sentence] = &[
    broken(&["has no attribute"]).naming(NameIn::Quoted("module ")),
    broken(&["cannot import name "]).naming(NameIn::Quoted(" from ")),
];

/// A module that is not there: where it is BuildStream's, that is broken.
pub(super) const ABSENT: &[Sentence] =
    &[broken(&[]).naming(NameIn::Quoted("No module named ")), broken(&[]).naming(NameIn::Quoted(" from "))];

pub(super) const INTERPRETER: &[Sentence] = &[
    says(&["requires a different Python"], FailureKind::Environment, WHICH_PYTHON),
    says(&["is required to run BuildStream"], FailureKind::Environment, WHICH_PYTHON),
];

/// `Dulwich version was (0, 24, 0) but (0, 25) required`, and the like of others.
pub(super) const VERSIONS: &[Sentence] = &[says(&[" version was "], FailureKind::PythonModuleMissing, OTHER_VERSION)
    .naming(NameIn::Between(" but ", " required"))];

/// A job that was stopped at work, because another failed or somebody wanted it: in its traceback.
pub(super) const STOPPED: &[Sentence] = &[
    says(&["in _kill_process_tree"], FailureKind::Interrupted, DEFAULT_REMEDY),
    says(&["TerminateException"], FailureKind::Interrupted, DEFAULT_REMEDY),
    says(&["NoSuchProcess"], FailureKind::Interrupted, DEFAULT_REMEDY),
];

/// What the line says of Python and its packages; where it is an exception's, its class stands in front. `is_library` knows
/// the modules whose contents change with their releases.
pub(crate) fn of_line(line: &str, is_library: fn(&str) -> bool) -> Option<LineDiagnosis> {
    let own = |module: &str| module.starts_with("buildstream.");
    sentence::meaning(PACKAGES, line)
        .or_else(|| sentence::find_named(LACKING, line, is_library).map(|said| said.diagnosis))
        .or_else(|| sentence::find_named(ABSENT, line, own).map(|said| said.diagnosis))
        .or_else(|| sentence::meaning(INTERPRETER, line))
}

/// Which version of a package a plugin wants, as it writes versions; in the remedy stand `{package}` and `{version}`.
pub(crate) fn of_versions(line: &str) -> Option<SaidSentence<'_>> {
    sentence::find(VERSIONS, line)
}

/// bst that cannot even be imported.
pub(crate) fn of_startup() -> LineDiagnosis {
    super::with_remedy(FailureKind::Environment, BROKEN)
}

/// Whether a file of the installed BuildStream is named.
pub(crate) fn is_file_of_bst(text: &str) -> bool {
    text.contains(INSTALLED_BST)
}

/// Whether a line of a traceback is of a job that was stopped at work.
pub(crate) fn of_stopped(line: &str) -> Option<FailureKind> {
    sentence::meaning(STOPPED, line).map(|found| found.kind)
}
