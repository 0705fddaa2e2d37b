//! Times, durations and amounts in words.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::diagnosis::FailureKind;
use crate::report::{CacheCoverage, Outcome};

/// A moment, to the minute, in UTC, which every page says once.
pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// A moment as an element of a page.
pub(super) fn time(at: Timestamp) -> Markup {
    html! { time datetime=(second(at)) { (minute(at)) } }
}

/// A moment, to the second, as RFC 3339 has it.
pub(super) fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How long ago a moment was, in one unit.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let minutes = now.duration_since(at).as_secs() / 60;
    match minutes {
        ..=0 => "just now".to_owned(),
        1..=119 => format!("{minutes} min ago"),
        120..=2879 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}

/// A span of time in at most two units.
pub(super) fn span(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive here; a cast saturates")]
    let whole = seconds.round() as u64;
    match whole {
        ..=59 => format!("{whole} s"),
        60..=3599 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..=172_799 => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86400, whole / 3600 % 24),
    }
}

/// An amount of bytes in the largest unit that fits, powers of 1000.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut amount = bytes as f64 / 1000.0;
    let mut unit = 0;
    while amount >= 999.95 && unit + 1 < UNITS.len() {
        amount /= 1000.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// A number with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// `1 run`, `2 runs`.
pub(super) fn counted(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { more })
}

/// What of a tip's sources is in the cache: of each sort of refs, with the option set that lacks most.
pub(super) fn coverage(all: &[CacheCoverage]) -> Markup {
    html! {
        @for known in CacheCoverage::least(all) { small { (known.refs) " " (known.percent()) } }
    }
}

/// How much failed that may fail.
pub(super) fn allowed(failures: u64) -> String {
    format!("{} allowed", counted(failures, "failure", "failures"))
}

/// A kind of failure in words.
pub(super) fn kind(kind: FailureKind) -> String {
    let mut words = kind.to_string().replace('-', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// The sign that says the outcome to those who see no colours.
pub(super) fn sign(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Skipped => "–",
        Outcome::Ok => "✓",
        Outcome::Partial => "◐",
        Outcome::Failed => "✕",
        Outcome::Interrupted => "■",
    }
}

/// An outcome: sign and word.
pub(super) fn badge(outcome: Outcome) -> Markup {
    html! { span class={ "badge " (outcome) } { span aria-hidden="true" { (sign(outcome)) } " " (outcome) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_at_a_glance() {
        let spans = [0.04, 9.94, 59.4, 61.0, 3600.0, 90_000.0, 200_000.0].map(span);
        assert_eq!(spans, ["0.0 s", "9.9 s", "59 s", "1 min 01 s", "1 h 00 min", "25 h 00 min", "2 d 7 h"]);
        let amounts = [0, 999, 1000, 999_960, 5_300_000_000].map(bytes);
        assert_eq!(amounts, ["0 B", "999 B", "1.0 kB", "1.0 MB", "5.3 GB"]);
        assert_eq!([7, 1234, 1_234_567].map(count), ["7", "1\u{202f}234", "1\u{202f}234\u{202f}567"]);
        let now: Timestamp = "2026-01-10T12:00:00Z".parse().unwrap();
        let ages = ["2026-01-10T12:00:30Z", "2026-01-10T11:58:00Z", "2026-01-10T02:00:00Z", "2026-01-01T00:00:00Z"]
            .map(|at| ago(at.parse().unwrap(), now));
        assert_eq!(ages, ["just now", "2 min ago", "10 h ago", "9 days ago"]);
    }
}
