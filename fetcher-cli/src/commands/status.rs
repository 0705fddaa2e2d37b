//! `bst-fetcher status`

use std::io::{self, Write as _};

use fetcher_core::state::Store;
use serde_json::json;

use super::{Context, OK};
use crate::cli::StatusArgs;
use crate::output;
use crate::status::table;

pub(crate) fn run(context: &Context, args: &StatusArgs) -> io::Result<u8> {
    let config = match context.config() {
        Ok(config) => config,
        Err(status) => return Ok(status),
    };
    let store = Store::new(&config.state_dir);
    let branches = store.branches();
    let last = store.runs().pop().and_then(|run| store.report(&run).ok().flatten());
    if args.json {
        let last = last.map(|report| {
            json!({ "run": report.run, "started": report.started, "finished": report.finished, "outcome": report.outcome })
        });
        let status = json!({ "version": 1, "last-run": last, "branches": branches });
        output::json(&format!("{status:#}"))?;
    } else if branches.is_empty() {
        writeln!(output::text(), "nothing was done yet: `bst-fetcher run` begins")?;
    } else {
        output::text().write_all(table(&branches, jiff::Timestamp::now()).as_bytes())?;
    }
    Ok(OK)
}
