//! What is BuildStream's: its releases and their command lines, its configuration, its messages and its refs.
//!
//! Facts about its behaviour were seen in runs of BuildStream 2.8.1 and 1.6.9, or read in their code.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::environment::Environment;
use crate::runner::{Invocation, tool_paths};

mod compare;
#[cfg(feature = "fetcher")]
pub mod conf;
#[cfg(feature = "fetcher")]
pub mod dialect;
pub(crate) mod distributions;
#[cfg(feature = "fetcher")]
pub mod environment;
pub mod inventory;
#[cfg(feature = "fetcher")]
pub(crate) mod known_version;
pub mod messages;
pub mod plugins;
#[cfg(feature = "fetcher")]
pub mod probe;
#[cfg(feature = "fetcher")]
pub(crate) mod project_files;
pub(crate) mod ref_slots;
pub(crate) mod ref_writer;
pub mod refs;
pub(crate) mod spanned_yaml;
pub(crate) mod stored_writer;
pub mod version;
pub(crate) mod yaml;

#[cfg(feature = "fetcher")]
use dialect::Dialect;
use version::BstVersion;

/// A `bst` that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bst {
    /// The program and its first arguments.
    pub command: Vec<OsString>,
    /// Its release.
    pub version: BstVersion,
}

#[cfg(feature = "fetcher")]
impl Bst {
    /// The command line that it understands.
    pub fn dialect(&self) -> Dialect {
        Dialect::of(&self.version)
    }
}

/// A child that is a `bst`, or is asked something of one: `command` is what is configured, of which it sees what that needs.
pub(crate) fn invocation(
    command: &[OsString],
    arguments: impl IntoIterator<Item = OsString>,
    directory: &Path,
    environment: BTreeMap<OsString, OsString>,
) -> Invocation {
    let search = environment.get(OsStr::new("PATH")).map(OsString::as_os_str);
    let needed = tool_paths(command, search);
    Invocation::new(command.iter().cloned().chain(arguments), directory).environment(environment).reads(needed)
}

/// What children get of the caller's environment whatever is configured: where programs and certificates are, who the
/// user is, and what time it is there. A project's plugins are code that runs here, so that nothing else is handed on.
const PASSED: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The environment of a `bst`: a little of the caller's, the variables that `pass_environment` names, and a pinned
/// locale, so that messages come in the form that this library reads.
pub fn child_environment(environment: &Environment, pass_environment: &[String]) -> BTreeMap<OsString, OsString> {
    let names = PASSED.iter().copied().chain(pass_environment.iter().map(String::as_str));
    let mut child: BTreeMap<OsString, OsString> =
        names.filter_map(|name| Some((name.into(), environment.get(name)?.to_owned()))).collect();
    child.insert("LC_ALL".into(), "C.UTF-8".into());
    child.insert("PYTHONUNBUFFERED".into(), "1".into());
    child
}
