use super::*;

fn items(log: &[u8], piece: usize) -> Vec<LogItem> {
    let mut items = Vec::new();
    let mut parser = LogParser::default();
    for bytes in log.chunks(piece.max(1)) {
        parser.push(bytes, &mut |item| items.push(item));
    }
    parser.finish(&mut |item| items.push(item));
    items
}

fn messages(log: &str) -> Vec<BstMessage> {
    let message = |item| if let LogItem::Message(message) = item { Some(message) } else { None };
    items(log.as_bytes(), log.len()).into_iter().filter_map(message).collect()
}

/// What a recording says that came on standard error.
fn recorded(name: &str) -> String {
    let path = format!("{}/../fixtures/bst-logs/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let text = text.split_once(" STDERR (").unwrap().1.split_once('\n').unwrap().1.to_owned();
    let end =
        ["NEW LOG FILES", "FILE "].iter().filter_map(|mark| text.find(&format!("\n{} {mark}", "-".repeat(40)))).min();
    text[..end.unwrap_or(text.len())].to_owned()
}

#[test]
fn every_form_of_a_message_line_is_read() {
    let lines = [
        "[--:--:--][00eb6808][   fetch:sub.bst:git.bst               ] START   Fetching from http://h/x [a] b",
        "[12:00:01][00:00:00][00eb6808][   fetch:sub.bst:git.bst     ] START   Fetching from http://h/x [a] b",
        "[--:--:--][????????][fetch:sub.bst:git.bst-0               ] START   Fetching from http://h/x [a] b",
        "pid:1    element name:git.bst       [--:--:--][][   fetch:sub.bst:git.bst] START   Fetching from http://h/x [a] b",
        "@BST|22:06:49.901161|--:--:--.------|????|   fetch:sub.bst:git.bst        |START  |Fetching from http://h/x [a] b",
        "\u{1b}[36m[\u{1b}[0m--:--:--\u{1b}[36m][\u{1b}[0m0\u{1b}[1;33m][\u{1b}[m   fetch:sub.bst:git.bst ] \u{1b}[34mSTART\u{1b}[0m   Fetching from http://h/x [a] b\r",
    ];
    for line in lines {
        let found = messages(&format!("{line}\n"));
        let message = found.first().unwrap_or_else(|| panic!("{line}"));
        assert_eq!(message.action, TaskAction::Fetch, "{line}");
        assert_eq!(message.element.as_ref().map(AsRef::as_ref), Some("sub.bst:git.bst"), "{line}");
        assert_eq!(
            (message.level, message.text.as_str()),
            (MessageLevel::Start, "Fetching from http://h/x [a] b"),
            "{line}"
        );
    }
    for line in ["[--:--:--][][] STATUS  Loading", "@BST|22:21:14|--:--:--|||STATUS |Loading"] {
        let message = &messages(line)[0];
        assert_eq!(
            (message.action, message.element.as_ref(), message.level),
            (TaskAction::Main, None, MessageLevel::Status)
        );
        assert_eq!(message.text, "Loading");
    }
}

#[test]
fn what_only_looks_like_a_message_is_text() {
    for line in ["[1/2] START building", "[00:00:00] START x", "@BST|x", "pid:1 x", "[ 50%] Built", "[00:00:00][]", "["]
    {
        assert_eq!(items(line.as_bytes(), 99), [LogItem::Text(line.to_owned())], "{line}");
    }
}

#[test]
fn a_message_has_its_detail_and_the_end_of_its_log() {
    let all = messages(&recorded("git-http-403-track"));
    let last = all.iter().rfind(|message| message.element.is_some()).unwrap();
    assert_eq!(last.task(), Some(TaskState::Failed));
    assert!(last.text.ends_with("Failed to fetch from remote git repository: http://127.0.0.1:18080/err403/hello.git"));
    assert!(last.log_file.as_ref().unwrap().ends_with("track.20261123-213426.log"));
    let wanted =
        "fatal: unable to access 'http://127.0.0.1:18080/err403/hello.git/': The requested URL returned error: 403";
    assert!(last.log.lines().any(|line| line == wanted));
    assert_eq!(all.iter().filter(|message| message.task() == Some(TaskState::Retried)).count(), 2);
}

#[test]
fn headings_and_summaries_are_read() {
    let items = items(recorded("on-error-continue-track").as_bytes(), 4096);
    assert!(items.contains(&LogItem::Version("2.8.1".to_owned())));
    let listed =
        |item: &LogItem| matches!(item, LogItem::Listed(ListedElement { state: ElementState::NoReference, .. }));
    assert_eq!(items.iter().filter(|item| listed(item)).count(), 8);
    assert!(items.contains(&LogItem::Total(9)));
    let queue = QueueSummary { action: TaskAction::Track, processed: 6, skipped: 1, failed: 2 };
    assert!(items.contains(&LogItem::Queue(queue)));
    let repeated = |item: &LogItem| if let LogItem::Repeated(message) = item { message.element.clone() } else { None };
    let repeated: Vec<String> = items.iter().filter_map(repeated).map(String::from).collect();
    assert_eq!(repeated, ["a-bad.bst", "z-bad.bst"]);
}

#[test]
fn the_final_error_is_text() {
    let text = |name| -> Vec<String> {
        let text = |item| if let LogItem::Text(text) = item { Some(text) } else { None };
        items(recorded(name).as_bytes(), 4096).into_iter().filter_map(text).collect()
    };
    assert_eq!(
        text("min-version-major3")[0],
        "Error loading project: project.conf [line 2 column 13]: Version mismatch"
    );
    assert_eq!(text("min-version-major3")[1], "    Project requires BuildStream 3, but BuildStream 2 is installed.");
    assert_eq!(
        text("cachedir-readonly").last().unwrap(),
        "OSError: [Errno 30] Read-only file system: '/srv/bst/mnt/rocache/buildstream'"
    );
    assert_eq!(text("00-success-fetch"), [""; 0]);
}

#[test]
fn the_size_of_the_pieces_does_not_matter() {
    for name in ["fmt-machine", "on-error-continue-track", "v1.6.9-tar-http-404-track", "user-config-missing"] {
        let log = recorded(name);
        let whole = items(log.as_bytes(), log.len());
        for piece in [1, 7, 4096] {
            assert_eq!(items(log.as_bytes(), piece), whole, "{name} in pieces of {piece}");
        }
    }
}

#[test]
fn one_message_is_bounded_however_long_it_gets() {
    let mut parser = LogParser::default();
    let mut found = Vec::new();
    let mut sink = |item| found.push(item);
    parser.push(b"[00:00:00][][   fetch:a.bst] FAILURE x\n", &mut sink);
    let line = format!("    {}\n", "y".repeat(100_000)).into_bytes();
    for _ in 0..500 {
        parser.push(&line, &mut sink);
    }
    parser.push(&line[..99_999], &mut sink);
    assert!(parser.partial.len() <= LINE_LIMIT);
    parser.finish(&mut sink);
    let [LogItem::Message(message)] = found.as_slice() else { panic!("{} items", found.len()) };
    assert_eq!(message.detail.lines().count(), LogExcerpt::FIRST + LogExcerpt::LAST);
    assert_eq!(message.detail.omitted(), 301);
    assert!(message.detail.lines().all(|line| line.len() <= LINE_LIMIT));
}

#[test]
fn rubbish_is_survived() {
    let mut random: u64 = 1;
    let alphabet = b"[]@BST|:.- \n\r\t\0\x1b]P\\m=\xff\xc3\xa9FAILURESTART01Pipeline Summary";
    let rubbish: Vec<u8> = (0..200_000)
        .map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            alphabet[usize::try_from(random >> 33).unwrap() % alphabet.len()]
        })
        .collect();
    let whole = items(&rubbish, rubbish.len());
    assert_eq!(items(&rubbish, 3), whole);
    assert!(!whole.is_empty());
}

#[test]
fn the_keys_of_sources_are_those_of_elements_and_whole() {
    let key = "37885b8c54c63af2e398a9e7621299908b08ded017adafa61e18e121396c9aa8";
    let said = |text: &str| {
        let line = format!("@BST|12:00:00|--:--:--.------|{key}|src-push:e0.bst      |{text}\n");
        let (mut parser, mut found) = (LogParser::default(), Vec::new());
        let mut take = |item: LogItem| {
            if let LogItem::Message(message) = item {
                found.push((message.source_key(), message.pulled_key()));
            }
        };
        parser.push(line.as_bytes(), &mut take);
        parser.finish(&mut take);
        found.remove(0)
    };
    let whole: Option<crate::names::SourceKey> = key.parse().ok();
    assert_eq!(said(&format!("INFO   |Pushed data from source {key} -> http://127.0.0.1:1")), (whole.clone(), None));
    assert_eq!(said(&format!("INFO   |Pulled source {key} <- http://127.0.0.1:1")), (None, whole));
    // One source of several, what is only being done, and a key that was cut.
    assert_eq!(said(&format!("INFO   |Pushed source {key} -> http://127.0.0.1:1")), (None, None));
    assert_eq!(said(&format!("STATUS |Pushing data from source {key} -> http://127.0.0.1:1")), (None, None));
    assert_eq!(said(&format!("STATUS |Pushed data from source {key} -> http://127.0.0.1:1")), (None, None));
    assert_eq!(said("INFO   |Pushed data from source 37885b8c -> http://127.0.0.1:1"), (None, None));
    assert_eq!(said("INFO   |Pushed data from source ../../etc -> http://127.0.0.1:1"), (None, None));
}
