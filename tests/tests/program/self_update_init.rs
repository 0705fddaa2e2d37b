//! Setting hosts up from a repository, and judging a configuration before it gets to any.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use fetcher_tests::fetcher::{Ended, Fetcher};
use fetcher_tests::site::{CLONE, Site};

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[test]
fn a_host_is_set_up_and_told_how_to_go_on() {
    let site = Site::new();
    let ended = site.init_from(&site.repo.url()).expect(0);
    let config = site.scratch.path("home/.config/bst-fetcher/config.toml");
    assert!(ended.stdout().contains("this host uses config.toml"), "{ended}");
    assert!(ended.stdout().contains(&format!("--config {} run --lock-wait 10m", config.display())), "{ended}");
    assert!(ended.stdout().contains("config.toml schedule systemd --install"), "{ended}");
    assert_eq!(fs::read_link(&config).unwrap().to_str(), Some("repository/config.toml"));
    assert_eq!(site.cloned().git(&["status", "--porcelain", "--branch"]), "## main...origin/main");
    site.run().expect(0);
    let again = site.init_from(&site.repo.url()).expect(1);
    assert!(again.stderr().contains("is there already, and stays as it is"), "{again}");
}

#[test]
fn several_hosts_are_served_from_one_repository_and_branch() {
    let site = Site::new();
    site.repo.write(&format!("hosts/{}.toml", host()), &site.config("branches = [\"other\"]"));
    site.repo.write("elsewhere/b.toml", &site.config("branches = [\"*\"]"));
    site.repo.commit("Hosts");
    site.repo.git(&["branch", "production"]);
    site.push("broken on main\n", "Broken");
    let set_up = |arguments: &[&str]| {
        let _ = fs::remove_dir_all(site.scratch.path("home/.config"));
        site.fetcher().run(&[&["init", "--from", &site.repo.url()], arguments].concat())
    };
    set_up(&["--branch", "production"]).expect(0);
    site.run().expect(0);
    assert_eq!(site.branches(), ["other"]);
    set_up(&["--branch", "production", "--path", "elsewhere/b.toml"]).expect(0);
    site.run().expect(0);
    assert_eq!(site.branches(), ["main", "other"]);
    // What concerns another host's file alone changes nothing here.
    site.repo.git(&["checkout", "--quiet", "production"]);
    site.push("broken\n", "Another host's");
    site.run().expect(0);
}

#[test]
fn a_failure_leaves_nothing_in_the_way() {
    let site = Site::new();
    let left = || {
        let entries = fs::read_dir(site.scratch.path("home/.config/bst-fetcher")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
    };
    let none = site.init_from(&site.scratch.path("nothing").display().to_string()).expect(1);
    assert!(none.stderr().contains("nothing"), "{none}");
    let bad = site.init_from("ext::sh -c true").expect(1);
    assert!(bad.stderr().contains("cannot be used as a repository's address"), "{bad}");
    site.fetcher().run(&["init", "--from", &site.repo.url(), "--path", "none.toml"]).expect(3);
    site.fetcher().run(&["init", "--from", &site.repo.url(), "--branch", "none"]).expect(1);
    site.push(&site.config("brunches = []"), "Broken");
    let broken = site.init_from(&site.repo.url()).expect(3);
    assert!(broken.stderr().contains("brunches"), "{broken}");
    assert!(left().is_empty(), "{:?}", left());
    // What this host alone lacks can be brought once the clone is there.
    site.push(&site.config("git = { token-file = \"/nowhere/token\" }"), "A token");
    let lacking = site.init_from(&site.repo.url()).expect(3);
    assert!(lacking.stderr().contains("/nowhere/token is not there"), "{lacking}");
    assert!(site.path("config.toml").exists());
}

/// Runs `config validate` in the repository, without a home or a configuration.
fn validate(site: &Site, arguments: &[&str]) -> Ended {
    let mut command = Command::new(fetcher_tests::fetcher::program());
    command.args(["config", "validate"]).args(arguments).current_dir(&site.repo.path).env_clear();
    command.env("PATH", std::env::var_os("PATH").expect("a PATH"));
    (arguments, command.output().expect("the program starts")).into()
}

#[test]
fn a_change_is_judged_in_the_repositorys_own_ci() {
    let site = Site::new();
    let good = site.repo.tip("HEAD");
    let ended = validate(&site, &[]).expect(0);
    assert_eq!(ended.stdout(), format!("config.toml is good at commit {good}\n"));
    site.repo.write(".gitignore", "*.token\n");
    let more = "git = { token-file = \"own.token\", known-hosts = \"${CREDENTIALS_DIRECTORY}/hosts\" }\n\
                options = { arch = \"${ARCH}\" }\n";
    site.push(&site.config(more), "What only the host has");
    let ended = validate(&site, &[]).expect(0);
    for word in ["own.token", "/hosts", "ARCH", "CREDENTIALS_DIRECTORY"] {
        assert!(ended.stderr().contains(word), "{word}: {ended}");
    }
    site.push(&site.config("git = { known-hosts = \"missing\" }"), "What the repository should have");
    let ended = validate(&site, &[]).expect(3);
    assert!(ended.stderr().contains("config.toml:11:") && ended.stderr().contains("missing"), "{ended}");
    validate(&site, &["--commit", good.as_str()]).expect(0);
    validate(&site, &["--commit", "HEAD~1"]).expect(0);
    let ended = validate(&site, &["--commit", "none"]).expect(3);
    assert!(ended.stderr().contains("\"none\" is no commit here"), "{ended}");
    site.repo.write("hosts/b.toml", "oops\n");
    site.push(&site.config(""), "Another host's is broken");
    validate(&site, &[]).expect(0);
    let ended = validate(&site, &["--path", "hosts/b.toml"]).expect(3);
    assert!(ended.stderr().contains("hosts/b.toml:1:"), "{ended}");
}

#[test]
fn a_link_by_hand_to_another_file_is_what_is_followed() {
    let site = Site::new().set_up();
    site.repo.write("hosts/b.toml", &site.config("branches = [\"other\"]"));
    site.repo.commit("Another host");
    site.run().expect(0);
    let link = site.scratch.path("home/.config/bst-fetcher/config.toml");
    fs::remove_file(&link).unwrap();
    symlink("repository/hosts/b.toml", &link).unwrap();
    site.run().expect(0);
    assert_eq!(site.branches(), ["other"]);
    site.repo.write("hosts/b.toml", "broken\n");
    site.repo.commit("Broken");
    let ended = site.run().expect(1);
    assert!(ended.stderr().contains("hosts/b.toml:1:"), "{ended}");
    // The file in the clone, named as such, is the same.
    Fetcher::new(&site.scratch).using(&format!("{CLONE}/hosts/b.toml")).run(&["run"]).expect(1);
}
