//! What sources of each kind ask for, by the code of the plugins that track them (buildstream-plugins 2.8,
//! buildstream-plugins-community 2.4).

use super::ref_filter::RefFilter;
use crate::bst::project_files::{RefPlace, SourceDefinition};
use crate::bst::yaml::YamlNode;
use crate::upstream::{RefSelection, UpstreamQuestion};

/// Why an element cannot be probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NotProbed {
    /// Only bst knows what its sources are.
    Unclear,
    /// bst has not told its sources yet.
    Untold,
    /// What bst tells is not what its files say.
    Mismatch,
    /// Nobody knows what tracking sources of this kind depends on.
    UnknownKind,
}

impl NotProbed {
    /// Why, in words.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unclear => "only bst knows what its sources are",
            Self::Untold => "bst has not told its sources yet",
            Self::Mismatch => "bst tells other sources than its files",
            Self::UnknownKind => "it has a source of a kind that cannot be probed",
        }
    }
}

/// A key's value; none where there is none.
fn word<'n>(keys: &'n YamlNode, key: &str) -> Result<Option<&'n str>, NotProbed> {
    match keys.get(key) {
        None => Ok(None),
        Some(value) => match value.scalar() {
            Some(text) if !text.contains("%{") => Ok(Some(text)),
            _ => Err(NotProbed::Unclear),
        },
    }
}

/// Whether a source's refs are to be descriptions.
fn describes(keys: &YamlNode) -> Result<bool, NotProbed> {
    match word(keys, "ref-format")? {
        None | Some("sha1") => Ok(false),
        Some("git-describe") => Ok(true),
        Some(_) => Err(NotProbed::Unclear),
    }
}

/// What a `git_repo` source looks at; none where it tracks nothing.
pub(super) fn git_repo(keys: &YamlNode) -> Result<Option<RefFilter>, NotProbed> {
    let Some(track) = word(keys, "track")? else { return Ok(None) };
    let exclude = match keys.get("exclude") {
        None => Vec::new(),
        Some(YamlNode::Sequence(items)) => {
            let text = |item: &YamlNode| item.scalar().filter(|text| !text.contains("%{")).map(str::to_owned);
            items.iter().map(text).collect::<Option<_>>().ok_or(NotProbed::Unclear)?
        }
        Some(_) => return Err(NotProbed::Unclear),
    };
    Ok(Some(RefFilter { track: track.to_owned(), exclude, describe: describes(keys)? }))
}

/// What `git rev-list -n 1 TRACK` depends on, over all branches and tags; none where nothing is tracked.
pub(super) fn git(keys: &YamlNode) -> Result<Option<RefSelection>, NotProbed> {
    let Some(track) = word(keys, "track")? else { return Ok(None) };
    // It writes the tags it finds as well.
    if word(keys, "track-tags")?.is_some_and(|value| !matches!(value, "false" | "False")) {
        return Err(NotProbed::Unclear);
    }
    let exact = tip(track)?;
    Ok(Some(if describes(keys)? { exact.and(RefSelection::beginning(["refs/tags/"])) } else { exact }))
}

/// The references that git may take a name for.
fn tip(track: &str) -> Result<RefSelection, NotProbed> {
    // Anything else may be an expression of git's, an object's name, or both that and a reference's.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'+' | b'-');
    let is_hex = track.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_pseudo = track.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let starts = track.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !starts || !track.bytes().all(plain) || track.contains("..") || is_hex || is_pseudo || track.contains("-g") {
        return Err(NotProbed::Unclear);
    }
    let names = ["refs/", "refs/tags/", "refs/heads/"].map(|folder| format!("{folder}{track}"));
    Ok(RefSelection::named(names.into_iter().chain(track.starts_with("refs/").then(|| track.to_owned()))))
}

/// What a tag of an image stands for; none where nothing is tracked.
pub(super) fn docker(keys: &YamlNode, registry: String) -> Result<Option<UpstreamQuestion>, NotProbed> {
    let Some(tag) = word(keys, "track")?.filter(|tag| !tag.is_empty()) else { return Ok(None) };
    if keys.get("url").is_some() {
        return Err(NotProbed::Unclear);
    }
    let image = word(keys, "image")?.ok_or(NotProbed::Unclear)?;
    let (image, tag) = (image.to_owned(), tag.to_owned());
    Ok(Some(UpstreamQuestion::ContainerManifest { registry, image, tag }))
}

/// The versions of a project that Anitya knows.
pub(super) fn anitya(keys: &YamlNode) -> Result<UpstreamQuestion, NotProbed> {
    let api = word(keys, "api-url")?.unwrap_or("https://release-monitoring.org/api/v2/");
    let project = word(keys, "project-id")?.ok_or(NotProbed::Unclear)?;
    let is_http = api.starts_with("https://") || api.starts_with("http://");
    if !is_http || api.contains(['?', '#']) || project.is_empty() || !project.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(NotProbed::Unclear);
    }
    Ok(UpstreamQuestion::HttpPage { url: format!("{api}versions/?project_id={project}") })
}

/// The line of a module in an index of CPAN.
pub(super) fn cpan(keys: &YamlNode, index: &str) -> Result<UpstreamQuestion, NotProbed> {
    let name = word(keys, "name")?.ok_or(NotProbed::Unclear)?;
    let is_http = index.starts_with("https://") || index.starts_with("http://");
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'\'');
    if !is_http || name.is_empty() || !name.bytes().all(is_name) {
        return Err(NotProbed::Unclear);
    }
    let url = format!("{index}modules/02packages.details.txt.gz");
    Ok(UpstreamQuestion::IndexLines { url, containing: format!("{name} ") })
}

/// The page of a project on `PyPI`, which no source can name another index than.
pub(super) fn pypi(keys: &YamlNode) -> Result<UpstreamQuestion, NotProbed> {
    let name = word(keys, "name")?.ok_or(NotProbed::Unclear)?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || !name.bytes().all(is_name) || name.bytes().all(|byte| byte == b'.') {
        return Err(NotProbed::Unclear);
    }
    Ok(UpstreamQuestion::PypiReleases { url: format!("https://pypi.org/simple/{name}") })
}

/// What a ref of an `OSTree` repository stands for; none where nothing is tracked.
pub(super) fn ostree(keys: &YamlNode, url: String) -> Result<Option<UpstreamQuestion>, NotProbed> {
    let Some(name) = word(keys, "track")?.filter(|name| !name.is_empty()) else { return Ok(None) };
    let is_http = url.starts_with("https://") || url.starts_with("http://");
    // A checksum is tracked as itself; a remote's name is one of this host's own.
    let is_checksum = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_http || is_checksum || name.contains([':', '^']) {
        return Err(NotProbed::Unclear);
    }
    Ok(Some(UpstreamQuestion::OstreeRef { url, name: name.to_owned() }))
}

/// Where tracking writes what it finds of a source that behaves like one of a kind.
pub(super) fn places(definition: &SourceDefinition, behaviour: &str) -> Result<Vec<RefPlace>, NotProbed> {
    let place = &definition.place;
    if behaviour != "cpan" {
        return Ok(vec![place.clone()]);
    }
    let source = place.path.strip_suffix("/ref").filter(|source| !source.starts_with("/projects/"));
    let source = source.ok_or(NotProbed::Unclear)?;
    let named = |key: &str| RefPlace { file: place.file.clone(), path: format!("{source}/{key}") };
    Ok(vec![named("suffix"), named("sha256sum")])
}
