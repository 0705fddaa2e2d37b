//! A log's page: its lines, numbered and with an anchor each, and the whole text beside it.

use maud::{Markup, html};

use super::format::{self, count, counted};
use super::layout;
use super::log_preview::{LogPreview, PreviewLine};
use crate::links::{LogForm, PageAddress};
use crate::names::RunId;
use crate::report::{BranchReport, StageReport};

/// The page.
pub(super) fn page(run: &RunId, branch: &BranchReport, stage: &StageReport, excerpt: &LogPreview) -> String {
    let address = |form| super::run::log_address(run, branch, stage, form);
    let (here, text) = (address(LogForm::Page), address(LogForm::Text));
    let of = branch.project_branch().to_string();
    let title = format!("{} of {of}", stage.title());
    let body = html! {
        h1 { "Log: " (title) }
        p.lead {
            (format::badge(stage.outcome))
            span { "started " (format::time(stage.started)) }
            span { (counted(excerpt.lines, "line", "lines")) ", " (format::bytes(excerpt.bytes)) }
            a href=(text.from(&here)) { "the whole text" }
        }
        @if !excerpt.failures.is_empty() {
            p {
                "Failures at line "
                @for (at, line) in excerpt.failures.iter().enumerate() {
                    @if at > 0 { ", " }
                    @if excerpt.shows(*line) { a href={ "#L" (line) } { (line) } } @else { (line) }
                }
            }
        }
        @if excerpt.lines == 0 { p { "The log is empty." } } @else {
            div.log {
                @for line in excerpt.head() { (numbered(line)) }
                @if excerpt.left_out() > 0 {
                    span.gap {
                        (count(excerpt.left_out())) " lines are left out here: see "
                        a href=(text.from(&here)) { "the whole text" }
                    }
                }
                @for line in excerpt.tail() { (numbered(line)) }
            }
        }
    };
    let above = [(PageAddress::run(run), "The run")];
    layout::page(&here, &format!("{title} – bst-fetcher"), &above, stage.outcome, &body)
}

fn numbered(line: &PreviewLine) -> Markup {
    html! {
        code.failure[line.failure] id={ "L" (line.number) } {
            a href={ "#L" (line.number) } data-n=(line.number) aria-label={ "Line " (line.number) } {}
            (line.text)
            @if line.more > 0 { span.dim { " … " (format::bytes(line.more)) " more" } }
        }
    }
}
