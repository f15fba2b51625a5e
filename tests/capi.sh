#!/usr/bin/env bash
# The C interface: builds, installs and links the libraries as docs/embedding-c.md says, in a dev build, and holds them against loiter.h; then has check.c
# ask for what is wrong, and talks to docs/examples/host.c and routes.c, all under valgrind: no access that is not allowed, and no memory lost.
#
# Usage: tests/capi.sh
# Needs a C and a C++ compiler, curl, nm and valgrind.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
built=$(built)
. "$top/tests/pages.sh"
export PREFIX=$folder/usr
readonly PATIENCE=60

fail() {
  echo "$*" >&2
  exit 1
}

# An example of the page, for a dev build.
example() {
  block docs/embedding-c.md "$1" | sed -e 's/ --release / /' -e "s|target/release|$built|"
}

# Says what a command says only where it fails.
quietly() {
  "$@" >"$folder/said" 2>&1 || { cat "$folder/said" >&2; fail "failed: $*"; }
}

# Of all that is wrong it says where, and has the program end with this status.
readonly WRONG=99
watched=(timeout "$PATIENCE" valgrind --quiet --error-exitcode=$WRONG --suppressions="$top/tests/capi/valgrind.supp"
  --leak-check=full --show-leak-kinds=definite,possible --errors-for-leak-kinds=definite,possible)

cd "$top"
quietly bash -eu -c "$(example 'build')"
quietly bash -eu -c "$(example 'install')"

# What is exported is what is declared.
sed -n 's/^[a-z].*[ *]\(loiter_[a-z_]*\)(.*/\1/p' src/capi/loiter.h | sort >"$folder/declared"
nm -D --defined-only "$PREFIX/lib/libloiter.so" | awk '{ print $3 }' | sort >"$folder/exported"
[ "$(wc -l <"$folder/declared")" -gt 15 ] || fail "no functions were found in loiter.h"
diff "$folder/declared" "$folder/exported" >&2 || fail "the shared library exports other functions than loiter.h declares (<)"
nm -g --defined-only "$PREFIX/lib/libloiter.a" 2>/dev/null | awk '$2 == "T" && $3 ~ /^loiter_/ { print $3 }' | sort >"$folder/within"
diff "$folder/declared" "$folder/within" >&2 || fail "the static library has other functions than loiter.h declares (<)"

# As strict as compilers are, in both languages.
strict=(-Wall -Wextra -Werror -pedantic -Wstrict-prototypes -Wmissing-prototypes)
cc -std=c99 "${strict[@]}" -fsyntax-only -x c src/capi/loiter.h
c++ -std=c++11 -Wall -Wextra -Werror -pedantic -fsyntax-only -x c++ src/capi/loiter.h
example 'a server on a thread' | cc -std=c99 "${strict[@]}" -I"$PREFIX/include" -fsyntax-only -x c -
for program in docs/examples/host.c docs/examples/routes.c tests/capi/check.c; do
  cc -std=c99 "${strict[@]}" -I"$PREFIX/include" -fsyntax-only "$program"
done
link=$(example 'link')
(
  mkdir "$folder/linked"
  ln -s "$top/docs" "$folder/linked/docs"
  cd "$folder/linked"
  quietly bash -eu -c "$link"
  # The same, of the other programs.
  quietly bash -eu -c "$(sed -e "s|docs/examples/host.c|-g $top/tests/capi/check.c|" -e 's/-o host/-o check/' <<<"$link")"
  quietly bash -eu -c "$(sed -e 's|docs/examples/host.c|docs/examples/routes.c|' -e 's/-o host/-o routes/' <<<"$link")"
)

mkdir "$folder/wrong" "$folder/shared"
"${watched[@]}" "$folder/linked/check-static" "$folder/wrong" >/dev/null || fail "check.c is not content with the static library"
LD_LIBRARY_PATH=$PREFIX/lib timeout "$PATIENCE" "$folder/linked/check-shared" "$folder/shared" >/dev/null ||
  fail "check.c is not content with the shared library"

# host COMMAND…: starts it, with its standard input at descriptor 3, and finds out where it listens.
host() {
  rm -f "$folder/asked"
  mkfifo "$folder/asked"
  : >"$folder/listening"
  "$@" 0 "$folder/chat.db" <"$folder/asked" >>"$folder/listening" 2>"$folder/log" &
  server=$!
  exec 3>"$folder/asked"
  for _ in $(seq 300); do
    url=$(sed -n 's/^listening on //p' "$folder/listening")
    [ -z "$url" ] || return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  cat "$folder/log" >&2
  fail "the host did not say where it listens"
}

ask() {
  local path=$1
  shift
  curl --silent --show-error --max-time "$PATIENCE" --cookie "$folder/jar" --cookie-jar "$folder/jar" "$@" "$url$path"
}

# Has a poll wait, which the host says when it is asked.
poll() {
  ask '/message/longpoll/?chatroomid=1' >"$folder/polled" &
  polling=$!
  : >"$folder/listening"
  for _ in $(seq 300); do
    kill -0 "$server" 2>/dev/null || break
    printf 'how many?\n' >&3
    ! grep -qx '1 wait' "$folder/listening" || return 0
    sleep 0.1
  done
  cat "$folder/log" "$folder/polled" >&2
  fail "the host did not say that somebody waits"
}

has_answer() {
  wait "$polling"
  grep -q '"message":"hello"' "$folder/polled" || fail "the poll had no answer: $(cat "$folder/polled")"
}

# A poll is woken; a signal ends the server while another waits.
talk() {
  ask /register/ --data 'username=ann&password=rosebud' >/dev/null
  ask /login/ --data 'username=ann&password=rosebud' >/dev/null
  ask /message/newChatroom/ --data '' | grep -qx '{"chatroomid":1}' || fail "no chatroom"
  poll
  ask /message/sendMessage/ --data 'chatroomid=1&message=hello' >/dev/null
  has_answer
  poll
  # `timeout` passes it on.
  end_server || { cat "$folder/log" >&2; fail "the host did not end well ($WRONG: see above)"; }
  has_answer
  exec 3>&-
}

# What the page says of its own routes; and that it hears of a client that leaves while it waits.
talk_of_its_own() {
  session docs/embedding-c.md 'own routes'
  ask '/bell?heard=1' --max-time 1 >/dev/null 2>&1 && fail "somebody was answered who was to wait"
  for _ in $(seq 300); do
    ! grep -qx 'somebody has left' "$folder/listening" || break
    sleep 0.1
  done
  [ "$(grep -cx 'somebody has left' "$folder/listening")" -eq 1 ] || fail "the host has not heard that somebody left"
  # The chat is beside it.
  ask /healthz | grep -q '"ok"' || fail "the chat is not there"
  end_server || { cat "$folder/log" >&2; fail "the host did not end well ($WRONG: see above)"; }
  exec 3>&-
}

host "${watched[@]}" "$folder/linked/host-static"
talk
rm -f "$folder"/chat.db* "$folder/jar"
LD_LIBRARY_PATH=$PREFIX/lib host timeout "$PATIENCE" "$folder/linked/host-shared"
talk
rm -f "$folder"/chat.db* "$folder/jar"
host "${watched[@]}" "$folder/linked/routes-static"
talk_of_its_own
every_block_was_run
echo "the C interface and its examples: ok"
