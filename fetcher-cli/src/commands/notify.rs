//! `bst-fetcher notify`

use std::io::{self, Write as _};

use fetcher_core::Fetcher;

use super::{CommandContext, OK, SOME_FAILED, USAGE};
use crate::cli::NotifyCommand;
use crate::{eprint_line, output};

pub(crate) fn run(context: &CommandContext, what: &NotifyCommand) -> io::Result<u8> {
    let NotifyCommand::Test { name } = what;
    let config = match context.config() {
        Ok(config) => config,
        Err(status) => return Ok(status),
    };
    let known: Vec<String> = config.notify.iter().map(|notifier| notifier.name.clone()).collect();
    let tried = Fetcher::new(config, context.environment.clone()).try_notifiers(name.as_deref());
    if tried.is_empty() {
        eprint_line(&match name {
            Some(name) if !known.is_empty() => {
                format!("bst-fetcher: no notifier is called {name:?}; the configuration has {}", known.join(", "))
            }
            Some(_) | None => "bst-fetcher: the configuration has no [[notify]]".to_owned(),
        });
        return Ok(USAGE);
    }
    let mut status = OK;
    let mut out = output::text();
    for (name, result) in tried {
        match result {
            Ok(()) => writeln!(out, "{name}: it arrived")?,
            Err(error) => {
                status = SOME_FAILED;
                writeln!(out, "{name}: FAILED: {}\n    {}", error.message, error.hint)?;
            }
        }
    }
    Ok(status)
}
