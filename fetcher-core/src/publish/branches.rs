//! What the branches that are pushed are called.

use super::PublicationError;
use crate::names::{BranchName, digest};

/// The branch of a unit by a template.
pub(super) fn branch_name(template: &str, base: &BranchName, unit: &str) -> Result<BranchName, PublicationError> {
    let part = branch_part(unit);
    let name = template.replace("{base}", base.as_str()).replace("{element}", &part).replace("{group}", &part);
    name.parse().map_err(|error: crate::names::NameError| PublicationError::Internal(error.to_string()))
}

/// The same beside one on which somebody else works.
pub(super) fn numbered(branch: &BranchName, number: usize) -> Result<BranchName, PublicationError> {
    let name = format!("{branch}+{number}");
    name.parse().map_err(|error: crate::names::NameError| PublicationError::Internal(error.to_string()))
}

/// A name as part of a branch's: what git does not allow there is replaced, and then a digest keeps names apart.
fn branch_part(name: &str) -> String {
    const LONGEST: usize = 120;
    let harmless = |c: char| c.is_ascii_alphanumeric() || "._-/+".contains(c);
    let mut part: String = name.chars().map(|c| if harmless(c) { c } else { '-' }).take(LONGEST).collect();
    while part.contains("..") || part.contains("//") || part.contains("/.") {
        part = part.replace("..", "-").replace("//", "/").replace("/.", "/-");
    }
    let trimmed = part.trim_matches(['/', '.', '-']);
    let part = trimmed.strip_suffix(".lock").unwrap_or(trimmed).to_owned();
    if part == name { part } else { format!("{part}-{}", &digest(name.as_bytes())[..8]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_has_a_branch_of_its_own() {
        let base: BranchName = "main".parse().unwrap();
        let name = |unit: &str| branch_name("u/{base}/{element}", &base, unit).unwrap().to_string();
        assert_eq!(name("core/glib.bst"), "u/main/core/glib.bst");
        for hostile in
            ["a..b.bst", "../x", "a:b.bst", "x.lock", "~^: \\?*[@{", "a//b", "/x", "ä.bst", ".hidden", "a/.b"]
        {
            assert!(name(hostile).starts_with("u/main/"), "{hostile}");
        }
        assert_ne!(name("a:b.bst"), name("a-b.bst"));
    }
}
