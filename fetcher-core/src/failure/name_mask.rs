//! Names are no words: an element called `bubblewrap.bst` says nothing about bubblewrap.

/// Endings of files' names that stand alone in messages.
const ENDINGS: [&str; 34] = [
    "bz2", "cfg", "conf", "crate", "deb", "diff", "gz", "h", "idx", "img", "in", "json", "lock", "log", "lz", "md",
    "mod", "pack", "patch", "po", "pot", "py", "rpm", "rs", "sh", "so", "tar", "tgz", "toml", "txt", "whl", "xz",
    "yaml", "yml",
];

/// The line in lower case, with marks in place of addresses, elements' names, paths and files' names.
pub(crate) fn without_names(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    for (at, word) in line.split(' ').enumerate() {
        if at > 0 {
            masked.push(' ');
        }
        let outside =
            |c: char| matches!(c, '\'' | '"' | '`' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | '!' | '?');
        let name = word.trim_matches(outside).trim_end_matches([':', '.']).trim_matches(outside);
        match mark(name, word) {
            Some(mark) => {
                let begin = word.find(name).unwrap_or_default();
                masked.push_str(&word[..begin]);
                masked.push_str(mark);
                masked.push_str(&word[begin + name.len()..]);
            }
            None => masked.extend(word.chars().map(|c| c.to_ascii_lowercase())),
        }
    }
    masked
}

/// What stands for the name, where it is one.
fn mark(name: &str, word: &str) -> Option<&'static str> {
    if name.contains("://") {
        return Some("<url>");
    }
    if name.strip_suffix(".bst").is_some() || name.contains(".bst:") {
        return Some("<element>");
    }
    if name.strip_suffix(".lock").is_some() {
        return Some("<path>.lock");
    }
    if let Some(reference) = name.strip_prefix("refs/").filter(|rest| rest.contains('/')) {
        return Some(if reference.starts_with("tags/") { "refs/tags/<ref>" } else { "refs/heads/<ref>" });
    }
    if is_path(name) {
        return Some("<path>");
    }
    let (stem, ending) = name.rsplit_once('.')?;
    let is_file = !stem.is_empty() && ENDINGS.contains(&ending);
    let quoted =
        word.starts_with(['\'', '"', '`']) && word.trim_end_matches([':', ',', '.']).ends_with(['\'', '"', '`']);
    (is_file || (quoted && name.contains('-') && name.contains('.'))).then_some("<file>")
}

/// Whether it is a path: an absolute one, or one that no two words beside a stroke look like (`SSL/TLS`, `HTTP/2`).
fn is_path(name: &str) -> bool {
    const WORDS: [&str; 6] = ["and/or", "i/o", "input/output", "read/write", "tcp/ip", "n/a"];
    if !name.contains('/') || name.starts_with("HTTP/") || name.starts_with("http/") || WORDS.contains(&name) {
        return false;
    }
    (name.starts_with('/') && name.len() > 1)
        || name.starts_with("./")
        || name.starts_with("../")
        || name.starts_with("~/")
        || name.matches('/').count() > 1
        || name.contains(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | '@'))
        || !name.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_masked_and_words_are_kept() {
        for (line, masked) in [
            ("git source at bubblewrap.bst [line 3 column 2]: X", "git source at <element> [line 3 column 2]: x"),
            ("Error mirroring https://h/timeout.tar: timed out", "error mirroring <url>: timed out"),
            ("fatal: unable to access 'https://h/429/': x", "fatal: unable to access '<url>': x"),
            ("Specified path 'files/bubblewrap' does not exist", "specified path '<path>' does not exist"),
            ("SSL/TLS handshake failed over HTTP/2", "ssl/tls handshake failed over http/2"),
            ("Unable to create '/x/index.lock': File exists.", "unable to create '<path>.lock': file exists."),
            ("fatal: bad object refs/heads/disk-full", "fatal: bad object refs/heads/<ref>"),
            ("Failed to apply patch enospc.patch", "failed to apply patch <file>"),
            ("a ref and/or track: i/o timeout", "a ref and/or track: i/o timeout"),
            ("no name  here", "no name  here"),
        ] {
            assert_eq!(without_names(line), masked);
        }
    }
}
