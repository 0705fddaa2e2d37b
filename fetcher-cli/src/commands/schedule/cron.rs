//! A line of the user's crontab.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::path::Path;

use fetcher_core::Exit;

use super::super::{CommandContext, OK};
use crate::cli::CronArgs;
use crate::{output, renewal};

const BEGIN: &str = "# bst-fetcher: begin (written by `bst-fetcher schedule cron --install`)";
const END: &str = "# bst-fetcher: end";

pub(super) fn run(context: &CommandContext, args: &CronArgs) -> io::Result<u8> {
    if args.what.remove {
        let old = read(context)?;
        let new = without(&old);
        if new != old {
            write(context, &new)?;
        }
        return Ok(OK);
    }
    let config = match super::file(context) {
        Ok(config) => config,
        Err(status) => return Ok(status),
    };
    let line = line(args.at.as_deref(), &renewal::program(&context.environment), &config);
    if args.what.install {
        let mut new = without(&read(context)?);
        if !new.is_empty() && !new.ends_with('\n') {
            new.push('\n');
        }
        write(context, &format!("{new}{BEGIN}\n{line}\n{END}\n"))?;
    } else {
        writeln!(output::exact(), "{line}")?;
    }
    Ok(OK)
}

/// The line. Cron's own PATH has two directories (crontab(5)), so that one is set, for this line alone.
pub(super) fn line(at: Option<&str>, program: &Path, config: &Path) -> String {
    let at = at.map_or_else(|| format!("{} * * * *", minute()), str::to_owned);
    let (program, config) = (word(program), word(config));
    let path = "PATH=\"$HOME/.local/bin:/usr/local/bin:/usr/bin:/bin\"";
    format!("{at} {path} {program} --config {config} run --lock-wait 10m")
}

/// A minute that is always the same on one host, and not on all.
fn minute() -> u64 {
    let mut hasher = DefaultHasher::new();
    rustix::system::uname().nodename().hash(&mut hasher);
    hasher.finish() % 60
}

/// A path as one word of cron's shell; cron itself takes `%` for a line's end (crontab(5)).
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+=:@,".contains(c));
    let quoted = if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) };
    quoted.replace('%', r"\%")
}

/// The user's crontab; empty where there is none.
fn read(context: &CommandContext) -> io::Result<String> {
    let (exit, said) = super::program(context, &["crontab", "-l"])?;
    match exit {
        Exit::Status(0) => Ok(said),
        // Without a crontab it fails, with these words (cron 3.0, cronie 1.7, busybox 1.36).
        Exit::Status(_) if said.contains("no crontab") || said.contains("No such file") => Ok(String::new()),
        exit => Err(io::Error::other(format!("`crontab -l` failed ({exit:?}): {}", said.trim()))),
    }
}

fn write(context: &CommandContext, text: &str) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(text.as_bytes())?;
    super::succeed(context, &["crontab", &file.path().display().to_string()]).map(drop)
}

/// A crontab without our lines; all others stay as they are.
fn without(crontab: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    // Where the end is missing, nothing is ours that cannot be told from the others.
    let whole = crontab.lines().any(|line| line == END);
    for line in crontab.split_inclusive('\n') {
        let bare = line.trim_end_matches('\n');
        inside = inside || whole && bare == BEGIN;
        if !inside {
            kept.push_str(line);
        }
        inside = inside && bare != END;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_lines_are_taken_away() {
        let others = "MAILTO=me@example.org\n1 2 * * * /bin/true\n";
        assert_eq!(without(&format!("{others}{BEGIN}\n0 * * * * x\n{END}\n# last")), format!("{others}# last"));
        assert_eq!(without(&format!("{BEGIN}\n{others}")), format!("{BEGIN}\n{others}"));
        assert_eq!(without(others), others);
    }

    #[test]
    fn words_are_quoted_for_the_shell_and_for_cron() {
        let line = line(Some("5 4 * * *"), Path::new("/usr/bin/bst-fetcher"), Path::new("/home/it's 100%/c.toml"));
        assert_eq!(
            line,
            "5 4 * * * PATH=\"$HOME/.local/bin:/usr/local/bin:/usr/bin:/bin\" /usr/bin/bst-fetcher --config \
             '/home/it'\\''s 100\\%/c.toml' run --lock-wait 10m"
        );
    }
}
