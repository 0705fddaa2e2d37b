//! What is seen of a run while it goes on: a bar a branch on a terminal, lines with `-v`, JSON for machines.

use std::collections::HashMap;
use std::time::Duration;

use fetcher_core::sanitize::strip_control;
use fetcher_core::{BranchName, Event, ProjectName};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::output::{eprint_line, in_one_line, say_json};
use crate::summary;

/// A sink of events.
pub(crate) struct ProgressSink {
    bars: Option<MultiProgress>,
    json: bool,
    verbose: u8,
    branches: HashMap<(ProjectName, BranchName), ProgressBar>,
}

impl ProgressSink {
    pub(crate) fn new(bars: bool, json: bool, verbose: u8) -> Self {
        Self { bars: bars.then(MultiProgress::new), json, verbose, branches: HashMap::new() }
    }

    pub(crate) fn take(&mut self, event: Event) {
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
            }
            Event::BranchStarted { project, branch } => {
                self.log(|| json!({ "event": "branch-started", "project": project, "branch": branch }));
                if let Some(bars) = &self.bars {
                    let bar = bars.add(ProgressBar::new_spinner());
                    bar.set_style(style());
                    bar.set_prefix(in_one_line(&format!("{project} ({branch})")));
                    bar.enable_steady_tick(Duration::from_millis(200));
                    self.branches.insert((project, branch), bar);
                }
            }
            Event::StageStarted { project, branch, variant, refs, stage, attempt } => {
                self.log(|| {
                    json!({ "event": "stage-started", "project": project, "branch": branch, "variant": variant, "refs": refs, "stage": stage, "attempt": attempt })
                });
                let refs = refs.map_or_else(String::new, |refs| format!(" ({refs})"));
                let variant = variant.map_or_else(String::new, |variant| format!(" [{variant}]"));
                let again = if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                if let Some(bar) = self.branches.get(&(project, branch)) {
                    bar.set_message(in_one_line(&format!("{stage}{refs}{variant}{again}")));
                    bar.set_length(0);
                }
            }
            Event::Progress { project, branch, stage, done, total, element } => {
                if let Some(bar) = self.branches.get(&(project, branch)) {
                    bar.set_length(total);
                    bar.set_position(done);
                    let element = element.map_or_else(String::new, |element| format!(" {element}"));
                    bar.set_message(in_one_line(&format!("{stage}{element}")));
                }
            }
            Event::StageFinished { project, branch, report } => {
                self.say(2, || format!("{project} ({branch}) {}: {}", report.title(), summary::told(&report)));
                self.log(
                    || json!({ "event": "stage-finished", "project": project, "branch": branch, "report": report }),
                );
            }
            Event::BranchFinished(report) => {
                if let Some(branch) = report.branch.clone()
                    && let Some(bar) = self.branches.remove(&(report.project.clone(), branch))
                {
                    bar.finish_and_clear();
                }
                self.log(|| json!({ "event": "branch-finished", "report": report }));
            }
            Event::RunFinished(report) => self.log(|| json!({ "event": "run-finished", "report": report })),
            _ => {}
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

fn style() -> ProgressStyle {
    let template = "{spinner} {prefix} [{bar:20}] {pos}/{len} {wide_msg} {elapsed}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
