//! Mirrors of real repositories: listing, choosing and fetching branches, and what can break them.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use fetcher_core::git::{GitFailure, select};
use fetcher_tests::git_fixture::{Fixture, Repo, chosen, contents, fetch};

fn names(fetched: &fetcher_core::git::FetchSummary) -> Vec<&str> {
    fetched.tips.iter().map(|tip| tip.branch.as_str()).collect()
}

#[test]
fn many_branches_take_one_listing_and_one_fetch_and_none_when_nothing_moved() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    for branch in ["release/1", "release/2", "release/old/3", "wip"] {
        repo.git(&["branch", branch]);
    }
    let mirror = fixture.mirror(repo.url());
    let first = fetch(&mirror, &["main", "release/*"]);
    assert_eq!(names(&first), ["main", "release/1", "release/2", "release/old/3"]);
    assert!(first.asked && first.rebuilt.is_none());
    assert_eq!(fixture.runner.take().len(), 2);

    let second = fetch(&mirror, &["main", "release/*"]);
    assert!(!second.asked);
    assert_eq!(fixture.runner.take().len(), 1, "only the listing");

    repo.write("a", "a");
    let tip = repo.commit("second");
    let third = fetch(&mirror, &[]);
    assert_eq!((names(&third), &third.tips[0].commit), (vec!["main"], &tip));
    let refs = fs::read_to_string(fixture.path("mirror/packed-refs")).unwrap();
    assert_eq!(refs.lines().skip(1).collect::<Vec<_>>(), [format!("{tip} refs/heads/main")], "the others are dropped");
}

#[test]
fn branches_that_are_rewritten_deleted_made_again_or_become_directories_are_followed() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    let mirror = fixture.mirror(repo.url());
    let checked = |branch: &str| {
        let fetched = fetch(&mirror, &["*"]);
        let tip = fetched.tips.iter().find(|tip| tip.branch.as_str() == branch).expect("the branch");
        assert_eq!(tip.commit, repo.tip(branch));
        let checked = mirror.checkout(&fixture.path("slot"), &tip.commit, None).unwrap();
        fs::read_to_string(checked.path.join("file")).unwrap()
    };
    repo.git(&["checkout", "--quiet", "-b", "a"]);
    repo.write("file", "one");
    repo.commit("one");
    assert_eq!(checked("a"), "one");

    repo.write("file", "two");
    repo.git(&["commit", "--quiet", "--all", "--amend", "--message", "forced"]);
    assert_eq!(checked("a"), "two");

    repo.git(&["branch", "--move", "a", "a/b"]);
    assert_eq!(checked("a/b"), "two");

    repo.git(&["checkout", "--quiet", "main"]);
    repo.git(&["branch", "--delete", "--force", "a/b"]);
    assert_eq!(names(&fetch(&mirror, &["*"])), ["main"]);
    assert_eq!(chosen(&mirror, &["a/b"]).missing[0].name, "a/b");

    repo.git(&["checkout", "--quiet", "--orphan", "a"]);
    repo.write("file", "three");
    repo.commit("other root");
    assert_eq!(checked("a"), "three");
}

#[test]
fn a_branch_that_moves_or_vanishes_between_listing_and_fetch_is_followed() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    repo.git(&["branch", "gone"]);
    repo.git(&["branch", "moved"]);
    for branch in ["gone", "moved"] {
        repo.git(&["checkout", "--quiet", branch]);
        repo.commit(branch);
    }
    let mirror = fixture.mirror(repo.url());
    let listed = chosen(&mirror, &["*"]);
    repo.git(&["commit", "--quiet", "--amend", "--allow-empty", "--message", "rewritten"]);
    repo.git(&["branch", "--delete", "--force", "gone"]);
    repo.git(&["reflog", "expire", "--expire=now", "--all"]);
    repo.git(&["gc", "--quiet", "--prune=now"]);
    let fetched = mirror.fetch(&listed.tips).unwrap();
    assert_eq!(names(&fetched), ["main", "moved"]);
    assert_eq!(fetched.tips[1].commit, repo.tip("moved"));
    assert_eq!(fetched.gone[0].branch.as_str(), "gone");
    assert_eq!(fetched.rebuilt, None);
}

#[test]
fn repositories_without_a_default_branch_say_so() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    let reason = |url: &str| {
        let refs = fixture.mirror(url).remote_refs().unwrap();
        let error = select(&[], &[], &refs).unwrap_err();
        assert_eq!(error.failure(), GitFailure::Configuration);
        error.to_string()
    };
    repo.git(&["checkout", "--quiet", "--detach"]);
    assert!(reason(&repo.url()).contains("its HEAD is detached"));
    repo.git(&["symbolic-ref", "HEAD", "refs/heads/nothing"]);
    assert!(reason(&repo.url()).contains("its HEAD names a branch that is not there"));
    repo.git(&["init", "--quiet", "--bare", "empty"]);
    assert!(reason(&format!("{}/empty", repo.url())).contains("it has no branches"));
}

#[test]
fn what_a_killed_git_leaves_in_a_mirror_is_removed() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    let mirror = fixture.mirror(repo.url());
    fetch(&mirror, &["main"]);
    let leftovers = [
        "config.lock",
        "HEAD.lock",
        "packed-refs.lock",
        "shallow.lock",
        "gc.pid",
        "refs/heads/main.lock",
        "objects/pack/tmp_pack_x",
        "objects/info/commit-graph.lock",
    ];
    fs::create_dir_all(fixture.path("mirror/refs/heads")).unwrap();
    for name in leftovers {
        fs::write(fixture.path("mirror").join(name), "1 localhost").unwrap();
    }
    repo.commit("second");
    let fetched = fetch(&mirror, &["main"]);
    assert_eq!((fetched.rebuilt, &fetched.tips[0].commit), (None, &repo.tip("main")));
    for name in leftovers {
        assert!(!fixture.path("mirror").join(name).exists(), "{name}");
    }
}

/// Breaks a mirror that has `main`, lets the branch move, and gives why the mirror was made anew.
fn rebuilt_after(break_it: impl Fn(&Path)) -> Option<String> {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    repo.write("elements/a.bst", "kind: manual\n");
    repo.commit("element");
    let mirror = fixture.mirror(repo.url());
    fetch(&mirror, &["main"]);
    break_it(&fixture.path("mirror"));
    repo.write("elements/b.bst", "kind: manual\n");
    let tip = repo.commit("second");
    let fetched = fetch(&mirror, &["main"]);
    let checked = mirror.checkout(&fixture.path("slot"), &tip, None).unwrap();
    assert_eq!(contents(&checked.path), repo.expected(&tip, &fixture.path("clone")));
    let said = checked.notes.iter().map(ToString::to_string).find(|note| note.contains("made anew"));
    fetched.rebuilt.or(said)
}

fn packs(mirror: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let files = fs::read_dir(mirror.join("objects/pack")).unwrap();
    files.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "pack"))
}

#[test]
fn a_mirror_that_lost_its_pack_is_made_anew() {
    assert!(rebuilt_after(|mirror| packs(mirror).for_each(|pack| fs::remove_file(pack).unwrap())).is_some());
}

#[test]
fn a_mirror_with_truncated_packs_is_made_anew() {
    let truncate = |mirror: &Path| {
        for pack in packs(mirror) {
            let text = fs::read(&pack).unwrap();
            fs::remove_file(&pack).unwrap();
            fs::write(&pack, &text[..40]).unwrap();
        }
    };
    assert!(rebuilt_after(truncate).is_some());
}

#[test]
fn a_mirror_with_garbage_for_references_is_made_anew() {
    let said = rebuilt_after(|mirror| fs::write(mirror.join("packed-refs"), "garbage\n").unwrap());
    assert!(said.unwrap().contains("references"));
}

#[test]
fn a_mirror_whose_references_name_nothing_is_made_anew() {
    let text = format!("# pack-refs with: sorted \n{} refs/heads/main\n", "1".repeat(40));
    assert!(rebuilt_after(|mirror| fs::write(mirror.join("packed-refs"), &text).unwrap()).is_some());
}

#[test]
fn what_this_library_writes_into_a_mirror_itself_is_simply_written_again() {
    let said = rebuilt_after(|mirror| {
        fs::write(mirror.join("HEAD"), [0; 100]).unwrap();
        fs::write(mirror.join("config"), "[core\nbare = maybe\n[include]\npath=/x").unwrap();
        fs::create_dir_all(mirror.join("refs/heads/main")).unwrap();
        fs::write(mirror.join("refs/heads/main/x"), "garbage").unwrap();
    });
    assert_eq!(said, None);
    assert_eq!(rebuilt_after(|mirror| fs::remove_dir_all(mirror).unwrap()), None, "made, not made anew");
}

#[test]
fn a_mirror_that_lacks_a_file_s_content_is_made_anew_when_it_is_needed() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    repo.git(&["branch", "other"]);
    repo.write("lost", "lost");
    let tip = repo.commit("second");
    let mirror = fixture.mirror(repo.url());
    fetch(&mirror, &["*"]);
    lose(&repo, &fixture.path("mirror"), "HEAD:lost");
    assert!(!fetch(&mirror, &["*"]).asked, "nothing is amiss with the tip itself");
    let checked = mirror.checkout(&fixture.path("slot"), &tip, None).unwrap();
    assert_eq!(fs::read_to_string(checked.path.join("lost")).unwrap(), "lost");
    assert!(checked.notes.iter().any(|note| note.to_string().contains("was made anew")), "{:?}", checked.notes);
    fixture.runner.take();
    assert!(!fetch(&mirror, &["*"]).asked, "the other branches were fetched with it");
}

/// Takes one object out of a mirror.
fn lose(repo: &Repo, mirror: &Path, object: &str) {
    let id = repo.git(&["rev-parse", object]);
    let mirror_text = mirror.display().to_string();
    for pack in packs(mirror).collect::<Vec<_>>() {
        let aside = mirror.with_extension("pack");
        fs::rename(&pack, &aside).unwrap();
        let script = format!("git --git-dir='{mirror_text}' unpack-objects -q <'{}'", aside.display());
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
        fs::remove_file(pack.with_extension("idx")).unwrap();
    }
    fs::remove_file(mirror.join("objects").join(&id[..2]).join(&id[2..])).unwrap();
}

#[test]
fn a_repository_that_is_itself_corrupt_is_said_to_be() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    repo.write("lost", "lost");
    repo.commit("second");
    let mirror = fixture.mirror(repo.url());
    let listed = chosen(&mirror, &["main"]);
    let id = repo.git(&["rev-parse", "HEAD:lost"]);
    fs::remove_file(repo.path.join(".git/objects").join(&id[..2]).join(&id[2..])).unwrap();
    let error = mirror.fetch(&listed.tips).unwrap_err();
    assert_eq!(error.failure(), GitFailure::Corrupt, "{error}");
}

#[test]
fn an_address_may_change_without_everything_being_fetched_again() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    fetch(&fixture.mirror(repo.url()), &["main"]);
    fs::rename(&repo.path, fixture.path("elsewhere")).unwrap();
    let error = fixture.mirror(repo.url()).remote_refs().unwrap_err();
    assert_eq!(error.failure(), GitFailure::NotFound, "{error}");
    assert!(error.to_string().contains(&repo.url()));
    let fetched = fetch(&fixture.mirror(format!("file://{}", fixture.path("elsewhere").display())), &["main"]);
    assert!(!fetched.asked);
}

#[test]
fn garbage_is_collected_now_and_then() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    let mirror = fixture.mirror(repo.url());
    for at in 0..52 {
        repo.commit(&at.to_string());
        assert_eq!(fetch(&mirror, &["main"]).notes, []);
    }
    assert!(packs(&fixture.path("mirror")).count() < 5);
    let tip = repo.tip("main");
    assert_eq!(mirror.checkout(&fixture.path("slot"), &tip, None).unwrap().notes, []);
}

#[test]
fn a_fetch_that_hangs_ends_at_its_deadline_or_when_it_is_cancelled() {
    let mut fixture = Fixture::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/x", listener.local_addr().unwrap());
    fixture.timeout = Duration::from_millis(300);
    assert_eq!(fixture.mirror(&url).remote_refs().unwrap_err().failure(), GitFailure::TimedOut);
    fixture.timeout = Duration::from_secs(60);
    let cancel = fixture.cancel.clone();
    let server = std::thread::spawn(move || {
        // The first connection is that of the fetch that timed out.
        let connected = (listener.accept(), listener.accept());
        cancel.cancel();
        connected
    });
    assert_eq!(fixture.mirror(&url).remote_refs().unwrap_err().failure(), GitFailure::Cancelled);
    drop(server.join().unwrap());
}

#[test]
fn a_repository_of_somebody_else_is_explained() {
    let mut fixture = Fixture::new();
    let repo = fixture.repo("remote");
    fixture.instead_of_git("export GIT_TEST_ASSUME_DIFFERENT_OWNER=1; exec \"$GIT\" \"$@\"");
    let error = fixture.mirror(repo.url()).remote_refs().unwrap_err();
    assert_eq!(error.failure(), GitFailure::Ownership, "{error}");
}

#[test]
fn a_machine_without_git_is_told_so() {
    let mut fixture = Fixture::new();
    let repo = fixture.repo("remote");
    let bin = fixture.path("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink("/bin/sh", bin.join("sh")).unwrap();
    fixture.environment.set("PATH", bin);
    let error = fixture.mirror(repo.url()).remote_refs().unwrap_err();
    assert_eq!(error.failure(), GitFailure::Tool, "{error}");
}

#[test]
fn a_disk_that_is_full_is_told_so_and_the_mirror_is_kept() {
    let mut fixture = Fixture::new();
    let repo = fixture.repo("remote");
    fetch(&fixture.mirror(repo.url()), &["main"]);
    repo.commit("next");
    let full = "case \"$1\" in fetch) echo 'fatal: write error: No space left on device' >&2; exit 128; esac; exec \"$GIT\" \"$@\"";
    fixture.instead_of_git(full);
    let mirror = fixture.mirror(repo.url());
    let listed = chosen(&mirror, &["main"]);
    assert_eq!(mirror.fetch(&listed.tips).unwrap_err().failure(), GitFailure::DiskFull);
    assert!(packs(&fixture.path("mirror")).count() == 1 && !fixture.path("mirror.new").exists());
}

#[test]
fn a_repository_of_another_object_format_is_told_so() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    repo.git(&["init", "--quiet", "--object-format=sha256", "--initial-branch=main", "other"]);
    let other = format!("{}/other", repo.url());
    repo.git(&["-C", &other, "commit", "--quiet", "--allow-empty", "--message", "x"]);
    let mirror = fixture.mirror(other);
    let listed = chosen(&mirror, &["main"]);
    let error = mirror.fetch(&listed.tips).unwrap_err();
    assert_eq!(error.failure(), GitFailure::ObjectFormat, "{error}");
}

#[test]
fn threads_that_find_the_same_mirror_broken_make_it_anew_once() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    let mirror = fixture.mirror(repo.url());
    let tip = fetch(&mirror, &["main"]).tips.remove(0);
    packs(&fixture.path("mirror")).for_each(|pack| fs::remove_file(pack).unwrap());
    let rebuilt = std::thread::scope(|scope| {
        let check = |at: usize| {
            let (mirror, slot, commit) = (&mirror, fixture.path(&format!("slot{at}")), &tip.commit);
            scope.spawn(move || mirror.checkout(&slot, commit, None).unwrap().notes.len())
        };
        let threads: Vec<_> = (0..6).map(check).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    assert_eq!(rebuilt, 1);
}

#[test]
fn a_shallow_repository_gives_what_it_has() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    repo.write("a", "a");
    let tip = repo.commit("second");
    let shallow = fixture.path("shallow").display().to_string();
    repo.git(&["clone", "--quiet", "--depth=1", &format!("file://{}", repo.url()), &shallow]);
    let mirror = fixture.mirror(shallow);
    fetch(&mirror, &["main"]);
    let checked = mirror.checkout(&fixture.path("slot"), &tip, None).unwrap();
    assert_eq!(fs::read_to_string(checked.path.join("a")).unwrap(), "a");
}
