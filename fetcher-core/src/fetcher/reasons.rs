//! Why upstreams failed, found out over a whole run: what a plugin hides, and whose network it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Fetcher, git_diagnoses};
use crate::address::AddressParts;
use crate::bst::child_environment;
use crate::config::ProjectConfig;
use crate::diagnosis::{Diagnosis, FailureKind, HostReachability, ProxyFailure, upstream_host};
use crate::environment::Environment;
use crate::failure::phrases;
use crate::git::{Git, GitAccess, GitFailure, RemoteRepository};
use crate::report::{BranchReport, Event, RunReport, StageReport};
use crate::runner::RunContext;

/// How many hosts are asked in a run at most, how many at once, and for how long each.
const MAX_ASKED: usize = 24;
const MAX_PARALLEL_HOSTS: usize = 4;
const ASK_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a proxy may take to accept a connection.
const PROXY_TIMEOUT: Duration = Duration::from_secs(5);

/// The variables by which git, Python and others are told of a proxy, and the scheme that each is for; empty for all.
const PROXIES: [(&str, &str); 6] = [
    ("https_proxy", "https"),
    ("HTTPS_PROXY", "https"),
    ("http_proxy", "http"),
    ("HTTP_PROXY", "http"),
    ("all_proxy", ""),
    ("ALL_PROXY", ""),
];

/// What a host of upstreams says when it is asked by itself.
#[derive(Debug, Clone)]
enum HostAnswer {
    /// It gives the listing, or answers in a way that says nothing of the repository.
    Reached,
    /// It says what is the matter with this repository, and so it can be reached.
    Refused(FailureKind, String),
    /// It cannot be reached.
    Unreached(FailureKind, String),
}

/// A host to ask: with the address that failed, in the environment in which it failed.
struct HostQuestion<'f> {
    host: String,
    url: String,
    pass_environment: &'f [String],
}

impl Fetcher {
    /// Finds out why upstreams failed where the plugin hides it, and gives every failure of the network to whom it
    /// belongs: judged by what worked as well as by what failed, over all projects of the run.
    pub(super) fn find_reasons(
        &self,
        report: &mut RunReport,
        context: RunContext<'_>,
        temporary: &Path,
        events: &mut dyn FnMut(Event),
    ) {
        let mut network = HostReachability::default();
        for stage in report.branches.iter().flat_map(|branch| &branch.stages) {
            stage.reached.iter().for_each(|host| network.reached(&format!("https://{host}/")));
        }
        self.reveal(report, &mut network, context, temporary, events);
        for branch in &report.branches {
            network.learn(branch.all_failures());
        }
        if !network.unreached.is_empty() {
            let variables = self.proxies(report);
            network.proxy = variables.iter().find_map(|(variable, address)| dead_proxy(variable, address));
            network.proxy_not_passed = self.proxy_not_passed(report);
        }
        for stage in report.branches.iter_mut().flat_map(|branch| &mut branch.stages) {
            stage.all_failures_mut().for_each(|failure| network.blame(failure));
        }
        report.network = network;
        // One finding of the host's; what it did to each element stays where it is.
        let host = report.issues().into_iter().find(|issue| issue.is_of_this_host);
        report.failures.extend(host.map(|issue| issue.to_diagnosis()));
    }

    /// Says of failures that hide their reason what other failures of the same host say, or what the host itself does.
    fn reveal(
        &self,
        report: &mut RunReport,
        network: &mut HostReachability,
        context: RunContext<'_>,
        temporary: &Path,
        events: &mut dyn FnMut(Event),
    ) {
        let known = known_reasons(report);
        let questions = self.questions(report, &known);
        let answers = if questions.is_empty() {
            BTreeMap::new()
        } else {
            events(Event::Note(format!("asking {} hosts why their sources could not be tracked", questions.len())));
            ask_all(&questions, network, context, temporary)
        };
        for (host, (_, answer)) in &answers {
            if matches!(answer, HostAnswer::Reached | HostAnswer::Refused(..)) {
                network.reached(&format!("https://{host}/"));
            }
        }
        let silent = answers.values().find_map(|(_, answer)| match answer {
            HostAnswer::Unreached(kind, _) if network.reached.is_empty() => Some(*kind),
            _ => None,
        });
        let stages = report.branches.iter_mut().flat_map(|branch| &mut branch.stages);
        for failure in stages.flat_map(StageReport::all_failures_mut).filter(|failure| failure.hides_reason()) {
            let Some(host) = failure.upstream() else { continue };
            match (known.get(&host), answers.get(&host), silent) {
                (Some((kind, words)), ..) => {
                    failure.reveal(*kind, &format!("other sources of {host} fail so: {words}"));
                }
                (None, Some((url, answer)), _) => apply(failure, &host, url, answer),
                // No host answered of those that were asked: this one was not asked any more.
                (None, None, Some(kind)) => failure.reveal(kind, "other hosts cannot be reached either"),
                (None, None, None) => {}
            }
        }
    }

    /// The hosts that have to be asked, each once.
    fn questions(&self, report: &RunReport, known: &BTreeMap<String, (FailureKind, String)>) -> Vec<HostQuestion<'_>> {
        let mut questions: Vec<HostQuestion<'_>> = Vec::new();
        for branch in &report.branches {
            let Some(project) = self.config.projects.iter().find(|project| project.name == branch.project) else {
                continue;
            };
            for failure in branch.all_failures().filter(|failure| failure.hides_reason()) {
                let (Some(host), Some(url)) = (failure.upstream(), &failure.place.url) else { continue };
                let asked = ["https://", "http://", "git://"].iter().any(|scheme| url.starts_with(scheme));
                let new = questions.iter().all(|question| question.host != host) && !known.contains_key(&host);
                if asked && new && questions.len() < MAX_ASKED {
                    let pass_environment = &project.buildstream.pass_environment[..];
                    questions.push(HostQuestion { host, url: url.clone(), pass_environment });
                }
            }
        }
        questions
    }

    /// The host of a project's repository, where its having been listed proves that this host's network works: not where
    /// git may have gone through a proxy that `bst` does not use.
    pub(super) fn listing_proves(&self, project: &ProjectConfig) -> Option<String> {
        let proxied = PROXIES.iter().any(|(name, _)| self.environment.get(name).is_some());
        upstream_host(&project.url).filter(|_| !proxied)
    }

    /// The proxies that the failing projects' children use, by the variables' names.
    fn proxies(&self, report: &RunReport) -> BTreeMap<String, String> {
        let failing: BTreeSet<_> = report.branches.iter().map(|branch| &branch.project).collect();
        let projects = self.config.projects.iter().filter(|project| failing.contains(&project.name));
        let passed: BTreeSet<_> =
            projects.flat_map(|project| &project.buildstream.pass_environment).map(String::as_str).collect();
        let listing = report.branches.iter().any(|branch| branch.branch.is_none());
        let used = PROXIES.iter().filter(|(name, _)| listing || passed.contains(name));
        let value = |name: &str| self.environment.get(name)?.to_str().map(str::to_owned);
        used.filter_map(|(name, _)| Some(((*name).to_owned(), value(name)?))).collect()
    }

    /// A proxy that this program was told of, and that `bst` is not.
    fn proxy_not_passed(&self, report: &RunReport) -> Option<String> {
        let projects = self.config.projects.iter();
        let failing = projects.filter(|project| report.branches.iter().any(|branch| branch.project == project.name));
        let passed: Vec<&String> = failing.flat_map(|project| &project.buildstream.pass_environment).collect();
        let set = PROXIES.iter().map(|(name, _)| *name).filter(|name| self.environment.get(name).is_some());
        let mut set = set.filter(|name| passed.iter().all(|passed| !passed.eq_ignore_ascii_case(name)));
        set.next().map(str::to_owned)
    }
}

/// Asks the hosts, a few at a time; the rest are left alone once it is clear that none answers.
fn ask_all(
    questions: &[HostQuestion<'_>],
    network: &HostReachability,
    context: RunContext<'_>,
    temporary: &Path,
) -> BTreeMap<String, (String, HostAnswer)> {
    let answers = Mutex::new(BTreeMap::new());
    for some in questions.chunks(MAX_PARALLEL_HOSTS) {
        std::thread::scope(|scope| {
            for question in some {
                let answers = &answers;
                scope.spawn(move || {
                    if let Some(answer) = ask(question, context, temporary) {
                        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                        answers.insert(question.host.clone(), (question.url.clone(), answer));
                    }
                });
            }
        });
        let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = answers.values().all(|(_, answer)| matches!(answer, HostAnswer::Unreached(..)));
        if context.cancel.is_cancelled()
            || (network.reached.is_empty() && silent && answers.len() >= MAX_PARALLEL_HOSTS)
        {
            break;
        }
    }
    answers.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Asks a host as `bst` did, by a name look-up, a connection and a listing, and never with a credential: a project
/// wrote the address.
fn ask(question: &HostQuestion<'_>, context: RunContext<'_>, temporary: &Path) -> Option<HostAnswer> {
    let home = tempfile::tempdir_in(temporary).ok()?;
    let mut child = child_environment(context.environment, question.pass_environment);
    for secret in ["SSH_AUTH_SOCK", "KRB5CCNAME", "KRB5_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] {
        child.remove(std::ffi::OsStr::new(secret));
    }
    child.insert("HOME".into(), home.path().into());
    child.insert("GIT_CONFIG_GLOBAL".into(), "/dev/null".into());
    child.insert("GIT_CONFIG_NOSYSTEM".into(), "1".into());
    let environment = Environment::from_iter(child);
    let git = Git::new(RunContext { environment: &environment, ..context }, ASK_TIMEOUT);
    let remote = RemoteRepository::new(&question.url, &GitAccess::default()).ok()?;
    let error = match git.reaches(home.path(), &remote) {
        Ok(()) => return Some(HostAnswer::Reached),
        Err(error) => error,
    };
    let words = error.to_string();
    let (kind, ..) = git_diagnoses::of_failure(error.failure());
    match error.failure() {
        GitFailure::Dns | GitFailure::Unreachable | GitFailure::Tls => Some(HostAnswer::Unreached(kind, words)),
        GitFailure::TimedOut => Some(HostAnswer::Unreached(FailureKind::Network, words)),
        GitFailure::NotFound | GitFailure::Unauthorised | GitFailure::RateLimited | GitFailure::ServerError => {
            Some(HostAnswer::Refused(kind, words))
        }
        GitFailure::Unknown if phrases::is_git_answered(&words) => Some(HostAnswer::Reached),
        GitFailure::RefMissing
        | GitFailure::HostKey
        | GitFailure::DiskFull
        | GitFailure::Permission
        | GitFailure::Ownership
        | GitFailure::Protocol
        | GitFailure::Tool
        | GitFailure::ObjectFormat
        | GitFailure::Corrupt
        | GitFailure::Configuration
        | GitFailure::Repository
        | GitFailure::Killed
        | GitFailure::Cancelled
        | GitFailure::Unknown => None,
    }
}

/// What is known of hosts by failures that say their reason: that, and the line that says it.
fn known_reasons(report: &RunReport) -> BTreeMap<String, (FailureKind, String)> {
    let clear = report
        .branches
        .iter()
        .flat_map(BranchReport::failures)
        .filter(|failure| failure.kind.is_of_host() && !failure.hides_reason());
    let mut known = BTreeMap::new();
    for failure in clear {
        let words = failure.message.lines().last().unwrap_or_default().trim().to_owned();
        known.extend(
            failure.upstream().filter(|host| !known.contains_key(host)).map(|host| (host, (failure.kind, words))),
        );
    }
    known
}

/// Says of a failure what its host answered about one of its addresses.
fn apply(failure: &mut Diagnosis, host: &str, url: &str, answer: &HostAnswer) {
    let same = failure.place.url.as_deref() == Some(url);
    match answer {
        HostAnswer::Unreached(kind, words) => failure.reveal(*kind, &format!("{host} was asked by itself: {words}")),
        HostAnswer::Refused(kind, words)
            if same || matches!(kind, FailureKind::RateLimited | FailureKind::ServerError) =>
        {
            failure.reveal(*kind, &format!("{host} was asked by itself, without credentials: {words}"));
            if *kind == FailureKind::Unauthorised {
                "the repository is private, and credentials are missing, or it is gone: several forges answer both in \
                 the same way"
                    .clone_into(&mut failure.hint);
            }
        }
        HostAnswer::Reached | HostAnswer::Refused(..) => {
            failure.reveal_nothing(&format!("{host} was asked by itself at the end of the run, and answered"));
        }
    }
}

/// A proxy that takes no connection, where that is so. The address is the configuration's or the host's own.
fn dead_proxy(variable: &str, value: &str) -> Option<ProxyFailure> {
    // curl(1): without a scheme it is http.
    let parts = AddressParts::of_url(value).unwrap_or_else(|| AddressParts::of_authority(value));
    let (scheme, place) = (parts.scheme.unwrap_or("http"), parts.authority);
    let port = match scheme {
        "https" => 443,
        "socks5" | "socks5h" | "socks4" | "socks4a" | "http" => 1080,
        _ => 80,
    };
    let target = if parts.port().is_some() { place.to_owned() } else { format!("{place}:{port}") };
    let connected = target.to_socket_addrs().and_then(|mut all| {
        let mut last = Err(std::io::Error::other("its name has no address"));
        while let (Err(_), Some(address)) = (&last, all.next()) {
            last = TcpStream::connect_timeout(&address, PROXY_TIMEOUT).map(drop);
        }
        last
    });
    let reason = connected.err()?.to_string();
    Some(ProxyFailure { variable: variable.to_owned(), address: format!("{scheme}://{place}"), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_is_not_there_is_named_without_its_credentials() {
        let dead = dead_proxy("HTTPS_PROXY", "http://me:secret@127.0.0.1:1/").unwrap();
        assert_eq!((dead.variable.as_str(), dead.address.as_str()), ("HTTPS_PROXY", "http://127.0.0.1:1"));
        assert!(dead.reason.contains("refused"), "{dead:?}");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(dead_proxy("https_proxy", &listener.local_addr().unwrap().to_string()), None);
    }
}
