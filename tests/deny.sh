#!/usr/bin/env bash
# What dependencies may be (deny.toml): their licences, their versions, where they come from, and what is known against them.
#
# The database of advisories is fetched from the network. Where it cannot be had, that one check is not made, which is said
# as the last word, and written to the file that LOITER_NOT_CHECKED names, if any; LOITER_ADVISORIES=required makes it a failure.
#
# Usage: tests/deny.sh [install]      install: only what it needs for that
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VERSION=0.20.2

# Compiled without optimisation: it runs for seconds.
cargo deny --version >/dev/null 2>&1 || cargo install --locked --debug "cargo-deny@$VERSION"
[ "${1:-}" != install ] || exit 0

cargo deny check licenses bans sources

# Whether the database can be had is asked apart, so that what it says against a crate is never taken for a network that fails.
if cargo deny fetch db; then
    cargo deny --offline check advisories
    exit
fi
readonly NOT_CHECKED='advisories against dependencies: their database could not be fetched'
printf '\n!!! NOT CHECKED: %s (the reason is above).\n' "$NOT_CHECKED" >&2
[ -z "${LOITER_NOT_CHECKED:-}" ] || printf '%s\n' "$NOT_CHECKED" >>"$LOITER_NOT_CHECKED"
[ "${LOITER_ADVISORIES:-}" != required ]
