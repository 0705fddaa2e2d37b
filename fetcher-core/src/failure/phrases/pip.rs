//! What only pip and venv say, of the requirements and of the Python that they run on.

use super::super::FailureKind;
use super::{FailureDetail, Phrase, only};

/// pip on a package or a version that its index does not have; with or without an index.
pub(super) const NO_VERSION: [&str; 2] = ["distribution", "from versions: none"];

/// What only venv and pip's reader of options say, without a mark of an error before it; as it is written.
pub(super) const UNMARKED: [&str; 3] = ["ensurepip", "No module named venv", "no such option"];

pub(super) const PHRASES: &[Phrase] = &[
    Phrase(&["ensurepip is not"], FailureKind::HostToolMissing, only(FailureDetail::NoVenv)),
    Phrase(&["no module named venv"], FailureKind::HostToolMissing, only(FailureDetail::NoVenv)),
    Phrase(&["no module named ensurepip"], FailureKind::HostToolMissing, only(FailureDetail::NoVenv)),
    Phrase(&["resolutionimpossible"], FailureKind::Environment, only(FailureDetail::Conflict)),
    Phrase(&["that require a different python version"], FailureKind::Environment, only(FailureDetail::PythonVersion)),
    Phrase(&["requires a different python"], FailureKind::Environment, only(FailureDetail::PythonVersion)),
    Phrase(&["invalid requirement"], FailureKind::Environment, only(FailureDetail::Requirements)),
    Phrase(&["could not open requirements file"], FailureKind::Environment, only(FailureDetail::Requirements)),
    Phrase(&["is not installable"], FailureKind::Environment, only(FailureDetail::Requirements)),
    Phrase(&["no such option"], FailureKind::Environment, only(FailureDetail::Requirements)),
    Phrase(&["subprocess-exited-with-error"], FailureKind::Environment, only(FailureDetail::PackageBuild)),
    Phrase(&["failed building wheel"], FailureKind::Environment, only(FailureDetail::PackageBuild)),
    Phrase(&["metadata-generation-failed"], FailureKind::Environment, only(FailureDetail::PackageBuild)),
    Phrase(&["failed to build"], FailureKind::Environment, only(FailureDetail::PackageBuild)),
];
