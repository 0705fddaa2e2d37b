//! The metrics: what Prometheus's own tools say of them, and that counters count each run once.
#![expect(clippy::unwrap_used, reason = "a helper of tests panics wherever a test would")]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fetcher_core::fetcher::{MetricsError, MetricsWriter};
use fetcher_core::report::RunReport;
use fetcher_tests::installed;
use fetcher_tests::sample::{RUNS, Sample, run_id};

struct Textfile {
    directory: tempfile::TempDir,
}

impl Textfile {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("bst-fetcher.prom")
    }

    /// Writes the metrics as after the sample's given run.
    fn write(&self, sample: &Sample, run: u32) -> Result<String, MetricsError> {
        let (file, store, report) = (self.path(), sample.store(), report(sample, run));
        MetricsWriter { file: &file, store: &store, states: &sample.states, report: &report }.write()?;
        Ok(fs::read_to_string(self.path()).unwrap())
    }
}

fn report(sample: &Sample, run: u32) -> RunReport {
    sample.store().report(&run_id(run)).unwrap().unwrap()
}

fn promtool(arguments: &[&str], input: Option<&Path>) -> Output {
    let mut promtool = Command::new(installed::program("promtool"));
    if let Some(input) = input {
        promtool.stdin(File::open(input).unwrap());
    }
    promtool.args(arguments).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).output().unwrap()
}

/// The value of one sample.
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(sample).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {sample}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn promtool_likes_the_metrics() {
    let (sample, file) = (Sample::after(RUNS), Textfile::new());
    let text = file.write(&sample, RUNS - 1).unwrap();
    let checked = promtool(&["check", "metrics"], Some(&file.path()));
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!((checked.stdout, checked.stderr), (Vec::new(), Vec::new()), "not even a remark");
    assert_eq!(file.path().metadata().unwrap().permissions().mode() & 0o777, 0o644);
    insta::assert_snapshot!("metrics", text);
}

#[test]
fn the_example_alerts_are_right() {
    for arguments in [["check", "rules", "docs/alerts.yml"], ["test", "rules", "fixtures/metrics/alerts-test.yml"]] {
        let checked = promtool(&arguments, None);
        assert!(checked.status.success(), "{arguments:?}: {checked:?}");
    }
}

#[test]
fn the_documentation_has_each_metric_and_the_alerts_only_such() {
    let (sample, file) = (Sample::after(RUNS), Textfile::new());
    let text = file.write(&sample, RUNS - 1).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let documentation = fs::read_to_string(root.join("docs/metrics.md")).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for name in &names {
        assert!(documentation.contains(&format!("| `{name}` |")), "docs/metrics.md lacks {name}");
    }
    let alerts = fs::read_to_string(root.join("docs/alerts.yml")).unwrap();
    for used in alerts.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| word.starts_with("bst_fetcher_"))
    {
        assert!(names.contains(&used), "docs/alerts.yml uses {used}");
    }
}

#[test]
fn each_run_is_counted_once_whenever_the_metrics_are_written() {
    let failed = |text: &str| {
        let branch = r#"{project="gnome-build-meta",branch="main","#;
        let runs = value(text, &format!("bst_fetcher_branch_runs_total{branch}outcome=\"failed\"}}"));
        let failures = value(text, &format!("bst_fetcher_failures_total{branch}kind=\"host-tool-missing\"}}"));
        let tracked = value(text, &format!("bst_fetcher_stage_seconds_total{branch}stage=\"track\"}}"));
        (runs, failures, tracked)
    };
    // Written after each run, some twice; and once for all, for the runs between which it was killed.
    let (mut sample, each) = (Sample::after(49), Textfile::new());
    for runs in 50..=RUNS {
        each.write(&sample, runs - 2).unwrap();
        sample.go_on(runs);
        each.write(&sample, runs - 1).unwrap();
    }
    let each = each.write(&sample, RUNS - 1).unwrap();
    fs::remove_file(sample.store().directory().join("metrics.json")).unwrap();
    let at_once = Textfile::new().write(&sample, RUNS - 1).unwrap();
    let (counted, counted_at_once) = (failed(&each), failed(&at_once));
    assert_eq!((counted.0, counted.1), (12.0, 12.0));
    assert_eq!((counted_at_once.0, counted_at_once.1), (12.0, 12.0));
    assert!((counted.2 - counted_at_once.2).abs() < 1e-6 && counted.2 > 0.0);
}

#[test]
fn what_cannot_be_known_any_more_is_left_out() {
    let (mut sample, file) = (Sample::of(RUNS - 1..RUNS), Textfile::new());
    let text = file.write(&sample, RUNS - 1).unwrap();
    // The reports of 59 runs are gone: their outcomes are known from the state, their stages are not.
    let main = r#"{project="gnome-build-meta",branch="main","#;
    assert!((value(&text, &format!("bst_fetcher_branch_runs_total{main}outcome=\"failed\"}}")) - 12.0).abs() < 0.5);
    assert!((value(&text, &format!("bst_fetcher_failures_total{main}kind=\"host-tool-missing\"}}")) - 1.0).abs() < 0.5);
    // A branch that is no more has no metrics any more.
    sample.states.retain(|state| state.project.as_str() != "gnome-build-meta");
    assert!(!file.write(&sample, RUNS - 1).unwrap().contains("gnome-build-meta"));
}

#[test]
fn a_missing_directory_is_a_failure_of_the_host() {
    let (sample, file) = (Sample::of(0..1), Textfile::new());
    let missing = file.directory.path().join("not-there/bst-fetcher.prom");
    let report = report(&sample, 0);
    let metrics = MetricsWriter { file: &missing, store: &sample.store(), states: &[], report: &report };
    let diagnosis = metrics.write().unwrap_err().diagnosis();
    assert!(diagnosis.message.contains("not-there") && diagnosis.hint.contains("--collector.textfile.directory"));
}
