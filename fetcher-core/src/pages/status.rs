//! `status.json`: what the first page says, for programs. `docs/pages.md` describes it for users.

use jiff::Timestamp;
use serde::Serialize;

use super::site_view::{BranchView, SiteView};
use crate::diagnosis::Diagnosis;
use crate::links::PageAddress;
use crate::names::{BranchName, CommitId, ProjectName, RunId};
use crate::report::{CacheCoverage, HoldReport, Outcome, ProbeReport, RotFinding};

/// The version of the format.
const VERSION: u32 = 1;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct StatusPage<'a> {
    version: u32,
    fetcher_version: &'static str,
    host: Option<&'a str>,
    /// When the file was made.
    at: Timestamp,
    outcome: Outcome,
    last_run: Option<LastRunStatus<'a>>,
    failures: &'a [Diagnosis],
    /// Trouble to come with upstreams; none where nobody was asked yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    rot: Option<&'a [RotFinding]>,
    branches: Vec<BranchStatus<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct LastRunStatus<'a> {
    run: &'a RunId,
    started: Timestamp,
    finished: Option<Timestamp>,
    running: bool,
    outcome: Outcome,
    page: String,
    /// What upstreams were asked; none where nobody was.
    #[serde(skip_serializing_if = "Option::is_none")]
    probes: Option<ProbeReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct BranchStatus<'a> {
    project: &'a ProjectName,
    branch: Option<&'a BranchName>,
    commit: Option<&'a CommitId>,
    outcome: Option<Outcome>,
    since: Option<Timestamp>,
    last_run: Option<Timestamp>,
    last_success: Option<Timestamp>,
    last_failure: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    consecutive_failures: u32,
    coverage: &'a [CacheCoverage],
    page: String,
    run_page: Option<String>,
    failures: Vec<&'a Diagnosis>,
    holds: &'a [HoldReport],
    /// What failed and may fail.
    allowed_failures: Vec<&'a Diagnosis>,
}

/// The file's text.
pub(super) fn render(view: &SiteView) -> serde_json::Result<Vec<u8>> {
    let last_run = view.summaries().next().map(|(run, summary)| LastRunStatus {
        run,
        started: summary.started,
        finished: summary.finished,
        running: view.running == Some(run),
        outcome: summary.outcome,
        page: address(&PageAddress::run(run), view),
        probes: view.newest.filter(|report| report.run == *run).and_then(|report| report.probes.clone()),
    });
    let status = StatusPage {
        version: VERSION,
        fetcher_version: env!("CARGO_PKG_VERSION"),
        host: view.newest.map(|report| report.host.as_str()),
        at: view.now,
        outcome: view.health(),
        last_run,
        failures: view.host_failures(),
        rot: view.rot.map(|known| &known.findings[..]),
        branches: view.branches.iter().map(|branch| status_of(branch, view)).collect(),
    };
    let mut json = serde_json::to_vec_pretty(&status)?;
    json.push(b'\n');
    Ok(json)
}

fn status_of<'a>(branch: &'a BranchView, view: &SiteView) -> BranchStatus<'a> {
    let state = branch.state;
    BranchStatus {
        project: &state.project,
        branch: state.branch.as_ref(),
        commit: state.commit.as_ref(),
        outcome: branch.outcome(),
        since: branch.since(),
        last_run: state.last_run,
        last_success: state.last_success,
        last_failure: state.last_failure,
        failing_since: state.failing_since,
        consecutive_failures: state.consecutive_failures,
        coverage: &state.coverage,
        page: address(&branch.address, view),
        run_page: branch.history().last().and_then(|past| view.run_page(&past.run)).map(|page| address(&page, view)),
        failures: branch.failures().collect(),
        holds: &state.holds,
        allowed_failures: branch.findings().filter(|finding| finding.allowed).collect(),
    }
}

/// An address, absolute where the site's is known, else relative to the file.
fn address(page: &PageAddress, view: &SiteView) -> String {
    page.under(view.base_url.unwrap_or_default())
}
