//! Logs as people post them: whole ones of CI runners, tails, task logs, with prefixes of journals and pods.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Expected {
    expect: Vec<ExpectedFailure>,
}

/// One failure that has to be told, with what is acceptable of it.
#[derive(Deserialize)]
struct ExpectedFailure {
    kinds: Vec<String>,
    #[serde(default)]
    element: Option<String>,
    #[serde(default)]
    any_element: bool,
    actors: Vec<Actor>,
    retry: Vec<Retry>,
}

impl ExpectedFailure {
    fn accepts(&self, found: &Diagnosis) -> bool {
        let element = found.element.as_ref().map(|element| element.as_str());
        self.kinds.contains(&found.kind.to_string())
            && (self.any_element || element == self.element.as_deref())
            && self.actors.contains(&found.actor)
            && self.retry.contains(&found.retry)
    }
}

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/public-logs"))
}

#[test]
fn what_people_post_is_read_right() {
    let expected = fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let expected: BTreeMap<String, Expected> = serde_json::from_str(&expected).unwrap();
    let texts = fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(texts.filter(|path| path.extension().is_some_and(|end| end == "txt")).count(), expected.len());
    let mut wrong = String::new();
    for (name, Expected { expect }) in &expected {
        let log = String::from_utf8(fs::read(fixtures().join(name)).unwrap()).unwrap();
        let failures = found(&log, None).failures;
        let right = failures.len() == expect.len()
            && expect.iter().all(|want| failures.iter().any(|found| want.accepts(found)));
        if !right {
            let _ = writeln!(wrong, "== {name}: {} expected\n{}", expect.len(), render_text(&failures));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
