//! What bst prints.

use fetcher_core::bst::messages::{LogItem, LogParser};
use fetcher_core::diagnosis::{diagnose, render_text};
use fetcher_tests::fuzz::{Target, fixtures};

fn items(pieces: &[&[u8]]) -> Vec<String> {
    let mut items = Vec::new();
    let mut take = |item: LogItem| items.push(format!("{item:?}"));
    let mut parser = LogParser::default();
    for piece in pieces {
        parser.push(piece, &mut take);
    }
    parser.finish(&mut take);
    items
}

#[test]
fn a_log_is_read_the_same_in_any_pieces_and_diagnosed_in_words_of_ours() {
    let words = [
        "@BST|",
        "[00:00:00]",
        "FAILURE",
        "    ",
        "\n",
        "\r\n",
        "\u{1b}[31m",
        "Log file:",
        "Failure Summary",
        "Pipeline Summary",
        "Fetch Queue: processed ",
        " [line 3 column 2]",
        "HTTP Error 404",
        "://",
        "\0",
        "BUG",
        ".bst",
        "[---",
        "|",
        "main:core activity",
    ];
    let target = Target { name: "log", corpus: fixtures("bst-logs", 60), words: &words, largest: 20_000 };
    target.run(|input, random| {
        // Not so many that it takes long.
        let longest = 1 + input.len() / 200 + random.below(input.len());
        let pieces = random.pieces(input, longest);
        let whole = items(&[input]);
        assert_eq!(items(&pieces), whole, "in {} pieces", pieces.len());
        let found = diagnose(None, None, &mut &input[..]).expect("memory can be read");
        for failure in found.failures.iter().chain(&found.warnings) {
            // Bounded, whatever the log says: it goes into every mail.
            assert!(
                failure.message.len() <= 64 << 10 && failure.hint.len() <= 64 << 10,
                "{} bytes",
                failure.message.len()
            );
        }
        assert!(found.failures.is_empty() || !render_text(&found.failures).is_empty());
    });
}
