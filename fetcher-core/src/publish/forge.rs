//! What this program needs of a forge: one narrow trait, and the forges that it knows.

#[cfg(feature = "forge")]
mod api;
mod choose;
mod gerrit;
#[cfg(feature = "forge")]
mod gitea;
mod gitea_agit;
#[cfg(feature = "forge")]
mod github;
#[cfg(feature = "forge")]
mod github_app;
#[cfg(feature = "forge")]
mod gitlab;
mod gitlab_push;

use std::fmt;

use thiserror::Error;

use crate::names::{BranchName, CommitId};
use crate::secret::Secret;

pub(crate) use choose::configured_forge;

/// What runs where requests go. An embedding program can bring its own.
///
/// It is only asked, and told, what is in its methods; branches are pushed with git.
///
/// ```no_run
/// use fetcher_core::publish::{Forge, ForgeError, ForgeRequest, RequestDraft};
/// use fetcher_core::{BranchName, Config, Environment, Fetcher, RunSelection};
///
/// /// A review by whoever reads the list: nobody can be asked what became of a request.
/// #[derive(Debug)]
/// struct ReviewList;
///
/// impl Forge for ReviewList {
///     fn name(&self) -> &str {
///         "the list"
///     }
///     fn requests(&self, _: &BranchName, _: &BranchName) -> Result<Option<Vec<ForgeRequest>>, ForgeError> {
///         Ok(None)
///     }
///     fn open(&self, draft: &RequestDraft) -> Result<Option<ForgeRequest>, ForgeError> {
///         println!("To merge {} into {}: {}\n\n{}", draft.branch, draft.base, draft.title, draft.body);
///         Ok(None)
///     }
///     fn update(&self, _: &ForgeRequest, draft: &RequestDraft) -> Result<(), ForgeError> {
///         println!("{} was brought up to date", draft.branch);
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let environment = Environment::of_this_process();
/// let config = Config::load("/etc/bst-fetcher/config.toml", &environment)?;
/// Fetcher::new(config, environment).forge(ReviewList).run(&RunSelection::all(), &mut |_| ())?;
/// # Ok(())
/// # }
/// ```
pub trait Forge: Send + Sync + fmt::Debug {
    /// Its name, for messages.
    fn name(&self) -> &str;

    /// How the commits of a request get there.
    fn route(&self, draft: &RequestDraft) -> PushRoute {
        let _ = draft;
        PushRoute::default()
    }

    /// The requests that there are, or were, of a branch to a base, the newest first; none where that cannot be asked.
    ///
    /// # Errors
    /// When the forge does not answer, or not as such a forge does.
    fn requests(&self, branch: &BranchName, base: &BranchName) -> Result<Option<Vec<ForgeRequest>>, ForgeError>;

    /// Makes a request of a branch that was pushed; none where the push itself has made it.
    ///
    /// # Errors
    /// When the forge refuses it, or does not answer.
    fn open(&self, draft: &RequestDraft) -> Result<Option<ForgeRequest>, ForgeError>;

    /// Gives an open request the title and text of a draft; and has it merge by itself, if the draft is to and it does not.
    ///
    /// # Errors
    /// When the forge refuses it, or does not answer.
    fn update(&self, request: &ForgeRequest, draft: &RequestDraft) -> Result<(), ForgeError>;

    /// The user and the password with which branches are pushed over https where the configuration names none; none where
    /// the forge gives no such thing.
    ///
    /// # Errors
    /// When the forge refuses it, or does not answer.
    fn push_credential(&self) -> Result<Option<(String, Secret)>, ForgeError> {
        Ok(None)
    }

    /// What a forge said after a push that git took for a success.
    fn answer(&self, remote: &[String]) -> PushAnswer {
        PushAnswer { url: first_url(remote), warning: None, request: None }
    }

    /// The reference that holds the commits of a request, where that is not a branch of its own name.
    fn head_reference(&self, request: &str) -> Option<String> {
        let _ = request;
        None
    }

    /// The pattern of all such references, with `*` for what the request is called.
    fn head_pattern(&self) -> Option<String> {
        None
    }
}

/// How the commits of a request get to the forge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushRoute {
    /// The reference to push to; none for the request's branch.
    pub reference: Option<String>,
    /// Push options.
    pub options: Vec<String>,
    /// Whether each commit has to have a `Change-Id`.
    pub change_ids: bool,
    /// Whether the push itself makes the request, and nobody can ask for its state.
    pub by_push_alone: bool,
}

/// What a request is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestDraft {
    /// The branch with the commits.
    pub branch: String,
    /// The branch that they are for.
    pub base: String,
    /// The title, one line.
    pub title: String,
    /// The text, in Markdown, at most 60,000 bytes.
    pub body: String,
    /// The labels.
    pub labels: Vec<String>,
    /// Who is assigned.
    pub assignees: Vec<String>,
    /// Whether it is a draft.
    pub draft: bool,
    /// Whether it is to be merged once its checks pass.
    pub auto_merge: bool,
    /// Whether it is there already, so that its commits take the place of others.
    pub again: bool,
}

/// A request as the forge has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForgeRequest {
    /// What the forge's interface calls it.
    pub id: String,
    /// Where people find it.
    pub url: Option<String>,
    /// How it is.
    pub state: RequestState,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// The commit at its tip, where that is told.
    pub head: Option<CommitId>,
    /// Whether something is about to merge it: a merge bot is assigned, or it merges by itself.
    pub merging: bool,
    /// Whether it cannot be merged as it is.
    pub conflicts: bool,
}

impl ForgeRequest {
    /// A request of which no more is known.
    pub fn new(id: impl Into<String>, state: RequestState) -> Self {
        Self {
            id: id.into(),
            url: None,
            state,
            title: String::new(),
            body: String::new(),
            head: None,
            merging: false,
            conflicts: false,
        }
    }
}

/// How a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestState {
    /// It is open.
    Open,
    /// It was closed without being merged.
    Closed,
    /// It was merged.
    Merged,
}

/// What a forge said after a push.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushAnswer {
    /// Where the request is.
    pub url: Option<String>,
    /// Why there is no request, although the push worked.
    pub warning: Option<String>,
    /// What the forge calls the request.
    pub request: Option<String>,
}

/// A forge that could not do its part.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{forge}: {message}")]
#[non_exhaustive]
pub struct ForgeError {
    /// The forge, as in `GitLab at https://gitlab.example.org`.
    pub forge: String,
    /// What sort of failure it is.
    pub kind: ForgeErrorKind,
    /// What it said, or what is wrong with that.
    pub message: String,
}

impl ForgeError {
    /// A failure of a forge that is called so, in words that hold no secret.
    pub fn new(forge: impl Into<String>, kind: ForgeErrorKind, message: impl Into<String>) -> Self {
        Self { forge: forge.into(), kind, message: message.into() }
    }
}

/// The sorts of failure of a forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ForgeErrorKind {
    /// It cannot be reached.
    Unreachable,
    /// The token is not taken, or has expired (401).
    Unauthorised,
    /// The token may not do that (403).
    Denied,
    /// There is no such repository, or the token may not know of it (404).
    NotFound,
    /// Too much was asked (429, 403 with a limit that is used up).
    RateLimited,
    /// There is such a request already (409, 422).
    Exists,
    /// It does not want the request as it is (4xx).
    Refused,
    /// It is broken (5xx), or answers what is no answer.
    Broken,
    /// The configuration does not do for it: a key that cannot be read, say.
    Configuration,
}

/// No forge: a branch is all that there is.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoForge;

impl Forge for NoForge {
    fn name(&self) -> &'static str {
        "git"
    }

    fn requests(&self, _: &BranchName, _: &BranchName) -> Result<Option<Vec<ForgeRequest>>, ForgeError> {
        Ok(None)
    }

    fn open(&self, _: &RequestDraft) -> Result<Option<ForgeRequest>, ForgeError> {
        Ok(None)
    }

    fn update(&self, _: &ForgeRequest, _: &RequestDraft) -> Result<(), ForgeError> {
        Ok(())
    }
}

/// Whether a name is a merge bot's, by its end.
pub(in crate::publish) fn is_merge_bot(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("bot") || name.ends_with("[bot]")
}

/// The first address in what a forge said.
fn first_url(remote: &[String]) -> Option<String> {
    let words = remote.iter().flat_map(|line| line.split_whitespace());
    let mut urls = words.filter(|word| word.starts_with("https://") || word.starts_with("http://"));
    urls.find(|url| url.len() < 2000 && !url.chars().any(char::is_control)).map(str::to_owned)
}
