//! Whoever looks for a type by its name finds one: no two types of a crate share a name, and few have a name of one word.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// Names of one word are for what the field itself calls so.
const MAX_ONE_WORD_PERCENT: usize = 20;

/// The types that a file defines, by their names. What is there for unit tests alone is left out.
#[derive(Default)]
struct TypeCollector(Vec<String>);

impl TypeCollector {
    /// What a macro defines: the `struct`s and `enum`s that it spells out, or the name at its beginning.
    fn add_macro(&mut self, item: &syn::ItemMacro) {
        let words = flat(item.mac.tokens.clone());
        for pair in words.windows(2) {
            if let [TokenTree::Ident(keyword), TokenTree::Ident(name)] = pair
                && (keyword == "struct" || keyword == "enum")
            {
                self.0.push(name.to_string());
            }
        }
        let names_one = |segment: &syn::PathSegment| ["name", "words"].iter().any(|known| segment.ident == known);
        if item.mac.path.segments.iter().all(names_one)
            && let Some(TokenTree::Ident(name)) =
                item.mac.tokens.clone().into_iter().find(|token| matches!(token, TokenTree::Ident(_)))
        {
            self.0.push(name.to_string());
        }
    }
}

fn flat(tokens: TokenStream) -> Vec<TokenTree> {
    let inside = |token: TokenTree| match token {
        TokenTree::Group(group) => flat(group.stream()),
        other => vec![other],
    };
    tokens.into_iter().flat_map(inside).collect()
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().starts_with("test"))
    })
}

impl<'ast> Visit<'ast> for TypeCollector {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Mod(module) if is_for_tests(&module.attrs) => return,
            syn::Item::Struct(item) => self.0.push(item.ident.to_string()),
            syn::Item::Enum(item) => self.0.push(item.ident.to_string()),
            syn::Item::Union(item) => self.0.push(item.ident.to_string()),
            syn::Item::Trait(item) => self.0.push(item.ident.to_string()),
            syn::Item::Type(item) => self.0.push(item.ident.to_string()),
            syn::Item::Macro(item) => self.add_macro(item),
            _ => {}
        }
        visit::visit_item(self, item);
    }
}

/// The files of a crate's source, but for those of unit tests.
fn files(source: &Path) -> Vec<PathBuf> {
    let mut open = vec![source.to_owned()];
    let mut files = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.file_stem().is_some_and(|stem| stem == "tests") {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files
}

fn types(source: &Path) -> BTreeMap<String, Vec<PathBuf>> {
    let mut types: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in files(source) {
        let text = fs::read_to_string(&path).expect("a source file");
        let mut collector = TypeCollector::default();
        collector.visit_file(&syn::parse_file(&text).expect("Rust"));
        for name in collector.0 {
            types.entry(name).or_default().push(path.clone());
        }
    }
    types
}

fn crate_types(name: &str) -> BTreeMap<String, Vec<PathBuf>> {
    types(&Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").join(name).join("src"))
}

#[test]
fn no_two_types_of_a_crate_share_a_name() {
    for name in ["fetcher-core", "fetcher-cli"] {
        let types = crate_types(name);
        assert!(types.len() > 20, "the sources of {name} were not read: {types:?}");
        let shared: Vec<_> = types.iter().filter(|(_, places)| places.len() > 1).collect();
        assert!(shared.is_empty(), "names that more than one type of {name} has: {shared:#?}");
    }
    // Those that macros define are seen, too.
    let core = crate_types("fetcher-core");
    for name in ["FailureKind", "ProjectName", "MessageLevel", "ProjectConfig", "WebhookConfig"] {
        assert!(core.contains_key(name), "{name} was not seen");
    }
}

#[test]
fn few_types_have_a_name_of_one_word() {
    for name in ["fetcher-core", "fetcher-cli"] {
        let types = crate_types(name);
        let short: Vec<&String> =
            types.keys().filter(|name| name.chars().filter(char::is_ascii_uppercase).count() < 2).collect();
        assert!(
            short.len() * 100 <= types.len() * MAX_ONE_WORD_PERCENT,
            "{} of {} types of {name} have names of one word: {short:?}",
            short.len(),
            types.len()
        );
    }
}
