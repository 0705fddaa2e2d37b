//! From checked values, every default filled in, to the types that the rest of the library works with.
//!
//! Nothing is given where a value is missing that the table of keys promises, which a test of that table excludes.

use std::path::Path;

use super::declare::FromConfigNode;
use super::value::ConfigTable;
use super::{Config, ProjectConfig};

pub(super) fn config(place: &Path, top: ConfigTable) -> Option<Config> {
    fn of<T: FromConfigNode>(top: &ConfigTable, table: &str) -> Option<T> {
        T::from_node(top.get(table))
    }
    let mut projects: Vec<ProjectConfig> = of(&top, "project")?;
    for project in &mut projects {
        project.buildstream.tool.listed_in(place.parent().unwrap_or(place));
    }
    let fetcher = top.get("fetcher")?.fields()?.clone();
    let config = Config::from_fetcher(
        &fetcher,
        place.to_owned(),
        Vec::new(),
        String::new(),
        of(&top, "probe")?,
        of(&top, "self-update")?,
        projects,
        of(&top, "notify")?,
        of(&top, "upload")?,
        of(&top, "serve")?,
        top,
        Vec::new(),
    )?;
    Some(Config { base_url: config.base_url.map(with_slash), ..config })
}

fn with_slash(url: String) -> String {
    if url.ends_with('/') { url } else { url + "/" }
}
