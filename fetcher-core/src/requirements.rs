//! Lists of what pip is to install: whether they have BuildStream itself, and what they are with more in them.

/// The requirements of a `bst` where nothing is configured and the machine has none: BuildStream, its plugins and the
/// community's, with everything that those import. Both plugins' sources on git need a dulwich of 0.24.
#[cfg_attr(not(feature = "fetcher"), expect(unreachable_pub, reason = "the module of environments shows it"))]
pub const DEFAULT_REQUIREMENTS: &str = "\
buildstream==2.8.1
buildstream-plugins[cargo]==2.8.0
buildstream-plugins-community[anitya,cargo2,deb,git,httpfetcher,pypi]==2.4.0
dulwich>=0.24,<0.25
requests>=2.32,<3
tomlkit>=0.13,<1
";

/// The name of a package, without version and extras.
pub(crate) fn package(requirement: &str) -> &str {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let requirement = requirement.trim();
    &requirement[..requirement.find(|c| !part(c)).unwrap_or(requirement.len())]
}

/// The names of packages are compared so (PEP 503).
fn normalized(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

/// The lines that ask for something.
pub(crate) fn requirement_lines(text: &str) -> Vec<String> {
    let bare = |line: &str| {
        let end = if line.starts_with('#') { Some(0) } else { line.find(" #") };
        end.map_or(line, |end| &line[..end]).trim().to_owned()
    };
    text.lines().map(bare).filter(|line| !line.is_empty()).collect()
}

/// Whether the text of a requirements file installs BuildStream, or may: by a file that it includes, a path or an
/// address, which are not looked into.
pub(crate) fn may_install_buildstream(text: &str) -> bool {
    requirement_lines(text).iter().any(|line| {
        normalized(package(line)) == "buildstream"
            || line.starts_with(['-', '.', '/', '~'])
            || line.contains("://")
            || package(line).is_empty()
    })
}

/// The list with a line more; where it has the package, that line gets the extras of the new one.
pub(crate) fn with_requirement(mut lines: Vec<String>, more: &str) -> Vec<String> {
    let name = package(more);
    let known = lines.iter_mut().find(|line| normalized(package(line)) == normalized(name));
    match known {
        None => lines.push(more.to_owned()),
        Some(line) => {
            let wanted = extras(more);
            let has = extras(line);
            let missing: Vec<_> = wanted.iter().filter(|extra| !has.contains(extra)).cloned().collect();
            if !missing.is_empty() {
                let name = package(line).to_owned();
                let rest = line[name.len()..].trim_start();
                let rest =
                    rest.split_once(']').filter(|_| rest.starts_with('[')).map_or(rest, |(_, rest)| rest).to_owned();
                *line = format!("{name}[{}]{rest}", [has, missing].concat().join(","));
            }
        }
    }
    lines
}

/// The extras in a line: `a` and `b` of `x[a,b]==1`.
fn extras(line: &str) -> Vec<String> {
    let rest = line.trim_start()[package(line).len()..].trim_start();
    let inside = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or("", |(inside, _)| inside);
    inside.split(',').map(str::trim).filter(|extra| !extra.is_empty()).map(str::to_owned).collect()
}

/// The list as it is written in the configuration.
pub(crate) fn as_configured(lines: &[String]) -> String {
    // A basic string of TOML has JSON's escapes.
    let quoted: Vec<_> = lines.iter().map(|line| serde_json::Value::from(line.as_str()).to_string()).collect();
    format!("requirements = [{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_installs_buildstream_or_may() {
        assert!(may_install_buildstream("buildstream==2.8.1\nrequests\n"));
        assert!(!may_install_buildstream("requests\nbuildstream-plugins\n"));
        assert!(may_install_buildstream("-r all.txt\n"));
        assert_eq!(as_configured(&["buildstream==2.8.1".to_owned()]), r#"requirements = ["buildstream==2.8.1"]"#);
    }

    #[test]
    fn a_line_more_keeps_what_is_there() {
        let lines = || vec!["buildstream==2.8.1".to_owned(), "BuildStream_Plugins-Community[git]==2.4.0".to_owned()];
        assert_eq!(with_requirement(lines(), "aiohttp")[2], "aiohttp");
        let more = with_requirement(lines(), "buildstream-plugins-community[git,deb]");
        assert_eq!(more[1], "BuildStream_Plugins-Community[git,deb]==2.4.0");
        assert_eq!(with_requirement(lines(), "buildstream"), lines());
    }
}
