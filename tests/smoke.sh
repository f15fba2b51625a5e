#!/usr/bin/env bash
# The whole server under a short load, each measurement against a server of its own: polls that are parked and woken, one
# chatroom's fan-out, durable sends. What counts is not the speed but that nothing is lost, doubled or unexpected.
#
# Usage: tests/smoke.sh [folder of the built loiter and loiter-loadtest]
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
binaries=${1:-$(built)}

under() {
  printf '\n-- %s\n' "$*"
  serve "$binaries/loiter" --log warn --password-iterations 1000
  "$binaries/loiter-loadtest" "$@" --url "$url" --pid "$server"
  end_server || { echo "the server did not end in good order" >&2; exit 1; }
  rm -f "$folder"/*
}

under idle --polls 1000 --chatrooms 10 --hold 2
under fanout --polls 500 --messages 5
under send --senders 8 --seconds 2
echo "the server under load: ok"
