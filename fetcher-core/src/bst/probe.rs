//! A project of one element with one small source, to see what a `bst` can do on this machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Map;

use super::conf::UserConfiguration;
use super::dialect::Dialect;
use super::{Bst, invocation};
use crate::runner::{Exit, RunContext};

/// The project's only element.
pub const ELEMENT: &str = "probe.bst";

/// How long a `bst` may take to start; a second is usual.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Writes the project into a directory. Its source is a file with this content.
///
/// # Errors
/// When it cannot be written.
pub fn write_project(directory: &Path, dialect: Dialect, content: &str) -> io::Result<()> {
    let project = match dialect {
        Dialect::One | Dialect::Pre191 => "name: bst-fetcher-probe\n",
        Dialect::Pre193 | Dialect::Two => "name: bst-fetcher-probe\nmin-version: 2.0\n",
    };
    fs::create_dir_all(directory)?;
    fs::write(directory.join("project.conf"), project)?;
    fs::write(directory.join("content"), content)?;
    fs::write(directory.join(ELEMENT), "kind: import\nsources:\n- kind: local\n  path: content\n")
}

/// Whether a `bst` can do more than tell its version: without bubblewrap, as a rule, no other command of it starts.
/// `directory` should be empty, and its path short, for bst makes a socket below it.
///
/// # Errors
/// When the project cannot be written.
pub fn starts(
    bst: &Bst,
    directory: &Path,
    mut environment: BTreeMap<OsString, OsString>,
    context: RunContext<'_>,
) -> io::Result<bool> {
    write_project(directory, bst.dialect(), "")?;
    let conf = UserConfiguration {
        cachedir: &directory.join("cachedir"),
        sourcedir: &directory.join("sources"),
        logdir: &directory.join("logs"),
        source_caches: &[],
        config: &Map::new(),
    };
    fs::write(directory.join("buildstream.conf"), conf.render(bst.dialect()))?;
    environment.insert("TMPDIR".into(), directory.into());
    let words = ["-c", "buildstream.conf", "--no-interactive", "show", "--deps", "none", ELEMENT].map(OsString::from);
    let invocation = invocation(&bst.command, words, directory, environment).writes([directory]).timeout(TIMEOUT);
    Ok(context.runner.run(&invocation, context.cancel, &mut |_, _| {}).is_ok_and(Exit::is_success))
}
