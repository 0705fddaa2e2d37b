//! What is shown to those who look: the status pages and the metrics.

use super::Fetcher;
use crate::diagnosis::Diagnosis;
use crate::metrics::{self, Metrics};
use crate::pages::{self, Publish};
use crate::report::RunReport;
use crate::state::{BranchState, Store};

impl Fetcher {
    /// Writes the pages and the metrics that are configured; gives what failed of it, which stops nothing.
    pub(super) fn show(&self, store: &Store, report: &RunReport) -> Vec<Diagnosis> {
        let states = self.in_order(store.branches());
        let mut failures = Vec::new();
        if let Some(directory) = &self.config.publish_dir {
            let published = pages::publish(&Publish {
                directory,
                store,
                states: &states,
                running: report.finished.is_none().then_some(&report.run),
                base_url: self.config.base_url.as_deref(),
                keep_runs: self.config.keep_runs,
                redactor: &self.redactor,
                clock: self.clock.as_ref(),
            });
            match published {
                Ok(published) => failures.extend(published.failures),
                Err(error) => failures.push(error.diagnosis()),
            }
        }
        if let Some(file) = &self.config.metrics_file {
            let written = metrics::write(&Metrics { file, store, states: &states, report });
            failures.extend(written.err().map(|error| error.diagnosis()));
        }
        failures
    }

    /// The projects in the order of the configuration.
    fn in_order(&self, mut states: Vec<BranchState>) -> Vec<BranchState> {
        states.sort_by_key(|state| self.config.projects.iter().position(|project| project.name == state.project));
        states
    }
}
