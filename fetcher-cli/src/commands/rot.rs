//! `bst-fetcher rot [PROJECT]`

use std::io::{self, Write};

use fetcher_core::fetcher::RotMemory;
use fetcher_core::report::{RotFinding, RotUser};
use serde_json::json;

mod mirrors;

use super::{CommandContext, OK, SOME_FAILED, USAGE};
use crate::cli::RotArgs;
use crate::{eprint_line, output};

pub(crate) fn run(context: &CommandContext, args: &RotArgs) -> io::Result<u8> {
    let config = match context.config() {
        Ok(config) => config,
        Err(status) => return Ok(status),
    };
    if args.mirrors {
        return mirrors::run(context, config, args);
    }
    let memory = match RotMemory::read(&config.state_dir) {
        Ok(memory) => memory,
        Err(error) => {
            eprint_line(&format!("bst-fetcher: {error}"));
            return Ok(SOME_FAILED);
        }
    };
    let (found, Some(at)) = memory.findings() else {
        eprint_line("bst-fetcher: no upstream was asked yet; `bst-fetcher run` asks those that it works on");
        return Ok(USAGE);
    };
    let is_wanted = |user: &RotUser| args.project.as_deref().is_none_or(|project| project == user.project.as_str());
    let mut found: Vec<&RotFinding> = found.iter().filter(|found| found.users.iter().any(is_wanted)).collect();
    found.sort_by_key(|found| std::cmp::Reverse(found.urgency));
    if args.json {
        output::json(&format!("{:#}", json!({ "version": 1, "asked": at, "findings": found })))?;
        return Ok(OK);
    }
    let mut out = output::text();
    if found.is_empty() {
        writeln!(out, "no trouble was seen when upstreams were asked at {}", at.strftime("%Y-%m-%d %H:%M:%S UTC"))?;
    }
    found.iter().try_for_each(|found| print(&mut out, found)).map(|()| OK)
}

fn print(out: &mut impl Write, found: &RotFinding) -> io::Result<()> {
    let line = |text: &str| output::in_one_line(text);
    let since = found.since.strftime("%Y-%m-%d");
    writeln!(out, "{} ({}, since {since}): {}", found.urgency, found.kind, line(&found.message))?;
    writeln!(out, "  what to do: {}", line(&found.hint))?;
    found.users.iter().try_for_each(|user| print_user(out, user))
}

/// An element, with where its file names the upstream.
fn print_user(out: &mut impl Write, user: &RotUser) -> io::Result<()> {
    let file = user.file.as_ref().map(|file| format!(", {}", file.display())).unwrap_or_default();
    let at = user.line.map(|line| format!(":{line}")).unwrap_or_default();
    let place = format!("{} ({}): {}{file}{at}", user.project, user.branch, user.element);
    writeln!(out, "  {}", output::in_one_line(&place))
}
