//! Checkouts are exactly their commit, whatever was done to them.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fetcher_core::git::{CheckoutResult, GitFailure, GitNote, Mirror};
use fetcher_core::{BranchName, CommitId};
use fetcher_tests::git_fixture::{Fixture, Repo, contents, fetch};

/// A repository with something of every sort in it.
fn project(fixture: &Fixture) -> Repo {
    let repo = fixture.repo("remote");
    repo.write("elements/a.bst", "kind: manual\n");
    repo.write("elements/deep/er/b.bst", "kind: stack\n");
    repo.write("files/run.sh", "#!/bin/sh\n");
    repo.write(".gitignore", "*.ignored\n");
    repo.write("empty", "");
    repo.write("with \"odd\" näme\n", "x");
    fs::set_permissions(repo.path.join("files/run.sh"), Permissions::from_mode(0o755)).unwrap();
    symlink("../elements", repo.path.join("files/link")).unwrap();
    symlink("/nowhere", repo.path.join("dangling")).unwrap();
    repo.commit("project");
    repo
}

struct Slot<'f> {
    fixture: &'f Fixture,
    repo: &'f Repo,
    mirror: Mirror<'f>,
}

impl<'f> Slot<'f> {
    fn new(fixture: &'f Fixture, repo: &'f Repo) -> Self {
        let slot = Self { fixture, repo, mirror: fixture.mirror(repo.url()) };
        fetch(&slot.mirror, &["*"]);
        slot
    }

    fn tree(&self) -> PathBuf {
        self.fixture.path("slot/tree")
    }

    fn checkout(&self, commit: &CommitId) -> CheckoutResult {
        self.mirror.checkout(&self.fixture.path("slot"), commit, None).unwrap()
    }

    /// Checks out `main` and holds the result against git's own.
    fn verify(&self) -> CheckoutResult {
        self.verify_at(&self.repo.tip("main"))
    }

    fn verify_at(&self, commit: &CommitId) -> CheckoutResult {
        let checked = self.checkout(commit);
        let clone = tempfile::tempdir_in(self.fixture.path("")).unwrap();
        assert_eq!(contents(&self.tree()), self.repo.expected(commit, &clone.path().join("c")));
        checked
    }
}

#[test]
fn a_checkout_is_what_git_itself_checks_out_and_git_finds_it_clean() {
    let fixture = Fixture::new();
    let repo = project(&fixture);
    let slot = Slot::new(&fixture, &repo);
    assert_eq!(slot.verify().written, 9);
    let git = |args: &[&str]| {
        let mut all = vec!["-C", slot.tree().to_str().unwrap().to_owned().leak()];
        all.extend(args);
        repo.git(&all)
    };
    assert_eq!(git(&["status", "--porcelain", "--ignored"]), "");
    assert_eq!(git(&["rev-parse", "HEAD"]), repo.tip("main").as_str());
    assert_eq!(git(&["fsck"]), "");
}

#[test]
fn where_nothing_changed_nothing_is_written_and_where_little_did_little_is() {
    let fixture = Fixture::new();
    let repo = project(&fixture);
    let slot = Slot::new(&fixture, &repo);
    slot.verify();
    let inode = || fs::metadata(slot.tree().join("elements/a.bst")).unwrap().ino();
    let before = inode();
    let again = slot.verify();
    assert_eq!((again.written, again.removed, inode()), (0, 0, before));

    fs::write(slot.tree().join("elements/deep/er/b.bst"), "kind: stack\ntracked: yes\n").unwrap();
    fs::write(slot.tree().join("project.refs"), "x").unwrap();
    let third = slot.verify();
    assert_eq!((third.written, inode()), (1, before));

    repo.write("elements/c.bst", "kind: import\n");
    fs::remove_dir_all(repo.path.join("elements/deep")).unwrap();
    repo.commit("next");
    fetch(&slot.mirror, &["*"]);
    assert_eq!((slot.verify().written, inode()), (1, before));
}

#[test]
fn a_change_of_the_same_size_and_time_is_seen() {
    let fixture = Fixture::new();
    let repo = project(&fixture);
    let slot = Slot::new(&fixture, &repo);
    slot.verify();
    let path = slot.tree().join("elements/a.bst");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "kind: MANUAL\n").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert_eq!(slot.verify().written, 1);
    fs::set_permissions(&path, Permissions::from_mode(0o4777)).unwrap();
    assert_eq!(slot.verify().written, 1);
}

#[test]
fn every_sort_of_rubbish_goes() {
    let fixture = Fixture::new();
    let repo = project(&fixture);
    let slot = Slot::new(&fixture, &repo);
    slot.verify();
    let tree = slot.tree();
    fs::write(tree.join("untracked"), "x").unwrap();
    fs::write(tree.join("x.ignored"), "x").unwrap();
    fs::create_dir_all(tree.join("elements/empty/dir")).unwrap();
    repo.git(&["clone", "--quiet", ".", tree.join("elements/nested").to_str().unwrap()]);
    repo.git(&["init", "--quiet", tree.join("files").to_str().unwrap()]);
    assert!(tree.join("files/.git").exists());
    for special in ["fifo", "elements/b.fifo"] {
        let path = tree.join(special);
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }
    fs::remove_file(tree.join("empty")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(tree.join("empty")).status().unwrap().success());
    let locked = tree.join("locked/inner");
    fs::create_dir_all(&locked).unwrap();
    fs::write(locked.join("file"), "x").unwrap();
    fs::set_permissions(&locked, Permissions::from_mode(0o500)).unwrap();
    fs::set_permissions(tree.join("locked"), Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(tree.join("elements/deep/er"), Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(tree.join("elements/deep"), Permissions::from_mode(0o500)).unwrap();
    // Root may write anywhere: only without that right do these modes mean something.
    let checked = std::thread::scope(|scope| {
        let without = || {
            drop_override();
            slot.verify()
        };
        scope.spawn(without).join().unwrap()
    });
    assert_eq!(checked.written, 1);
    assert_eq!(fs::read_dir(fixture.path("slot/trash")).unwrap().count(), 0);
}

/// Takes from this thread what lets root ignore a file's mode.
fn drop_override() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let mut sets = capabilities(None).unwrap();
    let rights = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    sets.effective -= rights;
    sets.permitted -= rights;
    set_capabilities(None, sets).unwrap();
}

#[test]
fn links_and_directories_in_each_other_s_place_lead_nowhere() {
    let fixture = Fixture::new();
    let repo = project(&fixture);
    let slot = Slot::new(&fixture, &repo);
    slot.verify();
    let (tree, outside) = (slot.tree(), fixture.path("outside"));
    fs::create_dir_all(outside.join("er")).unwrap();
    fs::write(outside.join("a.bst"), "mine").unwrap();
    fs::write(outside.join("keep"), "mine").unwrap();
    let before = contents(&outside);
    fs::remove_dir_all(tree.join("elements")).unwrap();
    symlink(&outside, tree.join("elements")).unwrap();
    fs::remove_file(tree.join("project.conf")).unwrap();
    symlink(outside.join("keep"), tree.join("project.conf")).unwrap();
    fs::remove_file(tree.join("dangling")).unwrap();
    fs::create_dir(tree.join("dangling")).unwrap();
    symlink(&outside, tree.join("dangling/x")).unwrap();
    fs::remove_file(tree.join("empty")).unwrap();
    fs::hard_link(outside.join("keep"), tree.join("empty")).unwrap();
    fs::remove_dir_all(tree.join(".git")).unwrap();
    symlink(&outside, tree.join(".git")).unwrap();
    slot.verify();
    assert_eq!(contents(&outside), before);

    fs::remove_dir_all(&tree).unwrap();
    symlink(&outside, &tree).unwrap();
    slot.verify();
    assert_eq!(contents(&outside), before);
}

#[test]
fn a_hard_link_is_broken_before_anything_is_written() {
    let fixture = Fixture::new();
    let repo = project(&fixture);
    let slot = Slot::new(&fixture, &repo);
    slot.verify();
    let outside = fixture.path("outside");
    fs::hard_link(slot.tree().join("elements/a.bst"), &outside).unwrap();
    repo.write("elements/a.bst", "kind: other\n");
    repo.commit("next");
    fetch(&slot.mirror, &["*"]);
    slot.verify();
    assert_eq!(fs::read_to_string(outside).unwrap(), "kind: manual\n");
}

#[test]
fn nothing_of_a_git_directory_s_own_survives_or_runs() {
    let fixture = Fixture::new();
    let repo = project(&fixture);
    let slot = Slot::new(&fixture, &repo);
    slot.verify();
    let git = slot.tree().join(".git");
    let ran = fixture.path("ran");
    let script = format!("#!/bin/sh\ntouch '{}'\n", ran.display());
    fs::create_dir_all(git.join("hooks")).unwrap();
    for hook in ["post-checkout", "reference-transaction", "post-index-change"] {
        fs::write(git.join("hooks").join(hook), &script).unwrap();
        fs::set_permissions(git.join("hooks").join(hook), Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(fixture.path("evil"), &script).unwrap();
    fs::set_permissions(fixture.path("evil"), Permissions::from_mode(0o755)).unwrap();
    let evil = fixture.path("evil").display().to_string();
    fs::write(
        git.join("config"),
        format!(
            "[core]\nfsmonitor={evil}\nsparseCheckout=true\nworktree=/\nhooksPath=/\nsshCommand={evil}\n\
             [filter \"x\"]\nsmudge={evil}\nclean={evil}\nrequired=true\n[include]\npath=/etc/passwd\n"
        ),
    )
    .unwrap();
    fs::create_dir_all(git.join("info")).unwrap();
    fs::write(git.join("info/attributes"), "* filter=x\n").unwrap();
    fs::write(git.join("info/exclude"), "*\n").unwrap();
    fs::write(git.join("info/sparse-checkout"), "/nothing\n").unwrap();
    for lock in ["index.lock", "HEAD.lock", "config.lock"] {
        fs::write(git.join(lock), "").unwrap();
    }
    fs::write(git.join("index"), "garbage").unwrap();
    fs::write(slot.tree().join("hidden"), "x").unwrap();
    slot.verify();
    let mut left: Vec<_> = fs::read_dir(&git).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["HEAD", "config", "index", "objects", "refs"]);
    assert!(!ran.exists());
}

#[test]
fn a_broken_or_missing_record_of_what_was_written_costs_time_alone() {
    let fixture = Fixture::new();
    let repo = project(&fixture);
    let slot = Slot::new(&fixture, &repo);
    slot.verify();
    fs::write(fixture.path("slot/written/top"), "DIRCgarbage").unwrap();
    fs::write(fixture.path("slot/written/top.new.lock"), "").unwrap();
    fs::write(fixture.path("slot/written/top.new"), "half").unwrap();
    assert_eq!(slot.verify().written, 7, "the files, not the links");
    assert_eq!(slot.verify().written, 0);
}

#[test]
fn a_checkout_that_was_killed_half_way_is_made_right() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    for at in 0..2000 {
        repo.write(&format!("d{}/f{at}", at % 50), &format!("{at}\n").repeat(50));
    }
    repo.commit("many");
    let slot = Slot::new(&fixture, &repo);
    // Another process, so that it can be killed: this test's own program, told to do the one checkout.
    let commit = repo.tip("main");
    let mut halves = 0;
    for delay in [0, 5, 20, 80] {
        let _ = fs::remove_dir_all(fixture.path("slot"));
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "git_checkout::checkout_for_the_kill_test", "--ignored"])
            .env("CHECKOUT_FIXTURE", fixture.path(""))
            .env("CHECKOUT_URL", repo.url())
            .env("CHECKOUT_COMMIT", commit.as_str())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while !slot.tree().join("d0").exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended, and wrote nothing");
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        halves += usize::from(contents(&slot.tree()).len() < 2051);
        slot.verify();
    }
    assert!(halves > 0, "no kill came in the middle");
}

#[test]
#[ignore = "run by the test of kills, as a process of its own"]
fn checkout_for_the_kill_test() {
    use fetcher_core::git::{GitAccess, RemoteRepository};
    let Ok(directory) = std::env::var("CHECKOUT_FIXTURE") else { return };
    let (url, commit) = (std::env::var("CHECKOUT_URL").unwrap(), std::env::var("CHECKOUT_COMMIT").unwrap());
    let fixture = Fixture::new();
    let remote = RemoteRepository::new(&url, &GitAccess::default()).unwrap();
    let mirror = Mirror::new(fixture.git(), &Path::new(&directory).join("mirror"), remote);
    mirror.checkout(&Path::new(&directory).join("slot"), &commit.parse().unwrap(), None).unwrap();
}

#[test]
fn what_a_killed_removal_left_is_removed_however_deep() {
    let fixture = Fixture::new();
    let repo = project(&fixture);
    let slot = Slot::new(&fixture, &repo);
    slot.verify();
    for place in [slot.tree(), fixture.path("slot/trash")] {
        let made = std::process::Command::new("python3")
            .args(["-c", "import os\nfor i in range(5000):\n os.mkdir('d'); os.chdir('d')"])
            .current_dir(&place)
            .status()
            .unwrap();
        assert!(made.success());
    }
    slot.verify();
    assert_eq!(fs::read_dir(fixture.path("slot/trash")).unwrap().count(), 0);
}

#[test]
fn branches_side_by_side_share_a_mirror() {
    let fixture = Fixture::new();
    let repo = project(&fixture);
    for at in 0..6 {
        repo.git(&["checkout", "--quiet", "-B", &format!("b{at}"), "main"]);
        repo.write("which", &at.to_string());
        repo.commit("branch");
    }
    let mirror = fixture.mirror(repo.url());
    let fetched = fetch(&mirror, &["b*"]);
    std::thread::scope(|scope| {
        for tip in &fetched.tips {
            let (mirror, fixture) = (&mirror, &fixture);
            scope.spawn(move || {
                for _ in 0..5 {
                    let slot = fixture.path(&tip.branch.slug());
                    let checked = mirror.checkout(&slot, &tip.commit, None).unwrap();
                    let which = fs::read_to_string(checked.path.join("which")).unwrap();
                    assert_eq!(format!("b{which}").parse::<BranchName>().unwrap(), tip.branch);
                    mirror.fetch(&fetch(mirror, &["b*"]).tips).unwrap();
                }
            });
        }
    });
}

#[test]
fn attributes_that_ask_for_conversion_do_nothing_and_that_is_said() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    repo.write(".gitattributes", "# ident\n*.bin filter=lfs diff=lfs merge=lfs -text\n*.txt text eol=crlf\n");
    repo.write("a.txt", "one\ntwo\n");
    repo.git(&["-c", "filter.lfs.clean=cat", "add", "."]);
    repo.commit("attributes");
    let slot = Slot::new(&fixture, &repo);
    for _ in 0..2 {
        let checked = slot.checkout(&repo.tip("main"));
        assert_eq!(fs::read_to_string(checked.path.join("a.txt")).unwrap(), "one\ntwo\n");
        let attributes = vec!["eol=crlf".to_owned(), "filter=lfs".to_owned()];
        assert_eq!(checked.notes, [GitNote::Unconverted { file: ".gitattributes".into(), attributes }]);
    }
}

#[test]
fn a_commit_with_names_that_git_forbids_is_refused() {
    let fixture = Fixture::new();
    let repo = fixture.repo("remote");
    let blob = repo.git(&["hash-object", "-w", "project.conf"]);
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    for (at, entry) in [
        format!("'100644 blob {blob}\t.git'"),
        format!("'40000 tree {tree}\t.GIT'"),
        format!("'40000 tree {tree}\t..'"),
        format!("'120000 blob {blob}\ta' '40000 tree {tree}\ta'"),
    ]
    .into_iter()
    .enumerate()
    {
        let script = format!("printf '%s\\0' {entry} | git mktree -z");
        let mut command = std::process::Command::new("sh");
        let bad = command.args(["-c", &script]).current_dir(&repo.path).output().unwrap();
        let bad = String::from_utf8(bad.stdout).unwrap();
        let bad = repo.git(&["commit-tree", "-m", "bad", bad.trim()]);
        repo.git(&["update-ref", &format!("refs/heads/bad{at}"), &bad]);
        let slot = Slot::new(&fixture, &repo);
        let error = slot.mirror.checkout(&fixture.path("slot"), &bad.parse().unwrap(), None).unwrap_err();
        assert_eq!(error.failure(), GitFailure::Repository, "{error}");
        assert!(error.to_string().contains("which git does not allow there"), "{error}");
    }
    assert!(!fixture.path("slot/project.conf").exists() && !fixture.path("project.conf").exists());
}

#[test]
fn a_commit_that_is_nowhere_is_named() {
    let fixture = Fixture::new();
    let repo = project(&fixture);
    let slot = Slot::new(&fixture, &repo);
    let nowhere: CommitId = "1".repeat(40).parse().unwrap();
    let error = slot.mirror.checkout(&fixture.path("slot"), &nowhere, None).unwrap_err();
    assert_eq!(error.failure(), GitFailure::RefMissing);
    assert!(error.to_string().contains(nowhere.as_str()) && error.to_string().contains(&repo.url()), "{error}");
    assert_eq!(slot.verify().notes, []);
}
