//! What is seen of a run while it goes on: a bar a branch on a terminal, lines with `-v`, JSON for machines.

use std::collections::HashMap;
use std::time::Duration;

use fetcher_core::report::strip_control;
use fetcher_core::{Event, ProjectBranch, ProjectBranchBuf};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::output::{eprint_line, in_one_line, say_json};
use crate::summary;

/// A sink of events.
pub(crate) struct ProgressSink {
    bars: Option<MultiProgress>,
    json: bool,
    verbose: u8,
    /// A line for each of what is worked on.
    lines: HashMap<Subject, ProgressBar>,
}

/// What a line is about: a branch, a project before its branches are known, or the run.
type Subject = Option<ProjectBranchBuf>;

impl ProgressSink {
    pub(crate) fn new(bars: bool, json: bool, verbose: u8) -> Self {
        Self { bars: bars.then(MultiProgress::new), json, verbose, lines: HashMap::new() }
    }

    /// What is on the terminal, where there are bars.
    pub(crate) fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    pub(crate) fn take(&mut self, event: Event) {
        let subject = event.project_branch().map(ProjectBranch::to_buf);
        match event {
            Event::RunStarted { run, directory } => {
                self.say(2, || format!("run {run} in {}", directory.display()));
                self.log(|| json!({ "event": "run-started", "run": run }));
            }
            Event::Note(note) => {
                self.say(1, || note.clone());
                self.log(|| json!({ "event": "note", "note": note }));
            }
            Event::Branches { project, branches } => {
                let names: Vec<_> = branches.iter().map(ToString::to_string).collect();
                self.say(1, || format!("{project}: {}", names.join(", ")));
                self.log(|| json!({ "event": "branches", "project": project, "branches": names }));
                self.end(&subject);
            }
            Event::Activity { project, branch, activity } => {
                self.log(|| json!({ "event": "activity", "project": project, "branch": branch, "activity": activity }));
                self.say(2, || format!("{}: {activity}", named(&subject)));
                self.show(subject, &activity.to_string());
            }
            Event::BranchStarted { project, branch } => {
                self.log(|| json!({ "event": "branch-started", "project": project, "branch": branch }));
                self.show(subject, "");
            }
            Event::StageStarted { project, branch, variant, refs, stage, attempt } => {
                self.log(|| {
                    json!({ "event": "stage-started", "project": project, "branch": branch, "variant": variant, "refs": refs, "stage": stage, "attempt": attempt })
                });
                let refs = refs.map_or_else(String::new, |refs| format!(" ({refs})"));
                let variant = variant.map_or_else(String::new, |variant| format!(" [{variant}]"));
                let again = if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                self.show(subject, &format!("{stage}{refs}{variant}{again}"));
            }
            Event::Progress { stage, done, total, element, .. } => {
                if total == 0 {
                    let what =
                        element.map_or_else(|| ": loading the project".to_owned(), |element| format!(" {element}"));
                    self.show(subject, &format!("{stage}{what}"));
                } else if let Some(bar) = self.lines.get(&subject) {
                    bar.set_style(style(COUNTED));
                    bar.set_length(total);
                    bar.set_position(done);
                    let element = element.map_or_else(String::new, |element| format!(" {element}"));
                    bar.set_message(in_one_line(&format!("{stage}{element}")));
                }
            }
            Event::StageFinished { project, branch, report } => {
                self.say(2, || {
                    format!("{} {}: {}", ProjectBranch::new(&project, &branch), report.title(), summary::told(&report))
                });
                self.log(
                    || json!({ "event": "stage-finished", "project": project, "branch": branch, "report": report }),
                );
            }
            Event::BranchFinished(report) => {
                self.end(&subject);
                self.log(|| json!({ "event": "branch-finished", "report": report }));
            }
            Event::RunFinished(report) => self.log(|| json!({ "event": "run-finished", "report": report })),
            _ => {}
        }
    }

    /// Shows what goes on, with nothing to count.
    fn show(&mut self, subject: Subject, what: &str) {
        let Some(bars) = &self.bars else { return };
        let bar = self.lines.entry(subject).or_insert_with_key(|subject| {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_prefix(in_one_line(&named(subject)));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        // A bar for nothing would be full.
        bar.set_style(style(UNCOUNTED));
        bar.set_message(in_one_line(what));
    }

    /// Removes a line.
    fn end(&mut self, subject: &Subject) {
        if let Some(bar) = self.lines.remove(subject) {
            bar.finish_and_clear();
        }
    }

    /// Leaves the terminal clean.
    pub(crate) fn clear(&self) {
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
        }
    }

    fn say(&self, level: u8, line: impl FnOnce() -> String) {
        if self.json || self.verbose < level {
            return;
        }
        match &self.bars {
            Some(bars) => drop(bars.println(strip_control(&line()))),
            None => eprint_line(&line()),
        }
    }

    fn log(&self, line: impl FnOnce() -> serde_json::Value) {
        if self.json {
            let mut line = line();
            line["time"] = json!(jiff::Timestamp::now());
            say_json(&line);
        }
    }
}

/// Whom a line is about.
fn named(subject: &Subject) -> String {
    subject.as_ref().map_or_else(|| "bst-fetcher".to_owned(), |subject| subject.borrowed().to_string())
}

/// A line with a bar, for what is counted; and one without.
const COUNTED: &str = "{spinner} {prefix} [{bar:20}] {pos}/{len} {wide_msg} {elapsed}";
const UNCOUNTED: &str = "{spinner} {prefix} {wide_msg} {elapsed}";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
