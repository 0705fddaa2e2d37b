//! Content-addressable storage: many small objects at once, what is missing, and trees.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bazel_remote_apis::build::bazel::remote::execution::v2::batch_read_blobs_response::Response as Blob;
use bazel_remote_apis::build::bazel::remote::execution::v2::compressor::Value as Compressor;
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_server::ContentAddressableStorage;
use bazel_remote_apis::build::bazel::remote::execution::v2::digest_function::Value as Function;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    BatchReadBlobsRequest, BatchReadBlobsResponse, BatchUpdateBlobsRequest, BatchUpdateBlobsResponse, Digest,
    Directory, FindMissingBlobsRequest, FindMissingBlobsResponse, GetChunkMappingRequest, GetChunkMappingResponse,
    GetTreeRequest, GetTreeResponse, RegisterChunkMappingRequest, RegisterChunkMappingResponse, SpliceBlobRequest,
    SpliceBlobResponse, SplitBlobRequest, SplitBlobResponse,
};
use bazel_remote_apis::google::rpc;
use futures_util::stream::{self, BoxStream};
use prost::Message as _;
use tonic::{Code, Request, Response, Status, Streaming, async_trait};

use super::cache::ServedCache;
use super::call_context::{CallContext, HeldMemory, RequestSubject, status};
use super::client_connection::RequestPermit;
use super::objects::ReadError;
use crate::cas::digest::ObjectDigest;

/// The most bytes of content that may be asked for in one `BatchReadBlobs`. gRPC's default limit of a message is 4 MiB,
/// and each blob takes about 100 bytes more.
pub(super) const BATCH: u64 = 3 << 20;

/// How long contents are read to find what is missing.
const READING: Duration = Duration::from_secs(5);

/// About how many bytes of directories go into one answer of `GetTree`.
const PAGE: usize = 512 << 10;

/// Blobs that are smaller are not compressed, in bytes.
const WORTH: usize = 512;

/// The level of zstd: that of the least work.
pub(super) const LEVEL: i32 = 1;

pub(super) struct CasService(pub(super) CallContext);

/// Only SHA-256, which may be left unsaid.
fn check_function(function: i32) -> Result<(), Status> {
    if function == 0 || function == i32::from(Function::Sha256) {
        return Ok(());
    }
    Err(Status::invalid_argument("the only digest function here is SHA-256"))
}

fn objects(digests: &[Digest]) -> Result<Vec<ObjectDigest>, Status> {
    let parse = |digest| {
        ObjectDigest::from_digest(digest)
            .ok_or_else(|| Status::invalid_argument("a digest is not 64 digits of lower-case hexadecimal and a size"))
    };
    digests.iter().map(parse).collect()
}

fn read_only<T>() -> Result<T, Status> {
    Err(Status::permission_denied("this server is read-only; say `push: false` for it"))
}

#[async_trait]
impl ContentAddressableStorage for CasService {
    async fn find_missing_blobs(
        &self,
        request: Request<FindMissingBlobsRequest>,
    ) -> Result<Response<FindMissingBlobsResponse>, Status> {
        RequestSubject::of(&request, &format!("{} digests", request.get_ref().blob_digests.len()));
        let asker = RequestPermit::of(&request)?;
        let request = request.into_inner();
        self.0.instances.check(&request.instance_name)?;
        check_function(request.digest_function)?;
        let objects = objects(&request.blob_digests)?;
        let missing = self.0.blocking(&asker, move |cache| {
            let until = Instant::now() + READING;
            let mut missing = Vec::new();
            for object in objects {
                match cache.check(object, until) {
                    Ok(()) => {}
                    Err(ReadError::Missing) => missing.push(object.digest()),
                    Err(busy @ ReadError::Busy(_)) => return Err(status(&busy)),
                }
            }
            Ok(missing)
        });
        Ok(Response::new(FindMissingBlobsResponse { missing_blob_digests: missing.await?? }))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<BatchReadBlobsRequest>,
    ) -> Result<Response<BatchReadBlobsResponse>, Status> {
        let digests = &request.get_ref().digests;
        match digests.as_slice() {
            [one] => RequestSubject::of(&request, &format!("{}/{}", one.hash, one.size_bytes)),
            more => RequestSubject::of(&request, &format!("{} digests", more.len())),
        }
        let asker = RequestPermit::of(&request)?;
        let request = request.into_inner();
        self.0.instances.check(&request.instance_name)?;
        check_function(request.digest_function)?;
        let objects = objects(&request.digests)?;
        let bytes = objects.iter().fold(0_u64, |sum, object| sum.saturating_add(object.size));
        if bytes > BATCH {
            return Err(Status::invalid_argument(format!("{bytes} bytes are asked for at once; {BATCH} are allowed")));
        }
        let compress = request.acceptable_compressors.contains(&i32::from(Compressor::Zstd));
        let size = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(objects.len() * 160);
        // Once as it is read, once as it is written.
        let held: HeldMemory = Arc::new(asker.memory(2 * size).await?);
        let work = move |cache: &ServedCache| objects.into_iter().map(|object| blob(cache, object, compress)).collect();
        let responses: Vec<Blob> = self.0.blocking(&asker, work).await?;
        for response in &responses {
            self.0.counters.blob(response.status.as_ref().is_none_or(|status| status.code == 0));
        }
        let mut response = Response::new(BatchReadBlobsResponse { responses });
        response.extensions_mut().insert(held);
        Ok(response)
    }

    type GetTreeStream = BoxStream<'static, Result<GetTreeResponse, Status>>;

    async fn get_tree(&self, request: Request<GetTreeRequest>) -> Result<Response<Self::GetTreeStream>, Status> {
        let root = request.get_ref().root_digest.clone().unwrap_or_default();
        RequestSubject::of(&request, &format!("{}/{}", root.hash, root.size_bytes));
        let asker = RequestPermit::of(&request)?;
        let request = request.into_inner();
        self.0.instances.check(&request.instance_name)?;
        check_function(request.digest_function)?;
        if !request.page_token.is_empty() {
            return Err(Status::invalid_argument("no such page token was given out here"));
        }
        let root = *objects(&[root])?.first().ok_or_else(|| Status::invalid_argument("there is no root digest"))?;
        let most = usize::try_from(request.page_size).ok().filter(|most| *most > 0).unwrap_or(usize::MAX);
        let walk = TreeTraversal { open: VecDeque::from([root]), seen: HashSet::from([root]), most };
        let (first, walk) = self.0.blocking(&asker, move |cache| walk.page(cache)).await?;
        let first = first.map_err(|trouble| status(&trouble))?;
        let calls = self.0.clone();
        let pages = stream::try_unfold((Some(first), walk), move |(page, walk)| {
            let (calls, asker) = (calls.clone(), asker.clone());
            async move {
                let (page, walk) = match page {
                    Some(page) => (page, walk),
                    None if walk.open.is_empty() => return Ok(None),
                    None => {
                        let (page, walk) = calls.blocking(&asker, move |cache| walk.page(cache)).await?;
                        (page.map_err(|trouble| status(&trouble))?, walk)
                    }
                };
                Ok(Some((GetTreeResponse { directories: page, next_page_token: String::new() }, (None, walk))))
            }
        });
        Ok(Response::new(Box::pin(pages)))
    }

    async fn batch_update_blobs(
        &self,
        _: Request<BatchUpdateBlobsRequest>,
    ) -> Result<Response<BatchUpdateBlobsResponse>, Status> {
        read_only()
    }

    async fn split_blob(&self, _: Request<SplitBlobRequest>) -> Result<Response<SplitBlobResponse>, Status> {
        Err(Status::unimplemented("blobs are not split here"))
    }

    type GetChunkMappingStream = BoxStream<'static, Result<GetChunkMappingResponse, Status>>;

    async fn get_chunk_mapping(
        &self,
        _: Request<GetChunkMappingRequest>,
    ) -> Result<Response<Self::GetChunkMappingStream>, Status> {
        Err(Status::unimplemented("blobs are not split here"))
    }

    async fn splice_blob(&self, _: Request<SpliceBlobRequest>) -> Result<Response<SpliceBlobResponse>, Status> {
        read_only()
    }

    async fn register_chunk_mapping(
        &self,
        _: Request<Streaming<RegisterChunkMappingRequest>>,
    ) -> Result<Response<RegisterChunkMappingResponse>, Status> {
        read_only()
    }
}

fn blob(cache: &ServedCache, object: ObjectDigest, compress: bool) -> Blob {
    let mut blob = Blob { digest: Some(object.digest()), ..Blob::default() };
    match cache.whole(object) {
        Ok(data) => {
            blob.data = data;
            blob.status = Some(rpc::Status::default());
            if compress
                && blob.data.len() >= WORTH
                && let Ok(smaller) = zstd::bulk::compress(&blob.data, LEVEL)
                && smaller.len() < blob.data.len()
            {
                blob.data = smaller;
                blob.compressor = Compressor::Zstd.into();
            }
        }
        Err(trouble) => {
            let status = status(&trouble);
            let code = Code::into(status.code());
            blob.status = Some(rpc::Status { code, message: status.message().to_owned(), details: Vec::new() });
        }
    }
    blob
}

/// A walk through a tree, each different directory once.
struct TreeTraversal {
    open: VecDeque<ObjectDigest>,
    seen: HashSet<ObjectDigest>,
    /// The most directories of a page.
    most: usize,
}

impl TreeTraversal {
    /// The next directories. What is missing below the root is left out, as the API wants it.
    fn page(mut self, cache: &ServedCache) -> (Result<Vec<Directory>, ReadError>, Self) {
        let mut page = Vec::new();
        let mut bytes = 0;
        while bytes < PAGE && page.len() < self.most {
            let Some(object) = self.open.pop_front() else { break };
            match cache.directory(object) {
                Ok(directory) => {
                    let below = directory.directories.iter().filter_map(|node| node.digest.as_ref());
                    let below = below.filter_map(ObjectDigest::from_digest).filter(|object| self.seen.insert(*object));
                    self.open.extend(below);
                    bytes += directory.encoded_len();
                    page.push(directory);
                }
                Err(ReadError::Missing) if self.seen.len() > 1 => {}
                Err(trouble) => return (Err(trouble), self),
            }
        }
        (Ok(page), self)
    }
}
