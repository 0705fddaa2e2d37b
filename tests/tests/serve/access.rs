//! Who may ask `serve`, how it is started, and what it tells of itself.

use std::fs::{self, File, FileTimes};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bazel_remote_apis::build::bazel::remote::asset::v1::FetchBlobRequest;
use bazel_remote_apis::build::bazel::remote::asset::v1::fetch_client::FetchClient;
use fetcher_tests::cachedir::Cachedir;
use fetcher_tests::client::{Client, remotes};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::project::Project;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::served::Served;
use fetcher_tests::{bst, installed};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const KEY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const TOKEN: &str = "a-token-that-nobody-guesses";

/// Makes an authority, and what it signs: `NAME.crt` and `NAME.key`; its own is `ca.crt`.
fn certificates(directory: &Path, names: &[&str]) {
    fs::create_dir_all(directory).expect("a directory");
    let write = |name: &str, text: String| fs::write(directory.join(name), text).expect("a file");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    // Not the name that certificates have by default: what has its signer's name counts as signed by itself.
    params.distinguished_name.push(DnType::CommonName, "An authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    write("ca.crt", authority.pem());
    for name in names {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        write(&format!("{name}.crt"), params.signed_by(&key, &authority).expect("a certificate").pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

#[test]
fn only_clients_with_a_good_certificate_and_a_good_token_are_served() {
    let scratch = Scratch::new();
    let project = Project::new(&scratch);
    certificates(&scratch.path("tls"), &["server", "client"]);
    certificates(&scratch.path("others"), &["client"]);
    let text = format!(
        "[buildstream]\ncommand = ['{}']\n\n[[project]]\nname = \"example\"\nurl = \"{}\"\ntargets = [\"tar.bst\"]\n
[serve]\naccess-tokens = \"tokens\"\ninstance-names = [\"main\"]\n
tls = {{ cert = \"tls/server.crt\", key = \"tls/server.key\", client-ca = \"tls/ca.crt\" }}\n",
        bst::bst().display(),
        project.url()
    );
    scratch.write("tokens", format!("# of the builders\n{TOKEN}\nanother-token-of-them\n"));
    let fetcher = Fetcher::new(&scratch).config(text);
    fetcher.run(&["run"]).expect(0);
    let served = Served::start(&fetcher, &["--listen=localhost:0"]);
    project.hide_upstreams(&scratch);

    let root = scratch.root().display();
    let auth = |client: &str, token: &str| {
        fs::write(scratch.path(&format!("{token}.txt")), token).expect("a token");
        format!(
            "    instance-name: main\n    auth:\n      server-cert: {root}/tls/ca.crt\n      client-cert: {root}/{client}.crt\n      \
             client-key: {root}/{client}.key\n      access-token: {root}/{token}.txt\n    connection-config:\n      \
             retry-limit: 1\n      retry-delay: 100\n      request-timeout: 5\n"
        )
    };
    let tree = scratch.path("cache/checkouts/example/main/tree");
    let fetch = |name: &str, more: &str| {
        Client::new(&scratch, name, &tree, &remotes(&served.url(), more)).bst(&["source", "fetch", "tar.bst"])
    };
    let (succeeded, said) = fetch("good", &auth("tls/client", TOKEN));
    assert!(succeeded, "{said}");
    for (name, more) in [
        ("token", auth("tls/client", "no-token-of-this-server")),
        ("certificate", auth("others/client", TOKEN)),
        ("instance", auth("tls/client", TOKEN).replace("main", "other")),
    ] {
        let (succeeded, said) = fetch(name, &more);
        assert!(!succeeded && said.contains("Failed to initialize remote"), "{name}: {said}");
    }

    // Tokens change while it runs; a file that is no good changes nothing.
    fs::write(scratch.path("tokens"), "short\n").expect("tokens");
    let failed = served.wait_for("reload-failed");
    assert!(!failed["message"].as_str().expect("a message").contains("short"), "{failed}");
    fs::write(scratch.path("tokens"), "a-new-token-for-all-of-them\n").expect("tokens");
    served.wait_for("reloaded");
    let (succeeded, said) = fetch("old-token", &auth("tls/client", TOKEN));
    assert!(!succeeded, "{said}");
    let (succeeded, said) = fetch("new-token", &auth("tls/client", "a-new-token-for-all-of-them"));
    assert!(succeeded, "{said}");

    // So do certificates.
    certificates(&scratch.path("new"), &["server", "client"]);
    fs::rename(scratch.path("tls"), scratch.path("old")).expect("the old ones");
    fs::rename(scratch.path("new"), scratch.path("tls")).expect("the new ones");
    served.wait_until("reloaded", |event| event["path"].as_str().is_some_and(|path| path.contains("/tls/")));
    let (succeeded, said) = fetch("certificates", &auth("tls/client", "a-new-token-for-all-of-them"));
    assert!(succeeded, "{said}");
    let shown = format!("{:?}", served.events());
    for secret in [TOKEN, "a-new-token-for-all-of-them", "no-token-of-this-server", "PRIVATE"] {
        assert!(!shown.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn health_needs_no_token_and_everything_else_does() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    scratch.write("tokens", TOKEN);
    let fetcher = Fetcher::new(&scratch).config(format!("{}[serve]\naccess-tokens = \"tokens\"\n", Served::CONFIG));
    let served = Served::start(&fetcher, &[cache.path().to_str().expect("a path")]);
    let endpoint = Endpoint::from_shared(format!("http://{}", served.address())).expect("an address");
    let channel = endpoint.connect().await.expect("a connection");
    HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.expect("an answer");
    let mut client = FetchClient::new(channel);
    for (token, code) in [
        (None, Code::Unauthenticated),
        (Some("Bearer wrong-token-entirely"), Code::Unauthenticated),
        // Let in, and told that there has to be a URI.
        (Some("Bearer a-token-that-nobody-guesses"), Code::InvalidArgument),
    ] {
        let mut request = tonic::Request::new(FetchBlobRequest::default());
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", token.parse().expect("a value"));
        }
        assert_eq!(client.fetch_blob(request).await.expect_err("no URI").code(), code, "{token:?}");
    }
}

/// Asks for nothing until the answer is this one.
async fn until_answered(channel: &Channel, token: &str, code: Code) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let mut request = tonic::Request::new(FetchBlobRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a value"));
        let answered = FetchClient::new(channel.clone()).fetch_blob(request).await.expect_err("no URI").code();
        if answered == code {
            return;
        }
        assert!(Instant::now() < until, "{token} gets {answered:?}, not {code:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_tokens_file_without_tokens_revokes_them_and_none_is_ever_let_in_without() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    scratch.write("tokens", TOKEN);
    let path = scratch.path("tokens");
    let fetcher = Fetcher::new(&scratch).config(format!("{}[serve]\naccess-tokens = \"tokens\"\n", Served::CONFIG));
    let served = Served::start(&fetcher, &[cache.path().to_str().expect("a path")]);
    let endpoint = Endpoint::from_shared(format!("http://{}", served.address())).expect("an address");
    let channel = endpoint.connect().await.expect("a connection");
    until_answered(&channel, TOKEN, Code::InvalidArgument).await;
    for empty in [Some(""), Some("# nobody for now\n"), None] {
        match empty {
            Some(text) => fs::write(&path, text).expect("tokens"),
            None => fs::remove_file(&path).expect("it was there"),
        }
        until_answered(&channel, TOKEN, Code::Unauthenticated).await;
        let bare = FetchClient::new(channel.clone()).fetch_blob(FetchBlobRequest::default()).await;
        assert_eq!(bare.expect_err("no token").code(), Code::Unauthenticated);
        fs::write(&path, TOKEN).expect("tokens");
        until_answered(&channel, TOKEN, Code::InvalidArgument).await;
    }
    assert_eq!(served.of_kind("revoked").len(), 3, "{:?}", served.events());
    // Others of the same length, in place, the time put back.
    let other: String = TOKEN.chars().rev().collect();
    let time = fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("its time");
    let file = File::options().write(true).open(&path).expect("tokens");
    file.write_all_at(other.as_bytes(), 0).expect("tokens");
    file.set_times(FileTimes::new().set_modified(time)).expect("its time");
    until_answered(&channel, &other, Code::InvalidArgument).await;
    until_answered(&channel, TOKEN, Code::Unauthenticated).await;
}

#[tokio::test]
async fn a_client_ca_without_certificates_lets_nobody_in() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let directory = scratch.path("tls");
    certificates(&directory, &["server", "client"]);
    let text =
        "[serve]\ntls = { cert = \"tls/server.crt\", key = \"tls/server.key\", client-ca = \"tls/clients.crt\" }\n";
    let read = |name: &str| fs::read(directory.join(name)).expect("a file");
    fs::write(directory.join("clients.crt"), read("ca.crt")).expect("an authority");
    let fetcher = Fetcher::new(&scratch).config(format!("{}{text}", Served::CONFIG));
    let served = Served::start(&fetcher, &["--listen=localhost:0", cache.path().to_str().expect("a path")]);
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read("ca.crt")))
        .identity(Identity::from_pem(read("client.crt"), read("client.key")))
        .domain_name("localhost");
    let endpoint = Endpoint::from_shared(served.url()).expect("an address").tls_config(tls).expect("TLS");
    let is_let_in = async || match endpoint.connect().await {
        Ok(channel) => HealthClient::new(channel).check(HealthCheckRequest::default()).await.is_ok(),
        Err(_) => false,
    };
    assert!(is_let_in().await);
    fs::write(directory.join("clients.crt"), "").expect("nobody");
    served.wait_for("revoked");
    assert!(!is_let_in().await);
    fs::write(directory.join("clients.crt"), read("ca.crt")).expect("an authority");
    served.wait_for("reloaded");
    assert!(is_let_in().await);
}

#[tokio::test]
async fn limits_hold_and_the_metrics_tell() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let (uri, _) = cache.element(KEY, &[b"one"]);
    let limits = "[serve]\nmax-connections = 2\nmax-requests-per-second = 5\nmetrics-listen = \"127.0.0.1:0\"\n";
    let fetcher = Fetcher::new(&scratch).config(format!("{}{limits}", Served::CONFIG));
    let served = Served::start(&fetcher, &[cache.path().to_str().expect("a path")]);
    let endpoint = Endpoint::from_shared(format!("http://{}", served.address())).expect("an address");
    let channel = endpoint.connect().await.expect("a connection");
    let request = || FetchBlobRequest { uris: vec![uri.clone()], ..Default::default() };
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (mut client, request) = (FetchClient::new(channel.clone()), request());
        asked.spawn(async move { client.fetch_blob(request).await.err().map(|status| status.code()) });
    }
    let answers = asked.join_all().await;
    assert!(answers.contains(&None) && answers.contains(&Some(Code::ResourceExhausted)), "{answers:?}");
    assert!(answers.iter().flatten().all(|code| *code == Code::ResourceExhausted), "{answers:?}");

    let _second = TcpStream::connect(served.address()).expect("a connection");
    let mut third = TcpStream::connect(served.address()).expect("a connection");
    assert_eq!(third.read(&mut [0; 10]).expect("it is closed"), 0);
    served.wait_for("refused");

    let page = get(served.metrics_address(), "/metrics");
    let hits = answers.iter().filter(|answer| answer.is_none()).count();
    for line in [
        format!("bst_fetcher_serve_assets_total{{result=\"hit\"}} {hits}"),
        format!("bst_fetcher_serve_requests_total{{method=\"FetchBlob\",code=\"OK\"}} {hits}"),
        "bst_fetcher_serve_connections 2".to_owned(),
        "bst_fetcher_serve_refused_connections_total 1".to_owned(),
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    assert!(get(served.metrics_address(), "/").contains("404"));
    let body = page.split_once("\r\n\r\n").expect("a body").1;
    let mut promtool = Command::new(installed::program("promtool"));
    let mut child = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).spawn().expect("promtool");
    child.stdin.take().expect("its input").write_all(body.as_bytes()).expect("the page");
    assert!(child.wait().expect("its end").success(), "{body}");
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[tokio::test]
async fn systemd_hands_a_socket_over() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let fetcher = Fetcher::new(&scratch).config(Served::CONFIG);
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("its address");
    let arguments = ["--log-format=json", "serve", cache.path().to_str().expect("a path")];
    let inner = fetcher.command(&arguments);
    // As systemd.socket(5) does: the socket is the third file, and two variables say so.
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg("exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\"");
    command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::from(OwnedFd::from(socket)));
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let served = Served::spawn(command);
    assert_eq!(served.address(), address);
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let channel = endpoint.connect().await.expect("a connection");
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.expect("an answer");
    served.terminate();
    assert_eq!(served.wait(), Some(0));
}

#[test]
fn whoever_can_reach_it_is_warned_of() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let fetcher = Fetcher::new(&scratch).config(Served::CONFIG);
    let directory = cache.path().to_str().expect("a path");
    let served = Served::start(&fetcher, &["--listen=0.0.0.0:0", directory]);
    let warned = served.wait_for("warning");
    assert!(warned["message"].as_str().expect("a message").contains("everybody"), "{warned}");
    drop(served);
    assert!(Served::start(&fetcher, &[directory]).of_kind("warning").is_empty(), "loopback is nobody else's");
}

#[test]
fn what_cannot_be_served_is_said() {
    let scratch = Scratch::new();
    let none = Fetcher::new(&scratch).env("BST_FETCHER_CONFIG", "");
    let config = Fetcher::new(&scratch).config(Served::CONFIG);
    let ended = config.run(&["serve", "nowhere"]).expect(3);
    assert!(ended.stderr().contains("there is no directory"), "{ended}");
    scratch.write("tokens", "\n");
    let tokens = Fetcher::new(&scratch).config(format!("{}[serve]\naccess-tokens = \"tokens\"\n", Served::CONFIG));
    let ended = tokens.run(&["serve", "."]).expect(3);
    assert!(ended.stderr().contains("there is no token"), "{ended}");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let listen = format!("--listen={}", taken.local_addr().expect("an address"));
    fs::write(scratch.path("config.toml"), Served::CONFIG).expect("a configuration");
    let ended = config.run(&["serve", &listen, "."]).expect(1);
    assert!(ended.stderr().contains("cannot listen"), "{ended}");
    let mut without = none.command(&["serve"]);
    without.env_remove("BST_FETCHER_CONFIG");
    assert_eq!(without.output().expect("it runs").status.code(), Some(2));
}

#[test]
fn clients_are_told_what_to_write() {
    let scratch = Scratch::new();
    certificates(&scratch.path("tls"), &["server"]);
    scratch.write("tokens", TOKEN);
    let text = "[serve]\nlisten = \"cache.example.org:11001\"\naccess-tokens = \"tokens\"\ninstance-names = [\"main\"]\n\
                tls = { cert = \"tls/server.crt\", key = \"tls/server.key\", client-ca = \"tls/ca.crt\" }\n";
    let fetcher = Fetcher::new(&scratch).config(format!("{}{text}", Served::CONFIG));
    let told = fetcher.run(&["serve", "--print-client-config"]).expect(0).stdout();
    fetcher.snapshots(|| insta::assert_snapshot!(told));
    let other = fetcher.run(&["serve", "--print-client-config", "--url=https://other.example.org"]).expect(0).stdout();
    assert_eq!(other, told.replace("cache.example.org:11001", "other.example.org"));
}

#[test]
fn systemd_takes_the_units() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("a cache")).expect("a directory");
    let config = format!("{}[serve]\ncachedir = \"a cache\"\nmetrics-listen = \"127.0.0.1:9464\"\n", Served::CONFIG);
    let fetcher = Fetcher::new(&scratch).config(config);
    let told = fetcher.run(&["schedule", "systemd", "--serve"]).expect(0).stdout();
    let between = "\n# /etc/systemd/system/bst-fetcher-serve.service\n";
    let (socket, service) = told.split_once(between).expect("two units");
    assert!(socket.contains("ListenStream=127.0.0.1:11001\nListenStream=127.0.0.1:9464\n"), "{socket}");
    let root = scratch.root().display();
    assert!(service.contains(&format!(" --config {root}/config.toml serve\n")), "{service}");
    assert!(service.contains(&format!("ReadWritePaths=-\"{root}/a cache\"\n")), "{service}");
    let socket = scratch.write("bst-fetcher-serve.socket", socket);
    let service = scratch.write("bst-fetcher-serve.service", service);
    let mut verify = Command::new(installed::program("systemd-analyze"));
    let output = verify.args(["verify", "--man=no"]).arg(socket).arg(service).output().expect("systemd-analyze");
    let said = String::from_utf8_lossy(&output.stderr);
    // It looks at all units that are installed too.
    let ours: Vec<_> = said.lines().filter(|line| line.contains("bst-fetcher-serve")).collect();
    assert!(ours.is_empty(), "{ours:#?}\n{told}");
    assert!(output.status.success(), "{said}");
}
