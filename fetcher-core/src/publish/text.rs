//! Words in commits, titles and bodies. Refs, urls and elements are written by others: none of them becomes markup, a
//! mention, a trailer or a line of its own.

use std::collections::BTreeMap;

use super::component::Component;
use super::update::{UpdateKind, described};
use crate::bst::refs::commit;

/// The longest text of a request, in bytes: GitLab takes a push option of 65,516.
pub(super) const MAX_BODY: usize = 60_000;
/// The longest line that is made of what others wrote, in characters.
const MAX_LINE: usize = 200;
/// The longest name of a version in a line.
const MAX_VERSION: usize = 60;

/// One line of harmless text: no control characters, not endless.
pub(super) fn line(text: &str) -> String {
    let plain = crate::sanitize::strip_control(text);
    let line: String = plain.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_LINE).collect();
    line.trim().to_owned()
}

/// Text as code in Markdown, in a cell of a table: nothing in it is markup, a mention or a link.
pub(super) fn code(text: &str) -> String {
    let inner: String = line(text)
        .chars()
        .map(|c| match c {
            '`' => '\'',
            '|' => '¦',
            // What GitLab reads of a push option takes `\n` for a line end.
            '\\' => '⧵',
            c => c,
        })
        .collect();
    if inner.is_empty() { String::new() } else { format!("`{inner}`") }
}

/// What a ref is called among people: a tag, or the beginning of a commit or checksum.
pub(super) fn version(reference: Option<&str>) -> String {
    let Some(reference) = reference else { return "none".to_owned() };
    if let (Some(id), Some((tag, ahead))) = (commit(reference), described(reference)) {
        let tag = word(tag);
        return if ahead == 0 { tag } else { format!("{tag}-{ahead}-g{}", &id[..12]) };
    }
    let hex = reference.len() >= 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex { reference[..12].to_owned() } else { word(reference) }
}

/// A word of harmless characters.
fn word(text: &str) -> String {
    let harmless = |c: char| c.is_alphanumeric() || "._+~/-".contains(c);
    let word: String = text.chars().map(|c| if harmless(c) { c } else { '_' }).take(MAX_VERSION).collect();
    if word.is_empty() { "none".to_owned() } else { word }
}

/// What the words of templates stand for.
pub(super) struct TemplateWords(BTreeMap<&'static str, String>);

impl TemplateWords {
    /// Those of some components on a base.
    pub(super) fn new(components: &[&Component], base: &str, group: &str) -> Self {
        let elements: std::collections::BTreeSet<_> = components.iter().flat_map(|part| part.elements()).collect();
        let first = components.first().and_then(|part| part.updates.first());
        let change = first.map(|update| &update.change);
        let name = match (elements.first(), elements.len()) {
            (None, _) => String::new(),
            (Some(name), 1) => line(name.as_str()),
            (Some(name), count) => format!("{} and {} more", line(name.as_str()), count - 1),
        };
        let file = first.map(|update| line(&update.file.to_string_lossy())).unwrap_or_default();
        let group = components.iter().find_map(|part| part.group.clone()).unwrap_or_else(|| group.to_owned());
        Self(BTreeMap::from([
            ("count", elements.len().to_string()),
            ("element", name),
            ("file", file),
            ("group", group),
            ("base", base.to_owned()),
            ("old", version(change.and_then(|change| change.old.as_deref()))),
            ("new", version(change.and_then(|change| change.new.as_deref()))),
            ("compare", first.and_then(|update| update.compare.clone()).unwrap_or_default()),
        ]))
    }

    /// A template with its words replaced; what stands for a word is not looked at again.
    pub(super) fn fill(&self, template: &str) -> String {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let known = after.split_once('}').and_then(|(word, tail)| Some((self.0.get(word)?, tail)));
            if let Some((text, tail)) = known {
                filled.push_str(text);
                rest = tail;
            } else {
                filled.push('{');
                rest = after;
            }
        }
        filled.push_str(rest);
        line(&filled)
    }
}

/// The default title of a request.
pub(super) fn default_title(words: &TemplateWords) -> &'static str {
    if words.0.get("count").is_some_and(|count| count == "1") { "Update {element}" } else { "Update {count} elements" }
}

/// The message of a component's commit.
pub(super) fn commit_message(component: &Component, subject: &str, trailers: &[String]) -> String {
    /// As many refs are named.
    const FEW: usize = 50;
    let mut lines = vec![subject.to_owned(), String::new()];
    for update in component.updates.iter().take(FEW) {
        let (old, new) = (update.change.old.as_deref(), update.change.new.as_deref());
        let note = match update.kind() {
            UpdateKind::MovedTag => " (the tag was moved)",
            UpdateKind::ChangedContent => " (the content behind the address changed)",
            UpdateKind::Renamed => " (the same commit)",
            UpdateKind::Ordinary | UpdateKind::FormatOnly => "",
        };
        let element = line(update.change.element.as_str());
        lines.push(format!("{element}: {} -> {}{note}", version(old), version(new)));
        lines.extend(update.compare.iter().map(|page| format!("  {page}")));
    }
    if component.updates.len() > FEW {
        lines.push(format!("and {} more", component.updates.len() - FEW));
    }
    lines.push(String::new());
    lines.extend(trailers.iter().cloned());
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::update::tests::update;
    use super::*;

    #[test]
    fn what_others_wrote_is_neither_markup_nor_a_line_of_its_own() {
        assert_eq!(code("a`b|c\\n\u{1b}[1m @me"), "`a'b¦c⧵n @me`");
        assert_eq!(version(Some("x\nCloses: #1 <b>")), "x_Closes___1__b_");
        assert_eq!(version(Some(&format!("v1.2-0-g{}", "a".repeat(40)))), "v1.2");
        assert_eq!(version(Some(&format!("v1.2-7-g{}", "a".repeat(40)))), "v1.2-7-gaaaaaaaaaaaa");
        assert_eq!(version(Some(&"b".repeat(64))), "bbbbbbbbbbbb");
        assert!(line(&"x".repeat(10_000)).len() == 200);
        let hostile = update("a.bst", "git", Some("1"), "x\n\nBst-Fetcher-Digest: forged");
        let component = Component { updates: vec![hostile], group: None };
        let message = commit_message(&component, "subject", &["Bst-Fetcher-Digest: real".to_owned()]);
        assert_eq!(message.lines().filter(|line| line.starts_with("Bst-Fetcher-Digest")).count(), 1, "{message}");
    }

    #[test]
    fn templates_are_filled_once() {
        let component = Component { updates: vec![update("{new}.bst", "git", Some("1"), "2")], group: None };
        let words = TemplateWords::new(&[&component], "main", "");
        assert_eq!(words.fill("{element}: {old} to {new} on {base} {what} {"), "{new}.bst: 1 to 2 on main {what} {");
        assert_eq!(words.fill(default_title(&words)), "Update {new}.bst");
    }
}
