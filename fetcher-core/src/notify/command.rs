//! A program of the host's that tells: the message as JSON on its standard input, facts in its environment.

use std::ffi::OsString;

use serde_json::Value;

use super::error::NotifyError;
use super::host::NotifierHost;
use super::message::Message;
use super::wants::Wants;
use super::{Notifier, render, script};
use crate::config::CommandConfig;

pub(super) struct Program {
    pub(super) name: String,
    pub(super) wants: Wants,
    pub(super) config: CommandConfig,
    pub(super) host: NotifierHost,
}

impl Notifier for Program {
    fn name(&self) -> &str {
        &self.name
    }

    fn wants(&self) -> Wants {
        self.wants.clone()
    }

    fn send(&self, message: &Message) -> Result<(), NotifyError> {
        let facts = render::facts(message);
        let text = |name: &str| match facts.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let variables = [
            ("BST_FETCHER_EVENT", "event"),
            ("BST_FETCHER_TITLE", "title"),
            ("BST_FETCHER_PROJECT", "project"),
            ("BST_FETCHER_BRANCH", "branch"),
            ("BST_FETCHER_OUTCOME", "outcome"),
            ("BST_FETCHER_KIND", "kind"),
            ("BST_FETCHER_CAUSE", "cause"),
            ("BST_FETCHER_URL", "url"),
            ("BST_FETCHER_RUN", "run"),
            ("BST_FETCHER_HOST", "host"),
            ("BST_FETCHER_ID", "id"),
        ];
        let variables = variables.into_iter().map(|(variable, fact)| (variable, text(fact))).collect();
        let mut input = facts.to_string();
        input.push('\n');
        let command: Vec<_> = self.config.command.iter().map(OsString::from).collect();
        script::run(&self.host, &command, input.as_bytes(), variables, self.wants.timeout)
    }
}
