//! What tracking changed in a branch: what moved since the run before, and what differs from the tip.

use maud::{Markup, html};

use super::format::{counted, time};
use crate::report::{BranchReport, TrackedRef};

/// Changed refs of a sort that are shown.
const CHANGES: usize = 200;

/// The refs of a branch; of a report of an earlier release, those of its stages.
pub(super) fn of_branch(branch: &BranchReport) -> Markup {
    let of_stages = branch.stages.iter().flat_map(|stage| &stage.changes).cloned().map(TrackedRef::from);
    let earlier: Vec<TrackedRef> = if branch.changes.is_empty() { of_stages.collect() } else { Vec::new() };
    let all: Vec<&TrackedRef> = branch.changes.iter().chain(&earlier).collect();
    let moved: Vec<&TrackedRef> = all.iter().copied().filter(|found| found.moved).collect();
    html! {
        @if !moved.is_empty() {
            h3 { (counted(moved.len() as u64, "ref", "refs")) " moved since the run before" }
            (table("Refs that moved", "Before", &moved, TrackedRef::from_ref))
        }
        @if !all.is_empty() {
            details {
                summary {
                    (counted(all.len() as u64, "ref", "refs")) " changed"
                    @if all.iter().any(|found| found.format_only) {
                        ", " (all.iter().filter(|found| found.format_only).count()) " in form alone"
                    }
                }
                (table("Changed refs", "Old", &all, |found| found.change.old.as_deref()))
            }
        }
    }
}

fn table(label: &str, old: &str, refs: &[&TrackedRef], from: fn(&TrackedRef) -> Option<&str>) -> Markup {
    html! {
        table aria-label=(label) {
            thead { tr {
                th scope="col" { "Element" } th scope="col" { (old) } th scope="col" { "New" } th scope="col" { "Found" }
            } }
            tbody {
                @for found in refs.iter().take(CHANGES) {
                    tr {
                        th scope="row" { (element(found)) }
                        td data-label=(old) { code { (from(found).unwrap_or("none")) } }
                        td data-label="New" { code { (found.change.new.as_deref().unwrap_or("none")) } }
                        td data-label="Found" { (found_at(found)) }
                    }
                }
            }
        }
        @if refs.len() > CHANGES {
            p { "And " (counted((refs.len() - CHANGES) as u64, "more", "more")) "." }
        }
    }
}

fn element(found: &TrackedRef) -> Markup {
    let change = &found.change;
    html! {
        code { (change.element) }
        @if change.source > 0 { " source " (change.source) }
        @if let Some(condition) = &change.condition { small { (condition) } }
        @if !change.shared_with.is_empty() {
            small { "and " (counted(change.shared_with.len() as u64, "element", "elements")) " that include the same" }
        }
        @for variant in &found.failed_with { small { "not tracked with " (variant) } }
    }
}

fn found_at(found: &TrackedRef) -> Markup {
    html! {
        div {
            @if let Some(since) = found.since { (time(since)) }
            // The page's address is made of a host, a path and two commits, and of nothing else.
            @if let Some(page) = &found.compare { small { a href=(page) { "compare" } } }
            @if found.format_only { small { "the same commit in another form" } }
        }
    }
}
