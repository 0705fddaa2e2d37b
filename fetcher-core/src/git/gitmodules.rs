//! Reading `.gitmodules`, a file that a hostile project may have written: nothing in it is run, and of its keys only
//! `path`, `url` and `update = none` count. `branch`, `shallow`, `ignore`, `fetchRecurseSubmodules` and every
//! `update = !command` do not: a submodule is at the commit that its superproject names.

/// One submodule of a `.gitmodules`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Module {
    /// The name, which its git directory is called after.
    pub(super) name: String,
    /// Where it is in the working tree.
    pub(super) path: String,
    /// Where it comes from.
    pub(super) url: String,
    /// Whether `update = none` says to leave it out.
    pub(super) left_out: bool,
}

/// The submodules that a `.gitmodules` describes. Lines that make no sense are passed over.
pub(super) fn parse(text: &str) -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    let mut current = None;
    let joined = text.replace("\\\r\n", "").replace("\\\n", "");
    for line in joined.lines().map(str::trim) {
        if line.starts_with('[') {
            current = section(line).map(|name| {
                modules.iter().position(|module| module.name == name).unwrap_or_else(|| {
                    modules.push(Module { name, ..Module::default() });
                    modules.len() - 1
                })
            });
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
    modules
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
        let module = |name: &str, path: &str, url: &str, left_out| Module {
            name: name.into(),
            path: path.into(),
            url: url.into(),
            left_out,
        };
        let expected = [module("a \"b", "lib/a;b", "../a.git", false), module("c", "c", "https://h/c", true)];
        assert_eq!(parse(text), expected);
        assert!(!parse("[submodule \"x\"]\nupdate = !rm -rf /\n")[0].left_out);
    }

    #[test]
    fn names_stay_below_their_directory() {
        assert!(is_safe_name("lib/a"));
        for bad in ["", "..", "a/../b", "/a", "a//b", "a/", "."] {
            assert!(!is_safe_name(bad), "{bad:?}");
        }
    }
}
