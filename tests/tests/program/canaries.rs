//! A canary for every secret that can be configured, and every place that a run writes or sends to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use fetcher_core::notify::{Notification, Notifier, NotifyError};
use fetcher_core::runner::{OutputStream, RunnerError};
use fetcher_core::{Cancel, Config, Environment, Exit, Invocation, RunSelection, Runner, Secret, config};
use fetcher_tests::canary::{assert_masked, files, noise};
use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::{Ended, Fetcher};
use fetcher_tests::http::Http;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::sinks::Sink;
use serde_json::Value;

/// The paths of all keys that the schema of the configuration calls secret.
fn secret_keys(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if fields.get("writeOnly") == Some(&Value::Bool(true)) {
                found.insert(path.to_owned());
            }
            // One of several kinds of table.
            let kind = fields.get("properties").and_then(|fields| fields["kind"]["enum"][0].as_str());
            for (name, inner) in fields {
                match name.as_str() {
                    "properties" => {
                        for (key, inner) in inner.as_object().expect("properties") {
                            let kind = kind.map(|kind| format!(".{kind}")).unwrap_or_default();
                            secret_keys(inner, &format!("{path}{kind}.{key}"), found);
                        }
                    }
                    "default" | "examples" => {}
                    _ => secret_keys(inner, path, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| secret_keys(item, path, found)),
        _ => {}
    }
}

/// A run in which every secret is printed.
struct World {
    scratch: Scratch,
    fake: FakeBst,
    /// The key that has it, and the secret.
    secrets: Vec<(String, String)>,
    http: [Http; 7],
    smtp: Sink,
    irc: Sink,
    config: String,
}

/// A secret of a key's own, which is part of nothing else.
fn canary(key: &str) -> String {
    let sum = key.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(1_000_003) ^ u64::from(byte));
    format!("Canary{sum:016x}")
}

impl World {
    fn new() -> Self {
        let scratch = Scratch::new();
        upstream(&scratch, &[]);
        let fake = FakeBst::new(&scratch, "");
        let http = [(); 7].map(|()| Http::start([]));
        let (smtp, irc) = (Sink::smtp(), Sink::irc());
        let mut world = Self { scratch, fake, secrets: Vec::new(), http, smtp, irc, config: String::new() };
        world.config = world.configuration();
        world.print(false);
        world
    }

    /// The canary of a key, noted.
    fn secret(&mut self, key: &str) -> String {
        let secret = canary(key);
        self.secrets.push((key.to_owned(), secret.clone()));
        secret
    }

    /// A file with it, named in TOML.
    fn file(&mut self, key: &str) -> String {
        let secret = self.secret(key);
        self.private(key, &format!("{secret}\n"))
    }

    fn key_file(&mut self, key: &str) -> String {
        let secret = self.secret(key);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n");
        self.private(key, &pem)
    }

    fn netrc(&mut self, key: &str) -> String {
        let secret = self.secret(key);
        self.private(key, &format!("machine upstream.example.org login me password {secret}\n"))
    }

    fn git_config(&mut self, key: &str) -> String {
        let secret = self.secret(key);
        self.private(
            key,
            &format!("[url \"https://me:{secret}@git.example.org/\"]\n\tinsteadOf = https://git.example.org/\n"),
        )
    }

    fn private(&self, name: &str, text: &str) -> String {
        let path = self.scratch.write(&format!("secrets/{name}"), text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a private file");
        format!("{:?}", path.display().to_string())
    }

    fn configuration(&mut self) -> String {
        let root = self.scratch.root().display().to_string();
        let [hook, by_file, ping, ping_by_file, put, zulip, forge] =
            [0, 1, 2, 3, 4, 5, 6].map(|at| self.http[at].url.clone());
        let (cert, by_file, ping_by_file) = (
            self.private("cert", "-----BEGIN CERTIFICATE-----\n"),
            format!("{by_file}/{}", self.secret(".notify.webhook.url-file")),
            format!("{ping_by_file}/{}", self.secret(".notify.healthcheck.url-file")),
        );
        let (by_file, ping_by_file) = (self.private("hook", &by_file), self.private("ping", &ping_by_file));
        let mut text = format!(
            "[fetcher]\npublish-dir = \"{root}/site\"\nmetrics-file = \"{root}/metrics.prom\"\n\
             base-url = \"https://fetcher.example.org/\"\n{}\
             pass-environment = [\"PASSED_ON\", \"HTTPS_PROXY\", \"HARMLESS\"]\n\
             config = {{ artifacts = {{ password = \"{}\" }} }}\n",
            self.fake.config(),
            self.secret("buildstream.config")
        );
        let _ = write!(
            text,
            "[[project]]\nurl = \"project\"\ntargets = [\"all.bst\"]\nretries = 0\n\
             git = {{ token-file = {}, ssh-key = {} }}\n\
             credentials = {{ netrc = {}, ssh-key = {}, git-config = {} }}\n\
             publish = {{ token-file = {}, signing-key = {} }}\n\
             sandbox = {{ write = ['{root}/scenario', '{root}/secrets/.project.git.token-file'], read = ['{root}/noise', '{root}/words'] }}\n\
             [[project.source-caches]]\nurl = \"http://127.0.0.1:1\"\npush = true\n\
             auth = {{ access-token = {}, client-key = {}, client-cert = {cert} }}\n",
            self.file(".project.git.token-file"),
            self.key_file(".project.git.ssh-key"),
            self.netrc(".project.credentials.netrc"),
            self.key_file(".project.credentials.ssh-key"),
            self.git_config(".project.credentials.git-config"),
            self.file(".project.publish.token-file"),
            self.key_file(".project.publish.signing-key"),
            self.file(".project.source-caches.auth.access-token"),
            self.key_file(".project.source-caches.auth.client-key"),
        );
        let _ = write!(
            text,
            "[[project]]\nname = \"other\"\nurl = \"project\"\ntargets = [\"all.bst\"]\nretries = 0\n\
             sandbox = {{ write = ['{root}/scenario', '{root}/secrets/.project.git.token-file'], read = ['{root}/noise', '{root}/words'] }}\n\
             publish = {{ app = {{ id = 1, installation = 2, private-key = {} }} }}\n",
            self.key_file(".project.publish.app.private-key"),
        );
        let _ = write!(
            text,
            "[[notify]]\nkind = \"webhook\"\nname = \"hook\"\nurl = \"{hook}/in/{}?key={}\"\n\
             headers = {{ X-Hook = \"{}\", Authorization = \"Bearer ${{HOOK_TOKEN}}\" }}\nsecret-file = {}\n\
             [[notify]]\nkind = \"webhook\"\nname = \"by-file\"\nformat = \"slack\"\nurl-file = {by_file}\n\
             [[notify]]\nkind = \"healthcheck\"\nname = \"ping\"\nurl = \"{ping}/{}\"\n\
             [[notify]]\nkind = \"healthcheck\"\nname = \"ping-file\"\nurl-file = {ping_by_file}\n",
            self.secret(".notify.webhook.url"),
            self.secret("its query"),
            self.secret(".notify.webhook.headers"),
            self.file(".notify.webhook.secret-file"),
            self.secret(".notify.healthcheck.url"),
        );
        let _ = write!(
            text,
            "[[notify]]\nkind = \"zulip\"\nserver = \"{zulip}\"\nemail = \"bot@example.org\"\nchannel = \"builds\"\n\
             api-key-file = {}\n\
             [[notify]]\nkind = \"commit-status\"\nforge = \"gitlab\"\napi-url = \"{forge}\"\nrepository = \"a/b\"\n\
             token-file = {}\n",
            self.file(".notify.zulip.api-key-file"),
            self.file(".notify.commit-status.token-file"),
        );
        let _ = write!(
            text,
            "[[notify]]\nkind = \"email\"\nserver = \"smtp://{}\"\nusername = \"me\"\npassword-file = {}\n\
             from = \"a@example.org\"\nto = [\"b@example.org\"]\n\
             [[notify]]\nkind = \"irc\"\nserver = \"irc://{}\"\npassword-file = {}\nchannels = [\"somebody\"]\n\
             [[notify]]\nkind = \"command\"\ncommand = [\"sh\", \"-c\", \"{{ env; cat; }} >>{root}/told\"]\n\
             [[notify]]\nkind = \"command\"\nname = \"broken\"\ncommand = [\"sh\", \"-c\", \"cat {root}/words >&2; exit 1\"]\n",
            self.smtp.place.clone(),
            self.file(".notify.email.password-file"),
            self.irc.place.clone(),
            self.file(".notify.irc.password-file"),
        );
        let _ = write!(
            text,
            "[upload]\nurl = \"{put}/{}/\"\nheaders = {{ X-Put = \"{}\" }}\ntoken-file = {}\n\
             [serve]\naccess-tokens = {}\ntls = {{ cert = {cert}, key = {} }}\n",
            self.secret(".upload.url"),
            self.secret(".upload.headers"),
            self.file(".upload.token-file"),
            self.file(".serve.access-tokens"),
            self.key_file(".serve.tls.key"),
        );
        for name in ["PASSED_ON", "HTTPS_PROXY", "HOOK_TOKEN", "rotated"] {
            self.secret(name);
        }
        text
    }

    /// Lets bst print every secret, as output and as the words of a failure, and one that comes up in the middle.
    fn print(&self, rotates: bool) {
        let printed = || self.secrets.iter().filter(|(key, _)| rotates || key != "rotated").map(|(_, secret)| secret);
        let all: String = printed().map(|secret| noise(secret)).collect();
        let words: Vec<&str> = printed().map(String::as_str).collect();
        self.scratch.write("noise", &all);
        self.scratch.write("words", words.join(" and "));
        let root = self.scratch.root().display();
        let token = self.scratch.path("secrets/.project.git.token-file");
        self.fake.now(&format!(
            "rotates={rotates}
            before() {{
                [ $rotates != yes ] || printf %s {rotated} >'{token}'
                while IFS= read -r line || [ -n \"$line\" ]; do
                    printf %s \"${{line%???????????????}}\" >&2
                    printf '%s\\n' \"${{line#\"${{line%???????????????}}\"}}\" >&2
                done <{root}/noise
            }}
            fails() {{ text=\"HTTP Error 404: $(cat {root}/words)\"; detail=$(cat {root}/noise); [ $command != track ] && [ $1 = a.bst ]; }}
            track_ref() {{ ref={passed}; }}",
            rotates = if rotates { "yes" } else { "no" },
            rotated = canary("rotated"),
            passed = canary("PASSED_ON"),
            token = token.display(),
        ));
    }

    fn fetcher(&self) -> Fetcher<'_> {
        Fetcher::new(&self.scratch)
            .config(&self.config)
            .env("PASSED_ON", canary("PASSED_ON"))
            .env("HOOK_TOKEN", canary("HOOK_TOKEN"))
            .env("HARMLESS", "1")
            .env("HTTPS_PROXY", format!("http://me:{}@127.0.0.1:1", canary("HTTPS_PROXY")))
    }

    fn assert_masked(&self, place: &str, text: impl AsRef<[u8]>) {
        assert_masked(place, text.as_ref(), &self.secrets);
    }

    fn ended(&self, ended: &Ended) {
        self.assert_masked("standard output", ended.stdout());
        self.assert_masked("standard error", ended.stderr());
    }

    /// What was sent to a server, but for the credentials that are for it.
    fn sent(&self, http: &Http, own: &[&str]) {
        let others: Vec<_> = self.secrets.iter().filter(|(key, _)| !own.contains(&key.as_str())).cloned().collect();
        let requests = http.requests();
        assert!(!requests.is_empty(), "nothing was sent for {own:?}");
        for request in requests {
            assert_masked("a body", request.body.as_bytes(), &self.secrets);
            assert_masked("a request", format!("{} {:?}", request.target, request.headers).as_bytes(), &others);
        }
    }
}

#[test]
fn no_secret_leaves_by_any_way() {
    let world = World::new();
    let mut declared = BTreeSet::new();
    secret_keys(&config::schema(), "", &mut declared);
    declared.retain(|key| !key.starts_with(".defaults."));
    let known: BTreeMap<_, _> = world.secrets.iter().map(|(key, secret)| (key.as_str(), secret)).collect();
    let missing: Vec<_> = declared.iter().filter(|key| !known.contains_key(key.as_str())).collect();
    assert!(missing.is_empty() && declared.len() > 10, "no canary for {missing:?}");

    let fetcher = world.fetcher();
    for arguments in [
        &["run", "-vv"][..],
        &["run", "--force", "--json", "--log-format=json"],
        &["status"],
        &["status", "--json"],
        &["logs", "project"],
        &["config", "show"],
        &["check"],
        &["notify", "test"],
    ] {
        let ended = fetcher.run(arguments);
        assert_ne!(ended.status(), 70, "{ended}");
        world.ended(&ended);
    }
    world.print(true);
    let failing = fetcher.run(&["run", "--force", "-vv"]);
    world.ended(&failing);
    assert!(failing.stderr().contains("HTTP Error 404"), "the failure is told: {failing}");
    let mut diagnose = fetcher.command(&["diagnose"]);
    let log = format!(
        "[00:00:01][01234567][   fetch:a.bst        ] FAILURE HTTP Error 404\n    {}",
        noise(&canary("PASSED_ON"))
    );
    let input = world.scratch.write("log", log + &noise(&canary(".project.git.token-file")));
    let input = fs::File::open(input).expect("the log");
    let said = diagnose.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("diagnose");
    // The token was rotated by now; the one before is nobody's.
    let now: Vec<_> = world.secrets.iter().filter(|(key, _)| key != ".project.git.token-file").cloned().collect();
    assert_masked("diagnose", &[said.stdout, said.stderr].concat(), &now);

    let mut seen = Vec::new();
    for directory in ["state", "cache", "site", "home"] {
        for file in files(&world.scratch.path(directory)) {
            let name = file.strip_prefix(world.scratch.root()).expect("a path below").display().to_string();
            let text = fs::read(&file).expect("a file");
            if name.contains("/configurations/") {
                // The last good configuration, as it was written.
                let mode = fs::metadata(&file).expect("the copy").permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{name}");
            } else if !name.starts_with("cache/checkouts/") {
                // What bst writes into its checkout is not ours.
                world.assert_masked(&name, &text);
            }
            seen.push(name);
        }
    }
    for part in [
        "report.json",
        "fetch-push.log",
        "track.log",
        "site/index.html",
        "feed.xml",
        "status.json",
        ".txt",
        "state/notify/",
    ] {
        assert!(seen.iter().any(|name| name.contains(part)), "{part} was not written: {seen:#?}");
    }
    for file in ["metrics.prom", "told"] {
        world.assert_masked(file, fs::read(world.scratch.path(file)).expect("a file"));
    }
    let mail = world.smtp.bytes();
    assert!(String::from_utf8_lossy(&mail).contains("Subject: "), "a mail");
    world.assert_masked("mail", mail);
    let irc = world.irc.bytes();
    assert!(String::from_utf8_lossy(&irc).contains("PRIVMSG somebody"), "a message");
    world.assert_masked("IRC", irc);
    let [hook, by_file, ping, ping_by_file, put, _, forge] = &world.http;
    world.sent(hook, &[".notify.webhook.url", "its query", ".notify.webhook.headers", "HOOK_TOKEN"]);
    world.sent(by_file, &[".notify.webhook.url-file"]);
    world.sent(ping, &[".notify.healthcheck.url"]);
    world.sent(ping_by_file, &[".notify.healthcheck.url-file"]);
    world.sent(forge, &[".notify.commit-status.token-file"]);
    world.sent(put, &[".upload.url", ".upload.headers", ".upload.token-file"]);
    // What is harmless stays readable.
    let logs = fetcher.run(&["logs", "project"]).stdout();
    assert!(logs.contains("raw *** raw") && logs.contains("a.bst"), "{logs}");
}

/// A runner that prints secrets and fails.
struct Prints(String);

impl Runner for Prints {
    fn run(
        &self,
        invocation: &Invocation,
        _: &Cancel,
        out: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        if invocation.command.iter().any(|word| word == "--version") {
            out(OutputStream::Stdout, b"2.8.1\n");
            return Ok(Exit::Status(0));
        }
        self.0.as_bytes().chunks(7).for_each(|piece| out(OutputStream::Stdout, piece));
        Ok(Exit::Status(1))
    }
}

/// A notifier that keeps what it is told.
struct Keeps(Arc<Mutex<String>>);

impl Notifier for Keeps {
    fn name(&self) -> &'static str {
        "keeps"
    }

    fn send(&self, message: &Notification) -> Result<(), NotifyError> {
        let _ = write!(self.0.lock().expect("the text"), "{message:?}");
        Ok(())
    }
}

#[test]
fn secrets_that_a_program_sets_in_code_are_masked_as_well() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let names = ["token", "access", "given", "url", "passed"];
    let secrets: Vec<_> = names.iter().map(|name| ((*name).to_owned(), canary(name))).collect();
    let mut environment: Environment = scratch.environment().into_iter().collect();
    environment.set("SOMETHING", canary("passed"));
    let root = scratch.root().display();
    let text = format!(
        "[fetcher]\nstate-dir = '{root}/state'\ncache-dir = '{root}/cache'\npublish-dir = '{root}/site'\nmin-free-space = '1M'\n\
         [buildstream]\ncommand = ['bst']\n[[project]]\nurl = 'project'\nretries = 0\n"
    );
    let mut config =
        Config::parse(&text, &scratch.path("config.toml"), &config::DiskFiles, &environment).expect("good");
    let project = &mut config.projects[0];
    project.git.token_file = Some(scratch.write("token", canary("token")));
    project.buildstream.pass_environment = vec!["SOMETHING".to_owned()];
    project.source_caches.push({
        let mut it = config::SourceCacheConfig::default();
        it.url = format!("https://me:{}@cache.example.org", canary("url"));
        it.auth = BTreeMap::from([(
            "access-token".to_owned(),
            Value::from(scratch.write("access", canary("access")).display().to_string()),
        )]);
        it
    });
    let said = Arc::new(Mutex::new(String::new()));
    let noise: String = secrets.iter().map(|(_, secret)| noise(secret)).collect();
    let words: Vec<&str> = secrets.iter().map(|(_, secret)| secret.as_str()).collect();
    let fetcher = fetcher_core::Fetcher::new(config, environment)
        .runner(Prints(format!("{noise}\n[00:00:01][01234567][   fetch:a.bst ] FAILURE {}\n", words.join(" "))))
        .notifier(Box::new(Keeps(Arc::clone(&said))))
        .secrets([Secret::new(canary("given"))]);
    let mut events = String::new();
    let report = fetcher
        .run(&RunSelection::all(), &mut |event| {
            let _ = write!(events, "{event:?}");
        })
        .expect("a run");
    assert_masked("events", events.as_bytes(), &secrets);
    assert_masked("the report", format!("{report:?}").as_bytes(), &secrets);
    let said = said.lock().expect("the text");
    assert!(said.contains("Failure"), "it was told: {said}");
    assert_masked("a message", said.as_bytes(), &secrets);
    assert_masked("a text", fetcher.redactor().redact(&noise).as_bytes(), &secrets);
    assert!(files(&scratch.path("site")).len() > 3);
    for directory in ["state", "cache", "site"] {
        for file in files(&scratch.path(directory)) {
            assert_masked(&file.display().to_string(), &fs::read(&file).expect("a file"), &secrets);
        }
    }
}
