//! The metrics in Prometheus's text format
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

use jiff::Timestamp;
use serde::Serialize;

use super::metrics_state::{BranchMemory, MetricsState, ProofCount, StageCount};
use crate::diagnosis::{Actor, FailureKind};
use crate::names::{BranchName, Refs, Stage};
use crate::report::{CacheCoverage, HostProbes, Outcome, ProbeReport, RequestStatus, RotFinding};
use crate::state::BranchState;

const OUTCOMES: [Outcome; 5] = [Outcome::Skipped, Outcome::Ok, Outcome::Partial, Outcome::Failed, Outcome::Interrupted];

/// Whose samples they are: a branch's, or the whole host's.
type SampleOwner<'a> = Option<&'a BranchState>;
/// The branches with what is remembered of them.
type BranchSamples<'a> = [(&'a BranchState, &'a BranchMemory)];

/// A number of a proof.
type ProofNumber = fn(&ProofCount) -> u64;
/// A number that is counted of a stage.
type StageNumber = fn(&StageCount) -> u64;

/// A number of a host that was asked.
type HostNumber = fn(&HostProbes) -> f64;

/// Hosts that have samples of their own, the most asked; the others are summed up without a name.
const MAX_HOSTS: usize = 100;

/// The text. `rot` is the trouble to come that is known.
pub(super) fn render(memory: &MetricsState, states: &[BranchState], rot: &[RotFinding]) -> String {
    let branches: Vec<_> = states.iter().filter_map(|state| Some((state, memory.branch(state)?))).collect();
    let mut text = MetricsText::default();
    text.last_run(memory);
    if let Some(probes) = memory.run.as_ref().and_then(|run| run.probes.as_ref()) {
        text.probes(probes);
        text.rot(rot);
    }
    text.times(states);
    text.last_run_of_branches(&branches);
    text.proofs(&branches);
    text.coverage(states);
    text.counters(&branches);
    text.tracking(&branches);
    text.out
}

#[derive(Default)]
struct MetricsText {
    out: String,
    /// The name of the metric whose samples follow.
    name: &'static str,
}

impl MetricsText {
    fn last_run(&mut self, memory: &MetricsState) {
        let Some(run) = &memory.run else { return };
        self.gauge("build_info", "The version of bst-fetcher that made the last run, always 1.");
        self.sample(None, &[("version", &run.version)], 1);
        self.gauge("last_run_timestamp_seconds", "When the last run ended.");
        self.sample(None, &[], seconds(run.finished));
        self.gauge("last_success_timestamp_seconds", "When a run last ended in which nothing failed.");
        if let Some(at) = memory.last_success {
            self.sample(None, &[], seconds(at));
        }
        self.gauge("last_run_duration_seconds", "How long the last run took.");
        self.sample(None, &[], run.seconds);
        self.gauge("last_run_outcome", "How the last run ended, 1 for its outcome and 0 for the others.");
        self.outcomes(None, |outcome| u64::from(outcome == run.outcome));
        self.gauge("last_run_branches", "Branches that the last run worked on, by outcome.");
        self.outcomes(None, |outcome| run.branches.iter().filter(|branch| **branch == outcome).count() as u64);
        self.gauge("last_run_failures", "Failures of the last run that are no branch's.");
        self.failures(None, &run.failures);
    }

    /// What upstreams were asked in the last run, by their hosts.
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    fn probes(&mut self, probes: &ProbeReport) {
        self.gauge("last_run_probe_seconds", "How long the last run waited for upstreams' answers.");
        self.sample(None, &[], probes.seconds);
        let mut hosts: Vec<&HostProbes> = probes.hosts.iter().collect();
        hosts.sort_by(|a, b| (b.asked, &a.host).cmp(&(a.asked, &b.host)));
        let (named, others) = hosts.split_at(hosts.len().min(MAX_HOSTS));
        let numbers: [(_, _, HostNumber); 7] = [
            ("upstream_questions", "What the last run asked of the upstream's host.", |host| host.asked as f64),
            ("upstream_answers", "How many of these were answered so that it may be believed.", |host| {
                host.answered as f64
            }),
            ("upstream_doubts", "How many of these were answered so that nothing follows.", |host| host.doubted as f64),
            ("upstream_requests", "How many requests that took.", |host| host.requests as f64),
            ("upstream_bytes", "How many bytes of answers were read.", |host| host.bytes as f64),
            ("upstream_request_seconds", "For how long requests were under way, all added up.", |host| host.seconds),
            ("upstream_down", "1 for a host that was asked no more, for it could not be reached.", |host| {
                f64::from(u8::from(host.failure.is_some()))
            }),
        ];
        for (name, help, number) in numbers {
            self.gauge(name, help);
            for host in named {
                self.sample(None, &[("host", &host.host)], number(host));
            }
            if !others.is_empty() {
                self.sample(None, &[("host", "(others)")], others.iter().map(|host| number(host)).sum::<f64>());
            }
        }
    }

    /// Trouble to come with upstreams.
    fn rot(&mut self, findings: &[RotFinding]) {
        self.gauge(
            "rot_findings",
            "Trouble to come with upstreams, by what it is and how soon something has to be done.",
        );
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for found in findings {
            *counts.entry((found.kind.as_str(), found.urgency.as_str())).or_default() += 1;
        }
        for ((kind, urgency), count) in counts {
            self.sample(None, &[("kind", kind), ("urgency", urgency)], count);
        }
    }

    /// What of tracking was left out; nothing where nothing ever was.
    fn tracking(&mut self, branches: &BranchSamples) {
        let of_track = |memory: &BranchMemory| memory.stages.get(&Stage::Track).copied();
        if branches.iter().all(|(_, memory)| of_track(memory).is_none_or(|count| count.unmoved + count.checked == 0)) {
            return;
        }
        let counts: [(_, _, StageNumber); 3] = [
            ("unmoved_elements_total", "Elements that were not tracked, for nothing had moved upstream.", |count| {
                count.unmoved
            }),
            ("probe_checks_total", "Elements that were tracked although it was known what that finds.", |count| {
                count.checked
            }),
            ("probe_misses_total", "How many of these checks found something else.", |count| count.missed),
        ];
        for (name, help, number) in counts {
            self.counter(name, help);
            for (state, memory) in branches {
                if let Some(count) = of_track(memory) {
                    self.sample(Some(state), &[], number(&count));
                }
            }
        }
    }

    /// Requests to merge tracked refs, and what is held back.
    fn requests(&mut self, branches: &BranchSamples) {
        let publications =
            || branches.iter().filter_map(|(state, _)| Some((Some(*state), state.publication.as_ref()?)));
        self.gauge("branch_requests", "Requests to merge tracked refs, by how they are.");
        for (branch, publication) in publications() {
            for status in RequestStatus::ALL {
                let count = publication.requests.iter().filter(|request| request.status == status).count();
                self.sample(branch, &[("status", status.as_str())], count);
            }
        }
        self.gauge("branch_held_refs", "Tracked refs that are held back from being published.");
        for (branch, publication) in publications() {
            self.sample(branch, &[], publication.held.len());
        }
    }

    fn times(&mut self, states: &[BranchState]) {
        type Time = fn(&BranchState) -> Option<Timestamp>;
        let times: [(_, _, Time); 4] = [
            ("branch_last_run_timestamp_seconds", "When the branch's last run ended.", |state| state.last_run),
            ("branch_last_success_timestamp_seconds", "When a run of the branch last ended well.", |state| {
                state.last_success
            }),
            ("branch_last_failure_timestamp_seconds", "When a run of the branch last ended badly.", |state| {
                state.last_failure
            }),
            ("branch_failing_since_timestamp_seconds", "Since when the branch fails, while it does.", |state| {
                state.failing_since
            }),
        ];
        for (name, help, time) in times {
            self.gauge(name, help);
            for state in states {
                if let Some(at) = time(state) {
                    self.sample(Some(state), &[], seconds(at));
                }
            }
        }
        self.gauge("branch_consecutive_failures", "How many runs of the branch in a row ended badly.");
        for state in states {
            self.sample(Some(state), &[], state.consecutive_failures);
        }
    }

    fn last_run_of_branches(&mut self, branches: &BranchSamples) {
        let last = || branches.iter().filter_map(|(state, _)| Some((Some(*state), state.history.last()?)));
        self.gauge("branch_outcome", "How the branch's last run ended, 1 for its outcome and 0 for the others.");
        for (branch, past) in last() {
            self.outcomes(branch, |outcome| u64::from(outcome == past.outcome));
        }
        self.gauge("branch_duration_seconds", "How long the branch's last run took.");
        for (branch, past) in last() {
            self.sample(branch, &[], past.seconds);
        }
        self.gauge("branch_failures", "Failures of the branch's last run.");
        for (state, memory) in branches {
            self.failures(Some(state), &memory.last_failures);
        }
        if branches.iter().any(|(_, memory)| !memory.last_findings.is_empty()) {
            self.gauge("branch_findings", "What the branch's last run found that failed nothing.");
            for (state, memory) in branches {
                self.failures(Some(state), &memory.last_findings);
            }
        }
        self.gauge("branch_allowed_failures", "Failures of the branch's last run that its project allows.");
        for (branch, past) in last() {
            self.sample(branch, &[], past.allowed);
        }
        if branches.iter().any(|(state, _)| state.publication.is_some()) {
            self.requests(branches);
        }
        self.gauge("branch_info", "The version of BuildStream that works on the branch, always 1.");
        for (state, memory) in branches {
            if let Some(version) = &memory.bst_version {
                self.sample(Some(state), &[("bst_version", version)], 1);
            }
        }
        self.gauge("stage_duration_seconds", "How long the stage took when it was last done and not skipped.");
        for (state, memory) in branches {
            for known in &memory.durations {
                let variant = known.variant.as_ref().map_or("", |variant| variant.as_str());
                let refs = known.refs.map_or("", Refs::as_str);
                let labels = [("stage", known.stage.as_str()), ("variant", variant), ("refs", refs)];
                self.sample(Some(state), &labels, known.seconds);
            }
        }
    }

    /// What was proved; nothing where nothing is.
    fn proofs(&mut self, branches: &BranchSamples) {
        if branches.iter().all(|(_, memory)| memory.proofs.is_empty()) {
            return;
        }
        let counts: [(_, _, ProofNumber); 2] = [
            ("proved_elements", "Elements whose sources are all proved to be in the caches.", |proof| proof.proved),
            ("incomplete_elements", "Elements of whose sources the caches lack something.", |proof| proof.missing),
        ];
        for (name, help, count) in counts {
            self.gauge(name, help);
            for (state, memory) in branches {
                for proof in &memory.proofs {
                    let variant = proof.variant.as_ref().map_or("", |variant| variant.as_str());
                    let labels = [("variant", variant), ("refs", proof.refs.map_or("", Refs::as_str))];
                    self.sample(Some(state), &labels, count(proof));
                }
            }
        }
        let costs: [(_, _, StageNumber); 2] = [
            ("verify_blobs_total", "Blobs that caches were asked for.", |count| count.blobs),
            ("verify_requests_total", "Requests that asking the caches took.", |count| count.requests),
        ];
        for (name, help, cost) in costs {
            self.counter(name, help);
            for (state, memory) in branches {
                if let Some(count) = memory.stages.get(&Stage::Verify) {
                    self.sample(Some(state), &[], cost(count));
                }
            }
        }
    }

    fn coverage(&mut self, states: &[BranchState]) {
        type Value = fn(&CacheCoverage) -> String;
        let gauges: [(_, _, Value); 2] = [
            (
                "source_coverage_ratio",
                "The share of the sources of the branch's tip that is known to be in the cache.",
                |known| known.ratio().to_string(),
            ),
            ("sources", "Sources of the branch's tip that could be in the cache.", |known| known.sources.to_string()),
        ];
        for (name, help, value) in gauges {
            self.gauge(name, help);
            for (state, known) in states.iter().flat_map(|state| state.coverage.iter().map(move |known| (state, known)))
            {
                let variant = known.variant.as_ref().map_or("", |variant| variant.as_str());
                let labels = [("variant", variant), ("refs", known.refs.as_str())];
                self.sample(Some(state), &labels, value(known));
            }
        }
    }

    fn counters(&mut self, branches: &BranchSamples) {
        self.counter("branch_runs_total", "Runs of the branch, by outcome.");
        for (state, memory) in branches {
            self.outcomes(Some(state), |outcome| memory.runs.get(&outcome).copied().unwrap_or(0));
        }
        self.counter("failures_total", "Failures of the branch's runs, by kind.");
        for (state, memory) in branches {
            for (kind, count) in &memory.failures {
                self.sample(Some(state), &[("kind", &kind.to_string())], count);
            }
        }
        self.counter("elements_total", "Elements by what became of them in the stage.");
        for (result, count) in [
            ("processed", (|count| count.processed) as fn(&StageCount) -> u64),
            ("skipped", |count| count.skipped),
            ("failed", |count| count.failed),
        ] {
            self.by_stage(branches, &[("result", result)], count);
        }
        self.counter("stage_seconds_total", "Wall time of the stage.");
        self.by_stage(branches, &[], |count| count.seconds);
        self.counter("stage_bst_seconds_total", "Wall time of the stage inside bst.");
        self.by_stage(branches, &[], |count| count.bst_seconds);
    }

    fn by_stage<V: Display>(&mut self, branches: &BranchSamples, labels: &[(&str, &str)], value: fn(&StageCount) -> V) {
        for (state, memory) in branches {
            for (stage, count) in &memory.stages {
                let labels = [&[("stage", stage.as_str())], labels].concat();
                self.sample(Some(state), &labels, value(count));
            }
        }
    }

    fn outcomes(&mut self, of: SampleOwner, value: impl Fn(Outcome) -> u64) {
        for outcome in OUTCOMES {
            self.sample(of, &[("outcome", outcome.as_str())], value(outcome));
        }
    }

    fn failures(&mut self, of: SampleOwner, failures: &[(FailureKind, Actor)]) {
        for (at, sort) in failures.iter().enumerate() {
            if !failures[..at].contains(sort) {
                let labels = [("kind", &*sort.0.to_string()), ("actor", &*ActorLabel(sort.1).to_string())];
                self.sample(of, &labels, failures.iter().filter(|same| *same == sort).count());
            }
        }
    }

    fn gauge(&mut self, name: &'static str, help: &str) {
        self.family(name, "gauge", help);
    }

    fn counter(&mut self, name: &'static str, help: &str) {
        self.family(name, "counter", help);
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        let _ = write!(self.out, "# HELP bst_fetcher_{name} {help}\n# TYPE bst_fetcher_{name} {kind}\n");
    }

    fn sample(&mut self, of: SampleOwner, labels: &[(&str, &str)], value: impl Display) {
        let branch = of.map(|state| {
            let branch = state.branch.as_ref().map_or("", BranchName::as_str);
            [("project", state.project.as_str()), ("branch", branch)]
        });
        let labels =
            branch.iter().flatten().chain(labels).map(|(name, value)| format!("{name}=\"{}\"", EscapedLabel(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        let _ = writeln!(self.out, "bst_fetcher_{}{open}{labels}{close} {value}", self.name);
    }
}

/// A label's value: the format knows three characters that have to be escaped.
struct EscapedLabel<'a>(&'a str);

impl Display for EscapedLabel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

/// An actor's stable name, as reports have it.
struct ActorLabel(Actor);

impl Display for ActorLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(f)
    }
}

/// Seconds since 1970, to the millisecond.
fn seconds(at: Timestamp) -> String {
    format!("{}.{:03}", at.as_second(), at.subsec_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(EscapedLabel("a\\b\"c\nd\u{e4}").to_string(), r#"a\\b\"c\ndä"#);
    }
}
