//! What starts a run time and again: units that the real systemd verifies, lines of a real crontab.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::installed;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::site::Site;

/// The units that a command printed, as files, named by the comment before each.
fn units(scratch: &Scratch, printed: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    for line in printed.lines() {
        if let Some(name) = line
            .strip_prefix("# /")
            .and_then(|path| path.rsplit('/').next())
            .filter(|name| name.starts_with("bst-fetcher."))
        {
            paths.push(scratch.path(&format!("units/{name}")));
            texts.push(String::new());
        }
        let text = texts.last_mut().expect("a file's name comes first");
        text.push_str(line);
        text.push('\n');
    }
    for (path, text) in paths.iter().zip(texts) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, text).expect("a unit");
    }
    paths
}

/// Lets systemd look for mistakes, of which it tells on standard error also where it exits with 0.
fn verify(scratch: &Scratch, printed: &str, user: bool) -> String {
    let paths = units(scratch, printed);
    assert_eq!(paths.len(), 2, "{printed}");
    let mut command = Command::new(installed::program("systemd-analyze"));
    command.args(["verify", "--man=no", "--recursive-errors=no"]).args(user.then_some("--user")).args(&paths);
    command.env("XDG_RUNTIME_DIR", scratch.root());
    let output = command.output().expect("systemd-analyze");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{printed}");
    said
}

#[test]
fn systemd_verifies_the_units() {
    let site = Site::new();
    let root = site.scratch.root().display().to_string();
    let text = site.config("git = { token-file = \"${CREDENTIALS_DIRECTORY}/gitlab.token\" }");
    site.push(
        &text.replace("[fetcher]\n", &format!("[fetcher]\npublish-dir = \"{root}/www\"\n")),
        "Pages and a credential",
    );
    site.init_from(&site.repo.url()).expect(3);
    for user in [false, true] {
        let arguments: &[&str] =
            if user { &["schedule", "systemd", "--user"] } else { &["schedule", "systemd", "--run-as", "daemon"] };
        let printed = site.fetcher().run(arguments).expect(0).stdout();
        let said = verify(&site.scratch, &printed, user);
        assert!(!said.contains("bst-fetcher"), "{said}\n{printed}");
        assert!(printed.contains("LoadCredential=gitlab.token:"), "{printed}");
        assert_eq!(
            printed.contains("\nUser=daemon\n") && printed.contains("\nProtectSystem=strict\n"),
            !user,
            "{printed}"
        );
    }
    let unit = |user: &[&str]| site.fetcher().run(&[&["schedule", "systemd"], user].concat()).expect(0).stdout();
    for printed in [unit(&["--run-as", "daemon"]), unit(&["--run-as", "root"]), unit(&["--user"])] {
        for breaks_bubblewrap in [
            "ProtectKernelLogs=",
            "ProtectKernelTunables=",
            "ProcSubset=",
            "RestrictNamespaces=",
            "SystemCallFilter=",
            "RestrictSUIDSGID=",
            "RootDirectory=",
        ] {
            assert!(!printed.contains(&format!("\n{breaks_bubblewrap}")), "{breaks_bubblewrap}: {printed}");
        }
    }
    for user in ["daemon", "root"] {
        let printed = unit(&["--run-as", user]);
        assert!(printed.contains("\nIPAddressDeny=169.254.0.0/16 fe80::/10\n"), "{printed}");
    }
    // A mistake would be seen.
    let printed = site.fetcher().run(&["schedule", "systemd", "--on-calendar", "sometimes"]).expect(0).stdout();
    let paths = units(&site.scratch, &printed);
    let mut command = Command::new("systemd-analyze");
    let output = command.args(["verify", "--man=no"]).args(&paths).output().expect("systemd-analyze");
    assert!(String::from_utf8_lossy(&output.stderr).contains("sometimes"));
}

#[test]
fn what_the_run_writes_is_writable_under_the_hardening() {
    let site = Site::new();
    let root = site.scratch.root().display().to_string();
    let more = format!("[fetcher]\npublish-dir = \"{root}/www\"\nmetrics-file = \"{root}/metrics/x.prom\"\n");
    site.push(&site.config("").replace("[fetcher]\n", &more), "Pages and metrics");
    let site = site.set_up();
    let printed = site.fetcher().run(&["schedule", "systemd"]).expect(0).stdout();
    let real = site.scratch.root().canonicalize().unwrap();
    for path in ["www", "metrics", "state", "cache", "home/.config/bst-fetcher/repository"] {
        let line = format!("ReadWritePaths=-{}\n", real.join(path).display());
        assert!(printed.contains(&line), "{line} is not in\n{printed}");
    }
    for line in [
        "ProtectSystem=strict",
        "StateDirectory=bst-fetcher",
        "CacheDirectory=bst-fetcher",
        "Persistent=true",
        "RandomizedDelaySec=5m",
        "SuccessExitStatus=75",
    ] {
        assert!(printed.lines().any(|found| found == line), "{line} is not in\n{printed}");
    }
}

#[test]
fn a_run_and_an_update_need_nothing_else_to_be_writable() {
    let site = Site::new();
    let root = site.scratch.root().canonicalize().expect("a directory").display().to_string();
    let more = format!("[fetcher]\npublish-dir = \"{root}/www\"\nmetrics-file = \"{root}/metrics/x.prom\"\n");
    site.push(&site.config("").replace("[fetcher]\n", &more), "Pages and metrics");
    let site = site.set_up();
    let printed = site.fetcher().run(&["schedule", "systemd"]).expect(0).stdout();
    // What systemd does for ProtectSystem=strict and ReadWritePaths=.
    let mut script = format!("mount --bind '{root}' '{root}' && mount -o remount,bind,ro '{root}' || exit 97\n");
    for path in printed.lines().filter_map(|line| line.strip_prefix("ReadWritePaths=-")) {
        fs::create_dir_all(path).expect("a directory");
        let _ = writeln!(script, "mount --bind '{path}' '{path}' && mount -o remount,bind,rw '{path}' || exit 97");
    }
    // The fake bst notes its calls, and the private /tmp is writable.
    for path in ["scenario", "tmp"] {
        fs::create_dir_all(site.scratch.path(path)).expect("a directory");
        let _ = writeln!(script, "mount -t tmpfs none '{root}/{path}' || exit 97");
    }
    let _ = writeln!(script, "! touch '{root}/probe' 2>/dev/null || exit 98");
    site.push(&site.config("branches = [\"other\"]").replace("[fetcher]\n", &more), "Another branch");
    let fetcher = site.fetcher().env("TMPDIR", format!("{root}/tmp")).small_disk("nothing", "1M").limited(&script);
    let ended = fetcher.run(&["run"]).expect(0);
    assert_eq!(ended.stderr(), "");
    assert_eq!(site.branches(), ["other"]);
    assert!(site.scratch.path("www/index.html").exists() && site.scratch.path("metrics/x.prom").exists());
    // It is not writable where the unit does not say so.
    let line = format!("ReadWritePaths=-{root}/home/.config/bst-fetcher/repository");
    assert!(printed.contains(&line), "{printed}");
    let clone = format!("mount -o remount,bind,ro '{root}/home/.config/bst-fetcher/repository' || exit 97\n");
    let fetcher = site.fetcher().env("TMPDIR", format!("{root}/tmp")).small_disk("nothing", "1M");
    let ended = fetcher.limited(&format!("{script}{clone}")).run(&["run"]).expect(1);
    assert!(ended.stderr().contains("ReadWritePaths="), "{ended}");
}

#[test]
fn units_are_installed_and_removed_and_nobody_elses_are_touched() {
    let site = Site::new().set_up();
    let log = site.scratch.path("systemctl.log");
    let systemctl = site.scratch.write("bin/systemctl", format!("#!/bin/sh\necho \"$@\" >>'{}'\n", log.display()));
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", systemctl.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let run = |what: &str| site.fetcher().env("PATH", &path).run(&["schedule", "systemd", "--user", what]);
    let service = site.scratch.path("home/.config/systemd/user/bst-fetcher.service");
    run("--remove").expect(0);
    run("--install").expect(0);
    run("--install").expect(0);
    assert!(fs::read_to_string(&service).unwrap().contains("ExecStart="));
    run("--remove").expect(0);
    assert!(!service.exists());
    let said = fs::read_to_string(&log).unwrap();
    let install = "--user daemon-reload\n--user enable --now bst-fetcher.timer\n";
    assert_eq!(said, format!("{install}{install}--user disable --now bst-fetcher.timer\n--user daemon-reload\n"));
    fs::write(&service, "[Service]\nExecStart=/bin/true\n").unwrap();
    for what in ["--install", "--remove"] {
        run(what).expect(1);
        assert_eq!(fs::read_to_string(&service).unwrap(), "[Service]\nExecStart=/bin/true\n");
    }
}

/// The program with a spool of crontabs of the test's own in place of the system's.
fn with_crontabs(site: &Site) -> Fetcher<'_> {
    let spool = site.scratch.path("crontabs");
    let line = format!("mount --bind '{}' /var/spool/cron/crontabs || exit 97", spool.display());
    site.fetcher().small_disk("nothing", "1M").limited(&line)
}

#[test]
fn the_crontab_gets_and_loses_our_lines_alone() {
    installed::program("crontab");
    let site = Site::new().set_up();
    let user = Command::new("id").arg("-un").output().unwrap();
    let user = String::from_utf8(user.stdout).unwrap().trim().to_owned();
    let crontab = site.scratch.path("crontabs").join(user);
    fs::create_dir_all(crontab.parent().unwrap()).unwrap();
    let run = |arguments: &[&str]| with_crontabs(&site).run(&[&["schedule", "cron"], arguments].concat()).expect(0);
    let read = || fs::read_to_string(&crontab).unwrap_or_default();
    let line = run(&[]).stdout();
    assert!(line.contains(" * * * * PATH=") && line.contains("run --lock-wait 10m"), "{line}");
    assert_eq!(read(), "", "printing installs nothing");

    run(&["--install"]);
    assert!(read().contains(&line), "{}", read());
    run(&["--remove"]);
    assert!(!read().contains("bst-fetcher"), "{}", read());

    let others = "MAILTO=me@example.org\n5 4 * * * echo 100\\% \"$HOME\" # mine\n";
    fs::write(&crontab, others).unwrap();
    fs::set_permissions(&crontab, fs::Permissions::from_mode(0o600)).unwrap();
    run(&["--install"]);
    run(&["--install", "--at", "1 2 * * *"]);
    let text = read();
    assert!(
        text.contains(others) && text.contains("\n1 2 * * * PATH=") && text.matches("run --lock-wait").count() == 1,
        "{text}"
    );
    run(&["--remove"]);
    assert!(read().ends_with(others) && !read().contains("bst-fetcher"), "{}", read());
}
