//! `diagnose` as a job of CI calls it: what it prints, in each form, and how it ends.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use fetcher_tests::scratch::Scratch;
use serde_json::Value;

const FAILING: &str = "\
[--:--:--][        ][    main:core activity                 ] START   Fetch
[00:00:03][1b2c3d4e][   fetch:core/libxml2.bst              ] FAILURE git source at core/libxml2.bst [line 4 column 2]: \
Failed to fetch from remote git repository: https://example.org/libxml2.git

    Printing the last 20 lines from log file:
    /x/fetch.log
    ======================================================================
    fatal: unable to access 'https://example.org/libxml2.git/': The requested URL returned error: 503
    ======================================================================

[00:00:05][        ][    main:core activity                 ] FAILURE Fetch
";

fn diagnose(directory: &Path, arguments: &[&str], log: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fetcher-under-test"));
    let output =
        command.current_dir(directory).arg("diagnose").args(arguments).write_stdin(log).output().expect("run it");
    (output.status.code().expect("a status"), String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn the_status_says_whether_something_failed() {
    let scratch = Scratch::new();
    let directory = scratch.path("work");
    fs::create_dir(&directory).expect("make a directory");
    fs::write(directory.join("bst.log"), FAILING).expect("write a log");
    let status = |arguments: &[&str], log| diagnose(&directory, arguments, log).0;
    assert_eq!(status(&["bst.log"], ""), 1);
    assert_eq!(status(&["-"], FAILING), 1);
    assert_eq!(status(&[], FAILING), 1);
    assert_eq!(status(&["--exit-zero", "bst.log"], ""), 0);
    assert_eq!(status(&["--exit-zero", "--json"], FAILING), 0);
    assert_eq!(status(&["--json"], FAILING), 1);
    assert_eq!(status(&[], ""), 0);
    assert_eq!(status(&["gone.log"], ""), 2);
    assert_eq!(status(&["--exit-zero", "gone.log"], ""), 2);
    assert_eq!(status(&["--format=xml"], ""), 2);
    assert_eq!(status(&["--json", "--format=github"], ""), 2);
}

#[test]
fn each_form_has_the_same_failure() {
    let scratch = Scratch::new();
    let directory = scratch.path("work");
    fs::create_dir(&directory).expect("make a directory");
    let print = |arguments: &[&str], log| diagnose(&directory, arguments, log).1;
    for arguments in [&["--json"][..], &["--format=json"]] {
        let list: Value = serde_json::from_str(&print(arguments, FAILING)).expect("JSON");
        let [found] = list.as_array().expect("a list").as_slice() else { panic!("{list:#}") };
        assert_eq!(
            (&found["kind"], &found["element"]),
            (&"server-error".into(), &"core/libxml2.bst".into()),
            "{list:#}"
        );
    }
    assert_eq!(print(&["--json"], "").trim(), "[]");
    let annotation = print(&["--format=github", "--element-path=elements"], FAILING);
    let begin =
        "::error file=elements/core/libxml2.bst,line=4,col=3,title=server-error%3A core/libxml2.bst::git source at ";
    assert!(annotation.starts_with(begin) && annotation.lines().count() == 1, "{annotation}");
    assert_eq!(print(&["--format=github"], ""), "");
    assert!(print(&[], FAILING).starts_with("server-error: core/libxml2.bst, fetch\n"));
}
