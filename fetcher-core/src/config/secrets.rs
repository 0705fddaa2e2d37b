//! Every secret that a configuration holds or names, from what it means: whoever built it, a file or a program.

use serde_json::{Map, Value};

use crate::address::AddressParts;
use crate::environment::Environment;
use crate::secret::{Secret, SecretSet, names_a_secret};

use super::declare::FromConfigTable as _;
use super::{BuildStreamConfig, Config, HoldConfig, ProjectConfig, SelectConfig, SourceCacheConfig};

/// Where this library finds proxies, whose addresses may hold a password; git and HTTP get them in any case.
const PROXIES: [&str; 6] = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

impl Config {
    /// Every secret, for a [`Redactor`](crate::Redactor): the files that are named for tokens, passwords and keys,
    /// addresses and headers that may be secrets, the credentials in any other address, what keys and options of
    /// BuildStream's hold whose names say so, the variables of `environment` that `pass-environment` hands on, and those
    /// that were put into the configuration and whose names say so.
    pub fn secrets(&self, environment: &Environment) -> SecretSet {
        let Self {
            path: _,
            warnings: _,
            digest: _,
            state_dir: _,
            cache_dir: _,
            jobs: _,
            min_free_space: _,
            keep_runs: _,
            keep_logs: _,
            lock_alarm_after: _,
            publish_dir: _,
            base_url,
            metrics_file: _,
            refresh_after: _,
            probe: _,
            clean_client_every: _,
            self_update,
            projects,
            notify,
            upload,
            serve,
            effective: _,
            secret_variables,
        } = self;
        let mut all = GatheredSecrets { set: SecretSet::default(), environment, variables: secret_variables };
        for secret in secret_variables {
            all.set.value(secret.clone());
        }
        for name in PROXIES {
            all.variable(name);
        }
        if let Some(url) = base_url {
            all.set.text(url);
            // Where people are sent to is no secret, though pages may be uploaded to the same address.
            all.public(&without_user(url));
        }
        self_update.add_secrets(&mut all.set);
        for project in projects {
            all.project(project);
        }
        for notifier in notify {
            notifier.add_secrets(&mut all.set);
        }
        if let Some(upload) = upload {
            upload.add_secrets(&mut all.set);
        }
        serve.add_secrets(&mut all.set);
        all.set
    }
}

struct GatheredSecrets<'e> {
    set: SecretSet,
    environment: &'e Environment,
    /// The secrets that variables put into the configuration.
    variables: &'e [Secret],
}

impl GatheredSecrets<'_> {
    /// Says that a text is no secret, unless somebody has put one into it.
    fn public(&mut self, text: &str) {
        if !self.variables.iter().any(|secret| text.contains(secret.expose())) {
            self.set.public(text);
        }
    }

    fn texts(&mut self, texts: &[String]) {
        for text in texts {
            self.set.text(text);
        }
    }

    fn variable(&mut self, name: &str) {
        if let Some(value) = self.environment.get(name) {
            self.set.variable(name, &value.to_string_lossy());
        }
    }

    fn project(&mut self, project: &ProjectConfig) {
        let ProjectConfig {
            name,
            trust,
            url,
            branches: _,
            exclude_branches: _,
            directory: _,
            targets: _,
            deps: _,
            except: _,
            cross_junctions: _,
            options,
            variants,
            submodules: _,
            prepare,
            select,
            holds,
            refs: _,
            track: _,
            fetch: _,
            push: _,
            verify: _,
            timeout: _,
            retries: _,
            retry_delay: _,
            on_error: _,
            allow_failure: _,
            git,
            source_caches,
            probe: _,
            buildstream,
            publish,
            groups: _,
            // Paths and limits.
            sandbox: _,
            credentials,
        } = project;
        self.public(name.as_str());
        if let Some(trust) = trust {
            self.public(trust.as_str());
        }
        self.set.text(url);
        // They are in bst's arguments, where everybody on this host sees them: only credentials can be meant as secret.
        for value in options.values() {
            self.set.text(value);
        }
        variants.iter().flat_map(|variant| variant.options.values()).for_each(|value| self.set.text(value));
        self.texts(prepare);
        let SelectConfig { urls, kinds: _, elements: _ } = select;
        self.texts(urls);
        for HoldConfig { element: _, reason, until: _ } in holds {
            self.set.text(reason);
        }
        git.add_secrets(&mut self.set);
        publish.add_secrets(&mut self.set);
        credentials.add_secrets(&mut self.set);
        for cache in source_caches {
            let SourceCacheConfig { url, push: _, kind: _, instance_name: _, auth, connection_config } = cache;
            self.set.text(url);
            auth.iter().chain(connection_config).for_each(|(key, value)| self.json(key, value));
        }
        let BuildStreamConfig { tool, pass_environment, config } = buildstream;
        tool.add_secrets(&mut self.set);
        for name in pass_environment {
            self.variable(name);
        }
        self.table(config);
    }

    fn table(&mut self, table: &Map<String, Value>) {
        for (key, value) in table {
            self.json(key, value);
        }
    }

    /// A value of BuildStream's own configuration: a secret where its key says so, or the file that holds it.
    fn json(&mut self, key: &str, value: &Value) {
        match value {
            // Of tokens and keys BuildStream's configuration has the files' names.
            Value::String(text) if text.starts_with('/') => {
                if names_a_secret(key) || names_a_secret(&format!("{key}_")) {
                    self.set.file(text);
                }
            }
            Value::String(text) if names_a_secret(key) => self.set.variable(key, text),
            Value::String(text) => self.set.text(text),
            Value::Array(items) => items.iter().for_each(|item| self.json(key, item)),
            Value::Object(table) => self.table(table),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// An address with no user at all in it, for none of it is secret then.
fn without_user(url: &str) -> String {
    let parts = AddressParts::of_url(url);
    let whole =
        |AddressParts { scheme, authority, rest, .. }| format!("{}://{authority}{rest}", scheme.unwrap_or_default());
    parts.map_or_else(|| url.to_owned(), whole)
}
