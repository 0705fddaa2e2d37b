//! What a child sees of the file system, whatever shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::tool::tool_paths;
use crate::runner::Invocation;

/// Directories of programs and libraries: what is there is the system's. `/nix/store` and `/gnu/store` take the place of
/// `/usr` on systems that have them.
pub(super) const SYSTEM: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32", "/nix/store", "/gnu/store"];

/// What programs ask of `/etc`: name service, time zone, certificates, and what the system is.
pub(super) const SETTINGS: [&str; 26] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/os-release",
    "/etc/debian_version",
    "/etc/mime.types",
    "/etc/locale.alias",
    "/etc/ssh/ssh_known_hosts",
];

/// Variables whose values are files or directories that a child is to read: certificates.
const NAMES_FILES: [&str; 7] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSH_AUTH_SOCK",
];

/// What a child sees beside the system, shallow paths first. All paths exist.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Each path with whether it may be written.
    pub(super) paths: BTreeMap<PathBuf, bool>,
}

impl Layout {
    /// What an invocation needs: what it says, what is configured for it, what its command leads to, and the files and
    /// sockets that its environment names.
    ///
    /// # Errors
    /// With the path that was asked for and is not there.
    pub(super) fn of(invocation: &Invocation) -> Result<Self, PathBuf> {
        let (access, options) = (&invocation.access, &invocation.sandbox);
        let search = invocation.environment.get(OsStr::new("PATH")).map(OsString::as_os_str);
        let program = &invocation.command[..invocation.command.len().min(1)];
        let mut read: BTreeSet<PathBuf> = tool_paths(program, search);
        // What is to be written stays so, whichever variable names it.
        let is_written =
            |path: &PathBuf| access.write.iter().chain(&options.write).any(|above| path.starts_with(above));
        let named = invocation.environment.iter().filter_map(|(name, value)| named_by(name, value));
        read.extend(named.filter(|path| !is_written(path)));
        let asked = access.read.iter().chain(&access.write).chain(&options.read).chain(&options.write);
        if let Some(missing) = asked.clone().find(|path| !path.exists()) {
            return Err(missing.clone());
        }
        read.extend(access.read.iter().chain(&options.read).cloned());
        let write = access.write.iter().chain(&options.write).cloned();
        let mut layout = Self::default();
        for (path, writable) in read.into_iter().map(|path| (path, false)).chain(write.map(|path| (path, true))) {
            // Both as it is named and where it really is, for either may be asked for.
            for path in path.canonicalize().into_iter().chain([path]) {
                layout.add(path, writable);
            }
        }
        layout.paths.retain(|path, writable| *writable || !is_of_system(path));
        let all = layout.paths.clone();
        layout.paths.retain(|path, writable| !is_shown_above(&all, path, *writable));
        Ok(layout)
    }

    fn add(&mut self, path: PathBuf, writable: bool) {
        let known = self.paths.entry(path).or_default();
        *known |= writable;
    }

    /// The paths, each after those that it is below.
    pub(super) fn shallow_first(&self) -> Vec<(&Path, bool)> {
        let mut all: Vec<_> = self.paths.iter().map(|(path, writable)| (path.as_path(), *writable)).collect();
        all.sort_by_key(|(path, _)| path.components().count());
        all
    }
}

/// Whether a path comes with a directory above it. Of what may be written there a part may be shown read-only, but no
/// link: what is mounted on one would be mounted where it leads to.
fn is_shown_above(all: &BTreeMap<PathBuf, bool>, path: &Path, writable: bool) -> bool {
    let Some(above) = path.ancestors().skip(1).find_map(|parent| all.get(parent)) else { return false };
    *above == writable || (*above && path.canonicalize().is_ok_and(|real| real != path))
}

/// What is below a directory that is shown whole anyway.
fn is_of_system(path: &Path) -> bool {
    SYSTEM.iter().any(|directory| path.starts_with(directory))
}

/// The file, directory or socket that a variable is for.
fn named_by(name: &OsStr, value: &OsStr) -> Option<PathBuf> {
    let path = Path::new(value);
    let found = path.metadata().ok().filter(|_| path.is_absolute())?;
    // What is handed on by name and is a single file is meant to be read.
    let meant = NAMES_FILES.iter().any(|known| name == *known) || found.is_file() || found.file_type().is_socket();
    meant.then(|| path.to_owned())
}
