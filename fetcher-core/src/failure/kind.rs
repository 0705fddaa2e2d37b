//! The sorts of failure: what each means, and who does what about it, declared once.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Actor, Retry};

/// What to do about a sort of failure where nothing more is known of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remedy {
    /// Whether trying again can mend it.
    pub retry: Retry,
    /// Who must act.
    pub actor: Actor,
    /// What they should do.
    pub hint: &'static str,
}

/// Declares [`FailureKind`]: a kind without a meaning and a remedy does not compile. The manual's table is written from it.
macro_rules! kinds {
    ($($(#[doc = $meaning:literal])+ $(#[serde($read:ident)])? $variant:ident => $retry:ident, $actor:ident, $hint:literal;)*) => {
        /// The sorts of failure. Their kebab-case names are stable: reports, metrics and templates use them. A name
        /// that is none of them, in the report of a newer release, is read as [`FailureKind::Unknown`].
        #[non_exhaustive]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum FailureKind {
            $($(#[doc = $meaning])+ $(#[serde($read)])? $variant,)*
        }

        impl FailureKind {
            /// All of them, in the order of the manual.
            pub const ALL: &[FailureKind] = &[$(FailureKind::$variant,)*];

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(FailureKind::$variant => concat!($($meaning),+).trim_ascii_start(),)*
                }
            }

            /// Who does what about it, where nothing more is known.
            pub fn remedy(self) -> Remedy {
                match self {
                    $(FailureKind::$variant => Remedy { retry: Retry::$retry, actor: Actor::$actor, hint: $hint },)*
                }
            }
        }
    };
}

impl FailureKind {
    /// Whether it is the trouble of a host, whichever of what it has is asked for.
    pub fn is_of_host(self) -> bool {
        matches!(
            self,
            FailureKind::Dns
                | FailureKind::Network
                | FailureKind::Tls
                | FailureKind::RateLimited
                | FailureKind::ServerError
        )
    }
}

kinds! {
    /// `bst` was called in a way that it does not understand.
    Usage => No, Host,
        "this bst does not know the command or option: see that `buildstream` in the configuration gives the version \
         that the project is made for, and report it if it does";
    /// The configuration (ours, or BuildStream's own user configuration) is wrong.
    Configuration => No, Host,
        "correct the configuration";
    /// The machine lacks `bst` itself, or it cannot be started.
    BstMissing => No, Host,
        "install BuildStream, or give `requirements` or `command` in `[buildstream]` of the configuration";
    /// What an embedding program runs children with failed: a container engine, a cluster.
    RunnerFailed => Yes, Host,
        "see to what runs `bst` for this program: its container engine, its cluster; BuildStream itself was not come to";
    /// The Python environment of BuildStream could not be made, or is broken: its packages or its Python do not fit together.
    Environment => No, Host,
        "see the words of pip or Python; correct `requirements`, or install what the package is built with";
    /// What runs a project's code was to be confined, and this machine has nothing that does it.
    Unconfined => No, Host,
        "install bubblewrap (Debian and Fedora: bubblewrap), and see `bst-fetcher check --host` for what keeps it from \
         working; `mode` in `[sandbox]` says whether projects may run without";
    /// Projects that do not name the same `trust` use one cache still, for there is no room for a copy of it, or none could be made.
    /// Nothing failed: it is a finding.
    CachesShared => Yes, Host,
        "give the file system of `cache-dir` room for a copy, or let projects that trust each other name the same `trust`";
    /// An upstream refused who had no credentials, while this host has some that the sandbox hides.
    CredentialsHidden => No, Host,
        "name the file in `[project.credentials]` (`netrc`, `ssh-key`, `known-hosts`, `git-config`), which shows it to this \
         project alone";
    /// BuildStream's sandbox tools are missing or do not work.
    Sandbox => No, Host,
        "install bubblewrap (Debian and Fedora: bubblewrap); a host that only fetches may instead make the \
         `buildbox-run` of its private BuildStream non-executable";
    /// The project wants another version of BuildStream.
    BstVersion => No, Host,
        "install the version of BuildStream that the project asks for";
    /// A program that a plugin needs is not installed.
    HostToolMissing => No, Host,
        "install the program, and see that it is in the PATH of this fetcher";
    /// A plugin's Python package is not installed, or has the wrong version.
    PluginMissing => No, Host,
        "add the plugins' package to `requirements` of `[buildstream]`";
    /// A Python module that a plugin imports is not installed.
    PythonModuleMissing => No, Host,
        "add the module's package to `requirements` of `[buildstream]`";
    /// The project uses a plugin that it does not declare.
    PluginUndeclared => No, Project,
        "declare the plugin under `plugins` in project.conf, or correct the `kind`";
    /// The project's own files are wrong: YAML, a missing element or file, a circular dependency, a bad option.
    ProjectInvalid => No, Project,
        "correct the project's files at the place that is named";
    /// The command that the configuration has run before bst (`prepare`) failed.
    PrepareFailed => No, Host,
        "read the end of the command's log: install what it needs, or correct `prepare`; the project's maintainers may \
         have changed what is to be run";
    /// A junction has no ref.
    JunctionNoRef => No, Project,
        "track the junction by its name and commit its ref: nothing behind it can be loaded without";
    /// A junction's sources are not there yet (BuildStream 1 does not fetch them while it loads).
    JunctionNotFetched => Yes, Project,
        "fetch the junction by its name first: nothing behind it can be loaded without";
    /// A source has no ref.
    NoRef => No, Project,
        "track the element and commit its ref; where tracking failed, that failure comes first";
    /// A branch, tag or commit that a source names is not there.
    RefMissing => No, Project,
        "the branch, tag or commit is not in the repository (any more): correct `track` or `ref`, or ask upstream \
         whether it was deleted, renamed or force-pushed";
    /// A downloaded file is not the one that the ref names.
    Checksum => No, Upstream,
        "upstream serves another file under the same address: compare the two, and track the element anew only if \
         the change is honest";
    /// Tracking found other content under an address that had not changed. Nothing failed: it is a finding.
    ChecksumChanged => No, Upstream,
        "upstream now serves other content under the same address: see whether that is honest before the new ref is taken";
    /// An upstream's answer said that nothing had moved, and tracking found something. Nothing failed: it is a finding.
    ProbeMiss => No, Host,
        "sources of this kind are really tracked from now on; when the reason is mended, `bst-fetcher run --force \
         --project P` tracks everything, and believes the probes again that are right";
    /// An upstream will break builds, or has to be looked at. Nothing failed: it is a finding.
    Rot => No, Project,
        "see `bst-fetcher rot`: what each upstream says, which files name it, and what to write there";
    /// A hold's last day is over, and its elements are tracked again. Nothing failed: it is a finding.
    HoldExpired => No, Host,
        "remove the hold from the configuration, or give it a later `until`";
    /// The upstream says that there is no such thing (404, 410).
    NotFound => Once, Project,
        "the address is gone: give the element upstream's new one, or a mirror; if it is private, credentials are missing";
    /// The upstream wants other credentials (401, 403).
    Unauthorised => No, Host,
        "give the fetching host credentials for it: ~/.netrc for downloads, a git credential helper or an ssh key for git; \
         see that a token has not expired";
    /// The upstream asks to be left alone for a while (429).
    RateLimited => Yes, Upstream,
        "the server asks for patience: run less often, lower `scheduler: fetchers`, use a mirror";
    /// The upstream is broken (5xx).
    ServerError => Yes, Upstream,
        "the server is broken: wait, or tell its operators if it lasts";
    /// A name could not be resolved.
    Dns => Yes, Upstream,
        "the host's name is not known: see whether upstream has moved; if other hosts fail too, look at this host's DNS";
    /// A host could not be reached, refused, or stopped in the middle.
    Network => Yes, Upstream,
        "the server did not answer, or stopped in the middle: wait; if other hosts fail too, look at this host's network";
    /// TLS could not be agreed on, or a certificate is not trusted.
    Tls => No, Upstream,
        "the server's certificate is not good: upstream has to mend it; if others fail too, look at this host's \
         clock and its ca-certificates";
    /// The disk is full, or below `min-free-space`.
    DiskFull => No, Host,
        "make space on the file systems of the cache directory and the state directory";
    /// Space was short, and was made by removing what can be had again. Nothing failed: it is a finding.
    SpaceMade => Yes, Host,
        "give the file system more space, or follow fewer projects and branches";
    /// A file or directory cannot be written or read.
    Permission => No, Host,
        "give the user that runs this the right to read and write the file, and see that its file system is not read-only";
    /// The machine is out of memory, open files or processes.
    HostResources => Yes, Host,
        "raise the limits of the service (open files, memory, processes), or lower `jobs` and `scheduler: fetchers`";
    /// The source cache could not be reached.
    CacheUnreachable => Yes, Cache,
        "see that the source cache is up, and that its `url` is right";
    /// The source cache refuses pushes or reads.
    CacheDenied => No, Cache,
        "the source cache does not let this host in: see `auth` in `source-caches`, and the rights that the cache gives it";
    /// The source cache is full.
    CacheFull => Yes, Cache,
        "make space in the source cache, or raise its quota";
    /// The source cache answers what no working cache answers: nothing of what it says is believed.
    CacheWrong => Yes, Cache,
        "see the cache's own log and its disk; until it answers rightly nothing counts as proved to be there";
    /// This host's own cache lacks something of what was fetched.
    CacheIncomplete => Yes, Host,
        "see that the cache directory's disk is sound, that nothing else removes files there, and that `cache: quota` is \
         large enough for everything that is configured";
    /// A push ended without everything being in the cache.
    PushIncomplete => Yes, Cache,
        "not everything reached the source cache, though bst ended well: look into the cache's own log, and push again";
    /// No remote takes pushes.
    NoPushRemote => No, Host,
        "give the project a source cache with `push = true`, or say `push = false`";
    /// buildbox-casd died.
    CasdDied => Yes, Nobody,
        "the next try starts it anew; was it killed for want of memory?";
    /// A git mirror of bst's is corrupt.
    MirrorCorrupt => Yes, Nobody,
        "bst's copy of the repository is damaged: it has to be removed, to be fetched anew";
    /// The stage ran longer than its `timeout`.
    TimeOut => Yes, Nobody,
        "see what it was doing at the end of the log; raise `timeout` if it only needs more. bst also hangs where the \
         disk is full, or its buildbox-casd died";
    /// Somebody stopped the run.
    Interrupted => Yes, Nobody,
        "the next run goes on";
    /// The process was killed by somebody else, or the last run was.
    Killed => Yes, Nobody,
        "see the system's log for who killed it: the kernel does where memory is short (`journalctl -k`)";
    /// Git failed in a way that no other kind names.
    Git => Once, Nobody,
        "read git's words; the whole is in the task's log";
    /// The credentials may not push to the repository, or make requests there.
    PublishDenied => No, Host,
        "give the key or token of `git` and `publish` the right to push branches and to make requests";
    /// A hook or a rule of the forge does not take the commits.
    PublishRefused => No, Project,
        "read the forge's words: a push rule may want another author, subject or signature (`author`, `commit-subject`, \
         `signing-key` of `publish`)";
    /// The branch is protected.
    BranchProtected => No, Project,
        "let this user push to the branch, or give `branch` of `publish` a form that is not protected";
    /// A branch of such a name cannot be beside those that are there.
    BranchExists => No, Host,
        "a branch is in the way: remove it, or give `branch` of `publish` another form";
    /// The branch moved between the look at it and the push: somebody was faster. Nothing was overwritten.
    StaleLease => Yes, Nobody,
        "the next run looks again";
    /// The forge takes no push of this size.
    PushTooLarge => No, Project,
        "see which file is that large, and the limits of the forge";
    /// The commits were pushed, and the forge made no request of them.
    RequestRefused => Once, Host,
        "read the forge's words; correct `base`, `labels`, `assignees` or the token of `publish`";
    /// A tag names another commit than before. Nothing failed: it is a finding.
    MovedTag => No, Upstream,
        "see with upstream whether that is honest before the new ref is taken; moved = \"publish\" proposes such refs, too";
    /// A ref that tracking found cannot be written into the file as it is. Nothing failed: it is a finding.
    RefNotWritten => Once, Project,
        "the next run tries again on the branch as it is then; write the ref by hand if it lasts";
    /// With a ref that tracking found the project does not load on the base branch, or its patches do not apply: the ref is
    /// held back. Nothing failed: it is a finding.
    UpdateBreaks => Once, Project,
        "mend the element, its patches or what it includes on the base branch; what has to move together is a \
         `[[project.group]]`";
    /// Somebody else has committed to a branch that this program pushed. It is left alone. Nothing failed: it is a finding.
    HumanCommits => No, Project,
        "merge or close the request; on-human-commits = \"stack\" or \"new\" goes on beside it";
    /// A request was closed without being merged, or what was merged was taken back: the same is not proposed again. Nothing
    /// failed: it is a finding.
    RequestClosed => No, Project,
        "nothing, if it was meant; else open the request again, or write the ref by hand";
    /// Another run holds the lock for too long.
    LockHeld => Yes, Host,
        "see what the other run does (`bst-fetcher status`, ps), and end it if it hangs";
    /// The configuration or the program could not be updated, or what was changed on the host gave way to an update.
    SelfUpdate => No, Host,
        "see `bst-fetcher status`, and correct what the message names";
    /// Status pages and logs could not be sent to where they are to be seen.
    Upload => No, Host,
        "correct `[upload]`, or see that its destination is there and takes files";
    /// A file of the fetcher's own memory is broken, from a newer release, or cannot be read or written.
    State => Yes, Host,
        "see what the message says of the file: what is broken was set aside beside it, what a newer release wrote wants \
         that release, and what cannot be written wants its permissions or the disk mended";
    /// A notifier could not deliver its message.
    Notifier => No, Host,
        "correct the notifier's table in the configuration; `bst-fetcher notify test` tries it";
    /// A plugin or BuildStream itself has a bug.
    Bug => No, Plugin,
        "report the traceback to the authors of the plugin, or of BuildStream where no plugin is in it";
    /// Nothing that is known; the message shows the lines that matter.
    #[serde(other)]
    Unknown => Once, Host,
        "read the lines that are shown, and the log around them";
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
