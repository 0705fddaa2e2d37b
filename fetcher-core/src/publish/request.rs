//! Requests: which components each has, its words, and its text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::PublicationError;
use super::branches::branch_name;
use super::component::{Component, content_digest};
use super::selection::hold;
use super::text::{MAX_BODY, TemplateWords, code, default_title, line, version};
use super::update::{RefUpdate, UpdateKind};
use crate::config::{PublishConfig, PublishMode, RequestScope};
use crate::names::{BranchName, ElementName};
use crate::report::{HeldRef, HoldCause, HoldReport};

/// What one request is to have.
#[derive(Debug, Clone)]
pub(super) struct PlannedRequest {
    /// What it is about: `bundle`, an element's name or a group's.
    pub(super) unit: String,
    pub(super) components: Vec<Component>,
    /// The branch; none for what goes to the base itself.
    pub(super) branch: Option<BranchName>,
}

/// What the words of a request's text are made of, beside its components.
pub(super) struct BodyFacts<'b> {
    /// Where the sources are known to be.
    pub(super) cached_in: &'b str,
    /// When that was seen.
    pub(super) seen: String,
    pub(super) held: &'b [HeldRef],
    /// Elements that could not be tracked, and why.
    pub(super) untracked: &'b [(ElementName, String)],
    /// What is not tracked, for it is held.
    pub(super) holds: &'b [HoldReport],
}

/// Puts components together to requests.
pub(super) fn planned(
    components: Vec<Component>,
    config: &PublishConfig,
    base: &BranchName,
) -> Result<Vec<PlannedRequest>, PublicationError> {
    let unit_of = |component: &Component| match config.per {
        RequestScope::Bundle => "bundle".to_owned(),
        RequestScope::Element => component.name().to_owned(),
        RequestScope::Group => component.group.clone().unwrap_or_else(|| component.name().to_owned()),
    };
    let mut requests: Vec<PlannedRequest> = Vec::new();
    for component in components {
        let unit = unit_of(&component);
        if let Some(request) = requests.iter_mut().find(|request| request.unit == unit) {
            request.components.push(component);
        } else {
            let named = config.mode != PublishMode::Commit;
            let branch = named.then(|| branch_name(config.branch_form(), base, &unit)).transpose()?;
            requests.push(PlannedRequest { unit, components: vec![component], branch });
        }
    }
    Ok(requests)
}

impl PlannedRequest {
    /// A digest of all that it changes.
    pub(super) fn digest(&self) -> String {
        content_digest(self.updates().map(RefUpdate::content))
    }

    pub(super) fn updates(&self) -> impl Iterator<Item = &RefUpdate> {
        self.components.iter().flat_map(|component| &component.updates)
    }

    /// What some components, by their number, would have changed, as held back.
    pub(super) fn held(&self, reasons: &BTreeMap<usize, String>, cause: HoldCause) -> Vec<HeldRef> {
        let updates = reasons.iter().flat_map(|(number, reason)| {
            self.components[*number].updates.iter().map(move |update| hold(update, cause, reason.clone()))
        });
        updates.collect()
    }

    /// The request without some components.
    pub(super) fn without(&self, numbers: &BTreeMap<usize, String>) -> Self {
        let kept = self.components.iter().enumerate().filter(|(number, _)| !numbers.contains_key(number));
        Self { components: kept.map(|(_, component)| component.clone()).collect(), ..self.clone() }
    }

    /// Its elements, by name.
    pub(super) fn elements(&self) -> Vec<ElementName> {
        let elements: std::collections::BTreeSet<_> =
            self.components.iter().flat_map(|component| component.elements()).collect();
        elements.into_iter().cloned().collect()
    }

    /// Its title.
    pub(super) fn title(&self, config: &PublishConfig, base: &BranchName) -> String {
        let components: Vec<_> = self.components.iter().collect();
        let words = TemplateWords::new(&components, base.as_str(), &self.unit);
        words.fill(config.title.as_deref().unwrap_or_else(|| default_title(&words)))
    }

    /// Its text, in Markdown. The first line is by what this program knows its own again.
    pub(super) fn body(&self, facts: &BodyFacts<'_>) -> String {
        let mut table = Table::default();
        let mut body = format!("{}\n", marker(&self.digest()));
        let _ = writeln!(
            body,
            "All sources of these refs, with every option set, are in {} (seen {}).\n",
            line(facts.cached_in),
            facts.seen
        );
        body.push_str("| element | from | to | changes | note |\n|---|---|---|---|---|\n");
        for update in self.updates() {
            table.row(&mut body, &row(update));
        }
        if !facts.held.is_empty() {
            Table::text(&mut body, "\nHeld back:\n\n| element | from | to | why |\n|---|---|---|---|\n");
            for held in facts.held {
                let (old, new) = (version(held.old.as_deref()), version(held.new.as_deref()));
                let cells = [code(held.element.as_str()), code(&old), code(&new), code(&held.reason)];
                table.row(&mut body, &cells);
            }
        }
        let holds: Vec<_> = facts.holds.iter().filter(|hold| !hold.expired).collect();
        if !holds.is_empty() {
            Table::text(&mut body, "\nNot tracked, for it is held:\n\n| what | why | until |\n|---|---|---|\n");
            for hold in holds {
                let until = hold.until.map(|until| until.to_string()).unwrap_or_default();
                let reason = code(hold.reason.as_deref().unwrap_or_default());
                table.row(&mut body, &[code(&hold.element), reason, until]);
            }
        }
        if !facts.untracked.is_empty() {
            Table::text(&mut body, "\nCould not be tracked:\n\n| element | why |\n|---|---|\n");
            for (element, reason) in facts.untracked {
                table.row(&mut body, &[code(element.as_str()), code(reason)]);
            }
        }
        if table.left_out > 0 {
            let _ = writeln!(body, "\nAnd {} more.", table.left_out);
        }
        body
    }
}

/// The line by which a request's text is known to be this program's, and to be of this content.
pub(super) fn marker(digest: &str) -> String {
    format!("<!-- bst-fetcher {digest} -->")
}

/// The digest in a text of this program's.
pub(super) fn marked_digest(body: &str) -> Option<&str> {
    body.lines().next()?.trim().strip_prefix("<!-- bst-fetcher ")?.strip_suffix(" -->")
}

/// A text without what changes from run to run.
pub(super) fn lasting(body: &str) -> String {
    let seen = |line: &&str| !line.starts_with("All sources of these refs");
    body.lines().map(str::trim_end).filter(seen).collect::<Vec<_>>().join("\n").trim().to_owned()
}

fn row(update: &RefUpdate) -> [String; 5] {
    let change = &update.change;
    let note = match update.kind() {
        UpdateKind::MovedTag => "**the tag was moved**",
        UpdateKind::ChangedContent => "**other content at the same address**",
        UpdateKind::Renamed => "the same commit",
        UpdateKind::Ordinary | UpdateKind::FormatOnly => "",
    };
    let page = update.compare.as_ref().map(|page| format!("[compare]({page})")).unwrap_or_default();
    let more = match change.shared_with.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (old, new) = (version(change.old.as_deref()), version(change.new.as_deref()));
    [format!("{}{more}", code(change.element.as_str())), code(&old), code(&new), page, note.to_owned()]
}

/// Rows, as long as there is room.
#[derive(Default)]
struct Table {
    left_out: usize,
}

impl Table {
    /// What is kept free for the end.
    const RESERVE: usize = 200;

    fn text(body: &mut String, text: &str) {
        if body.len() + text.len() + Self::RESERVE <= MAX_BODY {
            body.push_str(text);
        }
    }

    fn row(&mut self, body: &mut String, cells: &[String]) {
        let row = format!("| {} |\n", cells.join(" | "));
        if self.left_out > 0 || body.len() + row.len() + Self::RESERVE > MAX_BODY {
            self.left_out += 1;
        } else {
            body.push_str(&row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::update::tests::update;
    use super::*;

    fn request(updates: Vec<RefUpdate>) -> PlannedRequest {
        let components = vec![Component { updates, group: None }];
        PlannedRequest { unit: "bundle".to_owned(), components, branch: None }
    }

    fn facts() -> BodyFacts<'static> {
        BodyFacts {
            cached_in: "https://cache.example.org",
            seen: "now".to_owned(),
            held: &[],
            untracked: &[],
            holds: &[],
        }
    }

    #[test]
    fn a_body_is_bounded_and_holds_no_markup_of_others() {
        let element = "x`|<script>@me.bst";
        let many = (0..3000).map(|n| update(&format!("{element}{n}"), "git", Some("1"), "#1 <b>")).collect();
        let body = request(many).body(&facts());
        assert!(body.len() <= MAX_BODY && body.trim_end().ends_with("more."), "{}", body.len());
        let rows: Vec<&str> = body.lines().filter(|line| line.contains("script")).collect();
        assert!(rows.iter().all(|row| row.matches('|').count() == 6 && row.matches('`').count() == 6), "{}", rows[0]);
    }

    #[test]
    fn a_text_is_known_again_whenever_it_was_written() {
        let request = request(vec![update("a.bst", "git", Some("1"), "2")]);
        let (one, other) = (request.body(&facts()), request.body(&BodyFacts { seen: "later".to_owned(), ..facts() }));
        assert_ne!(one, other);
        assert_eq!(lasting(&one), lasting(&other));
        assert_eq!(marked_digest(&one), Some(request.digest().as_str()));
        assert_eq!(marked_digest("anything"), None);
    }
}
