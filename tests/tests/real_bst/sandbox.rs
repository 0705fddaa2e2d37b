//! What a hostile plugin can do on the fetching host, with the real BuildStream: without a sandbox, in bubblewrap, and
//! where there is Landlock alone.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fetcher_core::report::Outcome;
use fetcher_core::{Config, Environment, RunSelection};
use fetcher_tests::bst;
use fetcher_tests::casd;
use fetcher_tests::fetcher::{Fetcher, program};
use fetcher_tests::host::path_without;
use fetcher_tests::installed;
use fetcher_tests::local_project::pushed_to;
use fetcher_tests::project::{ELEMENTS, Project};
use fetcher_tests::scratch::Scratch;
use fetcher_tests::unit::UnitSurroundings;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::verify::stage;

/// Everything that a plugin is let try.
struct Host {
    scratch: Scratch,
    /// What the process that a plugin leaves behind has for its argument.
    mark: String,
    _sockets: (UnixListener, UnixListener, TcpListener),
}

impl Host {
    fn new() -> Self {
        Self::with(|scratch| scratch.path("config.toml").display().to_string())
    }

    /// The same where this is a word of the fetcher's command line.
    fn with(word: impl FnOnce(&Scratch) -> String) -> Self {
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
            // It is known by that no other process has it.
            "program": word(&scratch),
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
        // Root's plugin could write it, where nothing confined it.
        let _ = fs::remove_file("/usr/written-by-probe");
    }
}

/// What the plugin could do.
fn allowed(found: &BTreeMap<String, String>) -> Vec<&str> {
    found.iter().filter(|(_, said)| *said == "yes").map(|(name, _)| name.as_str()).collect()
}

/// What it is to be able to do wherever it runs.
const OWN: [&str; 5] = ["network", "own cache", "own checkout", "own home", "own temporary"];

/// What Landlock alone does not cover, as docs/security.md says.
const LANDLOCK_GAPS: [&str; 14] = [
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

/// A run in which a plugin tries all, in this sandbox; whatever it does beyond its own and these is a breach.
#[track_caller]
fn confined(host: &Host, fetcher: &Fetcher<'_>, mechanism: &str, gaps: &[&str]) {
    let ended = fetcher.run(&["check", "--host"]).expect(0);
    assert!(ended.stdout().contains(&format!("sandbox: {mechanism}")), "{ended}");
    let configuration = host.scratch.path("config.toml").display().to_string();
    fetcher.run(&["run", "--config", &configuration]).expect(0);
    keeps_to_its_own(host, gaps);
}

/// That a plugin could do what it is to be able to, and of all else these alone; and that it left nothing behind.
#[track_caller]
fn keeps_to_its_own(host: &Host, gaps: &[&str]) {
    let found = host.found();
    let beyond: Vec<_> =
        allowed(&found).into_iter().filter(|name| !OWN.contains(name) && !gaps.contains(name)).collect();
    assert_eq!(beyond, Vec::<&str>::new(), "{found:#?}");
    assert!(OWN.iter().all(|name| found[*name] == "yes"), "{found:#?}");
    host.nothing_lingers();
}

#[test]
fn without_a_sandbox_a_plugin_does_what_the_user_may() {
    for ordinary in [false, true] {
        let host = Host::new();
        let fetcher = host.fetcher("mode = \"off\"");
        let fetcher = if ordinary { fetcher.as_ordinary_user() } else { fetcher };
        let configuration = host.scratch.path("config.toml").display().to_string();
        fetcher.run(&["run", "--config", &configuration]).expect(0);
        let found = host.found();
        for name in
            ["secret read", "write bashrc", "write configuration", "fetcher environ", "fetcher signal", "list mirrors"]
        {
            assert_eq!(found[name], "yes", "{found:#?}");
        }
        let by_root = rustix::process::geteuid().is_root() && !ordinary;
        assert_eq!(found["system shadow"] == "yes", by_root, "{found:#?}");
    }
}

#[test]
fn in_bubblewrap_a_plugin_reaches_its_own_and_the_network_alone() {
    installed::program("bwrap");
    let host = Host::new();
    confined(&host, &host.fetcher("mode = \"required\""), "bubblewrap", &[]);
}

#[test]
fn in_an_ordinary_users_bubblewrap_a_plugin_reaches_its_own_and_the_network_alone() {
    installed::program("bwrap");
    let host = Host::new();
    confined(&host, &host.fetcher("mode = \"required\"").as_ordinary_user(), "bubblewrap", &[]);
}

#[test]
fn with_landlock_alone_a_plugin_reads_and_writes_its_own_alone() {
    let host = Host::new();
    let path = path_without(&host.scratch, &["bwrap"]);
    let fetcher = host.fetcher("mode = \"required\"").env("PATH", path.display());
    confined(&host, &fetcher, "Landlock", &LANDLOCK_GAPS);
}

#[test]
fn with_an_ordinary_users_landlock_alone_a_plugin_reads_and_writes_its_own_alone() {
    let host = Host::new();
    let path = path_without(&host.scratch, &["bwrap"]);
    let fetcher = host.fetcher("mode = \"required\"").env("PATH", path.display()).as_ordinary_user();
    confined(&host, &fetcher, "Landlock", &LANDLOCK_GAPS);
}

/// The test is the embedding program: nothing of it can be started anew as a helper.
#[test]
fn in_an_embedding_program_a_thread_confines_a_plugin_and_nothing_of_the_program() {
    let own = std::env::args().next().expect("this program's name");
    let host = Host::with(|_| own);
    let path = path_without(&host.scratch, &["bwrap"]);
    // Writes the configuration.
    let _ = host.fetcher("mode = \"required\"\nmax-processes = 10000\nmax-file-size = \"1G\"");
    let variables = host.scratch.environment().into_iter().filter(|(name, _)| name != "PATH");
    let environment: Environment = variables.chain([("PATH".to_owned(), path.display().to_string())]).collect();
    let config = Config::load(host.scratch.path("config.toml"), &environment).expect("a configuration");
    let fetcher = fetcher_core::Fetcher::new(config, environment);
    let report = fetcher.run(&RunSelection::all(), &mut |_| {}).expect("a run");
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let mut checks = Vec::new();
    fetcher.check_host(&mut |check| checks.push(check)).expect("checks");
    assert!(checks.iter().any(|check| check.found.contains("Landlock, set by a thread;")), "{checks:#?}");
    keeps_to_its_own(&host, &LANDLOCK_GAPS);
    // The program itself may do what it might before.
    fs::write(host.scratch.path("secrets/token"), "another").expect("a secret of its own");
    let mut child = Command::new("sleep").arg("600").spawn().expect("a child");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("a signal");
    child.wait().expect("it ends");
}

/// A service of the system's, of root and of another user, with further settings; what is said of the host, and what a
/// plugin can do beyond its own in a run.
#[track_caller]
fn in_service(user: &str, settings: &str, mechanism: &str, gaps: &[&str]) -> String {
    installed::program("bwrap");
    let host = Host::new();
    let fetcher = host.fetcher("mode = \"required\"");
    let printed = fetcher.run(&["schedule", "systemd", "--run-as", user]).expect(0).stdout();
    let (_, service) = printed.split_once("bst-fetcher.service\n").expect("a service");
    assert!(service.contains("ProtectSystem=strict") && service.contains("PrivateTmp=yes"), "{printed}");
    for directory in ["state", "cache"] {
        fs::create_dir_all(host.scratch.path(directory)).expect("a directory");
    }
    let surroundings = UnitSurroundings::of(&format!("{service}\n{settings}"), &host.scratch);
    let fetcher = fetcher.within(&surroundings);
    confined(&host, &fetcher, mechanism, gaps);
    fetcher.run(&["check", "--host"]).expect(0).stdout()
}

#[test]
fn under_the_generated_unit_bubblewrap_confines_all() {
    for user in ["root", "daemon"] {
        let said = in_service(user, "", "bubblewrap and Landlock\n", &[]);
        assert!(!said.contains("warn  sandbox"), "{said}");
    }
}

#[test]
fn a_unit_that_masks_proc_is_found_out_and_other_processes_stay_hidden_all_the_same() {
    // What can be read there without rights.
    let gaps = ["fetcher cmdline", "fetcher fd"];
    for settings in ["ProtectKernelLogs=yes", "ProtectKernelTunables=yes"] {
        let said = in_service("daemon", settings, "bubblewrap and Landlock, with the host's /proc;", &gaps);
        assert!(said.contains("Can't mount proc") && said.contains("`ProtectKernelLogs=`"), "{said}");
    }
}

/// Everything that a project may have is tracked, fetched, pushed and proved by an ordinary user, in either sandbox.
#[test]
fn an_ordinary_user_gets_everything_to_the_source_cache_in_either_sandbox() {
    installed::program("bwrap");
    for mechanism in ["bubblewrap", "Landlock"] {
        // The servers are somebody else's.
        let (scratch, elsewhere) = (Scratch::new(), Scratch::new());
        let project = Project::new(&elsewhere);
        let cache = casd::source_cache(&elsewhere.path("remote"));
        let text = format!(
            "[sandbox]\nmode = \"required\"\n[buildstream]\ncommand = ['{}']\n[[project]]\nname = \"example\"\n\
             url = \"{}\"\ntargets = [\"all.bst\"]\nretries = 0\n{}",
            bst::bst().display(),
            project.url(),
            pushed_to(cache.url(), "")
        );
        let path = path_without(&scratch, &["bwrap"]);
        let fetcher = Fetcher::new(&scratch).config(text).as_ordinary_user();
        let fetcher = if mechanism == "Landlock" { fetcher.env("PATH", path.display()) } else { fetcher };
        let ended = fetcher.run(&["check", "--host"]).expect(0);
        assert!(ended.stdout().contains(&format!("sandbox: {mechanism}")), "{ended}");
        fetcher.run(&["run"]).expect(0);
        let report = fetcher.report();
        let proof = &stage(&report, "verify", "tracked")["proof"];
        for element in ELEMENTS {
            let is_proved = proof["proved"].as_array().is_some_and(|all| all.contains(&json!(element)));
            assert!(is_proved, "{mechanism} {element}: {proof:#}");
        }
    }
}

/// Of Landlock's rules a process can have sixteen, one above the other (landlock(7)): whoever has all of them can have no
/// sandbox of Landlock's.
const LANDLOCK_LAYERS: usize = 16;

#[test]
fn where_nothing_confines_a_run_says_why_and_goes_on_only_if_it_may() {
    let host = Host::new();
    let path = path_without(&host.scratch, &["bwrap"]);
    let mut words: Vec<String> = Vec::new();
    let task = json!({ "relays": false, "max_processes": 0, "max_file_size": 0, "max_memory": 0 }).to_string();
    for _ in 0..LANDLOCK_LAYERS {
        words.extend([program().display().to_string(), "--become-sandbox-helper".to_owned(), task.clone()]);
    }
    let fetcher = |mode: &str| {
        let fetcher = host.fetcher(&format!("mode = \"{mode}\"")).env("PATH", path.display());
        fetcher.through(words.clone())
    };
    let ended = fetcher("required").run(&["check", "--host"]).expect(1);
    assert!(ended.stdout().contains("FAIL  sandbox: ") && ended.stdout().contains("Landlock: "), "{ended}");
    let ended = fetcher("required").run(&["run"]).expect(4);
    assert!(ended.stderr().contains("there is no sandbox to run it in: bubblewrap: bwrap is not in PATH"), "{ended}");
    let ended = fetcher("auto").run(&["run"]).expect(0);
    let warning = "projects' code ran without a sandbox: bubblewrap: bwrap is not in PATH; Landlock: ";
    assert_eq!(ended.stderr().matches(warning).count(), 1, "{ended}");
    assert_eq!(host.found()["secret read"], "yes");
    let ended = fetcher("auto").run(&["status"]).expect(0);
    assert!(ended.stdout().contains(warning), "{ended}");
    let status = fetcher("auto").status();
    assert_eq!(status["last-run"]["failures"][0]["kind"], "unconfined", "{status:#}");
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
