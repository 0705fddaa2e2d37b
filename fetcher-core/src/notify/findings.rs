//! What a run's report says about each topic.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::message::NotificationTopic;
use super::notifier_state::{FOUND_IN, NotifierState, ROT_OF, TopicKey};
use super::policy::{TopicFinding, signature};
use super::render::cause;
use crate::diagnosis::{Diagnosis, FailureKind};
use crate::links::{LogForm, PageAddress};
use crate::names::{ProjectName, RunId};
use crate::report::{BranchReport, Outcome, RunReport, StageReport, group_issues};
use crate::sanitize::strip_control;
use crate::state::{BranchState, StateStore};

/// How much is read of a log's end, in bytes, and told of it, in lines and in bytes.
const READ: u64 = 64 << 10;
const LINES: usize = 40;
const BYTES: usize = 6 << 10;

/// What a run found out.
#[derive(Clone, Copy)]
pub(crate) struct FinishedRun<'f> {
    pub(crate) of: &'f RunReport,
    pub(crate) states: &'f [BranchState],
    pub(crate) store: &'f StateStore,
    pub(crate) links: LinkBases<'f>,
    /// Whether it was about everything that is configured.
    pub(crate) whole: bool,
}

/// What links are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkBases<'f> {
    /// `base-url`.
    pub(crate) base: Option<&'f str>,
}

impl LinkBases<'_> {
    /// The page of a run.
    pub(crate) fn run(self, run: &RunId) -> Option<String> {
        self.base.map(|base| PageAddress::run(run).under(base))
    }

    /// The page of the log of a stage; where there is no log, the page of the branch.
    fn stage(self, run: &RunId, branch: &BranchReport, stage: Option<&StageReport>) -> Option<String> {
        let base = self.base?;
        let (project, name) = (&branch.project, branch.branch.as_ref());
        let address = match stage.filter(|stage| stage.log.is_some()) {
            Some(stage) => {
                let stage = branch.log_owner(stage);
                let variant = stage.variant.as_ref();
                PageAddress::log(run, project, name, variant, stage.refs, stage.stage, LogForm::Page)
            }
            None => PageAddress::branch(project, name),
        };
        Some(address.under(base))
    }
}

/// Everything that the report says, and further failures of the host. What was interrupted says nothing.
pub(super) fn of_run(run: &FinishedRun<'_>, further: &[Diagnosis]) -> Vec<TopicFinding> {
    let told =
        run.of.failures.iter().filter(|failure| !matches!(failure.kind, FailureKind::Killed | FailureKind::Notifier));
    let url = run.links.run(&run.of.run);
    let mut findings = of_host(told.chain(further), url.as_deref());
    let branches = run.of.branches.iter().filter(|branch| branch.outcome != Outcome::Interrupted);
    for branch in branches {
        // What is this host's is told once, of the host; where nothing else fails there is nothing to say of the branch,
        // neither that it fails nor that it works again.
        let ours = |failure: &&Diagnosis| !run.of.network.is_of_this_host(failure);
        if branch.outcome.is_good()
            || branch.failures().next().is_none()
            || branch.failures().any(|failure| ours(&failure))
        {
            findings.push(of_branch(run, branch));
        }
        findings.extend(found_in(run, branch));
    }
    findings.extend(rot(run));
    findings
}

/// Trouble to come with the upstreams of each project.
fn rot(run: &FinishedRun<'_>) -> Vec<TopicFinding> {
    let mut projects: BTreeMap<&ProjectName, Vec<Diagnosis>> = BTreeMap::new();
    for found in run.of.rot.iter().filter(|found| found.is_trouble()) {
        let users: BTreeMap<_, _> = found.users.iter().map(|user| ((&user.project, &user.element), user)).collect();
        for user in users.into_values() {
            projects.entry(&user.project).or_default().push(found.diagnosis(user));
        }
    }
    let finding = |(project, diagnoses): (&ProjectName, Vec<Diagnosis>)| {
        let url = run.links.run(&run.of.run);
        let mut topic = NotificationTopic { project: Some(project.clone()), url, ..NotificationTopic::host() };
        topic.failed(diagnoses.iter());
        // Whatever is the matter with it: an element of another upstream is news.
        let one = |found: &Diagnosis| {
            let element = found.element.as_ref().map_or("-", |element| element.as_str());
            format!("{} - {element} {}", found.kind, found.place.url.as_deref().unwrap_or_default())
        };
        let signature = diagnoses.iter().map(one).collect();
        TopicFinding { signature, ..TopicFinding::well(format!("{ROT_OF}{project}"), topic) }
    };
    projects.into_iter().map(finding).collect()
}

/// What failed nothing in a branch and is to be looked at: told as a failure is, and its end is not.
fn found_in(run: &FinishedRun<'_>, branch: &BranchReport) -> Option<TopicFinding> {
    branch.findings().next()?;
    let issues = group_issues([branch], &run.of.network).into_iter().filter(|issue| issue.is_finding);
    let stage = branch.stages.iter().find(|stage| !stage.findings.is_empty());
    let mut topic = NotificationTopic {
        project: Some(branch.project.clone()),
        branch: branch.branch.clone(),
        commit: branch.commit.clone(),
        url: run.links.stage(&run.of.run, branch, stage),
        ..NotificationTopic::host()
    };
    topic.failed(branch.findings());
    topic.caused_by(issues.collect());
    let key = format!("{FOUND_IN}{}", branch.project_branch().key());
    Some(TopicFinding { event: true, signature: signature(branch.findings()), ..TopicFinding::well(key, topic) })
}

/// Failures of no project, by what is the matter.
pub(super) fn of_host<'d>(failures: impl IntoIterator<Item = &'d Diagnosis>, url: Option<&str>) -> Vec<TopicFinding> {
    let mut kinds: BTreeMap<FailureKind, Vec<&Diagnosis>> = BTreeMap::new();
    for failure in failures {
        kinds.entry(failure.kind).or_default().push(failure);
    }
    let finding = |(kind, failures): (FailureKind, Vec<&Diagnosis>)| {
        let mut finding = TopicFinding::host(format!("host:{kind}"), &failures);
        finding.topic.url = url.map(str::to_owned);
        finding
    };
    kinds.into_iter().map(finding).collect()
}

/// Trouble that is known and that the run shows to be over, without having an entry for it.
pub(super) fn over(memory: &NotifierState, findings: &[TopicFinding], report: &RunReport) -> Vec<TopicFinding> {
    let found: BTreeSet<&str> = findings.iter().map(|finding| finding.key.as_str()).collect();
    let listed: BTreeMap<String, &ProjectName> =
        report.branches.iter().filter(|b| b.branch.is_some()).map(|b| (b.project.to_string(), &b.project)).collect();
    let troubled = memory.troubled().into_iter().filter(|key| !found.contains(key.as_str()));
    let over = |key: TopicKey| {
        if key.starts_with("host:notifier:") {
            return None;
        }
        if let Some(branch) = key.strip_prefix(FOUND_IN) {
            // The branch was worked on, and nothing of the sort was found.
            let worked = report.branches.iter().any(|b| b.project_branch().key() == branch);
            return worked.then(|| TopicFinding { event: true, ..TopicFinding::well(key, NotificationTopic::host()) });
        }
        if let Some(name) = key.strip_prefix(ROT_OF) {
            // The run asked, and heard of no trouble.
            let project =
                listed.get(name).map(|project| Some((*project).clone())).filter(|_| report.probes.is_some())?;
            return Some(TopicFinding::well(key, NotificationTopic { project, ..NotificationTopic::host() }));
        }
        if key.starts_with("host:") {
            let event = key == format!("host:{}", FailureKind::Killed);
            return Some(TopicFinding { event, ..TopicFinding::well(key, NotificationTopic::host()) });
        }
        // Its branches were listed, or there would be none of them.
        let project = listed.get(&key).map(|project| Some((*project).clone()))?;
        Some(TopicFinding::well(key, NotificationTopic { project, ..NotificationTopic::host() }))
    };
    troubled.filter_map(over).collect()
}

fn of_branch(run: &FinishedRun<'_>, report: &BranchReport) -> TopicFinding {
    let bad = !report.outcome.is_good();
    let failing = report.stages.iter().filter(|stage| !stage.failures.is_empty() || !stage.outcome.is_good());
    let stage = failing.max_by_key(|stage| (stage.log.is_some(), stage.outcome)).filter(|_| bad);
    let shown = stage.or_else(|| report.stages.iter().rfind(|stage| stage.log.is_some()));
    let log = stage.and_then(|stage| stage.log.as_deref()).and_then(|log| inside(run, log));
    let known = run.states.iter().find(|state| state.project == report.project && state.branch == report.branch);
    let mut topic = NotificationTopic {
        project: Some(report.project.clone()),
        branch: report.branch.clone(),
        commit: report.commit.clone(),
        outcome: report.outcome,
        since: known.and_then(|state| state.failing_since).filter(|_| bad),
        url: run.links.stage(&run.of.run, report, shown),
        log_end: log.as_deref().map(end_of).unwrap_or_default(),
        log,
        ..NotificationTopic::host()
    };
    let own = || report.failures().filter(|failure| !run.of.network.is_of_this_host(failure));
    let mut signature = signature(own());
    if bad {
        topic.failed(own());
        let issues = group_issues([report], &run.of.network).into_iter();
        topic.caused_by(issues.filter(|issue| !issue.is_finding && !issue.is_of_this_host).collect());
        // A stage may fail without a word.
        let silent = report.stages.iter().filter(|stage| !stage.outcome.is_good() && stage.failures.is_empty());
        signature.extend(silent.map(|stage| format!("{} {} -", stage.outcome, stage.stage)));
        if signature.is_empty() {
            signature.insert(format!("{} - -", report.outcome));
        }
    } else {
        signature.clear();
    }
    // Another form of the same commit is no news.
    let changes = report.changes.iter().filter(|change| !change.format_only).cloned().collect();
    TopicFinding { key: report.project_branch().key(), topic, signature, changes, event: false }
}

/// Where a log is, which has to be inside the run's directory.
fn inside(run: &FinishedRun<'_>, log: &Path) -> Option<PathBuf> {
    let plain = log.components().all(|part| matches!(part, Component::Normal(_)));
    plain.then(|| run.store.run_directory(&run.of.run).join(log))
}

/// The last lines of a log; nothing where it cannot be read.
fn end_of(log: &Path) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(READ)))?;
        let mut bytes = Vec::new();
        file.take(READ).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let text = strip_control(&String::from_utf8_lossy(&read().unwrap_or_default()));
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut kept = Vec::new();
    let mut bytes = 0;
    for line in lines.iter().rev().take(LINES) {
        let line = readable(line);
        bytes += line.len() + 1;
        if bytes > BYTES {
            break;
        }
        kept.push(line);
    }
    kept.reverse();
    kept.join("\n")
}

/// A line of bst's in the form that we ask of it, without what is for programs: the elapsed time and the cache key.
fn readable(line: &str) -> Cow<'_, str> {
    let fields: Option<Vec<&str>> = line.strip_prefix("@BST|").map(|rest| rest.splitn(6, '|').collect());
    match fields.as_deref() {
        Some([time, _, _, element, kind, text]) => {
            format!("[{time}][{}] {} {text}", element.trim(), kind.trim()).into()
        }
        Some(_) | None => line.into(),
    }
}

/// A run in a few lines, for those who get its heartbeats.
pub(crate) fn short(report: &RunReport) -> String {
    const MAX_LINES: usize = 50;
    let good = report.branches.iter().filter(|branch| branch.outcome.is_good()).count();
    let mut text = format!(
        "run {} on {}: {}, {good} of {} branches are good\n",
        report.run,
        report.host,
        report.outcome,
        report.branches.len()
    );
    for failure in &report.failures {
        let _ = writeln!(text, "{}: {}", failure.kind, failure.message.lines().next().unwrap_or_default());
    }
    let bad: Vec<_> = report.branches.iter().filter(|branch| !branch.outcome.is_good()).collect();
    for branch in bad.iter().take(MAX_LINES) {
        let mut topic = NotificationTopic {
            project: Some(branch.project.clone()),
            branch: branch.branch.clone(),
            outcome: branch.outcome,
            ..NotificationTopic::host()
        };
        topic.failed(branch.failures());
        topic.caused_by(
            group_issues([*branch], &report.network).into_iter().filter(|issue| !issue.is_finding).collect(),
        );
        let name = branch.branch.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let _ = writeln!(text, "{}{name}: {} {}", branch.project, branch.outcome, cause(&topic));
    }
    if bad.len() > MAX_LINES {
        let _ = writeln!(text, "and {} more", bad.len() - MAX_LINES);
    }
    text
}
