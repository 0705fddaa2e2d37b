//! What a run does.

use std::time::Duration;

use crate::names::ElementName;

/// What a run is about.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RunSelection {
    /// Names of projects; none for all.
    pub projects: Vec<String>,
    /// Names of branches; none for all that are configured.
    pub branches: Vec<String>,
    /// Elements, each without its dependencies; none for all that is configured. What such a run finds says nothing of
    /// the branches as a whole, so that their state stays what it was and nobody is told of them.
    pub elements: Vec<ElementName>,
    /// Fetch and push even where nothing changed.
    pub force: bool,
    /// Publish nothing.
    pub no_publish: bool,
    /// Only find out which branches there are.
    pub dry_run: bool,
    /// How long to wait for another run on the same state directory to end.
    pub lock_wait: Duration,
}

impl RunSelection {
    /// Everything that is configured.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only these projects, by their names.
    #[must_use]
    pub fn projects(mut self, projects: impl IntoIterator<Item = String>) -> Self {
        self.projects = projects.into_iter().collect();
        self
    }

    /// Only these branches, by their names.
    #[must_use]
    pub fn branches(mut self, branches: impl IntoIterator<Item = String>) -> Self {
        self.branches = branches.into_iter().collect();
        self
    }

    /// Only these elements, each without its dependencies.
    #[must_use]
    pub fn elements(mut self, elements: impl IntoIterator<Item = ElementName>) -> Self {
        self.elements = elements.into_iter().collect();
        self
    }

    /// Whether to fetch and push even where nothing changed.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Whether nothing is published.
    #[must_use]
    pub fn no_publish(mut self, no_publish: bool) -> Self {
        self.no_publish = no_publish;
        self
    }

    /// Whether it is only found out which branches there are.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// How long to wait for another run on the same state directory to end.
    #[must_use]
    pub fn lock_wait(mut self, lock_wait: Duration) -> Self {
        self.lock_wait = lock_wait;
        self
    }

    pub(super) fn is_all(&self) -> bool {
        self.projects.is_empty() && self.branches.is_empty() && self.elements.is_empty()
    }
}
