//! One declaration of a table: the struct that the library works with, and beside each field the key that it comes from.
//! What the reader accepts, the manual, the JSON Schema, the struct's documentation, and what of it is secret follow.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::keys::{Key, Kind};
use super::value::{Fields, Node, Value};
use crate::secret::{Secret, SecretSet};

/// A table whose struct was declared together with its keys.
pub(super) trait FromConfigTable: Sized {
    /// Its keys, in the order of the manual.
    const KEYS: &'static [Key];

    /// From checked values, every default filled in; nothing where one is missing that the keys promise, which a test of
    /// the keys excludes.
    fn from_fields(fields: &Fields) -> Option<Self>;

    /// Adds what of it is secret, or names a file that is.
    fn add_secrets(&self, secrets: &mut SecretSet);
}

/// What a key's value becomes.
pub(super) trait FromConfigNode: Sized {
    /// From the checked value, where it is given.
    fn from_node(node: Option<&Node>) -> Option<Self>;

    /// Adds what of it is secret where a key of this kind holds it.
    fn add_secrets(&self, kind: &Kind, secrets: &mut SecretSet) {
        let _ = (kind, secrets);
    }
}

/// Declares a table: see [`FromConfigTable`]. The documentation of a field is what the manual says of its key. The key in
/// `kind` has no field: it tells which of the tables is meant that fields behind `with` are built from.
macro_rules! config_table {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident {
            $(kind { $(#[doc = $kind_documentation:literal])+ $kind_key:expr; })?
            $($(#[doc = $documentation:literal])+ $field:ident: $type:ty = $key:expr;)*
        }
        $(with { $($(#[$whole_attribute:meta])+ $whole:ident: $whole_type:ty;)* })?
    ) => {
        $(#[$attribute])*
        pub struct $name {
            $($(#[doc = $documentation])+ pub $field: $type,)*
            $($($(#[$whole_attribute])+ pub $whole: $whole_type,)*)?
        }

        impl $crate::config::declare::FromConfigTable for $name {
            const KEYS: &'static [$crate::config::keys::Key] = &[
                $($kind_key.documented(concat!($($kind_documentation),+)),)?
                $($key.documented(concat!($($documentation),+)),)*
            ];

            fn from_fields(fields: &$crate::config::value::Fields) -> Option<Self> {
                Some(Self {
                    $($field: <$type as $crate::config::declare::FromConfigNode>::from_node(fields.get($key.name))?,)*
                    $($($whole: <$whole_type as $crate::config::declare::FromConfigTable>::from_fields(fields)?,)*)?
                })
            }

            fn add_secrets(&self, secrets: &mut $crate::secret::SecretSet) {
                $($crate::config::declare::FromConfigNode::add_secrets(&self.$field, &$key.kind, secrets);)*
                $($($crate::config::declare::FromConfigTable::add_secrets(&self.$whole, secrets);)*)?
            }
        }

        impl $crate::config::declare::FromConfigNode for $name {
            fn from_node(node: Option<&$crate::config::value::Node>) -> Option<Self> {
                <Self as $crate::config::declare::FromConfigTable>::from_fields(node?.fields()?)
            }

            fn add_secrets(&self, _: &$crate::config::keys::Kind, secrets: &mut $crate::secret::SecretSet) {
                $crate::config::declare::FromConfigTable::add_secrets(self, secrets);
            }
        }
    };
}

/// Declares an enum of words that a key may have, each written as the literal beside it.
macro_rules! config_words {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident { $($(#[$variant_attribute:meta])+ $variant:ident = $word:literal,)* }
    ) => {
        $(#[$attribute])*
        pub enum $name { $($(#[$variant_attribute])+ $variant,)* }

        impl $name {
            /// The words, in their order.
            pub(crate) const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word that the configuration has for it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl $crate::config::declare::FromConfigNode for $name {
            fn from_node(node: Option<&$crate::config::value::Node>) -> Option<Self> {
                match node?.text()? {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

/// Declares an enum of the structs that the key `kind` tells apart, each declared by `config_table!`.
macro_rules! config_kinds {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident { $($(#[$variant_attribute:meta])+ $variant:ident($table:ident) = $kind:literal,)* }
    ) => {
        $(#[$attribute])*
        pub enum $name { $($(#[$variant_attribute])+ $variant($table),)* }

        impl $name {
            /// What `kind` may be.
            pub(crate) const WORDS: &'static [&'static str] = &[$($kind),*];
            /// The further keys of each kind.
            pub(crate) const KINDS: &'static [(&'static str, &'static [$crate::config::keys::Key])] =
                &[$(($kind, <$table as $crate::config::declare::FromConfigTable>::KEYS)),*];
        }

        impl $crate::config::declare::FromConfigTable for $name {
            const KEYS: &'static [$crate::config::keys::Key] = &[];

            fn from_fields(fields: &$crate::config::value::Fields) -> Option<Self> {
                match fields.get("kind")?.text()? {
                    $($kind => $table::from_fields(fields).map(Self::$variant),)*
                    _ => None,
                }
            }

            fn add_secrets(&self, secrets: &mut $crate::secret::SecretSet) {
                match self {
                    $(Self::$variant(table) => $crate::config::declare::FromConfigTable::add_secrets(table, secrets),)*
                }
            }
        }
    };
}

pub(super) use {config_kinds, config_table, config_words};

impl FromConfigNode for String {
    fn from_node(node: Option<&Node>) -> Option<Self> {
        node?.text().map(str::to_owned)
    }

    fn add_secrets(&self, kind: &Kind, secrets: &mut SecretSet) {
        // Credentials can stand in addresses, and in what a command gets.
        if let Kind::Url(_) | Kind::MailServer | Kind::Repository | Kind::Command = kind {
            secrets.text(self);
        }
    }
}

impl FromConfigNode for bool {
    fn from_node(node: Option<&Node>) -> Option<Self> {
        if let Value::Bool(flag) = node?.value { Some(flag) } else { None }
    }
}

impl FromConfigNode for u64 {
    fn from_node(node: Option<&Node>) -> Option<Self> {
        if let Value::Number(number) | Value::Size(number, _) = node?.value { Some(number) } else { None }
    }
}

impl FromConfigNode for u32 {
    fn from_node(node: Option<&Node>) -> Option<Self> {
        u64::from_node(node)?.try_into().ok()
    }
}

impl FromConfigNode for usize {
    fn from_node(node: Option<&Node>) -> Option<Self> {
        u64::from_node(node)?.try_into().ok()
    }
}

impl FromConfigNode for NonZeroUsize {
    fn from_node(node: Option<&Node>) -> Option<Self> {
        Self::new(usize::from_node(node)?)
    }
}

impl FromConfigNode for Duration {
    fn from_node(node: Option<&Node>) -> Option<Self> {
        if let Value::Time(time, _) = node?.value { Some(time) } else { None }
    }
}

impl FromConfigNode for PathBuf {
    fn from_node(node: Option<&Node>) -> Option<Self> {
        if let Value::Path(path) | Value::SecretFile(path) = &node?.value { Some(path.clone()) } else { None }
    }

    fn add_secrets(&self, kind: &Kind, secrets: &mut SecretSet) {
        if let Kind::SecretFile = kind {
            secrets.file(self);
        }
    }
}

impl FromConfigNode for Secret {
    fn from_node(node: Option<&Node>) -> Option<Self> {
        node?.text().map(Secret::new)
    }

    fn add_secrets(&self, kind: &Kind, secrets: &mut SecretSet) {
        if let Kind::SecretUrl(_) = kind {
            secrets.address(self);
        } else {
            secrets.value(self.clone());
        }
    }
}

impl<T: FromConfigNode> FromConfigNode for Option<T> {
    fn from_node(node: Option<&Node>) -> Option<Self> {
        match node {
            None => Some(None),
            Some(_) => T::from_node(node).map(Some),
        }
    }

    fn add_secrets(&self, kind: &Kind, secrets: &mut SecretSet) {
        if let Some(value) = self {
            value.add_secrets(kind, secrets);
        }
    }
}

/// Empty where it is not given.
impl<T: FromConfigNode> FromConfigNode for Vec<T> {
    fn from_node(node: Option<&Node>) -> Option<Self> {
        node.map_or(&[][..], Node::list).iter().map(|node| T::from_node(Some(node))).collect()
    }

    fn add_secrets(&self, kind: &Kind, secrets: &mut SecretSet) {
        let kind = if let Kind::List(of, _) = kind { of } else { kind };
        for value in self {
            value.add_secrets(kind, secrets);
        }
    }
}

/// Headers of HTTP by name; empty where they are not given.
impl FromConfigNode for BTreeMap<String, Secret> {
    fn from_node(node: Option<&Node>) -> Option<Self> {
        let table = node.and_then(Node::fields).into_iter().flatten();
        table.map(|(name, node)| Some((name.clone(), Secret::from_node(Some(node))?))).collect()
    }

    fn add_secrets(&self, _: &Kind, secrets: &mut SecretSet) {
        for (name, value) in self {
            secrets.header(name, value);
        }
    }
}
