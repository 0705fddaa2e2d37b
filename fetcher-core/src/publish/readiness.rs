//! Of which elements it is known that all their sources are in the cache, with every option set.
//!
//! This is the one place that says so: nothing enters a commit that is not ready.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::{ElementName, VariantName};

/// What is known of the elements with one option set.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct VariantReadiness {
    /// The option set; none where the project has no `variants`.
    #[serde(default)]
    pub variant: Option<VariantName>,
    /// The elements whose sources are there, as tracking left their refs.
    pub ready: BTreeSet<ElementName>,
    /// The other elements that are wanted with this option set, and why they are not ready where that is known.
    pub missing: BTreeMap<ElementName, String>,
    /// Why nothing is known of any element, where that is so.
    #[serde(default)]
    pub unknown: Option<String>,
}

/// What is known of the elements, by option set.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Readiness {
    /// One for each option set.
    pub variants: Vec<VariantReadiness>,
}

impl Readiness {
    /// Why the refs of some elements may not be published; none where they may.
    pub fn lacks<'e>(&self, elements: impl IntoIterator<Item = &'e ElementName>) -> Option<String> {
        let elements: Vec<&ElementName> = elements.into_iter().collect();
        if self.variants.is_empty() {
            return Some("nothing is known of its sources".to_owned());
        }
        let mut known = false;
        for variant in &self.variants {
            let with = variant.variant.as_ref().map(|name| format!(" with {name}")).unwrap_or_default();
            if let Some(reason) = &variant.unknown {
                return Some(format!("its sources are not known to be cached{with}: {reason}"));
            }
            for element in &elements {
                let missing = variant.missing.iter().find(|(name, _)| concerns(element, name));
                if let Some((name, reason)) = missing {
                    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                    return Some(format!("the sources of {name} are not known to be cached{with}{reason}"));
                }
                known |= variant.ready.iter().any(|name| concerns(element, name));
            }
        }
        (!known).then(|| "it is not among the elements that are fetched".to_owned())
    }
}

/// Whether another element's sources follow from an element's ref: its own, and those of what lies behind a junction.
fn concerns(element: &ElementName, other: &ElementName) -> bool {
    let (element, other) = (element.as_str(), other.as_str());
    if other == element || other.strip_prefix(element).is_some_and(|rest| rest.starts_with(':')) {
        return true;
    }
    // Stored refs name the other project, and not the junction that leads to it.
    let behind = |name: &str| name.split_once(':').map(|(_, rest)| rest.to_owned());
    element.split(':').next().is_none_or(|first| first.rsplit('.').next() != Some("bst"))
        && behind(element).is_some_and(|rest| behind(other).as_deref() == Some(&rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<ElementName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn variant(name: Option<&str>, ready: &[&str], missing: &[&str]) -> VariantReadiness {
        let missing = names(missing).into_iter().map(|name| (name, String::new())).collect();
        VariantReadiness {
            variant: name.map(|name| name.parse().unwrap()),
            ready: names(ready),
            missing,
            unknown: None,
        }
    }

    #[test]
    fn every_option_set_that_has_an_element_has_to_have_its_sources() {
        let ready = Readiness {
            variants: vec![
                variant(Some("x"), &["a.bst", "c.bst", "j.bst"], &["b.bst", "j.bst:x.bst"]),
                variant(Some("y"), &["a.bst", "b.bst"], &["c.bst"]),
            ],
        };
        let lacks = |name: &str| ready.lacks(&names(&[name]));
        assert_eq!(lacks("a.bst"), None);
        for name in ["b.bst", "c.bst", "j.bst", "sub:x.bst"] {
            assert!(lacks(name).is_some_and(|reason| reason.contains("not known to be cached with ")), "{name}");
        }
        assert!(lacks("d.bst").is_some_and(|reason| reason.contains("not among")));
        assert!(Readiness::default().lacks(&names(&["a.bst"])).is_some());
        let unknown = VariantReadiness { unknown: Some("tracking failed".to_owned()), ..VariantReadiness::default() };
        assert!(Readiness { variants: vec![unknown] }.lacks(&names(&["a.bst"])).is_some());
    }
}
