//! Hints that can be followed as they are written, from the configuration and the commit that failed.

use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::scratch::Scratch;
use serde_json::Value;

/// What loading prints that ends so.
fn ends_with(words: &str) -> String {
    format!(
        "before() {{ [ $command != track ] || {{ printf '%s\\n' '[--:--:--][        ][    main:core activity                 ] START   Track' \
         '[00:00:00][        ][    main:core activity                 ] FAILURE Track' '' \"{words}\" >&2; exit 255; }}; }}"
    )
}

fn fetcher<'s>(scratch: &'s Scratch, scenario: &str, project: &str) -> Fetcher<'s> {
    let fake = FakeBst::new(scratch, scenario);
    Fetcher::new(scratch).config(format!(
        "{}\n[[project]]\nurl = \"project\"\nretries = 0\nrefs = [\"tracked\"]\n{project}\n",
        fake.config()
    ))
}

/// The hint of the first failure of a branch.
fn hint(report: &Value, stage: usize) -> String {
    let failure = &report["branches"][0]["stages"][stage]["failures"][0];
    failure["hint"].as_str().unwrap_or_else(|| panic!("{report:#}")).to_owned()
}

#[test]
fn without_targets_one_element_that_cannot_be_loaded_stops_all_and_the_hint_is_targets() {
    let words = "a.bst [line 3 column 2]: Unexpected key: x";
    let scratch = Scratch::new();
    let repo = upstream(&scratch, &[]);
    let all = fetcher(&scratch, &ends_with(words), "");
    all.run(&["run"]).expect(4);
    assert!(hint(&all.report(), 1).contains("name those that are wanted with `targets`"), "{:#}", all.report());
    let some = fetcher(&scratch, &ends_with(words), "targets = [\"b.bst\"]");
    some.run(&["run"]).expect(4);
    assert!(!hint(&some.report(), 1).contains("`targets`"), "{:#}", some.report());
    repo.write("project.conf", "name: fake\nmin-version: 2.0\nelement-path: elements\ndefaults:\n  targets: [b.bst]\n");
    repo.commit("Defaults");
    all.run(&["run"]).expect(4);
    let defaults = fetcher(&scratch, &ends_with(words), "");
    defaults.run(&["run"]).expect(4);
    assert!(!hint(&defaults.report(), 1).contains("`targets`"), "{:#}", defaults.report());
}

#[test]
fn a_branch_without_project_conf_names_the_directories_that_have_one_and_branches() {
    let scratch = Scratch::new();
    let repo = upstream(&scratch, &[]);
    repo.git(&["rm", "--quiet", "project.conf"]);
    for directory in ["sdk", "deep/er"] {
        repo.write(&format!("{directory}/project.conf"), "name: x\nmin-version: 2.0\n");
    }
    repo.commit("Moved");
    let fetcher_ = fetcher(&scratch, "", "");
    let ended = fetcher_.run(&["run"]).expect(4);
    let told = hint(&fetcher_.report(), 0);
    assert!(
        told.contains(r#""sdk", "deep/er""#) && told.contains("`directory`") && told.contains("`branches`"),
        "{ended}"
    );
    repo.git(&["rm", "--quiet", "-r", "deep"]);
    repo.commit("One alone");
    fetcher_.run(&["run"]).expect(4);
    assert!(hint(&fetcher_.report(), 0).contains("`directory = \"sdk\"`"), "{:#}", fetcher_.report());
    repo.git(&["rm", "--quiet", "-r", "sdk"]);
    repo.commit("None");
    let named = fetcher(&scratch, "", "branches = [\"main\"]");
    named.run(&["run"]).expect(4);
    assert!(
        hint(&named.report(), 0).contains("no directory of this branch has a project.conf"),
        "{:#}",
        named.report()
    );
}

#[test]
fn a_file_name_that_is_not_utf8_is_named() {
    use std::os::unix::ffi::OsStrExt as _;
    let scratch = Scratch::new();
    let repo = upstream(&scratch, &[]);
    std::fs::write(repo.path.join(std::ffi::OsStr::from_bytes(b"caf\xe9.txt")), "x").expect("a file");
    repo.commit("A name in Latin-1");
    let words = "'utf-8' codec can't encode character '\\udce9' in position 3: surrogates not allowed";
    let fetcher = fetcher(&scratch, &ends_with(words), "");
    let ended = fetcher.run(&["run"]).expect(4);
    assert!(ended.stderr().contains(r"caf\xe9.txt"), "{ended}");
    let failure = &fetcher.report()["branches"][0]["stages"][1]["failures"][0];
    assert_eq!(
        (failure["kind"].as_str(), failure["actor"].as_str()),
        (Some("project-invalid"), Some("project")),
        "{failure:#}"
    );
}

#[test]
fn a_missing_module_says_what_to_install_where() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fetcher = fetcher(&scratch, &ends_with("Failed to load source plugin 'x': No module named 'dulwich'"), "");
    fetcher.run(&["run"]).expect(4);
    let told = hint(&fetcher.report(), 1);
    assert!(told.starts_with("install `buildstream-plugins-community[git]` with pip where `"), "{told}");
}

#[test]
fn check_remarks_on_requirements_without_buildstream() {
    let scratch = Scratch::new();
    let project = "[[project]]\nurl = \"project\"\n";
    let fetcher = Fetcher::new(&scratch).config(format!("[buildstream]\nrequirements = [\"aiohttp\"]\n{project}"));
    let ended = fetcher.run(&["check"]).expect(0);
    let told = ended.stderr();
    assert!(told.contains("no line of it installs BuildStream itself"), "{ended}");
    assert!(told.contains(r#"requirements = ["buildstream==2.8.1", "#) && told.contains(r#""aiohttp"]"#), "{ended}");
    assert_eq!(told.matches("installs BuildStream").count(), 1, "{ended}");
    for good in ["[\"buildstream==2.8.1\"]", "[\"-r all.txt\"]", "[\"./plugins\"]"] {
        let fetcher = Fetcher::new(&scratch).config(format!("[buildstream]\nrequirements = {good}\n{project}"));
        assert!(!fetcher.run(&["check"]).expect(0).stderr().contains("installs BuildStream"), "{good}");
    }
}

#[test]
fn check_host_reads_the_tips_and_says_what_will_fail() {
    let scratch = Scratch::new();
    let repo = upstream(&scratch, &["old"]);
    repo.git(&["checkout", "--quiet", "old"]);
    repo.write("project.conf", "name: fake\nformat-version: 18\n");
    repo.commit("BuildStream 1");
    repo.git(&["checkout", "--quiet", "-b", "moved", "main"]);
    repo.git(&["mv", "project.conf", "elements/project.conf"]);
    repo.commit("Moved");
    repo.git(&["checkout", "--quiet", "-b", "newer", "main"]);
    repo.write("project.conf", "name: fake\nmin-version: 2.99\n");
    repo.commit("A release that is not there");
    repo.git(&["checkout", "--quiet", "main"]);
    let fetcher = fetcher(&scratch, "", "branches = [\"*\"]");
    let ended = fetcher.run(&["check", "--host"]).expect(1);
    let told = ended.stdout();
    for words in [
        "ok    project.conf of project: main: for BuildStream 2.0 or newer",
        "FAIL  project.conf of project: old: the project is one for BuildStream 1",
        "FAIL  project.conf of project: moved: there is none that can be read",
        "directory = \"elements\"",
        "FAIL  project.conf of project: newer: the project is for BuildStream 2.99.0 or newer",
        "buildstream>=2.99.0",
    ] {
        assert!(told.contains(words), "{words}: {ended}");
    }
}
