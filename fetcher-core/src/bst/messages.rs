//! Reading what `bst` writes to its standard error, as it comes: messages, headings, summaries and plain text.
//!
//! `bst` has no machine output, but whoever writes its user configuration decides how a message line looks. Three
//! forms are understood: the default ones of BuildStream 1 and 2 (also with more columns in brackets before the
//! element's, as some users configure), and [`MESSAGE_FORMAT`]. Headings, summaries and the final error text look the
//! same in all of them. The grammar is that of `LogLine` in BuildStream's `_frontend/widget.py` (2.8.1 and 1.6.9).
//!
//! Whatever comes is read in one pass and in bounded memory: of a line the first [`LINE_LIMIT`] bytes count, of a
//! message's lines the first and the last ([`LogExcerpt`]).

mod excerpt;
mod grammar;
mod item;
mod prefix;

use std::io::BufRead as _;

pub use excerpt::LogExcerpt;
pub use item::{BstMessage, ElementState, ListedElement, LogItem, MessageLevel, QueueSummary, TaskAction, TaskState};

use grammar::{clean, cut_head, head, heading, indent, listed, queue, task_log_head, total, value};
use prefix::PrefixStripper;

/// What `logging: message-format` of BuildStream 2 has to be for the machine form.
///
/// Ask for `logging: verbose: True` and some `error-lines` with it: a failed task's log, where git and others say what
/// is wrong, is part of the output only then. A `key-length` is not looked at.
pub const MESSAGE_FORMAT: &str = "@BST|%{wallclock-us}|%{elapsed-us}|%{key}|%{element}|%{action}|%{message}";

/// [`MESSAGE_FORMAT`] for BuildStream 1, which knows no `wallclock-us` and dies of names that it does not know.
pub const MESSAGE_FORMAT_1: &str = "@BST|%{wallclock}|%{elapsed-us}|%{key}|%{element}|%{action}|%{message}";

/// How many bytes of one line are looked at; the rest of it is dropped.
pub const LINE_LIMIT: usize = 8 * 1024;

/// Reads bst's standard error, in pieces of any size.
///
/// ```
/// use fetcher_core::bst::messages::{LogItem, LogParser, TaskState};
/// let mut failed = Vec::new();
/// let mut sink = |item| {
///     if let LogItem::Message(message) = item
///         && message.task() == Some(TaskState::Failed)
///     {
///         failed.push(message.text);
///     }
/// };
/// let mut parser = LogParser::default();
/// parser.push(b"[00:00:01][55f9f908][   fetch:tar.bst        ] FAILURE tar source at tar.bst [line 3 ", &mut sink);
/// parser.push(b"column 2]: HTTP Error 404: Not Found\n\n    Log file:     p/tar/x.log\n", &mut sink);
/// parser.finish(&mut sink);
/// assert_eq!(failed, ["tar source at tar.bst [line 3 column 2]: HTTP Error 404: Not Found"]);
/// ```
#[derive(Debug, Default)]
pub struct LogParser {
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    section: LogSection,
    /// The source cache of which the heading tells; empty in front of the first.
    cache: Option<String>,
    open: OpenItem,
    /// Whether an empty line came since the last line that was not.
    gap: bool,
    /// What takes prefixes off, where the log may be from anywhere.
    unwrapper: Option<Box<PrefixStripper>>,
    /// Whose log it is, where it is a task's own.
    task: TaskAction,
    /// What other programs wrote in a task's own log since its last step began; none in other logs.
    task_text: Option<LogExcerpt>,
}

/// Under which heading the lines stand.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogSection {
    /// Among the messages.
    #[default]
    Messages,
    /// A heading of whose lines only a few matter: versions, user configuration, loaded projects.
    About,
    /// The listing of the elements.
    Pipeline,
    /// The listing of elements that tracking gave a key.
    ResolvedKeys,
    /// What failed, told once more.
    FailureSummary,
    /// Counts.
    PipelineSummary,
}

/// What indented lines belong to.
#[derive(Debug, Default)]
enum OpenItem {
    /// To no message.
    #[default]
    Nothing,
    /// To a message that was handed out at once.
    Passed,
    /// To this message.
    Message(Box<PendingMessage>),
}

/// A message whose lines are still coming.
#[derive(Debug)]
struct PendingMessage {
    message: BstMessage,
    part: MessagePart,
}

/// Which part of a message the lines belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessagePart {
    Detail,
    /// The line after `Printing the last 20 lines from log file:`.
    LogName,
    /// Between the name of the log and the rule under it.
    LogRule,
    Log,
    /// After the log.
    Rest,
}

impl LogParser {
    /// A reader of logs from anywhere: of CI, from a journal, a container, a mail, and of tasks' own logs.
    ///
    /// What such places put in front of the lines is taken off. Nothing is handed out before the first message, as far as
    /// there is room, for its head tells what the others have in front of them.
    pub fn of_any_log() -> Self {
        Self { unwrapper: Some(Box::default()), ..Self::default() }
    }

    /// Takes the next bytes and hands out what they complete.
    ///
    /// `START`, `SUCCESS` and `SKIPPED` are handed out as soon as their line has ended, and without the lines that may
    /// belong to them; every other message when all of its lines are there.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(LogItem)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let all = rest;
            // The standard library's search is fast also where this crate was not optimised; a slice never fails.
            let taken = rest.skip_until(b'\n').unwrap_or(all.len());
            let Some(line) = all[..taken].strip_suffix(b"\n") else {
                self.keep(&all[..taken]);
                return;
            };
            if self.partial.is_empty() {
                self.line(&line[..line.len().min(LINE_LIMIT)], sink);
            } else {
                self.keep(line);
                let whole = std::mem::take(&mut self.partial);
                self.line(&whole, sink);
                self.partial = whole;
                self.partial.clear();
            }
        }
    }

    /// Takes the end of the output: hands out what was still open.
    pub fn finish(mut self, sink: &mut impl FnMut(LogItem)) {
        if !self.partial.is_empty() {
            let whole = std::mem::take(&mut self.partial);
            self.line(&whole, sink);
        }
        if let Some(mut unwrapper) = self.unwrapper.take() {
            unwrapper.finish(&mut |line| self.unwrapped(line, true, sink));
        }
        self.close(sink);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_LIMIT - self.partial.len().min(LINE_LIMIT);
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Hands out the message that is open, as one of the run or as one of the failure summary.
    fn close(&mut self, sink: &mut impl FnMut(LogItem)) {
        self.gap = false;
        if let OpenItem::Message(collecting) = std::mem::take(&mut self.open) {
            sink(match self.section {
                LogSection::FailureSummary => LogItem::Repeated(collecting.message),
                _ => LogItem::Message(collecting.message),
            });
        }
    }

    fn line(&mut self, raw: &[u8], sink: &mut impl FnMut(LogItem)) {
        let line = clean(raw);
        match self.unwrapper.take() {
            None => self.unwrapped(line.trim_end(), false, sink),
            Some(mut unwrapper) => {
                unwrapper.line(line.trim_end(), &mut |line| self.unwrapped(line.trim_end(), true, sink));
                self.unwrapper = Some(unwrapper);
            }
        }
    }

    /// Takes a line without what stood in front of it; `anywhere` says that the log need not be bst's own output.
    fn unwrapped(&mut self, line: &str, anywhere: bool, sink: &mut impl FnMut(LogItem)) {
        if line.is_empty() {
            self.gap = true;
            return;
        }
        if let Some(text) = self.task_text.as_mut().filter(|_| task_log_head(line).is_none()) {
            text.push(line);
        }
        if self.head(line, anywhere, sink) {
            return;
        }
        if indent(line) == 0 {
            self.flush_left(line, sink);
        } else {
            self.indented(line, sink);
        }
        self.gap = false;
    }

    /// Takes the line as the first of a message, where it is one.
    fn head(&mut self, line: &str, anywhere: bool, sink: &mut impl FnMut(LogItem)) -> bool {
        let repeated = self.section == LogSection::FailureSummary && line.starts_with("    ");
        let found = head(if repeated { &line[4..] } else { line });
        let found = found.or_else(|| if anywhere { cut_head(line).or_else(|| self.task_log_head(line)) } else { None });
        let Some(message) = found else { return false };
        self.close(sink);
        if !repeated {
            self.section = LogSection::Messages;
        }
        match message.level {
            MessageLevel::Start | MessageLevel::Success | MessageLevel::Skipped if !repeated => {
                self.open = OpenItem::Passed;
                sink(LogItem::Message(message));
            }
            _ => self.open = OpenItem::Message(Box::new(PendingMessage { message, part: MessagePart::Detail })),
        }
        true
    }

    /// Takes the line as one of a task's own log, whose first message says which task it is.
    fn task_log_head(&mut self, line: &str) -> Option<BstMessage> {
        let mut message = task_log_head(line)?;
        if let Some(action) = message.task_name().filter(|_| message.level == MessageLevel::Start) {
            self.task = action;
        }
        message.action = self.task;
        match message.level {
            MessageLevel::Failure => message.log = self.task_text.clone().unwrap_or_default(),
            MessageLevel::Start | MessageLevel::Success => self.task_text = Some(LogExcerpt::default()),
            _ => self.task_text = self.task_text.take().or_else(|| Some(LogExcerpt::default())),
        }
        Some(message)
    }

    /// A line that begins in the first column and is no message.
    fn flush_left(&mut self, line: &str, sink: &mut impl FnMut(LogItem)) {
        if matches!(self.section, LogSection::Pipeline | LogSection::ResolvedKeys)
            && let Some(element) = listed(line)
        {
            self.list(element, sink);
        } else if let Some(section) = heading(line) {
            self.close(sink);
            self.section = section;
            if let Some(version) = line.strip_prefix("BuildStream Version ") {
                sink(LogItem::Version(version.to_owned()));
            }
        } else if line.len() > 60 && line.bytes().all(|byte| byte == b'=') {
            self.close(sink);
            self.section = LogSection::Messages;
        } else if let (OpenItem::Message(collecting), false) = (&mut self.open, self.gap) {
            // The text of an error may have several lines, which are not indented.
            collecting.message.detail.push(line);
        } else {
            self.close(sink);
            self.section = LogSection::Messages;
            sink(LogItem::Text(line.to_owned()));
        }
    }

    fn indented(&mut self, line: &str, sink: &mut impl FnMut(LogItem)) {
        // Under `Failure Summary` stand the elements' names at 2 (1.x) or 4 columns, and what belongs to a message at 8.
        let depth = if self.section == LogSection::FailureSummary { 8 } else { 4 };
        if self.section == LogSection::FailureSummary && indent(line) < depth {
            self.close(sink);
            return;
        }
        match (&mut self.open, self.section) {
            (OpenItem::Message(collecting), _) => collecting.line(line, depth, self.gap),
            (OpenItem::Passed, LogSection::Messages) | (_, LogSection::FailureSummary) => {}
            (_, LogSection::Messages) => sink(LogItem::Text(line.to_owned())),
            (_, LogSection::Pipeline | LogSection::ResolvedKeys) => {
                if let Some(element) = listed(line) {
                    self.list(element, sink);
                }
            }
            (_, LogSection::About) => self.about(line, sink),
            (_, LogSection::PipelineSummary) => {
                if let Some(item) = queue(line).map(LogItem::Queue).or_else(|| total(line)) {
                    sink(item);
                }
            }
        }
    }

    /// A line of the heading: of the projects that were loaded, and their source caches.
    fn about(&mut self, line: &str, sink: &mut impl FnMut(LogItem)) {
        if let Some(name) = value(line, "Junction path").and_then(|name| name.parse().ok()) {
            sink(LogItem::Junction(name));
        }
        if indent(line) == 4 {
            self.cache = (line.trim_start() == "Source cache servers").then(String::new);
        }
        let Some(cache) = &mut self.cache else { return };
        if let Some(url) = line.trim_start().strip_prefix("* ") {
            url.clone_into(cache);
        } else if let Some(push) = value(line, "push") {
            sink(LogItem::SourceCache { url: cache.clone(), push: push.starts_with("True") });
        }
    }

    fn list(&self, element: ListedElement, sink: &mut impl FnMut(LogItem)) {
        if self.section == LogSection::Pipeline {
            sink(LogItem::Listed(element));
        }
    }
}

impl PendingMessage {
    /// Takes a line of the message's own, `depth` columns in.
    fn line(&mut self, line: &str, depth: usize, gap: bool) {
        let text = &line[indent(line).min(depth)..];
        let message = &mut self.message;
        match self.part {
            MessagePart::Detail | MessagePart::Rest
                if text.starts_with("Printing the last ") && text.ends_with("log file:") =>
            {
                self.part = MessagePart::LogName;
            }
            MessagePart::Detail | MessagePart::Rest if text.starts_with("Log file:") => {
                message.log_file = Some(text["Log file:".len()..].trim().to_owned());
                self.part = MessagePart::Rest;
            }
            MessagePart::Detail | MessagePart::Rest => message.detail.push_after(gap, text),
            MessagePart::LogName => {
                message.log_file = Some(text.trim().to_owned());
                self.part = MessagePart::LogRule;
            }
            MessagePart::LogRule => self.part = MessagePart::Log,
            MessagePart::Log if text.len() == 70 && text.bytes().all(|byte| byte == b'=') => {
                self.part = MessagePart::Rest;
            }
            MessagePart::Log => message.log.push_after(gap, text),
        }
    }
}

#[cfg(test)]
mod tests;
