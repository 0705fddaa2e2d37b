//! From hundreds of failures to their few causes: what a summary, a mail, a page and a chat tell.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{BranchReport, RunReport, StageReport};
use crate::diagnosis::{Actor, Diagnosis, FailureKind, HostReachability, Retry};
use crate::names::{BranchName, ElementName, ProjectName, Stage};

/// Everything that has one cause: the failures of all elements of one host of upstreams that fail in the same way, say.
///
/// It is derived from reports by [`RunReport::issues`] or [`group_issues`], and loses nothing that those do not keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct IssueGroup {
    /// What is the matter, in a line without control characters: `github.com cannot be reached`.
    pub title: String,
    /// The sort of failure; where several belong together (a host without network), the most frequent one.
    pub kind: FailureKind,
    /// Who must act.
    pub actor: Actor,
    /// Whether trying again can mend it.
    pub retry: Retry,
    /// What to do.
    pub hint: String,
    /// The first failure's own words.
    pub message: String,
    /// Whether nothing failed by it that counts: it is a finding.
    pub is_finding: bool,
    /// Whether it is of what failed and may, by `allow-failure` of the projects.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_allowed: bool,
    /// Whether it is this host's network as a whole, or its proxy, rather than an upstream or anything else.
    pub is_of_this_host: bool,
    /// How many failures or findings have this cause.
    pub occurrences: usize,
    /// How many elements have it, each project's counted by themselves; 0 where it is no element's.
    pub element_count: usize,
    /// The elements, each once, in the order in which they were told. A message to a person may hold the first alone.
    pub elements: Vec<ElementName>,
    /// The stages in which it showed.
    pub stages: BTreeSet<Stage>,
    /// The branches that it touches, in the order of the report.
    pub branches: Vec<AffectedBranch>,
    /// The hosts of upstreams that it is about, those with most failures first.
    pub upstreams: Vec<UpstreamCount>,
}

/// A branch that an issue touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct AffectedBranch {
    /// The project.
    pub project: ProjectName,
    /// The branch; none where the project's branches could not be listed.
    pub branch: Option<BranchName>,
}

/// How many failures of an issue one host of upstreams has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct UpstreamCount {
    /// The host, with its port where the address has one.
    pub host: String,
    /// The failures.
    pub occurrences: usize,
}

impl RunReport {
    /// The causes of everything that failed in any branch, and what was found beside: this host's first, then those with
    /// most elements, and findings at the end. Failures of no project ([`RunReport::failures`]) are not in it.
    pub fn issues(&self) -> Vec<IssueGroup> {
        group_issues(&self.branches, &self.network)
    }
}

/// The causes of all that failed in these branches, judged by what a whole run reached; as [`RunReport::issues`].
pub fn group_issues<'r>(
    branches: impl IntoIterator<Item = &'r BranchReport>,
    network: &HostReachability,
) -> Vec<IssueGroup> {
    let mut groups = IssueGrouper { network, by_cause: BTreeMap::new(), count: 0 };
    for branch in branches {
        branch.stages.iter().for_each(|stage| groups.add_stage(branch, stage));
    }
    groups.finish()
}

/// The causes of what failed in one stage of a branch; as [`group_issues`].
pub fn group_stage_issues(branch: &BranchReport, stage: &StageReport, network: &HostReachability) -> Vec<IssueGroup> {
    let mut groups = IssueGrouper { network, by_cause: BTreeMap::new(), count: 0 };
    groups.add_stage(branch, stage);
    groups.finish()
}

/// What makes two failures one issue.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum IssueCause {
    /// This host's network or proxy.
    ThisHost,
    /// One host of upstreams that fails in one way.
    Upstream(FailureKind, String, bool),
    /// Anything else: the kind, what to do, and the words, where these are what tells one from another.
    Other(FailureKind, String, String),
}

struct IssueGrouper<'n> {
    network: &'n HostReachability,
    /// By cause, and by whether it may fail.
    by_cause: BTreeMap<(IssueCause, bool), GrowingIssue>,
    count: usize,
}

/// An issue that grows.
struct GrowingIssue {
    /// When its first failure was told, among all.
    order: usize,
    issue: IssueGroup,
    kinds: BTreeMap<FailureKind, usize>,
    seen: BTreeSet<(ProjectName, ElementName)>,
    hosts: BTreeMap<String, usize>,
}

impl IssueGrouper<'_> {
    fn add_stage(&mut self, branch: &BranchReport, stage: &StageReport) {
        stage.failures.iter().for_each(|failure| self.add(branch, failure, false));
        stage.findings.iter().for_each(|finding| self.add(branch, finding, true));
    }

    fn add(&mut self, branch: &BranchReport, failure: &Diagnosis, is_finding: bool) {
        self.count += 1;
        let cause = cause(failure, self.network);
        // This host's network is one issue, whosoever may fail.
        let is_allowed = failure.allowed && cause != IssueCause::ThisHost;
        let group = self.by_cause.entry((cause, is_allowed)).or_insert_with(|| GrowingIssue {
            order: self.count,
            issue: issue(failure, is_finding),
            kinds: BTreeMap::new(),
            seen: BTreeSet::new(),
            hosts: BTreeMap::new(),
        });
        *group.kinds.entry(failure.kind).or_default() += 1;
        if let Some(host) = failure.upstream() {
            *group.hosts.entry(host).or_default() += 1;
        }
        let issue = &mut group.issue;
        issue.is_finding &= is_finding;
        issue.is_allowed &= failure.allowed;
        issue.occurrences += 1;
        issue.stages.extend(failure.stage);
        if let Some(element) = &failure.element
            && group.seen.insert((branch.project.clone(), element.clone()))
        {
            issue.elements.push(element.clone());
        }
        let affected = AffectedBranch { project: branch.project.clone(), branch: branch.branch.clone() };
        if issue.branches.last() != Some(&affected) && !issue.branches.contains(&affected) {
            issue.branches.push(affected);
        }
    }

    fn finish(self) -> Vec<IssueGroup> {
        let network = self.network;
        let mut all: Vec<_> =
            self.by_cause.into_iter().map(|((cause, _), group)| group.finish(&cause, network)).collect();
        all.sort_by_key(|(order, issue)| {
            (issue.is_finding, !issue.is_of_this_host, std::cmp::Reverse(issue.element_count), *order)
        });
        all.into_iter().map(|(_, issue)| issue).collect()
    }
}

impl GrowingIssue {
    fn finish(self, cause: &IssueCause, network: &HostReachability) -> (usize, IssueGroup) {
        let GrowingIssue { order, mut issue, kinds, hosts, .. } = self;
        issue.element_count = issue.elements.len();
        issue.kind = kinds.into_iter().max_by_key(|(_, count)| *count).map_or(issue.kind, |(kind, _)| kind);
        let hosts = hosts.into_iter().map(|(host, occurrences)| UpstreamCount { host, occurrences });
        issue.upstreams = hosts.collect();
        issue.upstreams.sort_by_key(|upstream| std::cmp::Reverse(upstream.occurrences));
        issue.is_of_this_host = *cause == IssueCause::ThisHost;
        issue.title = match cause {
            IssueCause::ThisHost => match &network.proxy {
                Some(proxy) => format!("the proxy {} of {} does not answer", proxy.address, proxy.variable),
                None => "this host reaches no upstream at all".to_owned(),
            },
            IssueCause::Upstream(kind, host, _) if issue.occurrences > 1 => of_upstream(*kind, host),
            IssueCause::Upstream(..) | IssueCause::Other(..) => issue.title,
        };
        issue.title = one_line(&issue.title);
        (order, issue)
    }
}

impl IssueGroup {
    /// The title and how much it touches: `github.com cannot be reached: 392 elements`; with one element, its name.
    ///
    /// It is one line, whatever the failing program wrote.
    pub fn headline(&self) -> String {
        let more = self.branches.len();
        let branches = if more > 1 { format!(" of {more} branches") } else { String::new() };
        let headline = match (self.element_count, &self.elements[..]) {
            (0, _) if self.occurrences > 1 => format!("{}: {} times{branches}", self.title, self.occurrences),
            (0, _) => self.title.clone(),
            (1, [element, ..]) if more > 1 => {
                format!("{}: {} (in {more} branches)", one_line(element.as_str()), self.title)
            }
            (1, [element, ..]) => format!("{}: {}", one_line(element.as_str()), self.title),
            (count, _) => format!("{}: {count} elements{branches}", self.title),
        };
        if self.is_allowed { format!("{headline} (allowed to fail)") } else { headline }
    }

    /// What the first failure says, in one line: its last line, which tells most; all of a finding's.
    pub fn example(&self) -> String {
        let lines = || self.message.lines().map(str::trim).filter(|line| !line.is_empty());
        let telling = if self.is_finding && !self.is_allowed {
            lines().collect::<Vec<_>>().join(", ")
        } else {
            lines().next_back().unwrap_or_default().to_owned()
        };
        one_line(&telling)
    }

    /// The first few elements in a row, and how many more there are; empty where it has none.
    pub fn some_elements(&self, most: usize) -> String {
        let names: Vec<_> = self.elements.iter().take(most).map(|element| one_line(element.as_str())).collect();
        row(&names, self.element_count)
    }

    /// The first few hosts of upstreams in a row, each with how often it fails, and how many more there are.
    pub fn some_upstreams(&self, most: usize) -> String {
        let name = |upstream: &UpstreamCount| format!("{} ({})", one_line(&upstream.host), upstream.occurrences);
        let names: Vec<_> = self.upstreams.iter().take(most).map(name).collect();
        row(&names, self.upstreams.len())
    }

    /// The issue as one failure of no element.
    pub fn to_diagnosis(&self) -> Diagnosis {
        let mut message = self.headline();
        if self.upstreams.len() > 1 {
            message.push('\n');
            message.push_str(&self.some_upstreams(3));
        }
        Diagnosis::new(self.kind, message, self.retry, self.actor, self.hint.clone())
    }
}

/// Names in a row, and how many there are beside them.
fn row(names: &[String], all: usize) -> String {
    let more = all.saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.join(", "))
}

/// The issue of one failure, before anything is counted.
fn issue(failure: &Diagnosis, is_finding: bool) -> IssueGroup {
    IssueGroup {
        title: failure.message.lines().next().unwrap_or_default().to_owned(),
        kind: failure.kind,
        actor: failure.actor,
        retry: failure.retry,
        hint: failure.hint.clone(),
        message: failure.message.clone(),
        is_finding,
        is_allowed: failure.allowed,
        is_of_this_host: false,
        occurrences: 0,
        element_count: 0,
        elements: Vec::new(),
        stages: BTreeSet::new(),
        branches: Vec::new(),
        upstreams: Vec::new(),
    }
}

fn cause(failure: &Diagnosis, network: &HostReachability) -> IssueCause {
    let Diagnosis { kind, .. } = *failure;
    if network.is_of_this_host(failure) {
        return IssueCause::ThisHost;
    }
    let words = || essence(failure);
    match (kind, failure.upstream()) {
        (
            FailureKind::Dns
            | FailureKind::Network
            | FailureKind::Tls
            | FailureKind::RateLimited
            | FailureKind::ServerError
            | FailureKind::Unauthorised
            | FailureKind::NotFound
            | FailureKind::RefMissing
            | FailureKind::Checksum
            | FailureKind::ChecksumChanged,
            Some(host),
        ) => IssueCause::Upstream(kind, host, failure.actor == Actor::Host),
        // What the plugin hides is one question to its host.
        (FailureKind::Unknown | FailureKind::Git, Some(host)) if failure.hides_reason() => {
            IssueCause::Upstream(kind, host, false)
        }
        // What to do tells these apart: it names the program, the module, the cache's address.
        (
            FailureKind::HostToolMissing
            | FailureKind::PluginMissing
            | FailureKind::PythonModuleMissing
            | FailureKind::PluginUndeclared
            | FailureKind::BstVersion
            | FailureKind::BstMissing
            | FailureKind::DiskFull
            | FailureKind::RunnerFailed
            | FailureKind::Sandbox
            | FailureKind::Unconfined
            | FailureKind::CachesShared
            | FailureKind::CredentialsHidden
            | FailureKind::NoRef
            | FailureKind::JunctionNotFetched
            | FailureKind::CasdDied
            | FailureKind::HostResources
            | FailureKind::ProbeMiss
            | FailureKind::Rot
            | FailureKind::Interrupted
            | FailureKind::Dns
            | FailureKind::Network
            | FailureKind::Tls
            | FailureKind::RateLimited
            | FailureKind::ServerError,
            _,
        ) => IssueCause::Other(kind, failure.hint.clone(), String::new()),
        (
            FailureKind::CacheUnreachable
            | FailureKind::CacheDenied
            | FailureKind::CacheFull
            | FailureKind::CacheWrong
            | FailureKind::PushIncomplete,
            _,
        ) => IssueCause::Other(kind, failure.hint.clone(), failure.place.url.clone().unwrap_or_default()),
        (_, _) => IssueCause::Other(kind, failure.hint.clone(), words()),
    }
}

/// The first line of a failure's words, without the element and the place in its file, which differ from one to the next.
fn essence(failure: &Diagnosis) -> String {
    let first = failure.message.lines().next().unwrap_or_default();
    let first = first.split_once("]: ").filter(|(head, _)| head.contains(" [line ")).map_or(first, |(_, rest)| rest);
    match &failure.element {
        Some(element) => first.replace(element.as_str(), ""),
        None => first.to_owned(),
    }
}

/// What fails of a host of upstreams, in words.
fn of_upstream(kind: FailureKind, host: &str) -> String {
    match kind {
        FailureKind::Dns => format!("the name {host} cannot be resolved"),
        FailureKind::Network => format!("{host} cannot be reached"),
        FailureKind::Tls => format!("no TLS connection to {host} can be made"),
        FailureKind::RateLimited => format!("{host} asks to be left alone for a while"),
        FailureKind::ServerError => format!("{host} is broken (5xx)"),
        FailureKind::Unauthorised => format!("{host} wants other credentials"),
        FailureKind::NotFound => format!("{host} does not have what is asked for"),
        FailureKind::RefMissing => format!("{host} lacks branches, tags or commits"),
        FailureKind::Checksum => format!("{host} serves files with other checksums"),
        FailureKind::ChecksumChanged => format!("{host} serves other content under the same addresses"),
        _ => format!("{host} cannot be tracked, and the plugin does not tell why"),
    }
}

/// The text with every line end and control character as a space.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
