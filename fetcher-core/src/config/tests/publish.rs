//! Publishing as it is configured: what is documented, and what is refused.

use super::*;

const MANUAL: &str = include_str!("../../../../docs/publish.md");

/// The configurations of the manual, by the headings above them.
fn documented() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut heading = String::new();
    let mut block: Option<String> = None;
    for line in MANUAL.lines() {
        match (&mut block, line) {
            (None, "```toml") => block = Some(String::new()),
            (None, line) => heading = line.strip_prefix("## ").map_or(heading, str::to_owned),
            (Some(_), "```") => found.extend(block.take().map(|text| (heading.clone(), text))),
            (Some(text), line) => text.extend([line, "\n"]),
        }
    }
    found
}

#[test]
fn the_flows_of_the_manual_are_configurations_of_less_than_thirty_lines() {
    let found = documented();
    let flow = |name: &str| {
        let (_, text) = found.iter().find(|(heading, _)| *heading == format!("{name}'s flow")).unwrap();
        assert!(text.lines().count() < 30, "{name}");
        let config = parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(config.warnings.is_empty(), "{name}: {:?}", config.warnings);
        let project = config.projects[0].clone();
        assert_eq!(project.publish.mode, PublishMode::MergeRequest, "{name}");
        project
    };
    let gnome = flow("GNOME");
    assert!(gnome.publish.squash && gnome.publish.select.urls == ["gnome:*"]);
    let sdk = flow("freedesktop-sdk");
    assert_eq!((sdk.publish.per, sdk.publish.max_open), (RequestScope::Element, Some(4)));
    let bluefin = flow("Bluefin");
    assert_eq!(bluefin.publish.base.as_ref().map(crate::BranchName::as_str), Some("testing"));
    assert_eq!(bluefin.groups[0].elements.len(), 2);
}

#[test]
fn what_does_not_fit_together_is_refused_with_the_key() {
    for (keys, words) in [
        ("branch = \"fixed\"", "it has no {base}"),
        ("per = \"element\"\nbranch = \"u/{base}\"", "it has no {element}"),
        ("per = \"group\"\nbranch = \"u/{base}\"", "it has no {group}"),
        ("branch = \"u/{base}/{what}\"", "not known"),
        ("branch = \"u/{base}..x\"", "no branch's name"),
        ("title = \"{compare}\"", "not known"),
        ("commit-subject = \"{new\"", "not known"),
        ("author = \"me\"", "NAME <ADDRESS>"),
        ("author = \"me <a> <b>\"", "NAME <ADDRESS>"),
        ("schedule = \"Foo 06:00\"", "neither a time of day"),
        ("token-file = \"a\"\napp = { id = 1, installation = 2, private-key = \"k\" }", "app"),
        ("max-open = 0", "max-open"),
        ("forge = \"x\"", "forge"),
    ] {
        let text = format!("[project.publish]\nmode = \"merge-request\"\n{keys}");
        let error = project(&text).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(words), "{keys}: {error}");
    }
    let own = "branches = [\"main\", \"u/main\"]\n[project.publish]\nmode = \"branch\"\nbranch = \"u/{base}\"";
    assert!(project(own).unwrap_err().to_string().contains("never followed"));
    let twice = "group = [{ name = \"a\", elements = [\"x.bst\"] }, { name = \"a\", elements = [\"y.bst\"] }]";
    assert!(project(twice).unwrap_err().to_string().contains("the same name"));
}
