//! What was left out on purpose, and why.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::names::ElementName;

/// Why an element was left out of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LeftOutReason {
    /// A hold says so.
    Held,
    /// `select` does not mean it.
    NotSelected,
}

impl LeftOutReason {
    /// The reason's name as reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            LeftOutReason::Held => "held",
            LeftOutReason::NotSelected => "not-selected",
        }
    }

    /// The reason for people.
    pub fn words(self) -> &'static str {
        match self {
            LeftOutReason::Held => "held",
            LeftOutReason::NotSelected => "not selected",
        }
    }
}

impl std::fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// An element that a stage left out on purpose. That is no failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct LeftOutElement {
    /// The element.
    pub element: ElementName,
    /// Why.
    pub why: LeftOutReason,
    /// What more there is to say: the reason of a hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl LeftOutElement {
    /// An element that is left out for a reason of which there is no more to say.
    pub fn new(element: ElementName, why: LeftOutReason) -> Self {
        Self { element, why, note: None }
    }
}

/// How many of some elements were left out for which reasons, in words: `3 held, 912 not selected`; none where none was.
pub fn count_left_out(elements: &[LeftOutElement]) -> Option<String> {
    let mut counts: std::collections::BTreeMap<LeftOutReason, usize> = std::collections::BTreeMap::new();
    for left_out in elements {
        *counts.entry(left_out.why).or_default() += 1;
    }
    let words: Vec<_> = counts.iter().map(|(why, count)| format!("{count} {}", why.words())).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Where a hold was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HoldOrigin {
    /// In the configuration.
    Configuration,
    /// In `.bstignore` of the branch.
    Bstignore,
}

/// A hold, and what it kept from being tracked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct HoldReport {
    /// What is held, as it is written: an element, a glob, or a file that elements include.
    pub element: String,
    /// Why; none where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last day on which it holds, by UTC; none where it holds until it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// Where it was written.
    pub origin: HoldOrigin,
    /// Whether that day is over, so that it holds nothing any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
    /// The elements that were not tracked because of it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<ElementName>,
}

impl HoldReport {
    /// Whether the other is the same hold, whatever became of it.
    pub fn is_same(&self, other: &HoldReport) -> bool {
        (&self.element, self.until, self.origin) == (&other.element, other.until, other.origin)
    }

    /// The hold in words: `components/qemu.bst: needs qemu.qmp (until 2027-01-31)`.
    pub fn words(&self) -> String {
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let word = if self.expired { "expired" } else { "until" };
        let until = self.until.map(|until| format!(" ({word} {until})")).unwrap_or_default();
        format!("{}{reason}{until}", self.element)
    }
}
