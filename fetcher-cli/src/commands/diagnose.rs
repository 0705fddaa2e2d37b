//! `bst-fetcher diagnose [FILE]`: says of any log of bst's what failed, and who must act.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use fetcher_core::Diagnosis;
use fetcher_core::diagnosis::{Diagnoses, diagnose, render_text};
use fetcher_core::secret::Redact as _;

use super::{Context, OK, USAGE};
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
///
/// What it says is made to be handed on, and a log may come from anywhere: secrets are masked, those of the configuration
/// too where there is one.
pub(crate) fn run(context: &Context, args: &DiagnoseArgs, stdin: impl Read) -> io::Result<u8> {
    let found = match &args.file {
        Some(file) if file != Path::new("-") => File::open(file).and_then(|mut log| diagnose(None, None, &mut log)),
        _ => diagnose(None, None, &mut { stdin }),
    };
    match found {
        Ok(Diagnoses { failures, warnings, .. }) => {
            let redactor = context.redactor();
            let (failures, warnings) = (failures.redacted(&redactor), warnings.redacted(&redactor));
            write(&failures, &warnings, args.json).map(|()| OK)
        }
        Err(error) => {
            let name = args.file.as_deref().unwrap_or(Path::new("standard input"));
            say(&format!("bst-fetcher: cannot read {}: {error}", name.display()));
            Ok(USAGE)
        }
    }
}

fn write(failures: &[Diagnosis], warnings: &[Diagnosis], json: bool) -> io::Result<()> {
    if json {
        return output::json(&serde_json::to_string_pretty(failures)?);
    }
    let mut stdout = output::text();
    if failures.is_empty() {
        writeln!(stdout, "no failure found")?;
    }
    stdout.write_all(render_text(failures).as_bytes())?;
    if !warnings.is_empty() {
        writeln!(stdout, "\nnot a failure, but to look at:\n\n{}", render_text(warnings).trim_end())?;
    }
    Ok(())
}
