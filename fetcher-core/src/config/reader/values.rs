//! Checking one value by its kind.

use std::fmt::Write as _;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use crate::secret::Secret;

use super::super::keys::{Kind, Table};
use super::super::value::{Fields, Node, Value};
use super::{Reader, Spot, join, text};

impl Reader<'_> {
    /// The checked value; none where it was refused, which is noted then.
    pub(super) fn checked(
        &mut self,
        kind: &'static Kind,
        written: &Spanned<DeValue<'_>>,
        spot: Spot<'_>,
    ) -> Option<Value> {
        match (kind, written.get_ref()) {
            (Kind::Bool | Kind::BoolOr(_), DeValue::Boolean(value)) => Some(Value::Bool(*value)),
            (Kind::Number(least, most), DeValue::Integer(number)) => self.number(number, *least, *most, spot),
            (Kind::Size, DeValue::Integer(number)) => {
                let Value::Number(bytes) = self.number(number, 0, u64::MAX, spot)? else { return None };
                Some(Value::Size(bytes, bytes.to_string()))
            }
            (Kind::OptionValue, value) => self.option(value, spot),
            (Kind::List(of, least), DeValue::Array(items)) => self.items(of, *least, items, spot),
            (Kind::Command, DeValue::Array(items)) => self.command(items, spot),
            (Kind::CheckoutCommand, DeValue::Array(items)) => Some(self.checkout_command(items, spot)),
            (Kind::Date, DeValue::Datetime(date)) => self.accept(spot, text::date(date)),
            (Kind::Requirements, DeValue::Array(items)) => self.items(&Kind::Text, 1, items, spot),
            (Kind::Map(of), DeValue::Table(table)) => Some(self.map(of, table, spot)),
            (Kind::Free, DeValue::Table(_)) => self.free(written.get_ref(), spot),
            (Kind::Table(inner), DeValue::Table(table)) => Some(Value::Table(self.inner_table(inner, table, spot))),
            (Kind::Tables(inner), DeValue::Array(items)) => Some(self.tables(inner, items, spot)),
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
    pub(super) fn accept<T>(&mut self, spot: Spot<'_>, result: Result<T, super::Refusal>) -> Option<T> {
        result.map_err(|refusal| self.problem(spot.at, spot.place, refusal)).ok()
    }

    fn text_value(&mut self, kind: &'static Kind, text: String, spot: Spot<'_>) -> Option<Value> {
        if let Kind::Header = kind {
            return self.accept(spot, text::printable(&text)).map(|()| Value::Secret(Secret::new(text)));
        }
        let plain = text::not_empty(&text).and_then(|()| text::printable(&text));
        self.accept(spot, plain)?;
        match kind {
            Kind::Path => Some(Value::Path(self.absolute(&text))),
            Kind::File => self.file(&text, false, spot),
            Kind::SecretFile => self.file(&text, true, spot),
            Kind::Requirements => self.requirements_file(&text, spot),
            Kind::Repository => {
                let checked = text::repository(&text);
                let is_path = self.accept(spot, checked)?;
                let absolute = || self.absolute(&text).to_string_lossy().into_owned();
                Some(Value::Text(if is_path { absolute() } else { text }))
            }
            Kind::SecretUrl(schemes) => {
                self.accept(spot, text::url(&text, schemes)).map(|()| Value::Secret(Secret::new(text)))
            }
            _ => self.accept(spot, text::parse(kind, text)),
        }
    }

    fn number(&mut self, number: &DeInteger<'_>, least: u64, most: u64, spot: Spot<'_>) -> Option<Value> {
        let value = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let value = value.and_then(|value| u64::try_from(value).ok()).filter(|value| (least..=most).contains(value));
        let advice = format!("for example: {} = {}", spot.key.name, spot.key.example);
        let range = if most == u64::MAX { "0 or more".to_owned() } else { format!("from {least} to {most}") };
        self.accept(spot, value.map(Value::Number).ok_or((format!("it has to be {range}"), advice)))
    }

    fn items(&mut self, of: &'static Kind, least: usize, items: &DeArray<'_>, spot: Spot<'_>) -> Option<Value> {
        let nodes: Vec<Node> = items.iter().map(|item| self.value(of, item, spot)).collect();
        if nodes.len() < least {
            let advice = format!("for example: {} = {}", spot.key.name, spot.key.example);
            self.problem(spot.at, spot.place, ("the list is empty".to_owned(), advice));
            return None;
        }
        Some(Value::List(nodes))
    }

    fn map(&mut self, of: &'static Kind, table: &DeTable<'_>, spot: Spot<'_>) -> Value {
        let mut fields = Fields::new();
        for (name, value) in table {
            let here = Spot { place: &join(spot.place, name.get_ref()), at: name.span().start, ..spot };
            let checked = text::map_key(of, name.get_ref());
            if self.accept(here, checked).is_some() {
                fields.insert(name.get_ref().to_string(), self.value(of, value, here));
            }
        }
        Value::Table(fields)
    }

    fn inner_table(&mut self, table: &'static Table, written: &DeTable<'_>, spot: Spot<'_>) -> Fields {
        let outside = self.through;
        if table.layered {
            self.through = "[defaults]";
        }
        let fields = self.table(table, written, spot.at, spot.place);
        self.through = outside;
        fields
    }

    fn tables(&mut self, table: &'static Table, items: &DeArray<'_>, spot: Spot<'_>) -> Value {
        let mut nodes = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let place = place_of(spot.place, index, item.get_ref());
            let here = Spot { place: &place, at: item.span().start, ..spot };
            nodes.push(self.node(here.at, |reader| {
                if let DeValue::Table(written) = item.get_ref() {
                    return Some(Value::Table(reader.table(table, written, here.at, &place)));
                }
                reader.problem(here.at, &place, wrong_type(&Kind::Free, item.get_ref(), here));
                None
            }));
        }
        Value::List(nodes)
    }

    /// A project option's value in the form in which `bst -o NAME VALUE` takes it: for a boolean `True` or `False`,
    /// for flags a list with commas (`buildstream/_options/`, as of 2.8.1).
    fn option(&mut self, value: &DeValue<'_>, spot: Spot<'_>) -> Option<Value> {
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
                    .map(|flag| self.checked(&Kind::Text, flag, Spot { at: flag.span().start, ..spot }))
                    .map(|flag| if let Some(Value::Text(flag)) = flag { Some(flag) } else { None })
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
        Some(Value::Text(text))
    }

    /// A value that is handed on as it is, but for variables in its strings.
    fn free(&mut self, value: &DeValue<'_>, spot: Spot<'_>) -> Option<Value> {
        Some(match value {
            DeValue::String(written) => Value::Text(self.expand(written, spot)?),
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Array(items) => Value::List(items.iter().map(|item| self.free_node(item, spot)).collect()),
            DeValue::Table(table) => {
                let mut fields = Fields::new();
                for (name, value) in table {
                    let here = Spot { place: &join(spot.place, name.get_ref()), ..spot };
                    fields.insert(name.get_ref().to_string(), self.free_node(value, here));
                }
                Value::Table(fields)
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) => Value::Json(self.json(value, spot)?),
        })
    }

    fn free_node(&mut self, written: &Spanned<DeValue<'_>>, spot: Spot<'_>) -> Node {
        let at = written.span().start;
        self.node(at, |reader| reader.free(written.get_ref(), Spot { at, ..spot }))
    }

    fn json(&mut self, value: &DeValue<'_>, spot: Spot<'_>) -> Option<Json> {
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

fn wrong_type(kind: &Kind, value: &DeValue<'_>, spot: Spot<'_>) -> super::Refusal {
    let name = spot.key.name;
    let mut advice = format!("for example: {name} = {}", spot.key.example);
    match (kind, value) {
        (Kind::List(..) | Kind::Command | Kind::CheckoutCommand, DeValue::String(_)) => {
            "put it in brackets, as in [\"…\"]".clone_into(&mut advice);
        }
        (Kind::Time(_), DeValue::Integer(number)) => {
            advice = format!("write it with its unit, as in \"{}s\", \"{0}m\" or \"{0}h\"", number.as_str());
        }
        (Kind::Bool | Kind::Number(..) | Kind::Date, DeValue::String(_)) => {
            "write it without quotes".clone_into(&mut advice);
        }
        (Kind::Tables(_), DeValue::Table(_)) => advice = format!("begin it with [[{name}]], in two brackets"),
        _ => {}
    }
    let mut message = format!("it is {}, and has to be {}", a(value), kind.words());
    if let Kind::Word(_) = kind {
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
