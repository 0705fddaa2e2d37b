//! What tracking changed in a branch, with all its option sets together.

use std::path::Path;

use super::inputs;
use super::prepare::PreparedFiles;
use crate::bst::inventory::{Inventory, InventorySource};
use crate::bst::project_files::ProjectFiles;
use crate::bst::refs::commit;
use crate::report::RefChange;

/// The refs in a checkout that differ from its commit's, or from what was prepared in it, with their sources' urls resolved where that is known.
///
/// # Errors
/// When the checkout cannot be compared with its commit.
pub(crate) fn tracked_changes(
    project: &Path,
    inventories: &[Inventory],
    prepared: Option<&PreparedFiles>,
) -> Result<Vec<RefChange>, String> {
    let files = inputs::changed(project, prepared).map_err(|error| error.to_string())?;
    let mut changes = inputs::ref_changes(project, &files).map_err(|error| error.to_string())?;
    let files = ProjectFiles::new(project);
    for change in &mut changes {
        if let Some(source) = source_of(change, inventories) {
            change.kind.get_or_insert_with(|| source.kind.clone());
            change.url = source.url.clone().or(change.url.take());
        }
        change.url = change.url.take().map(|url| files.resolved(&url));
    }
    Ok(changes)
}

/// The source that a change is about: the one with one of its refs, else the only one of its kind.
fn source_of<'i>(change: &RefChange, inventories: &'i [Inventory]) -> Option<&'i InventorySource> {
    let sources = inventories.iter().filter_map(|inventory| inventory.element(&change.element)?.sources.as_ref());
    let refs: Vec<&str> = [&change.new, &change.old].into_iter().flatten().map(String::as_str).collect();
    sources.into_iter().find_map(|sources| {
        let has = |source: &&InventorySource| {
            let version = source.version.as_deref();
            version.is_some_and(|version| refs.iter().any(|known| *known == version || commit(known) == Some(version)))
        };
        let of_kind: Vec<_> =
            sources.iter().filter(|source| change.kind.as_ref().is_none_or(|kind| *kind == source.kind)).collect();
        sources.iter().find(has).or((of_kind.len() == 1).then(|| of_kind[0]))
    })
}
