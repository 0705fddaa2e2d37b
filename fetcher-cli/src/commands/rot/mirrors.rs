//! `bst-fetcher rot --mirrors [PROJECT]`

use std::io::{self, Write};

use fetcher_core::fetcher::mirrors::{MirrorCheck, MirrorGap, MirrorReport};
use fetcher_core::{Cancel, Config};
use serde_json::{Value, json};

use super::print_user;
use crate::cli::RotArgs;
use crate::commands::run::status_of_error;
use crate::commands::{CommandContext, OK, SOME_FAILED, USAGE};
use crate::{eprint_line, output, signals};

pub(super) fn run(context: &CommandContext, config: Config, args: &RotArgs) -> io::Result<u8> {
    let cancel = Cancel::new();
    let caught = signals::listen(cancel.clone())?;
    let fetcher = context.fetcher(config).cancel(cancel);
    let report = match fetcher.check_mirrors(args.project.as_deref()) {
        Ok(report) => report,
        Err(error) => {
            eprint_line(&format!("bst-fetcher: {error}"));
            return Ok(status_of_error(&error));
        }
    };
    for problem in &report.problems {
        eprint_line(&format!("bst-fetcher: {problem}"));
    }
    if report.mirrors.is_empty() && report.not_looked_at.is_empty() && report.problems.is_empty() {
        eprint_line("bst-fetcher: nothing is listed yet; `bst-fetcher run` lists what it works on");
        return Ok(USAGE);
    }
    if args.json {
        output::json(&format!("{:#}", as_json(&report)?))?;
    } else {
        print(&mut output::text(), &report)?;
    }
    let status = if report.problems.is_empty() { OK } else { SOME_FAILED };
    Ok(caught.status().unwrap_or(status))
}

fn as_json(report: &MirrorReport) -> io::Result<Value> {
    let mut value = serde_json::to_value(report)?;
    value["version"] = json!(1);
    Ok(value)
}

fn print(out: &mut impl Write, report: &MirrorReport) -> io::Result<()> {
    if report.mirrors.is_empty() {
        writeln!(out, "no alias that sources have has a mirror")?;
    }
    report.mirrors.iter().try_for_each(|mirror| print_mirror(out, mirror))?;
    for host in &report.failing {
        let name = if host.host.is_empty() { "this machine" } else { &host.host };
        let line = format!("{name} gave no answer to {} questions: {}", host.sources, host.message);
        writeln!(out, "{}", output::in_one_line(&line))?;
    }
    for (what, count) in &report.not_looked_at {
        writeln!(out, "not looked at: {count} {}", output::in_one_line(what))?;
    }
    let end = if report.interrupted { ", stopped before the end" } else { "" };
    writeln!(out, "{} requests in {:.1} s{end}", report.requests, report.seconds)
}

fn print_mirror(out: &mut impl Write, mirror: &MirrorCheck) -> io::Result<()> {
    let MirrorCheck { project, alias, address, sources, held, lacking, untold, unanswered, .. } = mirror;
    let name = mirror.mirror.as_ref().map_or_else(|| "the upstream".to_owned(), |name| format!("mirror {name}"));
    let counts = [(lacking.len() as u64, "lacking"), (untold.len() as u64, "untold"), (*unanswered, "unanswered")];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
    let counts: Vec<_> = counts.collect();
    let line = format!("{project}: {name} of {alias} ({address}): has {held} of {sources}{}", counts.concat());
    writeln!(out, "{}", output::in_one_line(&line))?;
    lacking.iter().try_for_each(|gap| print_gap(out, "lacks", gap))?;
    untold.iter().try_for_each(|gap| print_gap(out, "does not tell of", gap))
}

fn print_gap(out: &mut impl Write, what: &str, gap: &MirrorGap) -> io::Result<()> {
    let line = format!("{what} {} ({}): {}", gap.version, gap.url, gap.message);
    writeln!(out, "  {}", output::in_one_line(&line))?;
    gap.users.iter().try_for_each(|user| {
        write!(out, "  ")?;
        print_user(out, user)
    })
}
