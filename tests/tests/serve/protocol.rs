//! `serve` with clients that speak gRPC by themselves: what the API promises, and what nobody should send.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::asset::v1::fetch_client::FetchClient;
use bazel_remote_apis::build::bazel::remote::asset::v1::{FetchBlobRequest, FetchDirectoryRequest, Qualifier};
use bazel_remote_apis::build::bazel::remote::execution::v2::capabilities_client::CapabilitiesClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    BatchReadBlobsRequest, BatchUpdateBlobsRequest, Digest, FindMissingBlobsRequest, GetCapabilitiesRequest,
    GetTreeRequest,
};
use bazel_remote_apis::google::bytestream::ReadRequest;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use fetcher_tests::cachedir::{Cachedir, SOURCE};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::served::Served;
use tonic::codec::Streaming;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

const KEY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn serve(scratch: &Scratch, cachedir: &Path) -> Served {
    Served::start(&Fetcher::new(scratch).config(Served::CONFIG), &[cachedir.to_str().expect("a path")])
}

async fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("an address").connect().await.expect("a connection")
}

/// Bytes that look like nothing, always the same ones.
struct Noise(u64);

impl Noise {
    fn number(&mut self) -> u64 {
        // xorshift64: Marsaglia, 2003.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % bound as u64).expect("a small number")
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.number().to_le_bytes()).flatten().take(length).collect()
    }
}

fn name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.hash, digest.size_bytes)
}

async fn read(channel: &Channel, resource: String, from: i64, limit: i64) -> Result<Vec<u8>, Status> {
    let request = ReadRequest { resource_name: resource, read_offset: from, read_limit: limit };
    rest(ByteStreamClient::new(channel.clone()).read(request).await?.into_inner()).await
}

async fn rest(mut stream: Streaming<bazel_remote_apis::google::bytestream::ReadResponse>) -> Result<Vec<u8>, Status> {
    let mut whole = Vec::new();
    while let Some(piece) = stream.message().await? {
        whole.extend(piece.data);
    }
    Ok(whole)
}

#[tokio::test]
async fn objects_are_read_in_every_way_that_the_api_has() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let large = Noise(7).bytes(3_000_017);
    let text = "compressible ".repeat(100_000).into_bytes();
    let (large_digest, text_digest, small) = (cache.put(&large), cache.put(&text), cache.put(b"small"));
    let empty = Digest { hash: KEY.to_owned(), size_bytes: 0 };
    let served = serve(&scratch, cache.path());
    let channel = channel(served.address()).await;

    let mut client = CapabilitiesClient::new(channel.clone());
    let capabilities = client.get_capabilities(GetCapabilitiesRequest::default()).await;
    let capabilities = capabilities.expect("an answer").into_inner().cache_capabilities.expect("of a cache");
    assert_eq!((capabilities.digest_functions, capabilities.supported_compressors), (vec![1], vec![1]));

    let size = i64::try_from(large.len()).expect("a size");
    for (from, limit) in
        [(0, 0), (0, 10), (1, 0), (131_071, 2), (131_072, 1_000_000), (size - 1, 0), (size, 0), (5, size)]
    {
        let got = read(&channel, name(&large_digest), from, limit).await.expect("an answer");
        let start = usize::try_from(from).expect("a size");
        let end =
            if limit == 0 { large.len() } else { large.len().min(start + usize::try_from(limit).expect("a size")) };
        assert!(got == large[start..end], "from {from}, {limit}");
    }
    assert_eq!(read(&channel, format!("some/instance/{}", name(&small)), 1, 3).await.expect("an answer"), b"mal");
    assert_eq!(read(&channel, name(&empty), 0, 0).await.expect("an answer"), b"");
    for from in [0, 1, 400_000] {
        let resource = format!("compressed-{}", name(&text_digest).replace("blobs/", "blobs/zstd/"));
        let packed = read(&channel, resource, from, 0).await.expect("an answer");
        assert!(packed.len() < text.len() / 10);
        assert!(zstd::decode_all(&*packed).expect("zstd") == text[usize::try_from(from).expect("a size")..]);
    }

    let mut storage = ContentAddressableStorageClient::new(channel.clone()).max_decoding_message_size(8 << 20);
    let absent = Digest { hash: KEY.replace('e', "f"), size_bytes: 7 };
    for compressor in [0, 1] {
        let digests = vec![small.clone(), absent.clone(), text_digest.clone(), empty.clone()];
        let request = BatchReadBlobsRequest { digests, acceptable_compressors: vec![compressor], ..Default::default() };
        let blobs = storage.batch_read_blobs(request).await.expect("an answer").into_inner().responses;
        let codes: Vec<_> = blobs.iter().map(|blob| blob.status.clone().unwrap_or_default().code).collect();
        assert_eq!(codes, [0, 5, 0, 0]);
        assert_eq!(blobs[0].data, b"small", "too small to be worth it");
        assert_eq!(blobs[2].compressor, compressor);
        let data =
            if compressor == 1 { zstd::decode_all(&*blobs[2].data).expect("zstd") } else { blobs[2].data.clone() };
        assert!(data == text);
    }
    let wanted = FindMissingBlobsRequest { blob_digests: vec![small, absent.clone(), empty], ..Default::default() };
    let missing = storage.find_missing_blobs(wanted).await.expect("an answer").into_inner().missing_blob_digests;
    assert_eq!(missing, [absent]);
}

#[tokio::test]
async fn assets_and_their_trees_are_found() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let (uri, root) = cache.element(KEY, &[b"one", b"two"]);
    let served = serve(&scratch, cache.path());
    let channel = channel(served.address()).await;
    let mut assets = FetchClient::new(channel.clone());
    let uris = vec!["https://example.org/x".to_owned(), format!("{SOURCE}{}", KEY.replace('e', "f")), uri.clone()];
    let found = assets.fetch_directory(FetchDirectoryRequest { uris: uris.clone(), ..Default::default() }).await;
    let found = found.expect("an answer").into_inner();
    assert_eq!((found.uri, found.root_directory_digest), (uri, Some(root.clone())));
    let found =
        assets.fetch_blob(FetchBlobRequest { uris, ..Default::default() }).await.expect("an answer").into_inner();
    let message = read(&channel, name(&found.blob_digest.expect("a digest")), 0, 0).await.expect("the message");
    assert_eq!(message, fs::read(cache.path().join("elementsources").join(KEY)).expect("the entry"));

    let mut storage = ContentAddressableStorageClient::new(channel.clone());
    let request = GetTreeRequest { root_digest: Some(root), ..Default::default() };
    let mut pages = storage.get_tree(request).await.expect("an answer").into_inner();
    let page = pages.message().await.expect("a page").expect("a page");
    assert_eq!(page.directories[0].files.len(), 2);
    assert!(pages.message().await.expect("the end").is_none());
}

#[tokio::test]
async fn tools_find_out_what_it_is() {
    let scratch = Scratch::new();
    let served = serve(&scratch, Cachedir::new(scratch.path("served")).path());
    let channel = channel(served.address()).await;
    for service in ["", "google.bytestream.ByteStream", "build.bazel.remote.asset.v1.Fetch"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = HealthClient::new(channel.clone()).check(request).await.expect("an answer").into_inner();
        assert_eq!(answer.status, 1, "{service} is serving");
    }
    let ask = |request| {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
        let mut client = ServerReflectionClient::new(channel.clone());
        async move {
            let asked = client.server_reflection_info(tokio_stream::once(request)).await.expect("an answer");
            asked.into_inner().message().await.expect("an answer").expect("an answer").message_response
        }
    };
    let Some(MessageResponse::ListServicesResponse(list)) = ask(MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list of services")
    };
    let services: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for service in [
        "build.bazel.remote.asset.v1.Fetch",
        "build.bazel.remote.execution.v2.Capabilities",
        "build.bazel.remote.execution.v2.ContentAddressableStorage",
        "google.bytestream.ByteStream",
        "grpc.health.v1.Health",
    ] {
        assert!(services.contains(&service), "{services:?}");
        let Some(MessageResponse::FileDescriptorResponse(files)) =
            ask(MessageRequest::FileContainingSymbol(service.to_owned())).await
        else {
            panic!("{service} is not described")
        };
        assert!(!files.file_descriptor_proto.is_empty());
    }
}

#[tokio::test]
async fn every_wrong_request_gets_the_right_status() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let (uri, root) = cache.element(KEY, &[b"one"]);
    let served = serve(&scratch, cache.path());
    let channel = channel(served.address()).await;
    let mut assets = FetchClient::new(channel.clone());
    let fetch = |uris: &[&str]| FetchBlobRequest {
        uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
        ..Default::default()
    };
    let parent = format!("{SOURCE}../{KEY}");
    let absolute = format!("{SOURCE}/etc/{KEY}");
    for (request, code) in [
        (fetch(&[]), Code::InvalidArgument),
        (fetch(&[&parent]), Code::InvalidArgument),
        (fetch(&[&absolute]), Code::InvalidArgument),
        (fetch(&[uri.as_str(); 65]), Code::InvalidArgument),
        (fetch(&["https://example.org/x.tar.gz"]), Code::NotFound),
        (FetchBlobRequest { qualifiers: vec![Qualifier::default()], ..fetch(&[&uri]) }, Code::InvalidArgument),
    ] {
        let shown = format!("{request:?}");
        assert_eq!(assets.fetch_blob(request).await.expect_err(&shown).code(), code, "{shown}");
    }
    for (resource, from, limit, code) in [
        (String::new(), 0, 0, Code::InvalidArgument),
        ("blobs/../../../etc/passwd".to_owned(), 0, 0, Code::InvalidArgument),
        (format!("uploads/x/{}", name(&root)), 0, 0, Code::InvalidArgument),
        (format!("blobs/{}/9", KEY.replace('e', "f")), 0, 0, Code::NotFound),
        (format!("blobs/{}/{}", root.hash, root.size_bytes + 1), 0, 0, Code::NotFound),
        (name(&root), -1, 0, Code::OutOfRange),
        (name(&root), root.size_bytes + 1, 0, Code::OutOfRange),
        (name(&root), 0, -1, Code::InvalidArgument),
        (format!("compressed-blobs/zstd/{}/{}", root.hash, root.size_bytes), 0, 1, Code::InvalidArgument),
    ] {
        let status = read(&channel, resource.clone(), from, limit).await.expect_err(&resource);
        assert_eq!(status.code(), code, "{resource} {from} {limit}: {status}");
    }
    let mut storage = ContentAddressableStorageClient::new(channel);
    let huge = Digest { size_bytes: i64::MAX, ..root.clone() };
    for digests in [vec![Digest::default()], vec![huge.clone(), huge]] {
        let request = BatchReadBlobsRequest { digests, ..Default::default() };
        assert_eq!(storage.batch_read_blobs(request).await.expect_err("wrong").code(), Code::InvalidArgument);
    }
    let other = BatchReadBlobsRequest { digest_function: 2, ..Default::default() };
    assert_eq!(storage.batch_read_blobs(other).await.expect_err("SHA-1").code(), Code::InvalidArgument);
    let write = storage.batch_update_blobs(BatchUpdateBlobsRequest::default()).await;
    assert_eq!(write.expect_err("it is read-only").code(), Code::PermissionDenied);
    let many = vec![root; 60_000];
    let large = storage.find_missing_blobs(FindMissingBlobsRequest { blob_digests: many, ..Default::default() }).await;
    assert_eq!(large.expect_err("too large").code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_thousand_malformed_requests_change_nothing() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let (uri, root) = cache.element(KEY, &[b"one"]);
    fs::write(scratch.path("secret"), "a secret beside the cache").expect("a file");
    let served = serve(&scratch, cache.path());
    let address = served.address();
    let mut noise = Noise(42);
    // Not even HTTP/2, or HTTP/2 that breaks off anywhere.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for round in 0..300 {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a time limit");
        let mut bytes = if round % 3 == 0 { Vec::new() } else { preface[..=noise.below(preface.len())].to_vec() };
        if round % 3 == 2 {
            bytes = preface.to_vec();
        }
        let length = noise.below(2000);
        bytes.extend(noise.bytes(length));
        let _ = stream.write_all(&bytes);
        let _ = stream.read(&mut [0; 100]);
    }
    // Good gRPC with messages and names that are none.
    let channel = channel(address).await;
    let parts = ["blobs", "..", "/", "uploads", "%2e%2e", "\0", "compressed-blobs", "zstd", &root.hash, "1", "-1", "ä"];
    for round in 0..800 {
        let length = noise.below(8);
        let text = (0..length).map(|_| parts[noise.below(parts.len())]).collect::<Vec<_>>().join("/") + "/";
        let code = match round % 4 {
            0 => read(&channel, text.clone(), 0, 0).await.map(drop).expect_err(&text).code(),
            1 => {
                let uris =
                    vec![format!("{SOURCE}{text}{KEY}/"), format!("urn:fdc:buildstream.build:2020:artifact:{text}")];
                let request = FetchBlobRequest { uris, ..Default::default() };
                FetchClient::new(channel.clone()).fetch_blob(request).await.expect_err(&text).code()
            }
            2 => {
                let digests = vec![Digest { hash: text.clone(), size_bytes: 1 }];
                let request = BatchReadBlobsRequest { digests, ..Default::default() };
                let mut storage = ContentAddressableStorageClient::new(channel.clone());
                storage.batch_read_blobs(request).await.expect_err(&text).code()
            }
            _ => {
                let length = noise.below(300) + 1;
                raw(&channel, noise.bytes(length)).await.code()
            }
        };
        // gRPC says INTERNAL where a message cannot be parsed (statuscodes.md).
        assert!(matches!(code, Code::InvalidArgument | Code::NotFound | Code::Internal), "{text:?}: {code:?}");
    }
    let found = FetchClient::new(channel).fetch_blob(FetchBlobRequest { uris: vec![uri], ..Default::default() }).await;
    found.expect("it still answers");
    let shown = format!("{:?}", served.events());
    assert!(!shown.contains("secret") && !shown.contains("panicked"), "{shown}");
}

/// Sends bytes that are no message to a good method.
async fn raw(channel: &Channel, mut bytes: Vec<u8>) -> Status {
    use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
    struct Raw;
    impl Encoder for Raw {
        type Item = Vec<u8>;
        type Error = Status;
        fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
            prost::bytes::BufMut::put_slice(into, &item);
            Ok(())
        }
        fn buffer_settings(&self) -> BufferSettings {
            BufferSettings::default()
        }
    }
    #[derive(Default)]
    struct RawCodec;
    impl Codec for RawCodec {
        type Encode = Vec<u8>;
        type Decode = GetCapabilitiesRequest;
        type Encoder = Raw;
        type Decoder = <tonic_prost::ProstCodec<GetCapabilitiesRequest, GetCapabilitiesRequest> as Codec>::Decoder;
        fn encoder(&mut self) -> Raw {
            Raw
        }
        fn decoder(&mut self) -> Self::Decoder {
            tonic_prost::ProstCodec::<GetCapabilitiesRequest, GetCapabilitiesRequest>::default().decoder()
        }
    }
    // Field 0 does not exist: whatever follows, this is no message.
    bytes.insert(0, 0);
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("a connection");
    let path = "/build.bazel.remote.asset.v1.Fetch/FetchBlob".parse().expect("a path");
    client.unary(tonic::Request::new(bytes), path, RawCodec).await.expect_err("it is no message")
}

#[tokio::test]
async fn what_is_under_way_arrives_whole_though_it_is_removed_and_though_the_server_is_told_to_end() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let large = Noise(3).bytes(30_000_000);
    let digest = cache.put(&large);
    let served = serve(&scratch, cache.path());
    let channel = channel(served.address()).await;
    let request = ReadRequest { resource_name: name(&digest), ..Default::default() };
    let mut stream = ByteStreamClient::new(channel).read(request).await.expect("an answer").into_inner();
    let mut got = stream.message().await.expect("a piece").expect("a piece").data;
    fs::remove_file(cache.object(&digest)).expect("it was there");
    served.terminate();
    assert_eq!(served.wait_for("draining")["connections"], 1);
    got.extend(rest(stream).await.expect("the rest"));
    assert!(got == large);
    assert_eq!(served.wait(), Some(0));
}

#[tokio::test]
async fn a_transfer_that_was_killed_goes_on_where_it_was_after_a_restart() {
    let scratch = Scratch::new();
    let cache = Cachedir::new(scratch.path("served"));
    let large = Noise(5).bytes(30_000_000);
    let digest = cache.put(&large);
    let (uri, _) = cache.element(KEY, &[b"one"]);
    let served = serve(&scratch, cache.path());
    let address = served.address();
    let first = channel(address).await;
    let request = FetchBlobRequest { uris: vec![uri], ..Default::default() };
    let found = FetchClient::new(first.clone()).fetch_blob(request).await.expect("an answer").into_inner();
    let request = ReadRequest { resource_name: name(&digest), ..Default::default() };
    let mut stream = ByteStreamClient::new(first).read(request).await.expect("an answer").into_inner();
    let mut got = stream.message().await.expect("a piece").expect("a piece").data;
    served.kill();
    while let Ok(Some(piece)) = stream.message().await {
        got.extend(piece.data);
    }
    assert!(got.len() < large.len(), "it was killed in the middle");

    let listen = format!("--listen={address}");
    let fetcher = Fetcher::new(&scratch).config(Served::CONFIG);
    let _served = Served::start(&fetcher, &[&listen, cache.path().to_str().expect("a path")]);
    let second = channel(address).await;
    let from = i64::try_from(got.len()).expect("a size");
    got.extend(read(&second, name(&digest), from, 0).await.expect("the rest"));
    assert!(got == large);
    // A digest that was given out before the restart is good after it, once the index was read.
    let digest = found.blob_digest.expect("a digest");
    for _ in 0..1000 {
        match read(&second, name(&digest), 0, 0).await {
            Ok(message) => return assert_eq!(message.len() as u64, u64::try_from(digest.size_bytes).expect("a size")),
            Err(status) => assert_eq!(status.code(), Code::NotFound),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the digest is forgotten");
}
