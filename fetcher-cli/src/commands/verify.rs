//! `bst-fetcher verify [PROJECT[/BRANCH]]`

use std::io::{self, Write};

use fetcher_core::Cancel;
use fetcher_core::fetcher::verify::{BranchAudit, VerifyRequest};
use serde_json::json;

use super::run::status_of_error;
use super::{CommandContext, OK, SOME_FAILED, USAGE};
use crate::cli::VerifyArgs;
use crate::{eprint_line, output, signals};

pub(crate) fn run(context: &CommandContext, args: &VerifyArgs) -> io::Result<u8> {
    let config = match context.config() {
        Ok(config) => config,
        Err(status) => return Ok(status),
    };
    let cancel = Cancel::new();
    let caught = signals::listen(cancel.clone())?;
    let fetcher = context.fetcher(config).cancel(cancel);
    let mut request = VerifyRequest::default();
    (request.project, request.branch) = match args.subject.as_deref().map(|subject| subject.split_once('/')) {
        None => (None, None),
        Some(Some((project, branch))) => (Some(project.to_owned()), Some(branch.to_owned())),
        Some(None) => (args.subject.clone(), None),
    };
    request.elements.clone_from(&args.element);
    request.contents = args.contents;
    request.clean_client = args.clean_client;
    let report = match fetcher.verify(&request) {
        Ok(report) => report,
        Err(error) => {
            eprint_line(&format!("bst-fetcher: {error}"));
            return Ok(status_of_error(&error));
        }
    };
    for problem in &report.problems {
        eprint_line(&format!("bst-fetcher: {problem}"));
    }
    if report.audits.iter().all(|audit| audit.proved.is_empty() && audit.missing.is_empty())
        && report.problems.is_empty()
    {
        eprint_line("bst-fetcher: nothing of the kind is known yet; `bst-fetcher run` finds out what there is");
        return Ok(USAGE);
    }
    if args.json {
        output::json(&format!("{:#}", json!({ "version": 1, "whole": report.is_whole(), "branches": report.audits })))?;
    } else {
        let mut out = output::text();
        report.audits.iter().try_for_each(|audit| print(&mut out, audit))?;
    }
    let status = if report.is_whole() { OK } else { SOME_FAILED };
    Ok(caught.status().unwrap_or(status))
}

fn print(out: &mut impl Write, audit: &BranchAudit) -> io::Result<()> {
    let variant = audit.variant.as_ref().map(|variant| format!(" [{variant}]")).unwrap_or_default();
    let (proved, all) = (audit.proved.len(), audit.proved.len() + audit.missing.len());
    writeln!(
        out,
        "{} ({}) {}{variant}: {proved} of {all} proved to be in {}; {} blobs, {} requests, {:.1} s",
        audit.project,
        audit.branch,
        audit.refs,
        audit.caches.join(", "),
        audit.blobs,
        audit.requests,
        audit.seconds
    )?;
    if let (Some(fetched), Some(isolation)) = (&audit.fetched_by_client, &audit.isolation) {
        let count = fetched.len();
        writeln!(out, "  a client with empty caches, kept from upstreams by {isolation}, fetched {count} of them")?;
    }
    if let Some(failure) = &audit.failure {
        writeln!(out, "  {} [{}]", failure.message, failure.kind)?;
        return writeln!(out, "    {}: {}", failure.actor, failure.hint);
    }
    audit.missing.iter().try_for_each(|(element, what)| writeln!(out, "  {element}: {what}"))
}
