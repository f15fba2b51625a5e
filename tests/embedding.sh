#!/usr/bin/env bash
# Runs the examples for hosts (docs/examples) with the commands at their heads, to the letter but for the addresses, and compares what those
# print with what stands there.
#
# Usage: cargo build --examples && tests/embedding.sh
# Needs bash and curl.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
examples=$(built)/examples
cd "$folder"

fail() {
  echo "$*" >&2
  exit 1
}

# start NAME LINES [ADDRESS…]: starts an example, which says in so many lines where it listens; sets `server`.
start() {
  local name=$1 lines=$2
  shift 2
  [ -x "$examples/$name" ] || fail "$examples/$name is not there: cargo build --examples"
  "$examples/$name" "$@" >"$name.out" &
  server=$!
  for _ in $(seq 100); do
    [ "$(wc -l <"$name.out")" -ge "$lines" ] && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  fail "$name did not say where it listens"
}

# walk NAME SED: runs its commands, with its addresses as SED makes them, and compares.
walk() {
  local name=$1 addresses=$2
  sed -n '/^\/\/! ```sh$/,/^\/\/! ```$/p' "$top/docs/examples/$name.rs" | sed -n 's|^//! \{0,1\}||p' | grep -v '^```' >"$name.sh"
  [ -s "$name.sh" ] || fail "$name.rs has no commands"
  sed -n 's/^#> //p' "$name.sh" >"$name.expected"
  # An answer of JSON has no line end of its own, and what comes of two at once would share a line: each is printed whole.
  {
    echo 'curl() { printf "%s\n" "$(command curl "$@")"; }'
    sed "$addresses"'; s/ & #.*/ \&/' "$name.sh"
  } >"$name.run"
  timeout 60 bash -eu "$name.run" | sed '/^$/d' >"$name.printed" || fail "$name: a command failed"
  diff "$name.expected" "$name.printed" >&2 || fail "$name: not what its head says"
}

# listening NAME: the address that it said.
listening() {
  sed -n 's|^listening on http://||p' "$1.out"
}

start host 2 127.0.0.1:0 127.0.0.1:0
readings=$(sed -n 's|^readings to 127.0.0.1:||p' host.out)
walk host "s|localhost:8000|$(listening host)|; s|/127.0.0.1/9000|/127.0.0.1/$readings|"
# Its last command has ended it, in good order.
host=$server
server=
wait "$host" || fail "host ended with the status $?"
grep -qx '21.5 degrees' host.out || fail "host has not heard of the reading: $(cat host.out)"

start routes 1 127.0.0.1:0
walk routes "s|localhost:8000|$(listening routes)|"
# Beside what the host answers there is the chat.
curl -s "http://$(listening routes)/healthz" | grep -q '"ok"' || fail "the chat is not there"
echo "both examples did what they say"
