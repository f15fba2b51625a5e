#!/usr/bin/env bash
# What several servers on one PostgreSQL cost, measured on a private instance whose commits reach the disk (fsync and synchronous_commit are on):
# sending, beside what pgbench reaches with the same rows in batches of the same size; what a batch asks; and how much later a message comes to a poll at another server.
#
# Usage: loadtest/postgres.sh [seconds of each run, 5 if left out] [how often, 3] [senders, 64]
# Needs PostgreSQL with pgbench (Debian: postgresql), and cargo build --release --workspace --features loiter/postgres. Nothing else should go on in the machine.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/postgres.sh
seconds=${1:-5}
times=${2:-3}
senders=${3:-64}
target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release
[ -x "$target/loiter" ] && [ -x "$target/loiter-loadtest" ] || { echo "cargo build --release --workspace --features loiter/postgres" >&2; exit 1; }

start_postgres data "shared_preload_libraries = 'pg_stat_statements'"
database=postgres://loiter@127.0.0.1:$port/postgres
ask() {
  PGOPTIONS='-c client_min_messages=warning' psql -X -A -t -q -v ON_ERROR_STOP=1 -d "$database" "$@"
}
ask -c 'CREATE EXTENSION pg_stat_statements'

"$target/loiter" --listen 127.0.0.1:0 --database "$database" --password-iterations 1000 --log warn >"$folder/listening" &
server=$!
processes+=("$server")
until [ -s "$folder/listening" ]; do
  kill -0 "$server"
  sleep 0.1
done
url=$(sed -n 's/^listening on //p' "$folder/listening")

figure() {
  sed -n "s/^ *\"$1\": \([0-9.eE+-]*\),*\$/\1/p" "$folder/figures.json" | head -n 1
}

calls() {
  ask -c "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query LIKE '%$1%'"
}

# The rows of a message as long as those that are sent, in batches of so many: one connection, as a server has one that writes.
bench() {
  local batch=$1 clients=$2
  cat >"$folder/batch.sql" <<SQL
\set room 1 + :client_id
BEGIN;
SELECT last_message AS last FROM bench_chatrooms WHERE id = :room FOR NO KEY UPDATE \gset
INSERT INTO bench_messages (chatroom, id, user_id, text, time) SELECT :room, :last + n, 1, repeat('x', 34), 1800000000000 FROM generate_series(1, $batch) AS n;
UPDATE bench_chatrooms SET last_message = :last + $batch, last_time = 1800000000000 WHERE id = :room;
COMMIT;
SQL
  chmod 644 "$folder/batch.sql"
  pgbench -n -c "$clients" -j 1 -T "$seconds" -f "$folder/batch.sql" -h 127.0.0.1 -p "$port" -U loiter postgres 2>/dev/null | sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}
ask -c 'CREATE TABLE bench_chatrooms (LIKE chatrooms INCLUDING ALL); CREATE TABLE bench_messages (LIKE messages INCLUDING ALL)' \
  -c 'INSERT INTO bench_chatrooms (id, admin, created) SELECT n, 1, 0 FROM generate_series(1, 8) AS n'

printf '%s senders for %s s, then pgbench for %s s, %s times\n' "$senders" "$seconds" "$seconds" "$times"
for _ in $(seq "$times"); do
  ask -c 'SELECT pg_stat_statements_reset()' >/dev/null
  "$target/loiter-loadtest" send --senders "$senders" --seconds "$seconds" --url "$url" --pid "$server" --json "$folder/figures.json" >"$folder/loadtest.log" || { cat "$folder/loadtest.log" >&2; exit 1; }
  acknowledged=$(figure acknowledged)
  batches=$(calls 'INSERT INTO messages')
  statements=$(ask -c 'SELECT sum(calls) FROM pg_stat_statements')
  batch=$(awk -v messages="$acknowledged" -v batches="$batches" 'BEGIN { printf "%d", messages / batches + 0.5 }')
  one=$(bench "$batch" 1)
  two=$(bench "$batch" 2)
  awk -v messages="$acknowledged" -v seconds="$seconds" -v batch="$batch" -v batches="$batches" -v statements="$statements" -v one="$one" -v two="$two" -v told="$(calls pg_notify)" 'BEGIN {
    rate = messages / seconds
    printf "loiter %.0f messages a second, %d a batch, %.0f batches a second, %.2f notifications and %.1f statements for each; ", rate, batch, batches / seconds, told / batches, statements / batches
    printf "pgbench %.0f by one connection (ratio %.2f), %.0f by two in two chatrooms (%.2f)\n", one * batch, rate / (one * batch), two * batch, rate / (two * batch)
  }'
done

export LOITER_TEST_UNSTEADY_POSTGRES="postgres://loiter@127.0.0.1:$port" LOITER_TEST_RESTART=/bin/false LOITER_TEST_BINARY="$target/loiter"
cargo test --quiet --workspace --features loiter/postgres --test cluster -- figures --ignored --nocapture
