//! Which updates are published, which are left out, and which are held back with a reason.

use std::time::Duration;

use globset::GlobSet;
use jiff::Timestamp;

use super::component::{Component, globs};
use super::readiness::Readiness;
use super::update::{RefUpdate, UpdateKind, is_stored};
use crate::config::{ElementGroup, MovedTagPolicy, PublishConfig, PublishSelection, RenamedTagPolicy};
use crate::report::{HeldRef, HoldCause};

/// What decides on updates.
pub(super) struct UpdatePolicy<'p> {
    pub(super) config: &'p PublishConfig,
    pub(super) readiness: &'p Readiness,
    pub(super) now: Timestamp,
    /// Whether the project has option sets.
    pub(super) has_variants: bool,
}

/// Updates, and what is held back of all that there were.
pub(super) struct Selected {
    pub(super) components: Vec<Component>,
    pub(super) held: Vec<HeldRef>,
}

impl UpdatePolicy<'_> {
    /// Sorts out what is to be published. What is held back holds back what shares a file with it, and its group.
    pub(super) fn select(&self, updates: Vec<RefUpdate>, groups: &[ElementGroup]) -> Selected {
        let chosen = SourceGlobs::new(&self.config.select);
        let wanted = updates.into_iter().filter(|update| self.counts(update) && chosen.matches(update)).collect();
        let mut selected = Selected { components: Vec::new(), held: Vec::new() };
        for component in super::component::components(wanted, groups) {
            let held: Vec<_> = component.updates.iter().filter_map(|update| self.held(update)).collect();
            if held.is_empty() {
                selected.components.push(component);
                continue;
            }
            let others = component.updates.iter().filter(|update| !held.iter().any(|held| is_of(held, update)));
            let first = held[0].element.clone();
            let because = |update: &RefUpdate| {
                hold(update, HoldCause::Group, format!("it is published together with {first}, which is held back"))
            };
            selected.held.extend(others.map(because));
            selected.held.extend(held);
        }
        selected
    }

    /// Whether it is a change at all.
    fn counts(&self, update: &RefUpdate) -> bool {
        match update.kind() {
            UpdateKind::FormatOnly => false,
            UpdateKind::Renamed => self.config.renamed == RenamedTagPolicy::Publish,
            UpdateKind::Ordinary | UpdateKind::MovedTag | UpdateKind::ChangedContent => update.change.new.is_some(),
        }
    }

    /// Why it may not be published; none where it may.
    fn held(&self, update: &RefUpdate) -> Option<HeldRef> {
        if self.has_variants && is_stored(&update.file) {
            let reason = format!(
                "{} has room for the refs of one option set alone, and each overwrites the others'",
                update.file.display()
            );
            return Some(hold(update, HoldCause::Overwritten, reason));
        }
        match update.kind() {
            UpdateKind::MovedTag if self.config.moved == MovedTagPolicy::Hold => {
                let reason = "the same tag names another commit now: see with upstream whether that is honest";
                return Some(hold(update, HoldCause::MovedTag, reason));
            }
            UpdateKind::ChangedContent if self.config.moved == MovedTagPolicy::Hold => {
                let reason = "the same address has other content now: see with upstream whether that is honest";
                return Some(hold(update, HoldCause::ChangedContent, reason));
            }
            _ => {}
        }
        if let Some(reason) = self.readiness.lacks(&update.elements) {
            return Some(hold(update, HoldCause::NotCached, reason));
        }
        let age = update.since.map(|since| self.now.duration_since(since));
        let young = age.is_some_and(|age| Duration::try_from(age).unwrap_or_default() < self.config.min_age)
            || (update.since.is_none() && !self.config.min_age.is_zero());
        let since =
            update.since.map_or_else(|| "now".to_owned(), |since| since.strftime("%Y-%m-%d %H:%M UTC").to_string());
        young.then(|| hold(update, HoldCause::TooYoung, format!("it is known since {since}, and min-age is not over")))
    }
}

fn is_of(held: &HeldRef, update: &RefUpdate) -> bool {
    (&held.element, &held.old, &held.new) == (&update.change.element, &update.change.old, &update.change.new)
}

/// An update that is held back.
pub(super) fn hold(update: &RefUpdate, cause: HoldCause, reason: impl Into<String>) -> HeldRef {
    let change = &update.change;
    HeldRef::new(change.element.clone(), change.old.clone(), change.new.clone(), cause, reason)
}

/// `select` as matchers.
struct SourceGlobs<'s> {
    urls: GlobSet,
    elements: GlobSet,
    selection: &'s PublishSelection,
}

impl<'s> SourceGlobs<'s> {
    fn new(selection: &'s PublishSelection) -> Self {
        Self { urls: globs(&selection.urls), elements: globs(&selection.elements), selection }
    }

    fn matches(&self, update: &RefUpdate) -> bool {
        let PublishSelection { urls, kinds, elements } = self.selection;
        let url = |url: &Option<String>| url.as_deref().is_some_and(|url| self.urls.is_match(url));
        let kind = update.change.kind.as_deref();
        (urls.is_empty() || url(&update.change.url) || url(&update.resolved_url))
            && (kinds.is_empty() || kind.is_some_and(|kind| kinds.iter().any(|wanted| wanted == kind)))
            && (elements.is_empty() || update.elements.iter().any(|name| self.elements.is_match(name.as_str())))
    }
}
