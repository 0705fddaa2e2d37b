//! What notifiers know of where they run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::cancel::Cancel;
use crate::environment::Environment;

/// What notifiers know of the host they run on.
#[derive(Debug, Clone)]
pub(crate) struct NotifierHost {
    /// From which environment theirs is picked, and which proxy there is.
    pub(crate) environment: Environment,
    /// The addresses of the configured projects' repositories, by name.
    #[cfg_attr(not(feature = "webhook"), expect(dead_code, reason = "for forges, which are told by HTTP"))]
    pub(crate) projects: BTreeMap<String, String>,
    /// To whom what they start belongs: see [`LocalRunner::new`](crate::LocalRunner::new).
    pub(crate) owner: OsString,
    /// Where what they start works.
    pub(crate) directory: PathBuf,
    /// What ends it.
    pub(crate) cancel: Cancel,
}
