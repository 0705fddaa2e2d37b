//! What the published plugins say when they fail is known, each of their texts: taken from their sources, so that a release
//! that says something new fails here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use fetcher_core::diagnosis::{Diagnosis, FailureKind, diagnose};
use fetcher_tests::bst;

/// The text as bst prints it of an element whose sources are fetched.
fn log(text: &str, detail: &str) -> String {
    let mut log = format!("[00:00:07][0a1b2c3d][   fetch:thing.bst                     ] FAILURE {text}\n");
    if !detail.is_empty() {
        let _ = write!(log, "\n    {}\n", detail.replace('\n', "\n    "));
    }
    log + "[00:00:09][        ][    main:core activity                 ] FAILURE Fetch\n"
}

fn diagnosed(text: &str, detail: &str) -> Vec<Diagnosis> {
    diagnose(None, None, &mut log(text, detail).as_bytes()).expect("read the log").failures
}

/// Where each text is in the packages, the text, and its detail.
fn raised() -> Vec<(String, String, String)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/plugin-texts/raised.py");
    let output = Command::new("python3").arg(script).arg(bst::plugins()).output().expect("start python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let texts: Vec<[String; 4]> = serde_json::from_slice(&output.stdout).expect("a list of texts");
    texts.into_iter().map(|[place, _, text, detail]| (place, text, detail)).collect()
}

#[test]
fn every_text_of_the_published_plugins_is_known() {
    let texts = raised();
    assert!(texts.len() > 150, "{} texts", texts.len());
    let mut kinds: BTreeMap<FailureKind, usize> = BTreeMap::new();
    let mut unknown = String::new();
    for (place, text, detail) in &texts {
        let failures = diagnosed(text, detail);
        match failures.as_slice() {
            [found] if !matches!(found.kind, FailureKind::Unknown | FailureKind::Bug) => {
                assert_eq!(found.element.as_ref().map(AsRef::as_ref), Some("thing.bst"), "{place}: {text}");
                *kinds.entry(found.kind).or_default() += 1;
            }
            found => {
                let told: Vec<FailureKind> = found.iter().map(|found| found.kind).collect();
                let _ = writeln!(unknown, "{place}: {told:?}: {text}");
            }
        }
    }
    assert!(unknown.is_empty(), "give these a kind:\n{unknown}");
    assert!(kinds.len() > 10, "{kinds:?}");
    // A text that nobody knows stays unknown: the above proves something.
    assert_eq!(diagnosed("The flux capacitor is empty", "")[0].kind, FailureKind::Unknown);
}
