//! The keys of what was fetched and not pushed: bst names them only when it pushes, so it is let push to nowhere.

use std::collections::BTreeSet;
use std::time::Instant;

use super::log::StageLog;
use super::stage_runner::{StageRequest, StageRunner};
use crate::bst::conf::merge;
use crate::bst::dialect::BstAction;
use crate::cas::null_cache::NullCache;
use crate::config::SourceCacheConfig;
use crate::diagnosis::Diagnosis;
use crate::names::{ElementName, Stage};

/// The name of the configuration, in place of `buildstream.conf`.
const CONF: &str = "keys.conf";
/// The name of bst's log.
const LOG: &str = "keys";

impl StageRunner<'_, '_> {
    /// Has bst name the keys of these elements' sources, which are in the local cache. Nothing is fetched for that but what
    /// is no longer there, and nothing leaves this host.
    ///
    /// # Errors
    /// In words, why it could not be tried, or what bst failed of.
    pub(super) fn name_keys(&mut self, elements: BTreeSet<ElementName>) -> Result<(), String> {
        let cache = NullCache::start().map_err(|error| format!("no cache on loopback can be had: {error}"))?;
        let conf = self.conf_for(&cache);
        self.write_conf(CONF, conf).map_err(|error| format!("cannot write {CONF}: {error}"))?;
        let mut log = StageLog::open(&self.log_path(LOG), self.context.redactor).unwrap_or_else(|_| StageLog::none());
        let until = Instant::now() + self.pipeline.project.timeout;
        self.conf_name = CONF;
        let (junctions, others): (BTreeSet<_>, BTreeSet<_>) =
            elements.into_iter().partition(|element| self.junctions.contains(element));
        let mut failures: Vec<Diagnosis> = Vec::new();
        for names in [junctions, others].into_iter().filter(|names| !names.is_empty()) {
            let request = StageRequest::named(names);
            let attempt = self.attempt(Stage::Verify, BstAction::Push, &request.elements, &mut log, until);
            self.absorb_keys(&attempt);
            failures.extend(attempt.failures);
        }
        self.conf_name = super::stage_runner::CONF;
        match failures.first() {
            None => Ok(()),
            Some(failure) => Err(failure.message.clone()),
        }
    }

    /// The configuration of a bst that knows no other source cache than this one.
    fn conf_for(&self, cache: &NullCache) -> String {
        let (directories, project) = (&self.pipeline.directories, self.pipeline.project);
        let mut config = project.buildstream.config.clone();
        config.remove("source-caches");
        if let Some(serde_json::Value::Object(projects)) = config.get_mut("projects") {
            for project in projects.values_mut().filter_map(serde_json::Value::as_object_mut) {
                project.remove("source-caches");
            }
        }
        let only = serde_json::json!({ "source-caches": { "override-project-caches": true } });
        if let serde_json::Value::Object(only) = only {
            merge(&mut config, &only);
        }
        let caches = [SourceCacheConfig { url: cache.url(), push: true, ..SourceCacheConfig::default() }];
        self.conf_with(&directories.cachedir, &directories.sourcedir, &self.task_logs(), &caches, &config)
    }
}
