//! The cost of a proof: 1,000 sources with 100 files each, in the local cache and in a buildbox-casd, asked for at once.
//!
//! `prove_load CASD DIRECTORY [MILLISECONDS]`: CASD is the program, DIRECTORY is made and left, and the connection has a
//! latency of so many milliseconds there and back. It prints what it measured as JSON.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use bazel_remote_apis::build::bazel::remote::asset::v1::PushBlobRequest;
use bazel_remote_apis::build::bazel::remote::asset::v1::push_client::PushClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::Digest;
use fetcher_core::Cancel;
use fetcher_core::config::SourceCacheConfig;
use fetcher_core::{
    SourceKey,
    pipeline::{CacheProver, SourceProof},
};
use fetcher_tests::cachedir::{Cachedir, hash};

const SOURCES: usize = 1_000;
const FILES: usize = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (casd, directory, latency) = match &arguments[..] {
        [_, casd, directory] => (casd, PathBuf::from(directory), 0),
        [_, casd, directory, latency] => (casd, PathBuf::from(directory), latency.parse().expect("milliseconds")),
        _ => panic!("prove_load CASD DIRECTORY [MILLISECONDS]"),
    };
    let keys = fill(&directory);
    let port = free_port();
    let mut server = Command::new(casd)
        .arg(format!("--bind=127.0.0.1:{port}"))
        .arg("--quota-high=10G")
        .arg(directory.join("remote"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("casd");
    wait_for(port, &mut server);
    index(port, &directory, &keys);
    let asked = if latency == 0 { port } else { delayed(port, Duration::from_micros(latency * 500)) };

    let cache = {
        let mut it = SourceCacheConfig::default();
        it.url = format!("http://127.0.0.1:{asked}");
        it.push = true;
        it
    };
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut prover = CacheProver::new(&directory.join("local"));
    let proofs = prover.prove_remote(&[cache], &keys, &Cancel::new()).expect("answers");
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let _ = server.kill();
    let _ = server.wait();
    assert!(proofs.len() == SOURCES && proofs.values().all(SourceProof::is_proved), "all of it is there");
    let totals = prover.totals();
    println!(
        "{{\"sources\": {SOURCES}, \"blobs\": {}, \"requests\": {}, \"wall\": {wall:.2}, \"cpu\": {cpu:.2}, \"latency-ms\": {latency}, \
         \"peak-mb\": {:.0}}}",
        totals.blobs,
        totals.requests,
        peak_bytes() / 1e6
    );
}

/// Makes the local cache and what the remote one holds, the same objects.
fn fill(directory: &Path) -> Vec<SourceKey> {
    let local = Cachedir::new(directory.join("local"));
    let mut keys = Vec::new();
    for source in 0..SOURCES {
        let contents: Vec<Vec<u8>> =
            (0..FILES).map(|file| format!("file {file} of source {source}\n").into_bytes()).collect();
        let key = hash(format!("key {source}").as_bytes());
        local.element(&key, &contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
        local.put(&message(directory, &key));
        keys.push(key.parse().expect("a key"));
    }
    fs::create_dir_all(directory.join("remote")).expect("a directory");
    let copied = Command::new("cp").args(["-rl", "local/cas", "remote/"]).current_dir(directory).status();
    assert!(copied.expect("cp").success());
    keys
}

fn message(directory: &Path, key: &str) -> Vec<u8> {
    fs::read(directory.join("local/elementsources").join(key)).expect("an entry")
}

/// Enters the sources into the index of the remote cache.
fn index(port: u16, directory: &Path, keys: &[SourceKey]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut client = PushClient::connect(format!("http://127.0.0.1:{port}")).await.expect("a connection");
        for key in keys {
            let content = message(directory, key.as_str());
            let size_bytes = i64::try_from(content.len()).expect("a size");
            let request = PushBlobRequest {
                uris: vec![format!("urn:fdc:buildstream.build:2020:source:{key}")],
                blob_digest: Some(Digest { hash: hash(&content), size_bytes }),
                ..Default::default()
            };
            client.push_blob(request).await.expect("an entry");
        }
    });
}

/// A port behind which everything takes so much longer, each way.
fn delayed(port: u16, delay: Duration) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let own = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server");
            for (from, to) in [(&client, &server), (&server, &client)] {
                let _ = (from.set_nodelay(true), to.set_nodelay(true));
                later(from.try_clone().expect("a socket"), to.try_clone().expect("a socket"), delay);
            }
        }
    });
    own
}

/// Hands on what comes, so much later; what comes meanwhile is not kept waiting for it.
fn later(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, receiver) = channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + delay, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).expect("a port").port()
}

fn wait_for(port: u16, server: &mut Child) {
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(server.try_wait().expect("its state").is_none(), "casd ended");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The processor time of this thread, which does all of a proof.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).expect("a number") / 1e9
}

/// The most memory that this process has had.
fn peak_bytes() -> f64 {
    let text = fs::read_to_string("/proc/self/status").expect("status");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<f64>().ok()).expect("a number") * 1024.0
}
