//! What is shown to those who look: the status pages, here and elsewhere, and the metrics.

use std::sync::{Mutex, PoisonError};

use super::Fetcher;
use crate::diagnosis::Diagnosis;
use crate::metrics::MetricsWriter;
use crate::pages::SitePublisher;
use crate::report::RunReport;
use crate::runner::RunContext;
use crate::state::{BranchState, StateStore, UsageRegister};
use crate::upload::SiteUpload;

impl Fetcher {
    /// Writes the pages and the metrics that are configured; gives what failed of it, which stops nothing.
    pub(super) fn show(
        &self,
        store: &StateStore,
        usage: &Mutex<UsageRegister>,
        report: &RunReport,
        context: RunContext<'_>,
        uploads: bool,
    ) -> Vec<Diagnosis> {
        // What of them cannot be read was told when the run began.
        let states = self.current(store.branches(), &usage.lock().unwrap_or_else(PoisonError::into_inner));
        let mut failures = Vec::new();
        // What is only sent elsewhere is made in a directory of our own.
        let own = self.config.upload.as_ref().map(|_| store.directory().join("site"));
        let site = self.config.publish_dir.as_ref().or(own.as_ref());
        if let Some(directory) = site {
            let site = SitePublisher {
                directory,
                store,
                states: &states,
                running: report.finished.is_none().then_some(&report.run),
                base_url: self.config.base_url.as_deref(),
                keep_runs: self.config.keep_runs,
                keep_logs: self.config.keep_logs,
                redactor: context.redactor,
                clock: context.clock,
            };
            let published = site.publish();
            match published {
                Ok(published) => failures.extend(published.failures),
                Err(error) => failures.push(error.diagnosis()),
            }
        }
        let uploads = uploads && !context.cancel.is_cancelled();
        if let (Some(config), Some(directory), true) = (&self.config.upload, site, uploads) {
            let upload = SiteUpload { config, directory, store, run: &report.run, context };
            failures.extend(upload.send().err().map(|error| error.diagnosis()));
        }
        if let Some(file) = &self.config.metrics_file {
            let written = MetricsWriter { file, store, states: &states, report }.write();
            failures.extend(written.err().map(|error| error.diagnosis()));
        }
        failures
    }

    /// The branches that somebody's last run named, in the order of the configuration.
    pub(super) fn current(&self, mut states: Vec<BranchState>, usage: &UsageRegister) -> Vec<BranchState> {
        states.retain(|state| usage.is_current(&state.project, state.branch.as_ref()));
        let place = |state: &BranchState| self.config.projects.iter().position(|project| project.name == state.project);
        // Those of other configurations come after one's own.
        states.sort_by_key(|state| place(state).unwrap_or(usize::MAX));
        states
    }
}
