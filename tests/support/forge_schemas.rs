//! What vendors' schemas say of requests to their interfaces and of the answers (`fixtures/forge-schemas`).

use std::collections::BTreeSet;

use boon::{Compiler, Schemas};
use serde_json::{Map, Value, json};

use crate::rest_forge::Vendor;

/// A vendor's interface, as far as this program uses it.
pub struct ForgeSchemas {
    base: &'static str,
    document: Value,
}

/// One operation of it.
pub struct ForgeOperation<'s> {
    name: &'s str,
    operation: &'s Value,
    definitions: &'s Value,
}

impl ForgeSchemas {
    /// Those of a vendor.
    pub fn of(vendor: Vendor) -> Self {
        let (base, text) = match vendor {
            Vendor::GitHub => ("/api/v3", include_str!("../../fixtures/forge-schemas/github.json")),
            Vendor::GitLab => ("/api/v4", include_str!("../../fixtures/forge-schemas/gitlab.json")),
            Vendor::Gitea => ("/api/v1", include_str!("../../fixtures/forge-schemas/gitea.json")),
        };
        Self { base, document: serde_json::from_str(text).expect("schemas in JSON") }
    }

    /// What the vendor shows as an answer.
    ///
    /// # Panics
    /// When it shows none of this name.
    pub fn example(&self, name: &str) -> Value {
        let found = &self.document["examples"][name];
        assert!(!found.is_null(), "there is no example {name}");
        found.clone()
    }

    /// The operation that a method and a path mean; none where the vendor has no such one.
    pub fn operation(&self, method: &str, path: &str) -> Option<ForgeOperation<'_>> {
        let path = path.strip_prefix(self.base)?;
        let operations = self.document["operations"].as_object().expect("operations");
        let matches =
            |name: &str| name.split_once(' ').is_some_and(|(known, template)| known == method && fits(template, path));
        let (name, operation) = operations.iter().find(|(name, _)| matches(name))?;
        Some(ForgeOperation { name, operation, definitions: &self.document["$defs"] })
    }
}

/// Whether a path is one of those that a template with `{names}` means.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(&path).all(|(part, given)| part.starts_with('{') && !given.is_empty() || part == given)
}

impl ForgeOperation<'_> {
    /// What is wrong with a request's query and body.
    pub fn wrong_request(&self, query: &str, body: &Value) -> Vec<String> {
        let known: BTreeSet<&str> =
            self.operation["query"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let names = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or(pair));
        let unknown = names.filter(|name| !known.contains(name));
        let mut wrong: Vec<_> = unknown.map(|name| format!("{}: no such parameter: {name}", self.name)).collect();
        match self.operation.get("body") {
            Some(_) if body.is_null() && self.operation["body-required"] == false => {}
            Some(schema) => wrong.extend(self.violation("the body", schema, body)),
            None if body.is_null() => {}
            None => wrong.push(format!("{}: it has no body", self.name)),
        }
        wrong
    }

    /// What is wrong with an answer.
    pub fn wrong_answer(&self, status: &str, answer: &Value) -> Option<String> {
        let schema = self.operation["answers"].get(status)?;
        self.violation(&format!("answer {status}"), schema, answer)
    }

    fn violation(&self, what: &str, schema: &Value, value: &Value) -> Option<String> {
        const NAME: &str = "schema:/of-vendor.json";
        let mut root: Map<String, Value> = schema.as_object().cloned().unwrap_or_default();
        root.insert("$defs".to_owned(), self.definitions.clone());
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        compiler.add_resource(NAME, Value::Object(root)).expect("a schema");
        let index = compiler.compile(NAME, &mut schemas).unwrap_or_else(|error| panic!("{}: {error:#}", self.name));
        let error = schemas.validate(value, index).err()?;
        Some(format!("{}: {what}: {error:#}\n{value:#}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_vendor_does_not_know_is_found() {
        for vendor in [Vendor::GitHub, Vendor::GitLab, Vendor::Gitea] {
            let schemas = ForgeSchemas::of(vendor);
            let (path, list) = match vendor {
                Vendor::GitLab => ("/api/v4/projects/group%2Fproject/merge_requests", "source_branch"),
                Vendor::GitHub => ("/api/v3/repos/group/project/pulls", "head"),
                Vendor::Gitea => ("/api/v1/repos/group/project/pulls", "head"),
            };
            assert!(schemas.operation("DELETE", path).is_none() && schemas.operation("GET", "/elsewhere").is_none());
            let listing = schemas.operation("GET", path).expect("a list");
            assert!(listing.wrong_request(&format!("{list}=x&state=all"), &Value::Null).is_empty());
            assert_eq!(listing.wrong_request("no-such=1", &Value::Null).len(), 1);
            assert!(listing.wrong_answer("200", &json!([])).is_none());
            assert!(listing.wrong_answer("200", &json!([{ "title": 7 }])).is_some());
            let making = schemas.operation("POST", path).expect("a way to make one");
            let body = match vendor {
                Vendor::GitLab => json!({ "source_branch": "x", "target_branch": "y", "title": "z" }),
                Vendor::GitHub | Vendor::Gitea => json!({ "head": "x", "base": "y", "title": "z" }),
            };
            assert_eq!(making.wrong_request("", &body), Vec::<String>::new());
            for (key, value) in [("titel", json!("z")), ("title", json!(7))] {
                let mut wrong = body.clone();
                wrong[key] = value;
                assert_eq!(making.wrong_request("", &wrong).len(), 1, "{vendor:?} {key}");
            }
        }
    }
}
