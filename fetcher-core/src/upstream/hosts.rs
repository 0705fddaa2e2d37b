//! The hosts of a run: how many exchanges each has, which wants to be left alone, which is down, what each cost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::answer::{ProbeCost, ProbeDoubt, UpstreamAnswer};
use crate::diagnosis::{Diagnosis, FailureKind};

/// After so many failures in a row to reach a host it is asked no more in this run.
const MAX_FAILURES: u32 = 2;

/// All hosts by name.
#[derive(Debug, Default)]
pub(super) struct HostTable(BTreeMap<String, HostState>);

/// What is known of one host.
#[derive(Debug, Default)]
pub(super) struct HostState {
    running: usize,
    not_before: Option<Instant>,
    failures: u32,
    /// Why it is asked no more.
    pub(super) down: Option<Diagnosis>,
    /// How many questions it was asked, and how many of them it answered.
    pub(super) asked: u64,
    pub(super) answered: u64,
    /// How many answers may not be believed.
    pub(super) doubted: u64,
    pub(super) cost: ProbeCost,
}

impl HostTable {
    pub(super) fn state(&mut self, host: &str) -> &mut HostState {
        self.0.entry(host.to_owned()).or_default()
    }

    /// Whether a host may have one more exchange.
    pub(super) fn has_room(&self, host: &str, per_host: usize, now: Instant) -> bool {
        self.0.get(host).is_none_or(|state| {
            state.running < per_host && state.not_before.is_none_or(|until| until <= now || state.down.is_some())
        })
    }

    /// When the first host that wants to be left alone may be asked again.
    pub(super) fn next_time(&self, now: Instant) -> Option<Duration> {
        let waits = self.0.values().filter_map(|state| state.not_before.filter(|until| *until > now));
        waits.min().map(|until| until - now)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &HostState)> {
        self.0.iter().map(|(name, state)| (name.as_str(), state))
    }
}

impl HostState {
    pub(super) fn begin(&mut self) {
        self.running += 1;
    }

    pub(super) fn end(&mut self, cost: ProbeCost) {
        self.running -= 1;
        self.cost.add(cost);
    }

    /// Leaves it alone for a while.
    pub(super) fn leave_alone(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        self.not_before = Some(self.not_before.map_or(until, |known| known.max(until)));
    }

    /// Takes note of what it answered.
    pub(super) fn learn(&mut self, answers: &[UpstreamAnswer]) {
        self.asked += answers.len() as u64;
        self.answered += answers.iter().filter(|answer| answer.state.is_some()).count() as u64;
        let is_doubted = |answer: &&UpstreamAnswer| answer.state.is_none() && answer.failure.is_none();
        self.doubted += answers.iter().filter(is_doubted).count() as u64;
        let unreached =
            answers.iter().filter_map(|answer| answer.failure.as_ref()).find(|failure| is_unreached(failure));
        match unreached {
            Some(failure) => {
                self.failures += 1;
                if failure.kind == FailureKind::Dns || self.failures >= MAX_FAILURES {
                    self.down.get_or_insert_with(|| failure.clone());
                }
            }
            None if answers.iter().all(|answer| answer.doubt != Some(ProbeDoubt::Cancelled)) => self.failures = 0,
            None => {}
        }
    }
}

/// Whether a failure says that a host cannot be reached at all.
fn is_unreached(failure: &Diagnosis) -> bool {
    matches!(failure.kind, FailureKind::Dns | FailureKind::Network | FailureKind::TimeOut)
}
