//! What a `bst` of a pipeline sees of this machine.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::PipelineDirectories;
use crate::config::ProjectConfig;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, Retry};
use crate::environment::Environment;
use crate::runner::{SandboxMode, USER_CREDENTIALS};

/// What it writes: its checkout, its sources, the cache, and what is temporary.
pub(super) fn write(directories: &PipelineDirectories) -> Vec<PathBuf> {
    let PipelineDirectories { project, cachedir, sourcedir, temporary, objects: _, run: _, logs: _ } = directories;
    [checkout(project), cachedir, sourcedir, temporary].map(Path::to_owned).into()
}

/// What it reads beside that: the files that its configuration names, and the project's credentials. The repository of the
/// checkout is read-only, for this library reads it afterwards; so are the objects that it borrows from the mirror, which
/// are those of the project's own repository.
pub(super) fn read(project: &ProjectConfig, directories: &PipelineDirectories) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for cache in &project.source_caches {
        cache.auth.values().for_each(|value| collect(value, &mut files));
    }
    collect_all(&project.buildstream.config, &mut files);
    files.extend(project.credentials.files().map(|(_, file)| file.clone()));
    files.push(checkout(&directories.project).join(".git"));
    // Not what the repository names itself: with Landlock alone that may be anybody's words by now.
    if let Some(objects) = &directories.objects {
        files.push(objects.clone());
        files.extend(borrowed(objects));
    }
    files.retain(|file| file.exists());
    files
}

/// What a repository of this library borrows of another: where commits are made, those of a mirror.
fn borrowed(objects: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(objects.join("info/alternates")).unwrap_or_default();
    text.lines().map(PathBuf::from).filter(|path| path.is_absolute()).collect()
}

/// Its home.
pub(super) fn home(temporary: &Path) -> PathBuf {
    temporary.join("home")
}

/// Makes its home: empty but for links to the project's credentials.
pub(super) fn make_home(project: &ProjectConfig, temporary: &Path) -> io::Result<()> {
    let home = home(temporary);
    // An earlier child of this project may have left anything there.
    match fs::remove_dir_all(&home) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir(&home)?,
    }
    for (place, file) in project.credentials.files() {
        let link = home.join(place);
        if let Some(parent) = link.parent() {
            fs::create_dir_all(parent)?;
        }
        symlink(file, link)?;
    }
    Ok(())
}

/// Says of a refused upstream which of the user's own files might have served, and are hidden from the project.
pub(super) fn name_hidden(failure: Diagnosis, project: &ProjectConfig, environment: &Environment) -> Diagnosis {
    let wanted = failure.kind == FailureKind::Unauthorised && project.sandbox.mode != SandboxMode::Off;
    let Some(home) = environment.get("HOME").map(PathBuf::from).filter(|_| wanted) else { return failure };
    let named: Vec<_> = project.credentials.files().map(|(place, _)| place).collect();
    let is_hidden = |(place, _): &&(&str, &str)| !named.contains(place) && home.join(place).exists();
    let hidden: Vec<_> = USER_CREDENTIALS.iter().filter(is_hidden).collect();
    if hidden.is_empty() {
        return failure;
    }
    let list = |text: &dyn Fn(&str, &str) -> String| {
        hidden.iter().map(|(place, key)| text(place, key)).collect::<Vec<_>>().join(", ")
    };
    let message =
        format!("{}\nhidden from it by the sandbox: {}", failure.message, list(&|place, _| format!("~/{place}")));
    let lines = list(&|place, key| format!("{key} = {:?}", home.join(place).display().to_string()));
    let hint =
        format!("where its credentials are there, show the file to this project: `[project.credentials]` with {lines}");
    let (place, element, stage) = (failure.place.clone(), failure.element.clone(), failure.stage);
    let found = Diagnosis::new(FailureKind::CredentialsHidden, message, Retry::No, Actor::Host, hint);
    found.with_element(element).with_stage(stage).with_place(place)
}

/// The top of the working tree that a project's directory is in, which has the repository in it.
fn checkout(project: &Path) -> &Path {
    project.ancestors().find(|path| path.join(".git").is_dir()).unwrap_or(project)
}

fn collect_all(table: &Map<String, Value>, files: &mut Vec<PathBuf>) {
    table.values().for_each(|value| collect(value, files));
}

/// The files that a value of BuildStream's configuration names: keys, tokens, certificates. Directories are not, for those
/// the configuration of the sandbox has keys.
fn collect(value: &Value, files: &mut Vec<PathBuf>) {
    match value {
        Value::String(text) => {
            files.extend(Some(PathBuf::from(text)).filter(|path| path.is_absolute() && path.is_file()));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, files)),
        Value::Object(table) => collect_all(table, files),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
