//! The JSON Schema of the configuration, made from the table of keys, for editors.

use serde_json::{Map, Value, json};

use super::keys::{
    ExclusiveKeys, KeyDeclaration, KeyDefault, KeyRequirement, MinimumDuration, TableDeclaration, ValueKind,
};
use super::tables::TOP;

/// The JSON Schema (draft 2020-12) of a configuration file, for editors that complete and check TOML by one.
///
/// It knows what a form can tell: keys, types, words, ranges. What depends on other files, the environment or several
/// tables together is seen by [`Config::load`](super::Config::load) alone. Keys whose values, or the files that they
/// name, are secret are `writeOnly`.
///
/// ```
/// let schema = fetcher_core::config::schema();
/// assert_eq!(schema["properties"]["fetcher"]["properties"]["jobs"]["default"], 2);
/// ```
pub fn schema() -> Value {
    let mut schema = table(&TOP, &[], MissingKey::Refused);
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("bst-fetcher"));
    Value::Object(schema)
}

/// What is said of a required key that is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MissingKey {
    /// The table has to have it.
    Refused,
    /// Another table may have it.
    Allowed,
}

fn table(table: &TableDeclaration, further: &[KeyDeclaration], missing: MissingKey) -> Map<String, Value> {
    let keys: Vec<&KeyDeclaration> = table.keys.iter().chain(further).collect();
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("additionalProperties".to_owned(), json!(false));
    let required = keys.iter().filter(|key| matches!(key.fallback, KeyDefault::Required)).map(|key| key.name);
    let required: Vec<&str> = required.filter(|_| missing == MissingKey::Refused).collect();
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    let has = |name: &str| keys.iter().any(|key| key.name == name);
    let needs: Map<String, Value> = table
        .needs
        .iter()
        .filter(|(key, _)| has(key))
        .map(|(key, needed)| ((*key).to_owned(), json!([needed])))
        .collect();
    if !needs.is_empty() {
        schema.insert("dependentRequired".to_owned(), Value::Object(needs));
    }
    let choices: Vec<Value> =
        table.choices.iter().filter(|choice| choice.keys.iter().all(|key| has(key))).map(one_of).collect();
    if !choices.is_empty() {
        schema.insert("allOf".to_owned(), Value::Array(choices));
    }
    schema
}

fn one_of(choice: &ExclusiveKeys) -> Value {
    let given: Vec<Value> = choice.keys.iter().map(|key| json!({ "required": [key] })).collect();
    match choice.required {
        KeyRequirement::Never => json!({ "not": { "required": choice.keys } }),
        KeyRequirement::Always | KeyRequirement::ForKinds(_) => json!({ "oneOf": given }),
    }
}

/// The items of a list of tables: by `kind` where the tables have kinds.
fn item(of: &TableDeclaration) -> Value {
    if of.kinds.is_empty() {
        return Value::Object(table(of, &[], MissingKey::Refused));
    }
    let one = |(kind, keys): &(&str, &[KeyDeclaration])| {
        let mut schema = table(of, keys, MissingKey::Refused);
        schema["properties"]["kind"]["enum"] = json!([kind]);
        Value::Object(schema)
    };
    json!({ "type": "object", "required": ["kind"], "oneOf": of.kinds.iter().map(one).collect::<Vec<_>>() })
}

fn property(key: &KeyDeclaration) -> Value {
    let mut schema = value(&key.kind);
    if let ValueKind::SecretFile | ValueKind::SecretUrl(_) = key.kind {
        schema["writeOnly"] = json!(true);
    }
    let mut description = key.meaning().to_owned();
    match key.fallback {
        KeyDefault::Value(text) => {
            if let Some(default) = from_toml(text) {
                schema["default"] = default;
            }
        }
        KeyDefault::Words(words) => description = format!("{description}\n\nDefault: {words}."),
        KeyDefault::Required => {}
    }
    schema["description"] = Value::from(description);
    if let Some(example) = from_toml(key.example) {
        schema["examples"] = json!([example]);
    }
    schema
}

/// A value written in TOML as JSON.
fn from_toml(text: &str) -> Option<Value> {
    let table: toml::Table = toml::from_str(&format!("x = {text}")).ok()?;
    serde_json::to_value(table.get("x")?).ok()
}

fn value(kind: &ValueKind) -> Value {
    match kind {
        ValueKind::Bool => json!({ "type": "boolean" }),
        ValueKind::Number(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        ValueKind::Size => json!({ "anyOf": [pattern("[0-9]+[KMGT]?"), { "type": "integer", "minimum": 0 }] }),
        ValueKind::Time(MinimumDuration::Zero | MinimumDuration::Second) => pattern("[0-9P].*[A-Za-z]"),
        ValueKind::Word(words) => json!({ "type": "string", "enum": words }),
        ValueKind::BoolOr(words) => json!({ "anyOf": [{ "type": "boolean" }, { "type": "string", "enum": words }] }),
        ValueKind::Url(schemes) | ValueKind::SecretUrl(schemes) => pattern(&format!("({}):.*", schemes.join("|"))),
        ValueKind::MailServer => pattern("(smtp|smtps|smtp\\+starttls|sendmail)(:.*)?"),
        ValueKind::Mail => pattern("[^@ ]+@[^@ ]+"),
        ValueKind::Name => pattern("[A-Za-z0-9][A-Za-z0-9._-]*"),
        ValueKind::Variable => pattern("[A-Za-z_][A-Za-z0-9_]*"),
        ValueKind::Version => pattern("[0-9]+\\.[0-9]+\\.[0-9]+.*"),
        ValueKind::Header => json!({ "type": "string", "writeOnly": true }),
        ValueKind::OptionValue => {
            json!({ "type": ["string", "boolean", "integer", "array"], "items": { "type": "string" } })
        }
        ValueKind::List(of, least) => json!({ "type": "array", "items": value(of), "minItems": least }),
        ValueKind::Map(of) => json!({ "type": "object", "additionalProperties": value(of) }),
        // What editors know of TOML's dates.
        ValueKind::Date => json!({ "type": "string", "format": "date" }),
        ValueKind::CheckoutCommand => json!({ "type": "array", "items": { "type": "string" } }),
        ValueKind::Command => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
        ValueKind::Requirements => {
            let list = json!({ "type": "array", "items": value(&ValueKind::Text), "minItems": 1 });
            json!({ "anyOf": [list, value(&ValueKind::Text)] })
        }
        ValueKind::Free => json!({ "type": "object" }),
        ValueKind::Table(inner) if inner.layered => Value::Object(table(inner, &[], MissingKey::Allowed)),
        ValueKind::Table(inner) => Value::Object(table(inner, &[], MissingKey::Refused)),
        ValueKind::BoolOrTable(inner) => {
            json!({ "anyOf": [{ "type": "boolean" }, table(inner, &[], MissingKey::Refused)] })
        }
        // `url` may come from `[defaults]`.
        ValueKind::Tables(inner) if inner.layered => {
            json!({ "type": "array", "items": table(inner, &[], MissingKey::Allowed), "minItems": 1 })
        }
        ValueKind::Tables(inner) => json!({ "type": "array", "items": item(inner) }),
        ValueKind::Text
        | ValueKind::Path
        | ValueKind::InnerPath
        | ValueKind::File
        | ValueKind::SecretFile
        | ValueKind::Repository
        | ValueKind::Listen
        | ValueKind::IrcName
        | ValueKind::Branch
        | ValueKind::Branches
        | ValueKind::Glob
        | ValueKind::Element => json!({ "type": "string", "minLength": 1 }),
    }
}

/// Text of a form, or text with a variable in it, of which the form is not known.
fn pattern(form: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^({form})$|\\$\\{{") })
}
