//! Who asks: each upstream once, many at a time, few at a time of one host.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::answer::{ProbeDoubt, UpstreamAnswer, UpstreamState};
use super::failures::of_git;
use super::ls_remote::{self, RefListing};
use super::question::{RefSelection, UpstreamQuestion};
use crate::config::ProbeConfig;
use crate::diagnosis::upstream_host;
use crate::git::{Access, Git, Remote};
use crate::panics;

/// Asks upstreams for a run: whoever wants to know something of one asks the same prober.
///
/// It is to be shared by all that a run works on, from any number of threads. A question that was asked before, or is
/// being asked, is not asked again.
pub struct Prober<'a> {
    git: Git<'a>,
    /// A directory of ours, for what git writes.
    directory: PathBuf,
    concurrency: usize,
    per_host: usize,
    shared: Mutex<Shared>,
    changed: Condvar,
}

/// What all threads share.
#[derive(Default)]
struct Shared {
    /// The questions that were asked, with their answers as soon as there are some.
    answers: HashMap<UpstreamQuestion, Option<Arc<UpstreamAnswer>>>,
    running: usize,
    by_host: HashMap<String, usize>,
}

/// One exchange with an upstream: all the questions that it answers.
struct Exchange {
    host: String,
    url: String,
    questions: Vec<UpstreamQuestion>,
}

impl<'a> Prober<'a> {
    /// A prober of one run. Git children are run by `git`; `directory` is one of ours for what they write.
    pub fn new(config: &ProbeConfig, git: Git<'a>, directory: PathBuf) -> Self {
        Self {
            git,
            directory,
            concurrency: config.concurrency.max(1),
            per_host: config.per_host.max(1),
            shared: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The answers to questions, in their order. It returns when all are answered, or the run was cancelled.
    pub fn ask(&self, questions: &[UpstreamQuestion]) -> Vec<Arc<UpstreamAnswer>> {
        let open = Mutex::new(exchanges(self.claim(questions)));
        let threads = self.concurrency.min(open.lock().unwrap_or_else(PoisonError::into_inner).len());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| self.work(&open));
            }
        });
        questions.iter().map(|question| self.answer(question)).collect()
    }

    /// Those of the questions that nobody has asked yet, which are the caller's now.
    fn claim(&self, questions: &[UpstreamQuestion]) -> BTreeSet<UpstreamQuestion> {
        let mut shared = self.lock();
        let mut mine = BTreeSet::new();
        for question in questions.iter().filter(|question| !shared.answers.contains_key(*question)).collect::<Vec<_>>()
        {
            if mine.insert(question.clone()) {
                shared.answers.insert(question.clone(), None);
            }
        }
        mine
    }

    /// Makes one exchange after another, as hosts have room for them.
    fn work(&self, open: &Mutex<Vec<Exchange>>) {
        while let Some(exchange) = self.next(open) {
            // One that panics is no answer, and nobody waits for it for ever.
            let failed = || vec![UpstreamAnswer::doubtful(ProbeDoubt::Failed); exchange.questions.len()];
            let answers = panics::catch(|| self.exchange(&exchange)).unwrap_or_else(|_| failed());
            let mut shared = self.lock();
            shared.running -= 1;
            if let Some(running) = shared.by_host.get_mut(&exchange.host) {
                *running -= 1;
            }
            for (question, answer) in exchange.questions.into_iter().zip(answers) {
                shared.answers.insert(question, Some(Arc::new(answer)));
            }
            drop(shared);
            self.changed.notify_all();
        }
    }

    /// The next exchange whose host has room; none where there is none left.
    fn next(&self, open: &Mutex<Vec<Exchange>>) -> Option<Exchange> {
        let mut shared = self.lock();
        loop {
            let mut left = open.lock().unwrap_or_else(PoisonError::into_inner);
            if left.is_empty() {
                return None;
            }
            let has_room = |exchange: &Exchange| shared.by_host.get(&exchange.host).is_none_or(|n| *n < self.per_host);
            let found = if shared.running < self.concurrency { left.iter().rposition(has_room) } else { None };
            if let Some(at) = found {
                let exchange = left.swap_remove(at);
                shared.running += 1;
                *shared.by_host.entry(exchange.host.clone()).or_default() += 1;
                return Some(exchange);
            }
            drop(left);
            shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The answer to a question that somebody asks, when it is there.
    fn answer(&self, question: &UpstreamQuestion) -> Arc<UpstreamAnswer> {
        let mut shared = self.lock();
        loop {
            if let Some(Some(answer)) = shared.answers.get(question) {
                return Arc::clone(answer);
            }
            shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Asks one upstream, and gives an answer to each of the exchange's questions.
    fn exchange(&self, exchange: &Exchange) -> Vec<UpstreamAnswer> {
        if self.git.cancel.is_cancelled() {
            return vec![UpstreamAnswer::doubtful(ProbeDoubt::Cancelled); exchange.questions.len()];
        }
        let wanted = exchange.questions.iter().filter_map(|question| match question {
            UpstreamQuestion::GitRefs { refs, .. } => Some(refs.clone()),
            _ => None,
        });
        let wanted = wanted.fold(RefSelection::default(), RefSelection::and);
        if wanted == RefSelection::default() {
            return vec![UpstreamAnswer::doubtful(ProbeDoubt::Unsupported); exchange.questions.len()];
        }
        let listing = self.ls_remote(&exchange.url, &wanted);
        exchange.questions.iter().map(|question| of_listing(question, &listing)).collect()
    }

    /// Lists references with the `git` program.
    fn ls_remote(&self, url: &str, wanted: &RefSelection) -> Result<RefListing, UpstreamAnswer> {
        let failed = |error| {
            let (doubt, failure) = of_git(&error, url);
            UpstreamAnswer::failed(doubt, failure)
        };
        let remote = Remote::new(url, &Access::default()).map_err(failed)?;
        let patterns = ls_remote::patterns(wanted);
        let mut arguments = vec!["ls-remote", "--quiet", "--symref", "--", remote.url().as_str()];
        arguments.extend(patterns.iter().map(String::as_str));
        let text = self.git.ask(&self.directory, &remote, &arguments).map_err(failed)?;
        ls_remote::parse(&text).ok_or_else(|| UpstreamAnswer::doubtful(ProbeDoubt::Malformed))
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Questions that one exchange answers, together; those of the busiest hosts at the end, where they are taken from first.
fn exchanges(questions: BTreeSet<UpstreamQuestion>) -> Vec<Exchange> {
    let mut joined: BTreeMap<ExchangeKey, Vec<UpstreamQuestion>> = BTreeMap::new();
    for question in questions {
        joined.entry(ExchangeKey::of(&question)).or_default().push(question);
    }
    let exchange = |questions: Vec<UpstreamQuestion>| {
        let url = questions[0].url().to_owned();
        Exchange { host: upstream_host(&url).unwrap_or_default(), url, questions }
    };
    let mut exchanges: Vec<Exchange> = joined.into_values().map(exchange).collect();
    let mut by_host: HashMap<String, usize> = HashMap::new();
    for exchange in &exchanges {
        *by_host.entry(exchange.host.clone()).or_default() += 1;
    }
    exchanges.sort_by_key(|exchange| by_host.get(&exchange.host).copied());
    exchanges
}

/// What questions have in common that one exchange answers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum ExchangeKey {
    Git(String),
    Page(String),
    Alone(UpstreamQuestion),
}

impl ExchangeKey {
    fn of(question: &UpstreamQuestion) -> Self {
        match question {
            UpstreamQuestion::GitRefs { url, .. } => Self::Git(url.clone()),
            UpstreamQuestion::HttpPage { url } | UpstreamQuestion::IndexLines { url, .. } => Self::Page(url.clone()),
            UpstreamQuestion::HttpFile { .. }
            | UpstreamQuestion::ImmutableFile { .. }
            | UpstreamQuestion::ContainerManifest { .. }
            | UpstreamQuestion::OstreeRef { .. } => Self::Alone(question.clone()),
        }
    }
}

/// What a listing says to a question for references.
fn of_listing(question: &UpstreamQuestion, listing: &Result<RefListing, UpstreamAnswer>) -> UpstreamAnswer {
    match (listing, question) {
        (Ok(listing), UpstreamQuestion::GitRefs { refs, .. }) => {
            UpstreamAnswer::known(UpstreamState::Git { refs: listing.refs.only(refs) })
        }
        (Ok(_), _) => UpstreamAnswer::doubtful(ProbeDoubt::Unsupported),
        (Err(failed), _) => failed.clone(),
    }
}
