//! Work on what others committed is bounded in time, files, bytes and depth, ends on cancel, and leaves no space taken.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fetcher_core::git::{GitError, GitFailure, select};
use fetcher_core::{CommitId, FreeSpace};
use fetcher_tests::git_fixture::{Fixture, Repo, chosen, contents, fetch};
use fetcher_tests::waiting::PATIENCE;

/// Makes a tree of such lines.
fn tree(repo: &Repo, entries: &str) -> String {
    let mut command = Command::new("git");
    command.arg("mktree").current_dir(&repo.path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(entries.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

/// Trees inside each other: in each of `levels` of them the one below under each of these names, a file in the last.
fn bomb(repo: &Repo, levels: usize, names: &[String]) -> CommitId {
    let blob = repo.git(&["hash-object", "-w", "project.conf"]);
    let mut inner = tree(repo, &format!("100644 blob {blob}\tfile\n"));
    for _ in 0..levels {
        let entries: Vec<_> = names.iter().map(|name| format!("040000 tree {inner}\t{name}\n")).collect();
        inner = tree(repo, &entries.concat());
    }
    let commit = repo.git(&["commit-tree", "-m", "a bomb", &inner]);
    repo.git(&["update-ref", "refs/heads/main", &commit]);
    commit.parse().unwrap()
}

/// What a checkout of `main` comes to.
fn checkout(fixture: &Fixture, repo: &Repo) -> Result<usize, GitError> {
    let mirror = fixture.mirror(repo.url());
    let tip = fetch(&mirror, &["main"]).tips.remove(0);
    let checked = mirror.checkout(&fixture.path("slot"), &tip.commit, Some(&fixture.path("modules")));
    checked.map(|checked| checked.written)
}

#[test]
fn a_commit_of_too_many_files_too_long_names_or_too_deep_is_refused_before_anything_is_written() {
    let ten: Vec<_> = ('a'..='j').map(String::from).collect();
    let long: Vec<_> = ["a", "b"].map(|name| name.repeat(250)).into();
    for (levels, names, limit) in [
        (10, &ten, "more than 1000000"),
        (17, &long, "more than 256 MiB"),
        (300, &ten[..1].to_vec(), "more than 200 directories deep"),
    ] {
        let fixture = Fixture::new();
        let repo = fixture.repo("remote");
        bomb(&repo, levels, names);
        let began = Instant::now();
        let error = checkout(&fixture, &repo).unwrap_err();
        assert_eq!(error.failure(), GitFailure::Repository, "{error}");
        assert!(error.to_string().contains(limit), "{error}");
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        assert_eq!(contents(&fixture.path("slot/tree")), Vec::<String>::new());
    }
}

#[test]
fn a_gitmodules_of_many_sections_costs_no_time_and_has_a_limit() {
    let fixture = Fixture::new();
    let (top, sub) = (fixture.repo("host/top"), fixture.repo("host/sub"));
    let commit = sub.tip("HEAD");
    top.submodule("../sub", "sub", &commit);
    let real = "[submodule \"sub\"]\n path = sub\n url = ../sub\n";
    let write = |count: usize| {
        let sections: Vec<_> = (0..count).map(|at| format!("[submodule \"{at}\"]\n path = {at}\n")).collect();
        fs::write(top.path.join(".gitmodules"), sections.concat() + real).unwrap();
        top.git(&["add", ".gitmodules"]);
        top.git(&["commit", "--quiet", "--message", "sections"]);
    };
    write(9_000);
    checkout(&fixture, &top).unwrap();
    assert!(fixture.path("slot/tree/sub/project.conf").exists());
    for (count, limit) in [(80_000, "more than 10000 submodules"), (200_000, "larger than 4 MiB")] {
        write(count);
        let began = Instant::now();
        let error = checkout(&fixture, &top).unwrap_err();
        assert_eq!(error.failure(), GitFailure::Repository, "{error}");
        assert!(error.to_string().contains(limit) && error.to_string().contains(".gitmodules"), "{error}");
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    }
}

#[test]
fn a_checkout_ends_when_its_time_is_over_and_goes_on_the_next_time() {
    let mut fixture = Fixture::new();
    let repo = fixture.repo("remote");
    let ten: Vec<_> = ('a'..='j').map(String::from).collect();
    let commit = bomb(&repo, 3, &ten);
    fetch(&fixture.mirror(repo.url()), &["main"]);
    fixture.timeout = Duration::from_millis(20);
    let error = fixture.mirror(repo.url()).checkout(&fixture.path("slot"), &commit, None).unwrap_err();
    assert_eq!(error.failure(), GitFailure::TimedOut, "{error}");
    assert!(error.to_string().contains("check out"), "{error}");
    fixture.timeout = Duration::from_secs(60);
    let checked = fixture.mirror(repo.url()).checkout(&fixture.path("slot"), &commit, None).unwrap();
    assert!(checked.written <= 1000 && contents(&checked.path).len() == 2110, "{}", checked.written);
}

#[test]
fn a_checkout_ends_on_cancel() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    let ten: Vec<_> = ('a'..='j').map(String::from).collect();
    let commit = bomb(&repo, 5, &ten);
    let mirror = fixture.mirror(repo.url());
    fetch(&mirror, &["main"]);
    let (cancel, there) = (fixture.cancel.clone(), fixture.path("slot/tree/a"));
    let canceller = std::thread::spawn(move || {
        while !there.exists() {
            std::thread::yield_now();
        }
        cancel.cancel();
    });
    let error = mirror.checkout(&fixture.path("slot"), &commit, None).unwrap_err();
    assert_eq!(error.failure(), GitFailure::Cancelled, "{error}");
    canceller.join().unwrap();
}

#[test]
fn where_space_is_short_nothing_is_fetched_or_checked_out_and_nothing_half_done_stays() {
    let mut fixture = Fixture::new();
    let repo = fixture.repo("remote");
    checkout(&fixture, &repo).unwrap();
    repo.write("more", "more");
    let tip = repo.commit("more");
    let listed = chosen(&fixture.mirror(repo.url()), &["main"]);
    fixture.space = Some(FreeSpace::new([fixture.path("")], u64::MAX));
    fixture.runner.take();
    let error = fixture.mirror(repo.url()).fetch(&listed.tips).unwrap_err();
    assert_eq!(error.failure(), GitFailure::DiskFull, "{error}");
    assert!(error.to_string().contains("min-free-space"), "{error}");
    assert_eq!(fixture.runner.count("fetch"), 0);
    fixture.space = None;
    fixture.mirror(repo.url()).fetch(&listed.tips).unwrap();
    fixture.space = Some(FreeSpace::new([fixture.path("")], u64::MAX));
    let error = fixture.mirror(repo.url()).checkout(&fixture.path("slot"), &tip, None).unwrap_err();
    assert_eq!(error.failure(), GitFailure::DiskFull, "{error}");
    fixture.space = None;
    checkout(&fixture, &repo).unwrap();
    assert!(fixture.path("slot/tree/more").exists());
}

#[test]
fn what_a_git_that_failed_left_is_removed_at_once() {
    let mut fixture = Fixture::new();
    let repo = fixture.repo("remote");
    checkout(&fixture, &repo).unwrap();
    repo.commit("next");
    let full = "case \"$1\" in fetch) : >$GIT_DIR/objects/pack/tmp_pack_x; mkdir -p $GIT_DIR/objects/ab; \
        : >$GIT_DIR/objects/ab/tmp_obj_x; : >$GIT_DIR/packed-refs.lock; mkdir $GIT_DIR/objects/tmp_objdir-incoming-x; \
        echo 'fatal: write error: No space left on device' >&2; exit 128; esac; exec \"$GIT\" \"$@\"";
    fixture.instead_of_git(full);
    let mirror = fixture.mirror(repo.url());
    let listed = chosen(&mirror, &["main"]);
    assert_eq!(mirror.fetch(&listed.tips).unwrap_err().failure(), GitFailure::DiskFull);
    for name in ["objects/pack/tmp_pack_x", "objects/ab/tmp_obj_x", "packed-refs.lock", "objects/tmp_objdir-incoming-x"]
    {
        assert!(!fixture.path("mirror").join(name).exists(), "{name}");
    }
}

#[test]
fn a_repository_that_lists_references_without_end_is_stopped() {
    let mut fixture = Fixture::new();
    let repo = fixture.repo("remote");
    let endless = "case \"$1\" in ls-remote) exec yes '1111111111111111111111111111111111111111\trefs/heads/x'; esac; \
        exec \"$GIT\" \"$@\"";
    fixture.instead_of_git(endless);
    let began = Instant::now();
    let error = fixture.mirror(repo.url()).remote_refs().unwrap_err();
    assert_eq!(error.failure(), GitFailure::Repository, "{error}");
    assert!(error.to_string().contains("more than 64 MiB"), "{error}");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    assert_eq!(fs::read_dir(fixture.path("mirror")).unwrap().count(), 0);
}

#[test]
fn more_branches_than_anybody_has_are_not_followed_and_bad_names_are_told_in_part() {
    let mut fixture = Fixture::new();
    let repo = fixture.repo("remote");
    let many = "case \"$1\" in ls-remote) seq 10001 | sed \"s|.*|1111111111111111111111111111111111111111\\trefs/heads/b&|; p; \
        s|/b|/-b|\"; exit 0; esac; exec \"$GIT\" \"$@\"";
    fixture.instead_of_git(many);
    let refs = fixture.mirror(repo.url()).remote_refs().unwrap();
    assert_eq!((refs.branches.len(), refs.notes.len()), (10_001, 20));
    let error = select(&["*".to_owned()], &[], &refs).unwrap_err();
    assert!(error.to_string().contains("more than 10000"), "{error}");
    assert_eq!(select(&["b1*".to_owned()], &[], &refs).unwrap().tips.len(), 1113);
}

#[test]
fn links_that_somebody_put_into_a_mirror_or_beside_a_checkout_lead_nowhere() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    checkout(&fixture, &repo).unwrap();
    let outside = fixture.path("outside");
    fs::create_dir_all(outside.join("pack")).unwrap();
    for name in ["precious", "a.lock", "tmp_file", "pack/tmp_pack_x", "HEAD"] {
        fs::write(outside.join(name), name).unwrap();
    }
    let before = contents(&outside);
    let replace = |name: &str| {
        let path = fixture.path(name);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            let _ = fs::remove_file(&path);
        }
        symlink(&outside, path).unwrap();
    };
    replace("slot/written");
    replace("slot/trash");
    replace("slot/tree");
    checkout(&fixture, &repo).unwrap();
    assert_eq!(contents(&outside), before);
    for name in ["mirror/objects", "mirror/refs", "mirror/packed-refs.new", "mirror"] {
        replace(name);
        repo.commit("next");
        checkout(&fixture, &repo).unwrap();
        assert_eq!(contents(&outside), before, "{name}");
    }
    fs::remove_file(fixture.path("mirror.lock")).unwrap();
    symlink(outside.join("made"), fixture.path("mirror.lock")).unwrap();
    checkout(&fixture, &repo).unwrap();
    assert_eq!(contents(&outside), before);
}
