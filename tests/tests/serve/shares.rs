//! `serve` with clients that take, hold and never give back: they are in nobody's way.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    BatchReadBlobsRequest, BatchReadBlobsResponse, Digest, FindMissingBlobsRequest, FindMissingBlobsResponse,
};
use bazel_remote_apis::google::bytestream::ReadRequest;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use fetcher_tests::cachedir::{Cachedir, incompressible};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::served::Served;
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

/// How long one answer may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// The address that those in the way have, and that of all others.
const ONE: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];

fn serve(scratch: &Scratch, cachedir: &Path) -> Served {
    Served::start(&Fetcher::new(scratch).config(Served::CONFIG), &[cachedir.to_str().expect("a path")])
}

async fn channel(address: SocketAddr, from: [u8; 4]) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    // As little as HTTP/2 has without a word about it, so that what nobody reads is not taken either.
    let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    endpoint.local_address(Some(IpAddr::from(from))).connect().await.expect("a connection")
}

/// Asks for a batch of one, and reads all of the answer.
async fn batch(channel: &Channel, digest: &Digest) -> Result<usize, Status> {
    let request = BatchReadBlobsRequest { digests: vec![digest.clone()], ..Default::default() };
    let mut client = ContentAddressableStorageClient::new(channel.clone());
    let answer = timeout(SOON, client.batch_read_blobs(request)).await.expect("an answer comes in time")?;
    Ok(answer.into_inner().responses[0].data.len())
}

/// Clients that ask and do not read. A permit is added for each answer that begins to come.
struct Stalled {
    begun: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Stalled {
    fn new() -> Self {
        Self { begun: Arc::new(Semaphore::new(0)), tasks: JoinSet::new() }
    }

    fn batch(&mut self, channel: &Channel, digest: &Digest) {
        let (channel, begun) = (channel.clone(), Arc::clone(&self.begun));
        let request = BatchReadBlobsRequest { digests: vec![digest.clone()], ..Default::default() };
        self.tasks.spawn(async move {
            let mut client = tonic::client::Grpc::new(channel);
            client.ready().await.expect("a connection");
            let path = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs".parse();
            let codec = ProstCodec::<BatchReadBlobsRequest, BatchReadBlobsResponse>::default();
            // As a stream, so that nothing is read before it is asked for.
            let stream = client.server_streaming(tonic::Request::new(request), path.expect("a path"), codec).await;
            begun.add_permits(1);
            std::future::pending::<()>().await;
            drop(stream);
        });
    }

    fn read(&mut self, channel: &Channel, digest: &Digest) {
        let (channel, begun) = (channel.clone(), Arc::clone(&self.begun));
        let resource_name = format!("blobs/{}/{}", digest.hash, digest.size_bytes);
        self.tasks.spawn(async move {
            let stream = ByteStreamClient::new(channel).read(ReadRequest { resource_name, ..Default::default() }).await;
            begun.add_permits(1);
            std::future::pending::<()>().await;
            drop(stream);
        });
    }

    async fn have_begun(&self, count: u32) {
        timeout(SOON, self.begun.acquire_many(count)).await.expect("they begin").expect("permits").forget();
    }
}

#[tokio::test]
async fn batches_that_nobody_reads_keep_nobody_from_batches() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let (large, small) = (cache.put(&incompressible(3_000_000)), cache.put(b"small"));
    let served = serve(&scratch, cache.path());
    let mut stalled = Stalled::new();
    let mut channels = Vec::new();
    for _ in 0..4 {
        let channel = channel(served.address(), ONE).await;
        (0..12).for_each(|_| stalled.batch(&channel, &large));
        channels.push(channel);
    }
    stalled.have_begun(4).await;
    let others = channel(served.address(), OTHER).await;
    for _ in 0..20 {
        assert_eq!(batch(&others, &small).await.expect("a small one"), 5);
        assert_eq!(batch(&others, &large).await.expect("a large one"), 3_000_000);
    }
    let same = channel(served.address(), ONE).await;
    assert_eq!(batch(&same, &small).await.expect("another connection of the same address"), 5);
}

#[tokio::test]
async fn a_thousand_reads_that_nobody_reads_keep_nobody_from_reading() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let (large, small) = (cache.put(&incompressible(1_000_000)), cache.put(b"small"));
    let served = serve(&scratch, cache.path());
    let before = served.resident();
    let mut stalled = Stalled::new();
    let mut channels = Vec::new();
    for _ in 0..8 {
        let channel = channel(served.address(), ONE).await;
        (0..128).for_each(|_| stalled.read(&channel, &large));
        channels.push(channel);
    }
    stalled.have_begun(300).await;
    let others = channel(served.address(), OTHER).await;
    for _ in 0..20 {
        assert_eq!(batch(&others, &small).await.expect("a small one"), 5);
        assert_eq!(batch(&others, &large).await.expect("a large one"), 1_000_000);
    }
    let taken = served.resident() - before;
    assert!(taken < 128 << 20, "{taken} bytes");
}

/// A connection that speaks HTTP/2 and asks nothing.
fn idle(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("a preface");
    stream
}

#[tokio::test]
async fn idle_connections_of_one_address_keep_no_other_out() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let small = cache.put(b"small");
    let served = serve(&scratch, cache.path());
    let connections: Vec<_> = (0..256).map(|_| idle(served.address())).collect();
    let mut others = Vec::new();
    for _ in 0..100 {
        let channel = channel(served.address(), OTHER).await;
        assert_eq!(batch(&channel, &small).await.expect("it is let in"), 5);
        others.push(channel);
    }
    assert!(served.of_kind("closed").len() >= 100, "{:?}", served.of_kind("closed"));
    for channel in &others {
        assert_eq!(batch(channel, &small).await.expect("and stays"), 5);
    }
    // Those of the same address get in as soon as one of the others has been idle for a while.
    let until = Instant::now() + 3 * SOON;
    loop {
        let endpoint = Endpoint::from_shared(format!("http://{}", served.address())).expect("an address");
        let asked = match endpoint.connect().await {
            Ok(channel) => batch(&channel, &small).await.is_ok(),
            Err(_) => false,
        };
        if asked {
            break;
        }
        assert!(Instant::now() < until, "the same address is shut out");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(connections);
}

#[tokio::test]
async fn connections_that_ask_for_no_metrics_keep_nobody_from_them() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let config = format!("{}[serve]\nmetrics-listen = \"127.0.0.1:0\"\n", Served::CONFIG);
    let served = Served::start(&Fetcher::new(&scratch).config(config), &[cache.path().to_str().expect("a path")]);
    let address = served.metrics_address();
    let idle: Vec<_> = (0..16).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    let began = Instant::now();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((OTHER, 0).into()).expect("an address");
    let stream = socket.connect(address).await.expect("a connection").into_std();
    let mut stream = stream.expect("a connection");
    stream.set_nonblocking(false).expect("a stream that waits");
    stream.set_read_timeout(Some(SOON)).expect("a time limit");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("a page");
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    // Those that say nothing are closed after ten seconds in any case.
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    drop(idle);
}

#[tokio::test]
async fn who_neither_reads_nor_finishes_a_request_is_given_up() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let (large, small) = (cache.put(&incompressible(1_000_000)), cache.put(b"small"));
    let served = serve(&scratch, cache.path());
    let slow = channel(served.address(), ONE).await;
    let mut stalled = Stalled::new();
    stalled.read(&slow, &large);
    // A request whose end does not come.
    let unfinished = channel(served.address(), OTHER).await;
    let mut client = tonic::client::Grpc::new(unfinished.clone());
    client.ready().await.expect("a connection");
    let path = "/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs".parse().expect("a path");
    let codec = ProstCodec::<FindMissingBlobsRequest, FindMissingBlobsResponse>::default();
    let messages = tokio_stream::pending::<FindMissingBlobsRequest>();
    let status = client.streaming(tonic::Request::new(messages), path, codec).await.map(drop).expect_err("no request");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!(batch(&unfinished, &small).await.expect("the connection is as good as before"), 5);
    assert_eq!(served.wait_for("closed")["peer"], "127.0.0.1");
}
