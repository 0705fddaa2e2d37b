//! `bst-fetcher diagnose [FILE]`: says of any log of bst's what failed, and who must act.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use fetcher_core::diagnosis::{Diagnoses, diagnose, render_text};

use super::{OK, USAGE};
use crate::{output, say};

/// The words of `bst-fetcher diagnose`.
#[derive(Debug, Args)]
pub(crate) struct DiagnoseArgs {
    /// The log: what bst wrote to its standard error [default: standard input]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Print a list of failures as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Diagnoses a log. That something failed in it is no failure of this command: its status is 0 wherever the log could
/// be read.
pub(crate) fn run(args: &DiagnoseArgs, stdin: impl Read) -> io::Result<u8> {
    let found = match &args.file {
        Some(file) if file != Path::new("-") => File::open(file).and_then(|mut log| diagnose(None, None, &mut log)),
        _ => diagnose(None, None, &mut { stdin }),
    };
    match found {
        Ok(found) => write(&found, args.json).map(|()| OK),
        Err(error) => {
            let name = args.file.as_deref().unwrap_or(Path::new("standard input"));
            say(&format!("bst-fetcher: cannot read {}: {error}", name.display()));
            Ok(USAGE)
        }
    }
}

fn write(found: &Diagnoses, json: bool) -> io::Result<()> {
    if json {
        return output::json(&serde_json::to_string_pretty(&found.failures)?);
    }
    let mut stdout = output::text();
    if found.failures.is_empty() {
        writeln!(stdout, "no failure found")?;
    }
    stdout.write_all(render_text(&found.failures).as_bytes())?;
    if !found.warnings.is_empty() {
        writeln!(stdout, "\nnot a failure, but to look at:\n\n{}", render_text(&found.warnings).trim_end())?;
    }
    Ok(())
}
