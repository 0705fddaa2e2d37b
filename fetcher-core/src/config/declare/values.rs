//! What checked values become: the types of fields.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Date;
use serde_json::{Map, Value as Json};

use super::super::keys::ValueKind;
use super::super::value::{ConfigNode, ConfigValue};
use super::super::weekly::WeeklySchedule;
use super::FromConfigNode;
use crate::names::{BranchName, ProjectName, TrustName, VariantName};
use crate::secret::{Secret, SecretSet};

impl FromConfigNode for String {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        node?.text().map(str::to_owned)
    }

    fn add_secrets(&self, kind: &ValueKind, secrets: &mut SecretSet) {
        // Credentials can stand in addresses, and in what a command gets.
        if let ValueKind::Url(_) | ValueKind::MailServer | ValueKind::Repository | ValueKind::Command = kind {
            secrets.text(self);
        }
    }
}

impl FromConfigNode for bool {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        if let ConfigValue::Bool(flag) = node?.value { Some(flag) } else { None }
    }
}

impl FromConfigNode for u64 {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        if let ConfigValue::Number(number) | ConfigValue::Size(number, _) = node?.value { Some(number) } else { None }
    }
}

impl FromConfigNode for u32 {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        u64::from_node(node)?.try_into().ok()
    }
}

impl FromConfigNode for usize {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        u64::from_node(node)?.try_into().ok()
    }
}

impl FromConfigNode for NonZeroUsize {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        Self::new(usize::from_node(node)?)
    }
}

impl FromConfigNode for Duration {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        if let ConfigValue::Time(time, _) = node?.value { Some(time) } else { None }
    }
}

impl FromConfigNode for PathBuf {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        if let ConfigValue::Path(path) | ConfigValue::SecretFile(path) = &node?.value {
            Some(path.clone())
        } else {
            None
        }
    }

    fn add_secrets(&self, kind: &ValueKind, secrets: &mut SecretSet) {
        if let ValueKind::SecretFile = kind {
            secrets.file(self);
        }
    }
}

impl FromConfigNode for Secret {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        node?.text().map(Secret::new)
    }

    fn add_secrets(&self, kind: &ValueKind, secrets: &mut SecretSet) {
        if let ValueKind::SecretUrl(_) = kind {
            secrets.address(self);
        } else {
            secrets.value(self.clone());
        }
    }
}

impl<T: FromConfigNode> FromConfigNode for Option<T> {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        match node {
            None => Some(None),
            Some(_) => T::from_node(node).map(Some),
        }
    }

    fn add_secrets(&self, kind: &ValueKind, secrets: &mut SecretSet) {
        if let Some(value) = self {
            value.add_secrets(kind, secrets);
        }
    }
}

/// Empty where it is not given.
impl<T: FromConfigNode> FromConfigNode for Vec<T> {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        node.map_or(&[][..], ConfigNode::list).iter().map(|node| T::from_node(Some(node))).collect()
    }

    fn add_secrets(&self, kind: &ValueKind, secrets: &mut SecretSet) {
        let kind = if let ValueKind::List(of, _) = kind { of } else { kind };
        for value in self {
            value.add_secrets(kind, secrets);
        }
    }
}

/// Headers of HTTP by name; empty where they are not given.
impl FromConfigNode for BTreeMap<String, Secret> {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        let table = node.and_then(ConfigNode::fields).into_iter().flatten();
        table.map(|(name, node)| Some((name.clone(), Secret::from_node(Some(node))?))).collect()
    }

    fn add_secrets(&self, _: &ValueKind, secrets: &mut SecretSet) {
        for (name, value) in self {
            secrets.header(name, value);
        }
    }
}

impl<T: FromConfigNode + Ord> FromConfigNode for BTreeSet<T> {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        Vec::from_node(node).map(|values: Vec<T>| values.into_iter().collect())
    }
}

/// Text by name; empty where it is not given.
impl FromConfigNode for BTreeMap<String, String> {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        let table = node.and_then(ConfigNode::fields).into_iter().flatten();
        table.map(|(name, node)| Some((name.clone(), String::from_node(Some(node))?))).collect()
    }
}

impl FromConfigNode for Date {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        if let ConfigValue::Date(date) = node?.value { Some(date) } else { None }
    }
}

/// A table that is handed on as it is.
impl FromConfigNode for Map<String, Json> {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        Some(node?.fields()?.iter().map(|(name, node)| (name.clone(), node.json())).collect())
    }
}

/// A table whose values are handed on as they are.
impl FromConfigNode for BTreeMap<String, Json> {
    fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
        Map::from_node(node).map(|values| values.into_iter().collect())
    }
}

/// Text that the reader has parsed before.
macro_rules! parsed {
    ($($name:ty),*) => {$(
        impl FromConfigNode for $name {
            fn from_node(node: Option<&ConfigNode>) -> Option<Self> {
                node?.text()?.parse().ok()
            }
        }
    )*};
}

parsed!(BranchName, ProjectName, TrustName, VariantName, WeeklySchedule);
