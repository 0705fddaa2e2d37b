//! What is shown to those who look: the status pages, here and elsewhere, and the metrics.

use super::Fetcher;
use crate::diagnosis::Diagnosis;
use crate::metrics::{self, Metrics};
use crate::pages::{self, Publish};
use crate::report::RunReport;
use crate::runner::LocalRunner;
use crate::state::{BranchState, Store};
use crate::upload::{Upload, upload};

impl Fetcher {
    /// Writes the pages and the metrics that are configured; gives what failed of it, which stops nothing.
    pub(super) fn show(&self, store: &Store, report: &RunReport, local: Option<&LocalRunner>) -> Vec<Diagnosis> {
        let states = self.in_order(store.branches());
        let mut failures = Vec::new();
        // What is only sent elsewhere is made in a directory of our own.
        let own = self.config.upload.as_ref().map(|_| store.directory().join("site"));
        let site = self.config.publish_dir.as_ref().or(own.as_ref());
        if let Some(directory) = site {
            let published = pages::publish(&Publish {
                directory,
                store,
                states: &states,
                running: report.finished.is_none().then_some(&report.run),
                base_url: self.config.base_url.as_deref(),
                keep_runs: self.config.keep_runs,
                redactor: &self.redactor,
                clock: &self.clock,
            });
            match published {
                Ok(published) => failures.extend(published.failures),
                Err(error) => failures.push(error.diagnosis()),
            }
        }
        let uploading = local.filter(|_| !self.cancel.is_cancelled());
        if let (Some(config), Some(directory), Some(runner)) = (&self.config.upload, site, uploading) {
            let sent = upload(&Upload {
                config,
                directory,
                store,
                run: &report.run,
                environment: &self.environment,
                runner,
                cancel: &self.cancel,
                redactor: &self.redactor,
            });
            failures.extend(sent.err().map(|error| error.diagnosis()));
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
