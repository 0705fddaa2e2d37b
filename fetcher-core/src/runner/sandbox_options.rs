//! What is asked of a sandbox.

use std::path::PathBuf;

/// Whether a child that runs a project's code is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SandboxMode {
    /// As well as this machine can.
    #[default]
    Auto,
    /// It is, or it does not run.
    Required,
    /// It is not.
    Off,
}

/// `[sandbox]`: what is asked of the sandbox round a child, beside what the child itself needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SandboxOptions {
    /// `mode`.
    pub mode: SandboxMode,
    /// `read`: further paths that may be read.
    pub read: Vec<PathBuf>,
    /// `write`: further paths that may be written.
    pub write: Vec<PathBuf>,
    /// `max-processes`: how many processes and threads there may be in it at once; 0 for as many as the system allows.
    pub max_processes: u64,
    /// `max-file-size`, in bytes; 0 for no limit.
    pub max_file_size: u64,
    /// `max-memory`, in bytes of address space of each process; 0 for no limit.
    pub max_memory: u64,
}

/// `[project.credentials]`: what a project's own upstreams ask for. The files are shown to its `bst`, at the places in its
/// home where git, ssh and libraries of HTTP look for them, and to no other project's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamCredentials {
    /// `netrc`: users and passwords by host, as in netrc(5).
    pub netrc: Option<PathBuf>,
    /// `ssh-key`: a private key.
    pub ssh_key: Option<PathBuf>,
    /// `known-hosts`: the keys of the hosts that are reached over ssh.
    pub known_hosts: Option<PathBuf>,
    /// `git-config`: settings for git.
    pub git_config: Option<PathBuf>,
}

/// What of a user's home serves private upstreams, and the key of [`UpstreamCredentials`] that shows it to a project.
pub const USER_CREDENTIALS: [(&str, &str); 5] = [
    (".netrc", "netrc"),
    (".ssh/id_rsa", "ssh-key"),
    (".ssh/id_ed25519", "ssh-key"),
    (".ssh/known_hosts", "known-hosts"),
    (".gitconfig", "git-config"),
];

impl UpstreamCredentials {
    /// The files by their places in a home.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let Self { netrc, ssh_key, known_hosts, git_config } = self;
        [
            (".netrc", netrc),
            // It is tried whatever sort of key it is.
            (".ssh/id_rsa", ssh_key),
            (".ssh/known_hosts", known_hosts),
            (".gitconfig", git_config),
        ]
        .into_iter()
        .filter_map(|(place, file)| Some((place, file.as_ref()?)))
    }
}
