//! `bst-fetcher config`

use std::io::{self, Write as _};
use std::path::Path;

use fetcher_core::config::schema;
use fetcher_core::fetcher::ValidatedConfig;

use super::{CommandContext, OK, told};
use crate::cli::{ConfigCommand, ValidateArgs};
use crate::{eprint_line, output};

pub(crate) fn run(context: &CommandContext, what: &ConfigCommand) -> io::Result<u8> {
    let text = match what {
        ConfigCommand::Schema => format!("{:#}\n", schema()),
        ConfigCommand::Show => match context.loaded() {
            Ok(loaded) => with_commit(&loaded.config.show(), loaded.commit.as_deref()),
            Err(status) => return Ok(status),
        },
        ConfigCommand::Validate(args) => return validated(context, args),
    };
    output::exact().write_all(text.as_bytes())?;
    Ok(OK)
}

/// The configuration with the commit that its file is of, below the file's name.
fn with_commit(shown: &str, commit: Option<&str>) -> String {
    match (commit, shown.split_once('\n')) {
        (Some(commit), Some((file, rest))) => {
            let (commit, changed) = match commit.strip_suffix("-dirty") {
                Some(commit) => (commit, ", with changes made on this host"),
                None => (commit, ""),
            };
            format!("{file}\n# commit {commit}{changed}\n{rest}")
        }
        (None, _) | (_, None) => shown.to_owned(),
    }
}

fn validated(context: &CommandContext, args: &ValidateArgs) -> io::Result<u8> {
    match ValidatedConfig::of_commit(Path::new("."), &args.commit, args.path.as_deref(), &context.environment) {
        Ok(good) => {
            for warning in &good.config.warnings {
                eprint_line(&format!("warning: {warning}"));
            }
            for file in &good.files {
                eprint_line(&format!(
                    "warning: the host has to have {}, which is not in the repository",
                    file.display()
                ));
            }
            for variable in &good.variables {
                eprint_line(&format!("warning: the host has to set the environment variable {variable}"));
            }
            if !context.quiet {
                writeln!(output::text(), "{} is good at commit {}", good.file.display(), good.commit)?;
            }
            Ok(OK)
        }
        Err(error) => Ok(told(&error)),
    }
}
