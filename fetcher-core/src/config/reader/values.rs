//! Checking one value by its kind.

use std::fmt::Write as _;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use crate::secret::Secret;

use super::super::keys::{TableDeclaration, ValueKind};
use super::super::value::{ConfigNode, ConfigTable, ConfigValue};
use super::{ConfigReader, KeySpan, join, text};

impl ConfigReader<'_> {
    /// The checked value; none where it was refused, which is noted then.
    pub(super) fn checked(
        &mut self,
        kind: &'static ValueKind,
        written: &Spanned<DeValue<'_>>,
        spot: KeySpan<'_>,
    ) -> Option<ConfigValue> {
        match (kind, written.get_ref()) {
            (ValueKind::Bool | ValueKind::BoolOr(_) | ValueKind::BoolOrTable(_), DeValue::Boolean(value)) => {
                Some(ConfigValue::Bool(*value))
            }
            (ValueKind::Number(least, most), DeValue::Integer(number)) => self.number(number, *least, *most, spot),
            (ValueKind::Size, DeValue::Integer(number)) => {
                let ConfigValue::Number(bytes) = self.number(number, 0, u64::MAX, spot)? else { return None };
                Some(ConfigValue::Size(bytes, bytes.to_string()))
            }
            (ValueKind::OptionValue, value) => self.option(value, spot),
            (ValueKind::List(of, least), DeValue::Array(items)) => self.items(of, *least, items, spot),
            (ValueKind::Command, DeValue::Array(items)) => self.command(items, spot),
            (ValueKind::CheckoutCommand, DeValue::Array(items)) => Some(self.checkout_command(items, spot)),
            (ValueKind::Date, DeValue::Datetime(date)) => self.accept(spot, text::date(date)),
            (ValueKind::Requirements, DeValue::Array(items)) => self.items(&ValueKind::Text, 1, items, spot),
            (ValueKind::Map(of), DeValue::Table(table)) => Some(self.map(of, table, spot)),
            (ValueKind::Free, DeValue::Table(_)) => self.free(written.get_ref(), spot),
            (ValueKind::Table(inner) | ValueKind::BoolOrTable(inner), DeValue::Table(table)) => {
                Some(ConfigValue::Table(self.inner_table(inner, table, spot)))
            }
            (ValueKind::Tables(inner), DeValue::Array(items)) => Some(self.tables(inner, items, spot)),
            (kind, DeValue::String(written)) if kind.is_text() => {
                let text = self.expand(written, spot)?;
                self.text_value(kind, text, spot)
            }
            (_, value) => {
                let refusal = wrong_type(kind, value, spot);
                self.problem(spot.at, spot.place, refusal);
                None
            }
        }
    }

    /// Notes a refusal where there is one.
    pub(super) fn accept<T>(&mut self, spot: KeySpan<'_>, result: Result<T, super::ValueRejection>) -> Option<T> {
        result.map_err(|refusal| self.problem(spot.at, spot.place, refusal)).ok()
    }

    fn text_value(&mut self, kind: &'static ValueKind, text: String, spot: KeySpan<'_>) -> Option<ConfigValue> {
        if let ValueKind::Header = kind {
            return self.accept(spot, text::printable(&text)).map(|()| ConfigValue::Secret(Secret::new(text)));
        }
        let plain = text::not_empty(&text).and_then(|()| text::printable(&text));
        self.accept(spot, plain)?;
        match kind {
            ValueKind::Path => Some(ConfigValue::Path(self.absolute(&text))),
            ValueKind::File => self.file(&text, false, spot),
            ValueKind::SecretFile => self.file(&text, true, spot),
            ValueKind::Requirements => self.requirements_file(&text, spot),
            ValueKind::Repository => {
                let checked = text::repository(&text);
                let is_path = self.accept(spot, checked)?;
                let absolute = || self.absolute(&text).to_string_lossy().into_owned();
                Some(ConfigValue::Text(if is_path { absolute() } else { text }))
            }
            ValueKind::SecretUrl(schemes) => {
                self.accept(spot, text::url(&text, schemes)).map(|()| ConfigValue::Secret(Secret::new(text)))
            }
            _ => self.accept(spot, text::parse(kind, text)),
        }
    }

    fn number(&mut self, number: &DeInteger<'_>, least: u64, most: u64, spot: KeySpan<'_>) -> Option<ConfigValue> {
        let value = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let value = value.and_then(|value| u64::try_from(value).ok()).filter(|value| (least..=most).contains(value));
        let advice = format!("for example: {} = {}", spot.key.name, spot.key.example);
        let range = if most == u64::MAX { "0 or more".to_owned() } else { format!("from {least} to {most}") };
        self.accept(spot, value.map(ConfigValue::Number).ok_or((format!("it has to be {range}"), advice)))
    }

    fn items(
        &mut self,
        of: &'static ValueKind,
        least: usize,
        items: &DeArray<'_>,
        spot: KeySpan<'_>,
    ) -> Option<ConfigValue> {
        let nodes: Vec<ConfigNode> = items.iter().map(|item| self.value(of, item, spot)).collect();
        if nodes.len() < least {
            let advice = format!("for example: {} = {}", spot.key.name, spot.key.example);
            self.problem(spot.at, spot.place, ("the list is empty".to_owned(), advice));
            return None;
        }
        Some(ConfigValue::List(nodes))
    }

    fn map(&mut self, of: &'static ValueKind, table: &DeTable<'_>, spot: KeySpan<'_>) -> ConfigValue {
        let mut fields = ConfigTable::new();
        for (name, value) in table {
            let here = KeySpan { place: &join(spot.place, name.get_ref()), at: name.span().start, ..spot };
            let checked = text::map_key(of, name.get_ref());
            if self.accept(here, checked).is_some() {
                fields.insert(name.get_ref().to_string(), self.value(of, value, here));
            }
        }
        ConfigValue::Table(fields)
    }

    fn inner_table(
        &mut self,
        table: &'static TableDeclaration,
        written: &DeTable<'_>,
        spot: KeySpan<'_>,
    ) -> ConfigTable {
        let outside = self.through;
        if table.layered {
            self.through = "[defaults]";
        }
        let fields = self.table(table, written, spot.at, spot.place);
        self.through = outside;
        fields
    }

    fn tables(&mut self, table: &'static TableDeclaration, items: &DeArray<'_>, spot: KeySpan<'_>) -> ConfigValue {
        let mut nodes = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let place = place_of(spot.place, index, item.get_ref());
            let here = KeySpan { place: &place, at: item.span().start, ..spot };
            nodes.push(self.node(here.at, |reader| {
                if let DeValue::Table(written) = item.get_ref() {
                    return Some(ConfigValue::Table(reader.table(table, written, here.at, &place)));
                }
                reader.problem(here.at, &place, wrong_type(&ValueKind::Free, item.get_ref(), here));
                None
            }));
        }
        ConfigValue::List(nodes)
    }

    /// A project option's value in the form in which `bst -o NAME VALUE` takes it: for a boolean `True` or `False`,
    /// for flags a list with commas (`buildstream/_options/`, as of 2.8.1).
    fn option(&mut self, value: &DeValue<'_>, spot: KeySpan<'_>) -> Option<ConfigValue> {
        let text = match value {
            DeValue::String(written) => {
                let text = self.expand(written, spot)?;
                self.accept(spot, text::printable(&text))?;
                text
            }
            DeValue::Boolean(value) => if *value { "True" } else { "False" }.to_owned(),
            DeValue::Integer(_) => {
                let Json::Number(number) = self.json(value, spot)? else { return None };
                number.to_string()
            }
            DeValue::Array(flags) => {
                let flags: Option<Vec<String>> = flags
                    .iter()
                    .map(|flag| self.checked(&ValueKind::Text, flag, KeySpan { at: flag.span().start, ..spot }))
                    .map(|flag| if let Some(ConfigValue::Text(flag)) = flag { Some(flag) } else { None })
                    .collect();
                flags?.join(",")
            }
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => {
                let message =
                    format!("it is {}, and an option is text, a boolean, a number or a list of text", a(value));
                self.problem(spot.at, spot.place, (message, "put it in quotes".to_owned()));
                return None;
            }
        };
        Some(ConfigValue::Text(text))
    }

    /// A value that is handed on as it is, but for variables in its strings.
    fn free(&mut self, value: &DeValue<'_>, spot: KeySpan<'_>) -> Option<ConfigValue> {
        Some(match value {
            DeValue::String(written) => ConfigValue::Text(self.expand(written, spot)?),
            DeValue::Boolean(value) => ConfigValue::Bool(*value),
            DeValue::Array(items) => ConfigValue::List(items.iter().map(|item| self.free_node(item, spot)).collect()),
            DeValue::Table(table) => {
                let mut fields = ConfigTable::new();
                for (name, value) in table {
                    let here = KeySpan { place: &join(spot.place, name.get_ref()), ..spot };
                    fields.insert(name.get_ref().to_string(), self.free_node(value, here));
                }
                ConfigValue::Table(fields)
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) => {
                ConfigValue::Json(self.json(value, spot)?)
            }
        })
    }

    fn free_node(&mut self, written: &Spanned<DeValue<'_>>, spot: KeySpan<'_>) -> ConfigNode {
        let at = written.span().start;
        self.node(at, |reader| reader.free(written.get_ref(), KeySpan { at, ..spot }))
    }

    fn json(&mut self, value: &DeValue<'_>, spot: KeySpan<'_>) -> Option<Json> {
        let json = match value {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(Json::from),
            DeValue::Float(number) => {
                number.as_str().parse().ok().and_then(serde_json::Number::from_f64).map(Json::from)
            }
            DeValue::Datetime(date) => Some(Json::from(date.to_string())),
            DeValue::String(_) | DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        };
        let refusal = ("it is no number that can be handed on".to_owned(), "use a finite number of 64 bits".to_owned());
        self.accept(spot, json.ok_or(refusal))
    }
}

/// What an item of a list of tables is called in messages: by its name where it has one.
fn place_of(list: &str, index: usize, item: &DeValue<'_>) -> String {
    let text = |key| item.get(key).and_then(|value| value.get_ref().as_str());
    let name = text("name").or_else(|| (list == "project").then(|| text("url").and_then(text::name_from_url))?);
    match name {
        Some(name) if name.chars().all(|c| !c.is_control()) && name.len() < 100 => {
            if list.contains(['.', ':']) {
                format!("{list} {name:?}")
            } else {
                format!("{list} {name:?}: ")
            }
        }
        _ => format!("{list}[{}]", index + 1),
    }
}

fn wrong_type(kind: &ValueKind, value: &DeValue<'_>, spot: KeySpan<'_>) -> super::ValueRejection {
    let name = spot.key.name;
    let mut advice = format!("for example: {name} = {}", spot.key.example);
    match (kind, value) {
        (ValueKind::List(..) | ValueKind::Command | ValueKind::CheckoutCommand, DeValue::String(_)) => {
            "put it in brackets, as in [\"…\"]".clone_into(&mut advice);
        }
        (ValueKind::Time(_), DeValue::Integer(number)) => {
            advice = format!("write it with its unit, as in \"{}s\", \"{0}m\" or \"{0}h\"", number.as_str());
        }
        (ValueKind::Bool | ValueKind::Number(..) | ValueKind::Date, DeValue::String(_)) => {
            "write it without quotes".clone_into(&mut advice);
        }
        (ValueKind::Tables(_), DeValue::Table(_)) => advice = format!("begin it with [[{name}]], in two brackets"),
        _ => {}
    }
    let mut message = format!("it is {}, and has to be {}", a(value), kind.words());
    if let ValueKind::Word(_) = kind {
        let _ = write!(message, ", in quotes");
    }
    (message, advice)
}

fn a(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
