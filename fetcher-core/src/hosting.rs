//! What runs on a host of git repositories, told by the host's name: the public ones, and those that say it in their name.

/// Software that hosts git repositories and has pages for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostingSoftware {
    GitHub,
    GitLab,
    /// Gitea and Forgejo.
    Gitea,
    Gerrit,
    Bitbucket,
    Cgit,
}

impl HostingSoftware {
    /// What runs on a host, whose name has no port; none where the name does not say.
    pub(crate) fn of_host(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        let label = |names: &[&str]| host.split('.').any(|label| names.contains(&label));
        Some(match host.as_str() {
            "github.com" | "api.github.com" => Self::GitHub,
            "salsa.debian.org" | "code.videolan.org" | "invent.kde.org" => Self::GitLab,
            "codeberg.org" | "gitea.com" => Self::Gitea,
            "bitbucket.org" => Self::Bitbucket,
            "git.kernel.org" | "git.zx2c4.com" => Self::Cgit,
            _ if label(&["gitlab"]) => Self::GitLab,
            _ if label(&["gitea", "forgejo"]) => Self::Gitea,
            _ if label(&["gerrit", "review"]) => Self::Gerrit,
            _ if label(&["github"]) => Self::GitHub,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_it_by_a_whole_label_alone() {
        for (host, software) in [
            ("gitlab.gnome.org", Some(HostingSoftware::GitLab)),
            ("GitLab.example.org", Some(HostingSoftware::GitLab)),
            ("github.com", Some(HostingSoftware::GitHub)),
            ("github.example.org", Some(HostingSoftware::GitHub)),
            ("codeberg.org", Some(HostingSoftware::Gitea)),
            ("review.example.org", Some(HostingSoftware::Gerrit)),
            ("git.kernel.org", Some(HostingSoftware::Cgit)),
            ("notgitlab.example.org", None),
            ("example.org", None),
            ("", None),
        ] {
            assert_eq!(HostingSoftware::of_host(host), software, "{host}");
        }
    }
}
