//! `bst-fetcher inventory [PROJECT[/BRANCH]]`

use std::collections::BTreeMap;
use std::io::{self, Write};

use fetcher_core::VariantName;
use fetcher_core::bst::inventory::{Inventory, InventoryElement, InventorySource};
use fetcher_core::config::ProjectConfig;
use fetcher_core::fetcher::StateStore;
use fetcher_core::pipeline::ElementProbing;
use fetcher_core::{BranchName, Config, ElementName, Fetcher};
use jiff::Timestamp;
use serde_json::json;

use super::{CommandContext, OK, SOME_FAILED, USAGE};
use crate::cli::InventoryArgs;
use crate::{eprint_line, output};

/// What a branch consists of with one option set.
struct BranchInventory<'c> {
    project: &'c ProjectConfig,
    branch: BranchName,
    variant: Option<&'c VariantName>,
    inventory: Inventory,
    at: Timestamp,
    /// How its elements are probed, and what is remembered of tracking them.
    probing: BTreeMap<ElementName, ElementProbing>,
}

pub(crate) fn run(context: &CommandContext, args: &InventoryArgs) -> io::Result<u8> {
    let config = match context.config() {
        Ok(config) => config,
        Err(status) => return Ok(status),
    };
    let (mut listings, mut problems) = listings(&config, args.subject.as_deref());
    let fetcher = Fetcher::new(config.clone(), context.environment.clone());
    for listing in &mut listings {
        match fetcher.source_probes(listing.project, &listing.branch, &listing.inventory) {
            Ok(probing) => listing.probing = probing,
            Err(error) => problems.push(error.to_string()),
        }
    }
    problems.dedup();
    for problem in &problems {
        eprint_line(&format!("bst-fetcher: {problem}"));
    }
    if listings.is_empty() && problems.is_empty() {
        let of = args.subject.as_deref().map(|subject| format!(" of {subject}")).unwrap_or_default();
        eprint_line(&format!("bst-fetcher: nothing{of} is listed yet; `bst-fetcher run` lists what it works on"));
        return Ok(USAGE);
    }
    if args.json {
        let branches: Vec<_> = listings.iter().map(as_json).collect();
        output::json(&format!("{:#}", json!({ "version": 1, "branches": branches })))?;
    } else {
        // Standard output is written line by line, and these are thousands.
        let mut out = io::BufWriter::with_capacity(64 << 10, output::text());
        listings.iter().try_for_each(|listing| print(&mut out, listing))?;
        out.flush()?;
    }
    Ok(if problems.is_empty() { OK } else { SOME_FAILED })
}

/// What is remembered of the branches that are asked for, and what cannot be read.
fn listings<'c>(config: &'c Config, subject: Option<&str>) -> (Vec<BranchInventory<'c>>, Vec<String>) {
    let store = StateStore::new(&config.state_dir);
    let (wanted, branch) = subject.map_or((None, None), |subject| match subject.split_once('/') {
        Some((project, branch)) => (Some(project), Some(branch)),
        None => (Some(subject), None),
    });
    let (mut listings, mut problems) = (Vec::new(), Vec::new());
    for state in store.branches() {
        let Some(name) = state.branch.filter(|name| branch.is_none_or(|branch| branch == name.as_str())) else {
            continue;
        };
        let is_wanted = |project: &&ProjectConfig| {
            project.name == state.project && wanted.is_none_or(|wanted| wanted == project.name.as_str())
        };
        let Some(project) = config.projects.iter().find(is_wanted) else { continue };
        let variants: Vec<_> = match &project.variants[..] {
            [] => vec![None],
            variants => variants.iter().map(|variant| Some(&variant.name)).collect(),
        };
        for variant in variants {
            match store.elements(&project.name, &name, variant) {
                Ok(known) => {
                    let known = known.and_then(|known| known.inventory());
                    let branch = name.clone();
                    listings.extend(known.map(|(inventory, at)| BranchInventory {
                        project,
                        branch,
                        variant,
                        inventory,
                        at,
                        probing: BTreeMap::new(),
                    }));
                }
                Err(error) => problems.push(error.to_string()),
            }
        }
    }
    (listings, problems)
}

fn as_json(listing: &BranchInventory<'_>) -> serde_json::Value {
    json!({
        "project": listing.project.name,
        "branch": listing.branch,
        "variant": listing.variant,
        "listed": listing.at,
        "elements": listing.inventory.elements,
        "probing": listing.probing,
    })
}

fn print(out: &mut impl Write, listing: &BranchInventory<'_>) -> io::Result<()> {
    let elements = &listing.inventory.elements;
    let sources: usize = elements.iter().filter_map(|element| element.sources.as_ref()).map(Vec::len).sum();
    let variant = listing.variant.map(|variant| format!(" [{variant}]")).unwrap_or_default();
    writeln!(
        out,
        "{} ({}){variant}: {} elements with {sources} sources, listed at {}",
        listing.project.name,
        listing.branch,
        elements.len(),
        listing.at.strftime("%Y-%m-%d %H:%M:%S UTC")
    )?;
    elements.iter().try_for_each(|element| {
        print_element(out, element)?;
        listing.probing.get(&element.name).map_or(Ok(()), |probing| print_probing(out, probing))
    })
}

/// How an element is probed, and what tracking it found last.
fn print_probing(out: &mut impl Write, probing: &ElementProbing) -> io::Result<()> {
    if let Some(reason) = &probing.always_tracked {
        writeln!(out, "    probe: always tracked, for {}", one_line(reason))?;
    }
    for source in &probing.sources {
        writeln!(out, "    probe: {}: {}", one_line(&source.kind), one_line(&source.words()))?;
    }
    let Some(last) = probing.remembered.last() else { return Ok(()) };
    let refs: Vec<_> = last.refs.iter().map(|(_, _, value)| value.as_str()).collect();
    let at = last.tracked.strftime("%Y-%m-%d %H:%M:%S UTC");
    writeln!(out, "    tracked at {at}: {}", one_line(&refs.join(" ")))
}

fn print_element(out: &mut impl Write, element: &InventoryElement) -> io::Result<()> {
    let no_ref = if element.has_refs { "" } else { ", without a committed ref" };
    let unknown = if element.sources.is_some() { "" } else { ", whose sources bst does not tell" };
    writeln!(out, "  {}{no_ref}{unknown}", one_line(element.name.as_str()))?;
    element.sources.iter().flatten().try_for_each(|source| writeln!(out, "    {}", line(source)))
}

fn line(source: &InventorySource) -> String {
    let guess = source.version_guess.as_ref().map(|guess| format!("({guess})"));
    let words = [Some(&source.kind), source.url.as_ref(), source.version.as_ref(), guess.as_ref()];
    one_line(&words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" "))
}

fn one_line(text: &str) -> String {
    output::in_one_line(text)
}
