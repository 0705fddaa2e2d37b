//! `bst-fetcher config`

use std::io::{self, Write as _};

use fetcher_core::config::schema;

use super::{Context, OK};
use crate::cli::ConfigCommand;

pub(crate) fn run(context: &Context, what: ConfigCommand) -> io::Result<u8> {
    let text = match what {
        ConfigCommand::Schema => format!("{:#}\n", schema()),
        ConfigCommand::Show => match context.config() {
            Ok(config) => config.show(),
            Err(status) => return Ok(status),
        },
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(OK)
}
