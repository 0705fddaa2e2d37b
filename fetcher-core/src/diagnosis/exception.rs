//! Tracebacks: what Python says that nobody caught, as classes and texts.

use std::path::PathBuf;

use super::{FailureKind, Location, grpc, python};
use crate::failure::LineDiagnosis;
use crate::failure::phrases::exceptions::{self, RaisedFacts};
use crate::failure::phrases::{self, between, missing};

/// How many lines of an exception's text are looked at.
const TEXT_LINES: usize = 12;

/// An exception as Python prints it.
#[derive(Debug, Default)]
struct RaisedException<'a> {
    /// Its class with its module, `requests.exceptions.ReadTimeout`; empty where the traceback is cut off before.
    class: &'a str,
    /// Its text; the first line behind the class.
    text: Vec<&'a str>,
    /// The lines that name files, from the outermost.
    frames: Vec<&'a str>,
}

/// What a traceback comes to.
pub(super) struct Traceback {
    pub(super) verdict: LineDiagnosis,
    /// The exception's own line, or what there is of it.
    pub(super) message: String,
    /// The innermost file and line, where the code is to blame.
    pub(super) place: Location,
}

/// What is known of a plain line, with the detail that it may have.
pub(super) type PlainLine = fn(line: &str, detail: &str) -> Option<LineDiagnosis>;

/// Whether the line begins a traceback.
pub(super) fn begins(line: &str) -> bool {
    line.trim_start().starts_with("Traceback (most recent call last)")
}

/// What the lines with a traceback, or several, come to. `of_line` is asked what a plain line means, for an exception's own line may be any.
pub(super) fn of_lines(lines: &[&str], of_line: PlainLine) -> Traceback {
    let all = raised(lines);
    let Some(last) = all.last() else {
        let line = lines.iter().rev().find(|line| !line.trim().is_empty()).map_or("", |line| line.trim());
        return Traceback {
            verdict: LineDiagnosis::of(FailureKind::Bug),
            message: line.to_owned(),
            place: Location::default(),
        };
    };
    if let Some((verdict, words)) = grpc::of_block(&last.text_with_class()) {
        return Traceback { verdict, message: format!("{}: {words}", last.class), place: Location::default() };
    }
    let earlier = || {
        all[..all.len() - 1]
            .iter()
            .rev()
            .filter_map(|raised| raised.verdict(of_line))
            .find(|verdict| is_outside(verdict.kind))
    };
    match last.verdict(of_line).or_else(earlier).or_else(|| last.startup()) {
        Some(verdict) => Traceback { verdict, message: last.message(), place: Location::default() },
        None => {
            Traceback { verdict: LineDiagnosis::of(FailureKind::Bug), message: last.message(), place: last.place() }
        }
    }
}

/// The exceptions of the lines, in their order.
fn raised<'a>(lines: &[&'a str]) -> Vec<RaisedException<'a>> {
    let mut all: Vec<RaisedException<'a>> = Vec::new();
    let mut base = None;
    for line in lines {
        let trimmed = line.trim();
        if begins(line) {
            base = Some(line.len() - line.trim_start().len());
            all.push(RaisedException::default());
            continue;
        }
        let (Some(depth), Some(last)) = (base, all.last_mut()) else { continue };
        let chained = trimmed.starts_with("During handling of the above exception")
            || trimmed.starts_with("The above exception was the direct cause");
        let deeper = line.len() - line.trim_start().len() > depth;
        if chained {
            base = None;
        } else if last.class.is_empty() && deeper {
            if trimmed.starts_with("File \"") {
                last.frames.push(trimmed);
            }
        } else if last.class.is_empty() && !trimmed.is_empty() {
            match class_of(trimmed) {
                Some((class, text)) => (last.class, last.text) = (class, vec![text]),
                None => base = None,
            }
        } else if !last.class.is_empty() && last.text.len() < TEXT_LINES {
            last.text.push(line);
        }
    }
    all
}

/// The class and the text of the line that tells of an exception.
fn class_of(line: &str) -> Option<(&str, &str)> {
    let (class, text) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
    let is_class = class.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && class.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    is_class.then_some((class, text))
}

impl<'a> RaisedException<'a> {
    /// The class without its module.
    fn name(&self) -> &'a str {
        self.class.rsplit('.').next().unwrap_or(self.class)
    }

    fn text_with_class(&self) -> Vec<&'a str> {
        std::iter::once(self.class).chain(self.text.iter().copied()).collect()
    }

    /// What is known of it; none where the code that raised it has to be looked at.
    fn verdict(&self, of_line: PlainLine) -> Option<LineDiagnosis> {
        if self.class.is_empty() {
            return None;
        }
        if let Some((verdict, _)) = grpc::of_block(&self.text_with_class()) {
            return Some(verdict);
        }
        let mut lines = self.text.iter().map(|line| format!("{}: {}", self.name(), line.trim()));
        let told = lines.find_map(|line| {
            let own = line.split_once(": ").map_or("", |(_, text)| text);
            let others = || if exceptions::is_mistake(self.name()) { None } else { of_line(own, "") };
            python::of_line(own).or_else(others).filter(|verdict| is_outside(verdict.kind))
        });
        told.or_else(|| self.by_class())
    }

    /// What the class alone says.
    fn by_class(&self) -> Option<LineDiagnosis> {
        let module = self.class.split('.').next().unwrap_or_default();
        let found = exceptions::of_class(&RaisedFacts {
            name: self.name(),
            of_http: matches!(module, "requests" | "urllib" | "urllib3" | "http" | "dulwich" | "aiohttp" | "httpx"),
            answered: self.answered(),
            text: &self.text,
        })?;
        // Which version is wanted stands in the text.
        Some(if found.kind == FailureKind::PluginMissing { missing::of_conflict(&self.text.join("\n")) } else { found })
    }

    /// Whether the answer of a server was read when it was raised.
    fn answered(&self) -> bool {
        self.class.starts_with("requests") || self.frames.iter().any(|frame| frame.contains("/requests/"))
    }

    /// bst that cannot even be imported: nothing of a project was read yet.
    fn startup(&self) -> Option<LineDiagnosis> {
        let mut frames = self.frames.iter();
        let first = frames.next()?;
        let begun = |frame: &str| frame.ends_with("in <module>") || frame.contains("<frozen ");
        let importing = frames.next().is_some_and(|frame| begun(frame) && phrases::python::is_file_of_bst(frame));
        ((first.contains("bst\"") && begun(first) && importing)
            || self.frames.last().is_some_and(|f| f.contains("/google/protobuf/")))
        .then(phrases::python::of_startup)
    }

    fn message(&self) -> String {
        if self.class.is_empty() {
            let last = self.frames.last().map_or("no file is named", |frame| frame.trim());
            return format!("the traceback is cut off before the exception; last: {last}");
        }
        let text = self.text.first().map_or("", |line| line.trim());
        if text.is_empty() { self.class.to_owned() } else { format!("{}: {text}", self.class) }
    }

    fn place(&self) -> Location {
        let Some(frame) = self.frames.last() else { return Location::default() };
        let line = between(frame, ", line ", "").and_then(|rest| rest.split(',').next()?.trim().parse().ok());
        Location { file: between(frame, "File \"", "\"").map(PathBuf::from), line, column: None, url: None }
    }
}

/// Whether a failure of this kind is nothing that the code that raised it could help.
fn is_outside(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Configuration
            | FailureKind::BstMissing
            | FailureKind::Environment
            | FailureKind::RunnerFailed
            | FailureKind::Sandbox
            | FailureKind::Unconfined
            | FailureKind::CachesShared
            | FailureKind::CredentialsHidden
            | FailureKind::BstVersion
            | FailureKind::HostToolMissing
            | FailureKind::PluginMissing
            | FailureKind::PythonModuleMissing
            | FailureKind::RefMissing
            | FailureKind::Checksum
            | FailureKind::ChecksumChanged
            | FailureKind::ProbeMiss
            | FailureKind::Rot
            | FailureKind::NotFound
            | FailureKind::Unauthorised
            | FailureKind::RateLimited
            | FailureKind::ServerError
            | FailureKind::Dns
            | FailureKind::Network
            | FailureKind::Tls
            | FailureKind::DiskFull
            | FailureKind::Permission
            | FailureKind::HostResources
            | FailureKind::CacheUnreachable
            | FailureKind::CacheDenied
            | FailureKind::CacheFull
            | FailureKind::CacheWrong
            | FailureKind::CacheIncomplete
            | FailureKind::PushIncomplete
            | FailureKind::NoPushRemote
            | FailureKind::CasdDied
            | FailureKind::MirrorCorrupt
    )
}
