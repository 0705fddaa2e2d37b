//! Tracked refs as branches and requests, with the fake bst and real git over http.

use std::fs;

use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::git_fixture::Repo;
use fetcher_tests::published::{Publishing, kinds, publish_stage as stage, requests, statuses};
use fetcher_tests::scratch::Scratch;

const A: &str = "1111111111111111111111111111111111111111";
const BRANCH: &str = "bst-fetcher/main";

/// Tracking finds this ref for `a.bst`.
fn moved(reference: &str) -> String {
    format!("track_ref() {{ [ $1 != a.bst ] || ref={reference}; }}\n")
}

/// Tracking finds these refs for `a.bst` and `b.bst`.
fn both(a: &str, b: &str) -> String {
    format!("track_ref() {{ case $1 in a.bst) ref={a} ;; b.bst) ref={b} ;; esac; }}\n")
}

#[test]
fn a_branch_with_the_refs_alone_appears_and_the_same_is_not_pushed_again() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved(A)).gitlab();
    let fetcher = publishing.fetcher("mode = \"branch\"", "");
    fetcher.run(&["run"]).expect(0);
    let before = publishing.element("main", "a");
    assert_eq!(publishing.element(BRANCH, "a"), before.replace(&"a".repeat(40), A), "the ref alone changes");
    let message = publishing.repo.git(&["log", "-1", "--format=%an <%ae>%n%B", BRANCH]);
    assert!(message.starts_with("Fetcher <fetcher@example.org>\na.bst: update to 111111111111\n"), "{message}");
    for line in ["Bst-Fetcher-Element: a.bst", "Bst-Fetcher-Branch: bst-fetcher/main", "Bst-Fetcher-Digest: "] {
        assert!(message.contains(line), "{line}: {message}");
    }
    assert_eq!(requests(&fetcher), [("bundle".to_owned(), "pushed".to_owned())]);

    let (tip, pushes) = (publishing.repo.tip(BRANCH), publishing.repo.pushes());
    fetcher.run(&["run"]).expect(0);
    assert_eq!(statuses(&fetcher), ["open"]);
    // Nor where nothing is remembered, as on another host.
    fs::remove_dir_all(scratch.path("state")).expect("a directory");
    fs::remove_dir_all(scratch.path("cache")).expect("a directory");
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), publishing.repo.tip(BRANCH)), (vec!["open".to_owned()], tip.clone()));
    assert_eq!(publishing.repo.pushes(), pushes, "nothing was pushed");

    // The base moves on elsewhere: nothing that the branch touches differs.
    let other = publishing.repo.clone_of(&scratch, "other", "main");
    other.write("README", "hello\n");
    other.commit("Say hello");
    other.git(&["push", "--quiet", "origin", "main"]);
    fetcher.run(&["run"]).expect(0);
    assert_eq!((publishing.repo.tip(BRANCH), publishing.repo.pushes()), (tip, pushes + 1), "by the other alone");

    // It is merged: the branch goes.
    publishing.repo.merge(&scratch, BRANCH, "main");
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), publishing.repo.branches()), (vec!["merged".to_owned()], vec!["main".to_owned()]));
    fetcher.run(&["run"]).expect(0);
    assert!(statuses(&fetcher).is_empty());
}

#[test]
fn the_same_refs_make_the_same_commits_on_every_host() {
    let tips: Vec<_> = (0..2)
        .map(|_| {
            let scratch = Scratch::new();
            let publishing = Publishing::new(&scratch, &both(A, &"2".repeat(40)));
            publishing.fetcher("mode = \"branch\"", "").run(&["run"]).expect(0);
            publishing.repo.tip(BRANCH).expect("a branch")
        })
        .collect();
    assert_eq!(tips[0], tips[1]);
}

#[test]
fn gitlab_makes_a_request_of_push_options_and_its_warnings_are_failures() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved(A)).gitlab();
    let publish =
        "mode = \"merge-request\"\nforge = \"gitlab\"\nlabels = [\"update\"]\nassignees = [\"alice\"]\ndraft = true";
    let fetcher = publishing.fetcher(publish, "");
    fs::write(publishing.repo.path().join("warning"), "Target branch is not there").expect("a file");
    fetcher.run(&["run"]).expect(1);
    assert_eq!(kinds(&stage(&fetcher)["failures"]), ["request-refused"]);
    let message = stage(&fetcher)["failures"][0]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("Target branch is not there"), "{message}");

    // The branch is there, and the request still is not: it is asked for once more.
    fs::remove_file(publishing.repo.path().join("warning")).expect("a file");
    fs::remove_file(publishing.repo.path().join("options")).expect("a file");
    fetcher.run(&["run"]).expect(0);
    let options = publishing.repo.options();
    for option in [
        "merge_request.create",
        "merge_request.target=main",
        "merge_request.title=Update a.bst",
        "merge_request.remove_source_branch",
        "merge_request.label=update",
        "merge_request.assign=alice",
        "merge_request.draft",
    ] {
        assert!(options.iter().any(|told| told == option), "{option}: {options:?}");
    }
    let body = options.iter().find(|option| option.starts_with("merge_request.description=")).expect("a text");
    assert!(body.contains("\\n| `a.bst` | `aaaaaaaaaaaa` | `111111111111` |"), "{body}");
    let request = &fetcher.report()["branches"][0]["publication"]["requests"][0];
    assert_eq!(request["url"], "https://gitlab.example.org/group/project/-/merge_requests/7");

    let pushes = publishing.repo.pushes();
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), publishing.repo.pushes()), (vec!["unknown".to_owned()], pushes));
}

#[test]
fn nothing_is_pushed_while_a_merge_bot_is_at_work_but_where_it_conflicts() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved(A)).gitlab();
    let publish = "mode = \"merge-request\"\nforge = \"gitlab\"\nassignees = [\"marge-bot\"]";
    let fetcher = publishing.fetcher(publish, "");
    fetcher.run(&["run"]).expect(0);
    let tip = publishing.repo.tip(BRANCH);
    publishing.fake.now(&moved(&"2".repeat(40)));
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), publishing.repo.tip(BRANCH)), (vec!["merging".to_owned()], tip.clone()));

    let other = publishing.repo.clone_of(&scratch, "other", "main");
    other.write("elements/a.bst", &publishing.element("main", "a").replace(&"a".repeat(40), &"3".repeat(40)));
    other.commit("Another ref");
    other.git(&["push", "--quiet", "origin", "main"]);
    fetcher.run(&["run"]).expect(0);
    assert_eq!(statuses(&fetcher), ["pushed"]);
    assert_ne!(publishing.repo.tip(BRANCH), tip);
}

/// Somebody adds a commit to the branch that was published.
fn humans_commit(publishing: &Publishing<'_>, scratch: &Scratch) -> Repo {
    let human = publishing.repo.clone_of(scratch, "human", BRANCH);
    human.write("elements/b.bst", "kind: manual\n");
    human.commit("Mend what the new version breaks");
    human.git(&["push", "--quiet", "origin", BRANCH]);
    human
}

#[test]
fn a_humans_commit_pauses_a_branch() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved(A));
    let fetcher = publishing.fetcher("mode = \"branch\"", "");
    fetcher.run(&["run"]).expect(0);
    let human = humans_commit(&publishing, &scratch);
    let tip = Some(human.git(&["rev-parse", "HEAD"]));
    publishing.fake.now(&moved(&"2".repeat(40)));
    for _ in 0..2 {
        fetcher.run(&["run"]).expect(0);
        assert_eq!((statuses(&fetcher), publishing.repo.tip(BRANCH)), (vec!["paused".to_owned()], tip.clone()));
        assert_eq!(kinds(&stage(&fetcher)["findings"]), ["human-commits"]);
    }
    // Amending a commit of ours keeps its author and its trailers, and it is somebody's all the same.
    human.git(&["reset", "--quiet", "--hard", "HEAD~"]);
    human.write("elements/new.bst", "kind: manual\n");
    human.git(&["add", "--all"]);
    human.git(&["commit", "--quiet", "--amend", "--no-edit"]);
    human.git(&["push", "--quiet", "--force", "origin", BRANCH]);
    let tip = Some(human.git(&["rev-parse", "HEAD"]));
    fs::remove_dir_all(scratch.path("state")).expect("a directory");
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), publishing.repo.tip(BRANCH)), (vec!["paused".to_owned()], tip));
}

#[test]
fn what_is_new_goes_on_top_of_a_humans_commit_or_beside_it() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved(A));
    publishing.fetcher("mode = \"branch\"", "").run(&["run"]).expect(0);
    let human = humans_commit(&publishing, &scratch).git(&["rev-parse", "HEAD"]);
    let two = "2".repeat(40);
    publishing.fake.now(&moved(&two));
    let fetcher = publishing.fetcher("mode = \"branch\"\non-human-commits = \"new\"", "");
    fetcher.run(&["run"]).expect(0);
    let beside = format!("{BRANCH}+2");
    assert_eq!(publishing.repo.branches(), [BRANCH, &beside, "main"]);
    assert!(publishing.element(&beside, "a").contains(&two) && publishing.repo.tip(BRANCH) == Some(human.clone()));
    fetcher.run(&["run"]).expect(0);
    assert_eq!(statuses(&fetcher), ["open"]);

    publishing.repo.git(&["update-ref", "-d", &format!("refs/heads/{beside}")]);
    let fetcher = publishing.fetcher("mode = \"branch\"\non-human-commits = \"stack\"", "");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(publishing.repo.git(&["rev-parse", &format!("{BRANCH}~")]), human, "on top");
    assert!(publishing.element(BRANCH, "a").contains(&two));
    fetcher.run(&["run"]).expect(0);
    assert_eq!(statuses(&fetcher), ["open"]);
}

#[test]
fn only_what_is_cached_is_published_and_a_moved_tag_never_silently() {
    let scratch = Scratch::new();
    let failing = "fails() { [ $command = fetch ] && [ $1 = b.bst ] && text='HTTP Error 404: Not Found'; }\n";
    let publishing = Publishing::new(&scratch, &(both(A, &"2".repeat(40)) + failing));
    let fetcher = publishing.fetcher("mode = \"branch\"", "");
    fetcher.run(&["run"]).expect(1);
    assert!(publishing.element(BRANCH, "a").contains(A));
    assert_eq!(publishing.element(BRANCH, "b"), publishing.element("main", "b"));
    let held = &fetcher.report()["branches"][0]["publication"]["held"];
    assert_eq!((&held[0]["element"], &held[0]["cause"]), (&"b.bst".into(), &"not-cached".into()), "{held:#}");

    // The tag of a.bst names another commit.
    let tag = |id: &str| format!("v1-0-g{}", id.repeat(40));
    publishing.fake.now(&moved(&tag("3")));
    let fetcher = publishing.fetcher("mode = \"commit\"", "");
    fetcher.run(&["run"]).expect(0);
    assert!(publishing.element("main", "a").contains(&tag("3")), "commits on the branch itself");
    let tip = publishing.repo.tip("main");
    publishing.fake.now(&moved(&tag("4")));
    fetcher.run(&["run"]).expect(0);
    assert_eq!((publishing.repo.tip("main"), kinds(&stage(&fetcher)["findings"])), (tip, vec!["moved-tag"]));
    let fetcher = publishing.fetcher("mode = \"commit\"\nmoved = \"publish\"", "");
    fetcher.run(&["run"]).expect(0);
    let message = publishing.repo.git(&["log", "-1", "--format=%B", "main"]);
    assert!(message.contains("(the tag was moved)"), "{message}");
}

#[test]
fn what_was_closed_is_not_proposed_again_until_it_changes() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved(A));
    let fetcher = publishing.fetcher("mode = \"branch\"", "");
    fetcher.run(&["run"]).expect(0);
    publishing.repo.git(&["update-ref", "-d", &format!("refs/heads/{BRANCH}")]);
    for _ in 0..2 {
        fetcher.run(&["run"]).expect(0);
        assert_eq!((statuses(&fetcher), publishing.repo.tip(BRANCH)), (vec!["closed".to_owned()], None));
        assert_eq!(kinds(&stage(&fetcher)["findings"]), ["request-closed"]);
    }
    publishing.fake.now(&moved(&"2".repeat(40)));
    fetcher.run(&["run"]).expect(0);
    assert_eq!(statuses(&fetcher), ["pushed"]);
}

#[test]
fn what_was_merged_and_taken_back_is_not_proposed_again_until_it_changes() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &both(A, A));
    let fetcher = publishing.fetcher("mode = \"branch\"", "");
    fetcher.run(&["run"]).expect(0);
    publishing.repo.merge(&scratch, BRANCH, "main");
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), publishing.repo.branches()), (vec!["merged".to_owned()], vec!["main".to_owned()]));
    let human = publishing.repo.clone_of(&scratch, "human", "main");
    let merged = publishing.element("main", "b");
    human.git(&["revert", "--no-edit", "-m", "1", "HEAD"]);
    // One of the two comes back at once.
    human.write("elements/b.bst", &merged);
    human.git(&["commit", "--quiet", "--all", "--amend", "--no-edit"]);
    human.git(&["push", "--quiet", "origin", "main"]);
    for _ in 0..2 {
        fetcher.run(&["run"]).expect(0);
        let report = fetcher.report();
        let held = report["branches"][0]["publication"]["held"].as_array().expect("a list").clone();
        let held: Vec<_> = held.iter().map(|held| (&held["element"], &held["cause"])).collect();
        assert_eq!(format!("{held:?}"), "[(String(\"a.bst\"), String(\"reverted\"))]");
        assert_eq!(kinds(&stage(&fetcher)["findings"]), ["request-closed"]);
        assert_eq!(publishing.repo.branches(), ["main"]);
        // Nor where nothing is remembered.
        fs::remove_dir_all(scratch.path("state")).expect("a directory");
    }
    publishing.fake.now(&both(&"2".repeat(40), A));
    fetcher.run(&["run"]).expect(0);
    assert_eq!(statuses(&fetcher), ["pushed"]);
}

#[test]
fn the_base_that_a_button_merges_into_a_branch_is_nobodys_commit() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved(A));
    let fetcher = publishing.fetcher("mode = \"branch\"", "");
    fetcher.run(&["run"]).expect(0);
    let moves_on = |name: &str| {
        let other = publishing.repo.clone_of(&scratch, name, "main");
        other.write("README", name);
        other.commit("Move on");
        other.git(&["push", "--quiet", "origin", "main"]);
        publishing.repo.clone_of(&scratch, &format!("{name}-button"), BRANCH)
    };
    let button = moves_on("one");
    button.git(&["merge", "--quiet", "--no-ff", "-m", "Merge branch 'main' into bst-fetcher/main", "origin/main"]);
    button.git(&["push", "--quiet", "origin", BRANCH]);
    // It has what it is to have: the branch stays.
    fetcher.run(&["run"]).expect(0);
    let tip = Some(button.git(&["rev-parse", "HEAD"]));
    assert_eq!((statuses(&fetcher), publishing.repo.tip(BRANCH)), (vec!["open".to_owned()], tip));
    publishing.fake.now(&moved(&"2".repeat(40)));
    fetcher.run(&["run"]).expect(0);
    assert_eq!(statuses(&fetcher), ["pushed"]);
    assert_eq!(publishing.repo.git(&["rev-list", "--count", &format!("main..{BRANCH}")]), "1");

    // What looks like it, and brings something else, is somebody's; so is a merge of anything else.
    let forged = moves_on("two");
    forged.git(&["merge", "--quiet", "--no-ff", "--no-commit", "origin/main"]);
    forged.write("elements/b.bst", "kind: manual\n");
    forged.git(&["add", "--all"]);
    forged.git(&["commit", "--quiet", "-m", "Merge branch 'main' into bst-fetcher/main"]);
    let other = publishing.repo.clone_of(&scratch, "three", BRANCH);
    other.git(&["checkout", "--quiet", "-b", "elsewhere", "origin/main"]);
    other.write("elements/b.bst", "kind: manual\n");
    other.commit("Something else");
    other.git(&["checkout", "--quiet", BRANCH]);
    other.git(&["merge", "--quiet", "--no-ff", "-m", "Merge branch 'main' into bst-fetcher/main", "elsewhere"]);
    for repo in [forged, other] {
        repo.git(&["push", "--quiet", "--force", "origin", BRANCH]);
        let tip = Some(repo.git(&["rev-parse", "HEAD"]));
        publishing.fake.now(&moved(&"3".repeat(40)));
        fetcher.run(&["run"]).expect(0);
        assert_eq!((statuses(&fetcher), publishing.repo.tip(BRANCH)), (vec!["paused".to_owned()], tip));
    }
}

#[test]
fn branches_of_our_own_are_never_followed() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved(A));
    let fetcher = publishing.fetcher("mode = \"branch\"", "branches = [\"*\"]");
    fetcher.run(&["run"]).expect(0);
    publishing.repo.git(&["branch", "feature", "main"]);
    // Somebody renamed another host's: its commits say what it was, and as what it may not be followed.
    let followed = |fetcher: &Fetcher<'_>| -> Vec<String> {
        let report = fetcher.report();
        let branches = report["branches"].as_array().expect("branches").clone();
        branches.iter().map(|branch| branch["branch"].as_str().unwrap_or_default().to_owned()).collect()
    };
    fetcher.run(&["run"]).expect(0);
    assert_eq!(followed(&fetcher), ["feature", "main"]);
    // Another configuration knows them by their commits.
    let other = publishing.fetcher("mode = \"none\"", "branches = [\"*\"]");
    other.run(&["run"]).expect(0);
    assert_eq!(followed(&other), ["feature", "main"]);

    let literal = publishing.fetcher("mode = \"branch\"", "branches = [\"main\", \"bst-fetcher/main\"]");
    let ended = literal.run(&["run"]).expect(3);
    assert!(ended.stderr().contains("those are never followed"), "{ended}");
}

#[test]
fn requests_by_element_wait_for_their_turn_and_groups_are_all_or_nothing() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &both(A, &"2".repeat(40)));
    let fetcher = publishing.fetcher("mode = \"branch\"\nper = \"element\"\nmax-open = 1", "");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(publishing.repo.branches(), ["bst-fetcher/main/a.bst", "main"]);
    let waits = [("a.bst", "pushed"), ("b.bst", "waiting")].map(|(unit, status)| (unit.to_owned(), status.to_owned()));
    assert_eq!(requests(&fetcher), waits);
    publishing.repo.merge(&scratch, "bst-fetcher/main/a.bst", "main");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(publishing.repo.branches(), ["bst-fetcher/main/b.bst", "main"]);

    let scratch = Scratch::new();
    let failing = "fails() { [ $command = fetch ] && [ $1 = b.bst ] && text='HTTP Error 404: Not Found'; }\n";
    let publishing = Publishing::new(&scratch, &(both(A, &"2".repeat(40)) + failing));
    let group = "group = [{ name = \"both\", elements = [\"?.bst\"] }]";
    let fetcher = publishing.fetcher("mode = \"branch\"\nper = \"group\"", group);
    fetcher.run(&["run"]).expect(1);
    assert_eq!(publishing.repo.branches(), ["main"]);
    publishing.fake.now(&both(A, &"2".repeat(40)));
    fetcher.run(&["run"]).expect(0);
    assert_eq!(publishing.repo.branches(), ["bst-fetcher/main/both", "main"]);
    assert_eq!(publishing.repo.git(&["rev-list", "--count", "main..bst-fetcher/main/both"]), "1");
}

#[test]
fn whatever_refuses_a_push_is_told_apart() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved(A));
    let fetcher = publishing.fetcher("mode = \"branch\"", "");
    for (words, kind) in [
        ("GitLab: You are not allowed to push code to protected branches on this project.", "branch-protected"),
        ("GitLab: Commit message does not follow the pattern 'x'", "publish-refused"),
        ("error: GH013: Repository rule violations found", "publish-refused"),
        ("You are not allowed to push code to this project.", "publish-denied"),
        ("error: GH001: Large files detected", "push-too-large"),
    ] {
        publishing.repo.hook("pre-receive", &format!("#!/bin/sh\necho \"{words}\" >&2\nexit 1\n"));
        fetcher.run(&["run"]).expect(1);
        assert_eq!(kinds(&stage(&fetcher)["failures"]), [kind], "{words}");
    }
    fs::remove_file(publishing.repo.path().join("hooks/pre-receive")).expect("a file");
    publishing.repo.git(&["branch", "bst-fetcher", "main"]);
    fetcher.run(&["run"]).expect(1);
    assert_eq!(kinds(&stage(&fetcher)["failures"]), ["branch-exists"]);
    publishing.repo.git(&["branch", "-D", "bst-fetcher"]);
    fetcher.run(&["run", "--no-publish"]).expect(0);
    assert_eq!(publishing.repo.branches(), ["main"]);
    fetcher.run(&["run"]).expect(0);
    assert_eq!(publishing.repo.branches(), [BRANCH, "main"]);
}
