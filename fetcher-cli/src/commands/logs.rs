//! `bst-fetcher logs PROJECT[/BRANCH] [STAGE]`

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};

use fetcher_core::fetcher::StateStore;
use fetcher_core::report::{BranchReport, StageReport};
use fetcher_core::{RunReport, Stage};
use jiff::Timestamp;

use super::{CommandContext, OK, USAGE};
use crate::cli::LogsArgs;
use crate::{eprint_line, output, summary};

pub(crate) fn run(context: &CommandContext, args: &LogsArgs) -> io::Result<u8> {
    let config = match context.config() {
        Ok(config) => config,
        Err(status) => return Ok(status),
    };
    let stage = match args.stage.as_deref().map(parse_stage).transpose() {
        Ok(stage) => stage,
        Err(problem) => {
            eprint_line(&format!("bst-fetcher: {problem}"));
            return Ok(USAGE);
        }
    };
    let store = StateStore::new(&config.state_dir);
    let (project, branch) = args.subject.split_once('/').map_or((&*args.subject, None), |(p, b)| (p, Some(b)));
    let wanted = |report: &BranchReport| {
        report.project.as_str() == project && (branch.is_none() || report.branch.as_ref().map(AsRef::as_ref) == branch)
    };
    let mut unread = Vec::new();
    let runs = store.runs_as_of(Timestamp::now()).into_iter().rev();
    let runs = runs.filter(|run| args.run.as_deref().is_none_or(|name| name == run.as_str()));
    let found = runs
        .filter_map(|run| {
            store.report(&run).unwrap_or_else(|error| {
                unread.push(error);
                None
            })
        })
        .find(|report| report.branches.iter().any(wanted));
    for error in unread {
        eprint_line(&format!("bst-fetcher: {error}"));
    }
    let Some(report) = found else {
        eprint_line(&format!(
            "bst-fetcher: no run has anything of {}; `bst-fetcher status` lists the branches",
            args.subject
        ));
        return Ok(USAGE);
    };
    for branch in report.branches.iter().filter(|branch| wanted(branch)) {
        print(&store, &report, branch, stage)?;
    }
    Ok(OK)
}

fn parse_stage(name: &str) -> Result<Stage, String> {
    let found = Stage::ALL.into_iter().find(|stage| stage.as_str() == name);
    found.ok_or_else(|| format!("{name:?} is no stage: there are checkout, track, fetch, push and verify"))
}

fn print(store: &StateStore, report: &RunReport, branch: &BranchReport, stage: Option<Stage>) -> io::Result<()> {
    let directory = store.run_directory(&report.run);
    let mut out = output::exact();
    let mut printed = BTreeSet::new();
    let asked = |report: &&StageReport| stage.is_none_or(|stage| stage == report.stage);
    for stage in branch.stages.iter().filter(asked) {
        writeln!(out, "==> {}: {}", summary::subject(branch, stage), summary::told(stage))?;
        let Some(log) = stage.log.as_ref().filter(|log| printed.insert((*log).clone())) else { continue };
        match File::open(directory.join(log)) {
            Ok(mut file) => drop(io::copy(&mut file, &mut out)?),
            Err(error) => writeln!(out, "({}: {error})", directory.join(log).display())?,
        }
        out = out.end_part()?;
    }
    Ok(())
}
