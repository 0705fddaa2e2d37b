//! What the server says that it can do.

use bazel_remote_apis::build::bazel::remote::execution::v2::capabilities_server::Capabilities;
use bazel_remote_apis::build::bazel::remote::execution::v2::compressor::Value as Compressor;
use bazel_remote_apis::build::bazel::remote::execution::v2::digest_function::Value as Function;
use bazel_remote_apis::build::bazel::remote::execution::v2::symlink_absolute_path_strategy::Value as AbsoluteSymlinks;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionCacheUpdateCapabilities, CacheCapabilities, GetCapabilitiesRequest, ServerCapabilities,
};
use bazel_remote_apis::build::bazel::semver::SemVer;
use tonic::{Request, Response, Status, async_trait};

use super::call_context::CallContext;
use super::cas::BATCH;

pub(super) struct CapabilitiesService(pub(super) CallContext);

#[async_trait]
impl Capabilities for CapabilitiesService {
    async fn get_capabilities(
        &self,
        request: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<ServerCapabilities>, Status> {
        self.0.instances.check(&request.get_ref().instance_name)?;
        let version = |minor| Some(SemVer { major: 2, minor, ..SemVer::default() });
        Ok(Response::new(ServerCapabilities {
            cache_capabilities: Some(CacheCapabilities {
                digest_functions: vec![Function::Sha256.into()],
                action_cache_update_capabilities: Some(ActionCacheUpdateCapabilities { update_enabled: false }),
                max_batch_total_size_bytes: i64::try_from(BATCH).unwrap_or(i64::MAX),
                symlink_absolute_path_strategy: AbsoluteSymlinks::Allowed.into(),
                supported_compressors: vec![Compressor::Zstd.into()],
                ..CacheCapabilities::default()
            }),
            low_api_version: version(0),
            high_api_version: version(3),
            ..ServerCapabilities::default()
        }))
    }
}
