//! What is configured for BuildStream itself.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use super::declare::{FromConfigNode as _, FromConfigTable, config_table};
use super::keys::KeyDefault::{Value, Words};
use super::keys::{ExclusiveKeys, KeyDeclaration, TableDeclaration, ValueKind};
use super::value::{ConfigTable, ConfigValue};
use crate::secret::SecretSet;

pub(super) static BUILDSTREAM: TableDeclaration = TableDeclaration {
    keys: BuildStreamConfig::KEYS,
    choices: &[ExclusiveKeys::at_most_one(&["command", "requirements"])],
    ..TableDeclaration::EMPTY
};

config_table! {
    /// `[buildstream]`, or `[project.buildstream]` where a project has its own.
    #[derive(Debug, Clone, PartialEq)]
    #[non_exhaustive]
    pub struct BuildStreamConfig {
        kind {
            /// The program, or any wrapper of it. Instead of `requirements`.
            key = KeyDeclaration::new("command", ValueKind::Command, Words("`bst` from PATH where it works, else a managed environment"), "[\"podman\", \"run\", \"--rm\", \"bst-image\", \"bst\"]");
            /// What pip installs into an environment that is made and kept for this: the whole list, with BuildStream
            /// in it, or the name of a requirements file. Instead of `command`.
            key = KeyDeclaration::new("requirements", ValueKind::Requirements, Words("`buildstream` with its own and the community's plugins and what those import, where there is no `bst`"), "[\"buildstream==2.8.1\", \"buildstream-plugins==2.8.0\"]");
            /// The Python that makes the environment.
            key = KeyDeclaration::new("python", ValueKind::Text, Value("\"python3\""), "\"python3.12\"");
        }
        /// Environment variables that bst gets beside the usual few.
        pass_environment: Vec<String> = KeyDeclaration::new("pass-environment", ValueKind::List(&ValueKind::Variable, 0), Value("[]"), "[\"HTTPS_PROXY\", \"SSH_AUTH_SOCK\"]");
        /// Merged into the generated `buildstream.conf`.
        config: Map<String, Json> = KeyDeclaration::new("config", ValueKind::Free, Value("{}"), "{ scheduler = { fetchers = 32 } }");
    }
    with {
        /// Where `bst` comes from.
        tool: BuildStreamTool;
    }
}

/// Where `bst` comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildStreamTool {
    /// Nothing was said: `bst` where it is usable, else a managed environment of the default requirements.
    Default {
        /// The Python interpreter that makes the environment.
        python: String,
    },
    /// `command`: the program and its first arguments. A relative path with a slash in it is made absolute.
    Command(Vec<String>),
    /// `requirements`: a managed environment.
    Requirements {
        /// The text of a pip requirements file.
        requirements: String,
        /// The Python interpreter that makes the environment.
        python: String,
        /// The directory that relative paths inside the requirements are relative to.
        directory: PathBuf,
    },
}

impl FromConfigTable for BuildStreamTool {
    const KEYS: &'static [KeyDeclaration] = &[];

    fn from_fields(fields: &ConfigTable) -> Option<Self> {
        let python = String::from_node(fields.get("python"))?;
        if let Some(command) = fields.get("command") {
            return Vec::from_node(Some(command)).map(Self::Command);
        }
        let Some(node) = fields.get("requirements") else { return Some(Self::Default { python }) };
        if let ConfigValue::Requirements(file, text) = &node.value {
            let directory = file.parent()?.to_owned();
            return Some(Self::Requirements { requirements: text.clone(), python, directory });
        }
        let requirements = Vec::<String>::from_node(Some(node))?.join("\n") + "\n";
        Some(Self::Requirements { requirements, python, directory: PathBuf::new() })
    }

    fn add_secrets(&self, secrets: &mut SecretSet) {
        match self {
            Self::Command(command) => command.iter().for_each(|part| secrets.text(part)),
            Self::Requirements { requirements, .. } => secrets.text(requirements),
            Self::Default { .. } => {}
        }
    }
}

impl BuildStreamTool {
    /// Relative paths in a list of requirements are relative to the configuration's directory.
    pub(super) fn listed_in(&mut self, configuration: &Path) {
        if let Self::Requirements { directory, .. } = self
            && directory.as_os_str().is_empty()
        {
            configuration.clone_into(directory);
        }
    }
}
