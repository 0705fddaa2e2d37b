//! Which forge a project's requests go to.

use std::sync::Arc;

use super::gerrit::Gerrit;
use super::gitea_agit::GiteaAgit;
use super::gitlab_push::GitLabPush;
use super::{Forge, ForgeError, ForgeErrorKind, NoForge};
use crate::address::AddressParts;
use crate::config::{ForgeKind, ProjectConfig, PublishMode};
use crate::hosting::HostingSoftware;
use crate::runner::RunContext;

/// The forge that a project's configuration means.
///
/// # Errors
/// When it is none that can be used as it is configured.
pub(crate) fn configured_forge(project: &ProjectConfig, context: RunContext<'_>) -> Result<Arc<dyn Forge>, ForgeError> {
    let publish = &project.publish;
    if publish.mode != PublishMode::MergeRequest {
        return Ok(Arc::new(NoForge));
    }
    let url = publish.push_url.as_deref().unwrap_or(&project.url);
    let kind = match publish.forge {
        ForgeKind::Auto => by_host(publish.api_url.as_deref().unwrap_or(url)),
        kind => kind,
    };
    let with_api = publish.token_file.is_some() || publish.app.is_some();
    match kind {
        ForgeKind::Git => Ok(Arc::new(NoForge)),
        ForgeKind::Gerrit => Ok(Arc::new(Gerrit)),
        ForgeKind::GitLab if !with_api => Ok(Arc::new(GitLabPush)),
        ForgeKind::Gitea if !with_api => Ok(Arc::new(GiteaAgit)),
        ForgeKind::GitHub if !with_api => {
            Err(configuration("GitHub", "a request takes a `token-file`, or an `app`; mode = \"branch\" does without"))
        }
        ForgeKind::Auto => Err(configuration(
            "the forge",
            "it cannot be told from the host's name what runs there: set `forge`, as in forge = \"gitlab\"",
        )),
        kind => with_interface(kind, project, url, context),
    }
}

fn configuration(forge: &str, message: &str) -> ForgeError {
    ForgeError { forge: forge.to_owned(), kind: ForgeErrorKind::Configuration, message: message.to_owned() }
}

#[cfg(feature = "forge")]
fn with_interface(
    kind: ForgeKind,
    project: &ProjectConfig,
    url: &str,
    context: RunContext<'_>,
) -> Result<Arc<dyn Forge>, ForgeError> {
    use super::{api::Api, gitea::Gitea, github::GitHub, gitlab::GitLab};
    let api = Api::new(kind, &project.publish, url, context)?;
    Ok(match kind {
        ForgeKind::GitLab => Arc::new(GitLab::new(api)),
        ForgeKind::GitHub => Arc::new(GitHub::new(api)),
        _ => Arc::new(Gitea::new(api)),
    })
}

#[cfg(not(feature = "forge"))]
fn with_interface(_: ForgeKind, _: &ProjectConfig, _: &str, _: RunContext<'_>) -> Result<Arc<dyn Forge>, ForgeError> {
    Err(configuration("the forge", "this program was built without the interfaces of forges (feature `forge`)"))
}

/// What runs on a host, by its name.
fn by_host(url: &str) -> ForgeKind {
    let host = AddressParts::of_repository(url).map_or("", |parts| parts.host());
    match HostingSoftware::of_host(host) {
        Some(HostingSoftware::GitHub) => ForgeKind::GitHub,
        Some(HostingSoftware::GitLab) => ForgeKind::GitLab,
        Some(HostingSoftware::Gitea) => ForgeKind::Gitea,
        Some(HostingSoftware::Gerrit) => ForgeKind::Gerrit,
        Some(HostingSoftware::Bitbucket | HostingSoftware::Cgit) | None => ForgeKind::Auto,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_is_known_by_its_hosts_name() {
        for (url, kind) in [
            ("https://gitlab.gnome.org/GNOME/gnome-build-meta.git", ForgeKind::GitLab),
            ("git@gitlab.com:freedesktop-sdk/freedesktop-sdk.git", ForgeKind::GitLab),
            ("ssh://git@github.com/o/r", ForgeKind::GitHub),
            ("https://codeberg.org:443/o/r", ForgeKind::Gitea),
            ("https://example.org/gitlab/x", ForgeKind::Auto),
            ("/srv/github.com/x", ForgeKind::Auto),
        ] {
            assert_eq!(by_host(url), kind, "{url}");
        }
    }
}
