//! The effective configuration, as text.

use super::*;

#[test]
fn every_value_is_shown_with_where_it_comes_from() {
    let text = "[buildstream]\npass-environment = ['HTTPS_PROXY']\nconfig.scheduler.fetchers = 32\n\
         [defaults]\nretries = 5\ngit.username = 'u'\nconfig = { scheduler.builders = 1 }\n\
         [[project]]\nurl = 'one'\noptions = { arch = 'x86_64', debug = true }\nbranches = ['v${SERIES}', 'a$$b']\n\
         config.scheduler.fetchers = 4\n[[project.source-caches]]\nurl = 'https://cache.example.org'\n\
         auth = { access-token = 'cache.token' }\n\
         [[notify]]\nkind = 'webhook'\nurl = 'https://hooks.example.org/secret'\n\
         headers = { Authorization = 'Bearer ${HOOK_TOKEN}' }\n\
         [[notify]]\nkind = 'command'\ncommand = ['curl', '${HOOK_TOKEN}']\n";
    let shown = parse(text).unwrap().show();
    insta::assert_snapshot!(shown);
    assert!(!shown.contains("hunter2") && !shown.contains("/secret"));
}

#[test]
fn what_is_shown_means_the_same() {
    let text = fs::read_to_string(format!("{FIXTURES}/complete/config.toml")).unwrap();
    let without_secrets = text.replace("url = \"https://hooks.example.org/x\"", "url-file = \"x\"");
    let without_secrets = without_secrets.replace("url = \"https://hc.example.org/ping/uuid\"", "url-file = \"x\"");
    let config = parse(&without_secrets).unwrap();
    let again = parse(&config.show()).unwrap_or_else(|error| panic!("{error}\n{}", config.show()));
    assert_eq!(config.projects, again.projects);
    assert_eq!(config.notify, again.notify);
    assert_eq!(config.serve, again.serve);
    assert_eq!(config.min_free_space, again.min_free_space);
}
