//! What `bst` is asked, in each dialect: argument vectors as the fake recorded them.

use fetcher_tests::fake::{Call, FakeBst, upstream};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::scratch::Scratch;

/// Runs a project once, and gives the calls, a line each, with what is the same in all of them left out.
fn asked(scenario: &str, project: &str, remote: bool) -> String {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, scenario);
    let caches = if remote {
        "verify = false\n[[project.source-caches]]\nurl = \"http://127.0.0.1:1\"\npush = true\n"
    } else {
        ""
    };
    let config = format!("{}\n[[project]]\nurl = \"project\"\n{project}\n{caches}", fake.config());
    Fetcher::new(&scratch).config(config).run(&["run"]).expect(0);
    fake.calls().iter().map(brief).collect::<Vec<_>>().join("\n")
}

fn brief(call: &Call) -> String {
    let mut words = call.arguments.iter().map(String::as_str).collect::<Vec<_>>();
    let config = words.iter().position(|word| *word == "-c").expect("every call has -c");
    words.drain(config..config + 2);
    words.retain(|word| !["--no-interactive", "--no-colors"].contains(word));
    words.join(" ")
}

const TARGETS: &str = "targets = [\"all.bst\"]";

#[test]
fn bst_2_tracks_and_lets_push_do_the_fetching() {
    insta::assert_snapshot!(asked("", TARGETS, true), @r"
    --on-error continue source push --deps all -- all.bst
    --on-error continue source track --deps all -- all.bst
    ");
}

#[test]
fn bst_2_fetches_where_there_is_nothing_to_push_to() {
    insta::assert_snapshot!(asked("", TARGETS, false), @r"
    --on-error continue source fetch --deps all -- all.bst
    --on-error continue source track --deps all -- all.bst
    ");
}

#[test]
fn the_projects_own_default_targets_are_not_named() {
    insta::assert_snapshot!(asked("", "", true), @r"
    --on-error continue source push --deps all
    --on-error continue source track --deps all
    ");
}

#[test]
fn bst_1_has_words_of_its_own_and_cannot_push() {
    insta::assert_snapshot!(asked("version=1.6.9", TARGETS, true), @r"
    --on-error continue fetch --deps all -- all.bst
    --on-error continue track --deps all -- all.bst
    ");
}

#[test]
fn bst_1_is_told_every_element_for_it_has_no_default_targets() {
    insta::assert_snapshot!(asked("version=1.6.9", "", false), @r"
    --on-error continue fetch --deps all -- a.bst all.bst b.bst
    --on-error continue track --deps all -- a.bst all.bst b.bst
    ");
}

#[test]
fn bst_1_91_cannot_push_sources() {
    insta::assert_snapshot!(asked("version=1.91.3", TARGETS, true), @r"
    --on-error continue source fetch --deps all -- all.bst
    --on-error continue source track --deps all -- all.bst
    ");
}

#[test]
fn bst_1_93_pushes_without_deps() {
    insta::assert_snapshot!(asked("version=1.93.6", TARGETS, true), @r"
    --on-error continue source push -- all.bst
    --on-error continue source track --deps all -- all.bst
    ");
}

#[test]
fn every_key_of_a_project_reaches_bst() {
    let project = r#"targets = ["all.bst", "b.bst"]
deps = "build"
except = ["a.bst"]
cross-junctions = true
on-error = "quit"
options = { arch = "x86_64", debug = "true" }"#;
    insta::assert_snapshot!(asked("", project, false), @r"
    --on-error quit -o arch x86_64 -o debug true source fetch --deps build --except a.bst -- all.bst b.bst
    --on-error quit -o arch x86_64 -o debug true source track --deps build --cross-junctions --except a.bst -- all.bst b.bst
    ");
}

#[test]
fn stages_run_once_for_each_variant_with_its_options_over_the_projects() {
    let project = r#"targets = ["all.bst"]
options = { arch = "x86_64", debug = "true" }
variants = [{ name = "x86", options = {} }, { name = "arm", options = { arch = "aarch64" } }]"#;
    insta::assert_snapshot!(asked("", project, false), @r"
    --on-error continue -o arch x86_64 -o debug true source fetch --deps all -- all.bst
    --on-error continue -o arch aarch64 -o debug true source fetch --deps all -- all.bst
    --on-error continue -o arch x86_64 -o debug true source track --deps all -- all.bst
    --on-error continue -o arch aarch64 -o debug true source track --deps all -- all.bst
    ");
}

#[test]
fn stages_that_are_not_wanted_are_left_out() {
    insta::assert_snapshot!(asked("", "targets = [\"all.bst\"]\ntrack = false\npush = false", true), @"--on-error continue source fetch --deps all -- all.bst");
    insta::assert_snapshot!(asked("", "targets = [\"all.bst\"]\nfetch = false", true), @r"
    --on-error continue source push --deps all -- all.bst
    --on-error continue source track --deps all -- all.bst
    ");
    insta::assert_snapshot!(asked("", "targets = [\"all.bst\"]\nfetch = false\npush = false", true), @"--on-error continue source track --deps all -- all.bst");
}

#[test]
fn elements_without_a_ref_are_left_out_and_what_only_they_need_is_not() {
    let scratch = Scratch::new();
    let repo = upstream(&scratch, &[]);
    let source = "sources:\n- kind: git\n  url: up:c\n  track: main\n";
    repo.write("elements/c.bst", &format!("kind: import\n{source}depends: [d.bst]\n"));
    repo.write("elements/d.bst", &format!("kind: import\n{source}  ref: {}\n", "d".repeat(40)));
    repo.write("elements/all.bst", "kind: stack\ndepends: [a.bst, b.bst, c.bst]\n");
    repo.commit("More elements");
    let fake = FakeBst::new(
        &scratch,
        "fails() { [ $command = track ] && [ $1 = c.bst ] && text='HTTP Error 404: Not Found'; }",
    );
    let config = format!("{}\n[[project]]\nurl = \"project\"\ntargets = [\"all.bst\"]\nretries = 0\n", fake.config());
    let fetcher = Fetcher::new(&scratch).config(config);
    fetcher.run(&["run"]).expect(1);
    let calls = fake.calls();
    let fetch = calls.iter().find(|call| call.command == "fetch").expect("a fetch");
    assert!(!fetch.targets().contains(&"c.bst"), "{fetch:?}");
    assert!(fetch.targets().contains(&"d.bst"), "bst leaves out what is reached through c.bst alone: {fetch:?}");
}

#[test]
fn junctions_are_fetched_and_pushed_by_name() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "elements='a.bst sub.bst:x.bst sub.bst:deep.bst:y.bst all.bst'");
    let config = format!(
        "{}\n[[project]]\nurl = \"project\"\ntargets = [\"all.bst\"]\nverify = false\n[[project.source-caches]]\nurl = \"http://127.0.0.1:1\"\npush = true\n",
        fake.config()
    );
    Fetcher::new(&scratch).config(config).run(&["run"]).expect(0);
    let calls = fake.calls();
    let pushed: Vec<_> = calls.iter().filter(|call| call.command == "push").flat_map(Call::targets).collect();
    for junction in ["sub.bst", "sub.bst:deep.bst"] {
        assert!(pushed.contains(&junction), "{junction} was not pushed by name: {calls:#?}");
    }
}

#[test]
fn children_get_an_allow_list_of_the_environment_and_a_configuration_of_their_own() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let scenario = "before() { [ $command != fetch ] || { env >$scenario/environment; cp $config $scenario/conf; }; }";
    let fake = FakeBst::new(&scratch, scenario);
    let config = format!("{}pass-environment = [\"WANTED\"]\n[[project]]\nurl = \"project\"\n", fake.config());
    let fetcher = Fetcher::new(&scratch).config(config).env("WANTED", "1").env("AWS_SECRET_ACCESS_KEY", "hush");
    fetcher.run(&["run"]).expect(0);
    let environment = std::fs::read_to_string(fake.path("environment")).unwrap();
    assert!(environment.contains("WANTED=1\n"), "{environment}");
    assert!(!environment.contains("hush"), "{environment}");
    let conf: serde_json::Value = serde_json::from_slice(&std::fs::read(fake.path("conf")).unwrap()).unwrap();
    for directory in ["cachedir", "sourcedir", "logdir"] {
        let path = conf[directory].as_str().unwrap_or_default();
        assert!(path.starts_with('/'), "{directory} is not absolute: {conf:#}");
    }
}
