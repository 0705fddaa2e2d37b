//! `check --host` with the real BuildStream and a real source cache.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;

use fetcher_tests::fake::FakeBst;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::host::DeadPort;
use fetcher_tests::project::Project;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::{bst, casd};

fn cache(url: &str, more: &str) -> String {
    format!("[[project.source-caches]]\nurl = \"{url}\"\npush = true\n{more}")
}

fn config(project: &Project, caches: &str) -> String {
    let bst = bst::bst().display().to_string();
    let url = project.url();
    format!("[buildstream]\ncommand = ['{bst}']\n\n[[project]]\nname = \"example\"\nurl = \"{url}\"\n{caches}")
}

/// A directory with these programs of the machine.
fn path_with(scratch: &Scratch, programs: &[&str]) -> PathBuf {
    let directory = scratch.path("tools");
    fs::create_dir(&directory).expect("a directory");
    let path = std::env::var_os("PATH").expect("PATH is set");
    for program in programs {
        let found = std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.exists());
        symlink(found.expect("it is installed"), directory.join(program)).expect("a link");
    }
    directory
}

/// The interpreter itself, for `python3` may be a script that needs more programs.
fn python() -> PathBuf {
    let said = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().expect("python3");
    PathBuf::from(String::from_utf8(said.stdout).expect("a path").trim())
}

#[test]
fn a_host_that_is_well_and_a_cache_that_takes_pushes() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let remote = casd::source_cache(&scratch.path("remote"));
    let fetcher = Fetcher::new(&scratch).config(config(&project, &cache(remote.url(), "")));
    for _ in 0..2 {
        let ended = fetcher.run(&["check", "--host"]).expect(0);
        let table = ended.stdout();
        for words in [
            "ok    git: ",
            "bst of example",
            "2.8.1 (",
            "buildbox-casd",
            "1 of its branches: main",
            "took a source in",
            "MiB free",
        ] {
            assert!(table.contains(words), "{words}: {ended}");
        }
        assert!(!table.contains("FAIL") && !table.contains("warn"), "{ended}");
    }
    assert_eq!(fetcher.run(&["check", "--host", "--quiet"]).expect(0).stdout(), "");
    assert!(!scratch.path("cache/cachedir").exists(), "nothing of it is left in the cache");
}

#[test]
fn caches_that_take_no_pushes() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    // It takes connections and never says anything.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let impatient = "connection-config = { retry-limit = 1, retry-delay = 100, request-timeout = 3 }\n";
    let dead = DeadPort::new();
    let caches = cache(&dead.url(), impatient) + &cache(&silent, impatient);
    let fetcher = Fetcher::new(&scratch).config(config(&project, &caches));
    let ended = fetcher.run(&["check", "--host", "--quiet"]).expect(1);
    let table = ended.stdout();
    assert_eq!(table.matches("FAIL").count(), 2, "{ended}");
    assert_eq!(table.matches("→ ").count(), 2, "{ended}");
    assert!(table.contains(&format!("push of example to {}: ", dead.url())) && table.contains(&silent), "{ended}");
}

#[test]
fn what_the_host_lacks_is_told_all_at_once() {
    let scratch = Scratch::new();
    let fake = FakeBst::new(&scratch, "");
    let file = scratch.write("file", "");
    let text = format!(
        "[fetcher]\npublish-dir = '{}/pages'\n\n{}\n[[project]]\nname = \"far\"\n\
         url = \"ssh://git@127.0.0.1:1/x.git\"\n\n[[project]]\nname = \"bad\"\nurl = \"nothing\"\n\
         buildstream = {{ command = [\"no-such-bst\"] }}\n",
        file.display(),
        fake.config()
    );
    let fetcher = Fetcher::new(&scratch).config(text);
    let tools = path_with(&scratch, &["git"]);
    let fetcher = fetcher.env("PATH", tools.display());
    let ended = fetcher.run(&["check", "--host", "--quiet"]).expect(1);
    let table = ended.stdout();
    for words in [
        "FAIL  publish-dir:",
        "FAIL  ssh",
        "openssh-client",
        "FAIL  bst of bad",
        "no-such-bst",
        "FAIL  repository of far",
        "FAIL  repository of bad",
    ] {
        assert!(table.contains(words), "{words}: {ended}");
    }
    assert!(!table.contains("bst of far"), "{ended}");
}

/// A `bst` of the machine that tells its version, and starts nothing for want of bubblewrap, is not taken.
#[test]
fn a_bst_that_only_tells_its_version_gives_way_to_a_managed_one() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    let tools = path_with(&scratch, &["git", "sh", "env"]);
    symlink(python(), tools.join("python3")).unwrap();
    let bst = |text: &str| {
        let path = tools.join("bst");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let text = format!("[[project]]\nname = \"example\"\nurl = \"{}\"\n", project.url());
    let fetcher = Fetcher::new(&scratch).config(text).env("PATH", tools.display());

    bst(&format!("#!/bin/sh\nexec '{}' \"$@\"\n", bst::bst().display()));
    let ended = fetcher.run(&["check", "--host"]).expect(0);
    assert!(ended.stdout().contains("2.8.1 (bst)"), "it needs no bubblewrap: {ended}");
    assert!(!scratch.path("cache/environments").exists(), "{ended}");

    bst("#!/bin/sh\n[ \"$1\" = --version ] && echo 2.8.1 && exit\nexit 255\n");
    let fetcher = fetcher.env("PIP_NO_INDEX", 1);
    let ended = fetcher.run(&["check", "--host"]).expect(1);
    assert!(ended.stdout().contains("buildstream==2.8.1"), "pip was asked for another one: {ended}");
    assert!(scratch.path("cache/environments").exists(), "{ended}");
}

#[test]
fn what_plugins_lack_is_told_at_once_with_the_python_that_they_want() {
    let scratch = Scratch::new();
    let repo = scratch.repo("project");
    let conf = "name: needy\nmin-version: 2.0\n(@): plugins.yml\n";
    let plugins = "plugins:\n- origin: pip\n  package-name: no-such-plugins-of-ours\n  sources: [deb, git_repo]\n\
                   - origin: local\n  path: plugins\n  sources: [own]\n";
    repo.write("project.conf", conf);
    repo.write("plugins.yml", plugins);
    repo.write("plugins/own.py", "import os, sys\nimport aiohttp_that_is_not_there\nfrom buildstream import Source\n");
    repo.commit("Needy");
    repo.git(&["checkout", "--quiet", "-b", "newer"]);
    repo.write("plugins.yml", "plugins:\n- origin: local\n  path: plugins\n  sources: [own]\n");
    repo.write(
        "plugins/own.py",
        "import tempfile\n\ndef f():\n    tempfile.NamedTemporaryFile(delete_on_close=False)\n",
    );
    repo.commit("A newer Python");
    let bst = bst::bst().display().to_string();
    let text = format!("[buildstream]\ncommand = ['{bst}']\n\n[[project]]\nurl = \"project\"\nbranches = [\"*\"]\n");
    let fetcher = Fetcher::new(&scratch).config(text);
    let ended = fetcher.run(&["check", "--host"]).expect(1);
    let table = ended.stdout();
    let line =
        |words: &str| table.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {ended}"));
    let lacks = line("project.conf of project: main");
    for name in ["FAIL", "aiohttp-that-is-not-there", "no-such-plugins-of-ours", "buildstream-plugins-community[deb]"] {
        assert!(lacks.contains(name), "{name}: {ended}");
    }
    assert!(!lacks.contains("buildstream,") && !lacks.contains(" os"), "{ended}");
    assert!(line("install `").contains("with pip where `"), "{ended}");
    assert!(
        line("project.conf of project: newer")
            .contains("NamedTemporaryFile(delete_on_close), which Python 3.12 brought")
    );
}
