#!/usr/bin/env bash
# Runs the README's examples to the letter, against a server of its own, and checks what comes back.
#
# Usage: tests/readme.sh [path of the built loiter]
# The README's port becomes a free one, so that a server that runs already is left alone; a release that cargo would build becomes what is built.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
. "$(dirname "${BASH_SOURCE[0]}")/pages.sh"
binary=${1:-$(built)/loiter}

fail() {
  printf 'the README: %s\n' "$*" >&2
  exit 1
}

# The tests are another step of .ci/run.
cargo() {
  case "$*" in
    'run --release') serve "$binary" ;;
    'test --workspace') grep -qx 'step cargo test --workspace' "$top/.ci/run" || fail 'nobody runs the tests' ;;
    *) command cargo "$@" ;;
  esac
}
run README.md 'two commands'
unset -f cargo
[ -n "$server" ] || fail 'its first command starts no server'

block README.md 'six lines' | sed "s|http://127.0.0.1:8000|$url|" >"$folder/taste.sh"
[ "$(wc -l <"$folder/taste.sh")" -eq 6 ] || fail 'the six lines are not six'
# As at a terminal, which waits for nobody.
(cd "$folder" && bash -eu <(cat taste.sh; echo wait)) >"$folder/answers"
cat "$folder/answers"
[ "$(grep -c '^{"userid":1,"username":"ann"}$' "$folder/answers")" -eq 2 ] || fail 'nobody is registered and logged in'
grep -qx '{"chatroomid":1}' "$folder/answers" || fail 'there is no chatroom'
# Who waited and who spoke.
[ "$(grep -cE '^\[\{"id":1,"chatroomid":1,"userid":1,"username":"ann","message":"hello","time":"[-0-9T:.]+Z"\}\]$' "$folder/answers")" -eq 2 ] ||
  fail 'the message does not reach both'
[ "$(grep -c . "$folder/answers")" -eq 5 ] || fail 'something else is answered'
every_block_was_run
echo "the README's examples: ok"
