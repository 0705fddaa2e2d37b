//! What of a project is meant: option sets, what is tracked, what is held, what may fail.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobBuilder;
use jiff::civil::Date;

use super::declare::{FromConfigNode, FromConfigTable, config_keys, config_table};
use super::keys::KeyDefault::{Required as Must, Value, Words};
use super::keys::{KeyDeclaration, TableDeclaration, ValueKind};
use super::value::{ConfigNode, ConfigValue};
use crate::field_text::documented_struct;
use crate::names::{ElementName, VariantName};

pub(super) static VARIANT: TableDeclaration = TableDeclaration { keys: VariantConfig::KEYS, ..TableDeclaration::EMPTY };

pub(super) static SELECT: TableDeclaration = TableDeclaration { keys: SelectConfig::KEYS, ..TableDeclaration::EMPTY };

pub(super) static HOLD: TableDeclaration = TableDeclaration { keys: HoldConfig::KEYS, ..TableDeclaration::EMPTY };

pub(super) static ALLOW_FAILURE: TableDeclaration =
    TableDeclaration { keys: AllowFailure::KEYS, ..TableDeclaration::EMPTY };

config_table! {
    /// One option set of a project.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct VariantConfig {
        /// What the option set is called in reports.
        name: VariantName = KeyDeclaration::new("name", ValueKind::Name, Must, "\"arm\"");
        /// Its options, over the project's.
        options: BTreeMap<String, String> = KeyDeclaration::new("options", ValueKind::Map(&ValueKind::OptionValue), Value("{}"), "{ target_arch = \"aarch64\" }");
    }
}

config_table! {
    /// `select`: what is tracked. Each list holds names and globs; what is said in several has to be true together, and an
    /// empty one says nothing.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct SelectConfig {
        /// Elements with a source from such an address, as it is written or with its alias resolved. A source has to
        /// fit `kinds` too where both are given.
        urls: Vec<String> = KeyDeclaration::new("urls", ValueKind::List(&ValueKind::Glob, 0), Value("[]"), "[\"gnome:*\"]");
        /// Elements with a source of such a kind.
        kinds: Vec<String> = KeyDeclaration::new("kinds", ValueKind::List(&ValueKind::Glob, 0), Value("[]"), "[\"git_repo\"]");
        /// Elements of such a name. `*` is any text, slashes included.
        elements: Vec<String> = KeyDeclaration::new("elements", ValueKind::List(&ValueKind::Glob, 0), Value("[]"), "[\"core/*\"]");
    }
}

impl SelectConfig {
    /// Whether nothing is left out by it.
    pub fn is_everything(&self) -> bool {
        self.urls.is_empty() && self.kinds.is_empty() && self.elements.is_empty()
    }
}

config_table! {
    /// One `[[project.hold]]`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct HoldConfig {
        /// Which elements: a name, or a glob.
        element: String = KeyDeclaration::new("element", ValueKind::Glob, Must, "\"components/qemu.bst\"");
        /// Why, for those who wonder.
        reason: String = KeyDeclaration::new("reason", ValueKind::Text, Must, "\"needs qemu.qmp\"");
        /// The last day on which it holds, by UTC. After it the elements are tracked again, which is told once.
        until: Option<Date> = KeyDeclaration::new("until", ValueKind::Date, Words("until it is removed"), "2027-01-31");
    }
}

documented_struct! {
    /// `allow-failure`: what of a project may fail; it is told then, and not counted.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct AllowFailure {
        /// `true`: all of the project.
        pub project: bool,
        /// Option sets, by the names of `variants`, of which everything may fail.
        pub variants: BTreeSet<VariantName>,
        /// Elements that may fail: names or globs, in which `*` matches `/` too. Those of a subproject are named with
        /// their junction, as in `sub.bst:*`. A junction that keeps everything from being loaded counts all the same.
        pub elements: Vec<String>,
    }
}

config_keys! {
    AllowFailure {
        variants = KeyDeclaration::new("variants", ValueKind::List(&ValueKind::Name, 0), Value("[]"), "[\"arm\"]");
        elements = KeyDeclaration::new("elements", ValueKind::List(&ValueKind::Glob, 0), Value("[]"), "[\"experimental/*\"]");
    }
    beside { Self::default() }
}

impl FromConfigNode for AllowFailure {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        match &node?.value {
            ConfigValue::Bool(project) => Some(Self { project: *project, ..Self::default() }),
            ConfigValue::Table(fields) => Self::from_fields(fields),
            _ => None,
        }
    }
}

impl AllowFailure {
    /// Whether everything of an option set may fail; of all that is not done for one, where there is none.
    pub fn includes_variant(&self, variant: Option<&VariantName>) -> bool {
        self.project || variant.is_some_and(|variant| self.variants.contains(variant))
    }

    /// Whether an element may fail by its name.
    pub fn includes_element(&self, element: &ElementName) -> bool {
        self.elements.iter().any(|pattern| {
            let glob = GlobBuilder::new(pattern).literal_separator(false).backslash_escape(true).build();
            // What is no glob is a name.
            glob.map_or(pattern == element.as_str(), |glob| glob.compile_matcher().is_match(element.as_str()))
        })
    }
}
