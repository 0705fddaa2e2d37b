//! Requests to the server, from the first byte of a connection on.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::asset::v1::FetchDirectoryRequest;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    BatchReadBlobsRequest, Digest, FindMissingBlobsRequest, GetCapabilitiesRequest, GetTreeRequest,
};
use bazel_remote_apis::google::bytestream::ReadRequest;
use fetcher_tests::cachedir::Cachedir;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::fuzz::{Target, peak_memory};
use fetcher_tests::scratch::Scratch;
use fetcher_tests::served::Served;
use prost::Message;

const RE: &str = "build.bazel.remote.execution.v2";

/// A frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A connection with one call of gRPC; headers are literals without Huffman's code (RFC 7541, 6.2.2).
fn call(path: &str, message: &impl Message) -> Vec<u8> {
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let length = |text: &str| u8::try_from(text.len()).expect("a short text");
    let mut block = Vec::new();
    for (name, value) in headers {
        assert!(value.len() < 127, "it takes more than one byte to say how long {value} is");
        block.extend([0, length(name)]);
        block.extend(name.bytes());
        block.push(length(value));
        block.extend(value.bytes());
    }
    let message = message.encode_to_vec();
    let size = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    let data = [&[0][..], &size, &message].concat();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[]), frame(1, 4, 1, &block), frame(0, 1, 1, &data)]
        .concat()
}

/// Whether the frames end the first stream, or the connection.
fn ends(mut frames: &[u8]) -> bool {
    while let [high, middle, low, kind, flags, _, _, _, stream, rest @ ..] = frames {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        // HEADERS with END_STREAM, RST_STREAM, GOAWAY.
        if *stream == 1 && (*kind == 1 && flags & 1 == 1 || *kind == 3) || *kind == 7 {
            return true;
        }
        frames = rest.get(length..).unwrap_or_default();
    }
    false
}

/// What the server says to it, up to a little.
fn answer(address: SocketAddr, request: &[u8], delivery_timeout: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("it takes connections");
    stream.set_read_timeout(Some(delivery_timeout)).expect("a time-out");
    // It may have hung up by then.
    let _ = stream.write_all(request);
    let mut said = vec![0; 64 << 10];
    let mut length = 0;
    while let Ok(count @ 1..) = stream.read(&mut said[length..]) {
        length += count;
        if ends(&said[..length]) || length == said.len() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
    said.truncate(length);
    said
}

#[test]
fn whatever_is_sent_the_server_answers_the_next_one() {
    let scratch = Scratch::new();
    let cachedir = Cachedir::new(scratch.path("cachedir"));
    let blob = cachedir.put(b"a blob");
    let (urn, root) = cachedir.element("key", &[b"a file"]);
    let digest = |digest: &Digest| Some(digest.clone());
    let good = call(&format!("/{RE}.Capabilities/GetCapabilities"), &GetCapabilitiesRequest::default());
    let tree = GetTreeRequest { root_digest: digest(&root), page_size: 1, ..GetTreeRequest::default() };
    let missing =
        FindMissingBlobsRequest { blob_digests: vec![blob.clone(), root], ..FindMissingBlobsRequest::default() };
    let batch = BatchReadBlobsRequest { digests: vec![blob.clone()], ..BatchReadBlobsRequest::default() };
    let resource_name = format!("blobs/{}/{}", blob.hash, blob.size_bytes);
    let read = ReadRequest { resource_name, read_offset: 1, read_limit: 2 };
    let fetch = FetchDirectoryRequest { uris: vec![urn], ..FetchDirectoryRequest::default() };
    let corpus = vec![
        good.clone(),
        call(&format!("/{RE}.ContentAddressableStorage/GetTree"), &tree),
        call(&format!("/{RE}.ContentAddressableStorage/FindMissingBlobs"), &missing),
        call(&format!("/{RE}.ContentAddressableStorage/BatchReadBlobs"), &batch),
        call("/google.bytestream.ByteStream/Read", &read),
        call("/build.bazel.remote.asset.v1.Fetch/FetchDirectory", &fetch),
    ];
    let words = [
        "blobs/",
        "/..",
        "compressed-blobs/zstd/",
        "\0\0\0",
        "\u{ff}",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "-1",
    ];
    let fetcher = Fetcher::new(&scratch).config(format!("[serve]\nmax-requests-per-second = 0\n{}", Served::CONFIG));
    let served = Served::start(&fetcher, &[cachedir.path().to_str().expect("a path")]);
    let address = served.address();
    let target = Target { name: "server", corpus, words: &words, largest: 4_000 };
    let mut tried = 0;
    target.run(|input, _| {
        drop(answer(address, input, Duration::from_millis(20)));
        tried += 1;
        if tried % 10 == 1 {
            let said = answer(address, &good, Duration::from_secs(20));
            assert!(said.len() > 40 && ends(&said), "it answers no more: {said:?}");
        }
    });
    let said = answer(address, &good, Duration::from_secs(20));
    assert!(said.len() > 40 && ends(&said), "no answer: {said:?}");
    assert!(peak_memory(&served.id().to_string()) < 500 << 10, "{} KiB", peak_memory(&served.id().to_string()));
    let panics: Vec<_> =
        served.of_kind("text").into_iter().filter(|text| text.to_string().contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:#?}");
}
