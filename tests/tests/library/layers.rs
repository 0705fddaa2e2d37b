//! Who imports whom: the library's modules only from their own row of ARCHITECTURE.md's table and from those above it, and
//! in both crates no circle at any level.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// A module's path below its crate: `notify`, `dispatcher`.
type ModulePath = Vec<String>;

/// One crate's files by module, with the modules that each names.
struct Imports(BTreeMap<ModulePath, BTreeSet<ModulePath>>);

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

/// The modules of the table with their rows, the topmost 0.
fn rows() -> BTreeMap<String, usize> {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let table = text.lines().skip_while(|line| !line.starts_with("| `fetcher-core::"));
    let core = table.take_while(|line| line.starts_with("| `") && !line.starts_with("| `fetcher-cli`"));
    let mut rows = BTreeMap::new();
    for (row, line) in core.enumerate() {
        let cell = line.split('|').nth(1).expect("a first cell");
        for name in cell.split('`').skip(1).step_by(2) {
            rows.insert(name.trim_start_matches("fetcher-core::").to_owned(), row);
        }
    }
    rows
}

/// Every file below a crate's `src`, by its module; the crate's roots are left out.
fn files(source: &Path) -> BTreeMap<ModulePath, PathBuf> {
    let mut open = vec![source.to_owned()];
    let mut files = BTreeMap::new();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let inside = path.strip_prefix(source).expect("a path below src").with_extension("");
                files.insert(inside.iter().map(|name| name.to_string_lossy().into_owned()).collect(), path);
            }
        }
    }
    // Unit tests may use what they like.
    files.retain(|module: &ModulePath, _| {
        !module.iter().any(|name| name == "tests") && !matches!(module.join("::").as_str(), "lib" | "main")
    });
    files
}

/// Collects the paths of a file that begin with `crate` or `super`; what is there for unit tests alone is left out.
struct PathCollector<'m> {
    module: &'m [String],
    paths: Vec<ModulePath>,
}

impl PathCollector<'_> {
    fn add(&mut self, segments: &[String]) {
        let mut place = self.module.to_vec();
        let mut rest = segments;
        match segments.first().map(String::as_str) {
            Some("crate") => {
                place.clear();
                rest = &segments[1..];
            }
            Some("super") => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    place.pop();
                    rest = &rest[1..];
                }
            }
            Some("self") => rest = &segments[1..],
            // A child is named without more ado.
            _ => {}
        }
        place.extend(rest.iter().cloned());
        self.paths.push(place);
    }

    fn add_tree(&mut self, tree: &syn::UseTree, before: &mut ModulePath) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.add_tree(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, before)),
            syn::UseTree::Name(name) => self.add_leaf(&name.ident, before),
            syn::UseTree::Rename(name) => self.add_leaf(&name.ident, before),
            syn::UseTree::Glob(_) => self.add(before),
        }
    }

    fn add_leaf(&mut self, name: &syn::Ident, before: &mut ModulePath) {
        before.push(name.to_string());
        self.add(before);
        before.pop();
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().starts_with("test"))
    })
}

impl<'ast> Visit<'ast> for PathCollector<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.add_tree(&item.tree, &mut Vec::new());
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: ModulePath = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if matches!(segments[0].as_str(), "crate" | "super") {
            self.add(&segments);
        }
        visit::visit_path(self, path);
    }
}

fn named_paths(text: &str, module: &[String]) -> Vec<ModulePath> {
    let file = syn::parse_file(text).expect("Rust");
    let mut collector = PathCollector { module, paths: Vec::new() };
    collector.visit_file(&file);
    collector.paths
}

impl Imports {
    fn of(source: &Path) -> Self {
        let files = files(source);
        assert!(files.len() > 15, "the sources were not found below {}", source.display());
        let named = |module: &ModulePath, path: &PathBuf| {
            let text = fs::read_to_string(path).expect("a source file");
            let paths = named_paths(&text, module);
            // The longest beginning that is a file's module is the file that is meant.
            let meant = |path: &ModulePath| {
                (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|path| files.contains_key(path))
            };
            paths.iter().filter_map(meant).filter(|path| path != module).collect()
        };
        Self(files.iter().map(|(module, path)| (module.clone(), named(module, path))).collect())
    }

    /// Who imports whom among the children of one module, each with all that is below it.
    fn siblings(&self, parent: &[String]) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let below = |module: &ModulePath| module.len() > parent.len() && module.starts_with(parent);
        for (module, named) in self.0.iter().filter(|(module, _)| below(module)) {
            let name = module[parent.len()].as_str();
            let others = named.iter().filter(|other| below(other)).map(|other| other[parent.len()].as_str());
            graph.entry(name).or_default().extend(others.filter(|other| *other != name));
        }
        graph
    }

    /// Every circle, at every level: those modules that can reach themselves.
    fn circles(&self) -> Vec<String> {
        let mut parents: BTreeSet<&[String]> = self.0.keys().map(|module| &module[..module.len() - 1]).collect();
        parents.insert(&[]);
        let mut circles = Vec::new();
        for parent in parents {
            let graph = self.siblings(parent);
            for name in graph.keys() {
                if let Some(way) = way_back(&graph, name) {
                    circles.push(format!("{}: {}", parent.join("::"), way.join(" -> ")));
                }
            }
        }
        circles
    }
}

/// A shortest way from a module back to itself.
fn way_back<'g>(graph: &BTreeMap<&'g str, BTreeSet<&'g str>>, start: &'g str) -> Option<Vec<&'g str>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![start]];
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in graph.get(way[way.len() - 1]).into_iter().flatten() {
                let mut way = way.clone();
                way.push(next);
                if *next == start {
                    return Some(way);
                }
                if seen.insert(*next) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}

#[test]
fn modules_import_from_their_own_row_and_those_above() {
    let rows = rows();
    assert!(rows.len() > 8, "the table was not found: {rows:?}");
    let imports = Imports::of(&repository().join("fetcher-core/src"));
    let mut wrong = Vec::new();
    for (module, named) in imports.siblings(&[]) {
        let Some(row) = rows.get(module) else {
            wrong.push(format!("{module} has no row"));
            continue;
        };
        for name in named {
            match rows.get(name) {
                Some(other) if other <= row => {}
                Some(_) => wrong.push(format!("{module} imports {name}, which is below it")),
                None => wrong.push(format!("{module} imports {name}, which has no row")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_module_can_reach_itself() {
    let sources = ["fetcher-core/src", "fetcher-cli/src"];
    let of = |source| Imports::of(&repository().join(source)).circles();
    let circles: Vec<_> = sources.into_iter().flat_map(of).collect();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::a;\n// crate::comment\nuse crate::{b::{self, x}, c::{d, e as f}};\nuse super::g::*;\nuse child::H;\n\
        fn f() { let x: super::i::I = crate::j::k(crate::l::M); }\n#[cfg(test)]\nmod tests { use super::super::n; }\n";
    let named = named_paths(text, &["top".to_owned(), "file".to_owned()]);
    let named: BTreeSet<_> = named.iter().map(|path| path.join("::")).collect();
    let expected =
        ["a", "b::self", "b::x", "c::d", "c::e", "top::g", "top::file::child::H", "top::i::I", "j::k", "l::M"];
    assert_eq!(named, expected.map(str::to_owned).into());
}

#[test]
fn circles_are_found_at_every_level() {
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<ModulePath>();
    let edges = [("a", "b"), ("a::x", "a::y"), ("a::y", "a::z"), ("a::z::deep", "a::x"), ("b", "c")];
    let mut imports = Imports(BTreeMap::new());
    for (from, to) in edges {
        imports.0.entry(path(from)).or_default().insert(path(to));
    }
    assert_eq!(imports.circles(), ["a: x -> y -> z -> x", "a: y -> z -> x -> y", "a: z -> x -> y -> z"]);
    imports.0.insert(path("c"), [path("a::x")].into());
    assert!(imports.circles().contains(&": a -> b -> c -> a".to_owned()));
}
