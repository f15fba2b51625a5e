#!/usr/bin/env bash
# The same raw requests to loiter, to nginx and to Node's HTTP server: nowhere is loiter more lenient than both. Needs nginx and Node.
#
# Usage: tests/differential.sh [path of the built loiter]
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
LOITER_BINARY=$(realpath "${1:-$(built)/loiter}")
export LOITER_BINARY
command -v nginx >/dev/null || PATH=$PATH:/usr/sbin
command -v nginx >/dev/null || { echo "nginx is not there" >&2; exit 1; }
# What a test that was stopped leaves behind goes with the folder.
TMPDIR=$folder node --test "$top"/tests/differential/differential.test.mjs
echo "the same requests to three servers: ok"
