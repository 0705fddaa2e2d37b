//! Exchanges over HTTP: smart HTTP of git's, files, pages, registries.

use std::time::Duration;

use jiff::Timestamp;

use super::answer::{ProbeCost, ProbeDoubt, UpstreamAnswer, UpstreamSigns, UpstreamState};
use super::asking::{Asked, Asker};
use super::client::{HttpFailure, HttpLocation, HttpReply, ProbeClient};
use super::failures::failed;
use super::protocol_v2::RepositoryRequest;
use super::question::UpstreamQuestion;
use super::smart_http::{self, SmartAnswer, SmartError};
use super::web::{self, FileAspect, status_failure};
use super::{pypi, registry};

impl Asker<'_> {
    /// Asks a server of smart HTTP; none where it is left to git.
    pub(super) fn smart_http<T>(
        &self,
        url: &str,
        request: &RepositoryRequest<'_, T>,
        answered: &dyn Fn(T, &UpstreamSigns) -> Asked,
        questions: &[UpstreamQuestion],
        cost: &mut ProbeCost,
    ) -> Option<Asked> {
        let is_http = url.starts_with("https://") || url.starts_with("http://");
        let client = self.client.as_ref().ok().filter(|_| is_http)?;
        match smart_http::ask(client, url, request, cost) {
            Ok(SmartAnswer { said, moved, location }) => {
                let moved = moved.map(|moved| moved.url());
                let signs = UpstreamSigns {
                    moved,
                    certificate_end: client.certificate_end(&location),
                    ..UpstreamSigns::default()
                };
                Some(answered(said, &signs))
            }
            Err(SmartError::Failed(failure)) => Some(self.failed(&failure, url, questions)),
            Err(SmartError::Busy(reply)) => Some(busy(&reply, url, questions)),
            Err(SmartError::Other) => None,
        }
    }

    /// Asks for what is no repository of git's.
    pub(super) fn web(&self, url: &str, questions: &[UpstreamQuestion], cost: &mut ProbeCost) -> Asked {
        let client = match &self.client {
            Ok(client) => client,
            Err(failure) => return self.failed(failure, url, questions),
        };
        let asked = match &questions[0] {
            UpstreamQuestion::HttpFile { url } => of_file(client, url, FileAspect::Content, cost),
            UpstreamQuestion::ImmutableFile { url } => of_file(client, url, FileAspect::Existence, cost),
            UpstreamQuestion::FileLength { url } => of_file(client, url, FileAspect::Length, cost),
            UpstreamQuestion::ContainerManifest { registry, image, tag } => {
                registry::manifest(client, (registry, image, tag), cost)
                    .map(|(state, reply)| (vec![UpstreamAnswer::known(state)], reply))
            }
            UpstreamQuestion::OstreeRef { url, name } => of_ostree(client, url, name, cost),
            UpstreamQuestion::HttpPage { .. }
            | UpstreamQuestion::IndexLines { .. }
            | UpstreamQuestion::PypiReleases { .. } => self.pages(client, url, questions, cost),
            UpstreamQuestion::GitRefs { .. } | UpstreamQuestion::GitCommit { .. } => {
                return Asked::all(&UpstreamAnswer::doubtful(ProbeDoubt::Unsupported), questions);
            }
        };
        match asked {
            Err(failure) => self.failed(&failure, url, questions),
            Ok((_, reply)) if smart_http::is_busy(reply.status) => busy(&reply, url, questions),
            Ok((answers, reply)) => {
                let mut signs = signs_of(client, &reply);
                // Nobody writes the address of an index's page, whose end the index puts right.
                if let UpstreamQuestion::PypiReleases { .. } = &questions[0] {
                    signs.moved = None;
                }
                Asked::Answered(answers.into_iter().map(|answer| answer.with_signs(signs.clone())).collect())
            }
        }
    }

    fn pages(
        &self,
        client: &ProbeClient,
        url: &str,
        questions: &[UpstreamQuestion],
        cost: &mut ProbeCost,
    ) -> Result<(Vec<UpstreamAnswer>, HttpReply), HttpFailure> {
        let known = self.pages.known(url, questions);
        let etag = known.as_ref().map(|(etag, _)| etag.as_str());
        let accept = match questions.first() {
            Some(UpstreamQuestion::PypiReleases { .. }) => pypi::ACCEPT,
            _ => "*/*",
        };
        let page = web::page(client, url, (accept, etag), cost)?;
        if smart_http::is_busy(page.reply.status) {
            return Ok((Vec::new(), page.reply));
        }
        let states: Vec<Option<UpstreamState>> = match (&page.body, known) {
            (None, Some((_, states))) => states.into_iter().map(Some).collect(),
            (body, _) => {
                let body = body.as_deref().unwrap_or_default();
                questions.iter().map(|question| state_in(body, question)).collect()
            }
        };
        self.pages.learn(url, page.etag.as_deref(), questions, &states);
        let malformed = || UpstreamAnswer::doubtful(ProbeDoubt::Malformed);
        let answers = states.into_iter().map(|state| state.map_or_else(malformed, UpstreamAnswer::known)).collect();
        Ok((answers, page.reply))
    }

    fn failed(&self, failure: &HttpFailure, url: &str, questions: &[UpstreamQuestion]) -> Asked {
        // What was broken off is no failure of the server's.
        let answer = if self.git.context.cancel.is_cancelled() {
            UpstreamAnswer::doubtful(ProbeDoubt::Cancelled)
        } else {
            UpstreamAnswer::failed(failure.doubt, failed(failure.kind, failure.message.clone(), url))
        };
        Asked::all(&answer, questions)
    }
}

/// What a page says to a question.
fn state_in(body: &[u8], question: &UpstreamQuestion) -> Option<UpstreamState> {
    match question {
        UpstreamQuestion::IndexLines { containing, .. } => web::lines(body, containing),
        UpstreamQuestion::PypiReleases { .. } => pypi::releases(body),
        _ => Some(web::page_state(body)),
    }
}

fn of_file(
    client: &ProbeClient,
    url: &str,
    aspect: FileAspect,
    cost: &mut ProbeCost,
) -> Result<(Vec<UpstreamAnswer>, HttpReply), HttpFailure> {
    let web::WebAnswer { state, reply } = web::file(client, url, aspect, cost)?;
    let answer = match state {
        Ok(state) => UpstreamAnswer::known(state),
        Err(doubt) if reply.status == 200 => UpstreamAnswer::doubtful(doubt),
        Err(doubt) => {
            let failure = status_failure(reply.status, &reply);
            UpstreamAnswer::failed(doubt, failed(failure.kind, failure.message, url))
        }
    };
    Ok((vec![answer], reply))
}

fn of_ostree(
    client: &ProbeClient,
    url: &str,
    name: &str,
    cost: &mut ProbeCost,
) -> Result<(Vec<UpstreamAnswer>, HttpReply), HttpFailure> {
    let (state, reply) = web::ostree_ref(client, url, name, cost)?;
    let answer = state.map_or_else(UpstreamAnswer::doubtful, UpstreamAnswer::known);
    Ok((vec![answer], reply))
}

fn signs_of(client: &ProbeClient, reply: &HttpReply) -> UpstreamSigns {
    UpstreamSigns {
        moved: reply.moved.as_ref().map(HttpLocation::url),
        certificate_end: client.certificate_end(&reply.location),
        default_branch: None,
        changed: reply.header("last-modified").and_then(web::http_date),
    }
}

/// A host that wants to be asked later, or is broken.
fn busy(reply: &HttpReply, url: &str, questions: &[UpstreamQuestion]) -> Asked {
    let failure = status_failure(reply.status, reply);
    let answer = UpstreamAnswer::failed(ProbeDoubt::Failed, failed(failure.kind, failure.message, url));
    let answers = vec![answer; questions.len()];
    let wait = reply.header("retry-after").and_then(retry_after);
    if reply.status == 429 || wait.is_some() { Asked::Later(wait, answers) } else { Asked::Answered(answers) }
}

/// `Retry-After`: seconds or a date (RFC 9110, 10.2.3).
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = web::http_date(value)?;
    Some(Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default())
}
