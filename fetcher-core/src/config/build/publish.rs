//! Building what is configured for publishing.

use super::super::publish::{
    CommitFormat, ElementGroup, ForgeKind, GitHubApp, HumanCommitPolicy, PublishConfig, PublishMode, PublishSelection,
    RequestScope,
};
use super::super::value::{ConfigNode, ConfigTable};
use super::{flag, number, path, text, texts, time};

pub(super) fn publish(fields: &ConfigTable) -> Option<PublishConfig> {
    let mode = mode(&text(fields, "mode")?)?;
    let per = match text(fields, "per")?.as_str() {
        "bundle" => RequestScope::Bundle,
        "element" => RequestScope::Element,
        "group" => RequestScope::Group,
        _ => return None,
    };
    Some(PublishConfig {
        mode,
        per,
        forge: forge(&text(fields, "forge")?)?,
        api_url: text(fields, "api-url"),
        ca_file: path(fields, "ca-file"),
        push_url: text(fields, "push-url"),
        token_file: path(fields, "token-file"),
        app: fields.get("app").and_then(ConfigNode::fields).and_then(app),
        base: text(fields, "base").and_then(|base| base.parse().ok()),
        branch: text(fields, "branch").unwrap_or_else(|| per.default_branch().to_owned()),
        title: text(fields, "title").unwrap_or_default(),
        commit_subject: text(fields, "commit-subject")?,
        author: text(fields, "author"),
        signing_key: path(fields, "signing-key"),
        format: match text(fields, "format")?.as_str() {
            "minimal" => CommitFormat::Minimal,
            "bst" => CommitFormat::Bst,
            _ => return None,
        },
        assignees: texts(fields, "assignees"),
        labels: texts(fields, "labels"),
        draft: flag(fields, "draft")?,
        auto_merge: flag(fields, "auto-merge")?,
        max_open: number(fields, "max-open").and_then(|most| usize::try_from(most).ok()),
        min_age: time(fields, "min-age")?,
        schedule: text(fields, "schedule").and_then(|schedule| schedule.parse().ok()),
        squash: flag(fields, "squash")?,
        select: selection(fields.get("select")?.fields()?),
        on_human_commits: match text(fields, "on-human-commits")?.as_str() {
            "pause" => HumanCommitPolicy::Pause,
            "stack" => HumanCommitPolicy::Stack,
            "new" => HumanCommitPolicy::New,
            _ => return None,
        },
        publish_renamed: text(fields, "renamed")? == "publish",
        publish_moved: text(fields, "moved")? == "publish",
    })
}

pub(super) fn group(fields: &ConfigTable) -> Option<ElementGroup> {
    Some(ElementGroup { name: text(fields, "name")?, elements: texts(fields, "elements") })
}

fn mode(word: &str) -> Option<PublishMode> {
    match word {
        "none" => Some(PublishMode::None),
        "branch" => Some(PublishMode::Branch),
        "merge-request" => Some(PublishMode::MergeRequest),
        "commit" => Some(PublishMode::Commit),
        _ => None,
    }
}

fn forge(word: &str) -> Option<ForgeKind> {
    match word {
        "auto" => Some(ForgeKind::Auto),
        "gitlab" => Some(ForgeKind::GitLab),
        "github" => Some(ForgeKind::GitHub),
        "gitea" => Some(ForgeKind::Gitea),
        "gerrit" => Some(ForgeKind::Gerrit),
        "git" => Some(ForgeKind::Git),
        _ => None,
    }
}

fn app(fields: &ConfigTable) -> Option<GitHubApp> {
    Some(GitHubApp {
        id: number(fields, "id")?,
        installation: number(fields, "installation")?,
        private_key: path(fields, "private-key")?,
    })
}

fn selection(fields: &ConfigTable) -> PublishSelection {
    let of = |name| texts(fields, name);
    PublishSelection { urls: of("urls"), kinds: of("kinds"), elements: of("elements") }
}
