//! `diagnose`: of any log of bst's what failed, and who must act.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

use fetcher_core::Redact as _;
use fetcher_core::diagnosis::{LogDiagnoses, diagnose, render_github, render_text};

use super::{CommandContext, OK, SOME_FAILED, USAGE};
use crate::cli::{DiagnoseArgs, DiagnosisFormat};
use crate::{eprint_line, output};

/// Diagnoses a log: ends with 0 where nothing failed, 1 where something did, 2 where the log cannot be read.
///
/// What it says is made to be handed on, and a log may come from anywhere: secrets are masked, those of the configuration
/// too where there is one.
pub(crate) fn run(context: &CommandContext, args: &DiagnoseArgs, stdin: impl Read) -> io::Result<u8> {
    let found = match &args.file {
        Some(file) if file != Path::new("-") => File::open(file).and_then(|mut log| diagnose(None, None, &mut log)),
        _ => diagnose(None, None, &mut { stdin }),
    };
    match found {
        Ok(mut found) => {
            let redactor = context.redactor();
            found.failures = found.failures.redacted(&redactor);
            found.warnings = found.warnings.redacted(&redactor);
            write(&found, args)?;
            Ok(if found.failures.is_empty() || args.exit_zero { OK } else { SOME_FAILED })
        }
        Err(error) => {
            let name = args.file.as_deref().unwrap_or(Path::new("standard input"));
            eprint_line(&format!("bst-fetcher: cannot read {}: {error}", name.display()));
            Ok(USAGE)
        }
    }
}

fn write(found: &LogDiagnoses, args: &DiagnoseArgs) -> io::Result<()> {
    let format = if args.json { DiagnosisFormat::Json } else { args.format };
    match format {
        DiagnosisFormat::Json => output::json(&serde_json::to_string_pretty(&found.failures)?),
        DiagnosisFormat::Github => {
            output::text().write_all(render_github(found, args.element_path.as_deref()).as_bytes())
        }
        DiagnosisFormat::Text => write_text(found),
    }
}

fn write_text(found: &LogDiagnoses) -> io::Result<()> {
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
