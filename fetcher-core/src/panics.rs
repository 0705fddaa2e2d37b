//! Panics of what an embedding program lends: each is a failure of what was at work, and never the end of the rest.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does some work; a panic in it comes back as its message.
///
/// What the work had lent may be half changed then: the caller must not use it any further, or be good with any state
/// of it.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message(panic.as_ref()))
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without words").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_in_its_own_words() {
        assert_eq!(catch(|| 1), Ok(1));
        assert_eq!(catch(|| panic!("in words")), Err::<(), _>("in words".to_owned()));
        assert_eq!(catch(|| panic!("in {} words", 3)), Err::<(), _>("in 3 words".to_owned()));
        assert_eq!(catch(|| std::panic::panic_any(7)), Err::<(), _>("a panic without words".to_owned()));
    }
}
