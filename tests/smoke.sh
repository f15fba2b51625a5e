#!/usr/bin/env bash
# The whole server under a short load: each measurement of loiter-loadtest against a server of its own, which it starts and ends
# itself, and one of them once more beside the floor and whatever peer is installed. What counts is not the speed but that nothing is lost, doubled or unexpected,
# and that the server ends in good order.
#
# Usage: tests/smoke.sh [folder of the built loiter and loiter-loadtest]
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
binaries=${1:-$(built)}

load() {
  printf '\n-- %s\n' "$*"
  "$binaries/loiter-loadtest" "$@" --html "$folder/page.html" --json "$folder/figures.json"
  [ -s "$folder/page.html" ] && [ -s "$folder/figures.json" ]
}

load idle --polls 500 --chatrooms 10 --hold 1
load fanout --polls 500 --messages 5 --probe-rate 200
load spread --polls 500 --chatrooms 50 --senders 8 --seconds 1
load spread --polls 200 --chatrooms 20 --senders 4 --seconds 1 --rate 200 --server-arg=--recent=1
load send --senders 1,8 --seconds 1
load rps --connections 8 --seconds 1 --rate 500
load expire --polls 500 --timeout 1 --seconds 4
load churn --polls 300 --chatrooms 10 --rounds 2
load storm --polls 500 --messages 3
load compare --only fanout --repetitions 1 --polls 200 --chatrooms 20 --messages 2 --seconds 1

# Floods at a tenth of their size; a shared machine's times say nothing, and silence is found sooner where it is asked about sooner.
load chaos --scale 10 --untimed --keepalive 5

# A server that was there before, as whoever runs one has it.
serve "$binaries/loiter" --log warn --password-iterations 1000
load send --senders 4 --seconds 1 --url "$url" --pid "$server"
end_server || { echo "the server did not end in good order" >&2; exit 1; }
echo "the server under load: ok"
