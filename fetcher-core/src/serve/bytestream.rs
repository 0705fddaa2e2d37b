//! `ByteStream`: large objects, piece by piece, from the page cache where they are in it.

use std::fs::File;
use std::io::{self, IoSliceMut, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bazel_remote_apis::google::bytestream::byte_stream_server::ByteStream;
use bazel_remote_apis::google::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse,
};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use rustix::io::{Errno, ReadWriteFlags};
use tonic::{Request, Response, Status, Streaming, async_trait};
use zstd::stream::write::Encoder;

use super::call_context::{CallContext, RequestSubject, status};
use super::cas::LEVEL;
use super::client_connection::RequestPermit;
use super::objects::{ObjectContent, PIECE, ReadError};
use super::resource::ResourceName;
use super::shares::ShareHold;

/// What compressing takes in memory, in bytes.
const COMPRESSOR: usize = 2 << 20;

pub(super) struct ByteStreamService(pub(super) CallContext);

type ReadPieces = BoxStream<'static, Result<ReadResponse, Status>>;

#[async_trait]
impl ByteStream for ByteStreamService {
    type ReadStream = ReadPieces;

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadPieces>, Status> {
        RequestSubject::of(&request, &request.get_ref().resource_name);
        let asker = RequestPermit::of(&request)?;
        let ReadRequest { resource_name, read_offset, read_limit } = request.into_inner();
        let ResourceName { instance, object, compressed } = ResourceName::parse(&resource_name)?;
        self.0.instances.check(instance)?;
        let limit = u64::try_from(read_limit).map_err(|_| Status::invalid_argument("the limit is negative"))?;
        if compressed && limit != 0 {
            return Err(Status::invalid_argument("what is compressed is read without a limit"));
        }
        let from = u64::try_from(read_offset).ok().filter(|from| *from <= object.size);
        let from = from.ok_or_else(|| Status::out_of_range("the offset is outside the blob"))?;
        let to = if limit == 0 { object.size } else { object.size.min(from.saturating_add(limit)) };
        let content = match self.0.cache.open_now(object) {
            Some(content) => Ok(content),
            None => self.0.blocking(&asker, move |cache| cache.open(object)).await?,
        };
        match &content {
            Ok(_) => self.0.counters.blob(true),
            Err(ReadError::Missing) => self.0.counters.blob(false),
            Err(ReadError::Busy(_)) => {}
        }
        let range = ObjectRange { content: content.map_err(|trouble| status(&trouble))?, from, to };
        if !compressed {
            return Ok(Response::new(plain(range)));
        }
        let memory = asker.memory(COMPRESSOR).await?;
        let encoder = Encoder::new(Vec::new(), LEVEL).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(packed(CompressedRange { range, encoder, _memory: memory })))
    }

    async fn write(&self, _: Request<Streaming<WriteRequest>>) -> Result<Response<WriteResponse>, Status> {
        Err(Status::permission_denied("this server is read-only; say `push: false` for it"))
    }

    async fn query_write_status(
        &self,
        _: Request<QueryWriteStatusRequest>,
    ) -> Result<Response<QueryWriteStatusResponse>, Status> {
        Err(Status::permission_denied("this server is read-only; say `push: false` for it"))
    }
}

/// What is left to give of an object.
struct ObjectRange {
    content: ObjectContent,
    from: u64,
    to: u64,
}

fn plain(range: ObjectRange) -> ReadPieces {
    let ObjectRange { content, from, to } = range;
    match content {
        ObjectContent::Memory(mut data) => {
            let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(data.len());
            let (from, to) = (bound(from), bound(to));
            data.truncate(to);
            data.drain(..from);
            stream::once(async { Ok(ReadResponse { data }) }).boxed()
        }
        ObjectContent::File(file) => stream::try_unfold((file, from), move |(file, from)| async move {
            if from >= to {
                return Ok(None);
            }
            let data = piece(&file, from, to).await.map_err(|error| torn(&error))?;
            let next = from + data.len() as u64;
            Ok(Some((ReadResponse { data }, (file, next))))
        })
        .boxed(),
    }
}

/// A file that is cut short or unreadable while it is sent. The client has not got all of it, and knows that.
fn torn(error: &io::Error) -> Status {
    Status::data_loss(format!("the object changed while it was sent: {error}"))
}

fn length(from: u64, to: u64) -> usize {
    usize::try_from(to - from).unwrap_or(usize::MAX).min(PIECE)
}

/// The next piece of a file: at once where it is in the page cache, else by a thread that may wait for the disk.
async fn piece(file: &Arc<File>, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut data = vec![0; length(from, to)];
    match rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut data)], from, ReadWriteFlags::NOWAIT) {
        Ok(read) if read > 0 => {
            data.truncate(read);
            return Ok(data);
        }
        // Not in the page cache, or a file system that cannot tell.
        Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let file = Arc::clone(file);
    tokio::task::spawn_blocking(move || read(&file, data, from)).await?
}

fn read(file: &File, mut data: Vec<u8>, from: u64) -> io::Result<Vec<u8>> {
    loop {
        match file.read_at(&mut data, from) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                data.truncate(read);
                return Ok(data);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A range on its way through the compressor.
struct CompressedRange {
    range: ObjectRange,
    encoder: Encoder<'static, Vec<u8>>,
    _memory: ShareHold,
}

fn packed(packing: CompressedRange) -> ReadPieces {
    stream::try_unfold(Some(packing), |packing| async move {
        let Some(packing) = packing else { return Ok(None) };
        let done = tokio::task::spawn_blocking(move || packing.next()).await;
        let (data, packing) = done.map_err(io::Error::from).flatten().map_err(|error| torn(&error))?;
        Ok(Some((ReadResponse { data }, packing)))
    })
    .boxed()
}

impl CompressedRange {
    /// Compresses until there is something to send; the last time, it gives itself back no more.
    fn next(mut self) -> io::Result<(Vec<u8>, Option<Self>)> {
        while self.encoder.get_ref().len() < PIECE {
            let ObjectRange { content, from, to } = &mut self.range;
            if from >= to {
                return Ok((self.encoder.finish()?, None));
            }
            let length = length(*from, *to);
            let data = match content {
                ObjectContent::File(file) => read(file, vec![0; length], *from)?,
                ObjectContent::Memory(data) => {
                    let from = usize::try_from(*from).unwrap_or(usize::MAX);
                    data.get(from..from + length).ok_or(io::ErrorKind::UnexpectedEof)?.to_vec()
                }
            };
            *from += data.len() as u64;
            self.encoder.write_all(&data)?;
        }
        let data = std::mem::take(self.encoder.get_mut());
        Ok((data, Some(self)))
    }
}
