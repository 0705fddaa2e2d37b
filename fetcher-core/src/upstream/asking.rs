//! One exchange with an upstream: which way to ask, and what the answer says to each question.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use super::answer::{ProbeCost, ProbeDoubt, UpstreamAnswer, UpstreamSigns, UpstreamState};
#[cfg(feature = "probe")]
use super::client::ProbeClient;
use super::failures::{failed, of_git};
use super::git_daemon::{self, DaemonError};
use super::page_memory::PageMemory;
use super::protocol_v2::{RepositoryRequest, read_listing, read_whether_held, request, want_request};
use super::question::{RefSelection, UpstreamQuestion};
use super::ref_listing::{self, RefListing};
use crate::diagnosis::FailureKind;
use crate::git::{Git, GitAccess, RemoteRepository};

/// How long a `git ls-remote` may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(90);

/// What came of an exchange.
pub(super) enum Asked {
    /// An answer to each question.
    Answered(Vec<UpstreamAnswer>),
    /// The host wants to be asked later; and the answers if it is not.
    #[cfg_attr(not(feature = "probe"), expect(dead_code, reason = "only HTTP has a word for it"))]
    Later(Option<Duration>, Vec<UpstreamAnswer>),
}

/// What asks.
pub(super) struct Asker<'a> {
    pub(super) git: Git<'a>,
    /// A directory of ours, for what git writes.
    pub(super) directory: PathBuf,
    /// What pages said before.
    pub(super) pages: PageMemory,
    #[cfg(feature = "probe")]
    pub(super) client: Result<ProbeClient, super::client::HttpFailure>,
}

impl<'a> Asker<'a> {
    pub(super) fn new(git: Git<'a>, directory: PathBuf, per_host: usize) -> Self {
        #[cfg(not(feature = "probe"))]
        let _ = per_host;
        let timeout = git.timeout.min(LIST_TIMEOUT);
        Self {
            #[cfg(feature = "probe")]
            client: ProbeClient::new(git.context.environment, per_host),
            git: Git { timeout, ..git },
            directory,
            pages: PageMemory::default(),
        }
    }

    /// Breaks off what is under way; git children see for themselves.
    pub(super) fn break_off(&self) {
        #[cfg(feature = "probe")]
        if let Ok(client) = &self.client {
            client.shut_down();
        }
    }

    /// Asks one upstream questions that one exchange answers.
    pub(super) fn ask(&self, url: &str, questions: &[UpstreamQuestion], cost: &mut ProbeCost) -> Asked {
        if self.git.context.cancel.is_cancelled() {
            return Asked::all(&UpstreamAnswer::doubtful(ProbeDoubt::Cancelled), questions);
        }
        match questions.first() {
            Some(UpstreamQuestion::GitRefs { .. }) => {
                let selections = questions.iter().filter_map(|question| match question {
                    UpstreamQuestion::GitRefs { refs, .. } => Some(refs.clone()),
                    _ => None,
                });
                self.refs(url, &selections.fold(RefSelection::default(), RefSelection::and), questions, cost)
            }
            Some(UpstreamQuestion::GitCommit { commit, .. }) => {
                if ref_listing::is_id(commit) {
                    self.commit(url, commit, questions, cost)
                } else {
                    Asked::all(&UpstreamAnswer::doubtful(ProbeDoubt::Unsupported), questions)
                }
            }
            #[cfg(feature = "probe")]
            Some(_) => self.web(url, questions, cost),
            #[cfg(not(feature = "probe"))]
            Some(_) => Asked::all(&UpstreamAnswer::doubtful(ProbeDoubt::Unsupported), questions),
            None => Asked::Answered(Vec::new()),
        }
    }

    fn refs(&self, url: &str, wanted: &RefSelection, questions: &[UpstreamQuestion], cost: &mut ProbeCost) -> Asked {
        let request = RepositoryRequest { body: request(wanted), read: &read_listing };
        let answered = |listing: RefListing, signs: &UpstreamSigns| Asked::listed(&listing, signs, questions);
        if let Some(asked) = self.speak(url, &request, &answered, questions, cost) {
            return asked;
        }
        match self.ls_remote(url, wanted, cost) {
            Ok(listing) => Asked::listed(&listing, &UpstreamSigns::default(), questions),
            Err(answer) => Asked::all(&answer, questions),
        }
    }

    /// Whether a repository has a commit: asked for it, as it would be fetched, and where that is no answer for its references.
    fn commit(&self, url: &str, id: &str, questions: &[UpstreamQuestion], cost: &mut ProbeCost) -> Asked {
        let request =
            RepositoryRequest { body: want_request(id), read: &|from: &mut dyn Read| read_whether_held(from, id) };
        let missing = || {
            let failure = failed(FailureKind::RefMissing, format!("the repository does not have {id}"), url);
            UpstreamAnswer::failed(ProbeDoubt::NotFound, failure)
        };
        let answered = |held: bool, signs: &UpstreamSigns| {
            let answer = if held { UpstreamAnswer::known(UpstreamState::Held) } else { missing() };
            Asked::all(&answer.with_signs(signs.clone()), questions)
        };
        if let Some(asked) = self.speak(url, &request, &answered, questions, cost) {
            return asked;
        }
        let answer = match self.ls_remote(url, &RefSelection::beginning(["refs/"]), cost) {
            Err(answer) => *answer,
            Ok(listing) if listing.refs.iter().any(|found| id == found.id || id == found.commit()) => {
                UpstreamAnswer::known(UpstreamState::Held)
            }
            // It may be behind one of them.
            Ok(_) => UpstreamAnswer::doubtful(ProbeDoubt::Untold),
        };
        Asked::all(&answer, questions)
    }

    /// Asks a repository in git's protocol; none where it is left to git.
    fn speak<T>(
        &self,
        url: &str,
        request: &RepositoryRequest<'_, T>,
        answered: &dyn Fn(T, &UpstreamSigns) -> Asked,
        questions: &[UpstreamQuestion],
        cost: &mut ProbeCost,
    ) -> Option<Asked> {
        #[cfg(feature = "probe")]
        if let Some(asked) = self.smart_http(url, request, answered, questions, cost) {
            return Some(asked);
        }
        if !url.starts_with("git://") {
            return None;
        }
        match git_daemon::ask(url, request, self.git.context.cancel, cost) {
            Ok(said) => Some(answered(said, &UpstreamSigns::default())),
            Err(DaemonError::Failed(kind, doubt, message)) => {
                Some(Asked::all(&UpstreamAnswer::failed(doubt, failed(kind, message, url)), questions))
            }
            Err(DaemonError::Other) => None,
        }
    }

    /// Lists references with the `git` program. It leads nowhere else: where to is not its business but ours.
    fn ls_remote(
        &self,
        url: &str,
        wanted: &RefSelection,
        cost: &mut ProbeCost,
    ) -> Result<RefListing, Box<UpstreamAnswer>> {
        let failed = |error| {
            let (doubt, failure) = of_git(&error, url);
            Box::new(UpstreamAnswer::failed(doubt, failure))
        };
        let remote = RemoteRepository::new(url, &GitAccess::default()).map_err(failed)?;
        let patterns = ref_listing::patterns(wanted);
        let mut arguments = vec!["-c", "http.followRedirects=false", "ls-remote", "--quiet", "--symref", "--"];
        arguments.push(remote.url().as_str());
        arguments.extend(patterns.iter().map(String::as_str));
        cost.requests += 1;
        let began = std::time::Instant::now();
        let text = self.git.ask(&self.directory, &remote, &arguments);
        cost.seconds += began.elapsed().as_secs_f64();
        let text = text.map_err(failed)?;
        cost.bytes += text.len() as u64;
        ref_listing::parse(&text).ok_or_else(|| Box::new(UpstreamAnswer::doubtful(ProbeDoubt::Malformed)))
    }
}

impl Asked {
    /// The same answer to all questions.
    pub(super) fn all(answer: &UpstreamAnswer, questions: &[UpstreamQuestion]) -> Self {
        Self::Answered(vec![answer.clone(); questions.len()])
    }

    /// What a listing says to each question for references.
    pub(super) fn listed(listing: &RefListing, signs: &UpstreamSigns, questions: &[UpstreamQuestion]) -> Self {
        let signs = UpstreamSigns { default_branch: listing.head.clone(), ..signs.clone() };
        let answer = |question: &UpstreamQuestion| match question {
            UpstreamQuestion::GitRefs { refs, .. } => {
                UpstreamAnswer::known(UpstreamState::Git { refs: listing.refs.only(refs) }).with_signs(signs.clone())
            }
            _ => UpstreamAnswer::doubtful(ProbeDoubt::Unsupported),
        };
        Self::Answered(questions.iter().map(answer).collect())
    }
}
