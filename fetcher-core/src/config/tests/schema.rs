//! The schema says of the fixtures what the reader says, as far as a form can tell.

use boon::{Compiler, SchemaIndex, Schemas};

use super::*;

fn compiled() -> (Schemas, SchemaIndex) {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("config.json", schema()).unwrap();
    let index = compiler.compile("config.json", &mut schemas).unwrap();
    (schemas, index)
}

fn valid((schemas, index): &(Schemas, SchemaIndex), text: &str) -> bool {
    let value: toml::Table = toml::from_str(text).unwrap();
    schemas.validate(&serde_json::to_value(value).unwrap(), *index).is_ok()
}

#[test]
fn good_configurations_are_valid() {
    let schema = compiled();
    for file in ["minimal.toml", "complete/config.toml"] {
        assert!(valid(&schema, &fs::read_to_string(format!("{FIXTURES}/{file}")).unwrap()), "{file}");
    }
}

#[test]
fn each_fault_of_form_is_seen_by_schema_and_reader_alike() {
    let schema = compiled();
    let good = "[[project]]\nurl = 'https://example.org/x.git'\n";
    assert!(valid(&schema, good));
    for bad in [
        "timeout = 5",
        "timeout = '5'",
        "deps = 'al'",
        "push = 'always'",
        "retries = -1",
        "branches = 'main'",
        "branch = ['main']",
        "name = 'a b'",
        "git = { token = 'x' }",
        "variants = [{}]",
        "options = { a = 1.5 }",
        "buildstream = { command = ['bst'], requirements = ['x'] }",
        "buildstream.command = []",
        "source-caches = [{ push = true }]",
        "source-caches = [{ url = 'x' }]",
        "source-caches = [{ url = 'https://x', auth = { client-cert = 'x' } }]",
        "[fetcher]\njobs = 0",
        "[fetcher]\nmin-free-space = '10%'",
        "[fetcher]\nbase-url = 'x'",
        "[x]",
        "[[notify]]\nkind = 'mastodon'",
        "[[notify]]\nkind = 'webhook'",
        "[[notify]]\nserver = 'ircs://x'",
        "[[notify]]\nkind = 'email'\nserver = 'smtp://x'\nfrom = 'a@b'\nto = []",
        "[[notify]]\nkind = 'irc'\nserver = 'ircs://x'\nchannels = ['#a']\nto = ['a@b']",
        "[[notify]]\nkind = 'webhook'\nurl = 'https://x'\nurl-file = 'x'",
        "[[notify]]\nkind = 'irc'\nserver = 'ircs://x'\nchannels = ['#a']\nsasl-username = 'x'",
        "[upload]",
        "[upload]\nheaders = { a = 'b' }\ncommand = ['x']",
        "[serve]\ntls = { cert = 'x' }",
        "[self-update]\nbinary = ['x']",
        "[self-update]\nenabled = 'yes'",
        "[defaults]\nchannels = []",
    ] {
        let text = format!("{good}{bad}\n");
        assert!(parse(&text).is_err(), "the reader takes {bad}");
        assert!(!valid(&schema, &text), "the schema takes {bad}");
    }
}
