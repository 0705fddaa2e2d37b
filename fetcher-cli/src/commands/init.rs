//! `bst-fetcher init`

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use fetcher_core::config::{Home, choose_file, starter};

use super::{CONFIGURATION, Context, OK, SOME_FAILED};
use crate::cli::InitArgs;
use crate::say;

pub(crate) fn run(context: &Context, args: &InitArgs) -> io::Result<u8> {
    let home = Home::of(&context.environment);
    match (&args.from, &context.config, home) {
        (None, Some(file), _) => write_starter(file),
        (None, None, Some(home)) => write_starter(&home.file()),
        (Some(url), _, Some(home)) => clone(args, url, &home),
        (_, _, None) => {
            say("bst-fetcher: neither XDG_CONFIG_HOME nor HOME is set; name a file with --config");
            Ok(CONFIGURATION)
        }
    }
}

fn write_starter(path: &Path) -> io::Result<u8> {
    if path.symlink_metadata().is_ok() {
        say(&format!("bst-fetcher: {} is there already, and stays as it is; move it away first", path.display()));
        return Ok(SOME_FAILED);
    }
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, starter())?;
    println!(
        "wrote {}; put your project's url into it, then `bst-fetcher check` and `bst-fetcher run`",
        path.display()
    );
    Ok(OK)
}

/// Clones the configuration's repository to where the other commands look for it.
fn clone(args: &InitArgs, url: &str, home: &Home) -> io::Result<u8> {
    let repository = home.repository();
    if repository.symlink_metadata().is_ok() {
        say(&format!("bst-fetcher: {} is there already, and stays as it is; move it away first", repository.display()));
        return Ok(SOME_FAILED);
    }
    fs::create_dir_all(home.directory())?;
    let mut git = Command::new("git");
    git.args(["clone", "--quiet"]);
    if let Some(branch) = &args.branch {
        git.arg(format!("--branch={branch}"));
    }
    if !git.arg("--").arg(url).arg(&repository).status()?.success() {
        return Ok(SOME_FAILED);
    }
    let host = rustix::system::uname();
    let chosen = choose_file(&repository, args.path.as_deref(), &host.nodename().to_string_lossy());
    let linked = chosen.map_err(io::Error::other).and_then(|file| home.use_file(&file));
    if let Err(error) = linked {
        // What is cloned but not used would be in the way of the next try.
        let _ = fs::remove_dir_all(&repository);
        return Err(error);
    }
    println!("cloned {url} to {}; now `bst-fetcher check` and `bst-fetcher run`", repository.display());
    Ok(OK)
}
