//! Building what is configured for projects.

use crate::git::GitAccess;
use crate::names::Refs;
use crate::runner::{SandboxMode, SandboxOptions, UpstreamCredentials};
use std::path::{Path, PathBuf};

use super::super::value::{ConfigNode, ConfigTable, ConfigValue};
use super::super::{
    AllowFailure, BuildStreamConfig, BuildStreamTool, DependencyScope, HoldConfig, OnError, ProjectConfig, PushMode,
    SelectConfig, SourceCacheConfig, VariantConfig,
};
use super::{all, date, flag, json_map, number, path, probe_mode, publish, text, text_map, texts, time, value};

pub(super) fn project(fields: &ConfigTable, place: &Path) -> Option<ProjectConfig> {
    Some(ProjectConfig {
        name: text(fields, "name")?.parse().ok()?,
        trust: match text(fields, "trust") {
            Some(name) => Some(name.parse().ok()?),
            None => None,
        },
        url: text(fields, "url")?,
        branches: texts(fields, "branches"),
        exclude_branches: texts(fields, "exclude-branches"),
        directory: path(fields, "directory")?,
        targets: texts(fields, "targets"),
        deps: match text(fields, "deps")?.as_str() {
            "none" => DependencyScope::None,
            "build" => DependencyScope::Build,
            "run" => DependencyScope::Run,
            "all" => DependencyScope::All,
            _ => return None,
        },
        except: texts(fields, "except"),
        cross_junctions: flag(fields, "cross-junctions")?,
        options: text_map(fields, "options"),
        variants: all(fields, "variants", variant)?,
        submodules: flag(fields, "submodules")?,
        prepare: texts(fields, "prepare"),
        select: select(fields.get("select")?.fields()?),
        holds: all(fields, "hold", hold)?,
        refs: texts(fields, "refs").iter().map(|word| refs(word)).collect::<Option<_>>()?,
        track: flag(fields, "track")?,
        fetch: flag(fields, "fetch")?,
        push: match value(fields, "push")? {
            ConfigValue::Bool(true) => PushMode::Always,
            ConfigValue::Bool(false) => PushMode::Never,
            _ => PushMode::Auto,
        },
        verify: flag(fields, "verify")?,
        timeout: time(fields, "timeout")?,
        retries: u32::try_from(number(fields, "retries")?).ok()?,
        retry_delay: time(fields, "retry-delay")?,
        on_error: match text(fields, "on-error")?.as_str() {
            "continue" => OnError::Continue,
            "quit" => OnError::Quit,
            "terminate" => OnError::Terminate,
            _ => return None,
        },
        allow_failure: allow_failure(fields.get("allow-failure")?)?,
        probe: text(fields, "probe").and_then(|word| probe_mode(&word)),
        git: git(fields.get("git")?.fields()?),
        source_caches: all(fields, "source-caches", source_cache)?,
        buildstream: buildstream(fields.get("buildstream")?.fields()?, place)?,
        publish: publish::publish(fields.get("publish")?.fields()?)?,
        groups: all(fields, "group", publish::group)?,
        sandbox: sandbox(fields.get("sandbox")?.fields()?)?,
        credentials: credentials(fields.get("credentials")?.fields()?),
    })
}

fn sandbox(fields: &ConfigTable) -> Option<SandboxOptions> {
    let size = |name| if let Some(ConfigValue::Size(bytes, _)) = value(fields, name) { *bytes } else { 0 };
    Some(SandboxOptions {
        mode: match text(fields, "mode").as_deref() {
            None | Some("auto") => SandboxMode::Auto,
            Some("required") => SandboxMode::Required,
            Some("off") => SandboxMode::Off,
            Some(_) => return None,
        },
        read: paths(fields, "read"),
        write: paths(fields, "write"),
        max_processes: number(fields, "max-processes").unwrap_or_default(),
        max_file_size: size("max-file-size"),
        max_memory: size("max-memory"),
    })
}

fn paths(fields: &ConfigTable, name: &str) -> Vec<PathBuf> {
    let Some(ConfigValue::List(nodes)) = value(fields, name) else { return Vec::new() };
    let path = |node: &ConfigNode| if let ConfigValue::Path(path) = &node.value { Some(path.clone()) } else { None };
    nodes.iter().filter_map(path).collect()
}

fn credentials(fields: &ConfigTable) -> UpstreamCredentials {
    UpstreamCredentials {
        netrc: path(fields, "netrc"),
        ssh_key: path(fields, "ssh-key"),
        known_hosts: path(fields, "known-hosts"),
        git_config: path(fields, "git-config"),
    }
}

fn refs(word: &str) -> Option<Refs> {
    match word {
        "committed" => Some(Refs::Committed),
        "tracked" => Some(Refs::Tracked),
        _ => None,
    }
}

fn variant(fields: &ConfigTable) -> Option<VariantConfig> {
    Some(VariantConfig { name: text(fields, "name")?.parse().ok()?, options: text_map(fields, "options") })
}

fn select(fields: &ConfigTable) -> SelectConfig {
    let [urls, kinds, elements] = ["urls", "kinds", "elements"].map(|name| texts(fields, name));
    SelectConfig { urls, kinds, elements }
}

fn hold(fields: &ConfigTable) -> Option<HoldConfig> {
    let (element, reason) = (text(fields, "element")?, text(fields, "reason")?);
    Some(HoldConfig { element, reason, until: date(fields, "until") })
}

fn allow_failure(node: &ConfigNode) -> Option<AllowFailure> {
    match &node.value {
        ConfigValue::Bool(project) => Some(AllowFailure { project: *project, ..AllowFailure::default() }),
        ConfigValue::Table(fields) => Some(AllowFailure {
            project: false,
            variants: texts(fields, "variants").iter().map(|name| name.parse().ok()).collect::<Option<_>>()?,
            elements: texts(fields, "elements"),
        }),
        _ => None,
    }
}

fn git(fields: &ConfigTable) -> GitAccess {
    GitAccess {
        ssh_key: path(fields, "ssh-key"),
        known_hosts: path(fields, "known-hosts"),
        token_file: path(fields, "token-file"),
        username: text(fields, "username"),
        credentials_for: texts(fields, "credentials-for"),
    }
}

fn source_cache(fields: &ConfigTable) -> Option<SourceCacheConfig> {
    let table = |name| fields.get(name).and_then(ConfigNode::fields).map(json_map);
    Some(SourceCacheConfig {
        url: text(fields, "url")?,
        push: flag(fields, "push")?,
        kind: text(fields, "type"),
        instance_name: text(fields, "instance-name"),
        auth: table("auth")?.into_iter().collect(),
        connection_config: table("connection-config")?.into_iter().collect(),
    })
}

fn buildstream(fields: &ConfigTable, place: &Path) -> Option<BuildStreamConfig> {
    Some(BuildStreamConfig {
        tool: tool(fields, place)?,
        pass_environment: texts(fields, "pass-environment"),
        config: json_map(fields.get("config")?.fields()?),
    })
}

fn tool(fields: &ConfigTable, place: &Path) -> Option<BuildStreamTool> {
    let python = text(fields, "python")?;
    if fields.contains_key("command") {
        return Some(BuildStreamTool::Command(texts(fields, "command")));
    }
    Some(match fields.get("requirements").map(|node| &node.value) {
        Some(ConfigValue::Requirements(file, text)) => {
            BuildStreamTool::Requirements { requirements: text.clone(), python, directory: file.parent()?.to_owned() }
        }
        Some(_) => BuildStreamTool::Requirements {
            requirements: texts(fields, "requirements").join("\n") + "\n",
            python,
            directory: place.parent()?.to_owned(),
        },
        None => BuildStreamTool::Default { python },
    })
}
