//! Reading `.gitmodules`, a file that a hostile project may have written: nothing in it is run, and of its keys only
//! `path`, `url` and `update = none` count. `branch`, `shallow`, `ignore`, `fetchRecurseSubmodules` and every
//! `update = !command` do not: a submodule is at the commit that its superproject names.

use std::collections::HashMap;

/// One submodule of a `.gitmodules`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SubmoduleEntry {
    /// The name, which its git directory is called after.
    pub(super) name: String,
    /// Where it is in the working tree.
    pub(super) path: String,
    /// Where it comes from.
    pub(super) url: String,
    /// Whether `update = none` says to leave it out.
    pub(super) left_out: bool,
}

/// The most bytes of a `.gitmodules`.
pub(super) const MAX_BYTES: u64 = 4 << 20;
/// The most submodules that one may describe.
const MAX_MODULES: usize = 10_000;

/// The submodules that a `.gitmodules` describes. Lines that make no sense are passed over.
///
/// # Errors
/// The limit that it breaks.
pub(super) fn parse(text: &str) -> Result<Vec<SubmoduleEntry>, String> {
    let mut modules: Vec<SubmoduleEntry> = Vec::new();
    let mut known = HashMap::new();
    let mut current = None;
    let joined = text.replace("\\\r\n", "").replace("\\\n", "");
    for line in joined.lines().map(str::trim) {
        if line.starts_with('[') {
            current = section(line).map(|name| {
                *known.entry(name).or_insert_with_key(|name| {
                    modules.push(SubmoduleEntry { name: name.clone(), ..SubmoduleEntry::default() });
                    modules.len() - 1
                })
            });
            if modules.len() > MAX_MODULES {
                return Err(format!("it describes more than {MAX_MODULES} submodules"));
            }
        } else if let (Some(at), Some((key, value))) = (current, line.split_once('=')) {
            let (module, value) = (&mut modules[at], unquote(value.trim()));
            match key.trim().to_ascii_lowercase().as_str() {
                "path" => value.trim_end_matches('/').clone_into(&mut module.path),
                "url" => module.url = value,
                "update" => module.left_out = value == "none",
                _ => (),
            }
        }
    }
    Ok(modules)
}

/// The name in `[submodule "name"]`.
fn section(line: &str) -> Option<String> {
    let inner = line.strip_prefix('[')?;
    let (kind, rest) = inner.split_once('"')?;
    if !kind.trim().eq_ignore_ascii_case("submodule") {
        return None;
    }
    let (mut name, mut characters) = (String::new(), rest.chars());
    loop {
        match characters.next()? {
            '"' => return Some(name),
            '\\' => name.push(characters.next()?),
            other => name.push(other),
        }
    }
}

/// A value without its quotes, escapes and comment.
fn unquote(text: &str) -> String {
    let (mut value, mut quoted, mut kept) = (String::new(), false, 0);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '#' | ';' if !quoted => break,
            '\\' => value.extend(characters.next().map(|escaped| match escaped {
                'n' => '\n',
                't' => '\t',
                other => other,
            })),
            other => value.push(other),
        }
        if quoted || !character.is_whitespace() {
            kept = value.len();
        }
    }
    value.truncate(kept);
    value
}

/// Whether a name may be a path below a git directory; git's own rule forbids `..`.
pub(super) fn is_safe_name(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    name.len() < 200 && !name.chars().any(|c| c.is_control() || c == '\\') && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_writes_and_what_people_write_is_read() {
        let text = "# x\n[submodule \"a \\\"b\"]\n\tpath = \"lib/a;b\" ; c\n\turl=../a.git # d\n[core]\n\turl = no\n\
            [Submodule \"c\"]\n  PATH = c/ \n  url = \\\n https://h/c\n  update = none\n[submodule \"c\"]\nbranch = x\n";
        let module = |name: &str, path: &str, url: &str, left_out| SubmoduleEntry {
            name: name.into(),
            path: path.into(),
            url: url.into(),
            left_out,
        };
        let expected = [module("a \"b", "lib/a;b", "../a.git", false), module("c", "c", "https://h/c", true)];
        assert_eq!(parse(text).unwrap(), expected);
        assert!(!parse("[submodule \"x\"]\nupdate = !rm -rf /\n").unwrap()[0].left_out);
    }

    #[test]
    fn there_is_a_limit_to_how_many_there_may_be() {
        let section = |at: usize| format!("[submodule \"{at}\"]\n path = p\n");
        let sections = |count: usize| (0..count).map(section).collect::<Vec<_>>().concat();
        assert_eq!(parse(&sections(MAX_MODULES)).unwrap().len(), MAX_MODULES);
        assert!(parse(&sections(MAX_MODULES + 1)).unwrap_err().contains("more than 10000 submodules"));
        assert_eq!(parse(&"[submodule \"a\"]\n".repeat(100_000)).unwrap().len(), 1);
    }

    #[test]
    fn names_stay_below_their_directory() {
        assert!(is_safe_name("lib/a"));
        for bad in ["", "..", "a/../b", "/a", "a//b", "a/", "."] {
            assert!(!is_safe_name(bad), "{bad:?}");
        }
    }
}
