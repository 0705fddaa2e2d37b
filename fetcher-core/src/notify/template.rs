//! A webhook's body from a template of the user's.

use std::path::Path;

use minijinja::value::{Serde, Value as Filled, ValueKind};
use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;

use super::error::{DeliveryErrorKind, NotifyError};

/// A filled template.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TemplateBody {
    pub(super) text: String,
    pub(super) json: bool,
}

/// Fills the places of a template with facts. Where the template is JSON (its name ends in `.json`, or it begins with a
/// brace or bracket), what is filled in is escaped as the inside of a JSON string, and the whole has to be JSON.
pub(super) fn fill(template: &str, path: &Path, facts: &Value) -> Result<TemplateBody, NotifyError> {
    let failed = |what: String| {
        let hint = "correct the template: docs/notify.md lists its places";
        NotifyError::new(
            DeliveryErrorKind::Setup,
            format!("the template {} cannot be used: {what}", path.display()),
            hint,
        )
    };
    let begins = template.trim_start();
    let named = path.extension().is_some_and(|end| end == "json");
    let json = named || begins.starts_with('[') || (begins.starts_with('{') && !begins.starts_with("{{"));
    let mut environment = Environment::new();
    // A place that does not exist is a mistake of the template's author, who would not see it otherwise.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_formatter(move |out, state, value| {
        if value.is_safe() {
            return minijinja::escape_formatter(out, state, value);
        }
        if value.is_undefined() {
            return Err(minijinja::ErrorKind::UndefinedError.into());
        }
        let text = if value.kind() == ValueKind::None { String::new() } else { value.to_string() };
        if json {
            let quoted = Value::String(text).to_string();
            return Ok(out.write_str(&quoted[1..quoted.len() - 1])?);
        }
        Ok(write!(out, "{text}")?)
    });
    let text = environment.render_str(template, Filled::from(Serde(underscored(facts))));
    let text = text.map_err(|error| failed(error.to_string()))?;
    if json && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        return Err(failed(format!("what comes out is no JSON: {error}")));
    }
    Ok(TemplateBody { text, json })
}

/// The facts with names as a template can have them: `log_end` for `log-end`.
fn underscored(facts: &Value) -> Value {
    match facts {
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.replace('-', "_"), underscored(value))).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(underscored).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(template: &str, name: &str) -> Result<TemplateBody, NotifyError> {
        let facts = json!({ "title": "a \"b\"\nc\\ </x>", "branch": null, "topics": [{ "more-failures": 2 }] });
        fill(template, Path::new(name), &facts)
    }

    #[test]
    fn what_is_filled_in_cannot_leave_its_string() {
        let body = filled(r#"{"text": "{{ title }} ({{ branch }}) {{ topics[0].more_failures }}"}"#, "t").unwrap();
        assert!(body.json);
        let parsed: Value = serde_json::from_str(&body.text).unwrap();
        assert_eq!(parsed["text"], "a \"b\"\nc\\ </x> () 2");
        let body = filled(r#"{"topics": {{ topics | tojson }}}"#, "t.json").unwrap();
        assert_eq!(body.text, r#"{"topics": [{"more_failures": 2}]}"#);
    }

    #[test]
    fn text_is_filled_in_as_it_is() {
        let body = filled("{{ title }}{% if branch %} of {{ branch }}{% endif %}", "t.txt").unwrap();
        assert_eq!(body, TemplateBody { text: "a \"b\"\nc\\ </x>".to_owned(), json: false });
    }

    #[test]
    fn mistakes_are_said() {
        let said = |template, name| filled(template, name).unwrap_err().to_string();
        assert!(said("{{ titel }}", "t").contains("undefined"), "{}", said("{{ titel }}", "t"));
        assert!(said("{{ title", "t").contains(":1)"), "{}", said("{{ title", "t"));
        assert!(said("{ \"a\": {{ title }} }", "t.json").contains("no JSON"));
    }
}
