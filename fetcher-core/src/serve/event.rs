//! What the server tells its owner.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

/// A sink of events. It is called from many threads, and holds up what it is told of.
pub type ServeEventSink = Arc<dyn Fn(ServeEvent) + Send + Sync>;

/// Something that happened. No event holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ServeEvent {
    /// The server answers from now on.
    Listening {
        /// Where.
        address: SocketAddr,
        /// What is served.
        cachedir: PathBuf,
        /// What is served beside it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        beside: Vec<PathBuf>,
        /// Whether connections are encrypted.
        tls: bool,
    },
    /// Metrics are offered from now on.
    MetricsListening {
        /// Where, by HTTP.
        address: SocketAddr,
    },
    /// Something that is worth a thought, and stops nothing.
    Warning {
        /// What, and what to do.
        message: String,
    },
    /// A request was answered.
    Access(AccessRecord),
    /// An object's content is not what its name says. It is answered as missing.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// A file of the cache could not be read. It is answered as missing.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// Caches of different trusts say different things of one asset. It is answered as missing to who does not name, by the
    /// instance's name, whom he trusts.
    Disputed {
        /// The entries of their indexes.
        paths: Vec<PathBuf>,
    },
    /// A file that had changed was read again: tokens, or certificates.
    Reloaded {
        /// The file.
        path: PathBuf,
    },
    /// A file that had changed could not be used; what was read before stays in force.
    ReloadFailed {
        /// The file.
        path: PathBuf,
        /// Why, without anything of its content.
        message: String,
    },
    /// There is nothing any more in a file by which clients are let in: the tokens, or who signs certificates. Nobody is
    /// let in until there is.
    Revoked {
        /// The file.
        path: PathBuf,
    },
    /// A connection was closed though its client did not want that: it took an answer too slowly, or it had to make room
    /// for others.
    Closed {
        /// Whose.
        peer: IpAddr,
        /// Why.
        message: String,
    },
    /// A connection came to nothing: no TLS, or too many connections.
    Refused {
        /// Whose.
        peer: IpAddr,
        /// Why.
        message: String,
    },
    /// No new connections are taken; those that are open may finish what they are at.
    Draining {
        /// How many connections there are.
        connections: usize,
    },
    /// The server has ended.
    Stopped {
        /// How many connections had to be cut off.
        cut_off: usize,
    },
}

/// An answered request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AccessRecord {
    /// Who asked.
    pub peer: IpAddr,
    /// The service and method, as in `build.bazel.remote.asset.v1.Fetch/FetchBlob`.
    pub method: String,
    /// What was asked for: a URN, a digest, a number of digests; printable, and of bounded length.
    pub subject: String,
    /// The gRPC status in words, as in `NOT_FOUND`.
    pub status: &'static str,
    /// The bytes of the answer.
    pub bytes: u64,
    /// From the request's head until the answer's end, or until the client went away.
    #[serde(rename = "microseconds", serialize_with = "microseconds")]
    pub time: Duration,
}

fn microseconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

impl ServeEvent {
    /// Whether it is in the nature of a server's work, and not something that its administrator wants to know of.
    pub fn is_ordinary(&self) -> bool {
        match self {
            Self::Access(_)
            | Self::Listening { .. }
            | Self::MetricsListening { .. }
            | Self::Reloaded { .. }
            | Self::Closed { .. }
            | Self::Refused { .. }
            | Self::Draining { .. }
            | Self::Stopped { .. } => true,
            Self::Warning { .. }
            | Self::Corrupt { .. }
            | Self::Unreadable { .. }
            | Self::Disputed { .. }
            | Self::ReloadFailed { .. }
            | Self::Revoked { .. } => false,
        }
    }
}

impl fmt::Display for ServeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { address, cachedir, beside, tls } => {
                let how = if *tls { "with TLS" } else { "without encryption" };
                write!(f, "serving {}", cachedir.display())?;
                beside.iter().try_for_each(|cachedir| write!(f, ", {}", cachedir.display()))?;
                write!(f, " on {address}, {how}")
            }
            Self::MetricsListening { address } => write!(f, "metrics on http://{address}/metrics"),
            Self::Warning { message } => write!(f, "warning: {message}"),
            Self::Access(access) => access.fmt(f),
            Self::Corrupt { path, size } => write!(
                f,
                "CORRUPT: the content of {} ({size} bytes) is not what its name says; it is answered as missing. \
                 Remove it, fetch its element again, and look after the disk",
                path.display()
            ),
            Self::Unreadable { path, message } => {
                write!(f, "cannot read {}: {message}; it is answered as missing", path.display())
            }
            Self::Disputed { paths } => {
                let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
                write!(f, "{} differ; it is answered as missing where no instance is named", paths.join(" and "))
            }
            Self::Reloaded { path } => write!(f, "read {} again", path.display()),
            Self::ReloadFailed { path, message } => {
                write!(f, "cannot use {}: {message}; what was read before stays in force", path.display())
            }
            Self::Revoked { path } => {
                write!(f, "{} has nothing left that lets a client in: all are refused until it has", path.display())
            }
            Self::Closed { peer, message } => write!(f, "{peer} was cut off: {message}"),
            Self::Refused { peer, message } => write!(f, "{peer} was refused: {message}"),
            Self::Draining { connections } => write!(f, "draining: {connections} connections are open"),
            Self::Stopped { cut_off: 0 } => f.write_str("stopped"),
            Self::Stopped { cut_off } => write!(f, "stopped; {cut_off} connections were cut off"),
        }
    }
}

impl fmt::Display for AccessRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, method, subject, status, bytes, time } = self;
        let method = method.rsplit('.').next().unwrap_or(method);
        write!(f, "{peer} {method} {subject} {status} {bytes} bytes {:.1} ms", time.as_secs_f64() * 1000.0)
    }
}
