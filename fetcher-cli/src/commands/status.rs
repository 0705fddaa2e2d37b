//! `bst-fetcher status`

use std::io::{self, Write as _};

use fetcher_core::Fetcher;
use fetcher_core::fetcher::RotMemory;
use fetcher_core::fetcher::StateStore;
use jiff::Timestamp;
use serde_json::json;

use super::{CommandContext, OK, SOME_FAILED};
use crate::cli::StatusArgs;
use crate::status::{caches, general, holds, table, upstreams};
use crate::{eprint_line, output};

pub(crate) fn run(context: &CommandContext, args: &StatusArgs) -> io::Result<u8> {
    let config = match context.config() {
        Ok(config) => config,
        Err(status) => return Ok(status),
    };
    let (store, now) = (StateStore::new(&config.state_dir), Timestamp::now());
    let fetcher = Fetcher::new(config, context.environment.clone());
    let (branches, mut failures) = fetcher.states();
    let (shared, unread) = fetcher.caches();
    failures.extend(unread);
    let last = store.runs_as_of(now).pop().map_or(Ok(None), |run| store.report(&run)).unwrap_or_else(|error| {
        failures.push(error);
        None
    });
    let rot = RotMemory::read(store.directory()).unwrap_or_else(|error| {
        failures.push(error);
        RotMemory::default()
    });
    if args.json {
        let last = last.map(|report| {
            json!({
                "run": report.run, "started": report.started, "finished": report.finished, "outcome": report.outcome,
                "failures": report.failures, "probes": report.probes,
            })
        });
        let rot = rot.findings().0;
        let status = json!({ "version": 1, "last-run": last, "branches": branches, "caches": shared, "rot": rot });
        output::json(&format!("{status:#}"))?;
    } else if branches.is_empty() && failures.is_empty() {
        writeln!(output::text(), "nothing was done yet: `bst-fetcher run` begins")?;
    } else {
        output::text().write_all(table(&branches, now).as_bytes())?;
        output::text().write_all(holds(&branches).as_bytes())?;
        let probes = last.as_ref().and_then(|report| report.probes.as_ref());
        output::text().write_all(upstreams(probes, rot.findings().0).as_bytes())?;
        output::text().write_all(caches(&shared).as_bytes())?;
        let failed = last.iter().flat_map(|report| &report.failures);
        output::text().write_all(general(failed).as_bytes())?;
    }
    for failure in &failures {
        eprint_line(&format!("bst-fetcher: {failure}"));
    }
    Ok(if failures.is_empty() { OK } else { SOME_FAILED })
}
