//! The files of the memory between runs, as a disk, a person or another release may leave them.

use std::fs;
use std::path::Path;

use fetcher_core::fetcher::SitePublisher;
use fetcher_core::fetcher::{BranchState, StateStore};
use fetcher_core::{BranchName, ProjectName, Redactor, SystemClock};
use fetcher_tests::canary::files;
use fetcher_tests::fuzz::{Target, fixtures};
use fetcher_tests::sample::{Sample, run_id};

#[test]
fn a_file_of_the_memory_is_read_or_refused_and_never_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let sample = Sample::after(2);
    let mut corpus: Vec<Vec<u8>> = Vec::new();
    for file in files(sample.store().directory()) {
        let content = fs::read(&file).expect("a file");
        if file.extension().is_some_and(|end| end == "json") && content.len() < 60_000 && corpus.len() < 12 {
            corpus.push(content);
        }
    }
    assert!(corpus.len() > 1, "the sample has no files");
    corpus.push(serde_json::to_vec(&BranchState::new("p".parse().expect("a name"), None)).expect("JSON"));
    corpus.extend(fixtures("configs", 1));
    let words = [
        "\"version\":",
        "null",
        "1e400",
        "-1",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "\\u0000",
        "\\ud800",
        ",",
        "\"../../x\"",
        "99999999999999999999",
    ];
    let target = Target { name: "state", corpus, words: &words, largest: 60_000 };
    let (project, branch): (ProjectName, BranchName) = ("p".parse().expect("a name"), "b".parse().expect("a name"));
    target.run(|input, random| {
        let state = directory.path().join("state");
        let store = StateStore::new(&state);
        let run = run_id(u32::try_from(random.below(3)).expect("a small number"));
        let places = [state.join("branches/p/b.json"), store.run_directory(&run).join("report.json")];
        for place in &places {
            fs::create_dir_all(place.parent().expect("a parent")).expect("directories");
            fs::write(place, input).expect("a file");
        }
        let states = store.branches();
        let known = store.branch(&project, Some(&branch));
        let report = store.report(&run);
        assert!(states.len() <= 1 && store.runs().contains(&run));
        assert_kept(&state, input);
        let good = matches!((known, report), (Ok(_), Ok(_)));
        // Whoever shows it shows what can be shown.
        let site = directory.path().join("site");
        let pages = SitePublisher {
            keep_logs: u64::MAX,
            directory: &site,
            store: &store,
            states: &states,
            running: None,
            base_url: None,
            keep_runs: std::time::Duration::from_secs(u64::MAX >> 24),
            redactor: &Redactor::default(),
            clock: &SystemClock,
        };
        let published = pages.publish();
        assert!(published.is_ok() || good, "{published:?}");
        assert_kept(&state, input);
        for outside in ["x", "x.json", "report.json"] {
            assert!(!directory.path().join(outside).exists(), "{outside} was written");
        }
        fs::remove_dir_all(&state).expect("the state");
    });
}

/// Wherever it was put: in its place, or aside.
#[track_caller]
fn assert_kept(state: &Path, input: &[u8]) {
    let kept = files(state).iter().filter(|file| fs::read(file).is_ok_and(|text| text == input)).count();
    assert!(kept >= 2, "a file was lost: {:?}", files(state));
}
