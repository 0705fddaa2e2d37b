//! What is published and what is not, rule by rule, with the fake bst and real git over http.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use fetcher_tests::published::{Publishing, kinds, publish_stage, requests, statuses};
use fetcher_tests::rest_forge::{RestForge, Vendor};
use fetcher_tests::scratch::Scratch;
use fetcher_tests::sshd::Sshd;
use serde_json::Value;

const A: &str = "1111111111111111111111111111111111111111";
const B: &str = "2222222222222222222222222222222222222222";
const BRANCH: &str = "bst-fetcher/main";

fn both(a: &str, b: &str) -> String {
    format!("track_ref() {{ case $1 in a.bst) ref={a} ;; b.bst) ref={b} ;; esac; }}\n")
}

/// What is held back, and why.
fn held(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let held = report["branches"][0]["publication"]["held"].as_array().cloned().unwrap_or_default();
    held.iter().map(|held| (text(&held["element"]), text(&held["cause"]))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

#[test]
fn what_somebody_closed_takes_no_place_of_those_that_wait() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &both(A, B));
    let fetcher = publishing.fetcher("mode = \"branch\"\nper = \"element\"\nmax-open = 1", "");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(requests(&fetcher), pairs(&[("a.bst", "pushed"), ("b.bst", "waiting")]));
    publishing.repo.git(&["update-ref", "-d", "refs/heads/bst-fetcher/main/a.bst"]);
    fetcher.run(&["run"]).expect(0);
    let mut found = requests(&fetcher);
    found.sort();
    assert_eq!(found, pairs(&[("a.bst", "closed"), ("b.bst", "pushed")]));
}

#[test]
fn a_dry_run_shows_commits_and_text_with_what_is_held_and_pushes_nothing() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &both(A, B));
    let hold = "hold = [{ element = \"b.bst\", reason = \"needs | x\", until = 2999-01-31 }]";
    let fetcher = publishing.fetcher("mode = \"branch\"", hold);
    fetcher.run(&["run", "--no-publish"]).expect(0);
    assert_eq!(publish_stage(&fetcher)["skipped"], "--no-publish");
    let said = fetcher.run(&["publish", "--dry-run"]).expect(0).stdout();
    for line in [
        "example (main): planned bst-fetcher/main",
        "  * a.bst: update to 111111111111",
        "  | | `a.bst` | `aaaaaaaaaaaa` | `111111111111` |  |  |",
        "  | | `b.bst` | `needs ¦ x` | 2999-01-31 |",
    ] {
        assert!(said.lines().any(|told| told == line), "{line}\n{said}");
    }
    let json: Value = serde_json::from_str(&fetcher.run(&["publish", "--dry-run", "--json"]).stdout()).expect("JSON");
    let planned = json["branches"][0]["publication"]["requests"][0]["commit"].as_str().map(str::to_owned);
    assert_eq!(publishing.repo.branches(), ["main"], "nothing is pushed");
    // What was shown is what comes.
    fetcher.run(&["publish", "example/main"]).expect(0);
    assert_eq!(publishing.repo.tip(BRANCH), planned);
    assert_eq!(publishing.element(BRANCH, "b"), publishing.element("main", "b"));
    fetcher.run(&["publish", "other"]).expect(2);
}

#[test]
fn a_groups_request_has_words_by_templates_is_a_draft_and_names_what_is_held() {
    const TOKEN: &str = "glpat-of-a-test";
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &both(&"1".repeat(40), &"2".repeat(40)));
    // The project itself holds an element back.
    let people = publishing.repo.clone_of(&scratch, "people", "main");
    people.write(".bstignore", "b.bst # it needs | a newer x\n");
    people.commit("Hold b.bst back");
    people.git(&["push", "--quiet", "origin", "main"]);
    let rest = RestForge::start(Vendor::GitLab, TOKEN);
    let publish = format!(
        "mode = \"merge-request\"\nforge = \"gitlab\"\napi-url = \"{}\"\ntoken-file = \"{}\"\nper = \"group\"\n\
         branch = \"up/{{base}}/{{group}}\"\ntitle = \"{{group}} on {{base}}: {{count}} of {{file}}\"\n\
         commit-subject = \"{{element}}: {{old}} -> {{new}} {{compare}}\"\ndraft = true\nlabels = [\"x\", \"y\"]\n\
         assignees = [\"somebody\"]\n",
        rest.url,
        scratch.write("forge.token", TOKEN).display()
    );
    let fetcher = publishing.fetcher(&publish, "group = [{ name = \"core\", elements = [\"a.bst\"] }]");
    fetcher.run(&["run"]).expect(0);
    let made = rest.requests();
    let [request] = &made[..] else { panic!("{made:?}") };
    assert_eq!((&*request.head, &*request.base), ("up/main/core", "main"));
    assert_eq!(request.title, "Draft: core on main: 1 of elements/a.bst");
    assert_eq!((request.labels.join(","), request.assignees.len()), ("x,y".to_owned(), 1));
    assert!(request.body.contains("Not tracked, for it is held"), "{}", request.body);
    assert!(request.body.contains("b.bst") && request.body.contains("a newer x"), "{}", request.body);
    let subject = publishing.repo.git(&["log", "-1", "--format=%s", "up/main/core"]);
    assert!(subject.starts_with("a.bst: aaaaaaaaaaaa -> 111111111111"), "{subject}");
}

#[test]
fn select_takes_urls_with_their_aliases_and_squash_makes_one_commit() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &both(A, B));
    let commits = || publishing.repo.git(&["rev-list", "--count", &format!("main..{BRANCH}")]);
    publishing.fetcher("mode = \"branch\"\nselect = { urls = [\"up:b*\"] }", "").run(&["run"]).expect(0);
    assert!(publishing.element(BRANCH, "b").contains(B));
    assert_eq!(publishing.element(BRANCH, "a"), publishing.element("main", "a"));
    publishing.fetcher("mode = \"branch\"", "").run(&["run"]).expect(0);
    assert_eq!(commits(), "2");
    let squash = "mode = \"branch\"\nsquash = true\ncommit-subject = \"Update element refs\"";
    publishing.repo.git(&["update-ref", "-d", &format!("refs/heads/{BRANCH}")]);
    fs::remove_dir_all(scratch.path("state")).expect("the state");
    let fetcher = publishing.fetcher(squash, "");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(commits(), "1");
    let message = publishing.repo.git(&["log", "-1", "--format=%B", BRANCH]);
    assert!(message.starts_with("Update element refs\n") && message.contains("Element: b.bst"), "{message}");
    fs::remove_dir_all(scratch.path("state")).expect("the state");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(statuses(&fetcher), ["open"]);
}

#[test]
fn the_base_may_be_another_branch_and_what_moved_there_is_not_overwritten() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &both(A, B));
    publishing.repo.git(&["branch", "testing", "main"]);
    let other = publishing.repo.clone_of(&scratch, "other", "testing");
    let a = publishing.element("main", "a");
    other.write("elements/a.bst", &format!("# A remark\n{a}"));
    other.write("elements/b.bst", &publishing.element("main", "b").replace(&"b".repeat(40), &"3".repeat(40)));
    other.commit("Work on testing");
    other.git(&["push", "--quiet", "origin", "testing"]);
    let fetcher = publishing.fetcher("mode = \"branch\"\nbase = \"testing\"", "branches = [\"main\"]");
    fetcher.run(&["run"]).expect(0);
    let branch = "bst-fetcher/testing";
    // The ref goes into the file as it is there; one that is another there is let be, and told.
    assert_eq!(publishing.element(branch, "a"), format!("# A remark\n{a}").replace(&"a".repeat(40), A));
    assert_eq!(publishing.element(branch, "b"), publishing.element("testing", "b"));
    assert_eq!(held(&fetcher.report()), pairs(&[("b.bst", "file")]));
    assert_eq!(kinds(&publish_stage(&fetcher)["findings"]), ["ref-not-written"]);
    // bst's own form is only taken where the file is still the one that was tracked.
    let fetcher =
        publishing.fetcher("mode = \"branch\"\nbase = \"testing\"\nformat = \"bst\"", "branches = [\"main\"]");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(held(&fetcher.report()), pairs(&[("a.bst", "file"), ("b.bst", "file")]));

    let fetcher = publishing.fetcher("mode = \"branch\"\nbase = \"none\"", "branches = [\"main\"]");
    fetcher.run(&["run"]).expect(1);
    assert_eq!(kinds(&publish_stage(&fetcher)["failures"]), ["ref-missing"]);
}

#[test]
fn the_same_commit_in_another_form_is_no_change_and_a_newer_tag_may_be() {
    let scratch = Scratch::new();
    let described = |tag: &str, id: char| format!("{tag}-0-g{}", id.to_string().repeat(40));
    let publishing = Publishing::new(&scratch, &both(&described("v1", 'a'), B));
    let all = || publishing.fetcher("mode = \"commit\"", "");
    all().run(&["run"]).expect(0);
    assert!(publishing.element("main", "a").contains(&"a".repeat(40)) && publishing.element("main", "b").contains(B));
    assert!(!publishing.element("main", "a").contains("v1-0-g"), "a bare commit stays as it is");

    publishing.fake.now(&both(&described("v1", '3'), B));
    all().run(&["run"]).expect(0);
    publishing.fake.now(&both(&described("v2", '3'), B));
    publishing.fetcher("mode = \"commit\"\nrenamed = \"ignore\"", "").run(&["run"]).expect(0);
    assert!(publishing.element("main", "a").contains(&described("v1", '3')));
    all().run(&["run"]).expect(0);
    assert!(publishing.element("main", "a").contains(&described("v2", '3')), "another version of the same commit");
}

#[test]
fn what_is_too_young_waits_and_so_does_everything_between_two_schedules() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &both(A, B));
    let young = publishing.fetcher("mode = \"branch\"\nmin-age = \"1d\"", "");
    young.run(&["run"]).expect(0);
    assert_eq!(held(&young.report()), pairs(&[("a.bst", "too-young"), ("b.bst", "too-young")]));
    assert_eq!(publishing.repo.branches(), ["main"]);

    fs::remove_dir_all(scratch.path("state")).expect("the state");
    // The next moment is not within the time that this test takes.
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs();
    let hour = (seconds / 3600 + 12) % 24;
    let weekly = publishing.fetcher(&format!("mode = \"branch\"\nschedule = \"{hour:02}:00\""), "");
    weekly.run(&["run"]).expect(0);
    let tip = publishing.repo.tip(BRANCH);
    assert!(tip.is_some(), "what was never published is due");
    publishing.fake.now(&both(&"3".repeat(40), B));
    weekly.run(&["run"]).expect(0);
    let skipped = publish_stage(&weekly)["skipped"].as_str().unwrap_or_default().to_owned();
    assert!(skipped.contains("not yet") && publishing.repo.tip(BRANCH) == tip, "{skipped}");
    assert_eq!(statuses(&weekly), ["open"], "and is still known");
    weekly.run(&["publish"]).expect(0);
    assert_ne!(publishing.repo.tip(BRANCH), tip, "whoever says so publishes at once");
}

#[test]
fn stored_refs_are_split_by_element_and_refused_with_option_sets() {
    let scratch = Scratch::new();
    let stores = format!(
        "stored() {{ printf 'projects:\\n  fake:\\n    a.bst:\\n    - ref: {A}\\n    b.bst:\\n    - ref: {B}\\n'; }}\n\
         after() {{ [ $command != track ] || stored >project.refs; }}\n"
    );
    let publishing = Publishing::new(&scratch, &stores);
    let fetcher = publishing.fetcher("mode = \"branch\"\nper = \"element\"", "");
    fetcher.run(&["run"]).expect(0);
    let refs = |branch: &str| publishing.repo.file(branch, "project.refs");
    assert_eq!(refs("bst-fetcher/main/a.bst"), format!("projects:\n  fake:\n    a.bst:\n    - ref: {A}\n"));
    assert_eq!(refs("bst-fetcher/main/b.bst"), format!("projects:\n  fake:\n    b.bst:\n    - ref: {B}\n"));
    publishing.repo.merge(&scratch, "bst-fetcher/main/a.bst", "main");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(publishing.repo.branches(), ["bst-fetcher/main/b.bst", "main"]);
    assert!(refs("bst-fetcher/main/b.bst").contains(A), "on top of what was merged");

    let variants = "variants = [{ name = \"x\" }, { name = \"y\" }]";
    let fetcher = publishing.fetcher("mode = \"branch\"\nper = \"element\"", variants);
    fetcher.run(&["run"]).expect(0);
    assert!(
        held(&fetcher.report()).contains(&("b.bst".to_owned(), "overwritten".to_owned())),
        "{:?}",
        fetcher.report()
    );
}

#[test]
fn elements_that_share_an_include_are_one_commit() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, "");
    let other = publishing.repo.clone_of(&scratch, "other", "main");
    let source = format!("sources:\n- kind: git\n  url: up:x\n  track: main\n  ref: {}\n", "c".repeat(40));
    other.write("inc/x.yml", &source);
    for name in ["a", "b"] {
        other.write(&format!("elements/{name}.bst"), "kind: import\n(@): inc/x.yml\n");
    }
    other.commit("Share the sources");
    other.git(&["push", "--quiet", "origin", "main"]);
    publishing.fake.now(&format!("after() {{ [ $command != track ] || sed -i 's/ref: .*/ref: {A}/' inc/x.yml; }}\n"));
    let fetcher = publishing.fetcher("mode = \"branch\"\nper = \"element\"", "");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(requests(&fetcher), pairs(&[("a.bst", "pushed")]));
    let branch = "bst-fetcher/main/a.bst";
    assert_eq!(publishing.repo.file(branch, "inc/x.yml"), source.replace(&"c".repeat(40), A));
    let message = publishing.repo.git(&["log", "-1", "--format=%B", branch]);
    assert!(message.contains("Element: a.bst\n") && message.contains("Element: b.bst\n"), "{message}");
}

#[test]
fn requests_are_in_status_metrics_and_pages() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &both(A, B)).gitlab();
    let publish = "mode = \"merge-request\"\nforge = \"gitlab\"\nmin-age = \"0s\"\nselect = { elements = [\"a.bst\"] }";
    let fetcher = publishing.fetcher(publish, "");
    let text = fs::read_to_string(scratch.path("config.toml")).expect("the configuration");
    let root = scratch.root().display();
    let more = format!("[fetcher]\npublish-dir = \"{root}/site\"\nmetrics-file = \"{root}/metrics.prom\"\n");
    scratch.write("config.toml", text.replacen("[fetcher]\n", &more, 1));
    fetcher.run(&["run"]).expect(0);
    let url = "https://gitlab.example.org/group/project/-/merge_requests/7";
    let status = fetcher.run(&["status"]).expect(0).stdout();
    assert!(status.contains(&format!("example (main): pushed {url}")), "{status}");
    let metrics = fs::read_to_string(scratch.path("metrics.prom")).expect("metrics");
    let sample = metrics.lines().find(|line| line.contains("branch_requests{") && line.contains("\"pushed\""));
    assert!(sample.is_some_and(|sample| sample.ends_with(" 1")), "{metrics}");
    let found = Command::new("grep").args(["-rlF", url]).arg(scratch.path("site")).output().expect("grep");
    assert!(String::from_utf8_lossy(&found.stdout).contains(".html"), "no page has it");
}

#[test]
fn more_than_ten_requests_are_all_made_on_gitlab() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, "").gitlab();
    let other = publishing.repo.clone_of(&scratch, "other", "main");
    for number in 0..12 {
        let source = format!("sources:\n- kind: git\n  url: up:x\n  track: main\n  ref: {}\n", "c".repeat(40));
        other.write(&format!("elements/n{number}.bst"), &format!("kind: import\n{source}"));
    }
    other.commit("Many");
    other.git(&["push", "--quiet", "origin", "main"]);
    publishing.fake.now(&format!("track_ref() {{ case $1 in n*) ref={A} ;; esac; }}\n"));
    let fetcher = publishing.fetcher("mode = \"merge-request\"\nforge = \"gitlab\"\nper = \"element\"", "");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(statuses(&fetcher), ["pushed"; 12]);
    let made = publishing.repo.options().iter().filter(|option| *option == "merge_request.create").count();
    assert_eq!(made, 12);
}

#[test]
fn no_secret_gets_into_a_commit_or_a_text_for_a_forge() {
    const SECRET: &str = "s3cr3t0000000000000000000000000000000000";
    let scratch = Scratch::new();
    let failing = format!("fails() {{ [ $command = track ] && [ $1 = b.bst ] && text='HTTP Error 404: {SECRET}'; }}\n");
    let publishing = Publishing::new(&scratch, &(both(A, B) + &failing)).gitlab();
    let token = scratch.write("git.token", format!("{SECRET}\n"));
    fs::set_permissions(token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
    let publish = "mode = \"merge-request\"\nforge = \"gitlab\"";
    let fetcher = publishing.fetcher(publish, "git = { token-file = \"git.token\" }");
    fetcher.run(&["run"]).expect(1);
    let options = publishing.repo.options().join("\n");
    assert!(options.contains("Could not be tracked") && options.contains("***"), "{options}");
    assert!(!options.contains(SECRET), "{options}");
    // A plugin that has seen it writes it into a ref.
    publishing.fake.now(&both(&"3".repeat(40), &format!("{SECRET}-0-g{B}")));
    fetcher.run(&["run"]).expect(0);
    assert!(publishing.element(BRANCH, "a").contains(&"3".repeat(40)));
    assert_eq!(publishing.element(BRANCH, "b"), publishing.element("main", "b"));
    assert_eq!(held(&fetcher.report()), pairs(&[("b.bst", "not-cached")]));
}

#[test]
fn over_ssh_options_go_in_no_argument_and_a_key_is_enough() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &both(A, B)).gitlab();
    let sshd = Sshd::start(&scratch.path("sshd"));
    let access = format!("git = {{ ssh-key = {:?}, known-hosts = {:?} }}", sshd.key, sshd.known_hosts);
    let publish =
        format!("mode = \"merge-request\"\nforge = \"gitlab\"\npush-url = \"{}\"", sshd.url(publishing.repo.path()));
    // What runs on this machine meanwhile: the push is among it, and its options are not.
    publishing.repo.hook(
        "pre-receive",
        "#!/bin/sh\ncat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | \
         grep -a -e '[-]-porcelain' -e 'merge_request[.]target' >>\"$(dirname \"$0\")/../seen\"\nexit 0\n",
    );
    let fetcher = publishing.fetcher(&publish, &access);
    fetcher.run(&["run"]).expect(0);
    assert_eq!(statuses(&fetcher), ["pushed"]);
    assert!(publishing.repo.options().iter().any(|option| option == "merge_request.create"));
    let seen = fs::read_to_string(publishing.repo.path().join("seen")).expect("what was seen");
    assert!(seen.contains("--porcelain") && !seen.contains("merge_request"), "{seen}");
    publishing.fake.now(&both(&"3".repeat(40), B));
    fetcher.run(&["run"]).expect(0);
    assert!(publishing.element(BRANCH, "a").contains(&"3".repeat(40)));
}
