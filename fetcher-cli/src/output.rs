//! Standard output and standard error: the one place that writes there. What upstreams, projects and clients had a word in
//! comes out harmless, so that nobody commands the terminal of who reads it, nor hides in a name.

#![expect(clippy::disallowed_methods, reason = "everything else goes through here")]

use std::io::{self, IsTerminal as _, StdoutLock, Write};

use fetcher_core::report::{self, PlainWriter};

/// Says a line on standard error. Where nobody can hear it (a full device, a closed terminal), the work goes on.
pub(crate) fn eprint_line(line: &str) {
    if !line.is_empty() {
        write_line(&report::strip_control(line));
    }
}

/// Says a value as a line of JSON on standard error.
pub(crate) fn say_json(value: &serde_json::Value) {
    write_line(&report::plain_json(&value.to_string()));
}

/// In one piece: many threads write here, and each write is a call of the kernel's.
fn write_line(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Text for bars and other lines that something else puts on the terminal.
pub(crate) fn in_one_line(text: &str) -> String {
    report::one_line(&report::strip_control(text))
}

/// Whether somebody looks at standard error.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Standard output for text: what is not meant to be read is left out.
pub(crate) fn text() -> PlainWriter<StdoutLock<'static>> {
    PlainWriter::new(io::stdout().lock())
}

/// Writes JSON to standard output.
pub(crate) fn json(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", report::plain_json(text))
}

/// Standard output for what has to arrive as it is, in files and other programs: logs, scripts, configurations. On a
/// terminal it is as harmless as any other text.
pub(crate) enum ExactOutput {
    /// A terminal.
    Terminal(PlainWriter<StdoutLock<'static>>),
    /// Anything else.
    Elsewhere(StdoutLock<'static>),
}

/// Standard output for what has to arrive as it is.
pub(crate) fn exact() -> ExactOutput {
    let out = io::stdout().lock();
    if out.is_terminal() { ExactOutput::Terminal(PlainWriter::new(out)) } else { ExactOutput::Elsewhere(out) }
}

impl ExactOutput {
    /// Ends a part of the output: a sequence that was begun and not ended in it swallows nothing of the next.
    pub(crate) fn end_part(self) -> io::Result<Self> {
        Ok(match self {
            Self::Terminal(out) => Self::Terminal(PlainWriter::new(out.finish()?)),
            Self::Elsewhere(out) => Self::Elsewhere(out),
        })
    }
}

impl Write for ExactOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Terminal(out) => out.write(bytes),
            Self::Elsewhere(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Terminal(out) => out.flush(),
            Self::Elsewhere(out) => out.flush(),
        }
    }
}
