#!/bin/sh
# What people do today, and what BuildStream's mailing list proposed: for each branch, git fetch, a clean checkout,
# and bst's three commands.
#
#   plain.sh URL CLONE BRANCHES BST...
#
# BRANCHES is one word, split at spaces; BST is the command with the arguments that come before `source`.
set -eu
url=$1 clone=$2 branches=$3
shift 3

[ -d "$clone" ] || git clone --quiet --no-checkout "$url" "$clone"
cd "$clone"
for branch in $branches; do
    git fetch --quiet origin "$branch"
    git checkout --quiet --force --detach FETCH_HEAD
    git clean --quiet -ffdx
    git submodule --quiet update --init --recursive
    for stage in track fetch push; do
        "$@" source $stage --deps all all.bst 2>>"$clone.log"
    done
done
