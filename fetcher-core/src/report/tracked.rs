//! What tracking found that is not what the tip has, and what of it moved since the run before.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bst::refs::RefChange;
use crate::names::{ElementName, VariantName};

/// How many refs that the tip has taken over are kept in mind.
const MOST_MERGED: usize = 10_000;

/// A ref that tracking found and that is not the tip's, of one source of a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TrackedRef {
    /// What the tip has (`old`), and what tracking found (`new`).
    #[serde(flatten)]
    pub change: RefChange,
    /// Whether it moved since the run before.
    #[serde(default)]
    pub moved: bool,
    /// What the run before had found, where it moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// When it was first found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Whether it is the same commit in another form, so that nothing moved upstream.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub format_only: bool,
    /// A page that compares: with what the run before had found, where it moved, else with what the tip has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<String>,
    /// The option sets with which the element could not be tracked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_with: Vec<VariantName>,
}

impl From<RefChange> for TrackedRef {
    fn from(change: RefChange) -> Self {
        let (format_only, compare) = (change.is_format_only(), change.compare_url());
        Self { change, moved: false, before: None, since: None, format_only, compare, failed_with: Vec::new() }
    }
}

impl TrackedRef {
    /// The ref from which it moved, where it did; else what the tip has.
    pub fn from_ref(&self) -> Option<&str> {
        if self.moved { self.before.as_deref() } else { self.change.old.as_deref() }
    }

    /// Says of a change what is new about it, by what is known of the branch; nothing is where nothing is known yet.
    pub(crate) fn new(change: RefChange, known: Option<&[SeenRef]>, at: Timestamp) -> Self {
        let fresh = Self { since: Some(at), ..Self::from(change) };
        let Some(known) = known else { return fresh };
        let seen = known.iter().find(|seen| seen.is_of(&fresh.change));
        let before = match seen {
            Some(seen) if seen.reference == fresh.change.new => return Self { since: Some(seen.since), ..fresh },
            Some(seen) => seen.reference.clone(),
            // It was as the tip has it.
            None => fresh.change.old.clone(),
        };
        let step = RefChange { old: before.clone(), ..fresh.change.clone() };
        if step.is_format_only() {
            return fresh;
        }
        Self { moved: true, before, compare: step.compare_url(), ..fresh }
    }
}

/// A ref that a run found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SeenRef {
    /// The element.
    pub element: ElementName,
    /// The source's place in its list, from 0.
    pub source: usize,
    /// The conditions under which it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The ref; none where tracking took it away.
    #[serde(default)]
    pub reference: Option<String>,
    /// When it was first found.
    pub since: Timestamp,
    /// Whether the tip has it by now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merged: bool,
}

impl SeenRef {
    fn is_of(&self, change: &RefChange) -> bool {
        (&self.element, self.source, &self.condition) == (&change.element, change.source, &change.condition)
    }

    /// What is known after a run, in the place of what was known before. `same_tip`: the tip is the one before;
    /// `complete`: everything was tracked but `left_out`.
    pub(crate) fn after(
        known: Option<Vec<SeenRef>>,
        found: &[TrackedRef],
        same_tip: bool,
        complete: bool,
        left_out: &BTreeSet<ElementName>,
    ) -> Vec<SeenRef> {
        let mut seen: Vec<SeenRef> = found.iter().filter_map(SeenRef::of).collect();
        let gone = known.unwrap_or_default().into_iter().filter(|known| {
            !found.iter().any(|found| known.is_of(&found.change))
                // With the same tip, upstream went back to what that has.
                && (known.merged || !same_tip || !complete || left_out.contains(&known.element))
        });
        let mut gone: Vec<_> = gone.map(|known| SeenRef { merged: known.merged || !same_tip, ..known }).collect();
        gone.sort_by_key(|known| std::cmp::Reverse(known.since));
        gone.truncate(MOST_MERGED);
        seen.extend(gone);
        seen
    }

    fn of(found: &TrackedRef) -> Option<Self> {
        Some(Self {
            element: found.change.element.clone(),
            source: found.change.source,
            condition: found.change.condition.clone(),
            reference: found.change.new.clone(),
            since: found.since?,
            merged: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn change(element: &str, old: &str, new: &str) -> RefChange {
        RefChange::new(element.parse().unwrap(), 0, Some(old.to_owned()), Some(new.to_owned()))
    }

    /// Runs one after another: whether each has the tip of the one before, and what differs from the tip.
    fn moved(runs: &[(bool, &[(&str, &str)])]) -> Vec<Vec<String>> {
        let mut known = None;
        let mut told = Vec::new();
        for (number, (same_tip, changes)) in (0..).zip(runs) {
            let found: Vec<_> = changes
                .iter()
                .map(|(old, new)| TrackedRef::new(change("a.bst", old, new), known.as_deref(), at(number)))
                .collect();
            let lines = found.iter().filter(|found| found.moved);
            told.push(
                lines
                    .map(|found| format!("{}>{}", found.from_ref().unwrap(), found.change.new.as_ref().unwrap()))
                    .collect(),
            );
            known = Some(SeenRef::after(known, &found, *same_tip, true, &BTreeSet::new()));
        }
        told
    }

    #[test]
    fn what_moved_is_told_once_and_apart_from_what_differs() {
        let nothing = Vec::<String>::new();
        let one: &[(&str, &str)] = &[("1", "2")];
        assert_eq!(
            moved(&[(false, one), (true, one)]),
            [nothing.clone(), nothing.clone()],
            "nothing is known at first"
        );
        assert_eq!(
            moved(&[(false, &[]), (true, one), (true, one)]),
            [nothing.clone(), vec!["1>2".into()], nothing.clone()]
        );
        let two: &[(&str, &str)] = &[("1", "3")];
        assert_eq!(moved(&[(false, one), (true, two)]), [nothing.clone(), vec!["2>3".into()]]);
        // The tip takes it over, upstream moves on; or the tip goes back, and upstream does not move.
        let merged: &[(&str, &str)] = &[("2", "3")];
        assert_eq!(
            moved(&[(false, one), (false, &[]), (true, merged)]),
            [nothing.clone(), nothing.clone(), vec!["2>3".into()]]
        );
        assert_eq!(
            moved(&[(false, one), (false, &[]), (true, &[]), (false, one)]),
            [nothing.clone(), nothing.clone(), nothing.clone(), nothing.clone()]
        );
        // Upstream goes back to what the tip has, and on again.
        assert_eq!(
            moved(&[(false, one), (true, &[]), (true, one)]),
            [nothing.clone(), nothing.clone(), vec!["1>2".into()]]
        );
    }

    #[test]
    fn another_form_of_the_same_commit_is_no_move() {
        let id = "5".repeat(40);
        let described = format!("v1-0-g{id}");
        let found = TrackedRef::new(change("a.bst", &id, &described), Some(&[]), at(1));
        assert!(found.format_only && !found.moved, "{found:?}");
    }

    #[test]
    fn a_tracked_ref_is_a_change_with_more() {
        let found = TrackedRef::new(change("a.bst", "1", "2"), Some(&[]), at(1));
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!((&json["element"], &json["old"], &json["moved"]), (&"a.bst".into(), &"1".into(), &true.into()));
        assert_eq!(serde_json::from_value::<TrackedRef>(json).unwrap(), found);
        let old = serde_json::to_value(change("a.bst", "1", "2")).unwrap();
        assert_eq!(serde_json::from_value::<TrackedRef>(old).unwrap(), TrackedRef::from(change("a.bst", "1", "2")));
    }
}
