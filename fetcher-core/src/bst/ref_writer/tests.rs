use super::*;

/// What becomes of a text whose refs are to be those of what bst wrote.
fn rewritten(base: &str, new: &str) -> Result<String, RefWriteError> {
    let (before, after) = (placed_refs(base), placed_refs(new));
    let places = after.iter().filter(|(place, reference)| before.get(*place) != Some(*reference));
    with_refs(base, new, &places.map(|(place, _)| place.clone()).collect())
}

#[test]
fn the_refs_alone_change_whatever_the_form_of_the_file() {
    let base = "---\nkind: import   # what it is\n\nsources:\n-   kind: git\n    url: up:x\n    ref:   aaa  # pinned\n    \
                track: main\n\n-   {kind: tar, url: 'up:y'}\n-   {kind: tar, url: 'up:z', ref: old}\n";
    let new = "kind: import # what it is\n\nsources:\n- kind: git\n  url: up:x\n  ref: v1-0-gbbb\n  track: main\n\n\
               - {kind: tar, url: 'up:y', ref: ccc}\n- {kind: tar, url: 'up:z', ref: '0123'}\n";
    let expected = base
        .replace("ref:   aaa", "ref:   v1-0-gbbb")
        .replace("url: 'up:y'}", "url: 'up:y', ref: ccc}")
        .replace("ref: old", "ref: '0123'");
    assert_eq!(rewritten(base, new).unwrap(), expected);
}

#[test]
fn a_ref_that_was_not_there_comes_after_its_source() {
    let base = "sources:\n  - kind: git\n    url: up:x # why\n\n  - kind: tar\n    url: up:y\n    # the end\nvariables:\n  a: b";
    let new = "sources:\n- kind: git\n  url: up:x # why\n\n  ref: aaa\n- kind: tar\n  url: up:y\n    # the end\n  \
               ref: bbb\nvariables:\n  a: b\n";
    let expected = "sources:\n  - kind: git\n    url: up:x # why\n    ref: aaa\n\n  - kind: tar\n    url: up:y\n    \
                    ref: bbb\n    # the end\nvariables:\n  a: b";
    assert_eq!(rewritten(base, new).unwrap(), expected);
}

#[test]
fn refs_that_are_lists_keep_their_lines() {
    let base = "kind: x\nsources:\n    - kind: cargo\n      ref:\n      - name: a\n        sha: 1\n      - name: b\n        sha: 2\n\n      \
                url: 'crates:'\n";
    let new = "kind: x\nsources:\n- kind: cargo\n  ref:\n  - name: a\n    sha: 9\n  - name: c\n    sha: 3\n\n  url: 'crates:'\n";
    let expected = base.replace("sha: 1", "sha: 9").replace("name: b", "name: c").replace("sha: 2", "sha: 3");
    assert_eq!(rewritten(base, new).unwrap(), expected);
    let fresh = "kind: x\nsources:\n    - kind: cargo\n      url: 'crates:'\n";
    let written = rewritten(fresh, new).unwrap();
    assert_eq!(placed_refs(&written), placed_refs(new), "{written}");
}

#[test]
fn conditions_and_lists_that_are_added_to_are_found() {
    let base = "sources:\n- kind: tar\n  url: x\n  (?):\n  - arch == \"a\":\n      ref: a1\n  - arch == \"b\":\n      ref: b1\n\
                (?):\n- arch == \"c\":\n    sources:\n      (>):\n      - kind: git\n        ref: c1\n";
    let new = base.replace("b1", "b2").replace("c1", "c2");
    assert_eq!(rewritten(base, &new).unwrap(), new);
    let both = "(@):\n- inc.yml\nsources:\n  (>):\n  - kind: git\n    url: ä\n    ref: \"1\"\n  (<):\n  - kind: git\n    url: ö\n";
    let new = "(@):\n- inc.yml\nsources:\n  (>):\n  - kind: git\n    url: ä\n    ref: 2\n  (<):\n  - kind: git\n    url: ö\n    \
               ref: 3\n";
    assert_eq!(rewritten(both, new).unwrap(), new);
}

#[test]
fn what_is_not_as_it_was_is_refused() {
    let new = "sources:\n- kind: git\n  ref: a\n- kind: git\n  ref: b\n";
    let place = BTreeSet::from([place_of(None, "", 1)]);
    assert_eq!(with_refs("sources:\n- kind: git\n", new, &place), Err(RefWriteError::Moved));
    assert_eq!(with_refs("a: {", new, &place), Err(RefWriteError::Unreadable));
    let alias = "x: &x [1]\nsources:\n- kind: git\n- kind: git\n  ref: *x\n";
    assert_eq!(with_refs(alias, new, &place), Err(RefWriteError::Unreadable));
    let gone = "sources:\n- kind: git\n- kind: git\n";
    assert_eq!(with_refs(new, gone, &place), Err(RefWriteError::Form));
    for hostile in ["[".repeat(100_000), "\u{0}".to_owned(), "sources: 3".to_owned(), String::new()] {
        assert!(with_refs(&hostile, new, &place).is_err());
    }
}

#[test]
fn only_refs_of_sources_may_differ() {
    let text = "kind: x\nconfig:\n  ref: 1\nsources:\n- kind: git\n  ref: a\n";
    assert!(differ_in_refs_alone(text, &text.replace("ref: a", "ref: b")));
    assert!(!differ_in_refs_alone(text, &text.replace("ref: 1", "ref: 2")));
    assert!(!differ_in_refs_alone(text, &text.replace("git", "tar")));
}
