//! The words of git, ssh, curl, pip, Python, the operating system and bst itself for what can go wrong. A phrase stands
//! here once, whoever reads it.
//!
//! Those of bst and its plugins were read in the sources of BuildStream 2.8.1, buildstream-plugins 2.8.0 and
//! buildstream-plugins-community 2.4.0; many of the others were provoked, see `fixtures/bst-logs`.

pub(crate) mod answers;
pub(crate) mod bst;
pub(crate) mod cache;
pub(crate) mod closing;
pub(crate) mod exceptions;
mod git;
mod host;
pub(crate) mod missing;
mod network;
mod particular;
mod pip;
mod plugins;
#[cfg(feature = "fetcher")]
mod push;
pub(crate) mod python;
mod sandbox;
mod sentence;
pub(crate) mod services;
mod upstream;
mod vague;

#[cfg(feature = "fetcher")]
use super::PushRefusal;
use super::line_diagnosis::LineDiagnosis;
use super::{Actor, FailureKind, Retry, http_status, without_names};

pub(crate) use sandbox::of_sandbox;
pub(crate) use sentence::between;

/// Texts in lower case that all stand in a line, in any order; what that means; a remedy of its own, if any.
struct Phrase(&'static [&'static str], FailureKind, OwnRemedy);

/// What is different from what the kind means; none where nothing is.
type OwnRemedy = Option<PhraseRemedy>;

/// A phrase's own remedy; what is none is as the kind says.
#[derive(Clone, Copy)]
struct PhraseRemedy {
    actor: Option<Actor>,
    retry: Option<Retry>,
    hint: Option<&'static str>,
    detail: Option<FailureDetail>,
}

/// What those who call git or pip tell apart among failures of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureDetail {
    /// A server's ssh key is not known, or another.
    HostKey,
    /// A repository on this machine is another user's.
    Ownership,
    /// git is forbidden to go that way.
    Transport,
    /// Objects are named by SHA-256.
    ObjectFormat,
    /// Objects are missing on the other side.
    RemoteCorrupt,
    /// Python comes without the modules that make environments.
    NoVenv,
    /// Requirements contradict each other.
    Conflict,
    /// A package is for other Pythons.
    PythonVersion,
    /// Requirements are malformed.
    Requirements,
    /// A package cannot be built here.
    PackageBuild,
}

const DEFAULT_REMEDY: OwnRemedy = None;

const fn host(hint: &'static str) -> OwnRemedy {
    own(Actor::Host, None, hint)
}

const fn project(hint: &'static str) -> OwnRemedy {
    own(Actor::Project, None, hint)
}

const fn upstream(hint: &'static str) -> OwnRemedy {
    own(Actor::Upstream, None, hint)
}

/// For what does not pass by itself, though the kind may.
const fn lasting(actor: Actor, hint: &'static str) -> OwnRemedy {
    own(actor, Some(Retry::No), hint)
}

#[expect(clippy::unnecessary_wraps, reason = "what it gives stands in a table beside nothing")]
const fn own(actor: Actor, retry: Option<Retry>, hint: &'static str) -> OwnRemedy {
    Some(PhraseRemedy { actor: Some(actor), retry, hint: Some(hint), detail: None })
}

/// The actor and the retry of the kind, and a hint of its own.
#[expect(clippy::unnecessary_wraps, reason = "what it gives stands in a table beside nothing")]
const fn hint(hint: &'static str) -> OwnRemedy {
    Some(PhraseRemedy { actor: None, retry: None, hint: Some(hint), detail: None })
}

/// The remedy of the kind, for what those who call git or pip tell apart and say more of.
#[expect(clippy::unnecessary_wraps, reason = "what it gives stands in a table beside nothing")]
const fn only(detail: FailureDetail) -> OwnRemedy {
    Some(PhraseRemedy { actor: None, retry: None, hint: None, detail: Some(detail) })
}

/// The same remedy, for what those who call git or pip tell apart.
const fn told_apart(remedy: OwnRemedy, detail: FailureDetail) -> OwnRemedy {
    match remedy {
        Some(remedy) => Some(PhraseRemedy { detail: Some(detail), ..remedy }),
        None => None,
    }
}

/// What the line, in lower case and without names, says. The first that fits counts, so that the special comes before the
/// general: what stands beside a status of HTTP says more than the status.
pub(crate) fn of_line(low: &str) -> Option<LineDiagnosis> {
    let first = [particular::PHRASES, plugins::PHRASES];
    let then = [
        host::PHRASES,
        network::NAMES,
        network::BROKEN_TLS,
        network::TRUST,
        upstream::PHRASES,
        network::CONNECTIONS,
        host::FILES,
    ];
    first
        .iter()
        .find_map(|table| find(table, low))
        .or_else(|| http_status::of_line(low))
        .or_else(|| then.iter().find_map(|table| find(table, low)))
}

/// What the line says that says more than a status of HTTP on another line.
pub(crate) fn of_particular_line(low: &str) -> Option<LineDiagnosis> {
    find(particular::PHRASES, low)
}

/// What the line says that does not tell its reason: it counts where no other line says more.
pub(crate) fn of_vague_line(low: &str) -> Option<LineDiagnosis> {
    find(vague::PHRASES, low)
}

/// Whether the words, in lower case, say that it is a proxy that fails.
pub(crate) fn is_of_proxy(low: &str) -> bool {
    network::PROXIES.iter().any(|words| low.contains(words))
}

/// What stands behind the words by which a plugin says that it failed, and not why; none where it says otherwise.
pub(crate) fn behind_hiding_words(line: &str) -> Option<&str> {
    vague::HIDING.iter().find_map(|words| line.rfind(words).map(|at| &line[at + words.len()..]))
}

/// Whether the line is that pip found no such version, which it also says where its index did not answer.
pub(crate) fn may_lack_index(kind: FailureKind, line: &str) -> bool {
    let [package, versions] = pip::NO_VERSION;
    kind == FailureKind::NotFound && line.contains(package) || line.contains(versions)
}

/// What it means that a server does not speak git:// any more, which no line says where it does not answer at all.
pub(crate) fn of_no_git_protocol() -> LineDiagnosis {
    LineDiagnosis::of(FailureKind::ProjectInvalid).hint(particular::NO_GIT_PROTOCOL_THERE)
}

/// What git or one of its transports wrote, whose repository is ours: of all lines the first phrase counts.
pub(crate) fn of_git(output: &str) -> Option<(FailureKind, Option<FailureDetail>)> {
    let lines: Vec<String> = output.lines().map(without_names).collect();
    let is_said = |phrase: &&Phrase| lines.iter().any(|line| phrase.stands_in(line));
    let tables =
        |tables: &[&'static [Phrase]]| tables.iter().find_map(|table| table.iter().find(is_said)).map(Phrase::failure);
    tables(&[particular::PHRASES])
        .or_else(|| lines.iter().find_map(|line| http_status::of_git_line(line)).map(|kind| (kind, None)))
        .or_else(|| {
            tables(&[
                host::PHRASES,
                network::NAMES,
                network::TRUST,
                git::TRUST,
                network::BROKEN_TLS,
                git::OBJECTS,
                upstream::PHRASES,
                network::CONNECTIONS,
                host::FILES,
                git::GENERAL,
            ])
        })
}

/// Why git, or the other side, did not take a push; `said` has both sides' words without the repository's address.
#[cfg(feature = "fetcher")]
pub(crate) fn of_push(said: &str) -> Option<PushRefusal> {
    let low = said.to_lowercase();
    push::REFUSALS.iter().find(|(words, _)| low.contains(words)).map(|(_, refusal)| *refusal)
}

/// Whether git says that a server of HTTP answered it, whatever the answer was.
pub(crate) fn is_git_answered(said: &str) -> bool {
    said.contains(git::ANSWERED)
}

/// Whether the line is what git adds to every failure of a transport.
pub(crate) fn is_added_by_git(line: &str) -> bool {
    git::ADDED.iter().any(|words| line.contains(words))
}

/// Whether the line is pip's or venv's, though it has none of their marks.
pub(crate) fn is_unmarked_pip(line: &str) -> bool {
    pip::UNMARKED.iter().any(|words| line.contains(words))
}

/// What a line of pip's or venv's own says.
pub(crate) fn of_pip(line: &str) -> Option<(FailureKind, Option<FailureDetail>)> {
    let low = without_names(line);
    let tables = [
        pip::PHRASES,
        host::PHRASES,
        network::NAMES,
        network::BROKEN_TLS,
        network::TRUST,
        upstream::PHRASES,
        network::CONNECTIONS,
    ];
    tables.iter().find_map(|table| table.iter().find(|phrase| phrase.stands_in(&low))).map(Phrase::failure)
}

fn find(table: &[Phrase], low: &str) -> Option<LineDiagnosis> {
    table.iter().find(|phrase| phrase.stands_in(low)).map(Phrase::diagnosis)
}

impl Phrase {
    fn stands_in(&self, low: &str) -> bool {
        self.0.iter().all(|word| has(low, word))
    }

    fn failure(&self) -> (FailureKind, Option<FailureDetail>) {
        (self.1, self.2.and_then(|own| own.detail))
    }

    fn diagnosis(&self) -> LineDiagnosis {
        with_remedy(self.1, self.2)
    }
}

/// What the kind means, with what is different from that.
fn with_remedy(kind: FailureKind, remedy: OwnRemedy) -> LineDiagnosis {
    let found = LineDiagnosis::of(kind);
    match remedy {
        None => found,
        Some(PhraseRemedy { actor, retry, hint, .. }) => {
            let (actor, retry) = (actor.unwrap_or(found.actor), retry.unwrap_or(found.retry));
            let found = found.actor(actor).retry(retry);
            if let Some(hint) = hint { found.hint(hint) } else { found }
        }
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_phrase_stands_in_one_place() {
        let tables = [
            particular::PHRASES,
            plugins::PHRASES,
            host::PHRASES,
            network::NAMES,
            network::BROKEN_TLS,
            network::TRUST,
            git::TRUST,
            git::OBJECTS,
            upstream::PHRASES,
            network::CONNECTIONS,
            host::FILES,
            git::GENERAL,
            pip::PHRASES,
            vague::PHRASES,
        ];
        let mut seen = BTreeSet::new();
        for phrase in tables.into_iter().flatten() {
            assert!(seen.insert(phrase.0), "{:?} stands twice", phrase.0);
            assert!(phrase.0.iter().all(|word| *word == word.to_lowercase()), "{:?} is never found", phrase.0);
        }
        assert!(seen.len() > 400, "{}", seen.len());
    }

    /// A sentence that says what an earlier one of its table says is never come to.
    #[test]
    fn no_sentence_is_hidden_by_an_earlier_one() {
        let low = [cache::CACHES, cache::TAKING_IN, cache::SOURCES, cache::VAGUE, cache::FULL_SOMEWHERE];
        let written = [
            cache::PUSHES,
            cache::PASSED_OVER,
            bst::CONFIGURATION,
            bst::COMMAND_LINE,
            bst::CONFIG_OPTION,
            bst::VERSIONS,
            bst::ELEMENTS,
            bst::GIT_SOURCES,
            closing::CONTAINERS,
            missing::PROGRAMS,
            missing::PROGRAMS_OR_FILES,
            missing::PACKAGES,
            missing::CONFLICTS,
            missing::WANTED,
            python::PACKAGES,
            python::LACKING,
            python::ABSENT,
            python::INTERPRETER,
            python::STOPPED,
        ];
        let mut seen = 0;
        for table in low.into_iter().chain(written) {
            for (at, sentence) in table.iter().enumerate() {
                seen += 1;
                let hides = |earlier: &&sentence::Sentence| earlier.hides(sentence);
                let hidden = table[..at].iter().find(hides).map(sentence::Sentence::words);
                assert!(hidden.is_none(), "{:?} is hidden by {hidden:?}", sentence.words());
            }
        }
        assert!(seen > 200, "{seen}");
        let texts = low.into_iter().flatten().flat_map(|sentence| sentence.words().1);
        assert!(texts.clone().all(|text| *text == text.to_lowercase()), "a text in lower case is looked for");
        assert!(texts.count() > 30);
    }

    #[test]
    fn no_class_of_exceptions_is_hidden_by_an_earlier_one() {
        let mut seen = BTreeSet::new();
        for class in exceptions::CLASSES {
            for name in class.names {
                assert!(seen.insert(*name), "{name} stands twice");
            }
        }
        assert!(seen.len() > 60, "{}", seen.len());
    }

    #[test]
    fn the_last_answer_of_a_call_fits_all() {
        for table in [answers::CASD, answers::CACHE] {
            let last = table.last().unwrap();
            assert!(last.status.is_empty() && last.has.is_empty());
        }
        assert_eq!(answers::of_cache("OUT_OF_RANGE", "").kind, FailureKind::CacheUnreachable);
        assert_eq!(answers::of_casd("OUT_OF_RANGE", "").kind, FailureKind::CasdDied);
    }

    #[test]
    fn git_is_read_by_its_first_telling_line_whatever_stands_around_it() {
        let kind = |output: &str| of_git(output).map(|(kind, _)| kind);
        let ssh = "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.";
        assert_eq!(kind(ssh), Some(FailureKind::Unauthorised));
        let own = "fatal: detected dubious ownership in repository at '/x/corrupt'";
        assert_eq!(of_git(own), Some((FailureKind::Permission, Some(FailureDetail::Ownership))));
        assert_eq!(kind("fatal: unable to access '<url>': The requested URL returned error: 418"), None);
        assert_eq!(kind("fatal: bad object HEAD\nfatal: early EOF"), Some(FailureKind::MirrorCorrupt));
        assert_eq!(kind("the moon is wrong"), None);
    }
}
