//! Whether the mirrors of projects have what their elements are pinned to, asked whenever somebody wants to know.

mod pinned_sources;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Fetcher, FetcherError};
use crate::config::ProjectConfig;
use crate::diagnosis::{Diagnosis, FailureKind, upstream_host};
use crate::git::Git;
use crate::names::ProjectName;
use crate::report::RotUser;
use crate::runner::LocalRunner;
use crate::secret::{Redact, Redactor};
use crate::state::{StateError, StateStore};
use crate::upstream::{ProbeDoubt, Prober, UpstreamAnswer, UpstreamQuestion, UpstreamState};

use pinned_sources::{MirrorPlace, PinnedSource, PinnedSources};

/// How long one answer may take that git gets.
const GIT_TIMEOUT: Duration = Duration::from_secs(120);

/// What mirrors have of what projects are pinned to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct MirrorReport {
    /// When they were asked.
    pub asked: Timestamp,
    /// Each mirror of each alias that sources have; the alias's own address is one of them.
    pub mirrors: Vec<MirrorCheck>,
    /// The hosts that gave no answer, each once.
    pub failing: Vec<FailingMirrorHost>,
    /// What was not looked at, and of how many sources, or mirrors, that is so.
    pub not_looked_at: BTreeMap<String, u64>,
    /// Requests in all.
    pub requests: u64,
    /// How long all of it took, in seconds.
    pub seconds: f64,
    /// What of the memory cannot be read, so that nothing is known of it.
    #[serde(skip)]
    pub problems: Vec<StateError>,
    /// Whether somebody wanted to stop before the end.
    pub interrupted: bool,
}

/// What one mirror has of what an alias stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct MirrorCheck {
    /// The project.
    pub project: ProjectName,
    /// The alias.
    pub alias: String,
    /// The mirror's name; none for the upstream that the alias itself stands for.
    pub mirror: Option<String>,
    /// What stands in the alias's place.
    pub address: String,
    /// How many pinned refs and files it was asked for.
    pub sources: u64,
    /// How many of them it has.
    pub held: u64,
    /// Those that it does not have, or has otherwise.
    pub lacking: Vec<MirrorGap>,
    /// Those of which its answer does not say that.
    pub untold: Vec<MirrorGap>,
    /// How many it gave no answer for: see [`MirrorReport::failing`].
    pub unanswered: u64,
}

/// A pinned ref or file that a mirror does not have, or of which nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct MirrorGap {
    /// Where the mirror would have it.
    pub url: String,
    /// The commit, or the file's checksum.
    pub version: String,
    /// What is the matter.
    pub message: String,
    /// The elements that need it.
    pub users: Vec<RotUser>,
}

/// A host of mirrors that gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct FailingMirrorHost {
    /// The host, with its port where that is not the usual one; empty for what is on this machine.
    pub host: String,
    /// What it said first, or why it could not be reached.
    pub message: String,
    /// How many pinned refs and files it was to be asked for.
    pub sources: u64,
}

impl Fetcher {
    /// Asks each mirror of a project, or of all, for each pinned ref and file that the last run listed: with the user's own
    /// means, without `bst`, and without getting any of it. Nothing is changed, and nothing remembered.
    ///
    /// # Errors
    /// When there is no temporary directory.
    pub fn check_mirrors(&self, project: Option<&str>) -> Result<MirrorReport, FetcherError> {
        let store = StateStore::new(&self.config.state_dir);
        let mut pinned = PinnedSources::default();
        let mut problems = Vec::new();
        for state in store.branches() {
            let Some(branch) = state.branch else { continue };
            let is_wanted = |config: &&ProjectConfig| {
                config.name == state.project && project.is_none_or(|wanted| wanted == config.name.as_str())
            };
            if let Some(config) = self.config.projects.iter().find(is_wanted) {
                problems.extend(pinned.add_branch(&self.config, &store, config, &branch));
            }
        }
        let temporary = self.temporary()?;
        let runner = LocalRunner::default();
        let git = Git::new(self.context(&runner, &runner), GIT_TIMEOUT);
        let prober = Prober::new(&self.config.probe, git, temporary.path().join("mirrors"));
        let questions: Vec<_> = pinned.questions().into_iter().collect();
        let answers = prober.ask(&questions);
        let answers: BTreeMap<_, _> =
            questions.iter().zip(&answers).map(|(asked, answer)| (asked, &**answer)).collect();
        let (mut mirrors, mut failing) = (Vec::new(), BTreeMap::new());
        for (place, sources) in &pinned.places {
            mirrors.push(check(place, sources, &answers, &mut failing));
        }
        let asked = prober.report();
        let report = MirrorReport {
            asked: self.clock.now(),
            mirrors,
            failing: failing.into_values().collect(),
            not_looked_at: pinned.not_looked_at,
            requests: asked.hosts.iter().map(|host| host.requests).sum(),
            seconds: asked.seconds,
            problems,
            interrupted: self.cancel.is_cancelled(),
        };
        Ok(report.redacted(&self.redactor))
    }
}

/// What the answers say of one mirror.
fn check(
    place: &MirrorPlace,
    sources: &BTreeMap<PinnedSource, BTreeSet<RotUser>>,
    answers: &BTreeMap<&UpstreamQuestion, &UpstreamAnswer>,
    failing: &mut BTreeMap<String, FailingMirrorHost>,
) -> MirrorCheck {
    let MirrorPlace { project, alias, mirror, address } = place.clone();
    let (lacking, untold) = (Vec::new(), Vec::new());
    let mut checked =
        MirrorCheck { project, alias, mirror, address, sources: 0, held: 0, lacking, untold, unanswered: 0 };
    for (source, users) in sources {
        checked.sources += 1;
        let gap = |message: String| MirrorGap {
            url: source.url.clone(),
            version: source.version.clone(),
            message,
            users: users.iter().cloned().collect(),
        };
        let Some(answer) = answers.get(&source.question()) else { continue };
        match standing(source, answer, answers) {
            MirrorStanding::Held => checked.held += 1,
            MirrorStanding::Lacking(message) => checked.lacking.push(gap(message)),
            MirrorStanding::Untold(message) => checked.untold.push(gap(message)),
            MirrorStanding::Unanswered(failure) => {
                checked.unanswered += 1;
                let host = upstream_host(&source.url).unwrap_or_default();
                let known = failing.entry(host.clone());
                let known =
                    known.or_insert_with(|| FailingMirrorHost { host, message: failure.message.clone(), sources: 0 });
                known.sources += 1;
            }
        }
    }
    checked
}

/// What a mirror's answer to one question comes to.
enum MirrorStanding<'a> {
    Held,
    Lacking(String),
    Untold(String),
    Unanswered(&'a Diagnosis),
}

fn standing<'a>(
    source: &PinnedSource,
    answer: &'a UpstreamAnswer,
    answers: &BTreeMap<&UpstreamQuestion, &UpstreamAnswer>,
) -> MirrorStanding<'a> {
    match (&answer.state, answer.doubt, &answer.failure) {
        (Some(UpstreamState::Present { length: Some(length) }), ..) => {
            let original = source.original_question().and_then(|question| answers.get(&question)?.state.as_ref());
            match original {
                Some(UpstreamState::Present { length: Some(upstream) }) if upstream != length => {
                    let original = &source.original;
                    MirrorStanding::Lacking(format!("it has {length} bytes there, and {original} has {upstream}"))
                }
                _ => MirrorStanding::Held,
            }
        }
        (Some(_), ..) => MirrorStanding::Held,
        (None, Some(ProbeDoubt::NotFound), failure) => {
            let message = failure.as_ref().map(|failure| failure.message.clone());
            MirrorStanding::Lacking(message.unwrap_or_else(|| ProbeDoubt::NotFound.to_string()))
        }
        // What is wrong with a host is told once.
        (None, _, Some(failure)) if failure.kind != FailureKind::Interrupted => MirrorStanding::Unanswered(failure),
        (None, doubt, _) => MirrorStanding::Untold(doubt.unwrap_or(ProbeDoubt::Failed).to_string()),
    }
}

impl Redact for MirrorReport {
    fn redacted(self, redactor: &Redactor) -> Self {
        let Self { asked, mirrors, failing, not_looked_at, requests, seconds, problems, interrupted } = self;
        let host = |host: FailingMirrorHost| {
            let FailingMirrorHost { host, message, sources } = host;
            FailingMirrorHost { host: host.redacted(redactor), message: message.redacted(redactor), sources }
        };
        let not_looked_at = not_looked_at.into_iter().map(|(what, count)| (what.redacted(redactor), count)).collect();
        let mirrors = mirrors.into_iter().map(|mirror| mirror.redacted(redactor)).collect();
        let failing = failing.into_iter().map(host).collect();
        Self { asked, mirrors, failing, not_looked_at, requests, seconds, problems, interrupted }
    }
}

impl Redact for MirrorCheck {
    fn redacted(self, redactor: &Redactor) -> Self {
        let gaps = |gaps: Vec<MirrorGap>| {
            let gap = |gap: MirrorGap| {
                let MirrorGap { url, version, message, users } = gap;
                let users = users.into_iter().filter_map(|user| user.redacted_user(redactor)).collect();
                let (url, version) = (url.redacted(redactor), version.redacted(redactor));
                MirrorGap { url, version, message: message.redacted(redactor), users }
            };
            gaps.into_iter().map(gap).collect()
        };
        let Self { project, alias, mirror, address, sources, held, lacking, untold, unanswered } = self;
        Self {
            project,
            alias: alias.redacted(redactor),
            mirror: mirror.redacted(redactor),
            address: address.redacted(redactor),
            sources,
            held,
            lacking: gaps(lacking),
            untold: gaps(untold),
            unanswered,
        }
    }
}
