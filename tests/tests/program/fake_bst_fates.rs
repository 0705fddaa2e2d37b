//! What failed is told, whatever is tried after it: an element's fate is its own, and a command's failure the command's.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::{Ended, Fetcher};
use fetcher_tests::scratch::Scratch;
use serde_json::Value;

const CACHE: &str = "verify = false\n[[project.source-caches]]\nurl = \"http://127.0.0.1:1\"\npush = true\n";

/// Runs a project of the elements `a.bst` and `b.bst`, and `all.bst` over them.
fn run(scratch: &Scratch, fake: &FakeBst, project: &str) -> (Ended, Value) {
    upstream(scratch, &[]);
    again(scratch, fake, project)
}

fn again(scratch: &Scratch, fake: &FakeBst, project: &str) -> (Ended, Value) {
    // What is committed has tests of its own.
    let refs = "refs = [\"tracked\"]";
    let project =
        format!("[[project]]\nurl = \"project\"\ntargets = [\"all.bst\"]\nretry-delay = \"1ms\"\n{refs}\n{project}\n");
    let fetcher = Fetcher::new(scratch).config(format!("[fetcher]\njobs = 1\n{}\n{project}", fake.config()));
    let ended = fetcher.run(&["run"]);
    let report = fetcher.report();
    (ended, report)
}

/// The report of one stage of the first branch.
fn stage<'r>(report: &'r Value, name: &str) -> &'r Value {
    let stages = report["branches"][0]["stages"].as_array().expect("stages");
    stages.iter().find(|stage| stage["stage"] == name).unwrap_or_else(|| panic!("no stage {name}: {report:#}"))
}

/// What is told of a stage: elements and kinds.
fn failures(stage: &Value) -> Vec<(&str, &str)> {
    let failures = stage["failures"].as_array().expect("failures").iter();
    failures.map(|found| (found["element"].as_str().unwrap_or(""), found["kind"].as_str().expect("a kind"))).collect()
}

/// Puts what the real bst wrote to its standard error in such a case into the scenario's directory, as `log`.
fn log(fake: &FakeBst, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../fixtures/bst-logs/{name}.txt"));
    let text = fs::read_to_string(path).expect("a log");
    let (_, text) = text.split_once(" STDERR (").expect("its standard error");
    let text = text.split("\n---------------------------------------- ").next().expect("a part");
    fs::write(fake.path("log"), text.split_once('\n').expect("lines").1).expect("a log");
}

#[test]
fn what_failed_for_good_is_told_though_another_one_worked_at_the_third_attempt() {
    let scratch = Scratch::new();
    let scenario = "fails() {
        count_calls
        case $command:$1 in
        track:a.bst) text='HTTP Error 404: Not Found' ;;
        track:b.bst) [ $nth -le 2 ] && text='HTTP Error 503: Service Unavailable' ;;
        *) false ;;
        esac
    }";
    let fake = FakeBst::new(&scratch, scenario);
    let (ended, report) = run(&scratch, &fake, "");
    ended.expect(1);
    let tracks: Vec<_> = fake.calls().into_iter().filter(|call| call.command == "track").collect();
    let targets: Vec<_> = tracks.iter().map(|call| call.targets()).collect();
    assert_eq!(targets, [vec!["all.bst"], vec!["a.bst", "b.bst"], vec!["b.bst"]]);
    let track = stage(&report, "track");
    assert_eq!(failures(track), [("a.bst", "not-found")], "{track:#}");
    assert_eq!(track["outcome"], "partial", "{track:#}");
    let elements = &track["elements"];
    let counts = ["total", "processed", "failed"].map(|name| elements[name].as_u64().expect("a count"));
    assert_eq!(counts, [3, 1, 1], "{track:#}");
}

#[test]
fn whatever_fails_and_works_in_whatever_order_the_report_is_of_what_really_happened() {
    for seed in 1..=24_u32 {
        let scratch = Scratch::new();
        // Each task has its own luck; what became of it is written down.
        let scenario = "fails() {
            seed=$(cat \"$scenario/luck\")
            seed=$(((seed * 1103515245 + 12345) % 2147483648))
            echo $seed >\"$scenario/luck\"
            case $((seed / 65536 % 6)) in
            0) text='HTTP Error 404: Not Found' ;;
            1) text='HTTP Error 503: Service Unavailable' ;;
            2) text='Something that nobody knows' ;;
            *) echo \"$command $1 worked\" >>\"$scenario/fates\" && return 1 ;;
            esac
            echo \"$command $1 failed\" >>\"$scenario/fates\"
        }";
        let fake = FakeBst::new(&scratch, scenario);
        fs::write(fake.path("luck"), format!("{}\n", seed * 7919)).expect("luck");
        let on_error = ["continue", "quit"][seed as usize % 2];
        let more = format!("retries = {}\non-error = \"{on_error}\"\n{CACHE}", seed % 4);
        let (ended, report) = run(&scratch, &fake, &more);
        let text = fs::read_to_string(fake.path("fates")).unwrap_or_default();
        let mut is_all_told = true;
        for name in ["track", "fetch", "push"] {
            let of = |fate: &str| {
                let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_suffix(fate));
                lines.map(|line| line.trim().to_owned()).collect::<BTreeSet<String>>()
            };
            let open: BTreeSet<String> = of("failed").difference(&of("worked")).cloned().collect();
            let stage = stage(&report, name);
            let told = failures(stage).into_iter().filter(|(element, _)| !element.is_empty());
            let told: BTreeSet<String> = told.map(|(element, _)| element.to_owned()).collect();
            assert_eq!(told, open, "seed {seed}, {on_error}: {stage:#}\n{text}");
            assert_eq!(stage["elements"]["failed"], open.len(), "seed {seed}: {stage:#}\n{text}");
            is_all_told &= open.is_empty() && stage["outcome"] == "ok";
        }
        assert_eq!(ended.status() == 0, is_all_told, "seed {seed}: {ended}\n{report:#}");
    }
}

#[test]
fn a_junction_that_cannot_be_had_is_the_failure_of_the_command_that_needed_it() {
    let scratch = Scratch::new();
    let fake =
        FakeBst::new(&scratch, "before() { [ $command != track ] || { cat \"$scenario/log\" >&2; exit 255; }; }");
    log(&fake, "live-junction-dns-track");
    for more in ["retries = 0\nfetch = false", "retries = 2\nfetch = false", "retries = 2"] {
        fake.forget();
        let (ended, report) =
            if more.starts_with("retries = 0") { run(&scratch, &fake, more) } else { again(&scratch, &fake, more) };
        ended.expect(4);
        let track = stage(&report, "track");
        assert_eq!(
            (failures(track), &track["outcome"]),
            (vec![("sub.bst", "dns")], &Value::from("failed")),
            "{track:#}"
        );
        assert_eq!(track["failures"][0]["stage"], "track", "{track:#}");
        assert_eq!(stage(&report, "fetch")["outcome"], "skipped", "{report:#}");
        assert!(fake.calls().iter().all(|call| call.targets() == ["all.bst"]), "{:?}", fake.calls());
    }
    assert_eq!(fake.commands(), ["track"; 3]);
}

#[test]
fn what_is_mended_on_the_way_is_followed_by_the_whole_command() {
    let scratch = Scratch::new();
    let scenario = "before() {
        [ $command = track ] || return 0
        count_calls
        [ $nth -gt 1 ] || { cat \"$scenario/log\" >&2; exit 255; }
    }";
    let fake = FakeBst::new(&scratch, scenario);
    log(&fake, "live-junction-dns-track");
    let (ended, report) = run(&scratch, &fake, "retries = 1");
    ended.expect(0);
    assert_eq!(fake.calls()[1].targets(), ["all.bst"], "{:?}", fake.calls());
    let track = stage(&report, "track");
    assert_eq!(track["elements"]["processed"], 2, "{track:#}");
    assert_eq!(track["attempts"], 2, "{track:#}");
}

/// What bst says of a junction without a ref.
const NO_REF: &str = "START=\"[--:--:--][        ][    main:core activity                 ] START  \"
    printf '%s\\n%s\\n\\n%s\\n\\n    %s\\n' \"$START Track\" \"$START Loading elements\" \
    \"top.bst [line 3 column 2]: Subproject has no ref for junction: $1\" \"Try tracking the junction element\" >&2
    exit 255";

#[test]
fn a_junction_that_cannot_be_tracked_is_told_with_the_true_reason_and_tried_again() {
    let scratch = Scratch::new();
    let scenario = format!(
        "no_ref() {{ {NO_REF}; }}
        before() {{ [ $command:\"${{targets-}}\" != track:' all.bst' ] || no_ref sub.bst; }}
        fails() {{ [ $command = track ] && text='Failed to track: Could not resolve host: example.invalid'; }}"
    );
    let fake = FakeBst::new(&scratch, &scenario);
    let project = upstream(&scratch, &[]);
    project.write("elements/sub.bst", "kind: junction\nsources:\n- kind: git\n  url: up:sub\n  track: main\n");
    project.commit("A junction");
    let (ended, report) = again(&scratch, &fake, "retries = 1");
    ended.expect(4);
    let track = stage(&report, "track");
    assert_eq!(failures(track), [("sub.bst", "dns")], "{track:#}");
    let targets: Vec<_> = fake.calls().iter().map(|call| call.targets().join(" ")).collect();
    assert_eq!(targets, ["all.bst", "sub.bst", "all.bst", "sub.bst"], "the whole is what is tried again");
}

#[test]
fn no_command_names_what_is_behind_a_junction_that_it_may_not_cross() {
    let scratch = Scratch::new();
    let scenario = format!("before() {{ set -- sub.bst:deep.bst; [ $command != track ] || {{ {NO_REF}; }}; }}");
    let fake = FakeBst::new(&scratch, &scenario);
    let (ended, report) = run(&scratch, &fake, "retries = 2");
    ended.expect(4);
    let track = stage(&report, "track");
    assert_eq!(failures(track), [("sub.bst:deep.bst", "junction-no-ref")], "{track:#}");
    assert!(fake.calls().iter().all(|call| call.targets() == ["all.bst"]), "{:?}", fake.calls());

    // Nor where an element behind one failed by itself.
    fake.now(
        "elements='a.bst sub.bst:x.bst'
        look() { tracked=yes state=waiting; }
        fails() { count_calls; [ $command:$1 = track:sub.bst:x.bst ] && [ $nth -le 1 ] && text='HTTP Error 503: x'; }",
    );
    fake.forget();
    let (ended, _) = again(&scratch, &fake, "retries = 2");
    ended.expect(0);
    let tracks: Vec<_> = fake.calls().into_iter().filter(|call| call.command == "track").collect();
    let targets: Vec<_> = tracks.iter().map(|call| call.targets()).collect();
    assert_eq!(targets, [["all.bst"], ["all.bst"]]);
}

#[test]
fn a_bst_that_ends_with_anything_but_0_is_never_ok() {
    let scratch = Scratch::new();
    let fake = FakeBst::new(&scratch, "");
    upstream(&scratch, &[]);
    // All of its words say that all is well; nothing is said; nothing is understood; it breaks off after a failure.
    for (scenario, status) in [
        ("after() { [ $command != track ] || status=255; }", "255"),
        ("before() { [ $command != track ] || exit 3; }", "3"),
        ("before() { [ $command != track ] || { echo gibberish >&2; exit 1; }; }", "gibberish"),
    ] {
        fake.now(scenario);
        let (ended, report) = again(&scratch, &fake, "retries = 1\nfetch = false");
        assert_ne!(ended.status(), 0, "{scenario}: {ended}");
        let track = stage(&report, "track");
        assert_ne!(track["outcome"], "ok", "{scenario}: {track:#}");
        assert_eq!(failures(track), [("", "unknown")], "{scenario}: {track:#}");
        let message = track["failures"][0]["message"].as_str().expect("a message");
        assert!(message.contains(status), "{scenario}: {message}");
    }
    fake.now(
        "fails() { count_calls; [ $command:$1 = track:a.bst ] && [ $nth = 1 ] && text='HTTP Error 503: x'; }
        track_element() { count_calls; [ $nth != 1 ] || exit 255; }",
    );
    fake.forget();
    again(&scratch, &fake, "retries = 1").0.expect(0);
    assert_eq!(fake.calls()[1].targets(), ["all.bst"], "who knows what else it did not come to: {:?}", fake.calls());
}

#[test]
fn the_better_reason_is_told() {
    let scratch = Scratch::new();
    let scenario = "fails() {
        count_calls
        [ $command:$1 = track:a.bst ] || return 1
        [ $nth -gt 1 ] && text='Failed to track' || text='Could not resolve host: example.invalid'
    }";
    let fake = FakeBst::new(&scratch, scenario);
    let (ended, report) = run(&scratch, &fake, "retries = 1");
    ended.expect(1);
    assert_eq!(failures(stage(&report, "track")), [("a.bst", "dns")], "{report:#}");
    assert_eq!(stage(&report, "track")["attempts"], 2);
}

#[test]
fn a_push_of_what_was_not_fetched_is_not_ok() {
    let scratch = Scratch::new();
    let scenario = "fails() { [ $command:$1 = fetch:a.bst ] && text='HTTP Error 404: Not Found'; }";
    let fake = FakeBst::new(&scratch, scenario);
    let (ended, report) = run(&scratch, &fake, &format!("retries = 0\n{CACHE}"));
    ended.expect(1);
    assert_eq!(failures(stage(&report, "fetch")), [("a.bst", "not-found")], "{report:#}");
    let push = stage(&report, "push");
    assert_eq!(push["outcome"], "partial", "{push:#}");
    assert!(push["notes"][0].as_str().is_some_and(|note| note.contains("a.bst")), "{push:#}");
}

#[test]
fn nothing_is_removed_by_a_path_that_an_upstream_wrote() {
    let scratch = Scratch::new();
    // What git prints of an `ERR` packet stands in the task's log beside the lines that bst writes there.
    let scenario = "fails() {
        count_calls
        [ $command:$1 = fetch:a.bst ] && [ $nth -le 2 ] || return 1
        text='git source at a.bst [line 3 column 2]: Failed to fetch from remote git repository: git://x'
    }
    failed() {
        say FAILURE \"$1\" \"$2\" \"$text\"
        printf '\\n    Printing the last 20 lines from log file:\\n    /x/fetch.log\\n    %s\\n' \
            ====================================================================== >&2
        printf '    %s\\n' \"$(cat \"$scenario/said\")\" 'fatal: not a git repository' \
            ====================================================================== >&2
        printf '\\n' >&2
    }";
    let fake = FakeBst::new(&scratch, scenario);
    upstream(&scratch, &[]);
    let root = scratch.root().display().to_string();
    let sources = format!("{root}/cache/sources/0");
    let victim = scratch.write("victim/precious", "data");
    fs::create_dir_all(format!("{sources}/git")).expect("the mirrors");
    std::os::unix::fs::symlink(victim.parent().expect("its directory"), format!("{sources}/git/linked"))
        .expect("a link");
    for path in [
        format!("{sources}/git/../../../../victim"),
        format!("{root}/victim"),
        format!("{sources}/git/linked"),
        format!("{sources}/git/linked/../victim"),
        format!("{sources}/git/.."),
        format!("{sources}/git/"),
        format!("{root}/elsewhere/git/victim"),
    ] {
        fs::write(fake.path("said"), format!("Running host command {path}: git fetch")).expect("words");
        fake.forget();
        let (ended, report) = again(&scratch, &fake, "track = false\nretries = 1\n");
        ended.expect(1);
        assert_eq!(failures(stage(&report, "fetch")), [("a.bst", "mirror-corrupt")], "{path}: {report:#}");
        assert!(victim.exists(), "{path}");
        assert!(Path::new(&sources).join("git/linked").is_symlink(), "{path}");
    }
    // The copy that bst has under its own name is removed, wherever its path is said to be.
    let mirror = Path::new(&sources).join("git/up_a");
    fs::create_dir_all(mirror.join("refs")).expect("a mirror");
    fs::write(fake.path("said"), format!("Running host command {root}/x/git/up_a: git fetch")).expect("words");
    fake.forget();
    again(&scratch, &fake, "track = false\nretries = 1\n").0.expect(1);
    assert!(!mirror.exists());
}
