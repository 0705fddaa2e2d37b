//! Pages of forges that show what lies between two refs.

use super::refs::{RefChange, commit};
use crate::address::AddressParts;
use crate::hosting::HostingSoftware;

impl RefChange {
    /// The page that compares the commits before and after, where the source's url is of a host that is known to have
    /// such pages. It is made of the url's host and path and of two commit ids, and of nothing else that the project
    /// wrote.
    pub fn compare_url(&self) -> Option<String> {
        let (old, new) = (commit(self.old.as_deref()?)?, commit(self.new.as_deref()?)?);
        let (host, path) = host_and_path(self.url.as_deref()?)?;
        let range = match HostingSoftware::of_host(&host)? {
            HostingSoftware::GitHub | HostingSoftware::Gitea => format!("compare/{old}...{new}"),
            HostingSoftware::GitLab => format!("-/compare/{old}...{new}"),
            HostingSoftware::Bitbucket => format!("branches/compare/{new}..{old}"),
            HostingSoftware::Cgit => format!("log/?id={new}&qt=range&q={old}..{new}"),
            // Changes of Gerrit have pages, ranges have none.
            HostingSoftware::Gerrit => return None,
        };
        Some(format!("https://{host}/{path}/{range}"))
    }
}

/// The host of a git url in lower case and the repository's path, both of harmless characters alone.
fn host_and_path(url: &str) -> Option<(String, &str)> {
    let parts = AddressParts::of_repository(url)?;
    let known = match parts.scheme {
        Some(scheme) => ["https", "http", "git", "ssh", "git+ssh"].contains(&scheme),
        // `git@host:path`; without a user it is rather an alias of the project's.
        None => parts.user_info.is_some(),
    };
    let (host, path) = (parts.host().to_ascii_lowercase(), parts.rest.trim_matches('/'));
    let path = path.strip_suffix(".git").unwrap_or(path);
    let plain = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let parts = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    (known && plain(&host, ".-") && plain(path, "._~+-/") && parts).then_some((host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(url: &str, old: &str, new: &str) -> Option<String> {
        let change = RefChange::new("a.bst".parse().unwrap(), 0, Some(old.to_owned()), Some(new.to_owned()));
        RefChange { url: Some(url.to_owned()), ..change }.compare_url()
    }

    #[test]
    fn known_forges_have_pages_and_nobody_else() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let described = format!("v1.0-2-g{b}");
        for (url, expected) in [
            ("https://github.com/o/r.git", Some(format!("https://github.com/o/r/compare/{a}...{b}"))),
            ("git@GitHub.com:o/r.git", Some(format!("https://github.com/o/r/compare/{a}...{b}"))),
            (
                "https://u:p@gitlab.gnome.org:443/GNOME/glib",
                Some(format!("https://gitlab.gnome.org/GNOME/glib/-/compare/{a}...{b}")),
            ),
            ("ssh://git@codeberg.org/o/r/", Some(format!("https://codeberg.org/o/r/compare/{a}...{b}"))),
            ("https://example.org/o/r.git", None),
            ("https://github.com/o/r?x=<script>", None),
            ("https://github.com/../r", None),
            ("file:///github.com/o/r", None),
            ("up:github.com/o/r", None),
        ] {
            assert_eq!(page(url, &a, &described), expected, "{url}");
        }
        assert_eq!(page("https://github.com/o/r", "1.0", "1.1"), None);
    }
}
