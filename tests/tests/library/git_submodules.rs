//! Submodules: recursive, with relative addresses, addresses that change, and what a hostile project may try.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::fs;
use std::path::{Path, PathBuf};

use fetcher_core::CommitId;
use fetcher_core::git::{CheckoutResult, GitError, GitFailure, GitNote, Mirror};
use fetcher_tests::git_fixture::{Fixture, Repo, contents, fetch};

struct Checkouts<'f> {
    fixture: &'f Fixture,
    mirror: Mirror<'f>,
}

impl<'f> Checkouts<'f> {
    fn new(fixture: &'f Fixture, url: &str) -> Self {
        Self { fixture, mirror: fixture.mirror(url) }
    }

    fn tree(&self) -> PathBuf {
        self.fixture.path("slot/tree")
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.tree().join(path)).unwrap()
    }

    fn checkout(&self) -> Result<CheckoutResult, GitError> {
        let tip = fetch(&self.mirror, &["main"]).tips.remove(0);
        self.mirror.checkout(&self.fixture.path("slot"), &tip.commit, Some(&self.fixture.path("modules")))
    }
}

/// A superproject with a submodule at `lib/sub`, which has one of its own at `inner`; all addresses are relative.
fn nested(fixture: &Fixture) -> (Repo, Repo, Repo) {
    let (top, sub, inner) = (fixture.repo("host/top"), fixture.repo("host/sub"), fixture.repo("host/group/inner"));
    inner.write("inner.txt", "inner 1");
    let commit = inner.commit("inner");
    let commit = sub.submodule("../group/inner", "inner", &commit);
    top.submodule("../sub", "lib/sub", &commit);
    (top, sub, inner)
}

#[test]
fn submodules_are_checked_out_recursively_as_git_does_it() {
    let fixture = Fixture::new();
    let (top, ..) = nested(&fixture);
    let checkouts = Checkouts::new(&fixture, &top.url());
    checkouts.checkout().unwrap();
    let tree = checkouts.tree();
    let clone = fixture.path("clone").display().to_string();
    top.git(&["-c", "protocol.file.allow=always", "clone", "--quiet", "--recurse-submodules", &top.url(), &clone]);
    assert_eq!(contents(&tree), contents(Path::new(&clone)));
    for git_file in ["lib/sub/.git", "lib/sub/inner/.git"] {
        assert_eq!(fs::read(tree.join(git_file)).unwrap(), fs::read(Path::new(&clone).join(git_file)).unwrap());
    }
    for place in ["", "lib/sub", "lib/sub/inner"] {
        let place = tree.join(place).display().to_string();
        assert_eq!(top.git(&["-C", &place, "status", "--porcelain", "--ignored"]), "");
        let own = top.git(&["-C", &place, "rev-parse", "--show-toplevel"]);
        assert_eq!(own, place.trim_end_matches('/'));
    }
    fixture.runner.take();
    let again = checkouts.checkout().unwrap();
    assert_eq!((again.written, again.removed, again.notes), (0, 0, vec![]));
    assert_eq!(fixture.runner.count("fetch"), 0);
}

#[test]
fn rubbish_in_submodules_goes_and_so_do_submodules_that_are_no_more() {
    let fixture = Fixture::new();
    let (top, ..) = nested(&fixture);
    let checkouts = Checkouts::new(&fixture, &top.url());
    checkouts.checkout().unwrap();
    let before = contents(&checkouts.tree());
    let inner = checkouts.tree().join("lib/sub/inner");
    fs::write(inner.join("untracked"), "x").unwrap();
    fs::write(inner.join("inner.txt"), "changed").unwrap();
    fs::write(inner.join(".git"), "gitdir: /evil\n").unwrap();
    let outside = fixture.path("outside");
    fs::create_dir(&outside).unwrap();
    checkouts.checkout().unwrap();
    assert_eq!(contents(&checkouts.tree()), before);

    fs::remove_dir_all(&inner).unwrap();
    std::os::unix::fs::symlink(&outside, &inner).unwrap();
    checkouts.checkout().unwrap();
    assert_eq!((contents(&checkouts.tree()), contents(&outside)), (before, vec![]));

    let tip = top.tip("main");
    let without = checkouts.mirror.checkout(&fixture.path("slot"), &tip, None).unwrap();
    assert_eq!(fs::read_dir(without.path.join("lib/sub")).unwrap().count(), 0);
    checkouts.checkout().unwrap();

    top.git(&["rm", "--quiet", "--cached", "lib/sub"]);
    fs::remove_dir(top.path.join("lib/sub")).unwrap();
    top.write("lib/sub", "now a file");
    top.commit("no submodule");
    checkouts.checkout().unwrap();
    assert_eq!(checkouts.read("lib/sub"), "now a file");
    assert_eq!(fs::read_dir(fixture.path("slot/written")).unwrap().count(), 1);
}

#[test]
fn an_address_may_change_between_commits_and_the_commit_with_it() {
    let fixture = Fixture::new();
    let (top, sub, _) = nested(&fixture);
    let checkouts = Checkouts::new(&fixture, &top.url());
    checkouts.checkout().unwrap();
    let other = fixture.repo("elsewhere/other");
    other.write("other.txt", "other");
    let commit = other.commit("other");
    top.submodule("../../elsewhere/other", "lib/sub", &commit);
    fs::rename(&sub.path, fixture.path("host/gone")).unwrap();
    checkouts.checkout().unwrap();
    assert_eq!(checkouts.read("lib/sub/other.txt"), "other");
    assert!(!checkouts.tree().join("lib/sub/inner").exists());
}

#[test]
fn a_commit_that_no_branch_contains_is_had_by_its_id() {
    let fixture = Fixture::new();
    let (top, sub) = (fixture.repo("host/top"), fixture.repo("host/sub"));
    sub.git(&["checkout", "--quiet", "-b", "away"]);
    sub.write("away", "away");
    let commit = sub.commit("away");
    sub.git(&["checkout", "--quiet", "main"]);
    sub.git(&["branch", "--delete", "--force", "away"]);
    top.submodule("../sub", "sub", &commit);
    let checkouts = Checkouts::new(&fixture, &top.url());
    checkouts.checkout().unwrap();
    assert_eq!(checkouts.read("sub/away"), "away");
}

#[test]
fn a_server_that_gives_no_commit_by_its_id_gives_its_branches_and_tags() {
    let mut fixture = Fixture::new();
    let (top, sub) = (fixture.repo("host/top"), fixture.repo("host/sub"));
    let commit = sub.tip("HEAD");
    sub.commit("later");
    top.submodule("../sub", "sub", &commit);
    let config = fixture.path("home/.gitconfig");
    fs::write(&config, "[protocol]\nversion = 0\n").unwrap();
    fixture.environment.set("GIT_CONFIG_GLOBAL", &config);
    let checkouts = Checkouts::new(&fixture, &top.url());
    checkouts.checkout().unwrap();
    assert_eq!(fixture.runner.count("+refs/tags/*:refs/tags/*"), 1);
    let nowhere: CommitId = "1".repeat(40).parse().unwrap();
    top.submodule("../sub", "sub", &nowhere);
    let error = checkouts.checkout().unwrap_err();
    assert_eq!(error.failure(), GitFailure::RefMissing, "{error}");
}

#[test]
fn a_submodule_that_cannot_be_had_is_named_with_its_address() {
    let fixture = Fixture::new();
    let (top, sub, _) = nested(&fixture);
    fs::rename(&sub.path, fixture.path("gone")).unwrap();
    let error = Checkouts::new(&fixture, &top.url()).checkout().unwrap_err();
    assert_eq!(error.failure(), GitFailure::NotFound);
    let said = error.to_string();
    assert!(said.contains("\"lib/sub\"") && said.contains("../sub") && said.contains(&sub.url()), "{said}");

    top.git(&["rm", "--quiet", ".gitmodules"]);
    top.commit("forgotten");
    let error = Checkouts::new(&fixture, &top.url()).checkout().unwrap_err();
    assert_eq!(error.failure(), GitFailure::Repository);
    assert!(error.to_string().contains("\"lib/sub\"") && error.to_string().contains(".gitmodules"), "{error}");
}

#[test]
fn a_broken_mirror_of_a_submodule_is_made_anew() {
    let fixture = Fixture::new();
    let (top, ..) = nested(&fixture);
    let checkouts = Checkouts::new(&fixture, &top.url());
    checkouts.checkout().unwrap();
    let before = contents(&checkouts.tree());
    for mirror in fs::read_dir(fixture.path("modules")).unwrap().map(|entry| entry.unwrap().path()) {
        if mirror.is_dir() {
            for file in fs::read_dir(mirror.join("objects/pack")).unwrap() {
                fs::remove_file(file.unwrap().path()).unwrap();
            }
        }
    }
    fs::remove_dir_all(fixture.path("slot")).unwrap();
    let checked = checkouts.checkout().unwrap();
    assert_eq!(contents(&checkouts.tree()), before);
    assert_eq!(checked.notes.iter().filter(|note| matches!(note, GitNote::Rebuilt { .. })).count(), 2);
}

#[test]
fn many_branches_at_once_share_the_mirrors_of_their_submodules() {
    let fixture = Fixture::new();
    let (top, sub, _) = nested(&fixture);
    for at in 0..6 {
        top.git(&["checkout", "--quiet", "-B", &format!("b{at}"), "main"]);
        sub.write("at", &at.to_string());
        let commit = sub.commit("at");
        top.submodule("../sub", "lib/sub", &commit);
    }
    let mirror = fixture.mirror(top.url());
    let tips = fetch(&mirror, &["b*"]).tips;
    std::thread::scope(|scope| {
        for tip in &tips {
            let (mirror, fixture) = (&mirror, &fixture);
            scope.spawn(move || {
                let (slot, modules) = (fixture.path(&tip.branch.slug()), fixture.path("modules"));
                let checked = mirror.checkout(&slot, &tip.commit, Some(&modules)).unwrap();
                let at = fs::read_to_string(checked.path.join("lib/sub/at")).unwrap();
                assert_eq!(format!("b{at}"), tip.branch.as_str());
                assert!(checked.path.join("lib/sub/inner/inner.txt").exists());
            });
        }
    });
}

#[test]
fn what_a_hostile_gitmodules_says_runs_nothing_and_leads_nowhere() {
    let fixture = Fixture::new();
    let sub = fixture.repo("host/sub");
    let commit = sub.tip("HEAD");
    let ran = fixture.path("ran");
    for (key, value) in [
        ("url", format!("ext::touch {}", ran.display())),
        ("url", "-u./evil".to_owned()),
        ("url", "--upload-pack=touch x".to_owned()),
        ("url", "../../../../../../../../../../../../etc".to_owned()),
        ("url", "ssh://-oProxyCommand=touch/x".to_owned()),
        ("url", String::new()),
    ] {
        let top = fixture.repo("host/top");
        top.submodule("../sub", "sub", &commit);
        top.git(&["config", "--file", ".gitmodules", &format!("submodule.sub.{key}"), &value]);
        top.commit("hostile");
        let error = Checkouts::new(&fixture, &top.url()).checkout().unwrap_err();
        assert_eq!(error.failure(), GitFailure::Repository, "{value}: {error}");
        assert!(error.to_string().contains("\"sub\""), "{error}");
        fs::remove_dir_all(&top.path).unwrap();
    }
    let top = fixture.repo("host/top");
    top.write(".gitmodules", "[submodule \"../../../escape\"]\n path = sub\n url = ../sub\n update = !touch ran\n");
    top.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},sub")]);
    top.git(&["add", ".gitmodules"]);
    top.git(&["commit", "--quiet", "-m", "name"]);
    let checkouts = Checkouts::new(&fixture, &top.url());
    let error = checkouts.checkout().unwrap_err();
    assert!(error.to_string().contains("name in .gitmodules"), "{error}");
    assert!(!fixture.path("escape").exists() && !fixture.path("slot/escape").exists());

    let two = "[submodule \"s\"]\npath = sub\nurl = ../sub\n[submodule \"s/HEAD\"]\npath = tub\nurl = ../sub\n";
    top.write(".gitmodules", two);
    top.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},tub")]);
    top.git(&["add", ".gitmodules"]);
    top.git(&["commit", "--quiet", "-m", "collision"]);
    let error = checkouts.checkout().unwrap_err();
    assert!(error.to_string().contains("collides"), "{error}");
    top.git(&["rm", "--quiet", "--cached", "tub"]);

    top.write(".gitmodules", "[submodule \"s\"]\n path = sub\n url = ../sub\n update = !touch ran\n");
    top.git(&["add", ".gitmodules"]);
    top.git(&["commit", "--quiet", "-m", "update"]);
    checkouts.checkout().unwrap();
    assert_eq!(checkouts.read("sub/project.conf"), "name: host-sub\n");
    assert!(!ran.exists());

    top.write(".gitmodules", "[submodule \"s\"]\n path = sub\n url = ../sub\n update = none\n");
    top.git(&["add", ".gitmodules"]);
    top.git(&["commit", "--quiet", "-m", "none"]);
    let checked = checkouts.checkout().unwrap();
    assert_eq!(checked.notes, [GitNote::SubmoduleLeftOut { path: "sub".into() }]);
    assert_eq!(fs::read_dir(checked.path.join("sub")).unwrap().count(), 0);
}

#[test]
fn submodules_without_end_are_refused() {
    let fixture = Fixture::new();
    let repos: Vec<_> = (0..13).map(|at| fixture.repo(&format!("host/r{at}"))).collect();
    for at in (0..12).rev() {
        repos[at].submodule(&format!("../r{}", at + 1), "next", &repos[at + 1].tip("HEAD"));
    }
    let error = Checkouts::new(&fixture, &repos[0].url()).checkout().unwrap_err();
    assert!(error.to_string().contains("too many"), "{error}");
    Checkouts::new(&fixture, &repos[3].url()).checkout().unwrap();
}
