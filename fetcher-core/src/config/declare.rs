//! One declaration of a table: the struct that the library works with, and beside each field the key that it comes from.
//! What the reader accepts, the manual, the JSON Schema, the struct's documentation, and what of it is secret follow.

mod values;

use super::keys::{KeyDeclaration, ValueKind};
use super::value::{ConfigNode, ConfigTable};
use crate::secret::SecretSet;

/// A table whose struct was declared together with its keys.
pub(super) trait FromConfigTable: Sized {
    /// Its keys, in the order of the manual.
    const KEYS: &'static [KeyDeclaration];

    /// From checked values, every default filled in; nothing where one is missing that the keys promise, which a test of
    /// the keys excludes.
    fn from_fields(fields: &ConfigTable) -> Option<Self>;

    /// Adds what of it is secret, or names a file that is.
    fn add_secrets(&self, secrets: &mut SecretSet);
}

/// What a key's value becomes.
pub(super) trait FromConfigNode: Sized {
    /// From the checked value, where it is given.
    fn from_node(node: Option<&ConfigNode>) -> Option<Self>;

    /// Adds what of it is secret where a key of this kind holds it.
    fn add_secrets(&self, kind: &ValueKind, secrets: &mut SecretSet) {
        let _ = (kind, secrets);
    }
}

/// Declares a table: see [`FromConfigTable`]. The documentation of a field is what the manual says of its key. Keys in `kind`
/// have no field: they tell what fields behind `with` are built from. Nor has the one in `key`, whose value is merged
/// into another's.
macro_rules! config_table {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident {
            $(kind { $($(#[doc = $kind_documentation:literal])+ key = $kind_key:expr;)+ })?
            $($(#[doc = $documentation:literal])+ $field:ident: $type:ty = $key:expr;)*
            $(
                key { $(#[doc = $merged_documentation:literal])+ key = $merged_key:expr; }
                then { $($(#[doc = $then_documentation:literal])+ $then_field:ident: $then_type:ty = $then_key:expr;)* }
            )?
        }
        $(with { $($(#[$whole_attribute:meta])+ $whole:ident: $whole_type:ty;)* })?
    ) => {
        $(#[$attribute])*
        pub struct $name {
            $($(#[doc = $documentation])+ pub $field: $type,)*
            $($($(#[doc = $then_documentation])+ pub $then_field: $then_type,)*)?
            $($($(#[$whole_attribute])+ pub $whole: $whole_type,)*)?
        }

        impl $crate::config::declare::FromConfigTable for $name {
            const KEYS: &'static [$crate::config::keys::KeyDeclaration] = &[
                $($($kind_key.documented(concat!($($kind_documentation),+)),)+)?
                $($key.documented(concat!($($documentation),+)),)*
                $(
                    $merged_key.documented(concat!($($merged_documentation),+)),
                    $($then_key.documented(concat!($($then_documentation),+)),)*
                )?
            ];

            fn from_fields(fields: &$crate::config::value::ConfigTable) -> Option<Self> {
                Some(Self {
                    $($field: <$type as $crate::config::declare::FromConfigNode>::from_node(fields.get($key.name))?,)*
                    $($($then_field: <$then_type as $crate::config::declare::FromConfigNode>::from_node(fields.get($then_key.name))?,)*)?
                    $($($whole: <$whole_type as $crate::config::declare::FromConfigTable>::from_fields(fields)?,)*)?
                })
            }

            fn add_secrets(&self, secrets: &mut $crate::secret::SecretSet) {
                $($crate::config::declare::FromConfigNode::add_secrets(&self.$field, &$key.kind, secrets);)*
                $($($crate::config::declare::FromConfigNode::add_secrets(&self.$then_field, &$then_key.kind, secrets);)*)?
                $($($crate::config::declare::FromConfigTable::add_secrets(&self.$whole, secrets);)*)?
            }
        }

        $crate::config::declare::config_nodes!($name);
    };
}

/// Declares the keys of a table whose struct is a lower module's, or has more than fields: it is a
/// [`documented_struct`](crate::field_text::documented_struct), which says what the keys are. What a field is where its key
/// is not given stands behind `or`.
macro_rules! config_keys {
    (
        $name:ident { $($field:ident = $key:expr $(, or $default:expr)?;)* }
        $(beside { $rest:expr })?
    ) => {
        impl $crate::config::declare::FromConfigTable for $name {
            const KEYS: &'static [$crate::config::keys::KeyDeclaration] =
                &[$($key.documented($crate::field_text::field_text(Self::FIELD_TEXTS, stringify!($field))),)*];

            fn from_fields(fields: &$crate::config::value::ConfigTable) -> Option<Self> {
                Some(Self {
                    $($field: $crate::config::declare::from_node_or(
                        fields.get($key.name),
                        None $(.or(Some($default)))?,
                    )?,)*
                    $(..$rest)?
                })
            }

            fn add_secrets(&self, secrets: &mut $crate::secret::SecretSet) {
                $($crate::config::declare::FromConfigNode::add_secrets(&self.$field, &$key.kind, secrets);)*
            }
        }
    };
}

/// Declares the struct of the configuration as a whole: fields that are keys of `[fetcher]`, and others beside them.
macro_rules! config_root {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident { $($(#[doc = $documentation:literal])+ $field:ident: $type:ty = $key:expr;)* }
        beside { $($(#[$beside_attribute:meta])+ $visibility:vis $beside:ident: $beside_type:ty;)* }
    ) => {
        $(#[$attribute])*
        pub struct $name {
            $($(#[doc = $documentation])+ pub $field: $type,)*
            $($(#[$beside_attribute])+ $visibility $beside: $beside_type,)*
        }

        impl $name {
            /// The keys of `[fetcher]`.
            const FETCHER_KEYS: &'static [$crate::config::keys::KeyDeclaration] =
                &[$($key.documented(concat!($($documentation),+)),)*];

            #[expect(clippy::too_many_arguments, reason = "one for each field that is no key of `[fetcher]`")]
            fn from_fetcher(fetcher: &$crate::config::value::ConfigTable, $($beside: $beside_type),*) -> Option<Self> {
                Some(Self {
                    $($field: <$type as $crate::config::declare::FromConfigNode>::from_node(fetcher.get($key.name))?,)*
                    $($beside,)*
                })
            }
        }
    };
}

/// Has tables be values of keys.
macro_rules! config_nodes {
    ($($name:ident),*) => {$(
        impl $crate::config::declare::FromConfigNode for $name {
            fn from_node(node: Option<&$crate::config::value::ConfigNode>) -> Option<Self> {
                <Self as $crate::config::declare::FromConfigTable>::from_fields(node?.fields()?)
            }

            fn add_secrets(&self, _: &$crate::config::keys::ValueKind, secrets: &mut $crate::secret::SecretSet) {
                $crate::config::declare::FromConfigTable::add_secrets(self, secrets);
            }
        }
    )*};
}

/// Gives an enum of a lower module the words that a key may have.
macro_rules! config_word_names {
    ($words:ident: $name:ident { $($variant:ident = $word:literal,)* }) => {
        /// What the configuration calls them.
        const $words: &[&str] = &[$($word),*];

        impl $crate::config::declare::FromConfigNode for $name {
            fn from_node(node: Option<&$crate::config::value::ConfigNode>) -> Option<Self> {
                match node?.text()? {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
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
            fn from_node(node: Option<&$crate::config::value::ConfigNode>) -> Option<Self> {
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
            pub(crate) const KINDS: &'static [(&'static str, &'static [$crate::config::keys::KeyDeclaration])] =
                &[$(($kind, <$table as $crate::config::declare::FromConfigTable>::KEYS)),*];
        }

        impl $crate::config::declare::FromConfigTable for $name {
            const KEYS: &'static [$crate::config::keys::KeyDeclaration] = &[];

            fn from_fields(fields: &$crate::config::value::ConfigTable) -> Option<Self> {
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

pub(super) use {config_keys, config_kinds, config_nodes, config_root, config_table, config_word_names, config_words};

/// From the checked value; where it is not given, what is said instead.
pub(super) fn from_node_or<T: FromConfigNode>(node: Option<&ConfigNode>, default: Option<T>) -> Option<T> {
    if node.is_none() && default.is_some() { default } else { T::from_node(node) }
}
