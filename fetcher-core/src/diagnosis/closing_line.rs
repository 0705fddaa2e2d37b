//! The lines with which runners of CI, build tools and the system tell that a command ended: noise beside a failure that
//! is known, and the only news where none is.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::FailureKind;
use crate::failure::phrases::closing;

/// What a closing line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ClosingLine {
    /// Nothing at all: what runners do afterwards.
    Nothing,
    /// The command failed; nothing says why.
    Failed,
    /// Somebody or something stopped it.
    Stopped(StopReason),
}

/// Why a command was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StopReason {
    /// By a signal.
    Killed,
    /// Because the memory was short.
    OutOfMemory,
    /// By somebody, or by a newer run.
    Cancelled,
    /// Because its time was over.
    TimedOut,
}

impl StopReason {
    /// The kind of failure that it is, and our words for it.
    pub(super) fn diagnosis(self) -> (FailureKind, &'static str) {
        match self {
            Self::Killed => (FailureKind::Killed, "the command was killed"),
            Self::OutOfMemory => (FailureKind::Killed, "the command was killed, for the memory was short"),
            Self::Cancelled => (FailureKind::Interrupted, "the run was cancelled"),
            Self::TimedOut => (FailureKind::TimeOut, "the run was stopped because its time was over"),
        }
    }
}

/// All of the words, looked for in one pass over a line.
static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let words = TABLES.iter().flat_map(|(words, _)| words.iter());
    AhoCorasick::builder().ascii_case_insensitive(true).build(words).expect("the words are few")
});

/// The tables, with what a word of each says; the first counts most.
const TABLES: [(&[&str], ClosingLine); 5] = [
    (&closing::TIMED_OUT, ClosingLine::Stopped(StopReason::TimedOut)),
    (&closing::CANCELLED, ClosingLine::Stopped(StopReason::Cancelled)),
    (&closing::OUT_OF_MEMORY, ClosingLine::Stopped(StopReason::OutOfMemory)),
    (&closing::KILLED, ClosingLine::Stopped(StopReason::Killed)),
    (&closing::FAILED, ClosingLine::Failed),
];

/// What the line says of how the command ended, where it is such a line.
pub(super) fn of_line(line: &str) -> Option<ClosingLine> {
    let text = without_marks(line);
    // Such lines are short, and bst's own have a place or the name of a source in them.
    if text.len() > 400 || text.contains(" [line ") || text.contains("buildbox") {
        return None;
    }
    let first = WORDS.find_overlapping_iter(text).map(|found| found.pattern().as_usize()).min();
    let mut ends = TABLES.iter().scan(0, |end, (words, closing)| {
        *end += words.len();
        Some((*end, *closing))
    });
    let told = first.and_then(|first| ends.find(|(end, _)| first < *end)).map(|(_, closing)| closing);
    match told {
        Some(ClosingLine::Failed) => Some(by_exit(text)),
        Some(closing) => Some(closing),
        None if is_shell_word(text) => Some(ClosingLine::Stopped(StopReason::Killed)),
        None if begins_with(text, "aborted by ") => Some(ClosingLine::Stopped(StopReason::Cancelled)),
        None if is_recipe(text) => Some(by_exit(text)),
        None => closing::AFTERWARDS.iter().any(|word| begins_with(text, word)).then_some(ClosingLine::Nothing),
    }
}

/// Whether the text begins so, in letters of whatever case.
fn begins_with(text: &str, word: &str) -> bool {
    text.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
}

/// The line without the marks that runners give an error.
pub(super) fn without_marks(line: &str) -> &str {
    let mut text = line.trim();
    for mark in ["##[error]", "##[warning]", "##[notice]", "::error::", "::warning::", "🚨 "] {
        text = text.strip_prefix(mark).unwrap_or(text);
    }
    if let Some(rest) = text.strip_prefix("::error ").and_then(|rest| rest.split_once("::")) {
        text = rest.1;
    }
    text.trim_start()
}

/// Statuses above 128 are signals': 137 SIGKILL, 143 SIGTERM, 130 SIGINT.
fn by_exit(text: &str) -> ClosingLine {
    match text.rsplit(' ').next() {
        Some("Killed" | "Terminated") => return ClosingLine::Stopped(StopReason::Killed),
        Some("Interrupt") => return ClosingLine::Stopped(StopReason::Cancelled),
        _ => {}
    }
    let mut words = text.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
    match words.next_back().and_then(|word| word.parse().ok()) {
        Some(137 | 139 | 143) => ClosingLine::Stopped(StopReason::Killed),
        Some(130) => ClosingLine::Stopped(StopReason::Cancelled),
        Some(124) => ClosingLine::Stopped(StopReason::TimedOut),
        _ => ClosingLine::Failed,
    }
}

/// just's, make's, ninja's and tox's words for a command that failed.
fn is_recipe(text: &str) -> bool {
    let make = begins_with(text, "make") && text.contains(": *** ");
    let recipe = (text.contains("ecipe `")) && text.contains(" failed");
    let task = begins_with(text, "task: ") && text.contains("exit status");
    let unit = begins_with(text, "failed to start ");
    make || recipe || task || unit || begins_with(text, "npm err! ") || begins_with(text, "failed: [code=")
}

/// A shell's word for a child that a signal ended: `Killed`, `line 3:  1234 Terminated   bst …`.
fn is_shell_word(text: &str) -> bool {
    let alone = matches!(text, "Killed" | "Terminated" | "Killed." | "Terminated.");
    let job = || {
        let (_, rest) = text.split_once(": line ")?;
        let mut words = rest.split_once(':')?.1.split_whitespace();
        let pid = words.next()?.bytes().all(|byte| byte.is_ascii_digit());
        let word = words.next()?;
        (pid && matches!(word, "Killed" | "Terminated" | "Segmentation")).then_some(())
    };
    alone || job().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_known() {
        let stopped = |reason| Some(ClosingLine::Stopped(reason));
        for (line, wanted) in [
            ("##[error]Process completed with exit code 255.", Some(ClosingLine::Failed)),
            ("Error: Process completed with exit code 137.", stopped(StopReason::Killed)),
            ("error: Recipe `bst` failed on line 12 with exit code 255", Some(ClosingLine::Failed)),
            ("make[1]: *** [Makefile:12: fetch] Error 255", Some(ClosingLine::Failed)),
            ("make: *** [fetch] Terminated", stopped(StopReason::Killed)),
            ("make: *** [fetch] Error 143", stopped(StopReason::Killed)),
            ("ERROR: Job failed: exit code 1", Some(ClosingLine::Failed)),
            ("ERROR: Job failed: execution took longer than 1h0m0s seconds", stopped(StopReason::TimedOut)),
            ("ERROR: Job failed: canceled", stopped(StopReason::Cancelled)),
            ("##[error]The operation was canceled.", stopped(StopReason::Cancelled)),
            (
                "##[error]The job running on runner GitHub Actions 3 has exceeded the maximum execution time of 360 minutes.",
                stopped(StopReason::TimedOut),
            ),
            ("bst-fetch.service: Main process exited, code=killed, status=9/KILL", stopped(StopReason::Killed)),
            ("bst-fetch.service: Failed with result 'oom-kill'.", stopped(StopReason::OutOfMemory)),
            ("bst-fetch.service: Failed with result 'exit-code'.", Some(ClosingLine::Failed)),
            ("Out of memory: Killed process 4711 (bst) total-vm:1kB", stopped(StopReason::OutOfMemory)),
            ("/bin/bash: line 3:  1234 Killed                  bst source fetch", stopped(StopReason::Killed)),
            ("Finished: FAILURE", Some(ClosingLine::Failed)),
            ("ERROR: script returned exit code 143", stopped(StopReason::Killed)),
            ("Cleaning up project directory and file based variables", Some(ClosingLine::Nothing)),
            ("fatal: unable to access 'https://h/': The requested URL returned error: 503", None),
            ("git source at a.bst [line 1 column 2]: Process completed with exit code 1", None),
            ("hello", None),
        ] {
            assert_eq!(of_line(line), wanted, "{line}");
        }
    }
}
