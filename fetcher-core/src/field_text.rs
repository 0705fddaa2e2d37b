//! What the fields of a struct are, for the manual of the configuration too: a struct of a lower module is declared where it
//! works, and its fields' documentation is that of the keys from which they come.

/// Declares a struct whose fields' documentation others can ask for: see [`field_text`].
macro_rules! documented_struct {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident { $($(#[doc = $text:literal])+ $field_visibility:vis $field:ident: $type:ty,)* }
    ) => {
        $(#[$attribute])*
        $visibility struct $name {
            $($(#[doc = $text])+ $field_visibility $field: $type,)*
        }

        impl $name {
            /// The fields with what each is.
            pub(crate) const FIELD_TEXTS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($field), concat!($($text),+)),)*];
        }
    };
}

pub(crate) use documented_struct;

/// What the field is.
///
/// # Panics
/// Where there is no such field: a constant with it does not compile.
pub(crate) const fn field_text(texts: &[(&'static str, &'static str)], field: &str) -> &'static str {
    let mut at = 0;
    while at < texts.len() {
        if is_same(texts[at].0, field) {
            return texts[at].1;
        }
        at += 1;
    }
    panic!("there is no such field")
}

/// `==`, which no constant may have.
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    documented_struct! {
        /// One.
        #[derive(Default)]
        struct TwoFields {
            /// The first
            /// of two.
            first: bool,
            /// The other.
            first_other: bool,
        }
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        const OTHER: &str = field_text(TwoFields::FIELD_TEXTS, "first_other");
        assert_eq!(OTHER, " The other.");
        assert_eq!(field_text(TwoFields::FIELD_TEXTS, "first"), " The first of two.");
        let TwoFields { first, first_other } = TwoFields::default();
        assert!(!first && !first_other);
        assert!(std::panic::catch_unwind(|| field_text(TwoFields::FIELD_TEXTS, "fir")).is_err());
    }
}
