#!/bin/sh
# The benchmark of the sandbox: what it costs a bst. See docs/benchmark.md. FETCHER names a program that is built already.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
if [ -z "${FETCHER:-}" ]; then
    (cd "$top" && cargo build --locked --release --quiet --package fetcher-cli)
    FETCHER=$top/target/release/bst-fetcher
fi
mkdir -p "$top/target/bench"
work=$(mktemp -d "$top/target/bench/XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
python3 "$here/sandbox.py" "$FETCHER" "$top/fixtures/fake-bst/bst" "$work"
