//! What a hostile plugin can do on the fetching host, with the real BuildStream: without a sandbox, in bubblewrap, and
//! where there is Landlock alone.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fetcher_tests::bst;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::installed;
use fetcher_tests::scratch::Scratch;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// Everything that a plugin is let try.
struct Host {
    scratch: Scratch,
    /// What the process that a plugin leaves behind has for its argument.
    mark: String,
    _sockets: (UnixListener, UnixListener, TcpListener),
}

impl Host {
    fn new() -> Self {
        let scratch = Scratch::new();
        // A time to sleep that no other test has.
        let name = scratch.root().to_string_lossy().into_owned();
        let unique = name.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(257).wrapping_add(u64::from(byte)));
        let mark = format!("{}.{:09}", 200_000 + std::process::id(), unique % 1_000_000_000);
        let secret = scratch.write("secrets/token", "t0psecret");
        for file in ["home/.bashrc", "home/.gitconfig", "pages/index.html", "state/note", "cache/mirrors/other/config"]
        {
            scratch.write(file, "");
        }
        scratch.write("cache/checkouts/other/main/tree/file", "another project's");
        let by_path = UnixListener::bind(scratch.path("agent")).expect("a socket");
        let name = scratch.root().to_string_lossy().into_owned();
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let abstracted = UnixListener::bind_addr(&address).expect("an abstract socket");
        let network = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = |name: &str| scratch.path(name);
        let probe = json!({
            "secret": secret,
            "directories": {
                "home": [at("home"), ".bashrc"],
                "state": [at("state"), "note"],
                "mirrors": [at("cache/mirrors"), "other"],
                "other checkout": [at("cache/checkouts/other"), "main"],
                "configuration": [scratch.root(), "config.toml"],
            },
            "writable": {
                "bashrc": at("home/.bashrc"), "gitconfig": at("home/.gitconfig"), "pages": at("pages/index.html"),
                "state": at("state/note"), "configuration": at("config.toml"), "environment": bst::bst(),
                "mirror": at("cache/mirrors/other/config"),
            },
            "program": "bst-fetcher",
            "socket": at("agent"),
            "abstract": name,
            "port": network.local_addr().expect("its address").port(),
            "linger": mark,
            "own": { "cache": at("cache/cachedir/written-by-probe") },
        });
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/sandbox-probe");
        let repo = scratch.repo("project");
        for name in ["project.conf", "elements/probe.bst", "plugins/probe.py"] {
            repo.write(name, &fs::read_to_string(fixture.join(name)).expect("the fixture"));
        }
        repo.write("probe.json", &probe.to_string());
        repo.commit("A plugin");
        Self { scratch, mark, _sockets: (by_path, abstracted, network) }
    }

    fn fetcher(&self, sandbox: &str) -> Fetcher<'_> {
        let command = bst::bst();
        Fetcher::new(&self.scratch).config(format!(
            "[sandbox]\n{sandbox}\n[buildstream]\ncommand = ['{}']\n[[project]]\nname = \"probe\"\nurl = \"project\"\n\
             targets = [\"probe.bst\"]\nretries = 0\n",
            command.display()
        ))
    }

    /// What the plugin could do, by attempt, each where it succeeded in any `bst`.
    fn found(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.scratch.path("state/runs")];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").path()));
            } else if path.extension().is_some_and(|end| end == "log") {
                let text = String::from_utf8_lossy(&fs::read(path).expect("a log")).into_owned();
                for part in text.split("PROBE ").skip(1) {
                    let mut values = serde_json::Deserializer::from_str(part).into_iter::<BTreeMap<String, String>>();
                    for (name, said) in values.next().and_then(Result::ok).into_iter().flatten() {
                        let known = found.entry(name).or_insert_with(|| said.clone());
                        if said == "yes" {
                            *known = said;
                        }
                    }
                }
            }
        }
        assert!(found.len() > 32, "{found:#?}");
        found
    }

    /// The processes that a plugin left behind.
    fn lingering(&self) -> Vec<i32> {
        let lingers = |process: &fs::DirEntry| {
            let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
            arguments.split(|byte| *byte == 0).any(|word| word == self.mark.as_bytes())
        };
        let processes = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok).filter(lingers);
        processes.filter_map(|process| process.file_name().to_str()?.parse().ok()).collect()
    }

    /// That nothing a plugin left behind runs on.
    #[track_caller]
    fn nothing_lingers(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        while !self.lingering().is_empty() {
            assert!(Instant::now() < until, "what a plugin left behind runs on");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What a test without a sandbox left behind must not outlive it.
impl Drop for Host {
    fn drop(&mut self) {
        for process in self.lingering().into_iter().filter_map(Pid::from_raw) {
            // It may have ended in between.
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// What the plugin could do.
fn allowed(found: &BTreeMap<String, String>) -> Vec<&str> {
    found.iter().filter(|(_, said)| *said == "yes").map(|(name, _)| name.as_str()).collect()
}

/// What it is to be able to do wherever it runs.
const OWN: [&str; 5] = ["network", "own cache", "own checkout", "own home", "own temporary"];

/// A directory with links to all programs of `PATH` but this one.
fn path_without(scratch: &Scratch, program: &str) -> PathBuf {
    let directory = scratch.path("programs");
    fs::create_dir(&directory).expect("a directory");
    for entry in std::env::split_paths(&std::env::var_os("PATH").expect("PATH")).flat_map(fs::read_dir).flatten() {
        let entry = entry.expect("an entry");
        if entry.file_name() != program {
            // The first of a name counts.
            let _ = symlink(entry.path(), directory.join(entry.file_name()));
        }
    }
    directory
}

#[test]
fn without_a_sandbox_a_plugin_does_what_the_user_may() {
    let host = Host::new();
    host.fetcher("mode = \"off\"").run(&["run"]).expect(0);
    let found = host.found();
    for name in
        ["secret read", "write bashrc", "write configuration", "fetcher environ", "fetcher signal", "list mirrors"]
    {
        assert_eq!(found[name], "yes", "{found:#?}");
    }
}

#[test]
fn in_bubblewrap_a_plugin_reaches_its_own_and_the_network_alone() {
    installed::program("bwrap");
    let host = Host::new();
    let fetcher = host.fetcher("mode = \"required\"");
    let ended = fetcher.run(&["check", "--host"]).expect(0);
    assert!(ended.stdout().contains("sandbox: bubblewrap"), "{ended}");
    fetcher.run(&["run"]).expect(0);
    let found = host.found();
    assert_eq!(allowed(&found), OWN, "{found:#?}");
    host.nothing_lingers();
}

#[test]
fn with_landlock_alone_a_plugin_reads_and_writes_its_own_alone() {
    let host = Host::new();
    let path = path_without(&host.scratch, "bwrap");
    let fetcher = host.fetcher("mode = \"required\"").env("PATH", path.display());
    let ended = fetcher.run(&["check", "--host"]).expect(0);
    assert!(ended.stdout().contains("sandbox: Landlock"), "{ended}");
    fetcher.run(&["run"]).expect(0);
    let found = host.found();
    // What Landlock does not cover, as docs/security.md says.
    let gaps = [
        "secret stat",
        "secret chmod",
        "secret utime",
        "secret setxattr",
        "list home",
        "list state",
        "list mirrors",
        "list other checkout",
        "list configuration",
        "socket by path",
        "own checkout's git",
        "fetcher prlimit",
        "fetcher cmdline",
        "fetcher fd",
    ];
    let beyond: Vec<_> =
        allowed(&found).into_iter().filter(|name| !OWN.contains(name) && !gaps.contains(name)).collect();
    assert_eq!(beyond, Vec::<&str>::new(), "{found:#?}");
    assert!(OWN.iter().all(|name| found[*name] == "yes"), "{found:#?}");
    host.nothing_lingers();
}

#[test]
fn where_a_sandbox_is_required_and_there_is_none_no_bst_is_started() {
    let host = Host::new();
    let fetcher = host.fetcher("mode = \"required\"");
    // What runs its command elsewhere is not confined by us.
    let text = fs::read_to_string(host.scratch.path("config.toml")).expect("the configuration");
    let podman = host.scratch.write("bin/podman", "#!/bin/sh\necho started >>\"$0.started\"\necho 2.8.1\n");
    fs::set_permissions(&podman, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a program");
    let bst = format!("command = ['{}']", bst::bst().display());
    host.scratch.write("config.toml", text.replace(&bst, &format!("command = ['{}']", podman.display())));
    let ended = fetcher.run(&["run"]).expect(4);
    assert!(ended.stderr().contains("sandbox"), "{ended}");
    assert!(!host.scratch.path("bin/podman.started").exists(), "{ended}");
}
