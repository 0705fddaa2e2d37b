//! What is asked of a sandbox.

use std::path::PathBuf;

use crate::field_text::documented_struct;

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

documented_struct! {
    /// `[sandbox]`: what is asked of the sandbox round a child, beside what the child itself needs.
    ///
    /// Sizes are in bytes; a limit of 0 is none.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct SandboxOptions {
        /// `"auto"`: the best sandbox that this machine has, and a warning where it has none. `"required"`: without
        /// one, or with less than is asked for, no `bst` is started. `"off"`: a project's code may do all that this
        /// user may.
        pub mode: SandboxMode,
        /// Further files and directories that may be read.
        pub read: Vec<PathBuf>,
        /// Further files and directories that may be read and written.
        pub write: Vec<PathBuf>,
        /// How many processes and threads there may be in one sandbox at once. Outside of bubblewrap all of the
        /// user's count.
        pub max_processes: u64,
        /// How large a file may become that is written in it.
        pub max_file_size: u64,
        /// How much address space each process in it may have.
        pub max_memory: u64,
    }
}

documented_struct! {
    /// `[project.credentials]`: what a project's own upstreams ask for. The files are shown to its `bst`, at the places in its
    /// home where git, ssh and libraries of HTTP look for them, and to no other project's.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct UpstreamCredentials {
        /// Users and passwords by host, as in netrc(5): shown as `~/.netrc`.
        pub netrc: Option<PathBuf>,
        /// A private key, shown as `~/.ssh/id_rsa`.
        pub ssh_key: Option<PathBuf>,
        /// The keys of the hosts that are reached over ssh, shown as `~/.ssh/known_hosts`.
        pub known_hosts: Option<PathBuf>,
        /// Settings for git, shown as `~/.gitconfig`.
        pub git_config: Option<PathBuf>,
    }
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
