//! The program follows the version that its configuration needs, and the environment its requirements.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fetcher_tests::fetcher::{Ended, program};
use fetcher_tests::site::Site;
use fetcher_tests::wheel::wheel;

/// A copy of the program in a directory of its own.
fn installed(site: &Site) -> PathBuf {
    let path = site.scratch.path("bin/bst-fetcher");
    fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    // By a process of its own: what another thread starts meanwhile would have a file open that was written here, and
    // nothing can be run that somebody may write to.
    assert!(Command::new("cp").arg(program()).arg(&path).status().expect("cp starts").success());
    path
}

fn run(site: &Site, program: &Path) -> Ended {
    site.fetcher().program(program).run(&["run"])
}

/// Commits a configuration that needs a version that there is not, and the script that brings something for it: its
/// text gets the program's path as `$BST_FETCHER_PROGRAM`.
fn needs_newer(site: &Site, script: &str, more: &str) {
    site.repo.write("scripts/update", &format!("#!/bin/sh\n{script}\n"));
    let script = site.repo.path.join("scripts/update");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("permissions");
    let section = "[self-update]\nrequired-version = \"9.0.0\"\nbinary = [\"scripts/update\"]\n";
    site.push(&site.config(&format!("{more}{section}")), "Needs a newer program");
}

/// A script that puts a program into place that says it is 9.0.0, notes how it was started, and then does this.
fn brings(site: &Site, then: &str) -> String {
    let log = site.scratch.path("log");
    format!(
        "cat >\"$BST_FETCHER_PROGRAM.new\" <<'END'\n#!/bin/sh\n\
         case \" $* \" in *' --version '*) echo 'bst-fetcher 9.0.0'; exit;; esac\n\
         echo \"$BST_FETCHER_RENEWED $*\" >>'{}'\n{then}\nEND\n\
         chmod +x \"$BST_FETCHER_PROGRAM.new\" && mv \"$BST_FETCHER_PROGRAM.new\" \"$BST_FETCHER_PROGRAM\"",
        log.display()
    )
}

#[test]
fn the_run_goes_on_in_the_new_program() {
    let site = Site::new().set_up();
    let path = installed(&site);
    needs_newer(&site, &brings(&site, "exit 42"), "");
    run(&site, &path).expect(42);
    assert_eq!(fs::read_to_string(site.scratch.path("log")).unwrap(), "1 run\n");
    assert!(!site.scratch.path("state/runs").exists(), "the old one went on too");
}

#[test]
fn what_is_there_already_is_not_brought_again() {
    let site = Site::new().set_up();
    let path = installed(&site);
    needs_newer(&site, &brings(&site, "exit 42"), "");
    run(&site, &path).expect(42);
    // One that was started before.
    let old = site.scratch.path("old");
    fs::copy(program(), &old).unwrap();
    needs_newer(&site, "exit 1", "");
    let mut command = site.fetcher().program(&old).command(&["run"]);
    let ended: Ended =
        (&["run"][..], std::os::unix::process::CommandExt::arg0(&mut command, &path).output().unwrap()).into();
    ended.expect(42);
}

#[test]
fn it_goes_on_only_once() {
    let site = Site::new().set_up();
    let path = installed(&site);
    // It says that it is new, and is the old one.
    let then = format!("exec '{}' \"$@\"", program().display());
    needs_newer(&site, &brings(&site, &then), "branches = [\"other\"]\n");
    let ended = run(&site, &path).expect(1);
    assert!(ended.stderr().contains("is still the old one"), "{ended}");
    assert_eq!(fs::read_to_string(site.scratch.path("log")).unwrap(), "1 run\n");
    assert_eq!(site.branches(), ["other"]);
}

#[test]
fn a_configuration_that_only_the_new_program_understands_brings_that_first() {
    let site = Site::new();
    needs_newer(&site, "exit 1", "");
    let old = site.config("[self-update]\nrequired-version = \"0.0.1\"\nbinary = [\"scripts/update\"]\n");
    site.repo.write("scripts/update", &format!("#!/bin/sh\n{}\n", brings(&site, "exit 42")));
    site.push(&old, "An old version will do");
    let site = site.set_up();
    let path = installed(&site);
    run(&site, &path).expect(0);
    needs_newer(&site, "touch \"$HOME/wrong\"; exit 1", "key-of-the-future = true\n");
    run(&site, &path).expect(42);
    assert!(!site.scratch.path("home/wrong").exists(), "a command was run that was not accepted");
}

#[test]
fn what_fails_is_told_and_the_old_program_goes_on() {
    let site = Site::new().set_up();
    let path = installed(&site);
    let old = fs::read(&path).unwrap();
    let broken = "printf '#!/bin/sh\\necho no such library; exit 127\\n' >\"$BST_FETCHER_PROGRAM.new\"\n\
                  chmod +x \"$BST_FETCHER_PROGRAM.new\" && mv \"$BST_FETCHER_PROGRAM.new\" \"$BST_FETCHER_PROGRAM\"";
    for (script, words) in [
        ("echo no network; exit 7", &["exit status 7", "no network"][..]),
        ("true", &["now says \"bst-fetcher "]),
        (broken, &["no such library", "was put back"]),
    ] {
        needs_newer(&site, script, "");
        for _ in 0..2 {
            let ended = run(&site, &path).expect(1);
            for word in words {
                assert!(ended.stderr().contains(word), "{word:?}: {ended}");
            }
            assert_eq!(site.fetcher().report()["branches"][0]["outcome"], "ok");
            assert_eq!(fs::read(&path).unwrap(), old);
        }
    }
    site.push(&site.config("[self-update]\nrequired-version = \"9.0.0\"\n"), "No command");
    let ended = run(&site, &path).expect(1);
    assert!(ended.stderr().contains("no command is configured"), "{ended}");
}

#[test]
fn changed_requirements_are_installed_in_the_same_run_and_the_last_good_environment_serves() {
    let site = Site::new();
    let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/fake-bst/bst").canonicalize().unwrap();
    let (fake, scenario) = (fake.display(), site.scratch.path("scenario"));
    let main = format!("os.execv('{fake}', ['{fake}', '--scenario', '{}', *sys.argv[1:]])", scenario.display());
    for version in ["2.8.0", "2.8.1"] {
        wheel(&site.repo.path, version, &main);
    }
    let root = site.scratch.root().display();
    // What the package runs is shown to it.
    let shown = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").canonicalize().unwrap();
    let shown = format!("[sandbox]\nread = ['{}']\nwrite = ['{}']\n", shown.display(), scenario.display());
    let config = site
        .config("")
        .replace(&site.fake.config(), &format!("{shown}[buildstream]\nrequirements = \"requirements.txt\"\n"));
    let requires = |requirement: &str| {
        site.repo.write("requirements.txt", &format!("{requirement}\n"));
        site.push(&config, requirement);
    };
    let run = || site.fetcher().env("PIP_NO_INDEX", "1").run(&["run"]);
    requires("./buildstream-2.8.0-py3-none-any.whl");
    let site_url = site.repo.url();
    site.init_from(&site_url).expect(0);
    run().expect(0);
    let environments = || -> BTreeSet<String> {
        let entries = fs::read_dir(format!("{root}/cache/environments/by-key")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let before = environments();
    requires("./buildstream-2.8.1-py3-none-any.whl");
    run().expect(0);
    assert!(environments() != before, "no other environment was made");
    requires("buildstream==99.0");
    for _ in 0..2 {
        let ended = run().expect(1);
        assert!(ended.stderr().contains("the environment that served last serves again"), "{ended}");
    }
    let calls = site.fake.commands();
    assert!(calls.contains(&"track".to_owned()), "{calls:?}");
}
