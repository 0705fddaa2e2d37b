//! Sentences as they are written. Of bst, of Python and of casd the case and the names count, and often a name is taken
//! out of the line; so they are looked for in the line itself, and not in what is left of it without names.

use super::super::FailureKind;
use super::super::line_diagnosis::LineDiagnosis;
use super::{OwnRemedy, with_remedy};

/// A sentence: how the line begins and ends, what stands in it in any order, the name in it; what that means. In the
/// remedy `{}` stands for the name.
pub(super) struct Sentence {
    begins: &'static str,
    has: &'static [&'static str],
    ends: &'static str,
    name: NameIn,
    kind: FailureKind,
    remedy: OwnRemedy,
}

/// Where in a sentence its name is; without it the sentence is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NameIn {
    /// It has none.
    Nowhere,
    /// Between two texts; up to the line's end where the second is empty.
    Between(&'static str, &'static str),
    /// In quotes of whatever form behind a text.
    Quoted(&'static str),
    /// The last word before the line's end.
    LastWord,
    /// The sentence means this one.
    Meant(&'static str),
}

/// What a line says: its diagnosis, and the name in it.
pub(crate) struct SaidSentence<'l> {
    pub(crate) diagnosis: LineDiagnosis,
    pub(crate) name: &'l str,
}

/// The texts all stand in it.
pub(super) const fn says(has: &'static [&'static str], kind: FailureKind, remedy: OwnRemedy) -> Sentence {
    Sentence { begins: "", has, ends: "", name: NameIn::Nowhere, kind, remedy }
}

/// It begins so.
pub(super) const fn begins(begins: &'static str, kind: FailureKind, remedy: OwnRemedy) -> Sentence {
    Sentence { begins, ..says(&[], kind, remedy) }
}

impl Sentence {
    /// It ends so.
    pub(super) const fn ending(self, ends: &'static str) -> Self {
        Self { ends, ..self }
    }

    /// It has a name.
    pub(super) const fn naming(self, name: NameIn) -> Self {
        Self { name, ..self }
    }

    /// What the line says, if it is this.
    fn read<'l>(&self, line: &'l str) -> Option<SaidSentence<'l>> {
        let said = line.starts_with(self.begins)
            && line.ends_with(self.ends)
            && self.has.iter().all(|text| line.contains(text));
        let name = if said { self.name_in(line)? } else { return None };
        let found = with_remedy(self.kind, self.remedy);
        let diagnosis = match self.name {
            NameIn::Nowhere => found,
            _ => found.filled("{}", name),
        };
        Some(SaidSentence { diagnosis, name })
    }

    fn name_in<'l>(&self, line: &'l str) -> Option<&'l str> {
        match self.name {
            NameIn::Nowhere => Some(""),
            NameIn::Between(before, after) => between(line, before, after),
            NameIn::Quoted(before) => quoted_after(line, before),
            NameIn::LastWord => line.strip_suffix(self.ends)?.rsplit([' ', ':']).next(),
            NameIn::Meant(name) => Some(name),
        }
    }

    /// Whether every line that says the other says this one, too.
    #[cfg(test)]
    pub(super) fn hides(&self, other: &Self) -> bool {
        let named = self.name == other.name || matches!(self.name, NameIn::Nowhere | NameIn::Meant(_));
        let stands = |text: &&str| {
            other.begins.contains(*text)
                || other.ends.contains(*text)
                || other.has.iter().any(|has| has.contains(*text))
        };
        named && other.begins.starts_with(self.begins) && other.ends.ends_with(self.ends) && self.has.iter().all(stands)
    }

    #[cfg(test)]
    pub(super) fn words(&self) -> (&'static str, &'static [&'static str], &'static str, NameIn) {
        (self.begins, self.has, self.ends, self.name)
    }
}

/// The first sentence that the line says.
pub(super) fn find<'l>(table: &[Sentence], line: &'l str) -> Option<SaidSentence<'l>> {
    table.iter().find_map(|sentence| sentence.read(line))
}

/// The first sentence that the line says of a name that fits.
pub(super) fn find_named<'l>(
    table: &[Sentence],
    line: &'l str,
    fits: impl Fn(&str) -> bool,
) -> Option<SaidSentence<'l>> {
    table.iter().find_map(|sentence| sentence.read(line).filter(|said| fits(said.name)))
}

/// What the first sentence that the line says means.
pub(super) fn meaning(table: &[Sentence], line: &str) -> Option<LineDiagnosis> {
    find(table, line).map(|said| said.diagnosis)
}

/// What stands between two texts of the line; up to its end where the second is empty.
pub(crate) fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &line[line.find(before)? + before.len()..];
    let end = if after.is_empty() { rest.len() } else { rest.find(after)? };
    Some(&rest[..end]).filter(|found| !found.is_empty())
}

/// What stands in quotes, of whatever form, behind a text.
pub(crate) fn quoted_after<'a>(line: &'a str, before: &str) -> Option<&'a str> {
    let rest = &line[line.find(before)? + before.len()..];
    let open = rest.chars().next()?;
    let close = match open {
        '\'' | '"' | '`' => open,
        '‘' => '’',
        _ => return None,
    };
    let rest = &rest[open.len_utf8()..];
    Some(&rest[..rest.find(close)?]).filter(|found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::{DEFAULT_REMEDY, hint};
    use super::*;

    #[test]
    fn names_are_taken_from_where_they_stand_and_nothing_is_said_without_them() {
        let kind = FailureKind::HostToolMissing;
        let name = |sentence: Sentence, line: &'static str| sentence.read(line).map(|said| said.name);
        let quoted = || says(&[" in PATH"], kind, DEFAULT_REMEDY).naming(NameIn::Quoted("Did not find "));
        assert_eq!(name(quoted(), "Did not find 'x' in PATH: []"), Some("x"));
        assert_eq!(name(quoted(), "Did not find ‘x’ in PATH"), Some("x"));
        assert_eq!(name(quoted(), "Did not find x in PATH"), None);
        assert_eq!(name(quoted(), "Did not find 'x'"), None);
        let shell = || says(&[], kind, DEFAULT_REMEDY).ending(": not found").naming(NameIn::LastWord);
        assert_eq!(name(shell(), "sh: 1: x: not found"), Some("x"));
        assert_eq!(name(shell(), "x: not found."), None);
        let between = || begins("cannot run ", kind, DEFAULT_REMEDY).naming(NameIn::Between("run ", ":"));
        assert_eq!(name(between(), "cannot run x: no"), Some("x"));
        assert_eq!(name(between(), "it cannot run x: no"), None);
    }

    #[test]
    fn what_a_line_says_fills_no_more_than_the_name_s_place() {
        let sentence = says(&[], FailureKind::Usage, hint("say `{}`, not `{}`")).naming(NameIn::Quoted("x "));
        assert_eq!(sentence.read("x '{}{}'").unwrap().diagnosis.hint, "say `{}{}`, not `{}{}`");
    }
}
