//! Who asks: each upstream once, many at a time, few at a time of one host.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::answer::{ProbeCost, ProbeDoubt, UpstreamAnswer};
use super::asking::{Asked, Asker};
use super::hosts::HostTable;
use super::page_memory::{PageMemory, StoredPages};
use super::question::UpstreamQuestion;
use super::rot::{self, RotMemory};
use super::uses::UpstreamUse;
use crate::config::ProbeConfig;
use crate::diagnosis::upstream_host;
use crate::git::Git;
use crate::json_file::{JsonFile, StateError};
use crate::panics;
use crate::report::{HostProbes, ProbeReport, RotFinding};

/// How often a host is asked again that wants to be asked later, and for how long that is waited for at most.
const MAX_TRIES: u32 = 4;
const MAX_WAIT: Duration = Duration::from_secs(60);
/// The first wait where the host names none; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// How often it is looked whether the run is to end.
const TICK: Duration = Duration::from_millis(100);

/// Asks upstreams for a run: whoever wants to know something of one asks the same prober.
///
/// It is to be shared by all that a run works on, from any number of threads. A question that was asked before, or is
/// being asked, is not asked again.
pub struct Prober<'a> {
    asker: Asker<'a>,
    memory: Option<JsonFile<StoredPages>>,
    concurrency: usize,
    per_host: usize,
    shared: Mutex<Shared>,
    uses: Mutex<Vec<UpstreamUse>>,
    changed: Condvar,
}

/// What all threads share.
#[derive(Default)]
struct Shared {
    /// The questions that were asked, with their answers as soon as there are some.
    answers: HashMap<UpstreamQuestion, Option<Arc<UpstreamAnswer>>>,
    running: usize,
    hosts: HostTable,
    /// How many callers wait for what they asked, since when, and for how long somebody has in all.
    waiting: usize,
    since: Option<Instant>,
    seconds: f64,
}

/// One exchange with an upstream: all the questions that it answers.
struct Exchange {
    host: String,
    url: String,
    questions: Vec<UpstreamQuestion>,
    tries: u32,
}

impl fmt::Debug for Prober<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober").field("concurrency", &self.concurrency).finish_non_exhaustive()
    }
}

impl<'a> Prober<'a> {
    /// A prober of one run. Git children are run by `git`; `directory` is one of ours for what they write.
    pub fn new(config: &ProbeConfig, git: Git<'a>, directory: PathBuf) -> Self {
        Self {
            asker: Asker::new(git, directory, config.per_host),
            memory: None,
            concurrency: config.concurrency.max(1),
            per_host: config.per_host.max(1),
            shared: Mutex::default(),
            uses: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Remembers in a file what pages said, so that they need not be read again where they are as they were. Gives what
    /// is wrong with the file, where it cannot be used.
    #[must_use]
    pub fn remembering(mut self, file: &Path) -> (Self, Option<StateError>) {
        let file = JsonFile::at(file);
        let (pages, failure) = PageMemory::read(&file);
        self.asker.pages = pages;
        self.memory = Some(file);
        (self, failure)
    }

    /// Writes down what is to be remembered.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> Result<(), StateError> {
        self.memory.as_ref().map_or(Ok(()), |file| self.asker.pages.save(file))
    }

    /// The answers to questions, in their order. It returns when all are answered, or the run was cancelled.
    pub fn ask(&self, questions: &[UpstreamQuestion]) -> Vec<Arc<UpstreamAnswer>> {
        self.count_wait(true);
        let open = Mutex::new(exchanges(self.claim(questions)));
        let threads = self.concurrency.min(open.lock().unwrap_or_else(PoisonError::into_inner).len());
        let alive = AtomicUsize::new(threads);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    self.work(&open);
                    alive.fetch_sub(1, Ordering::SeqCst);
                    self.changed.notify_all();
                });
            }
            self.watch(&alive);
        });
        let answers = questions.iter().map(|question| self.answer(question)).collect();
        self.count_wait(false);
        answers
    }

    /// What asking came to so far.
    pub fn report(&self) -> ProbeReport {
        let shared = self.lock();
        let hosts = shared.hosts.iter().map(|(host, state)| HostProbes {
            host: host.to_owned(),
            asked: state.asked,
            answered: state.answered,
            doubted: state.doubted,
            requests: state.cost.requests,
            bytes: state.cost.bytes,
            seconds: state.cost.seconds,
            failure: state.down.clone(),
        });
        let waiting = shared.since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        ProbeReport { seconds: shared.seconds + waiting, hosts: hosts.collect() }
    }

    /// Notes who uses what is asked, so that trouble with it can be told to them.
    pub fn note_use(&self, used: UpstreamUse) {
        let mut noted = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        if !noted.contains(&used) {
            noted.push(used);
        }
    }

    /// The trouble to come that the answers tell of. What is trouble only if it lasts is noted in `memory`.
    pub fn find_rot(&self, memory: &mut RotMemory, now: Timestamp) -> Vec<RotFinding> {
        let shared = self.lock();
        let answers = shared.answers.iter();
        let answers = answers.filter_map(|(question, answer)| Some((question.clone(), answer.clone()?))).collect();
        drop(shared);
        rot::examine(&self.uses.lock().unwrap_or_else(PoisonError::into_inner), &answers, memory, now)
    }

    /// Notes that a caller waits, or does so no more.
    fn count_wait(&self, begins: bool) {
        let mut shared = self.lock();
        if begins {
            shared.since.get_or_insert_with(Instant::now);
            shared.waiting += 1;
        } else {
            shared.waiting -= 1;
            if shared.waiting == 0 {
                let waited = shared.since.take().map_or(0.0, |since| since.elapsed().as_secs_f64());
                shared.seconds += waited;
            }
        }
    }

    /// Those of the questions that nobody has asked yet, which are the caller's now.
    fn claim(&self, questions: &[UpstreamQuestion]) -> BTreeSet<UpstreamQuestion> {
        let mut shared = self.lock();
        let mut mine = BTreeSet::new();
        for question in questions {
            if !shared.answers.contains_key(question) {
                shared.answers.insert(question.clone(), None);
                mine.insert(question.clone());
            }
        }
        mine
    }

    /// Waits for the threads that ask, and breaks their requests off when the run is to end.
    fn watch(&self, alive: &AtomicUsize) {
        let mut shared = self.lock();
        while alive.load(Ordering::SeqCst) > 0 {
            shared = self.changed.wait_timeout(shared, TICK).unwrap_or_else(PoisonError::into_inner).0;
            if self.asker.git.context.cancel.is_cancelled() {
                self.asker.break_off();
                self.changed.notify_all();
            }
        }
    }

    /// Makes one exchange after another, as hosts have room for them.
    fn work(&self, open: &Mutex<Vec<Exchange>>) {
        while let Some(exchange) = self.next(open) {
            let mut cost = ProbeCost::default();
            let down = self.lock().hosts.state(&exchange.host).down.clone();
            let asked = match down {
                Some(failure) => {
                    Ok(Asked::all(&UpstreamAnswer::failed(ProbeDoubt::Failed, failure), &exchange.questions))
                }
                // One that panics is no answer, and nobody waits for it for ever.
                None => panics::catch(|| self.asker.ask(&exchange.url, &exchange.questions, &mut cost)),
            };
            let failed = |_| Asked::all(&UpstreamAnswer::doubtful(ProbeDoubt::Failed), &exchange.questions);
            let asked = asked.unwrap_or_else(failed);
            self.conclude(exchange, asked, cost, open);
            self.changed.notify_all();
        }
    }

    /// Takes note of what came of an exchange.
    fn conclude(&self, mut exchange: Exchange, asked: Asked, cost: ProbeCost, open: &Mutex<Vec<Exchange>>) {
        let mut shared = self.lock();
        shared.running -= 1;
        let host = shared.hosts.state(&exchange.host);
        host.end(cost);
        let answers = match asked {
            Asked::Answered(answers) => answers,
            Asked::Later(wait, answers) => {
                let wait = wait.unwrap_or(FIRST_WAIT * 2_u32.pow(exchange.tries));
                if wait <= MAX_WAIT && exchange.tries + 1 < MAX_TRIES {
                    host.leave_alone(wait);
                    exchange.tries += 1;
                    open.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
                    return;
                }
                // It would say the same to all others.
                host.down = answers.first().and_then(|answer| answer.failure.clone());
                answers
            }
        };
        host.learn(&answers);
        for (question, answer) in exchange.questions.into_iter().zip(answers) {
            shared.answers.insert(question, Some(Arc::new(answer)));
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
            let now = Instant::now();
            let cancelled = self.asker.git.context.cancel.is_cancelled();
            let has_room = |exchange: &Exchange| cancelled || shared.hosts.has_room(&exchange.host, self.per_host, now);
            let found = if shared.running < self.concurrency { left.iter().rposition(has_room) } else { None };
            if let Some(at) = found {
                let exchange = left.swap_remove(at);
                shared.running += 1;
                shared.hosts.state(&exchange.host).begin();
                return Some(exchange);
            }
            drop(left);
            let wait = shared.hosts.next_time(now).unwrap_or(MAX_WAIT);
            shared = self.changed.wait_timeout(shared, wait).unwrap_or_else(PoisonError::into_inner).0;
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
        Exchange { host: upstream_host(&url).unwrap_or_default(), url, questions, tries: 0 }
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
    Releases(String),
    Alone(UpstreamQuestion),
}

impl ExchangeKey {
    fn of(question: &UpstreamQuestion) -> Self {
        match question {
            UpstreamQuestion::GitRefs { url, .. } => Self::Git(url.clone()),
            UpstreamQuestion::HttpPage { url } | UpstreamQuestion::IndexLines { url, .. } => Self::Page(url.clone()),
            UpstreamQuestion::PypiReleases { url } => Self::Releases(url.clone()),
            UpstreamQuestion::GitCommit { .. }
            | UpstreamQuestion::FileLength { .. }
            | UpstreamQuestion::HttpFile { .. }
            | UpstreamQuestion::ImmutableFile { .. }
            | UpstreamQuestion::ContainerManifest { .. }
            | UpstreamQuestion::OstreeRef { .. } => Self::Alone(question.clone()),
        }
    }
}
