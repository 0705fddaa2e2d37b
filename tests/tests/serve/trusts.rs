//! `serve` over the caches of several trusts.

use bazel_remote_apis::build::bazel::remote::asset::v1::FetchDirectoryRequest;
use bazel_remote_apis::build::bazel::remote::asset::v1::fetch_client::FetchClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    BatchReadBlobsRequest, Digest, FindMissingBlobsRequest, GetTreeRequest,
};
use fetcher_tests::cachedir::Cachedir;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::served::Served;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

const PROJECTS: &str = "[[project]]\nname = \"a\"\nurl = \"https://example.org/a.git\"\n\
                        [[project]]\nname = \"b\"\nurl = \"https://example.org/b.git\"\n";

/// A key of sources.
fn key(digit: char) -> String {
    digit.to_string().repeat(64)
}

async fn root(channel: &Channel, instance: &str, uri: &str) -> Result<Digest, Code> {
    let request = FetchDirectoryRequest {
        instance_name: instance.to_owned(),
        uris: vec![uri.to_owned()],
        ..FetchDirectoryRequest::default()
    };
    let answer = FetchClient::new(channel.clone()).fetch_directory(request).await;
    answer.map(|answer| answer.into_inner().root_directory_digest.expect("a digest")).map_err(|status| status.code())
}

#[tokio::test]
async fn clients_get_what_any_has_and_of_what_is_disputed_what_they_name() {
    let scratch = Scratch::new();
    let fetcher = Fetcher::new(&scratch).config(PROJECTS);
    let (a, b) = (Cachedir::new(scratch.path("cache/cachedir")), Cachedir::new(scratch.path("cache/trust/b/cachedir")));
    scratch.write("cache/cachedir.json", r#"{"version": 1, "trust": "a"}"#);
    let (of_a, root_of_a) = a.element(&key('a'), &[b"a file of a"]);
    let (of_b, root_of_b) = b.element(&key('b'), &[b"a file of b"]);
    let (same, root_of_both) = a.element(&key('c'), &[b"same"]);
    b.element(&key('c'), &[b"same"]);
    let (disputed, one) = a.element(&key('d'), &[b"one"]);
    let (_, other) = b.element(&key('d'), &[b"other"]);
    // Whoever is asked for what only b's cache has whole, gives it.
    let torn = a.put(b"torn");
    std::fs::write(a.object(&torn), "tear").expect("an object");
    b.put(b"torn");

    let served = Served::start(&fetcher, &[]);
    let listening = &served.of_kind("listening")[0];
    assert_eq!(listening["beside"].as_array().map(Vec::len), Some(1), "{listening}");
    let address = format!("http://{}", served.address());
    let channel = Endpoint::from_shared(address).expect("an address").connect().await.expect("a connection");
    for instance in ["", "any", "a"] {
        assert_eq!(root(&channel, instance, &of_a).await.as_ref(), Ok(&root_of_a), "{instance}");
    }
    for instance in ["", "any", "b"] {
        assert_eq!(root(&channel, instance, &of_b).await.as_ref(), Ok(&root_of_b), "{instance}");
        assert_eq!(root(&channel, instance, &same).await.as_ref(), Ok(&root_of_both), "{instance}");
    }
    assert_eq!(root(&channel, "a", &of_b).await, Err(Code::NotFound));
    assert_eq!(root(&channel, "b", &of_a).await, Err(Code::NotFound));
    assert_eq!(root(&channel, "a", &disputed).await, Ok(one));
    assert_eq!(root(&channel, "b", &disputed).await, Ok(other));
    assert_eq!(root(&channel, "", &disputed).await, Err(Code::NotFound));
    assert_eq!(served.wait_for("disputed")["paths"].as_array().map(Vec::len), Some(2));

    let mut cas = ContentAddressableStorageClient::new(channel.clone());
    let digests = vec![root_of_a.clone(), root_of_b.clone(), torn];
    let missing = FindMissingBlobsRequest { blob_digests: digests.clone(), ..FindMissingBlobsRequest::default() };
    let missing = cas.find_missing_blobs(missing).await.expect("an answer").into_inner().missing_blob_digests;
    assert_eq!(missing, []);
    let read = BatchReadBlobsRequest { digests, ..BatchReadBlobsRequest::default() };
    let blobs = cas.batch_read_blobs(read).await.expect("an answer").into_inner().responses;
    assert!(blobs.iter().all(|blob| blob.status.as_ref().is_none_or(|status| status.code == 0)), "{blobs:?}");
    assert_eq!(blobs[2].data, b"torn");
    let tree = GetTreeRequest { root_digest: Some(root_of_b), ..GetTreeRequest::default() };
    let page = cas.get_tree(tree).await.expect("an answer").into_inner().message().await.expect("a page");
    assert_eq!(page.map(|page| page.directories.len()), Some(1));
}
