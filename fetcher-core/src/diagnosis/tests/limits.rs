//! Logs of any size and any content, in bounded memory.

use std::io::{self, Read};

use super::super::element_log::MAX_ELEMENTS;
use super::*;

/// Repeats a text up to a size, and makes none of it before it is read.
struct Repeated {
    text: Vec<u8>,
    at: usize,
    left: usize,
}

impl Repeated {
    fn new(text: &str, size: usize) -> Self {
        Self { text: text.as_bytes().to_vec(), at: 0, left: size }
    }
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (self.text.len() - self.at).min(buffer.len()).min(self.left);
        buffer[..count].copy_from_slice(&self.text[self.at..self.at + count]);
        self.at = (self.at + count) % self.text.len();
        self.left -= count;
        Ok(count)
    }
}

/// The bytes of text that a diagnosis keeps.
fn kept(found: &LogDiagnoses) -> usize {
    found.failures.iter().chain(&found.warnings).map(|found| found.message.len() + found.hint.len()).sum()
}

#[test]
fn a_line_of_any_length_is_no_trouble() {
    let mut log = Repeated::new(&"x".repeat(64 * 1024), 100 << 20);
    let found = diagnose(Some(Exit::Status(255)), None, &mut log).unwrap();
    assert_eq!(found.failures[0].kind, FailureKind::Unknown);
    assert!(kept(&found) < 20_000);
}

#[test]
fn a_log_of_any_size_is_no_trouble() {
    // Text, details of messages, steps of tasks and failures without end.
    let mut texts = vec![
        ("some other program's words\n".repeat(1000), 10 << 20),
        (format!("[00:00:00][][   fetch:a.bst] FAILURE x\n{}", "    detail\n".repeat(1000)), 10 << 20),
        ("[00:00:00][][   fetch:a.bst] STATUS  Running host command\n\n    git\n".repeat(300), 10 << 20),
    ];
    let elements = (0..5_000).map(|at| format!("[00:00:00][][   fetch:{at}.bst] FAILURE {}\n", "y".repeat(900)));
    texts.push((elements.collect(), 4 << 20));
    for (text, size) in texts {
        let found = diagnose(Some(Exit::Status(255)), None, &mut Repeated::new(&text, size)).unwrap();
        assert!(found.failures.len() <= MAX_ELEMENTS + 2, "{}", found.failures.len());
        assert!(kept(&found) < 8 << 20, "{}", kept(&found));
    }
}

#[test]
fn rubbish_and_broken_recordings_are_survived() {
    let mut random: u64 = 7;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % below
    };
    for recording in recordings() {
        let mut log = recording.stderr;
        for _ in 0..50 {
            let at = next(log.len().max(1));
            match next(4) {
                0 if !log.is_empty() => log[at] = b"\x1b\xff\0\r\n[]@|: '/\x9b"[next(14)],
                1 => log.insert(at.min(log.len()), b"\xc3[|\x1b]"[next(5)]),
                2 => drop(log.drain(at.min(log.len())..(at + next(40)).min(log.len()))),
                _ => log.truncate(log.len() - next(10).min(log.len())),
            }
        }
        let whole = in_pieces(&log, log.len().max(1), Some(recording.exit));
        assert_eq!(in_pieces(&log, 5, Some(recording.exit)), whole, "{}", recording.name);
        let text = render_text(&whole.failures);
        assert!(text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'), "{text:?}");
    }
}
