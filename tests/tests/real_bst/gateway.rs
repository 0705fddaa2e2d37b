//! What a plugin finds of the secrets by which a source cache knows who pushes, with the real BuildStream.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;

use fetcher_core::pipeline::ElementChoice;
use fetcher_core::report::Outcome;
use fetcher_core::{Config, Environment};
use fetcher_tests::bst;
use fetcher_tests::casd;
use fetcher_tests::client::{Client, remotes};
use fetcher_tests::daemon::Daemon;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::host::path_without;
use fetcher_tests::installed;
use fetcher_tests::local_project::{ELEMENTS, LocalProject, content, pushed_to};
use fetcher_tests::scratch::Scratch;
use fetcher_tests::source_plugin::source_plugin;
use fetcher_tests::tls::Tls;
use serde_json::json;

use super::verify::stage;
use super::verify_caches::{TOKEN, guarded};

/// Looks for secrets wherever it can look, and asks the sockets that it finds for what it should not get.
const SPY_HEAD: &str = r#"import os
import subprocess
import sys

ASK = """
import grpc, sys
for name in ["ContentAddressableStorage/BatchUpdateBlobs", "ActionCache/GetActionResult"]:
    with grpc.insecure_channel("unix:" + sys.argv[1]) as channel:
        call = channel.unary_unary("/build.bazel.remote.execution.v2." + name)
        try:
            call(b"", timeout=10, metadata=[("authorization", "Bearer of-the-plugin")])
            print(name, "OK")
        except grpc.RpcError as error:
            print(name, error.code().name)
"""
"#;

const SPY_METHODS: &str = r#"    def configure(self, node):
        node.validate_keys(["files", "canary", *Source.COMMON_CONFIG_KEYS])
        canary = node.get_str("canary").encode()
        files = node.get_str_list("files")
        for directory, _, names in os.walk(os.environ["TMPDIR"]):
            files.extend(os.path.join(directory, name) for name in names)
        for path in [*files, "/proc/self/environ"]:
            try:
                with open(path, "rb") as file:
                    if canary in file.read().replace(b"-", b"") or path.endswith(".key"):
                        self.warn("SPY read " + os.path.basename(path))
            except OSError:
                pass
        for name in os.listdir(os.environ["TMPDIR"]):
            if name.startswith("cache@"):
                path = os.path.join(os.environ["TMPDIR"], name)
                done = subprocess.run([sys.executable, "-c", ASK, path], capture_output=True, text=True)
                for line in (done.stdout or done.stderr).splitlines():
                    self.warn("SPY asked " + line)

    def stage(self, directory):
        with open(os.path.join(directory, "spy"), "w") as file:
            file.write("spy")
"#;

/// A project with a spy, and a cache behind nginx that asks for a token and a certificate.
struct World {
    scratch: Scratch,
    project: LocalProject,
    cache: Daemon,
    guarded: Daemon,
    caches: String,
}

impl World {
    fn new() -> Self {
        installed::program("bwrap");
        let scratch = Scratch::new();
        let project = LocalProject::new(&scratch);
        let cache = casd::source_cache(&scratch.path("remote"));
        let (server, client) = (Tls::new(&scratch, "server"), Tls::new(&scratch, "client"));
        let guarded = guarded(&scratch, &cache, &server, &client);
        let token = scratch.write("token", format!("{TOKEN}\n"));
        let repo = &project.repo;
        let plugins = "plugins:\n- origin: local\n  path: plugins\n  sources: [spy]\n";
        repo.write("project.conf", &format!("name: small\nmin-version: 2.0\nelement-path: elements\n{plugins}"));
        repo.write("plugins/spy.py", &source_plugin(SPY_HEAD, SPY_METHODS));
        // Its words are not in the repository, for it is looked for in every file.
        let canary = TOKEN.replace('-', "");
        let (token, key) = (token.display(), client.key.display());
        let spy = format!("kind: import\nsources:\n- kind: spy\n  canary: {canary}\n  files: ['{token}', '{key}']\n");
        repo.write("elements/spy.bst", &spy);
        repo.write("elements/all.bst", "kind: stack\ndepends: [e0.bst, e1.bst, e2.bst, twin.bst, spy.bst]\n");
        repo.commit("A spy");
        let auth = format!(
            "auth = {{ server-cert = '{}', client-cert = '{}', client-key = '{key}', access-token = '{token}' }}",
            server.ca.display(),
            client.cert.display(),
        );
        let caches = pushed_to(guarded.url(), &auth);
        Self { scratch, project, cache, guarded, caches }
    }

    fn fetcher(&self, sandbox: &str) -> Fetcher<'_> {
        let text = self.project.config("", &format!("sandbox = {{ mode = \"{sandbox}\" }}\n{}", self.caches));
        Fetcher::new(&self.scratch).config(text)
    }

    /// All logs of all runs.
    fn logs(&self) -> String {
        let (mut open, mut text) = (vec![self.scratch.path("state/runs")], String::new());
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").path()));
            } else if path.extension().is_some_and(|end| end == "log") {
                text.push_str(&String::from_utf8_lossy(&fs::read(path).expect("a log")));
            }
        }
        text
    }
}

#[test]
fn a_push_works_and_no_plugin_sees_the_token_or_the_key() {
    let world = World::new();
    let fetcher = world.fetcher("required");
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let proved = &stage(&report, "verify", "committed")["proof"]["proved"];
    let is_proved = |element: &&str| proved.as_array().is_some_and(|all| all.contains(&json!(element)));
    assert!(ELEMENTS.iter().all(&is_proved) && is_proved(&"spy.bst"), "{report:#}");
    let logs = world.logs();
    assert!(!logs.contains("SPY read"), "{logs}");
    // A command that does not push cannot be made to.
    assert!(logs.contains("SPY asked ContentAddressableStorage/BatchUpdateBlobs PERMISSION_DENIED"), "{logs}");
    assert!(logs.contains("SPY asked ActionCache/GetActionResult UNIMPLEMENTED"), "{logs}");
    // What is said of the cache names it.
    assert!(logs.contains(world.guarded.url()) && !logs.contains("unix:"), "{logs}");
    let tree = world.scratch.path("cache/checkouts/small/main/tree");
    let client = Client::new(&world.scratch, "client", &tree, &remotes(world.cache.url(), ""));
    client.fetch("e1.bst");
    let file = client.sources("e1.bst").join("e1/a");
    assert_eq!(fs::read_to_string(file).expect("a file"), content(1, "a"));
    // Without a sandbox nothing is hidden.
    world.fetcher("off").run(&["run", "--force"]).expect(0);
    let logs = world.logs();
    assert!(logs.contains("SPY read token") && logs.contains("SPY read client.key"), "{logs}");
    let ended = world.fetcher("off").run(&["check", "--host"]);
    assert!(ended.stdout().contains("its plugins can read the token and key"), "{ended}");
}

#[test]
fn with_landlock_alone_a_push_works_and_no_plugin_sees_the_token_or_the_key() {
    let world = World::new();
    let path = path_without(&world.scratch, &["bwrap"]);
    let fetcher = world.fetcher("required").env("PATH", path.display());
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    let proof = &stage(&report, "verify", "committed")["proof"];
    assert!(proof["proved"].as_array().is_some_and(|all| all.contains(&json!("spy.bst"))), "{report:#}");
    let logs = world.logs();
    assert!(!logs.contains("SPY read") && logs.contains("SPY asked"), "{logs}");
}

#[test]
fn in_a_workspace_a_push_works_and_no_plugin_sees_the_token_or_the_key() {
    let world = World::new();
    // Writes the configuration.
    let _ = world.fetcher("required");
    let environment: Environment = world.scratch.environment().into_iter().collect();
    let config = Config::load(world.scratch.path("config.toml"), &environment).expect("a configuration");
    let fetcher = fetcher_core::Fetcher::new(config, environment);
    let workspace = fetcher.workspace().expect("a workspace");
    let projects = workspace.projects().expect("projects");
    let listing = projects[0].fetch(&projects[0].list().expect("branches").tips).expect("the branch");
    let open = workspace.open(&listing.branches[0]).expect("a checkout and bst");
    let pipeline = open.pipeline();
    let mut session = open.session(&pipeline, |_| {}).expect("a session");
    let push = session.push(ElementChoice::Configured);
    // The twin of another element has nothing left to push, as a rule.
    let pushed = push.results.done.contains(&"spy.bst".parse().expect("a name"));
    assert!(pushed && push.outcome == Outcome::Ok, "{push:#?}");
    let logs = world.logs();
    assert!(!logs.contains("SPY read") && logs.contains("SPY asked"), "{logs}");
}

#[test]
fn of_a_release_that_takes_no_socket_it_is_said_that_plugins_see_the_token() {
    let world = World::new();
    let fetcher = world.fetcher("required");
    let text = fs::read_to_string(world.scratch.path("config.toml")).expect("the configuration");
    let (newer, older) = (bst::bst().display().to_string(), bst::bst_of_release("2.0.1").display().to_string());
    world.scratch.write("config.toml", text.replace(&newer, &older));
    let ended = fetcher.run(&["check", "--host"]);
    let url = world.guarded.url();
    let line = format!("its plugins can read the token and key for {url}: it is older than BuildStream 2.4");
    assert!(ended.stdout().contains(&line), "{ended}");
}

/// Waits for a socket of another project's in the directory of temporary files, asks it, and says what came of it to the
/// port; the other project's plugin waits at its own port meanwhile.
const STRANGER_HEAD: &str = r#"import glob
import os
import socket
import subprocess
import sys
import time

ASK = """
import grpc, sys
with grpc.insecure_channel("unix:" + sys.argv[1]) as channel:
    call = channel.unary_unary("/build.bazel.remote.execution.v2.Capabilities/GetCapabilities")
    try:
        call(b"", timeout=10)
        print("OK")
    except grpc.RpcError as error:
        print(error.code().name)
"""
"#;

const STRANGER_METHODS: &str = r#"    def configure(self, node):
        node.validate_keys(["port", "waits", *Source.COMMON_CONFIG_KEYS])
        with socket.create_connection(("127.0.0.1", node.get_int("port")), timeout=60) as test:
            if node.get_bool("waits"):
                test.recv(1)
                return
            own = os.environ["TMPDIR"]
            until = time.monotonic() + 60
            while time.monotonic() < until:
                for path in glob.glob(os.path.dirname(os.path.dirname(own)) + "/*/*/cache@*"):
                    if not path.startswith(own):
                        done = subprocess.run([sys.executable, "-c", ASK, path], capture_output=True, text=True)
                        test.sendall((done.stdout or done.stderr).encode())
                        return
                time.sleep(0.05)
"#;

/// A project with that plugin and nothing else.
fn stranger(scratch: &Scratch, name: &str, port: u16, waits: bool) -> String {
    let repo = scratch.repo(name);
    let plugins = "plugins:\n- origin: local\n  path: plugins\n  sources: [stranger]\n";
    repo.write("project.conf", &format!("name: {name}\nmin-version: 2.0\nelement-path: elements\n{plugins}"));
    repo.write("plugins/stranger.py", &source_plugin(STRANGER_HEAD, STRANGER_METHODS));
    let source = format!("kind: import\nsources:\n- kind: stranger\n  port: {port}\n  waits: {waits}\n");
    repo.write("elements/stranger.bst", &source);
    repo.commit("A plugin");
    format!(
        "[[project]]\nname = \"{name}\"\nurl = \"{}\"\ntargets = [\"stranger.bst\"]\ntrack = false\nretries = 0\n",
        repo.url()
    )
}

#[test]
fn with_landlock_alone_another_projects_plugin_finds_the_socket_and_is_not_let_in() {
    let World { scratch, project: _project, cache: _cache, guarded: _guarded, caches } = World::new();
    let [mine, others] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let port = |listener: &TcpListener| listener.local_addr().expect("its address").port();
    let projects = [
        stranger(&scratch, "mine", port(&mine), true) + &caches,
        stranger(&scratch, "other", port(&others), false) + "verify = false\n",
    ];
    let text = format!(
        "[fetcher]\njobs = 2\n[sandbox]\nmode = \"required\"\n[buildstream]\ncommand = ['{}']\n{}",
        bst::bst().display(),
        projects.concat()
    );
    fs::create_dir(scratch.path("tmp")).expect("a directory");
    let path = path_without(&scratch, &["bwrap"]);
    let fetcher = Fetcher::new(&scratch).config(text).env("PATH", path.display());
    let fetcher = fetcher.env("TMPDIR", scratch.path("tmp").display());
    let mut run = fetcher.command(&["run"]).spawn().expect("the program starts");
    // The first child of the project that has a cache is held until the other project's plugin has found its socket.
    let (held, _) = mine.accept().expect("a plugin");
    let (mut asking, _) = others.accept().expect("the other plugin");
    let mut said = String::new();
    asking.read_to_string(&mut said).expect("what it says");
    // From here on neither plugin can be loaded.
    drop((held, asking, mine, others));
    run.wait().expect("it ends");
    assert_eq!(said, "UNAVAILABLE\n");
}

#[test]
fn a_cache_that_cannot_be_reached_or_refuses_is_named_by_its_own_address() {
    let World { scratch, project, caches, guarded, cache: _cache } = World::new();
    let text = project.config("", &format!("sandbox = {{ mode = \"required\" }}\n{caches}"));
    let fetcher = Fetcher::new(&scratch).config(text);
    scratch.write("token", "another one\n");
    fetcher.run(&["run"]).expect(1);
    let report = fetcher.report();
    let failures = |report: &serde_json::Value| {
        let stages = report["branches"][0]["stages"].as_array().cloned().unwrap_or_default();
        stages.iter().flat_map(|stage| stage["failures"].as_array().cloned().unwrap_or_default()).collect::<Vec<_>>()
    };
    let denied = failures(&report);
    assert!(denied.iter().any(|failure| failure["kind"] == "cache-denied"), "{report:#}");
    let url = guarded.url().to_owned();
    scratch.write("token", TOKEN);
    drop(guarded);
    fetcher.run(&["run", "--force"]).expect(1);
    let report = fetcher.report();
    let unreachable = failures(&report);
    let of_cache = unreachable.iter().find(|failure| failure["kind"] == "cache-unreachable");
    assert!(of_cache.is_some_and(|failure| failure.to_string().contains(&url)), "{report:#}");
    assert!(!report.to_string().contains("unix:"), "{report:#}");
}
