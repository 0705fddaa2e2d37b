//! The words of git, ssh, curl, Python, the operating system and bst itself for what can go wrong.
//!
//! Those of bst and its plugins were read in the sources of BuildStream 2.8.1, buildstream-plugins 2.8.0 and
//! buildstream-plugins-community 2.4.0; many of the others were provoked, see `fixtures/bst-logs`.

mod host;
mod network;
mod particular;
mod plugins;
mod upstream;
mod vague;

use super::line_diagnosis::LineDiagnosis;
use super::{Actor, FailureKind, Retry, http};

/// Texts in lower case that all stand in a line, in any order; what that means; a remedy of its own, if any.
type Phrase = (&'static [&'static str], FailureKind, OwnRemedy);

/// Who must act, whether to try again (as the kind says, where none) and what to do, where that is not what the kind means.
type OwnRemedy = Option<(Actor, Option<Retry>, &'static str)>;

const DEFAULT_REMEDY: OwnRemedy = None;

#[expect(clippy::unnecessary_wraps, reason = "what it gives stands in a table beside nothing")]
const fn host(hint: &'static str) -> OwnRemedy {
    Some((Actor::Host, None, hint))
}

#[expect(clippy::unnecessary_wraps, reason = "what it gives stands in a table beside nothing")]
const fn project(hint: &'static str) -> OwnRemedy {
    Some((Actor::Project, None, hint))
}

#[expect(clippy::unnecessary_wraps, reason = "what it gives stands in a table beside nothing")]
const fn upstream(hint: &'static str) -> OwnRemedy {
    Some((Actor::Upstream, None, hint))
}

/// For what does not pass by itself, though the kind may.
#[expect(clippy::unnecessary_wraps, reason = "what it gives stands in a table beside nothing")]
const fn lasting(actor: Actor, hint: &'static str) -> OwnRemedy {
    Some((actor, Some(Retry::No), hint))
}

/// What the line, in lower case and without names, says. The first that fits counts, so that the special comes before the
/// general: what stands beside a status of HTTP says more than the status.
pub(super) fn of_line(low: &str) -> Option<LineDiagnosis> {
    let first = [particular::PHRASES, plugins::PHRASES];
    let then = [host::PHRASES, network::NAMES_AND_TRUST, upstream::PHRASES, network::CONNECTIONS, host::FILES];
    first
        .iter()
        .find_map(|table| find(table, low))
        .or_else(|| http::of_line(low))
        .or_else(|| then.iter().find_map(|table| find(table, low)))
}

/// What the line says that says more than a status of HTTP on another line.
pub(super) fn of_particular_line(low: &str) -> Option<LineDiagnosis> {
    find(particular::PHRASES, low)
}

/// What the line says that does not tell its reason: it counts where no other line says more.
pub(super) fn of_vague_line(low: &str) -> Option<LineDiagnosis> {
    find(vague::PHRASES, low)
}

fn find(table: &[Phrase], low: &str) -> Option<LineDiagnosis> {
    let (_, kind, own) = table.iter().find(|(words, _, _)| words.iter().all(|word| has(low, word)))?;
    Some(match *own {
        None => LineDiagnosis::of(*kind),
        Some((actor, retry, hint)) => {
            let verdict = LineDiagnosis::of(*kind).actor(actor).hint(hint);
            retry.map_or_else(|| verdict.clone(), |retry| verdict.clone().retry(retry))
        }
    })
}

/// Whether the text stands in the line. A single word is none in the middle of a name with dashes or dots, of a branch say.
fn has(low: &str, word: &str) -> bool {
    if word.contains(' ') {
        return low.contains(word);
    }
    let joins = |byte: Option<&u8>| matches!(byte, Some(b'-' | b'_' | b'.' | b'/'));
    low.match_indices(word).any(|(at, _)| {
        let bytes = low.as_bytes();
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        // A dot at the end of a sentence joins nothing.
        let (end, next) = (bytes.get(at + word.len()), bytes.get(at + word.len() + 1));
        let after = if matches!(end, Some(b'.')) && !next.is_some_and(u8::is_ascii_alphanumeric) { None } else { end };
        !joins(before) && !joins(after)
    })
}
