//! A host that follows its configuration's repository: real git, the fake bst.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use fetcher_core::{Cancel, RunContext, SelfUpdate};
use fetcher_tests::fetcher::Ended;
use fetcher_tests::git_fixture::Repo;
use fetcher_tests::http_git::{HttpGit, Manner};
use fetcher_tests::site::Site;
use fetcher_tests::sshd::Sshd;

/// What went wrong on the way to the configuration, a line each: kind and message.
#[track_caller]
fn failures(site: &Site) -> Vec<String> {
    let report = site.fetcher().report();
    let failures = report["failures"].as_array().expect("failures").iter();
    failures
        .map(|failure| {
            format!("{} {}", failure["kind"].as_str().expect("text"), failure["message"].as_str().expect("text"))
        })
        .collect()
}

/// The last run used an older configuration, went well with it, and told of one failure.
#[track_caller]
fn told(site: &Site, ended: Ended, kind: &str, words: &[&str]) {
    let ended = ended.expect(1);
    let failures = failures(site);
    assert!(failures.len() == 1 && failures[0].starts_with(kind), "{failures:#?}\n{ended}");
    for word in words {
        assert!(failures[0].contains(word), "{word:?} is not in {failures:#?}");
        assert!(ended.stderr().contains(word.lines().next().unwrap_or_default()), "{word:?} is not told: {ended}");
    }
    let report = site.fetcher().report();
    assert!(
        report["branches"].as_array().expect("branches").iter().all(|branch| branch["outcome"] == "ok"),
        "{report:#}"
    );
}

const OTHER: &str = "branches = [\"other\"]";

#[test]
fn the_run_that_gets_a_new_configuration_uses_it() {
    let site = Site::new().set_up();
    site.run().expect(0);
    assert_eq!(site.branches(), ["main"]);
    let commit = site.push(&site.config(OTHER), "Follow another branch");
    let ended = site.run().expect(0);
    assert_eq!(ended.stderr(), "", "what went well is not told");
    assert_eq!(site.branches(), ["other"]);
    assert_eq!(site.fetcher().report()["configuration"], commit.as_str());
    assert_eq!(site.cloned().git(&["status", "--porcelain", "--branch"]), "## main...origin/main");
    // Who only looks asks nobody.
    site.push(&site.config(""), "Back again");
    for command in [&["run", "--dry-run"][..], &["run", "--no-self-update"], &["status"], &["check"]] {
        site.fetcher().run(command).expect(0);
        assert!(site.read("config.toml").contains("other"), "{command:?} updated");
    }
    let shown = site.fetcher().run(&["config", "show"]).expect(0).stdout();
    assert!(shown.contains(&format!("# commit {commit}\n")), "{shown}");
}

#[test]
fn what_is_broken_is_told_until_it_is_mended() {
    let site = Site::new().set_up();
    site.push(&site.config("brunches = [\"x\"]"), "A slip of the pen");
    site.repo.write("README", "unrelated\n");
    site.repo.commit("Something else");
    for _ in 0..2 {
        let words = ["brunches", "config.toml:11:1", "A slip of the pen", "A <a@example.org>"];
        told(&site, site.run(), "configuration", &words);
        assert_eq!(site.branches(), ["main"]);
    }
    site.push(&site.config(OTHER), "Mended");
    site.run().expect(0);
    assert_eq!(site.branches(), ["other"]);
}

#[test]
fn every_sort_of_broken_configuration_is_refused() {
    let site = Site::new().set_up();
    let good = site.config("");
    let refused = |words: &[&str]| {
        told(&site, site.run(), "configuration", words);
        assert_eq!(site.read("config.toml"), good);
    };
    site.push("this is not TOML\n", "Not TOML");
    refused(&["it is not TOML", "config.toml:1:"]);
    site.push(&site.config("git = { token-file = \"missing.token\" }"), "A file that is not there");
    refused(&["missing.token is not there"]);
    site.push(&site.config("[[notify]]\nkind = \"email\"\nserver = \"ftp://x\"\n"), "A bad notifier");
    refused(&["notify[1].server", "A bad notifier"]);
    fs::write(site.repo.path.join("config.toml"), b"# \xff\n").unwrap();
    site.repo.commit("Not UTF-8");
    refused(&["UTF-8"]);
    fs::remove_file(site.repo.path.join("config.toml")).unwrap();
    site.repo.commit("Gone");
    refused(&["it is no longer in the repository"]);
    let outside = site.scratch.write("outside.toml", site.config(OTHER));
    symlink(&outside, site.repo.path.join("config.toml")).unwrap();
    site.repo.commit("A link out of the tree");
    refused(&["symbolic link that leads out"]);
    fs::remove_file(site.repo.path.join("config.toml")).unwrap();
    symlink("../../../../../outside.toml", site.repo.path.join("config.toml")).unwrap();
    site.repo.commit("Another one");
    refused(&["symbolic link that leads out"]);
    fs::remove_file(site.repo.path.join("config.toml")).unwrap();
    symlink("config.toml", site.repo.path.join("config.toml")).unwrap();
    site.repo.commit("A loop");
    refused(&["too many symbolic links"]);
    fs::remove_file(site.repo.path.join("config.toml")).unwrap();
    site.repo.write("config.toml/x", "");
    site.repo.commit("A directory");
    refused(&["it is a directory"]);
}

#[test]
fn a_configuration_of_a_gigabyte_is_never_read() {
    let site = Site::new().set_up();
    let huge = fs::File::create(site.repo.path.join("config.toml")).unwrap();
    huge.set_len(1 << 30).unwrap();
    site.repo.git(&["-c", "core.bigFileThreshold=1m", "-c", "core.looseCompression=1", "add", "config.toml"]);
    site.repo.git(&["commit", "--quiet", "--message", "A gigabyte"]);
    // Reading it would need more than that.
    let ended = site.fetcher().limited("ulimit -v 1000000").run(&["run"]);
    told(&site, ended, "configuration", &["it is larger than 4 MiB"]);
    site.push(&site.config(OTHER), "Mended");
    site.run().expect(0);
    assert_eq!(site.branches(), ["other"]);
}

#[test]
fn links_inside_the_tree_are_followed() {
    let site = Site::new();
    site.repo.write("common/all.toml", &site.config("git = { known-hosts = \"hosts\" }"));
    site.repo.write("common/hosts", "");
    fs::create_dir(site.repo.path.join("hosts")).unwrap();
    symlink("../common/all.toml", site.repo.path.join("hosts/a.toml")).unwrap();
    site.repo.commit("Links");
    site.fetcher().run(&["init", "--from", &site.repo.url(), "--path", "hosts/a.toml"]).expect(0);
    site.run().expect(0);
    // The link leads elsewhere in the next commit.
    site.repo.write("common/b.toml", &site.config(OTHER));
    fs::remove_file(site.repo.path.join("hosts/a.toml")).unwrap();
    symlink("../common/b.toml", site.repo.path.join("hosts/a.toml")).unwrap();
    site.repo.commit("Another target");
    site.run().expect(0);
    assert_eq!(site.branches(), ["other"]);
}

#[test]
fn submodules_are_left_alone_and_what_is_in_them_is_not_used() {
    let site = Site::new().set_up();
    let library = site.scratch.repo("library");
    library.write("token", "secret\n");
    let commit = library.commit("A library");
    site.repo.submodule(&library.url(), "library", &commit);
    site.push(&site.config(OTHER), "With a submodule");
    site.run().expect(0);
    assert_eq!(site.branches(), ["other"]);
    assert!(!site.path("library/token").exists());
    site.push(&site.config("git = { token-file = \"library/token\" }"), "A file of the submodule");
    told(&site, site.run(), "configuration", &["it is in the submodule library"]);
}

#[test]
fn rewritten_history_is_followed_and_nothing_is_told_of_it() {
    let site = Site::new().set_up();
    site.push(&site.config(OTHER), "To be rewritten");
    site.run().expect(0);
    site.repo.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    let commit = site.push(&site.config("branches = [\"*\"]"), "Instead of it");
    site.run().expect(0);
    assert_eq!(site.branches(), ["main", "other"]);
    assert_eq!(site.cloned().tip("HEAD"), commit);
    // Back to an older commit.
    site.repo.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    site.run().expect(0);
    assert_eq!(site.branches(), ["main"]);
    assert_eq!(site.cloned().git(&["for-each-ref", "refs/bst-fetcher/kept"]), "");
}

#[test]
fn local_changes_are_kept_aside_and_told() {
    let site = Site::new();
    site.repo.write("notes", "old\n");
    site.repo.write(".gitignore", "*.token\n");
    site.repo.commit("Notes");
    let site = site.set_up();
    let clone = site.cloned();
    clone.write("config.toml", &site.config("branches = [\"main\", \"other\"]"));
    clone.write("notes", "staged\n");
    clone.git(&["add", "notes"]);
    clone.write("notes", "changed\n");
    clone.write("new", "in the way\n");
    clone.write("own/file", "in the way too\n");
    clone.write("untouched", "mine\n");
    clone.write("cache.token", "hush\n");
    // As long as upstream does not move they are used.
    let dirty = format!("{}-dirty", clone.tip("HEAD"));
    site.run().expect(0);
    assert_eq!(site.branches(), ["main", "other"]);
    assert_eq!(site.fetcher().report()["configuration"], dirty.as_str());

    site.repo.write("new", "upstream's\n");
    site.repo.write("own", "a file\n");
    site.push(&site.config(OTHER), "Upstream moves");
    told(&site, site.run(), "self-update", &["config.toml", "refs/bst-fetcher/kept/"]);
    assert_eq!(site.branches(), ["other"]);
    let kept = clone.git(&["for-each-ref", "--format=%(refname)", "refs/bst-fetcher/kept"]);
    let show = |name: &str| clone.git(&["show", &format!("{kept}{name}")]);
    assert_eq!(show(":notes"), "changed");
    assert_eq!(show("^2:notes"), "staged");
    assert_eq!(show(":new"), "in the way");
    assert_eq!(show(":own/file"), "in the way too");
    assert!(show(":config.toml").contains("\"main\", \"other\""));
    assert_eq!([site.read("new"), site.read("own")], ["upstream's\n", "a file\n"]);
    assert_eq!([site.read("untouched"), site.read("cache.token")], ["mine\n", "hush\n"]);
    assert_eq!(clone.git(&["status", "--porcelain"]), "?? untouched");
    site.run().expect(0);

    // Commits too.
    clone.write("notes", "committed here\n");
    let own = clone.commit("On the host");
    site.run().expect(0);
    site.push(&site.config(""), "Upstream moves again");
    told(&site, site.run(), "self-update", &["commits that were made here"]);
    assert_eq!(clone.git(&["for-each-ref", "--contains", own.as_str(), "--format=x"]), "x");
}

#[test]
fn a_broken_local_change_gives_way_at_once() {
    let site = Site::new().set_up();
    fs::write(site.path("config.toml"), "broken here\n").unwrap();
    told(&site, site.run(), "self-update", &["kept as refs/bst-fetcher/kept/"]);
    fs::remove_file(site.path("config.toml")).unwrap();
    told(&site, site.run(), "self-update", &["kept as refs/bst-fetcher/kept/"]);
    site.run().expect(0);
}

#[test]
fn a_remote_that_vanishes_stops_nothing() {
    let site = Site::new().set_up();
    let away = site.scratch.path("away");
    fs::rename(&site.repo.path, &away).unwrap();
    told(&site, site.run(), "self-update", &["could not be followed"]);
    fs::rename(&away, &site.repo.path).unwrap();
    site.run().expect(0);
    site.repo.git(&["checkout", "--quiet", "-b", "elsewhere"]);
    site.repo.git(&["branch", "-D", "main"]);
    told(&site, site.run(), "self-update", &["there is no branch main"]);
}

#[test]
fn a_remote_over_http_with_a_password_that_is_never_shown() {
    let site = Site::new();
    let server = HttpGit::start(site.scratch.root(), Manner::Guarded("Basic bWU6aHVzaGh1c2g=".to_owned()));
    let url = format!("{}/configuration/.git", server.url);
    let ended = site.init_from(&url.replace("://", "://me:wrongwrong@")).expect(1);
    assert!(!ended.to_string().replace("--from http://me:wrongwrong@", "").contains("wrongwrong"), "{ended}");
    let ended = site.init_from(&url.replace("://", "://me:hushhush@")).expect(0);
    assert!(!format!("{}{}", ended.stdout(), ended.stderr()).contains("hushhush"), "{ended}");
    assert!(!site.read(".git/config").contains("hushhush"));
    site.push(&site.config(OTHER), "Another branch");
    site.run().expect(0);
    assert_eq!(site.branches(), ["other"]);
}

#[test]
fn a_server_that_fails_is_told() {
    let site = Site::new().set_up();
    let server = HttpGit::start(site.scratch.root(), Manner::Status("503 Service Unavailable"));
    site.cloned().git(&["remote", "set-url", "origin", &format!("{}/configuration/.git", server.url)]);
    told(&site, site.run(), "self-update", &["503"]);
}

#[test]
fn a_remote_over_ssh_with_the_users_own_settings() {
    let site = Site::new();
    let sshd = Sshd::start(&site.scratch.path("sshd"));
    let url = sshd.url(&site.repo.path);
    // Copies, since their own names are not easy to quote.
    let [key, hosts] = [(&sshd.key, "key"), (&sshd.known_hosts, "hosts")].map(|(from, name)| {
        let to = site.scratch.path(name);
        fs::copy(from, &to).expect("a copy");
        to.display().to_string()
    });
    let command = format!("ssh -i {key} -o UserKnownHostsFile={hosts} -o BatchMode=yes");
    let ended = site.init_from(&url).expect(1);
    assert!(ended.stderr().contains("Host key verification failed"), "{ended}");
    assert!(!site.path("").exists(), "nothing is in the way of the next try");
    site.scratch.write("home/.gitconfig", format!("[core]\nsshCommand = {command:?}\n"));
    site.init_from(&url).expect(0);
    site.push(&site.config(OTHER), "Another branch");
    site.run().expect(0);
    assert_eq!(site.branches(), ["other"]);
}

#[test]
fn what_a_run_uses_is_what_it_read_when_it_looked_for_more() {
    let site = Site::new().set_up();
    site.run().expect(0);
    // Somebody changes the file while the server is asked.
    let other = site.scratch.write("other.toml", site.config(OTHER));
    let ssh = site.scratch.write(
        "ssh",
        format!(
            "for command; do :; done\ncp '{}' '{}'\nexec sh -c \"$command\"\n",
            other.display(),
            site.path("config.toml").display()
        ),
    );
    site.scratch
        .write("home/.gitconfig", format!("[core]\nsshCommand = \"sh {}\"\n[ssh]\nvariant = simple\n", ssh.display()));
    site.cloned().git(&["remote", "set-url", "origin", &format!("ssh://host{}/.git", site.repo.path.display())]);
    site.run().expect(0);
    assert!(site.read("config.toml").contains("other"), "the server was not asked");
    assert_eq!(site.branches(), ["main"]);
    site.run().expect(0);
    assert_eq!(site.branches(), ["other"]);
    assert!(site.fetcher().report()["configuration"].as_str().expect("text").ends_with("-dirty"));
}

#[test]
fn a_branch_that_is_named_is_followed_and_so_is_the_next() {
    let site = Site::new().set_up();
    site.repo.git(&["branch", "production"]);
    site.push(&site.config("[self-update]\nbranch = \"production\"\n"), "Follow production");
    site.run().expect(0);
    site.repo.git(&["checkout", "--quiet", "production"]);
    site.push(&site.config(OTHER), "In production");
    site.run().expect(0);
    assert_eq!(site.branches(), ["other"]);
    assert_eq!(site.cloned().git(&["status", "--porcelain", "--branch"]), "## production...origin/production");
    site.push(&site.config("branches = [\"*\"]"), "Once more");
    site.run().expect(0);
    assert_eq!(site.branches(), ["main", "other"]);
}

#[test]
fn commits_on_the_branch_that_is_followed_next_are_kept_too() {
    let site = Site::new().set_up();
    site.repo.git(&["branch", "production"]);
    let clone = site.cloned();
    clone.git(&["checkout", "--quiet", "-b", "production"]);
    clone.write("own", "mine\n");
    let own = clone.commit("On the host");
    clone.git(&["checkout", "--quiet", "main"]);
    site.push(&site.config("[self-update]\nbranch = \"production\"\n"), "Follow production");
    site.run().expect(0);
    told(&site, site.run(), "self-update", &["commits that were made here"]);
    assert_eq!(clone.git(&["for-each-ref", "--contains", own.as_str(), "--format=x", "refs/bst-fetcher/kept"]), "x");
}

#[test]
fn a_clone_made_by_hand_is_followed_too_and_what_is_not_in_it_is_not() {
    let site = Site::new();
    let hand = site.scratch.path("hand");
    site.repo.git(&["clone", "--quiet", ".", &hand.display().to_string()]);
    let fetcher = || fetcher_tests::fetcher::Fetcher::new(&site.scratch).using("hand/config.toml");
    site.push(&site.config(OTHER), "Another branch");
    fetcher().run(&["run"]).expect(0);
    assert_eq!(site.branches(), ["other"]);

    fs::write(hand.join("own.toml"), site.config("")).unwrap();
    let before = Repo::at(site.scratch.root(), "hand").tip("HEAD");
    site.push(&site.config(""), "Back");
    let own = fetcher_tests::fetcher::Fetcher::new(&site.scratch).using("hand/own.toml");
    own.run(&["run"]).expect(0);
    assert_eq!(Repo::at(site.scratch.root(), "hand").tip("HEAD"), before);

    // What somebody is at work on is not taken away from them, unless it is said that it may be.
    fs::write(hand.join("config.toml"), site.config("# mine\n")).unwrap();
    let ended = fetcher().run(&["run"]).expect(1);
    assert!(ended.stderr().contains("has changes of its own, so it is left alone"), "{ended}");
    assert!(fs::read_to_string(hand.join("config.toml")).unwrap().contains("# mine"));
    fs::write(hand.join("config.toml"), "broken\n").unwrap();
    fetcher().run(&["run"]).expect(3);
    assert_eq!(fs::read_to_string(hand.join("config.toml")).unwrap(), "broken\n");
    fs::write(hand.join("config.toml"), site.config("[self-update]\nenabled = false\n")).unwrap();
    fetcher().run(&["run"]).expect(0);
    assert_eq!(Repo::at(site.scratch.root(), "hand").tip("HEAD"), before);
    fs::write(hand.join("config.toml"), site.config("[self-update]\nenabled = true\n")).unwrap();
    let ended = fetcher().run(&["run"]).expect(1);
    assert!(ended.stderr().contains("kept as refs/bst-fetcher/kept/"), "{ended}");
    fetcher().run(&["run"]).expect(0);
    assert_eq!(site.branches(), ["main"]);
}

#[test]
fn nothing_of_the_repository_is_run() {
    let site = Site::new().set_up();
    let trap = site.scratch.path("sprung");
    for hook in ["post-checkout", "reference-transaction", "post-merge", "fsmonitor-watchman"] {
        let hook = site.path(&format!(".git/hooks/{hook}"));
        fs::write(&hook, format!("#!/bin/sh\ntouch '{}'\n", trap.display())).unwrap();
        fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    site.cloned().git(&["config", "filter.trap.smudge", &format!("touch '{}'; cat", trap.display())]);
    site.repo.write(".gitattributes", "* filter=trap\n");
    site.push(&site.config(OTHER), "With a filter");
    site.run().expect(0);
    assert_eq!(site.branches(), ["other"]);
    assert!(!trap.exists());
}

#[test]
fn a_server_that_never_answers_is_waited_for_no_longer_than_said() {
    let site = Site::new().set_up();
    let server = HttpGit::start(site.scratch.root(), Manner::Silent);
    site.cloned().git(&["remote", "set-url", "origin", &format!("{}/configuration/.git", server.url)]);
    let environment = site.scratch.environment().into_iter().collect();
    let cancel = Cancel::new();
    let update = SelfUpdate::new(RunContext::new(&environment, &cancel)).timeout(Duration::from_secs(1));
    let followed = update.follow(&site.path("config.toml"));
    assert!(followed.failures[0].message.contains("no end after 1s"), "{:?}", followed.failures);
    assert!(followed.loaded.is_ok());
}

#[test]
fn a_repository_that_has_nothing_to_do_with_the_configuration_is_no_trouble() {
    let site = Site::new();
    site.scratch.write("etc/config.toml", site.config(""));
    let fetcher = || fetcher_tests::fetcher::Fetcher::new(&site.scratch).using("etc/config.toml");
    // It cannot be opened at all, as that of another user.
    site.scratch.write("etc/.git", "nonsense\n");
    let ended = fetcher().run(&["run"]).expect(0);
    assert_eq!(ended.stderr(), "");
    assert_eq!(site.fetcher().report()["configuration"], serde_json::Value::Null);
    // Where it was meant, it is told.
    site.scratch.write("etc/config.toml", site.config("[self-update]\nenabled = true\n"));
    let ended = fetcher().run(&["run"]).expect(1);
    assert!(ended.stderr().contains("cannot open the configuration's clone"), "{ended}");
}

/// Commits a tree that git itself would not make: one blob, under this name.
fn commit_named(site: &Site, name: &str) {
    let blob = site.repo.git(&["hash-object", "-w", "config.toml"]);
    let script = r#"id=$(printf %s "$1" | sed 's/../\\x&/g')
        printf "100644 $2\0%b100644 config.toml\0%b" "$id" "$id" | git hash-object -t tree -w --literally --stdin"#;
    let mut command = std::process::Command::new("bash");
    let output = command.args(["-c", script, "bash", &blob, name]).current_dir(&site.repo.path).output();
    let tree = String::from_utf8(output.expect("bash").stdout).expect("a name").trim().to_owned();
    let commit = site.repo.git(&["commit-tree", &tree, "-p", "HEAD", "-m", "Hostile"]);
    site.repo.git(&["update-ref", "refs/heads/main", &commit]);
}

#[test]
fn a_commit_that_reaches_for_gits_own_directory_changes_nothing() {
    let site = Site::new().set_up();
    let before = site.cloned().tip("HEAD");
    for name in [".git", ".GIT", ".."] {
        site.repo.git(&["reset", "--quiet", "--hard", before.as_str()]);
        commit_named(&site, name);
        let ended = site.run().expect(1);
        assert!(ended.stderr().contains("which no work tree may have"), "{name}: {ended}");
        assert_eq!(site.cloned().tip("HEAD"), before);
        assert!(site.path(".git/config").exists());
    }
}

#[test]
fn what_a_link_on_the_host_leads_to_is_left_alone() {
    let site = Site::new().set_up();
    site.scratch.write("outside/a/precious", "precious\n");
    site.scratch.write("outside/b", "precious\n");
    symlink(site.scratch.path("outside"), site.path("files")).unwrap();
    site.repo.write("files/a", "new\n");
    site.repo.write("files/b", "new\n");
    site.push(&site.config(OTHER), "Files where the host has a link");
    told(&site, site.run(), "self-update", &["files", "refs/bst-fetcher/kept/"]);
    assert_eq!(site.read("files/a"), "new\n");
    assert!(site.path("files").symlink_metadata().unwrap().is_dir());
    let precious = || {
        for path in ["outside/a/precious", "outside/b"] {
            assert_eq!(fs::read_to_string(site.scratch.path(path)).unwrap(), "precious\n");
        }
    };
    precious();
    // Nor does a link that the repository itself had lead anywhere.
    fs::remove_dir_all(site.repo.path.join("files")).unwrap();
    symlink(site.scratch.path("outside"), site.repo.path.join("files")).unwrap();
    site.repo.commit("A link");
    site.run().expect(0);
    assert!(site.path("files").is_symlink());
    fs::remove_file(site.repo.path.join("files")).unwrap();
    site.repo.write("files/a", "new\n");
    site.repo.write("files/b", "new\n");
    site.repo.commit("Files in its place");
    site.run().expect(0);
    assert_eq!(site.read("files/b"), "new\n");
    precious();
}
