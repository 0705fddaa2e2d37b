//! Nothing is published with which the project does not load, or whose patches do not apply, and the rest is.

use std::fs;

use fetcher_core::CommitId;
use fetcher_tests::bst;
use fetcher_tests::cachedir::hash;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::git_fixture::Repo;
use fetcher_tests::project::Project;
use fetcher_tests::published::{PublishedRepo, kinds, publish_stage};
use fetcher_tests::scratch::Scratch;
use serde_json::Value;

/// The project's repository as a forge has it, with its submodule beside it.
fn published(scratch: &Scratch, project: &Project) -> PublishedRepo {
    let published = PublishedRepo::of(scratch, &project.repo);
    let vendored = scratch.path("up/vendored").display().to_string();
    published.git(&[
        "clone",
        "--quiet",
        "--bare",
        &vendored,
        &scratch.path("srv/group/vendored").display().to_string(),
    ]);
    published
}

fn config(published: &PublishedRepo, publish: &str, project: &str) -> String {
    format!(
        "[buildstream]\ncommand = ['{}']\npass-environment = [\"BUILDBOX_STAGER\"]\n\n[[project]]\nname = \"example\"\nurl = \"{}\"\nbranches = [\"main\"]\n\
         targets = [\"all.bst\", \"sub.bst\"]\nretries = 0\n{project}\n[project.publish]\nmode = \"branch\"\n\
         author = \"Fetcher <fetcher@example.org>\"\n{publish}\n",
        bst::bst().display(),
        published.url(),
    )
}

fn text(scratch: &Scratch, file: &str) -> String {
    fs::read_to_string(scratch.path(file)).expect("a file")
}

/// The program. Patches are applied in a copy of the sources, so that the host needs no FUSE.
fn fetcher_of(scratch: &Scratch, config: String) -> Fetcher<'_> {
    Fetcher::new(scratch).config(config).env("BUILDBOX_STAGER", "copy-or-link")
}

/// What is held back, with its cause and reason.
fn held(fetcher: &Fetcher<'_>) -> Vec<[String; 3]> {
    let report = fetcher.report();
    let held = report["branches"][0]["publication"]["held"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    held.iter().map(|held| ["element", "cause", "reason"].map(|key| text(&held[key]))).collect()
}

fn elements(held: &[[String; 3]]) -> Vec<(&str, &str)> {
    held.iter().map(|[element, cause, _]| (element.as_str(), cause.as_str())).collect()
}

/// Of what lies behind the junction, as people have it who wait for upstream.
const PATCH: &str = "--- a/elements/lib.bst\n+++ b/elements/lib.bst\n@@ -1,2 +1,2 @@\n-kind: import\n+kind: import # patched\n \
                     sources:\n";

/// Lets the patch not apply any more.
fn begin_otherwise(scratch: &Scratch, project: &Project) -> CommitId {
    let element = text(scratch, "up/sub/elements/lib.bst").replace("kind: import", "kind:   import");
    project.sub.write("elements/lib.bst", &element);
    project.sub.commit("Begin otherwise")
}

#[test]
fn a_junction_with_which_nothing_loads_is_held_back_and_the_rest_is_published() {
    const BRANCH: &str = "bst-fetcher/main";
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let conf = text(&scratch, "up/project/project.conf").replace("[git]", "[git, patch]");
    project.repo.write("project.conf", &conf);
    project.repo.write("patches/sub.patch", PATCH);
    let junction = text(&scratch, "up/project/elements/sub.bst") + "- kind: patch\n  path: patches/sub.patch\n";
    project.repo.write("elements/sub.bst", &junction);
    project.repo.commit("Patch it");
    let published = published(&scratch, &project);
    let group = "[[project.group]]\nname = \"core\"\nelements = [\"sub.bst\", \"flavoured.bst\"]\n";
    let fetcher = fetcher_of(&scratch, config(&published, "", group));
    fetcher.run(&["run"]).expect(0);
    assert!(held(&fetcher).is_empty(), "{:?}", held(&fetcher));
    published.merge(&scratch, BRANCH, "main");
    // The patch does not apply any more, and another upstream moves.
    let begun = begin_otherwise(&scratch, &project);
    project.hello.git(&["checkout", "--quiet", "sweet"]);
    project.hello.write("flavour", "sweeter");
    project.hello.commit("Sweeter");
    project.hello.git(&["checkout", "--quiet", "main"]);
    project.hello.write("hello.c", "int main(void) { return 1; }\n");
    let moved = project.hello.commit("Move");
    fetcher.run(&["run"]).expect(0);
    assert!(published.file(BRANCH, "elements/git.bst").contains(moved.as_str()), "the rest is published");
    assert_eq!(published.file(BRANCH, "elements/sub.bst"), published.file("main", "elements/sub.bst"));
    let found = held(&fetcher);
    // What is in its group is held back with it.
    assert_eq!(elements(&found), [("flavoured.bst", "group"), ("sub.bst", "broken")], "{found:?}");
    assert!(found[1][2].contains("nothing loads with it"), "{found:?}");
    let report = fetcher.report();
    let stages = report["branches"][0]["stages"].as_array().expect("stages");
    let findings: Vec<_> = stages.iter().flat_map(|stage| kinds(&stage["findings"])).collect();
    assert_eq!(findings, ["update-breaks"], "told once: {report:#}");
    // The next run finds the same, until somebody mends the patch with the ref that it is for.
    fetcher.run(&["run"]).expect(0);
    assert_eq!(elements(&held(&fetcher)), [("flavoured.bst", "group"), ("sub.bst", "broken")]);
    let mended = published.clone_of(&scratch, "mended", "main");
    mended.write("patches/sub.patch", &PATCH.replace("-kind: import", "-kind:   import"));
    let junction = text(&scratch, "mended/elements/sub.bst");
    let old = junction.lines().find_map(|line| line.trim().strip_prefix("ref: ")).expect("a ref");
    mended.write("elements/sub.bst", &junction.replace(old, begun.as_str()));
    mended.commit("Mend the patch");
    mended.git(&["push", "--quiet", "origin", "main"]);
    fetcher.run(&["run"]).expect(0);
    assert!(held(&fetcher).is_empty(), "{:?}", held(&fetcher));
    let changed = published.git(&["diff", "--name-only", "main", BRANCH]);
    assert_eq!(changed, "elements/flavoured.bst\nelements/git.bst");
}

#[test]
fn what_breaks_another_base_alone_is_held_back_there() {
    const BRANCH: &str = "bst-fetcher/testing";
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let conf = text(&scratch, "up/project/project.conf").replace("[git]", "[git, patch]");
    project.repo.write("project.conf", &conf);
    project.repo.commit("Allow patches");
    project.sub.write("elements/extra.bst", "kind: stack\n");
    project.sub.commit("More");
    let published = published(&scratch, &project);
    let fetcher = fetcher_of(&scratch, config(&published, "", ""));
    fetcher.run(&["run"]).expect(0);
    published.merge(&scratch, "bst-fetcher/main", "main");
    // The base has a patch, and needs something from behind the junction, that the tracked branch has not.
    let testing = published.clone_of(&scratch, "testing", "main");
    testing.git(&["checkout", "--quiet", "-b", "testing"]);
    let patch =
        "--- a/hello.c\n+++ b/hello.c\n@@ -1 +1 @@\n-int main(void) { return 0; }\n+int main(void) { return 2; }\n";
    testing.write("patches/hello.patch", patch);
    let element = text(&scratch, "testing/elements/git.bst") + "- kind: patch\n  path: patches/hello.patch\n";
    testing.write("elements/git.bst", &element);
    let all = text(&scratch, "testing/elements/all.bst")
        .replace("'sub.bst:lib.bst'", "'sub.bst:lib.bst', 'sub.bst:extra.bst'");
    testing.write("elements/all.bst", &all);
    testing.commit("Our own things");
    testing.git(&["push", "--quiet", "origin", "testing"]);
    project.hello.write("hello.c", "int main(void) { return 1; }\n");
    project.hello.commit("Move");
    project.hello.git(&["checkout", "--quiet", "sweet"]);
    project.hello.write("flavour", "sweeter");
    let sweeter = project.hello.commit("sweeter");
    project.sub.git(&["rm", "--quiet", "elements/extra.bst"]);
    project.sub.commit("Less");
    let fetcher = fetcher_of(&scratch, config(&published, "base = \"testing\"", ""));
    fetcher.run(&["run"]).expect(0);
    let found = held(&fetcher);
    assert_eq!(elements(&found), [("git.bst", "broken"), ("sub.bst", "broken")], "{found:?}");
    assert!(found[0][2].contains("cannot be put together on the base"), "{found:?}");
    assert!(found[1][2].contains("does not load") && found[1][2].contains("extra.bst"), "{found:?}");
    assert_eq!(kinds(&publish_stage(&fetcher)["findings"]), ["update-breaks", "update-breaks"]);
    assert!(published.file(BRANCH, "elements/flavoured.bst").contains(sweeter.as_str()), "the rest is published");
    assert_eq!(published.git(&["diff", "--name-only", "testing", BRANCH]), "elements/flavoured.bst");
    // By hand it is the same, and the text of the request says so.
    let shown = fetcher.run(&["publish", "--dry-run"]).expect(0).stdout();
    assert!(shown.contains("sub.bst"), "{shown}");
}

#[test]
fn a_junction_of_which_the_ref_is_stored_is_held_back_and_what_is_stored_beside_it_is_published() {
    const BRANCH: &str = "bst-fetcher/main";
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let conf = text(&scratch, "up/project/project.conf").replace("[git]", "[git, patch]");
    project.repo.write("project.conf", &format!("{conf}ref-storage: project.refs\n"));
    project.repo.write("patches/sub.patch", PATCH);
    let junction = text(&scratch, "up/project/elements/sub.bst") + "- kind: patch\n  path: patches/sub.patch\n";
    project.repo.write("elements/sub.bst", &junction);
    project.repo.write("elements/fixed.bst", "kind: junction\nsources:\n- kind: git\n  url: up:fixed\n  track: main\n");
    // Written by hand, not as bst writes.
    let fixed = Repo::at(scratch.root(), "up/fixed");
    let junctions = |fixed: &str, sub: &str| {
        let fixed = format!("        fixed.bst:\n        - ref: {fixed}\n");
        format!(
            "# Ours\nprojects:\n    example:\n{fixed}        sub.bst:   # with a patch\n        -   ref:   '{sub}'\n"
        )
    };
    let [fixed_ref, sub_ref] = [&fixed, &project.sub].map(|repo| repo.tip("main").to_string());
    project.repo.write("junction.refs", &junctions(&fixed_ref, &sub_ref));
    let refs = |git: &str, flavoured: &str, tar: &str| {
        let flavoured = format!("    flavoured.bst:\n    -   ref: {flavoured} # sweet\n");
        format!("projects:\n  example:\n    git.bst:\n    - ref: {git}\n{flavoured}    tar.bst:\n    - ref: {tar}\n")
    };
    let [main, sweet] = ["main", "sweet"].map(|branch| project.hello.tip(branch).to_string());
    let tar = hash(&fs::read(scratch.path("files/pkg-1.tar.gz")).expect("a tar file"));
    project.repo.write("project.refs", &refs(&main, &sweet, &tar));
    project.repo.commit("Refs in files");
    let published = published(&scratch, &project);
    let group = "[[project.group]]\nname = \"core\"\nelements = [\"sub.bst\", \"flavoured.bst\"]\n";
    let config = config(&published, "", group).replace("\"sub.bst\"]\n", "\"sub.bst\", \"fixed.bst\"]\n");
    let fetcher = fetcher_of(&scratch, config);
    // The patch does not apply any more; another junction, one of the group and one more move.
    let begun = begin_otherwise(&scratch, &project);
    fixed.write("README", "Fixed\n");
    let fixed_moved = fixed.commit("Explain");
    project.hello.git(&["checkout", "--quiet", "sweet"]);
    project.hello.write("flavour", "sweeter");
    let sweeter = project.hello.commit("Sweeter");
    project.hello.git(&["checkout", "--quiet", "main"]);
    project.hello.write("hello.c", "int main(void) { return 1; }\n");
    let moved = project.hello.commit("Move");
    let expected = [junctions(fixed_moved.as_str(), &sub_ref), refs(moved.as_str(), &sweet, &tar)];
    let mut tips = Vec::new();
    for run in ["first", "second"] {
        fetcher.run(&["run"]).expect(0);
        let found = held(&fetcher);
        assert_eq!(elements(&found), [("flavoured.bst", "group"), ("sub.bst", "broken")], "{run}: {found:?}");
        assert!(found[0][2].contains("together with sub.bst"), "{run}: {found:?}");
        assert!(found[1][2].contains("nothing loads with it"), "{run}: {found:?}");
        let tree = ["junction.refs", "project.refs"]
            .map(|file| text(&scratch, &format!("cache/checkouts/example/main/tree/{file}")));
        assert_eq!(tree, expected, "{run}: what is taken back is as it was committed");
        let there = ["junction.refs", "project.refs"].map(|file| published.file(BRANCH, file));
        assert_eq!(there, expected, "{run}: the rest is published");
        let report = fetcher.report();
        let stages = report["branches"][0]["stages"].as_array().expect("stages");
        let findings: Vec<_> = stages.iter().flat_map(|stage| kinds(&stage["findings"])).collect();
        assert_eq!(findings, ["update-breaks"], "{run}: told once: {report:#}");
        tips.push(published.git(&["rev-parse", BRANCH]));
        let tracked = stages.iter().filter(|stage| stage["stage"] == "fetch" && stage["refs"] == "tracked");
        let idle: Vec<_> = tracked.map(|stage| stage["elements"]["processed"].as_u64() == Some(0)).collect();
        assert_eq!(idle, [run == "second"], "{run}: what moved is fetched once: {report:#}");
    }
    assert_eq!(tips[0], tips[1], "nothing is published twice");
    // Somebody mends the patch with the ref that it is for.
    let mended = published.clone_of(&scratch, "mended", "main");
    mended.write("patches/sub.patch", &PATCH.replace("-kind: import", "-kind:   import"));
    mended.write("junction.refs", &junctions(&fixed_ref, begun.as_str()));
    mended.commit("Mend the patch");
    mended.git(&["push", "--quiet", "origin", "main"]);
    fetcher.run(&["run"]).expect(0);
    assert!(held(&fetcher).is_empty(), "{:?}", held(&fetcher));
    assert_eq!(published.file(BRANCH, "junction.refs"), junctions(fixed_moved.as_str(), begun.as_str()));
    assert!(published.file(BRANCH, "project.refs").contains(sweeter.as_str()));
}
