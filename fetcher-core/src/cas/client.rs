//! One server of a remote cache, asked over gRPC. Nothing that it answers is believed that was not asked, or is not what
//! its digest says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::asset::v1::FetchBlobRequest;
use bazel_remote_apis::build::bazel::remote::asset::v1::fetch_client::FetchClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::batch_read_blobs_response::Response as ReadBlob;
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::{BatchReadBlobsRequest, FindMissingBlobsRequest};
use bazel_remote_apis::google::bytestream::ReadRequest;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::digest::{ObjectDigest, Sha256Hash};
use super::index::PREFIX;
use crate::config::SourceCacheConfig;
use crate::environment::Environment;
use crate::trust_store::TrustStore;

/// How many digests are asked about at once: 295 kB of a request, where gRPC's usual limit is 4 MiB.
pub(super) const DIGESTS_A_REQUEST: usize = 4_096;
/// How many bytes of content are asked for at once.
const BYTES_A_REQUEST: u64 = 3 << 20;
/// How many requests for content are under way at once: each answer is held in memory.
const BATCHES_AT_ONCE: usize = 4;
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long one request may take where `connection-config` says nothing.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a request is made that a server could not answer just then.
const TRIES: u32 = 3;

/// Why a remote cache cannot say what it has.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum CacheError {
    /// Its configuration cannot be used: a file that cannot be read, an address that is none.
    #[error("source cache {url}: {message}")]
    Config {
        /// The server's address, as configured.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// It cannot be reached, or did not answer in time.
    #[error("source cache {url}: {message}")]
    Unreachable {
        /// The server's address, as configured.
        url: String,
        /// What gRPC says.
        message: String,
    },
    /// It refused: no permission, no such instance, no such service.
    #[error("source cache {url} refused: {message}")]
    Refused {
        /// The server's address, as configured.
        url: String,
        /// What gRPC says.
        message: String,
    },
    /// It answered what no working cache answers.
    #[error("source cache {url} answers wrongly: {message}")]
    Wrong {
        /// The server's address, as configured.
        url: String,
        /// What is wrong with the answer.
        message: String,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl CacheError {
    /// The address of the server that it is about, as configured.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Config { url, .. }
            | Self::Unreachable { url, .. }
            | Self::Refused { url, .. }
            | Self::Wrong { url, .. } => Some(url),
            Self::Interrupted => None,
        }
    }
}

/// One server, connected to when it is first asked.
#[derive(Clone)]
pub(super) struct CacheClient {
    url: String,
    instance: String,
    timeout: Duration,
    token: Option<MetadataValue<Ascii>>,
    channel: Channel,
}

impl CacheClient {
    /// A client of a server. Certificates and tokens are read now. To be called inside of a tokio runtime.
    pub(super) fn new(config: &SourceCacheConfig, environment: &Environment) -> Result<Self, CacheError> {
        let timeout = seconds(&config.connection_config, "request-timeout").unwrap_or(REQUEST_TIMEOUT);
        let endpoint = endpoint(config, environment)?.connect_timeout(CONNECT_TIMEOUT.min(timeout)).timeout(timeout);
        let token = token(config)?;
        let instance = config.instance_name.clone().unwrap_or_default();
        Ok(Self { url: config.url.clone(), instance, timeout, token, channel: endpoint.connect_lazy() })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The message that the index has for the sources of a key; none where it has none.
    pub(super) async fn source_message(&self, key: &str) -> Result<Option<ObjectDigest>, CacheError> {
        let uris = vec![format!("{PREFIX}source:{key}")];
        let request = FetchBlobRequest { instance_name: self.instance.clone(), uris, ..Default::default() };
        let ask = || async {
            let answer = FetchClient::new(self.channel.clone()).fetch_blob(self.request(request.clone())).await?;
            Ok(answer.into_inner())
        };
        let answer = match self.patiently(ask).await {
            Ok(answer) => answer,
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(self.error(&status)),
        };
        // Some servers say it in the answer.
        match answer.status.map_or(0, |status| status.code) {
            0 => {}
            code if code == Code::NotFound as i32 => return Ok(None),
            code => return Err(self.wrong(format!("an asset is answered with code {code}"))),
        }
        let object = answer.blob_digest.as_ref().and_then(ObjectDigest::from_digest);
        object.map(Some).ok_or_else(|| self.wrong("an asset is answered without a digest".to_owned()))
    }

    /// Those of at most [`DIGESTS_A_REQUEST`] objects that are not there.
    pub(super) async fn missing(&self, objects: &[ObjectDigest]) -> Result<Vec<ObjectDigest>, CacheError> {
        let request = FindMissingBlobsRequest {
            instance_name: self.instance.clone(),
            blob_digests: objects.iter().map(ObjectDigest::digest).collect(),
            ..Default::default()
        };
        let ask = || async {
            let mut client = ContentAddressableStorageClient::new(self.channel.clone());
            Ok(client.find_missing_blobs(self.request(request.clone())).await?.into_inner())
        };
        let answer = self.patiently(ask).await.map_err(|status| self.error(&status))?;
        let asked: HashSet<_> = objects.iter().collect();
        let missing: Option<Vec<_>> = answer.missing_blob_digests.iter().map(ObjectDigest::from_digest).collect();
        let missing = missing.filter(|missing| missing.iter().all(|object| asked.contains(object)));
        missing.ok_or_else(|| self.wrong("it says that blobs are missing which nobody asked for".to_owned()))
    }

    /// The contents of objects, those that it has not left out; each is what its digest says.
    pub(super) async fn read(&self, objects: &[ObjectDigest]) -> Result<HashMap<ObjectDigest, Vec<u8>>, CacheError> {
        let mut contents = HashMap::new();
        let (small, large): (Vec<_>, Vec<_>) = objects.iter().partition(|object| object.size <= BYTES_A_REQUEST);
        for batch in batches(&small) {
            contents.extend(self.read_batch(batch).await?);
        }
        for object in large {
            if let Some(content) = self.read_stream(object).await? {
                contents.insert(object, content);
            }
        }
        Ok(contents)
    }

    /// Those of the objects, of any number, that are not there or are not what their digests say. Every byte is read.
    pub(super) async fn damaged(&self, objects: &[ObjectDigest]) -> Result<Vec<ObjectDigest>, CacheError> {
        let (small, large): (Vec<_>, Vec<_>) = objects.iter().partition(|object| object.size <= BYTES_A_REQUEST);
        let batches = stream::iter(batches(&small)).map(|batch| self.damaged_of_batch(batch));
        let found: Vec<Vec<ObjectDigest>> = batches.buffer_unordered(BATCHES_AT_ONCE).try_collect().await?;
        let mut damaged: Vec<ObjectDigest> = found.into_iter().flatten().collect();
        for object in large {
            if !self.is_whole(object).await? {
                damaged.push(object);
            }
        }
        Ok(damaged)
    }

    async fn damaged_of_batch(&self, objects: &[ObjectDigest]) -> Result<Vec<ObjectDigest>, CacheError> {
        let mut open: HashSet<ObjectDigest> = objects.iter().copied().collect();
        for blob in self.answered_batch(objects).await? {
            let object = blob.digest.as_ref().and_then(ObjectDigest::from_digest);
            let is_read = blob.status.as_ref().is_none_or(|status| status.code == 0);
            if let Some(object) = object.filter(|object| is_read && ObjectDigest::of(&blob.data) == *object) {
                open.remove(&object);
            }
        }
        Ok(open.into_iter().collect())
    }

    /// Whether an object of any size is there with the content that its digest says.
    async fn is_whole(&self, object: ObjectDigest) -> Result<bool, CacheError> {
        let ask = || async {
            let answer = ByteStreamClient::new(self.channel.clone()).read(self.request(self.stream_of(object))).await?;
            let (mut stream, mut hasher, mut length) = (answer.into_inner(), Sha256::new(), 0_u64);
            while let Some(piece) = stream.message().await? {
                hasher.update(&piece.data);
                length += piece.data.len() as u64;
                if length > object.size {
                    break;
                }
            }
            Ok(ObjectDigest { hash: Sha256Hash::finish(hasher), size: length })
        };
        match self.patiently(ask).await {
            Ok(found) => Ok(found == object),
            Err(status) if matches!(status.code(), Code::NotFound | Code::OutOfRange | Code::DataLoss) => Ok(false),
            Err(status) => Err(self.error(&status)),
        }
    }

    fn stream_of(&self, object: ObjectDigest) -> ReadRequest {
        let prefix = if self.instance.is_empty() { String::new() } else { format!("{}/", self.instance) };
        let resource_name = format!("{prefix}blobs/{}/{}", object.hash, object.size);
        ReadRequest { resource_name, ..Default::default() }
    }

    async fn answered_batch(&self, objects: &[ObjectDigest]) -> Result<Vec<ReadBlob>, CacheError> {
        let request = BatchReadBlobsRequest {
            instance_name: self.instance.clone(),
            digests: objects.iter().map(ObjectDigest::digest).collect(),
            ..Default::default()
        };
        let ask = || async {
            let mut client = ContentAddressableStorageClient::new(self.channel.clone());
            Ok(client.batch_read_blobs(self.request(request.clone())).await?.into_inner())
        };
        self.patiently(ask).await.map(|answer| answer.responses).map_err(|status| self.error(&status))
    }

    async fn read_batch(&self, objects: &[ObjectDigest]) -> Result<Vec<(ObjectDigest, Vec<u8>)>, CacheError> {
        let mut contents = Vec::new();
        for blob in self.answered_batch(objects).await? {
            if blob.status.as_ref().is_some_and(|status| status.code != 0) {
                continue;
            }
            let object = blob.digest.as_ref().and_then(ObjectDigest::from_digest);
            let content = blob.data;
            match object.filter(|object| objects.contains(object) && ObjectDigest::of(&content) == *object) {
                Some(object) => contents.push((object, content)),
                None => return Err(self.wrong("the content of a blob is not what its digest says".to_owned())),
            }
        }
        Ok(contents)
    }

    async fn read_stream(&self, object: ObjectDigest) -> Result<Option<Vec<u8>>, CacheError> {
        let request = self.stream_of(object);
        let ask = || async {
            let answer = ByteStreamClient::new(self.channel.clone()).read(self.request(request.clone())).await?;
            let mut stream = answer.into_inner();
            let mut content = Vec::new();
            while let Some(piece) = stream.message().await? {
                content.extend_from_slice(&piece.data);
                if content.len() as u64 > object.size {
                    break;
                }
            }
            Ok(content)
        };
        match self.patiently(ask).await {
            Ok(content) if ObjectDigest::of(&content) == object => Ok(Some(content)),
            Ok(_) => Err(self.wrong("the content of a blob is not what its digest says".to_owned())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(self.error(&status)),
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }

    /// Makes a request again that the server could not answer just then.
    async fn patiently<T, F: Future<Output = Result<T, Status>>>(&self, ask: impl Fn() -> F) -> Result<T, Status> {
        let mut tries = 0;
        loop {
            tries += 1;
            // A server may send headers and then nothing more.
            let answer = tokio::time::timeout(self.timeout, ask()).await;
            let answer = answer.unwrap_or_else(|_| {
                Err(Status::deadline_exceeded(format!("no answer within {} s", self.timeout.as_secs_f32())))
            });
            match answer {
                Err(status) if tries < TRIES && matches!(status.code(), Code::Unavailable | Code::Aborted) => {
                    tokio::time::sleep(Duration::from_millis(200 << tries)).await;
                }
                answer => return answer,
            }
        }
    }

    pub(super) fn wrong(&self, message: String) -> CacheError {
        CacheError::Wrong { url: self.url.clone(), message }
    }

    fn error(&self, status: &Status) -> CacheError {
        let (url, message) = (self.url.clone(), format!("{:?}: {}", status.code(), said_by(status)));
        match http_status(status) {
            Some(400 | 401 | 403 | 404 | 407 | 495 | 496) => return CacheError::Refused { url, message },
            Some(408 | 429 | 500..) => return CacheError::Unreachable { url, message },
            _ => {}
        }
        match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Cancelled | Code::ResourceExhausted => {
                CacheError::Unreachable { url, message }
            }
            Code::Unauthenticated
            | Code::PermissionDenied
            | Code::InvalidArgument
            | Code::Unimplemented
            | Code::FailedPrecondition
            | Code::NotFound => CacheError::Refused { url, message },
            Code::Ok | Code::Unknown | Code::AlreadyExists | Code::OutOfRange | Code::Internal | Code::DataLoss => {
                CacheError::Wrong { url, message }
            }
        }
    }
}

/// Cuts a list of small objects into what may be asked for at once.
fn batches(mut objects: &[ObjectDigest]) -> Vec<&[ObjectDigest]> {
    let mut batches = Vec::new();
    while !objects.is_empty() {
        let mut bytes = 0;
        let fits = |object: &&ObjectDigest| {
            bytes += object.size;
            bytes <= BYTES_A_REQUEST
        };
        let count = objects.iter().take(DIGESTS_A_REQUEST).take_while(fits).count().max(1);
        let (batch, rest) = objects.split_at(count);
        batches.push(batch);
        objects = rest;
    }
    batches
}

/// The status of HTTP with which a proxy answered that knows nothing of gRPC; tonic tells of it in words alone.
fn http_status(status: &Status) -> Option<u16> {
    let (_, rest) = status.message().rsplit_once("response with status: ")?;
    rest.split(' ').next()?.parse().ok()
}

/// What a status says, with the first cause of it, on one line.
fn said_by(status: &Status) -> String {
    let mut cause = std::error::Error::source(status);
    while let Some(behind) = cause.and_then(|error| error.source()) {
        cause = Some(behind);
    }
    let mut text = status.message().to_owned();
    if let Some(cause) = cause.map(ToString::to_string).filter(|cause| !text.contains(cause.as_str())) {
        text = format!("{text}: {cause}");
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

/// An error with what is behind it, on one line and not longer than anybody reads.
pub(super) fn text_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source.filter(|_| text.len() < 500) {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

/// Where a server is reached, and how it is known. Certificates are read now.
pub(super) fn endpoint(config: &SourceCacheConfig, environment: &Environment) -> Result<Endpoint, CacheError> {
    let wrong = |message: String| CacheError::Config { url: config.url.clone(), message };
    // The schemes of gRPC's own are the same.
    let address = match config.url.split_once("://") {
        Some(("grpc", rest)) => format!("http://{rest}"),
        Some(("grpcs", rest)) => format!("https://{rest}"),
        _ => config.url.clone(),
    };
    let is_tls = address.starts_with("https:");
    let endpoint = Endpoint::from_shared(address).map_err(|error| wrong(error.to_string()))?;
    let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT);
    if is_tls {
        endpoint.tls_config(tls(config, environment)?).map_err(|error| wrong(text_of(&error)))
    } else {
        Ok(endpoint)
    }
}

/// What says who asks a server, as a header has it; read now.
pub(super) fn token(config: &SourceCacheConfig) -> Result<Option<MetadataValue<Ascii>>, CacheError> {
    let Some(path) = config.auth.get("access-token").and_then(Value::as_str) else { return Ok(None) };
    let token = read(config, path)?;
    let token = String::from_utf8_lossy(&token);
    let bearer = MetadataValue::try_from(format!("Bearer {}", token.trim()));
    bearer.map(Some).map_err(|_| CacheError::Config {
        url: config.url.clone(),
        message: format!("{path} holds no token that a header can have"),
    })
}

fn tls(config: &SourceCacheConfig, environment: &Environment) -> Result<ClientTlsConfig, CacheError> {
    let file = |key| config.auth.get(key).and_then(Value::as_str).map(|path| read(config, path)).transpose();
    let tls = match file("server-cert")? {
        Some(certificates) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificates)),
        None => ClientTlsConfig::new().trust_anchors(TrustStore::of(environment).roots().roots),
    };
    Ok(match (file("client-cert")?, file("client-key")?) {
        (Some(certificate), Some(key)) => tls.identity(Identity::from_pem(certificate, key)),
        _ => tls,
    })
}

fn read(config: &SourceCacheConfig, path: &str) -> Result<Vec<u8>, CacheError> {
    fs::read(Path::new(path)).map_err(|error| CacheError::Config {
        url: config.url.clone(),
        message: format!("cannot read {path}: {error}"),
    })
}

fn seconds(table: &BTreeMap<String, Value>, key: &str) -> Option<Duration> {
    let seconds = table.get(key).and_then(Value::as_f64).filter(|seconds| *seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}
