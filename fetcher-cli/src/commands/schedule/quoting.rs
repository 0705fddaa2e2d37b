//! Paths as systemd's units have them.

use std::path::Path;

/// A path as a word of a command line (systemd.service(5)).
pub(super) fn word(path: &Path) -> String {
    let text =
        path.display().to_string().replace('\\', r"\\").replace('"', "\\\"").replace('$', "$$").replace('%', "%%");
    if text.contains([' ', '\'', '"', ';', '\\']) { format!("\"{text}\"") } else { text }
}

/// A path in a list of paths, where quotes hold spaces together.
pub(super) fn writable_path(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%");
    if text.contains(' ') { format!("\"{text}\"") } else { text }
}
