//! An index of sources that answers what no working cache answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use bazel_remote_apis::build::bazel::remote::asset::v1::fetch_server::{Fetch, FetchServer};
use bazel_remote_apis::build::bazel::remote::asset::v1::{
    FetchBlobRequest, FetchBlobResponse, FetchDirectoryRequest, FetchDirectoryResponse,
};
use bazel_remote_apis::build::bazel::remote::execution::v2::Digest;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, async_trait};

/// How it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// It answers with a digest that is none.
    MalformedDigest,
    /// It says that it has what is asked for, and not what it is.
    NoDigest,
    /// It answers with a code of its own in a message that came well.
    OddStatus,
    /// It knows nothing, and says so in the message instead of the status.
    NotFoundInside,
}

#[async_trait]
impl Fetch for Lie {
    async fn fetch_blob(&self, _: Request<FetchBlobRequest>) -> Result<Response<FetchBlobResponse>, Status> {
        let code = |code| bazel_remote_apis::google::rpc::Status { code, ..Default::default() };
        let digest = |hash: &str| Digest { hash: hash.to_owned(), size_bytes: -1 };
        let mut answer = FetchBlobResponse::default();
        match self {
            Lie::MalformedDigest => answer.blob_digest = Some(digest("../../etc/passwd")),
            Lie::NoDigest => {}
            Lie::OddStatus => answer.status = Some(code(99)),
            Lie::NotFoundInside => answer.status = Some(code(5)),
        }
        Ok(Response::new(answer))
    }

    async fn fetch_directory(
        &self,
        _: Request<FetchDirectoryRequest>,
    ) -> Result<Response<FetchDirectoryResponse>, Status> {
        Err(Status::unimplemented("nobody asks for directories here"))
    }
}

/// Starts one for as long as the test's process lives, and gives its address.
pub fn liar(lie: Lie) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let incoming = {
        let _inside = runtime.enter();
        TcpIncoming::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port")
    };
    let address = incoming.local_addr().expect("its address");
    thread::spawn(move || {
        runtime.block_on(Server::builder().add_service(FetchServer::new(lie)).serve_with_incoming(incoming))
    });
    format!("http://{address}")
}
