//! A source cache that takes everything and keeps nothing.
//!
//! BuildStream names the keys of elements' sources when it pushes them, and says them in no other way. So where nothing is
//! pushed, it is let push to this: it finds nothing missing, so that nothing is uploaded, and everything in order.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;

use bazel_remote_apis::build::bazel::remote::asset::v1::fetch_server::{Fetch, FetchServer};
use bazel_remote_apis::build::bazel::remote::asset::v1::push_server::{Push, PushServer};
use bazel_remote_apis::build::bazel::remote::asset::v1::{
    FetchBlobRequest, FetchBlobResponse, FetchDirectoryRequest, FetchDirectoryResponse, PushBlobRequest,
    PushBlobResponse, PushDirectoryRequest, PushDirectoryResponse,
};
use bazel_remote_apis::build::bazel::remote::execution::v2::capabilities_server::{Capabilities, CapabilitiesServer};
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_server::{
    ContentAddressableStorage, ContentAddressableStorageServer,
};
use bazel_remote_apis::build::bazel::remote::execution::v2::digest_function::Value as Function;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    BatchReadBlobsRequest, BatchReadBlobsResponse, BatchUpdateBlobsRequest, BatchUpdateBlobsResponse,
    CacheCapabilities, FindMissingBlobsRequest, FindMissingBlobsResponse, GetCapabilitiesRequest,
    GetChunkMappingRequest, GetChunkMappingResponse, GetTreeRequest, GetTreeResponse, RegisterChunkMappingRequest,
    RegisterChunkMappingResponse, ServerCapabilities, SpliceBlobRequest, SpliceBlobResponse, SplitBlobRequest,
    SplitBlobResponse,
};
use bazel_remote_apis::build::bazel::semver::SemVer;
use futures_util::stream::BoxStream;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming, async_trait};

/// Such a cache on loopback, until it is dropped.
#[derive(Debug)]
pub(crate) struct NullCache {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl NullCache {
    /// Starts one.
    ///
    /// # Errors
    /// When there is no port on loopback, or no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let incoming = {
            let _inside = runtime.enter();
            TcpIncoming::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?
        };
        let address = incoming.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::builder()
            .add_service(FetchServer::new(Nothing))
            .add_service(PushServer::new(Nothing))
            .add_service(ContentAddressableStorageServer::new(Nothing))
            .add_service(CapabilitiesServer::new(Nothing));
        let thread = std::thread::Builder::new().name("null-cache".to_owned()).spawn(move || {
            // Whoever asks notices that it is gone; there is nobody else to tell.
            let _ = runtime.block_on(async {
                tokio::select! {
                    ended = server.serve_with_incoming(incoming) => ended,
                    _ = stopped => Ok(()),
                }
            });
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for NullCache {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say but that it panicked, and it is over either way.
            let _ = thread.join();
        }
    }
}

struct Nothing;

fn none<T>() -> Result<Response<T>, Status> {
    Err(Status::not_found("nothing is kept here"))
}

/// BuildStream asks for nothing at all to see which services there are, and wants to be told that it did.
fn of_something(uris: &[String]) -> Result<(), Status> {
    if uris.is_empty() { Err(Status::invalid_argument("there is no URI")) } else { Ok(()) }
}

fn unknown<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("nothing is kept here"))
}

#[async_trait]
impl Fetch for Nothing {
    async fn fetch_blob(&self, request: Request<FetchBlobRequest>) -> Result<Response<FetchBlobResponse>, Status> {
        of_something(&request.get_ref().uris)?;
        none()
    }

    async fn fetch_directory(
        &self,
        request: Request<FetchDirectoryRequest>,
    ) -> Result<Response<FetchDirectoryResponse>, Status> {
        of_something(&request.get_ref().uris)?;
        none()
    }
}

#[async_trait]
impl Push for Nothing {
    async fn push_blob(&self, request: Request<PushBlobRequest>) -> Result<Response<PushBlobResponse>, Status> {
        of_something(&request.get_ref().uris)?;
        Ok(Response::new(PushBlobResponse::default()))
    }

    async fn push_directory(
        &self,
        request: Request<PushDirectoryRequest>,
    ) -> Result<Response<PushDirectoryResponse>, Status> {
        of_something(&request.get_ref().uris)?;
        Ok(Response::new(PushDirectoryResponse::default()))
    }
}

#[async_trait]
impl ContentAddressableStorage for Nothing {
    async fn find_missing_blobs(
        &self,
        _: Request<FindMissingBlobsRequest>,
    ) -> Result<Response<FindMissingBlobsResponse>, Status> {
        Ok(Response::new(FindMissingBlobsResponse::default()))
    }

    async fn batch_update_blobs(
        &self,
        _: Request<BatchUpdateBlobsRequest>,
    ) -> Result<Response<BatchUpdateBlobsResponse>, Status> {
        unknown()
    }

    async fn batch_read_blobs(
        &self,
        _: Request<BatchReadBlobsRequest>,
    ) -> Result<Response<BatchReadBlobsResponse>, Status> {
        none()
    }

    type GetTreeStream = BoxStream<'static, Result<GetTreeResponse, Status>>;

    async fn get_tree(&self, _: Request<GetTreeRequest>) -> Result<Response<Self::GetTreeStream>, Status> {
        none()
    }

    async fn split_blob(&self, _: Request<SplitBlobRequest>) -> Result<Response<SplitBlobResponse>, Status> {
        unknown()
    }

    type GetChunkMappingStream = BoxStream<'static, Result<GetChunkMappingResponse, Status>>;

    async fn get_chunk_mapping(
        &self,
        _: Request<GetChunkMappingRequest>,
    ) -> Result<Response<Self::GetChunkMappingStream>, Status> {
        unknown()
    }

    async fn splice_blob(&self, _: Request<SpliceBlobRequest>) -> Result<Response<SpliceBlobResponse>, Status> {
        unknown()
    }

    async fn register_chunk_mapping(
        &self,
        _: Request<Streaming<RegisterChunkMappingRequest>>,
    ) -> Result<Response<RegisterChunkMappingResponse>, Status> {
        unknown()
    }
}

#[async_trait]
impl Capabilities for Nothing {
    async fn get_capabilities(
        &self,
        _: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<ServerCapabilities>, Status> {
        let version = |minor| Some(SemVer { major: 2, minor, ..SemVer::default() });
        Ok(Response::new(ServerCapabilities {
            cache_capabilities: Some(CacheCapabilities {
                digest_functions: vec![Function::Sha256.into()],
                ..CacheCapabilities::default()
            }),
            low_api_version: version(0),
            high_api_version: version(3),
            ..ServerCapabilities::default()
        }))
    }
}
