//! What bst says of its configuration, of the project's files and of its plugins.

use super::FailureKind;
use super::place::provenance;
use crate::failure::LineDiagnosis;
use crate::failure::phrases::bst;

/// What the line says, `detail` being the lines under it.
pub(super) fn of_line(line: &str, detail: &str) -> Option<LineDiagnosis> {
    bst::of_configuration(line).or_else(|| bst::of_version(line, detail)).or_else(|| bst::of_elements(line))
}

/// What the line says where nothing else is known of it: the project's files are wrong wherever it names a place in them.
pub(super) fn by_place(line: &str) -> Option<LineDiagnosis> {
    provenance(line).map(|_| LineDiagnosis::of(FailureKind::ProjectInvalid))
}
