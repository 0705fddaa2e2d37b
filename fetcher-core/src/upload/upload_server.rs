//! Sending files by HTTP PUT.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ureq::Agent;

use super::upload_state::UploadState;
use super::{SiteUpload, UploadError, UploadResult};
use crate::address::percent_encoded_path;
use crate::file_state::FileState;
use crate::http;
use crate::secret::Secret;

/// How many files may be refused before no more are tried.
const MOST_REFUSED: usize = 5;

/// A file of the site.
struct SiteFile {
    path: PathBuf,
    /// Its path relative to the site, with slashes.
    name: String,
    state: FileState,
}

/// Where files are sent to.
pub(super) struct UploadServer {
    agent: Agent,
    /// It ends in a slash.
    url: Secret,
    headers: Vec<(String, Secret)>,
}

/// The address with a slash at its end: paths go behind it.
fn with_slash(url: &Secret) -> Secret {
    if url.expose().ends_with('/') { url.clone() } else { Secret::new(format!("{}/", url.expose())) }
}

impl UploadServer {
    pub(super) fn new(upload: &SiteUpload<'_>, url: &Secret) -> Result<Self, UploadError> {
        let config = upload.config;
        let url = with_slash(url);
        let agent = http::agent(url.expose(), config.ca_file.as_deref(), upload.context.environment)
            .map_err(|error| UploadError::Setup(format!("{error}; {}", error.hint)))?;
        let mut headers: Vec<_> = config.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        if let Some(path) = &config.token_file {
            let token =
                fs::read_to_string(path).map_err(|error| UploadError::Setup(format!("{}: {error}", path.display())))?;
            let token = token.lines().next().unwrap_or_default().trim().to_owned();
            headers.push(("Authorization".to_owned(), Secret::new(format!("Bearer {token}"))));
        }
        Ok(Self { agent, url, headers })
    }

    /// Sends every file that the server does not have yet.
    pub(super) fn put_all(&self, upload: &SiteUpload<'_>) -> Result<UploadResult, UploadError> {
        let until = Instant::now() + upload.config.timeout;
        let (mut memory, mut forgotten) = UploadState::read(upload.store.directory(), self.url.expose());
        let mut pages = pages(upload.directory)?;
        memory.forget_but(pages.iter().map(|page| page.name.as_str()));
        pages.retain(|page| !memory.has(&page.name, page.state));
        let (mut uploaded, mut refused) = (UploadResult::default(), Vec::new());
        let mut stopped = None;
        for (at, page) in pages.iter().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || upload.context.cancel.is_cancelled() {
                stopped = Some(UploadError::TimedOut { left: pages.len() - at });
                break;
            }
            match self.put(page, left) {
                Ok(()) => {
                    memory.note(&page.name, page.state);
                    uploaded.files += 1;
                    uploaded.bytes += page.state.size;
                }
                Err(error @ UploadError::Refused { .. }) if refused.len() + 1 < MOST_REFUSED => refused.push(error),
                Err(error) => {
                    stopped = Some(error);
                    break;
                }
            }
        }
        // Why it could not be read is why it cannot be written, as a rule.
        forgotten = forgotten.or(memory.write().err());
        match refused.into_iter().next().or(stopped).or(forgotten.map(UploadError::State)) {
            Some(error) => Err(error),
            None => Ok(uploaded),
        }
    }

    /// Sends one file, of whatever size, in at most `left`.
    fn put(&self, page: &SiteFile, left: Duration) -> Result<(), UploadError> {
        let file = File::open(&page.path).map_err(|source| UploadError::File { path: page.path.clone(), source })?;
        let mut request = self.agent.put(format!("{}{}", self.url.expose(), percent_encoded_path(&page.name)));
        for (name, value) in &self.headers {
            request = request.header(name, value.expose());
        }
        let request = request
            .header("Content-Type", content_type(&page.name))
            .header("Content-Length", page.state.size.to_string())
            .config()
            .timeout_global(Some(left))
            .build();
        let host = || http::host_of(self.url.expose());
        match request.send(file) {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => {
                Err(UploadError::Refused { host: host(), path: page.name.clone(), status: response.status().as_u16() })
            }
            Err(error) => Err(UploadError::Unreachable { host: host(), reason: error.to_string() }),
        }
    }
}

/// The files of the site, those deepest in it first.
fn pages(site: &Path) -> Result<Vec<SiteFile>, UploadError> {
    let (mut open, mut pages) = (vec![site.to_owned()], Vec::new());
    while let Some(directory) = open.pop() {
        let failed = |source| UploadError::File { path: directory.clone(), source };
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let kind = entry.file_type().map_err(failed)?;
            // Every name of ours is UTF-8.
            let Some(name) = path.strip_prefix(site).ok().and_then(Path::to_str).map(str::to_owned) else { continue };
            // What begins with a dot is for publishing itself, or half written.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                let state = FileState::of(&entry.metadata().map_err(failed)?);
                pages.push(SiteFile { path, name, state });
            }
        }
    }
    pages.sort_by(|a, b| {
        let depth = |page: &SiteFile| page.name.split('/').count();
        depth(b).cmp(&depth(a)).then_with(|| a.name.cmp(&b.name))
    });
    Ok(pages)
}

/// What a server may have to be told, for some serve a file as it was sent.
fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("xml") => "application/atom+xml; charset=utf-8",
        Some("json") => "application/json",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
