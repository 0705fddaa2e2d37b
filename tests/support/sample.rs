//! Sixty hourly runs over the branches of a few projects, as a fetcher would have left them: good ones, failing ones,
//! one that recovered, and one that is out to break whoever shows it.
#![expect(clippy::unwrap_used, reason = "a helper of tests panics wherever a test would")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fetcher_core::FixedClock;
use fetcher_core::diagnosis::{Actor, Diagnosis, FailureKind, Location, Retry};
use fetcher_core::fetcher::{BranchRun, BranchState, StateStore};
use fetcher_core::fetcher::{PublishError, PublishedSite, SitePublisher};
use fetcher_core::report::{
    BranchReport, CacheCoverage, HoldReport, Outcome, ProofReport, RefChange, RunReport, StageReport, TrackedRef,
};
use fetcher_core::{BranchName, ElementName, ProjectName, Redactor, RunId, Secret, Stage};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;

/// A branch's name that git allows, and that is dangerous wherever it is not escaped.
pub const HOSTILE: &str = "<script>alert('1')</script>\"&#%41";
/// A secret that is in the sample's logs and messages.
pub const SECRET: &str = "s3cr3t/t0ken+x=";
/// How many runs there are.
pub const RUNS: u32 = 60;

/// A state directory's runs, a folder for the site, and what is needed to publish.
#[derive(Debug)]
pub struct Sample {
    directory: TempDir,
    /// The branches' states.
    pub states: Vec<BranchState>,
    /// The run that goes on.
    pub running: Option<RunId>,
    /// The site's address.
    pub base_url: Option<String>,
    /// The clock, which stands a little after the last run.
    pub clock: FixedClock,
}

impl Sample {
    /// The sample after its first `runs` runs.
    pub fn after(runs: u32) -> Self {
        Self::of(0..runs)
    }

    /// The sample after the given runs; the directories of those before them are gone.
    pub fn of(runs: std::ops::Range<u32>) -> Self {
        let (kept, runs) = (runs.clone(), runs.end);
        let sample = Self {
            directory: tempfile::tempdir().unwrap(),
            states: BRANCHES.iter().map(|branch| state(branch, runs)).collect(),
            running: None,
            base_url: Some("https://fetcher.example.org/".to_owned()),
            clock: FixedClock::new(at(runs - 1) + SignedDuration::from_mins(50)),
        };
        for run in kept {
            sample.write_run(run);
        }
        sample
    }

    /// One more run, after which the states are those of `runs` runs.
    pub fn go_on(&mut self, runs: u32) {
        self.write_run(runs - 1);
        self.states = BRANCHES.iter().map(|branch| state(branch, runs)).collect();
        self.clock.set(at(runs - 1) + SignedDuration::from_mins(50));
    }

    /// The memory between runs, as far as it is run directories.
    pub fn store(&self) -> StateStore {
        StateStore::new(self.directory.path().join("state"))
    }

    /// Where the site is.
    pub fn site(&self) -> PathBuf {
        self.directory.path().join("site")
    }

    /// A file of the site.
    pub fn read(&self, page: &str) -> String {
        fs::read_to_string(self.site().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
    }

    /// Publishes the site.
    ///
    /// # Errors
    /// As [`SitePublisher::publish`].
    pub fn publish(&self) -> Result<PublishedSite, PublishError> {
        let pages = SitePublisher {
            directory: &self.site(),
            store: &self.store(),
            states: &self.states,
            running: self.running.as_ref(),
            base_url: self.base_url.as_deref(),
            keep_logs: u64::MAX,
            keep_runs: Duration::from_secs(48 * 3600),
            redactor: &Redactor::new([Secret::new(SECRET)]),
            clock: &self.clock,
        };
        pages.publish()
    }

    fn write_run(&self, run: u32) {
        let directory = self.store().run_directory(&run_id(run));
        fs::create_dir_all(directory.join("logs")).unwrap();
        let branches: Vec<_> = BRANCHES.iter().filter(|branch| branch.outcome(run).is_some()).collect();
        let reports = branches.iter().map(|branch| branch_report(branch, run)).collect::<Vec<_>>();
        for stage in reports.iter().flat_map(|branch| &branch.stages) {
            if let Some(log) = &stage.log {
                write_log(&directory.join(log), stage, run);
            }
        }
        let mut report = RunReport::new(run_id(run), "builder-7", at(run));
        "0.1.0".clone_into(&mut report.fetcher_version);
        report.finished = Some(at(run) + SignedDuration::from_secs(400));
        report.outcome = reports.iter().map(|branch| branch.outcome).max().unwrap_or(Outcome::Ok).min(Outcome::Partial);
        report.configuration = Some("1f0c3b5a9d7e".repeat(3) + "abcd");
        report.failures = if run == RUNS - 1 { vec![notifier_failure()] } else { Vec::new() };
        report.branches = reports;
        self.store().save_report(&report).unwrap();
    }
}

/// A branch of the sample, and from which run on it fails with what.
struct SampleBranch {
    project: &'static str,
    branch: &'static str,
    /// How it ended in the runs from the given one on.
    outcomes: &'static [(u32, Outcome)],
}

const BRANCHES: &[SampleBranch] = &[
    SampleBranch {
        project: "freedesktop-sdk",
        branch: "master",
        outcomes: &[(0, Outcome::Ok), (58, Outcome::Skipped)],
    },
    SampleBranch {
        project: "freedesktop-sdk",
        branch: "release/24.08",
        outcomes: &[(0, Outcome::Ok), (20, Outcome::Failed), (22, Outcome::Skipped), (55, Outcome::Partial)],
    },
    SampleBranch {
        project: "gnome-build-meta",
        branch: "gnome-47",
        outcomes: &[(0, Outcome::Ok), (48, Outcome::Failed)],
    },
    SampleBranch {
        project: "gnome-build-meta",
        branch: "main",
        outcomes: &[(0, Outcome::Skipped), (48, Outcome::Failed)],
    },
    SampleBranch { project: "hostile", branch: HOSTILE, outcomes: &[(50, Outcome::Failed)] },
    SampleBranch { project: "young", branch: "not-run-yet", outcomes: &[] },
];

impl SampleBranch {
    fn outcome(&self, run: u32) -> Option<Outcome> {
        self.outcomes.iter().rev().find(|(from, _)| *from <= run).map(|(_, outcome)| *outcome)
    }

    fn name(&self) -> (ProjectName, Option<BranchName>) {
        (self.project.parse().unwrap(), Some(self.branch.parse().unwrap()))
    }

    fn seconds(&self, run: u32) -> f64 {
        let weight = f64::from(u32::try_from(self.branch.len()).unwrap());
        let wave = f64::from((run * 7 + u32::try_from(self.project.len()).unwrap()) % 11);
        match self.outcome(run) {
            Some(Outcome::Skipped) => 2.5,
            _ => 20.0 + 9.0 * wave + weight,
        }
    }

    fn fetched(&self, run: u32) -> u64 {
        match self.outcome(run) {
            Some(Outcome::Ok | Outcome::Partial) => u64::from(run * run % 97) + if run == 30 { 1240 } else { 0 },
            _ => 0,
        }
    }
}

fn at(run: u32) -> Timestamp {
    "2026-01-08T00:05:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(i64::from(run))
}

/// The name of a run.
pub fn run_id(run: u32) -> RunId {
    RunId::new(at(run), 4711)
}

fn state(branch: &SampleBranch, runs: u32) -> BranchState {
    let (project, name) = branch.name();
    let ended = |run| at(run) + SignedDuration::from_secs(300);
    let past = |run| {
        let outcome = branch.outcome(run)?;
        let mut past = BranchRun::new(run_id(run), ended(run), outcome);
        past.seconds = branch.seconds(run);
        past.fetched = branch.fetched(run);
        Some(past)
    };
    let history: Vec<BranchRun> = (0..runs).filter_map(past).collect();
    let last = |good| history.iter().rev().find(|past| past.outcome.is_good() == good).map(|past| past.at);
    let failing = history.iter().rev().take_while(|past| !past.outcome.is_good());
    let mut state = BranchState::new(project, name);
    state.holds = if history.is_empty() { Vec::new() } else { holds() };
    state.commit = (!history.is_empty()).then(|| "0123456789abcdef0123456789abcdef01234567".parse().unwrap());
    state.last_run = history.last().map(|past| past.at);
    state.last_success = last(true);
    state.last_failure = last(false);
    state.failing_since = failing.clone().last().map(|past| past.at);
    state.consecutive_failures = u32::try_from(failing.count()).unwrap();
    state.coverage = coverage(branch);
    state.history = history;
    state
}

fn branch_report(branch: &SampleBranch, run: u32) -> BranchReport {
    let (project, name) = branch.name();
    let outcome = branch.outcome(run).unwrap();
    let seconds = branch.seconds(run);
    let slug =
        format!("{project}-{}", name.as_ref().map(BranchName::slug).unwrap_or_default().replace(['<', '>'], "_"));
    let stages = Stage::ALL
        .iter()
        .filter(|stage| **stage != Stage::Prepare)
        .map(|stage| {
            let skipped = *stage > Stage::Track && matches!(outcome, Outcome::Skipped | Outcome::Failed);
            let fails = match outcome {
                Outcome::Failed => *stage == Stage::Track,
                _ => outcome == Outcome::Partial && *stage == Stage::Fetch,
            };
            let mut report = StageReport::new(*stage, None, at(run));
            report.outcome = match (skipped, fails) {
                (true, _) => Outcome::Skipped,
                (false, true) => outcome,
                (false, false) => Outcome::Ok,
            };
            report.skipped = skipped.then(|| match outcome {
                Outcome::Skipped => "nothing changed since the last success".to_owned(),
                _ => "tracking failed".to_owned(),
            });
            report.attempts = if fails { 3 } else { 1 };
            report.seconds = if skipped { 0.0 } else { seconds / 4.0 };
            report.bst_seconds = if skipped || *stage == Stage::Checkout { 0.0 } else { seconds / 5.0 };
            if !skipped && *stage != Stage::Checkout {
                let failed = u64::from(fails);
                let processed = branch.fetched(run);
                let skipped = 984 - failed - processed.min(980);
                let counts = &mut report.elements;
                (counts.total, counts.processed, counts.skipped, counts.failed) = (984, processed, skipped, failed);
            }
            report.changes = if *stage == Stage::Track && !fails { changes(run) } else { Vec::new() };
            report.failures = if fails { vec![failure(branch, *stage)] } else { Vec::new() };
            report.proof = (*stage == Stage::Verify && !skipped).then(proof);
            report.notes = if fails {
                vec!["2 elements have no ref and are left out: a.bst, b.bst".to_owned()]
            } else {
                Vec::new()
            };
            report.log =
                (!skipped && *stage != Stage::Checkout).then(|| PathBuf::from(format!("logs/{slug}-{stage}.log")));
            report
        })
        .collect();
    let mut report = BranchReport::new(project, name, at(run));
    report.commit = Some("0123456789abcdef0123456789abcdef01234567".parse().unwrap());
    report.seconds = seconds;
    report.outcome = outcome;
    report.bst_version = Some("2.8.1".to_owned());
    report.changes = if outcome == Outcome::Failed { Vec::new() } else { tracked(run) };
    report.holds = holds();
    report.stages = stages;
    report.coverage = coverage(branch);
    report
}

/// Holds with what outsiders may write.
fn holds() -> Vec<HoldReport> {
    let holds = serde_json::json!([
        { "element": "core/<b>*", "reason": "waits for <script>alert(1)</script>", "until": "2027-01-31",
          "origin": "configuration", "elements": ["core/a.bst"] },
        { "element": "b.bst", "origin": "bstignore" },
    ]);
    serde_json::from_value(holds).expect("holds")
}

/// What is in the cache: of what upstream has moved, not all. The names of elements are strangers' too.
fn coverage(branch: &SampleBranch) -> Vec<CacheCoverage> {
    if branch.name().1.is_none() {
        return Vec::new();
    }
    let (commit, at) = ("0123456789abcdef0123456789abcdef01234567", at(0));
    let missing = "</code><img src=x onerror=alert(4)>.bst";
    let committed =
        json!({ "commit": commit, "refs": "committed", "sources": 984, "cached": 984, "without-ref": 2, "at": at });
    let tracked =
        json!({ "commit": commit, "refs": "tracked", "sources": 986, "cached": 985, "missing": [missing], "at": at });
    [committed, tracked].map(|known| serde_json::from_value(known).unwrap()).into()
}

/// The refs that tracking found, one of which moved since the run before.
fn tracked(run: u32) -> Vec<TrackedRef> {
    let mut refs: Vec<_> = changes(run).into_iter().map(TrackedRef::from).collect();
    if let Some(first) = refs.first_mut() {
        first.moved = true;
        first.before = Some("v1.0-9-g<b>&".to_owned());
        first.since = Some(at(run));
        first.change.condition = Some("flavour == '<b>'".to_owned());
        first.failed_with = vec!["arm".parse().expect("a name")];
    }
    refs
}

fn changes(run: u32) -> Vec<RefChange> {
    (0..run % 4)
        .map(|number| {
            let element = format!("components/library-{number}.bst").parse().unwrap();
            let old =
                (number > 0).then(|| format!("v1.{number}-{}-g0a1b2c3d4e5f60718293a4b5c6d7e8f901234567", run % 10));
            let new = format!("v1.{number}-{}-gf0e1d2c3b4a5968778695a4b3c2d1e0f98765432", run % 10 + 1);
            RefChange::new(element, 0, old, Some(new))
        })
        .collect()
}

fn failure(branch: &SampleBranch, stage: Stage) -> Diagnosis {
    let failed = match branch.project {
        "freedesktop-sdk" => {
            let mut place = Location::of_file("elements/components/xz.bst");
            (place.line, place.column) = (Some(14), Some(2));
            place.url = Some("https://tukaani.org/xz/xz-5.6.1.tar.gz".to_owned());
            let message = "File downloaded from https://tukaani.org/xz/xz-5.6.1.tar.gz has sha256sum \
                           'aa11bb22cc33dd44ee55ff6600112233445566778899aabbccddeeff00112233', not \
                           '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'!";
            let hint = "Ask upstream why the file changed; if it is right, track the element again.";
            Diagnosis::new(FailureKind::Checksum, message, Retry::Once, Actor::Upstream, hint)
                .with_element("components/xz.bst".parse::<ElementName>().unwrap())
                .with_place(place)
        }
        "hostile" => {
            let message =
                format!("\u{1b}[31m<b>bold</b>\u{1b}[0m &amp; {SECRET}\u{202e}\u{7}\n]]></content></entry><entry>");
            let hint = "\"><script>alert(3)</script>";
            Diagnosis::new(FailureKind::Unknown, message, Retry::No, Actor::Nobody, hint)
                .with_element("</code><img src=x onerror=alert(2)>.bst".parse::<ElementName>().unwrap())
                .with_place(Location::of_url(format!("javascript:alert('{SECRET}')")))
        }
        _ => {
            let mut place = Location::of_file("elements/core-deps/git-lfs-source.bst");
            place.line = Some(3);
            let message = "Did not find 'git-lfs' in PATH: /usr/local/bin:/usr/bin:/bin";
            let hint = "Install git-lfs: apt-get install git-lfs (Debian), dnf install git-lfs (Fedora).";
            Diagnosis::new(FailureKind::HostToolMissing, message, Retry::No, Actor::Host, hint)
                .with_element("core-deps/git-lfs-source.bst".parse::<ElementName>().unwrap())
                .with_place(place)
        }
    };
    failed.with_stage(stage)
}

fn notifier_failure() -> Diagnosis {
    let message = "irc: cannot connect to irc.example.org:6697: connection refused";
    let hint = "Look whether the server is up; the message is sent again with the next run.";
    Diagnosis::new(FailureKind::Notifier, message, Retry::Yes, Actor::Host, hint)
}

fn write_log(path: &Path, stage: &StageReport, run: u32) {
    let mut log = format!(
        "BuildStream Version 2.8.1\n\u{1b}[1m[--:--:--]\u{1b}[0m[        ][    main:core activity                 ] START   {}\r\n",
        stage.stage
    );
    let lines = if run == RUNS - 1 && stage.outcome == Outcome::Partial { 20_000 } else { 40 };
    for line in 0..lines {
        let _ = write!(
            log,
            "\u{1b}[2m[00:{:02}:{:02}]\u{1b}[0m[{:08x}][{:>8}:components/library-{line}.bst] SUCCESS Fetching https://user:{SECRET}@git.example.org/library-{line}.git\r\n",
            line / 60 % 60,
            line % 60,
            line * 26_544,
            stage.stage,
        );
        if line == lines - 5 && !stage.failures.is_empty() {
            let _ = writeln!(
                log,
                "[00:00:09][5d1c7a00][{:>8}:components/xz.bst] FAILURE <script>alert('log')</script> {}",
                stage.stage,
                "a very long line ".repeat(20)
            );
        }
    }
    log.push_str("\u{1b}]0;title\u{7}Pipeline Summary\n    Total: 984\n");
    fs::write(path, log).unwrap();
}

/// What a proof found.
fn proof() -> ProofReport {
    let mut proof = ProofReport::default();
    proof.caches = vec!["https://cache.example.org:11002".to_owned()];
    proof.proved = ["core/a.bst", "core/b.bst"].iter().map(|name| name.parse().expect("a name")).collect();
    (proof.remembered, proof.blobs, proof.requests) = (1, 40_321, 12);
    proof
}
