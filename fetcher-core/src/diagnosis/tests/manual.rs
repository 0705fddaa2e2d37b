//! The manual's table of kinds, written from their declaration.

use std::env;

use super::*;

const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/diagnosis.md");
const BEGIN: &str = "<!-- The rest is written from the declaration of the kinds, and a test compares them. -->\n";

#[test]
fn the_manual_has_every_kind_as_it_is() {
    let mut kinds =
        "\n| kind | what it means | who acts | try again? | what to do |\n|---|---|---|---|---|\n".to_owned();
    for kind in FailureKind::ALL {
        let Remedy { retry, actor, hint } = kind.remedy();
        let hint = hint.replace('|', "\\|");
        let _ = writeln!(kinds, "| `{kind}` | {} | {actor} | {} | {hint} |", kind.meaning(), retry.as_str());
    }
    let manual = fs::read_to_string(MANUAL).unwrap();
    let (before, written) = manual.split_once(BEGIN).unwrap();
    if env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
        fs::write(MANUAL, format!("{before}{BEGIN}{kinds}")).unwrap();
    } else {
        assert!(written == kinds, "docs/diagnosis.md is not up to date; run this test with INSTA_UPDATE=always");
    }
}
