//! The whole way with the real BuildStream: upstream moves, a request appears, and who builds its branch finds every
//! source in the cache, with upstream gone.

use std::fs;
use std::process::Command;

use fetcher_tests::client::{Client, remotes};
use fetcher_tests::daemon::Daemon;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::project::Project;
use fetcher_tests::published::PublishedRepo;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::{bst, casd};

const BRANCH: &str = "bst-fetcher/main";

fn config(published: &PublishedRepo, cache: &Daemon, mode: &str) -> String {
    format!(
        "[buildstream]\ncommand = ['{}']\n\n[[project]]\nname = \"example\"\nurl = \"{}\"\ntargets = [\"all.bst\"]\nretries = 0\n\
         variants = [\n  {{ name = \"sweet\", options = {{ flavour = \"sweet\" }} }},\n  \
         {{ name = \"sour\", options = {{ flavour = \"sour\" }} }},\n]\n\n\
         [project.publish]\nmode = \"{mode}\"\nforge = \"gitlab\"\nauthor = \"Fetcher <fetcher@example.org>\"\n\n\
         [[project.source-caches]]\nurl = \"{}\"\npush = true\n",
        bst::bst().display(),
        published.url(),
        cache.url()
    )
}

/// The project's repository as a forge has it, with its submodule beside it.
fn published(scratch: &Scratch, project: &Project) -> PublishedRepo {
    let published = PublishedRepo::of(scratch, &project.repo).gitlab();
    let vendored = scratch.path("up/vendored").display().to_string();
    let target = scratch.path("srv/group/vendored").display().to_string();
    published.git(&["clone", "--quiet", "--bare", &vendored, &target]);
    published
}

#[test]
fn upstream_moves_a_request_appears_and_its_branch_needs_no_upstream() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let published = published(&scratch, &project);
    let fetcher = Fetcher::new(&scratch).config(config(&published, &cache, "merge-request"));
    fetcher.run(&["run"]).expect(0);
    let options = published.options();
    assert!(options.contains(&"merge_request.target=main".to_owned()), "{options:?}");
    let report = fetcher.report();
    let request = &report["branches"][0]["publication"]["requests"][0];
    assert_eq!(request["status"], "pushed", "{report:#}");
    // The refs alone are added, each where its source is.
    let tip = project.hello.tip("main");
    let element = published.file(BRANCH, "elements/git.bst");
    assert_eq!(element, published.file("main", "elements/git.bst") + &format!("  ref: {tip}\n"));
    for (flavour, element) in
        ["sweet", "sour"].map(|flavour| (flavour, published.file(BRANCH, "elements/flavoured.bst")))
    {
        assert!(element.contains(project.hello.tip(flavour).as_str()), "{flavour}: {element}");
    }
    let diff = published.git(&["diff", "--numstat", "main", BRANCH]);
    assert!(diff.lines().all(|line| line.split('\t').nth(1) == Some("0")), "nothing is taken away: {diff}");

    // It is merged, and upstream moves on.
    published.merge(&scratch, BRANCH, "main");
    project.hello.write("hello.c", "int main(void) { return 1; }\n");
    let moved = project.hello.commit("Move");
    fetcher.run(&["run"]).expect(0);
    let element = published.file(BRANCH, "elements/git.bst");
    assert_eq!(element, published.file("main", "elements/git.bst").replace(tip.as_str(), moved.as_str()));
    assert_eq!(published.git(&["rev-list", "--count", &format!("main..{BRANCH}")]), "1");
    assert_eq!(published.git(&["diff", "--name-only", "main", BRANCH]), "elements/git.bst");

    project.hide_upstreams(&scratch);
    let tree = published.clone_of(&scratch, "built", BRANCH);
    fs::remove_dir_all(tree.path.join("vendored")).ok();
    let vendored = scratch.path("cache/checkouts/example/main/tree/vendored");
    let copied = Command::new("cp").arg("-r").arg(vendored).arg(tree.path.join("vendored")).status().expect("cp");
    assert!(copied.success());
    let client = Client::new(&scratch, "client", &tree.path, &remotes(cache.url(), "")).without_upstreams();
    for element in ["sub.bst", "fixed.bst", "all.bst"] {
        client.fetch(element);
    }
    let source = fs::read_to_string(client.sources("git.bst").join("git/hello.c")).expect("the source");
    assert!(source.contains("return 1"), "as upstream has it now: {source}");
}

#[test]
fn what_is_committed_is_what_bst_itself_makes_of_it() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let published = published(&scratch, &project);
    let text = config(&published, &cache, "branch").replace("forge = \"gitlab\"", "format = \"bst\"");
    Fetcher::new(&scratch).config(&text).run(&["run"]).expect(0);
    for name in ["git.bst", "flavoured.bst", "sub.bst", "tar.bst"] {
        let tracked = scratch.path(&format!("cache/checkouts/example/main/tree/elements/{name}"));
        let written = fs::read_to_string(tracked).expect("a tracked element");
        assert_eq!(published.file(BRANCH, &format!("elements/{name}")).trim_end(), written.trim_end(), "{name}");
    }
    // Tracking what was published finds nothing to change.
    published.merge(&scratch, BRANCH, "main");
    let fetcher = Fetcher::new(&scratch).config(text);
    fetcher.run(&["run"]).expect(0);
    assert_eq!(published.branches(), ["main", "stable"]);
    let refs = &fetcher.report()["branches"][0]["changes"];
    assert_eq!(refs.as_array().map(Vec::len), Some(0), "{refs:#}");
}
