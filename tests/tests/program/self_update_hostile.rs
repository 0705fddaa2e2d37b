//! Whatever commit is pushed to the configuration's repository: the host goes on with the last good one and tells it, and
//! takes the next one that is good.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Instant;

use fetcher_core::CommitId;
use fetcher_tests::git_fixture::Repo;
use fetcher_tests::hostile::{Line, commit, object, tree};
use fetcher_tests::site::{CLONE, Site};
use fetcher_tests::waiting::{self, PATIENCE};

const OTHER: &str = "branches = [\"other\"]";

/// The lines of a tree beside the good configuration, which is called `config.toml` in all of them.
fn with_config(site: &Site, mut lines: Vec<Line>) -> Vec<Line> {
    let blob = site.repo.git(&["hash-object", "-w", "config.toml"]);
    lines.push(("100644", b"config.toml".to_vec(), blob));
    // Git's order, in which directories end with a slash.
    lines.sort_by_key(|(mode, name, _)| [&name[..], if *mode == "40000" { b"/" } else { b"" }].concat());
    lines
}

fn file(site: &Site, name: &[u8]) -> Vec<Line> {
    vec![("100644", name.to_vec(), object(&site.repo, "blob", b"content\n"))]
}

fn link(site: &Site, target: &[u8]) -> Vec<Line> {
    vec![("120000", b"link".to_vec(), object(&site.repo, "blob", target))]
}

/// A file below so many directories of one name.
fn deep(site: &Site, levels: usize, name: &str) -> Vec<Line> {
    let mut id = tree(&site.repo, &file(site, b"file"));
    for _ in 1..levels {
        id = tree(&site.repo, &[("40000", name.into(), id)]);
    }
    vec![("40000", name.into(), id)]
}

/// Ten directories in each of ten directories in each of …: few objects, and files without end.
fn bomb(site: &Site) -> Vec<Line> {
    let ten = |mode, id: &str| (0..10).map(|n| (mode, format!("f{n}").into_bytes(), id.to_owned())).collect::<Vec<_>>();
    let mut id = object(&site.repo, "blob", b"boom\n");
    let mut mode = "100644";
    for _ in 0..10 {
        id = tree(&site.repo, &ten(mode, &id));
        mode = "40000";
    }
    vec![("40000", b"bomb".to_vec(), id)]
}

type Case = (&'static str, fn(&Site) -> Vec<Line>, &'static str);

/// What is pushed, and what is said of it.
const REFUSED: &[Case] = &[
    ("a short name of NTFS", |site| file(site, b"git~1"), "which no work tree may have"),
    ("another", |site| file(site, b"GIT~1"), "which no work tree may have"),
    ("a blank behind it", |site| file(site, b".git "), "which no work tree may have"),
    ("a dot behind it", |site| file(site, b".git."), "which no work tree may have"),
    ("a backslash", |site| file(site, b".git\\x"), "which no work tree may have"),
    ("a stream of NTFS", |site| file(site, b".git::$INDEX_ALLOCATION"), "which no work tree may have"),
    ("capitals", |site| file(site, b".GIT"), "which no work tree may have"),
    ("what HFS+ does not see", |site| file(site, ".g\u{200c}it".as_bytes()), "which no work tree may have"),
    (
        "git's own directory",
        |site| vec![("40000", b".git".to_vec(), tree(&site.repo, &file(site, b"hooks")))],
        "which no work tree may have",
    ),
    ("up", |site| file(site, b".."), "which no work tree may have"),
    ("here", |site| file(site, b"."), "which no work tree may have"),
    ("a slash", |site| file(site, b"a/b"), "which no work tree may have"),
    ("our own name", |site| file(site, b".bst-fetcher-new"), "which no work tree may have"),
    ("a name too long", |site| file(site, &[b'n'; 256]), "longer than 255 bytes"),
    ("a path too long", |site| deep(site, 20, &"d".repeat(250)), "longer than 3000 bytes"),
    ("a thousand levels", |site| deep(site, 1000, "d"), "directories deep"),
    ("a link to nothing", |site| link(site, b""), "whose target no link can have"),
    ("a link with a NUL", |site| link(site, b"a\0b"), "whose target no link can have"),
    ("a link too long", |site| link(site, &[b't'; 5000]), "whose target no link can have"),
    ("a socket", |site| vec![("140000", b"odd".to_vec(), object(&site.repo, "blob", b""))], "has the mode 140000"),
    ("no mode", |site| vec![("0", b"odd".to_vec(), object(&site.repo, "blob", b""))], "has the mode 0"),
    ("a name twice", |site| [file(site, b"a"), file(site, b"a")].concat(), "which is there twice"),
    ("the configuration twice", |site| file(site, b"config.toml"), "which is there twice"),
    (
        "a file and a directory",
        |site| {
            [file(site, b"a"), file(site, b"a-b"), vec![("40000", b"a".to_vec(), tree(&site.repo, &file(site, b"f")))]]
                .concat()
        },
        "which is there twice",
    ),
    ("files without end", bomb, "more than 100000 files and directories"),
    (
        "a file that is too large",
        |site| vec![("100644", b"large".to_vec(), object(&site.repo, "blob", &vec![0; (256 << 20) + 1]))],
        "larger than 256 MiB",
    ),
];

/// The last run went well with the configuration that was there before, and told this.
#[track_caller]
fn goes_on(site: &Site, case: &str, before: &CommitId, words: &str) {
    let ended = site.run().expect(1);
    let report = site.fetcher().report();
    let failures = report["failures"].as_array().expect("failures");
    assert_eq!(failures.len(), 1, "{case}: {ended}");
    let message = failures[0]["message"].as_str().expect("text");
    assert!(message.contains(words) && message.contains("the last good one is used"), "{case}: {message}");
    assert!(ended.stderr().contains(words), "{case} is not told: {ended}");
    assert_eq!(site.branches(), ["main"], "{case}");
    is_whole(site, case, before);
}

/// The host is at this commit, and every command works.
#[track_caller]
fn is_whole(site: &Site, case: &str, commit: &CommitId) {
    site.fetcher().run(&["check"]).expect(0);
    site.fetcher().run(&["status"]).expect(0);
    assert_eq!(site.cloned().tip("HEAD"), *commit, "{case}");
    assert_eq!(site.cloned().git(&["status", "--porcelain"]), "", "{case}");
    assert!(!site.path(".git/bst-fetcher/journal").exists(), "{case}");
    assert!(!site.path(".git/bst-fetcher/staging").exists(), "{case}");
}

/// Upstream is mended, and the next run takes it; then the old one is taken back.
#[track_caller]
fn is_mended(site: &Site, case: &str, before: &CommitId) {
    site.repo.git(&["reset", "--quiet", "--hard", before.as_str()]);
    let mended = site.push(&site.config(OTHER), "Mended");
    let ended = site.run();
    assert_eq!(ended.status(), 0, "{case}: {ended}");
    assert_eq!(site.branches(), ["other"], "{case}");
    is_whole(site, case, &mended);
    site.repo.git(&["reset", "--quiet", "--hard", before.as_str()]);
    site.run().expect(0);
    is_whole(site, case, before);
}

#[test]
fn no_commit_that_git_can_hold_stops_a_host() {
    let site = Site::new().set_up();
    let before = site.cloned().tip("HEAD");
    for (case, lines, words) in REFUSED {
        let root = tree(&site.repo, &with_config(&site, lines(&site)));
        commit(&site.repo, &root, "Hostile");
        let mut validate = site.fetcher().command(&["config", "validate", "--commit", "main"]);
        let validated = validate.current_dir(&site.repo.path).output().expect("the program starts");
        assert_eq!(validated.status.code(), Some(3), "{case}");
        goes_on(&site, case, &before, words);
        is_mended(&site, case, &before);
    }
}

type OddCase = (&'static str, fn(&Site) -> Vec<Line>);

/// What looks odd, and is taken as it is.
const TAKEN: &[OddCase] = &[
    ("not UTF-8", |site| file(site, b"\xff\xfe\x80")),
    ("a line's end", |site| file(site, b"a\nb\x1b[31m")),
    ("255 bytes", |site| file(site, &[b'n'; 255])),
    ("a backslash", |site| file(site, b"a\\b")),
    ("an absolute link", |site| link(site, b"/etc/passwd")),
    ("a link up", |site| link(site, b"../../../../../x")),
    ("names that differ in case", |site| [file(site, b"A"), file(site, b"a")].concat()),
    ("a submodule of nothing", |_| vec![("160000", b"module".to_vec(), "1".repeat(40))]),
    ("a mode of old", |site| vec![("100664", b"old".to_vec(), object(&site.repo, "blob", b"old\n"))]),
    ("99 levels", |site| deep(site, 99, "d")),
    ("an empty directory", |site| vec![("40000", b"empty".to_vec(), tree(&site.repo, &[]))]),
];

#[test]
fn what_only_looks_odd_is_taken_and_goes_again() {
    let site = Site::new().set_up();
    let before = site.cloned().tip("HEAD");
    for (case, lines) in TAKEN {
        let root = tree(&site.repo, &with_config(&site, lines(&site)));
        commit(&site.repo, &root, "Odd");
        let ended = site.run();
        assert_eq!(ended.status(), 0, "{case}: {ended}");
        is_whole(&site, case, &site.repo.tip("main"));
        is_mended(&site, case, &before);
    }
    let left: Vec<_> = fs::read_dir(site.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter().all(|name| [".git", "config.toml", "empty", "module"].iter().any(|known| name == known)),
        "{left:?}"
    );
}

#[test]
fn objects_that_upstream_lacks_stop_nothing() {
    let site = Site::new().set_up();
    let before = site.cloned().tip("HEAD");
    for lines in [("100644", b"gone".to_vec(), "2".repeat(40)), ("40000", b"gone".to_vec(), "3".repeat(40))] {
        let root = tree(&site.repo, &with_config(&site, vec![lines]));
        commit(&site.repo, &root, "With a hole");
        let ended = site.run().expect(1);
        assert!(ended.stderr().contains("could not be followed"), "{ended}");
        is_whole(&site, "a hole", &before);
        is_mended(&site, "a hole", &before);
    }
    // What no git would hand on, and is here already.
    let nothing = site.repo.git(&["hash-object", "-t", "tree", "-w", "--stdin"]);
    let blob = object(&site.repo, "blob", b"");
    let odd = [
        ("40000", blob, "\"odd\": "),
        ("100644", nothing, "which is no file, though its mode says so"),
        ("100644", "2".repeat(40), "object not found"),
        ("40000", "3".repeat(40), "object not found"),
    ];
    for (mode, id, words) in odd {
        let lines = with_config(&site, vec![(mode, b"odd".to_vec(), id)]);
        let clone = site.cloned();
        clone.git(&["hash-object", "-w", "config.toml"]);
        object(&clone, "blob", b"");
        tree(&clone, &[]);
        let make = |repo: &Repo| {
            repo.git(&["commit-tree", &tree(repo, &lines), "-p", before.as_str(), "-m", "No git would hand it on"])
        };
        let commit = make(&site.repo);
        assert_eq!(make(&clone), commit);
        site.repo.git(&["update-ref", "refs/heads/main", &commit]);
        goes_on(&site, mode, &before, words);
        is_mended(&site, mode, &before);
    }
    // A hole in the clone itself, in what was fetched whole.
    site.repo.write("new", "a file that is lost\n");
    site.repo.commit("To be lost");
    let blob = site.repo.git(&["rev-parse", "HEAD:new"]);
    site.cloned().git(&["-c", "fetch.unpackLimit=1000", "fetch", "--quiet", "origin", "main:refs/heads/own"]);
    site.cloned().git(&["update-ref", "-d", "refs/heads/own"]);
    fs::remove_file(site.path(&format!(".git/objects/{}/{}", &blob[..2], &blob[2..]))).unwrap();
    goes_on(&site, "a hole in the clone", &before, &blob);
    is_mended(&site, "a hole in the clone", &before);
}

#[test]
fn what_is_no_commit_and_a_message_without_end_are_refused() {
    let site = Site::new().set_up();
    let before = site.cloned().tip("HEAD");
    site.repo.write("message", &"m".repeat(2 << 20));
    let commit = site.repo.git(&["commit-tree", "HEAD^{tree}", "-p", "HEAD", "-F", "message"]);
    fs::remove_file(site.repo.path.join("message")).unwrap();
    site.repo.git(&["update-ref", "refs/heads/main", &commit]);
    goes_on(&site, "a long message", &before, "larger than 1 MiB");
    is_mended(&site, "a long message", &before);
    let message = format!("{}\u{1b}[31m{}", "s".repeat(3000), "t".repeat(3000));
    site.push("broken\n", &message);
    let ended = site.run().expect(1);
    assert!(ended.stderr().len() < 3000 && !ended.stderr().contains('\u{1b}'), "{ended}");
    is_mended(&site, "a long subject", &before);
    let tag = site.repo.git(&["hash-object", "-w", "-t", "tag", "--literally", "--stdin"]);
    fs::write(site.repo.path.join(".git/refs/heads/main"), format!("{tag}\n")).unwrap();
    site.run().expect(1);
    is_whole(&site, "a tag", &before);
    fs::write(site.repo.path.join(".git/refs/heads/main"), format!("{before}\n")).unwrap();
    is_mended(&site, "a tag", &before);
}

/// Pushes a configuration with a file that takes much more room than its commit.
fn push_large(site: &Site, bytes: u64) {
    let file = fs::File::create(site.repo.path.join("large")).expect("a file");
    file.set_len(bytes).expect("its size");
    site.push(&site.config(OTHER), "A large file by mistake");
}

#[test]
fn a_file_that_is_larger_than_the_free_space_stops_nothing() {
    let site = Site::new().set_up();
    let before = site.cloned().tip("HEAD");
    fs::rename(site.scratch.path("home/.config"), site.scratch.path("saved")).unwrap();
    push_large(&site, 20 << 20);
    site.repo.git(&["branch", "large"]);
    site.repo.git(&["reset", "--quiet", "--hard", before.as_str()]);
    let mended = site.push(&site.config(OTHER), "Mended");
    site.repo.git(&["update-ref", "refs/heads/main", "large"]);
    let (root, repo) = (site.scratch.root().display(), site.repo.path.display());
    let blob = site.repo.git(&["rev-parse", "large:large"]);
    let script = format!(
        "cp -a '{root}/saved/.' '{root}/home/.config/' || exit 97
         \"$0\" run; [ $? = 1 ] || exit 98
         \"$0\" check >/dev/null && \"$0\" status >/dev/null || exit 99
         ! git -C '{root}/{CLONE}' cat-file -e {blob} 2>/dev/null || exit 101
         git -C '{repo}' update-ref refs/heads/main {mended}
         \"$0\" run || exit 100
         cp -a '{root}/home/.config/.' '{root}/after/'"
    );
    fs::create_dir(site.scratch.path("after")).unwrap();
    let ended = site.fetcher().small_disk("home/.config", "6M").limited(&script).run(&["check"]).expect(0);
    assert!(ended.stderr().contains("its files need 21 MiB, and "), "{ended}");
    assert_eq!(site.branches(), ["other"]);
    assert!(
        fs::read_to_string(site.scratch.path("after/bst-fetcher/repository/config.toml")).unwrap().contains("other")
    );
}

#[test]
fn where_the_room_ends_in_the_middle_the_old_configuration_stays() {
    let site = Site::new().set_up();
    let before = site.cloned().tip("HEAD");
    push_large(&site, 8 << 20);
    // No file may be larger than 4 MiB, which nobody sees beforehand.
    let ended = site.fetcher().limited("trap '' XFSZ; ulimit -f 8192").run(&["run"]).expect(1);
    assert!(ended.stderr().contains("cannot be put into place, and the last good one is used"), "{ended}");
    assert!(ended.stderr().contains("\"large\": File too large"), "{ended}");
    is_whole(&site, "no room", &before);
    is_mended(&site, "no room", &before);
}

#[test]
fn a_step_that_fails_for_good_is_taken_back() {
    let site = Site::new();
    site.repo.write("gone/a", "a\n");
    site.repo.write("file", "old\n");
    site.repo.commit("Files");
    let site = site.set_up();
    let before = site.cloned().tip("HEAD");
    let clone = site.cloned();
    // What was changed on the host and what is not git's stays too, and is not told of as long as it has not to go.
    clone.write("file", "changed here\n");
    clone.write("new/own", "mine\n");
    fs::remove_dir_all(site.repo.path.join("gone")).unwrap();
    site.repo.write("gone", "a file now\n");
    site.repo.write("file", "new\n");
    site.repo.write("new/file", "new\n");
    symlink("new/file", site.repo.path.join("link")).unwrap();
    let next = site.push(&site.config(OTHER), "Next");
    // Git's index cannot be written, nor can a reference: neither is known before it is tried.
    for obstacle in [".git/index.lock", ".git/refs/heads/main.lock", ".git/refs/bst-fetcher/taken.lock"] {
        fs::create_dir_all(site.path(obstacle).join("x")).unwrap();
        let ended = site.run().expect(1);
        assert!(
            ended.stderr().contains("cannot be put into place, and the last good one is used"),
            "{obstacle}: {ended}"
        );
        site.fetcher().run(&["check"]).expect(0);
        fs::remove_dir_all(site.path(obstacle)).unwrap();
        assert_eq!(site.branches(), ["main"]);
        assert_eq!(clone.tip("HEAD"), before);
        assert_eq!(clone.git(&["status", "--porcelain", "--untracked-files=all"]), " M file\n?? new/own", "{obstacle}");
        assert_eq!([site.read("file"), site.read("gone/a"), site.read("new/own")], ["changed here\n", "a\n", "mine\n"]);
        assert_eq!(clone.git(&["for-each-ref", "refs/bst-fetcher/kept"]), "", "{obstacle}");
        assert!(!site.path("link").is_symlink());
    }
    let ended = site.run().expect(1);
    assert!(ended.stderr().contains("gave way to its repository's: file; they are kept"), "{ended}");
    assert_eq!(clone.tip("HEAD"), next);
    assert_eq!([site.read("file"), site.read("gone"), site.read("link")], ["new\n", "a file now\n", "new\n"]);
    assert_eq!(clone.git(&["status", "--porcelain", "--untracked-files=all"]), "?? new/own");
}

/// Leaves the host as an older release did that died, or failed for ever, in the middle of a checkout.
fn leave_broken(site: &Site, journal: &str) {
    fs::write(site.path("config.toml"), "half of the new one").expect("a file");
    fs::write(site.path(".bst-fetcher-new"), vec![0; 1 << 20]).expect("a file");
    fs::write(site.path(".git/bst-fetcher/journal"), journal).expect("a file");
}

#[test]
fn a_checkout_that_an_older_release_could_not_end_is_ended_or_taken_back() {
    let site = Site::new().set_up();
    let before = site.cloned().tip("HEAD");
    let journal =
        |commit: &str| format!(r#"{{"version":1,"commit":"{commit}","branch":"refs/heads/main","taken":true}}"#);
    // One that can never be brought to its end, and has written a file already.
    let lines = [file(&site, b"git~1"), file(&site, b"came")].concat();
    let root = tree(&site.repo, &with_config(&site, lines));
    commit(&site.repo, &root, "Hostile");
    let hostile = site.repo.tip("main");
    site.run().expect(1);
    for journal in [
        journal(hostile.as_str()),
        journal(&"4".repeat(40)),
        "no journal\n".to_owned(),
        String::new(),
        r#"{"version":9}"#.to_owned(),
    ] {
        for command in ["status", "run"] {
            leave_broken(&site, &journal);
            let status = i32::from(command == "run");
            site.fetcher().run(&[command]).expect(status);
            is_whole(&site, &journal, &before);
            assert!(!site.path(".bst-fetcher-new").exists(), "{journal}");
        }
    }
    is_mended(&site, "an old journal", &before);
    // One that can.
    site.repo.git(&["reset", "--quiet", "--hard", before.as_str()]);
    let good = site.push(&site.config(OTHER), "Good");
    site.cloned().git(&["fetch", "--quiet", "origin", "main"]);
    leave_broken(&site, &journal(good.as_str()));
    site.fetcher().run(&["status"]).expect(0);
    is_whole(&site, "a good one", &good);
    site.run().expect(0);
    assert_eq!(site.branches(), ["other"]);
}

#[test]
fn writing_ends_at_once_when_somebody_stops_the_run() {
    let site = Site::new().set_up();
    let before = site.cloned().tip("HEAD");
    let blob = object(&site.repo, "blob", &vec![0; 20 << 20]);
    let large = (0..40).map(|number| ("100644", format!("large-{number}").into_bytes(), blob.clone())).collect();
    commit(&site.repo, &tree(&site.repo, &with_config(&site, large)), "800 MiB");
    let mut child = site.fetcher().command(&["run"]).spawn().expect("the program starts");
    waiting::until("something is staged", || {
        assert!(child.try_wait().expect("a look").is_none(), "nothing was ever staged");
        site.path(".git/bst-fetcher/staging/new/large-0").exists()
    });
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("a signal");
    let asked = Instant::now();
    child.wait().expect("its end");
    assert!(asked.elapsed() < PATIENCE, "it took {:?}", asked.elapsed());
    is_whole(&site, "stopped", &before);
}
