#!/usr/bin/env bash
# System calls, counted on the built server: one to receive a poll and one to send its answer, next to none for anything else, and none
# at all while polls wait. Needs strace, and to be allowed to attach it to a child.
#
# Usage: tests/syscalls.sh [folder of the built loiter and loiter-loadtest]
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
binaries=${1:-$(built)}
command -v strace >/dev/null || { echo "strace is not there" >&2; exit 1; }

# The number of that name in the last figures; 0 where there is none.
figure() {
  sed -n "s/^ *\"$1\": \([0-9.eE+-]*\),*\$/\1/p" "$folder/figures.json" | head -n 1 | grep . || echo 0
}

# at_most NAME NUMBER
at_most() {
  local found
  found=$(figure "$1")
  printf '%-28s %s (at most %s)\n' "$1" "$found" "$2"
  awk -v found="$found" -v most="$2" 'BEGIN { exit !(found <= most) }' ||
    { echo "$1 is $found, and $2 is allowed" >&2; exit 1; }
}

load() {
  printf '\n-- %s\n' "$*"
  "$binaries/loiter-loadtest" "$@" --json "$folder/figures.json" >/dev/null
}

# For each delivery and the poll after it. The sends, and what measures, come to less than a tenth of a call more.
load fanout --polls 500 --messages 10 --strace
at_most calls_recvfrom_each 1.1
at_most calls_sendto_each 1.1
at_most calls_epoll_wait_each 0.5
at_most calls_epoll_ctl_each 0
at_most calls_futex_each 0.1
at_most calls_fcntl_each 0.1
awk -v found="$(figure calls_recvfrom_each)" 'BEGIN { exit !(found >= 1) }' ||
  { echo "strace has counted nothing" >&2; exit 1; }

# While polls wait: a switch now and then is the measuring's own.
load idle --polls 1000 --chatrooms 10 --hold 5
at_most idle_voluntary_switches 10
echo "system calls: ok"
