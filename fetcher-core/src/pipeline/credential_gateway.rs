//! What a confined bst is given in place of caches that know it by a secret: sockets of this program's own, so that a
//! project's code reads neither tokens nor keys.

use super::stage_runner::StageRunner;
use crate::bst::dialect::BstAction;
use crate::bst::version::BstVersion;
use crate::config::SourceCacheConfig;
use crate::diagnosis::Diagnosis;
use crate::runner::Invocation;

#[cfg(feature = "cas")]
use std::path::{Path, PathBuf};

#[cfg(feature = "cas")]
use crate::atomic_file::write_atomic;
#[cfg(feature = "cas")]
use crate::bst::conf::{servers_of, written_server};
#[cfg(feature = "cas")]
use crate::cas::gateway::{CredentialGateway, GatewayError, GatewayServer};
#[cfg(feature = "cas")]
use crate::diagnosis::{Actor, FailureKind, Location, Retry};
#[cfg(feature = "cas")]
use crate::runner::ChildWatch;

/// The first release whose casd takes the address of a socket for a cache.
const FIRST: BstVersion = BstVersion { major: 2, minor: 4, patch: 0 };
/// The keys of `auth` whose files are secret.
const SECRETS: [&str; 2] = ["access-token", "client-key"];
/// The longest line that is kept until its end.
const LONGEST_LINE: usize = 64 << 10;

/// Sockets that are open while a bst runs.
pub(super) struct StageGateway {
    /// The sockets as bst names them, and the caches behind them.
    names: Vec<(String, String)>,
    #[cfg(feature = "cas")]
    _open: CredentialGateway,
}

/// Whether a source cache is one that knows its clients by a secret, which it is told encrypted.
pub(crate) fn asks_for_secrets(cache: &SourceCacheConfig) -> bool {
    let is_encrypted = ["https://", "grpcs://"].iter().any(|scheme| cache.url.starts_with(scheme));
    is_encrypted && SECRETS.iter().any(|key| cache.auth.contains_key(*key))
}

/// Why a confined bst of a release has to be shown such secrets; none where it has not.
pub(crate) fn needs_secrets(version: BstVersion) -> Option<&'static str> {
    if !cfg!(feature = "cas") {
        return Some("this program is built without the feature `cas`");
    }
    (version < FIRST).then_some("it is older than BuildStream 2.4")
}

impl StageRunner<'_, '_> {
    /// Opens sockets for the caches of the configuration that bst is to get, writes it with those, and takes the secrets
    /// from what bst is shown. Only a push may write to a cache.
    #[cfg(feature = "cas")]
    pub(super) fn credential_gateway(
        &self,
        action: Option<BstAction>,
        invocation: &mut Invocation,
    ) -> Result<Option<StageGateway>, Diagnosis> {
        let pipeline = self.pipeline;
        if needs_secrets(pipeline.bst.version).is_some() {
            return Ok(None);
        }
        let text = self.confs.get(self.conf_name).map_or("{}", String::as_str);
        // What this program has written is JSON.
        let mut conf: serde_json::Map<_, _> = serde_json::from_str(text).unwrap_or_default();
        let (mut servers, mut secrets) = (Vec::new(), Vec::new());
        for (number, (is_of_sources, written)) in servers_of(&mut conf).into_iter().enumerate() {
            let Some(cache) = written_server(written).filter(asks_for_secrets) else { continue };
            secrets.extend(SECRETS.iter().filter_map(|key| cache.auth.get(*key)?.as_str()).map(PathBuf::from));
            // gRPC's own library makes the path the request's authority, with `%2F` for each slash. Only what stands before
            // an `@` may have that, for HTTP/2's library here.
            let socket = pipeline.directories.temporary.join(format!("cache@{number}"));
            let pushes = cache.push && is_of_sources && action == Some(BstAction::Push);
            written.insert("url".to_owned(), name_of(&socket).into());
            written.insert("push".to_owned(), pushes.into());
            written.remove("auth");
            servers.push(GatewayServer { cache, socket, pushes });
        }
        if servers.is_empty() || !pipeline.context.runner.hides_files(invocation, self.context.cancel) {
            return Ok(None);
        }
        // Who else finds the socket is not let in.
        invocation.watch = pipeline.context.runner.is_local().then(ChildWatch::default);
        let open = CredentialGateway::open(&servers, pipeline.context.environment, invocation.watch.as_ref());
        let open = open.map_err(|error| failure(&error))?;
        let text = format!("{:#}\n", serde_json::Value::Object(conf));
        let path = self.conf_path();
        write_atomic(&path, text.as_bytes()).map_err(|source| failure(&GatewayError::Socket { path, source }))?;
        invocation.access.read.retain(|path| !secrets.contains(path));
        let names = servers.iter().map(|server| (name_of(&server.socket), server.cache.url.clone())).collect();
        Ok(Some(StageGateway { names, _open: open }))
    }

    /// There are none.
    #[cfg(not(feature = "cas"))]
    #[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
    pub(super) fn credential_gateway(
        &self,
        _: Option<BstAction>,
        _: &mut Invocation,
    ) -> Result<Option<StageGateway>, Diagnosis> {
        Ok(None)
    }
}

/// The address of a socket as bst has it.
#[cfg(feature = "cas")]
fn name_of(socket: &Path) -> String {
    format!("unix:{}", socket.display())
}

#[cfg(feature = "cas")]
fn failure(error: &GatewayError) -> Diagnosis {
    let (kind, url, hint) = match error {
        GatewayError::Cache(cache) => {
            let url = cache.url().map(str::to_owned);
            (FailureKind::Configuration, url, "correct `auth` of the source cache in the configuration")
        }
        GatewayError::Socket { .. } => {
            (FailureKind::Permission, None, "see to the directory of temporary files ($TMPDIR) of who runs this")
        }
    };
    let place = Location { url, ..Location::default() };
    Diagnosis::new(kind, error.to_string(), Retry::No, Actor::Host, hint).with_place(place)
}

impl StageGateway {
    /// What gives caches their own names again.
    pub(super) fn names(&self) -> CacheNames<'_> {
        CacheNames { names: &self.names, line: Vec::new() }
    }
}

/// Puts the addresses of caches in the place of those of sockets, line by line.
pub(super) struct CacheNames<'g> {
    names: &'g [(String, String)],
    line: Vec<u8>,
}

impl CacheNames<'_> {
    /// Takes what comes in pieces of any size; hands on whole lines.
    pub(super) fn push(&mut self, bytes: &[u8], output: &mut dyn FnMut(&[u8])) {
        self.line.extend_from_slice(bytes);
        let whole = match self.line.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if self.line.len() > LONGEST_LINE => self.line.len(),
            None => return,
        };
        let rest = self.line.split_off(whole);
        self.finish(output);
        self.line = rest;
    }

    /// Hands on what is left.
    pub(super) fn finish(&mut self, output: &mut dyn FnMut(&[u8])) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return;
        }
        let mut rest = &line[..];
        let mut named = Vec::with_capacity(line.len());
        while let Some(at) = find(rest, b"unix:") {
            let (before, after) = rest.split_at(at);
            named.extend_from_slice(before);
            // The longest of the names: `cache@1` begins `cache@10`.
            let fitting = self.names.iter().filter(|(socket, _)| after.starts_with(socket.as_bytes()));
            let (taken, name) = match fitting.max_by_key(|(socket, _)| socket.len()) {
                Some((socket, url)) => (socket.len(), url.as_bytes()),
                None => (5, &b"unix:"[..]),
            };
            named.extend_from_slice(name);
            rest = &after[taken..];
        }
        named.extend_from_slice(rest);
        output(&named);
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_have_their_own_names_in_whatever_pieces_text_comes() {
        let names = [("unix:/t/cache@1", "https://one"), ("unix:/t/cache@10", "https://ten")]
            .map(|(socket, url)| (socket.to_owned(), url.to_owned()));
        let text = "push to unix:/t/cache@1: ok\nunix:/t/cache@10 unix:/else, ünix:\nunix:/t/cache@1";
        let expected = "push to https://one: ok\nhttps://ten unix:/else, ünix:\nhttps://one";
        for size in 1..text.len() {
            let (mut said, mut seen) = (CacheNames { names: &names, line: Vec::new() }, Vec::new());
            text.as_bytes().chunks(size).for_each(|piece| said.push(piece, &mut |bytes| seen.extend_from_slice(bytes)));
            said.finish(&mut |bytes| seen.extend_from_slice(bytes));
            assert_eq!(String::from_utf8_lossy(&seen), expected, "{size}");
        }
    }
}
