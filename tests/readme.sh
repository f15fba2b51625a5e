#!/usr/bin/env bash
# Runs the README's walk through the API to the letter, against a server of its own, and checks what came back.
#
# Usage: tests/readme.sh [path of the built loiter]
# The README's port becomes a free one, so that a server that runs already is left alone.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
serve "${1:-$(built)/loiter}"

# The walk is the block behind the comment that names this script.
awk '/tests\/readme.sh runs this block/ { found = 1 } found && /^```$/ { exit } inside { print } found && /^```sh$/ { inside = 1 }' \
  "$top/README.md" | sed "s|http://127.0.0.1:8000|$url|" >"$folder/walk.sh"
[ "$(grep -c curl "$folder/walk.sh")" -eq 2 ] || { echo "the README's walk was not found" >&2; exit 1; }
(cd "$folder" && bash -eu walk.sh) | tee "$folder/answers"

# Each answer of the walk, in order; the poll and what ended it may come in either order.
expect() {
  grep -qE "$1" "$folder/answers" || { echo "the walk did not answer: $1" >&2; exit 1; }
}
[ "$(grep -c '^{"userid":1,"username":"ann"}$' "$folder/answers")" -eq 2 ]
[ "$(grep -c '^{"userid":2,"username":"bob"}$' "$folder/answers")" -eq 2 ]
expect '^\{"chatroomid":1\}$'
expect '^\[\{"userid":2,"username":"bob"\}\]$'
expect '^\{"chatroomid":1,"admin":1,"participants":\[\{"userid":1,"username":"ann"\},\{"userid":2,"username":"bob"\}\]\}$'
expect '^\[1\]$'
# The sender, the poll that it woke, and the poll that endpoll ended.
[ "$(grep -cE '^\[\{"id":1,"chatroomid":1,"userid":1,"username":"ann","message":"hello Bob","time":"[-0-9T:.]+Z"\}\]$' "$folder/answers")" -eq 3 ]
expect '^\{"status":"ok","ended":1,"messages":\[\{"id":1,'
expect '^\{"status":"ok"\}$'
if grep -q '"error"' "$folder/answers"; then
  echo "the walk met an error" >&2
  exit 1
fi
echo "the README's walk: ok"
