//! What went wrong is known by the words of one table: nothing else that reads messages decides by words of its own, and
//! what to do about it is written once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// Where messages of git, of bst and of what runs under it are read.
const READERS: [&str; 2] = ["diagnosis", "git"];

/// Functions and tables that look for texts which are no words for what went wrong, and what they are.
const NO_WORDS: &[(&str, &str, &str)] = &[
    (
        "diagnosis/closing_line.rs",
        "is_recipe",
        "the forms in which just, make, ninja and npm tell of a command that failed",
    ),
    ("diagnosis/closing_line.rs", "of_line", "which lines are bst's and casd's own"),
    ("diagnosis/diagnoser.rs", "step", "the names of steps that worked"),
    ("diagnosis/exception.rs", "answered", "modules of Python's"),
    ("diagnosis/exception.rs", "begins", "the form of tracebacks"),
    ("diagnosis/exception.rs", "raised", "the form of tracebacks"),
    ("diagnosis/exception.rs", "startup", "files in frames of tracebacks"),
    ("diagnosis/explain.rs", "begins_command", "the form of bst's logs"),
    ("diagnosis/explain.rs", "has_no_git_protocol", "names of hosts"),
    ("diagnosis/explain.rs", "is_chatter", "the form of bst's and git's logs, of what went well"),
    ("diagnosis/explain.rs", "is_proxy", "what is before a port; the port and the host decide"),
    ("diagnosis/explain.rs", "is_task", "the form of places in bst's messages"),
    ("diagnosis/explain.rs", "mirror", "a directory of bst's"),
    ("diagnosis/explain.rs", "of_words", "the form in which casd and gRPC print a status"),
    ("diagnosis/explain.rs", "without_casd_head", "the form of casd's logs"),
    ("diagnosis/grpc.rs", "STATUSES", "the statuses of gRPC; what they mean is in `failure::phrases::answers`"),
    ("diagnosis/grpc.rs", "by_position", "where a status stands as a number"),
    ("diagnosis/grpc.rs", "of_block", "the form in which Python prints a call that failed"),
    ("diagnosis/grpc.rs", "status", "where a status stands"),
    ("diagnosis/hidden.rs", "hides_reason", "an address"),
    ("diagnosis/installed.rs", "line", "the form of `pip list`"),
    ("diagnosis/network.rs", "names_proxy", "an address"),
    ("diagnosis/python.rs", "LIBRARY", "names of modules"),
    ("diagnosis/session_end.rs", "STEPS", "the names of bst's steps"),
    ("diagnosis/session_end.rs", "is_error_line", "the form of a line that calls itself an error"),
    ("diagnosis/session_end.rs", "is_noise", "the form of lines that tell of no failure"),
    ("diagnosis/session_end.rs", "is_session", "the form of lines that tell of no failure"),
    ("diagnosis/session_end.rs", "of_crash", "the module of bst's own exceptions"),
    ("diagnosis/tools.rs", "MODULES", "names of modules and of packages"),
    ("diagnosis/tools.rs", "TOOLS", "names of programs and of packages"),
    ("git/access.rs", "PASSED", "names of variables"),
    ("git/access.rs", "is_for", "addresses"),
    ("git/child.rs", "SAFE_CONFIG", "a command line"),
    ("git/error.rs", "last_line", "the marks that git puts before its errors"),
    ("git/gitdir.rs", "add", "names of files"),
    ("git/store.rs", "refs", "the form of packed references"),
    ("git/store.rs", "remove_all_leftovers", "names of files"),
    ("git/store.rs", "remove_leftovers", "names of files"),
    ("git/tree.rs", "note_attributes", "attributes of gitattributes(5)"),
    ("git/url.rs", "join", "addresses"),
    ("git/url.rs", "with_host", "addresses"),
];

/// The texts that a file looks for, by the function or table in which they stand.
#[derive(Default)]
struct TextCollector {
    within: Vec<String>,
    /// Lists of texts by the variables that hold them.
    lists: BTreeMap<String, syn::Expr>,
    found: BTreeMap<String, BTreeSet<String>>,
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().starts_with("test")))
    })
}

/// The text that an expression is: a literal, one of a pair's, or a constant by its name.
fn text_of(expression: &syn::Expr) -> Option<String> {
    match expression {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        syn::Expr::Reference(inner) => text_of(&inner.expr),
        syn::Expr::Tuple(pair) => pair.elems.iter().find_map(text_of),
        syn::Expr::Path(path) => {
            let name = path.path.get_ident()?.to_string();
            (name.len() > 1 && !name.contains(|c: char| c.is_lowercase())).then_some(name)
        }
        _ => None,
    }
}

/// What a chain of calls begins with.
fn root(expression: &syn::Expr) -> &syn::Expr {
    match expression {
        syn::Expr::MethodCall(call) => root(&call.receiver),
        other => other,
    }
}

impl TextCollector {
    fn inside(&mut self, name: &syn::Ident, visit: impl FnOnce(&mut Self)) {
        self.within.push(name.to_string());
        visit(self);
        self.within.pop();
    }

    /// Texts of which one is looked for: a list, or a variable that holds one. Other lists make command lines.
    fn add_list(&mut self, expression: &syn::Expr) {
        match expression {
            syn::Expr::Array(array) => array.elems.iter().filter_map(text_of).for_each(|text| self.add(text)),
            syn::Expr::Reference(inner) => self.add_list(&inner.expr),
            syn::Expr::Path(path) => {
                let held = path.path.get_ident().and_then(|name| self.lists.remove(&name.to_string()));
                if let Some(list) = held {
                    self.add_list(&list);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, text: String) {
        let within = self.within.first().cloned().unwrap_or_default();
        self.found.entry(within).or_default().insert(text);
    }
}

impl<'ast> Visit<'ast> for TextCollector {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.inside(&item.sig.ident, |this| visit::visit_item_fn(this, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.inside(&item.sig.ident, |this| visit::visit_impl_item_fn(this, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.inside(&item.ident, |this| this.add_list(&item.expr));
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.inside(&item.ident, |this| this.add_list(&item.expr));
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if ["contains", "starts_with", "ends_with"].iter().any(|name| call.method == name) {
            call.args.iter().filter_map(text_of).for_each(|text| self.add(text));
        }
        if ["all", "any", "contains", "filter", "find", "find_map", "position"].iter().any(|name| call.method == name) {
            self.add_list(root(&call.receiver));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (syn::Pat::Ident(name), Some(init)) = (&local.pat, &local.init) {
            self.lists.insert(name.ident.to_string(), (*init.expr).clone());
        }
        visit::visit_local(self, local);
    }
}

fn texts_of(source: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut collector = TextCollector::default();
    collector.visit_file(&syn::parse_file(source).expect("Rust"));
    collector.found
}

fn core() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fetcher-core/src")
}

/// The sources of a module and of all below it, by their names; what is there for unit tests alone is left out.
fn sources(module: &str) -> BTreeMap<String, String> {
    let root = core();
    let mut open = vec![root.join(module), root.join(format!("{module}.rs"))];
    let mut found = BTreeMap::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()));
        } else {
            let name = path.strip_prefix(&root).expect("a path below").display().to_string();
            if !name.contains("/tests") {
                found.insert(name, fs::read_to_string(&path).expect("a source file"));
            }
        }
    }
    assert!(found.len() > 10, "the sources of {module} were not found");
    found
}

#[test]
fn words_of_failures_stand_in_their_table_alone() {
    let mut wrong = Vec::new();
    let mut known: BTreeSet<_> = NO_WORDS.iter().map(|(file, within, _)| (*file, *within)).collect();
    for (file, source) in READERS.iter().flat_map(|module| sources(module)) {
        for (within, texts) in texts_of(&source) {
            let is_known = NO_WORDS.iter().find(|(name, function, _)| *name == file && *function == within);
            match is_known {
                Some((name, function, _)) => _ = known.remove(&(*name, *function)),
                None => wrong.push(format!("{file}, {within}: {texts:?}")),
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these belong into `failure::phrases`, or into this test with a reason:\n{}",
        wrong.join("\n")
    );
    assert!(known.is_empty(), "these look for nothing any more: {known:?}");
}

#[test]
fn texts_are_seen_however_they_are_looked_for() {
    let source = r#"
        const WORDS: [&str; 2] = ["one", "two"];
        const PAIRS: &[(&str, u8)] = &[("three", 3)];
        fn of_line(line: &str) -> bool {
            let low = || ["four"].iter().any(|word| line.contains(word)) || line.contains(FIVE);
            let words = ["eleven"];
            let arguments = ["git", "fetch"];
            run(&arguments) && line.contains("six") && words.iter().any(|word| line.contains(word)) && low() && line.trim().starts_with("seven") && run(&["git", "gc"]) && run(["git"].iter()) && line.contains('8') && X::nine().ends_with("nine")
        }
        #[cfg(test)]
        mod tests { fn f(line: &str) -> bool { line.contains("ten") } }
    "#;
    let texts = texts_of(source);
    let all: Vec<_> = texts.values().flatten().map(String::as_str).collect();
    assert_eq!(all, ["three", "one", "two", "FIVE", "eleven", "four", "nine", "seven", "six"]);
    assert_eq!(texts.keys().collect::<Vec<_>>(), ["PAIRS", "WORDS", "of_line"]);
}

/// The texts of a file that are long enough to be advice, without its comments.
#[derive(Default)]
struct AdviceCollector(Vec<String>);

impl AdviceCollector {
    fn add_tokens(&mut self, tokens: proc_macro2::TokenStream) {
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Group(group) => self.add_tokens(group.stream()),
                proc_macro2::TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                        self.add(&text);
                    }
                }
                proc_macro2::TokenTree::Ident(_) | proc_macro2::TokenTree::Punct(_) => {}
            }
        }
    }

    fn add(&mut self, text: &syn::LitStr) {
        const SHORTEST_ADVICE: usize = 40;
        let text = text.value();
        if text.len() >= SHORTEST_ADVICE && text.contains(' ') {
            self.0.push(text);
        }
    }
}

impl<'ast> Visit<'ast> for AdviceCollector {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        // Kinds are declared by a macro, and comments in it are attributes.
        self.add_tokens(mac.tokens.clone());
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.add(text);
    }
}

#[test]
fn advice_is_written_once() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut twice = Vec::new();
    for (file, source) in ["failure", "diagnosis"].iter().flat_map(|module| sources(module)) {
        let mut collector = AdviceCollector::default();
        collector.visit_file(&syn::parse_file(&source).expect("Rust"));
        for text in collector.0 {
            if let Some(other) = seen.insert(text.clone(), file.clone()) {
                twice.push(format!("{other} and {file}: {text}"));
            }
        }
    }
    assert!(seen.len() > 100, "{}", seen.len());
    assert!(twice.is_empty(), "{}", twice.join("\n"));
}
