//! The Remote Asset API: names to digests.

use bazel_remote_apis::build::bazel::remote::asset::v1::fetch_server::Fetch;
use bazel_remote_apis::build::bazel::remote::asset::v1::{
    FetchBlobRequest, FetchBlobResponse, FetchDirectoryRequest, FetchDirectoryResponse, Qualifier,
};
use bazel_remote_apis::build::bazel::remote::execution::v2::digest_function::Value as Function;
use bazel_remote_apis::google::rpc;
use tonic::{Request, Response, Status, async_trait};

use super::cache::AssetLookup;
use super::call_context::{CallContext, RequestSubject, status};
use super::client_connection::RequestPermit;
use super::objects::ReadError;
use crate::cas::index::{AssetName, NoAsset};

/// The most names of one asset that are looked at.
const URIS: usize = 64;

pub(super) struct AssetService(pub(super) CallContext);

impl AssetService {
    /// The first of the names that is here, and what it leads to.
    async fn find(
        &self,
        asker: &RequestPermit,
        instance: &str,
        uris: Vec<String>,
        qualifiers: &[Qualifier],
    ) -> Result<(String, AssetLookup), Status> {
        self.0.instances.check(instance)?;
        if uris.is_empty() || uris.len() > URIS {
            return Err(Status::invalid_argument(format!("there have to be 1 to {URIS} URIs")));
        }
        if let Some(qualifier) = qualifiers.first() {
            let name = qualifier.name.escape_default();
            return Err(Status::invalid_argument(format!("the qualifier {name} is not known here")));
        }
        let mut names = Vec::new();
        for uri in uris {
            match AssetName::parse(&uri) {
                Ok(asset) => names.push((uri, asset)),
                Err(NoAsset::Foreign) => {}
                Err(NoAsset::Malformed) => {
                    return Err(Status::invalid_argument("a URI has a part that BuildStream never gives a name"));
                }
            }
        }
        let instance = instance.to_owned();
        let found = self.0.blocking(asker, move |cache| {
            for (uri, asset) in names {
                match cache.find(&instance, &asset) {
                    Ok(found) => return Ok((uri, found)),
                    Err(ReadError::Missing) => {}
                    Err(busy @ ReadError::Busy(_)) => return Err(busy),
                }
            }
            Err(ReadError::Missing)
        });
        let found = found.await?;
        match &found {
            Ok(_) => self.0.counters.asset(true),
            Err(ReadError::Missing) => self.0.counters.asset(false),
            Err(ReadError::Busy(_)) => {}
        }
        found.map_err(|trouble| status(&trouble))
    }
}

#[async_trait]
impl Fetch for AssetService {
    async fn fetch_blob(&self, request: Request<FetchBlobRequest>) -> Result<Response<FetchBlobResponse>, Status> {
        RequestSubject::of(&request, &request.get_ref().uris.join(" "));
        let asker = RequestPermit::of(&request)?;
        let request = request.into_inner();
        let (uri, found) = self.find(&asker, &request.instance_name, request.uris, &request.qualifiers).await?;
        Ok(Response::new(FetchBlobResponse {
            status: Some(rpc::Status::default()),
            uri,
            blob_digest: Some(found.message.digest()),
            digest_function: Function::Sha256.into(),
            ..FetchBlobResponse::default()
        }))
    }

    async fn fetch_directory(
        &self,
        request: Request<FetchDirectoryRequest>,
    ) -> Result<Response<FetchDirectoryResponse>, Status> {
        RequestSubject::of(&request, &request.get_ref().uris.join(" "));
        let asker = RequestPermit::of(&request)?;
        let request = request.into_inner();
        let (uri, found) = self.find(&asker, &request.instance_name, request.uris, &request.qualifiers).await?;
        let root = found.root.ok_or_else(|| Status::not_found("it has no files"))?;
        Ok(Response::new(FetchDirectoryResponse {
            status: Some(rpc::Status::default()),
            uri,
            root_directory_digest: Some(root.digest()),
            digest_function: Function::Sha256.into(),
            ..FetchDirectoryResponse::default()
        }))
    }
}
