//! Telling: what a run found out, and what fails without one.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Fetcher, FetcherError, RunSelection, error_diagnoses};
use crate::config::ConfigError;
use crate::diagnosis::Diagnosis;
use crate::names::RunId;
use crate::notify::{self, Delivery, Dispatcher, LinkBases, MessageContext, Notifier, NotifierHost, NotifyError};
use crate::report::RunReport;
use crate::state::StateStore;

impl Fetcher {
    /// Tells of failures that no run reports: the lock held for too long, a panic of the program, a configuration that
    /// cannot be read. They are remembered like those of runs: told once, then again after `remind-after`, and over when
    /// a run ends without them. Gives what failed of it.
    ///
    /// It waits while another one tells, and works where nothing can be remembered.
    pub fn tell(&self, failures: &[Diagnosis]) -> Vec<Diagnosis> {
        if failures.is_empty() {
            return Vec::new();
        }
        self.desk(None).failures(failures)
    }

    /// Tells that there was no run, and why, where somebody has to act: a directory that cannot be written, a full disk,
    /// a lock that another run has held for longer than `fetcher.lock-alarm-after`. Gives what failed of it.
    pub fn tell_error(&self, error: &FetcherError) -> Vec<Diagnosis> {
        let failure = error_diagnoses::no_run(error, self.clock.now(), self.config.lock_alarm_after);
        self.tell(failure.as_slice())
    }

    /// Tells that there was no run because the configuration cannot be used, and of `failures` beside it: for a fetcher of
    /// the [last good](crate::Config::last_good) one. Gives what failed of it.
    pub fn tell_configuration(&self, error: &ConfigError, failures: &[Diagnosis]) -> Vec<Diagnosis> {
        let all: Vec<_> = failures.iter().cloned().chain([error_diagnoses::configuration(error)]).collect();
        self.tell(&all)
    }

    /// Tells that a run ended by a panic of the program that embeds it; `what` is the panic's message. Gives what failed
    /// of it.
    pub fn tell_panic(&self, what: &str) -> Vec<Diagnosis> {
        self.tell(&[error_diagnoses::panicked(what)])
    }

    /// Sends a sample through every notifier, or the one of this name, and gives for each what came of it; nothing where
    /// there is no such notifier. A healthcheck is pinged in a way that leaves its state alone.
    pub fn try_notifiers(&self, name: Option<&str>) -> Vec<(String, Result<(), NotifyError>)> {
        let chosen = |notifier: &Arc<dyn Notifier>| name.is_none_or(|name| notifier.name() == name);
        let notifiers: Vec<_> = self.all_notifiers().into_iter().filter(chosen).collect();
        let run = RunId::new(self.clock.now(), std::process::id());
        notify::tried(&notifiers, &run, &self.frame(None), &self.redactor)
    }

    /// Tells that a run starts, and what it found: that the one before it was killed, what of the memory is broken. Were
    /// it told at the end, a host that kills every run would never be told of.
    pub(super) fn tell_start(&self, run: &RunId, found: &[Diagnosis]) -> (Vec<Delivery>, Vec<Diagnosis>) {
        let started = notify::started(&self.all_notifiers(), run, &host_name());
        let failures = if found.is_empty() { Vec::new() } else { self.desk(Some(run)).failures(found) };
        (started, failures)
    }

    /// Tells what a run found out; gives what failed of it, which is part of the report.
    pub(super) fn tell_end(
        &self,
        store: &StateStore,
        report: &RunReport,
        whole: bool,
        started: Vec<Delivery>,
    ) -> Vec<Diagnosis> {
        let notifiers = self.all_notifiers();
        if notifiers.is_empty() {
            return Vec::new();
        }
        // What of them cannot be read was told when the run began.
        let states = store.branches();
        let links = LinkBases { base: self.config.base_url.as_deref() };
        let run = notify::FinishedRun { of: report, states: &states, store, links, whole };
        self.desk(Some(&report.run)).run(&run, started)
    }

    fn desk(&self, run: Option<&RunId>) -> Dispatcher<'_> {
        Dispatcher::open(&self.desk_directories(), &self.all_notifiers(), &self.redactor, self.frame(run))
    }

    /// Where it is remembered what was told: beside the state. Where that cannot be written, which may be what is to be
    /// told, beside the cache.
    fn desk_directories(&self) -> [PathBuf; 2] {
        [&self.config.state_dir, &self.config.cache_dir].map(|directory| directory.join("notify"))
    }

    fn frame(&self, run: Option<&RunId>) -> MessageContext {
        let url = run.and_then(|run| LinkBases { base: self.config.base_url.as_deref() }.run(run));
        MessageContext { at: self.clock.now(), host: host_name(), run: run.cloned(), url }
    }

    fn all_notifiers(&self) -> Vec<Arc<dyn Notifier>> {
        let directory = self.config.path.parent().map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let host = NotifierHost {
            environment: self.environment.clone(),
            projects: self.config.projects.iter().map(|of| (of.name.to_string(), of.url.clone())).collect(),
            owner: self.desk_directories()[0].clone().into_os_string(),
            directory,
            cancel: self.cancel.clone(),
        };
        let configured = self.config.notify.iter().map(|config| notify::configured(config, &host));
        configured.chain(self.notifiers.iter().cloned()).collect()
    }
}

/// The host's name, as reports have it.
pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What those who are notified are told of: of branches only what is true of them as a whole.
pub(super) fn told<'r>(report: &'r RunReport, selection: &RunSelection) -> Cow<'r, RunReport> {
    if selection.elements.is_empty() {
        return Cow::Borrowed(report);
    }
    Cow::Owned(RunReport { branches: Vec::new(), ..report.clone() })
}
