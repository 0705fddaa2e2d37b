#!/bin/sh
# The benchmark of `serve`: this server and buildbox-casd give the same content away, in one run. See
# docs/benchmark-serve.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
work=$top/target/bench-serve
mkdir -p "$work"

(cd "$top" && cargo build --locked --release --quiet --package fetcher-cli)
(cd "$top" && cargo build --locked --release --quiet --package fetcher-tests --example serve_load)
if [ ! -e "$work/venv/.complete" ]; then
    python3 -m venv --clear "$work/venv"
    "$work/venv/bin/pip" install --quiet buildstream==2.8.1 buildstream-plugins==2.8.0 'dulwich<0.25'
    touch "$work/venv/.complete"
fi
exec "$work/venv/bin/python" "$here/serve.py" "$work" "$top/target/release"
