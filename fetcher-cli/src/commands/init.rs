//! `bst-fetcher init`

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use fetcher_core::config::{UserConfigDirectory, starter};
use fetcher_core::fetcher::{InitError, Initialized};
use fetcher_core::{Cancel, RunContext, SelfUpdate};

use super::{CONFIGURATION, CommandContext, OK, SOME_FAILED, schedule};
use crate::cli::InitArgs;
use crate::{eprint_line, output, signals};

pub(crate) fn run(context: &CommandContext, args: &InitArgs) -> io::Result<u8> {
    let home = UserConfigDirectory::of(&context.environment);
    match (&args.from, &context.config, home) {
        (None, Some(file), _) => write_starter(file),
        (None, None, Some(home)) => write_starter(&home.file()),
        (Some(url), _, Some(home)) => clone(context, args, url, &home),
        (_, _, None) => {
            eprint_line("bst-fetcher: neither XDG_CONFIG_HOME nor HOME is set; name a file with --config");
            Ok(CONFIGURATION)
        }
    }
}

fn write_starter(path: &Path) -> io::Result<u8> {
    if path.symlink_metadata().is_ok() {
        eprint_line(&format!(
            "bst-fetcher: {} is there already, and stays as it is; move it away first",
            path.display()
        ));
        return Ok(SOME_FAILED);
    }
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, starter())?;
    writeln!(
        output::text(),
        "wrote {}; put your project's url into it, then `bst-fetcher check` and `bst-fetcher run`",
        path.display()
    )?;
    Ok(OK)
}

/// Clones the configuration's repository to where the other commands look for it.
fn clone(context: &CommandContext, args: &InitArgs, url: &str, home: &UserConfigDirectory) -> io::Result<u8> {
    let cancel = Cancel::new();
    let caught = signals::listen(cancel.clone())?;
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let update = SelfUpdate::new(RunContext::new(&context.environment, &cancel));
    match update.init(url, args.branch.as_deref(), args.path.as_deref(), home, &host) {
        Ok(done) => tell(context, home, &done),
        Err(error) => {
            eprint_line(&format!("bst-fetcher: {error}"));
            let status = if matches!(error, InitError::Config(_)) { CONFIGURATION } else { SOME_FAILED };
            Ok(caught.status().unwrap_or(status))
        }
    }
}

fn tell(context: &CommandContext, home: &UserConfigDirectory, done: &Initialized) -> io::Result<u8> {
    let Initialized { repository, file, url, missing, .. } = done;
    writeln!(output::text(), "cloned {url} to {}; this host uses {}", repository.display(), file.display())?;
    if let Some(missing) = missing {
        eprint_line(&missing.to_string());
        eprint_line("this host lacks what is named above; put it there, then `bst-fetcher check`");
    }
    writeln!(
        output::text(),
        "try it with `bst-fetcher check` and `bst-fetcher run`, then let it run by itself, either by cron:\n"
    )?;
    writeln!(output::text(), "  {}", schedule::cron_line(context, &home.file()))?;
    writeln!(output::text(), "\n(`bst-fetcher schedule cron --install` puts that into your crontab) or by systemd:\n")?;
    let sudo = if rustix::process::geteuid().is_root() { "" } else { "sudo " };
    let config = home.file();
    writeln!(
        output::text(),
        "  bst-fetcher schedule systemd  # prints a service and a timer, and this puts them into place:"
    )?;
    writeln!(output::text(), "  {sudo}bst-fetcher --config {} schedule systemd --install", config.display())?;
    Ok(if missing.is_some() { CONFIGURATION } else { OK })
}
