//! Small pictures in SVG, drawn with nothing but numbers: the runs of a branch as a strip, its durations and amounts
//! as curves and bars. Each says in words what it shows, and outcomes differ in shape, not only in colour.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::format;
use crate::report::Outcome;
use crate::state::BranchRun;

/// How many runs the small pictures show.
const SMALL: usize = 30;
/// The right end of a small curve, of which a run is 4 wide.
const RIGHT: usize = 4 * (SMALL - 1);
const OUTCOMES: [Outcome; 5] = [Outcome::Ok, Outcome::Skipped, Outcome::Partial, Outcome::Failed, Outcome::Interrupted];

/// What a plot shows of a run.
#[derive(Clone, Copy)]
pub(super) struct PlotSeries {
    /// Its name, as in "Duration".
    pub(super) name: &'static str,
    /// Its value.
    pub(super) value: fn(&BranchRun) -> f64,
    /// A value in words.
    pub(super) words: fn(f64) -> String,
}

/// How long runs took.
pub(super) const DURATION: PlotSeries =
    PlotSeries { name: "Duration", value: |past| past.seconds, words: format::span };

/// How many elements runs fetched.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of elements are far below 2^52"
)]
pub(super) const FETCHED: PlotSeries = PlotSeries {
    name: "Elements fetched",
    value: |past| past.fetched as f64,
    words: |count| format::count(count as u64),
};

/// The last runs by outcome: a high bar for a failed one, a low one for a good one.
pub(super) fn strip(history: &[BranchRun]) -> Markup {
    let shown = &history[history.len().saturating_sub(SMALL)..];
    let first = SMALL - shown.len();
    let mut label = format!("The last {}:", format::counted(shown.len() as u64, "run", "runs"));
    for outcome in OUTCOMES {
        let count = shown.iter().filter(|past| past.outcome == outcome).count();
        if count > 0 {
            let _ = write!(label, " {count} {outcome},");
        }
    }
    let label = label.trim_end_matches([',', ':']);
    html! {
        svg.strip viewBox={ "0 0 " (SMALL * 6) " 24" } preserveAspectRatio="none" role="img" aria-label=(label) {
            title { (label) }
            @for outcome in OUTCOMES {
                @let bars: String = shown.iter().enumerate().filter(|(_, past)| past.outcome == outcome)
                    .map(|(at, _)| bar((first + at) * 6, outcome)).collect();
                @if !bars.is_empty() { path class=(outcome) d=(bars) {} }
            }
        }
    }
}

/// One run in a strip, 4 wide: its height says how bad it was.
fn bar(x: usize, outcome: Outcome) -> String {
    match outcome {
        Outcome::Ok => format!("M{x} 14h4v10h-4z"),
        Outcome::Skipped => format!("M{x} 20h4v4h-4z"),
        Outcome::Partial => format!("M{x} 7h4v7h-4zM{x} 17h4v7h-4z"),
        Outcome::Failed => format!("M{x} 0h4v24h-4z"),
        Outcome::Interrupted => format!("M{x} 10h4v4h-4z"),
    }
}

/// A small curve of the last runs.
pub(super) fn spark(history: &[BranchRun], series: PlotSeries) -> Markup {
    let shown = &history[history.len().saturating_sub(SMALL)..];
    let values: Vec<f64> = shown.iter().map(series.value).collect();
    let Some((low, high, last)) = range(&values) else { return html! {} };
    let PlotSeries { name, words, .. } = series;
    let label = format!("{name} of the last runs: {} to {}, at last {}", words(low), words(high), words(last));
    let first = SMALL - values.len();
    let mut curve = String::new();
    for (at, value) in values.iter().enumerate() {
        let (step, x) = (if at == 0 { "M" } else { "L" }, 4 * (first + at));
        let _ = write!(curve, "{step}{x} {:.1}", 22.0 - 20.0 * value / high.max(f64::MIN_POSITIVE));
    }
    html! {
        svg.spark viewBox={ "0 0 " (RIGHT) " 24" } preserveAspectRatio="none" role="img" aria-label=(label) {
            title { (label) }
            path.area d={ (curve) "L" (RIGHT) " 24L" (4 * first) " 24z" } {}
            path.curve d=(curve) {}
        }
    }
}

/// A plot with a bar a run, which leads to the run's page where `link` knows one.
pub(super) fn bars(history: &[BranchRun], series: PlotSeries, link: &dyn Fn(&BranchRun) -> Option<String>) -> Markup {
    let values: Vec<f64> = history.iter().map(series.value).collect();
    let Some((low, high, last)) = range(&values) else { return html! {} };
    let PlotSeries { name, value, words } = series;
    let label = format!("{name} of the last runs: {} to {}, at last {}", words(low), words(high), words(last));
    let bar = |at: usize, past: &BranchRun| {
        // A run that took nothing still shows as a line.
        let height = (96.0 * value(past) / high.max(f64::MIN_POSITIVE)).max(1.5);
        html! {
            rect class=(past.outcome) x=(at * 10 + 1) y=(format!("{:.1}", 100.0 - height)) width="8"
                height=(format!("{height:.1}")) {
                title { (format::minute(past.at)) ": " (past.outcome) ", " (words(value(past))) }
            }
        }
    };
    html! {
        figure.card {
            figcaption { strong { (name) } span.dim.small { "last " (words(last)) ", most " (words(high)) } }
            svg viewBox={ "0 0 " (history.len().max(12) * 10) " 100" } preserveAspectRatio="none" role="group" aria-label=(label) {
                line.base x1="0" x2="100%" y1="100" y2="100" {}
                @for (at, past) in history.iter().enumerate() {
                    @match link(past) {
                        Some(link) => a href=(link) aria-label={ "The run of " (format::minute(past.at)) } { (bar(at, past)) },
                        None => (bar(at, past)),
                    }
                }
            }
            @if let [first, .., last] = history {
                div.ends { span { (format::minute(first.at)) } span { (format::minute(last.at)) } }
            }
        }
    }
}

/// The least, the greatest and the last of some values; none where there are none.
fn range(values: &[f64]) -> Option<(f64, f64, f64)> {
    let last = *values.last()?;
    Some(values.iter().fold((last, last, last), |(low, high, last), value| (low.min(*value), high.max(*value), last)))
}
