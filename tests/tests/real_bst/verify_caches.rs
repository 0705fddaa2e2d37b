//! The proof of caches that need credentials, and of those that do not answer as they should.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use fetcher_tests::casd;
use fetcher_tests::daemon::{Daemon, on_free_port};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::installed::program;
use fetcher_tests::liar::{Lie, liar};
use fetcher_tests::local_project::{ELEMENTS, LocalProject, pushed_to};
use fetcher_tests::scratch::Scratch;
use fetcher_tests::tls::Tls;
use serde_json::json;

use super::verify::stage;

pub(super) const TOKEN: &str = "a-token-that-opens-the-cache";

/// nginx before a cache: with TLS, and only for those who have a certificate of the client's authority and the token.
pub(super) fn guarded(scratch: &Scratch, cache: &Daemon, server: &Tls, client: &Tls) -> Daemon {
    let behind = cache.url().trim_start_matches("http://");
    fs::create_dir_all(scratch.path("nginx")).expect("a directory");
    let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let directory = scratch.path("nginx").display().to_string();
    let places: Vec<_> = places.iter().map(|name| format!("{name}_temp_path {directory}/{name};\n")).collect();
    let places = places.concat();
    let mut daemon = on_free_port("https", |port| {
        let conf = format!(
            "daemon off;\nuser root;\npid {directory}/pid;\nerror_log {directory}/error.log;\nevents {{}}\nhttp {{\n\
             access_log off;\nclient_max_body_size 0;\n{places}\
             server {{\nlisten 127.0.0.1:{port} ssl http2;\nssl_certificate {};\nssl_certificate_key {};\n\
             ssl_client_certificate {};\nssl_verify_client on;\nlocation / {{\n\
             if ($http_authorization != \"Bearer {TOKEN}\") {{ return 401; }}\ngrpc_pass grpc://{behind};\n}}\n}}\n}}\n",
            server.cert.display(),
            server.key.display(),
            client.ca.display()
        );
        let path = scratch.write("nginx/nginx.conf", conf);
        let mut command = Command::new(program("nginx"));
        command.arg("-p").arg(scratch.path("nginx")).arg("-e").arg(scratch.path("nginx/error.log")).arg("-c").arg(path);
        command
    });
    daemon.rename_host("localhost");
    daemon
}

#[test]
fn certificates_and_a_token_open_a_cache_to_the_proof_too() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    let (server, client) = (Tls::new(&scratch, "server"), Tls::new(&scratch, "client"));
    let guarded = guarded(&scratch, &cache, &server, &client);
    let token = scratch.write("token", format!("{TOKEN}\n"));
    let auth = |token: &Path| {
        format!(
            "auth = {{ server-cert = '{}', client-cert = '{}', client-key = '{}', access-token = '{}' }}",
            server.ca.display(),
            client.cert.display(),
            client.key.display(),
            token.display()
        )
    };
    let config = project.config("", &pushed_to(guarded.url(), &auth(&token)));
    let fetcher = Fetcher::new(&scratch).config(config);
    fetcher.run(&["run"]).expect(0);
    let report = fetcher.report();
    assert_eq!(stage(&report, "verify", "committed")["proof"]["proved"], json!(ELEMENTS), "{report:#}");
    fetcher.run(&["verify"]).expect(0);
    // TLS and the token go through whatever keeps the client from upstreams.
    fetcher.run(&["verify", "--clean-client"]).expect(0);

    // Whom this host trusts needs no `server-cert`; whom it does not is asked nothing.
    let of_host = auth(&token).replacen(&format!("server-cert = '{}', ", server.ca.display()), "", 1);
    let fetcher = Fetcher::new(&scratch).config(project.config("", &pushed_to(guarded.url(), &of_host)));
    let ended = fetcher.run(&["verify", "--json"]).expect(1);
    assert_eq!(ended.json()["branches"][0]["proved"], json!([]), "{ended}");
    let fetcher = fetcher.env("SSL_CERT_FILE", server.ca.display());
    let ended = fetcher.run(&["verify", "--json"]).expect(0);
    assert_eq!(ended.json()["branches"][0]["proved"], json!(ELEMENTS), "{ended}");

    // The token is another one by now.
    let other = scratch.write("other-token", "another-token-than-that\n");
    let fetcher = Fetcher::new(&scratch).config(project.config("", &pushed_to(guarded.url(), &auth(&other))));
    let ended = fetcher.run(&["verify", "--json"]).expect(1);
    let failure = ended.json()["branches"][0]["failure"].clone();
    assert_eq!((&failure["kind"], &failure["actor"]), (&json!("cache-denied"), &json!("cache")), "{failure:#}");
    assert!(!ended.stdout().contains("another-token-than-that"), "{ended}");
    assert_eq!(ended.json()["branches"][0]["proved"], json!([]));
}

/// A port that leads to a cache, and closes each connection after it has given so many bytes of answers.
fn dying(url: &str, bytes: usize) -> String {
    let behind = url.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let own = format!("http://{}", listener.local_addr().expect("its address"));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&behind).expect("the cache");
            let (mut from, mut to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            let (mut from, mut to) = (server, client);
            thread::spawn(move || {
                let (mut left, mut buffer) = (bytes, [0; 256]);
                while left > 0 {
                    let Ok(count @ 1..) = from.read(&mut buffer) else { break };
                    if to.write_all(&buffer[..count.min(left)]).is_err() {
                        break;
                    }
                    left = left.saturating_sub(count);
                }
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    own
}

#[test]
fn a_cache_that_dies_hangs_or_lies_proves_nothing_and_is_named() {
    let scratch = Scratch::new();
    let project = LocalProject::new(&scratch);
    let cache = casd::source_cache(&scratch.path("remote"));
    Fetcher::new(&scratch).config(project.config("", &pushed_to(cache.url(), ""))).run(&["run"]).expect(0);

    let quick = "connection-config = { request-timeout = 2 }";
    let asked = |caches: &str| {
        let ended = Fetcher::new(&scratch).config(project.config("", caches)).run(&["verify", "--json"]).expect(1);
        let branch = ended.json()["branches"][0].clone();
        assert_eq!(branch["proved"], json!([]), "{branch:#}");
        branch
    };
    let kind = |caches: &str| asked(caches)["failure"]["kind"].as_str().unwrap_or("none").to_owned();

    let middle = kind(&pushed_to(&dying(cache.url(), 600), quick));
    assert!(["cache-unreachable", "cache-wrong"].contains(&middle.as_str()), "{middle}");
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("its address"));
    assert_eq!(kind(&pushed_to(&url, quick)), "cache-unreachable");
    for lie in [Lie::MalformedDigest, Lie::NoDigest, Lie::OddStatus] {
        let caches = pushed_to(&liar(lie), "type = \"index\"") + &pushed_to(cache.url(), "type = \"storage\"");
        assert_eq!(kind(&caches), "cache-wrong", "{lie:?}");
    }
    let caches =
        pushed_to(&liar(Lie::NotFoundInside), "type = \"index\"") + &pushed_to(cache.url(), "type = \"storage\"");
    let branch = asked(&caches);
    assert!(branch["failure"].is_null(), "it answers, and has nothing: {branch:#}");
    assert_eq!(branch["missing"].as_object().map(serde_json::Map::len), Some(ELEMENTS.len()), "{branch:#}");
}
