#!/usr/bin/env bash
# Runs the examples of the guides (getting started, operating, sizing, testing, benchmarks) to the letter, against servers of its own, and checks what comes back.
# What stands for the machine is in a folder: systemctl starts and ends a server here, and nothing of the machine is changed.
#
# Usage: tests/guides.sh [folder of the built loiter and loiter-loadtest]
# Needs curl and Python 3. Ports become free ones, and what cargo would build becomes what is built.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
. "$(dirname "${BASH_SOURCE[0]}")/pages.sh"
binaries=$(realpath "${1:-$(built)}")
binary=$binaries/loiter
[ -x "$binary" ] || { echo "$binary is not there: cargo build --workspace" >&2; exit 1; }
export LOITER_LISTEN=127.0.0.1:0 LOITER_PASSWORD_ITERATIONS=1000
follower=
trap '[ -z "$follower" ] || kill "$follower" 2>/dev/null || true; end_server || true; rm -rf "$folder"' EXIT
mkdir -p "$folder/target/release"
ln -s "$binary" "$binaries/loiter-loadtest" "$folder/target/release"

fail() {
  printf 'the guides: %s\n' "$*" >&2
  exit 1
}

# Tries a condition for a while that only a failing test waits for.
eventually() {
  local _
  for _ in $(seq 300); do
    ! "$@" || return 0
    sleep 0.1
  done
  return 1
}

# Runs a block whose last command serves until it is ended, and waits until it listens.
run_server() {
  local commands
  commands=$(block "$1" "$2")
  : >"$folder/listening"
  (
    cd "$folder"
    cargo() { [ "$*" = 'build --release' ] || fail "cargo $*"; }
    eval "$(head -n -1 <<<"$commands")"
    eval "exec $(tail -n 1 <<<"$commands")"
  ) >"$folder/listening" 2>"$folder/log" &
  server=$!
  eventually test -s "$folder/listening" || { cat "$folder/log" >&2; fail "$1: $2 starts no server"; }
  url=$(sed -n '1s/^listening on //p' "$folder/listening")
}

getting_started() {
  local page=docs/getting-started.md changes prelude
  run_server "$page" build
  [ -s "$folder/loiter.db" ] || fail 'the database is not where the guide says'
  end_server || fail 'the server does not end in good order'
  run_server "$page" 'new database'
  session "$page" walk since
  watch_in_python "$page"
  # The guide's other ports may be taken here, or not refused.
  changes="s|/home/ann/loiter|$folder|; s|127\.0\.0\.1:8001|127.0.0.1:0|; s|127\.0\.0\.1:8009|127.0.0.1:1|g"
  session "$page" 'wrong starts'
  # What the walk has made is there.
  prelude=$folder/who.sh
  block "$page" walk | head -n 3 >"$prelude"
  session "$page" 'wrong requests'
  end_server || fail 'the server does not end in good order'
}

# The client of the guide, while the server is killed and started again where it was.
watch_in_python() {
  listen=${url#http://}
  block "$1" watch.py | sed "s|http://127.0.0.1:8000|$url|" >"$folder/watch.py"
  python3 "$folder/watch.py" bob 'battery staple' 1 >"$folder/watched" 2>"$folder/watch.errors" &
  follower=$!
  say 'three'
  eventually has_watched 3 || fail 'watch.py does not show what was said'
  kill_server
  (cd "$folder" && exec "$binary" --listen "$listen" --database walk.db) >"$folder/listening" 2>"$folder/log" &
  server=$!
  eventually test -s "$folder/listening" || fail 'the server does not start again'
  say 'four'
  eventually has_watched 4 || fail 'watch.py does not go on'
  diff - "$folder/watched" <<<$'ann: hello Bob\nann: are you there?\nann: three\nann: four' || fail 'watch.py shows something else'
  kill "$follower"
  wait "$follower" || true
  follower=
  if python3 "$folder/watch.py" bob wrong 1 >"$folder/refused" 2>&1; then fail 'watch.py logs in with another password'; fi
  # A session that is over ends it, with the reason.
  [ ! -s "$folder/watch.errors" ] || { cat "$folder/watch.errors" >&2; fail 'watch.py complains'; }
}

say() {
  curl -sSf --retry 20 --retry-all-errors -b "$folder/ann.jar" -d chatroomid=1 -d "message=$1" "$url/message/sendMessage/" >/dev/null
}

has_watched() {
  [ "$(wc -l <"$folder/watched")" -ge "$1" ]
}

getting_started
every_block_was_run
echo 'the guides: ok'
