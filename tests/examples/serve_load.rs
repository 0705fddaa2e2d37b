//! A load of gRPC: many clients, each with a connection of its own, read blobs from a remote cache as fast as they can.
//!
//! `serve_load ADDRESS CLIENTS SECONDS read|batch FILE`, where each line of FILE is `HASH/SIZE`. `read` asks for one
//! blob at a time by `ByteStream`, `batch` for fifty by `BatchReadBlobs`. It prints what it measured as JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::{BatchReadBlobsRequest, Digest};
use bazel_remote_apis::google::bytestream::ReadRequest;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use tonic::transport::{Channel, Endpoint};

const BATCH: usize = 50;

#[derive(Default)]
struct Sums {
    requests: AtomicU64,
    blobs: AtomicU64,
    bytes: AtomicU64,
    wrong: AtomicU64,
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, address, clients, seconds, how, file] = &arguments[..] else {
        panic!("serve_load ADDRESS CLIENTS SECONDS read|batch FILE")
    };
    let clients: usize = clients.parse().expect("a number of clients");
    let time = Duration::from_secs_f64(seconds.parse().expect("a number of seconds"));
    let digests: Vec<Digest> = std::fs::read_to_string(file)
        .expect("the file with the digests")
        .lines()
        .map(|line| line.split_once('/').expect("HASH/SIZE"))
        .map(|(hash, size)| Digest { hash: hash.to_owned(), size_bytes: size.parse().expect("a size") })
        .collect();
    let (digests, sums) = (Arc::new(digests), Arc::new(Sums::default()));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let channel = endpoint.connect().await.expect("a connection");
        let (digests, sums, batch) = (Arc::clone(&digests), Arc::clone(&sums), how == "batch");
        tasks.spawn(async move {
            let mut at = client * digests.len() / clients;
            let mut times = Vec::new();
            while began.elapsed() < time {
                let asked = Instant::now();
                if batch {
                    one_batch(&channel, &digests, &mut at, &sums).await;
                } else {
                    one(&channel, &digests, &mut at, &sums, began + time).await;
                }
                sums.requests.fetch_add(1, Relaxed);
                times.push(asked.elapsed());
            }
            times
        });
    }
    let mut times: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    let took = began.elapsed().as_secs_f64();
    times.sort();
    let share = |part: usize| times.get(times.len() * part / 100).map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let rate = |sum: &AtomicU64| sum.load(Relaxed) as f64 / took;
    println!(
        "{{\"requests_per_second\": {:.0}, \"blobs_per_second\": {:.0}, \"mb_per_second\": {:.1}, \"p50_ms\": {:.2}, \"p99_ms\": {:.2}, \"wrong\": {}}}",
        rate(&sums.requests),
        rate(&sums.blobs),
        rate(&sums.bytes) / 1e6,
        share(50),
        share(99),
        sums.wrong.load(Relaxed)
    );
}

fn next<'d>(digests: &'d [Digest], at: &mut usize) -> &'d Digest {
    *at = (*at + 1) % digests.len();
    &digests[*at]
}

async fn one(channel: &Channel, digests: &[Digest], at: &mut usize, sums: &Sums, until: Instant) {
    let digest = next(digests, at);
    let resource_name = format!("blobs/{}/{}", digest.hash, digest.size_bytes);
    let mut got = 0;
    let request = ReadRequest { resource_name, ..Default::default() };
    if let Ok(answer) = ByteStreamClient::new(channel.clone()).read(request).await {
        let mut stream = answer.into_inner();
        while let Ok(Some(piece)) = stream.message().await {
            got += piece.data.len() as u64;
            if Instant::now() > until {
                // The rest is not waited for, and it is no mistake that it is not here.
                sums.bytes.fetch_add(got, Relaxed);
                return;
            }
        }
    }
    sums.blobs.fetch_add(1, Relaxed);
    sums.bytes.fetch_add(got, Relaxed);
    sums.wrong.fetch_add(u64::from(got != digest.size_bytes.cast_unsigned()), Relaxed);
}

async fn one_batch(channel: &Channel, digests: &[Digest], at: &mut usize, sums: &Sums) {
    let wanted: Vec<Digest> = (0..BATCH.min(digests.len())).map(|_| next(digests, at).clone()).collect();
    let mut storage = ContentAddressableStorageClient::new(channel.clone()).max_decoding_message_size(16 << 20);
    let request = BatchReadBlobsRequest { digests: wanted.clone(), ..Default::default() };
    let answer =
        storage.batch_read_blobs(request).await.map(|answer| answer.into_inner().responses).unwrap_or_default();
    let good = answer.iter().filter(|blob| blob.status.as_ref().is_none_or(|status| status.code == 0)).count();
    let bytes: usize = answer.iter().map(|blob| blob.data.len()).sum();
    sums.blobs.fetch_add(good as u64, Relaxed);
    sums.bytes.fetch_add(bytes as u64, Relaxed);
    sums.wrong.fetch_add((wanted.len() - good) as u64, Relaxed);
}
