//! What `-vv` shows of the children: each command with its duration and how it ended.

use std::fmt::{self, Write as _};

use fetcher_core::Redact as _;
use fetcher_core::Redactor;
use indicatif::MultiProgress;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::output::eprint_line;

/// Whose events are shown.
const TARGET: &str = "fetcher_core";

/// Writes the library's events to standard error, a line each, with secrets masked.
struct TraceLines {
    redactor: Redactor,
    /// What shows progress on the terminal, and makes room for a line.
    bars: Option<MultiProgress>,
}

/// Shows what runs from now on.
pub(crate) fn show(redactor: &Redactor, bars: Option<&MultiProgress>) {
    let lines = TraceLines { redactor: redactor.clone(), bars: bars.cloned() };
    // That somebody else listens already can only be in a test, which has its lines then.
    let _ = tracing::subscriber::set_global_default(lines);
}

impl Subscriber for TraceLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::DEBUG && metadata.target().starts_with(TARGET)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = EventFields::default();
        event.record(&mut fields);
        let line = fields.line().redacted(&self.redactor);
        match &self.bars {
            Some(bars) => bars.suspend(|| eprint_line(&line)),
            None => eprint_line(&line),
        }
    }

    // There are no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The fields of one event.
#[derive(Default)]
struct EventFields {
    command: String,
    seconds: f64,
    rest: String,
}

impl EventFields {
    /// `bst --version: 0.3 s, Status(0), in /`.
    fn line(&self) -> String {
        format!("{}: {:.2} s{}", self.command, self.seconds, self.rest)
    }
}

impl Visit for EventFields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "seconds" {
            self.seconds = value;
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "command" => write!(self.command, "{value:?}"),
            "directory" => write!(self.rest, ", in {value:?}"),
            "message" => Ok(()),
            _ => write!(self.rest, ", {value:?}"),
        };
    }
}
