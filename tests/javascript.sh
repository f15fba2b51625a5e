#!/usr/bin/env bash
# The JavaScript client under Node: by itself, and against servers that its tests start, kill and cut off.
#
# Usage: tests/javascript.sh [path of the built loiter]
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
LOITER_BINARY=$(realpath "${1:-$(built)/loiter}")
export LOITER_BINARY
# What a test that was stopped leaves behind goes with the folder.
TMPDIR=$folder node --test "$top"/tests/js/*.test.mjs
echo "the JavaScript client: ok"
