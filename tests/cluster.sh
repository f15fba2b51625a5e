#!/usr/bin/env bash
# The tests of the API and of the store on PostgreSQL: a private instance on a free port, in a temporary folder, which is gone afterwards.
#
# Usage: tests/cluster.sh [what cargo test is to be told…]      without: all that is not about SQLite's file
# Needs PostgreSQL's programs (Debian: postgresql), and for root, whom PostgreSQL does not serve, its user `postgres`; Python 3, which knows a free port; for hints by Redis
# its server (Debian: redis-server), of which each such test starts one of its own, and openssl, which makes it a certificate.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$(mktemp -d)
postgres=

end() {
  [ -z "$postgres" ] || as_postgres "$programs/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap end EXIT

# as_postgres COMMAND…: as somebody whom PostgreSQL serves.
as_postgres() {
  if [ "$(id -u)" -eq 0 ]; then
    setpriv --reuid postgres --regid postgres --clear-groups env HOME="$folder" "$@"
  else
    "$@"
  fi
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

programs=$(dirname "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1)")
[ -x "$programs/initdb" ] || { echo "PostgreSQL's initdb is not there (Debian: postgresql)" >&2; exit 1; }
chmod 755 "$folder"
mkdir "$folder/data"
[ "$(id -u)" -ne 0 ] || chown postgres "$folder/data"
(cd / && as_postgres "$programs/initdb" -D "$folder/data" -U loiter -A trust -E UTF8 --locale=C.UTF-8 >/dev/null)
port=$(free_port)
# What is tested is not the disk: nothing here outlives the test.
cat >>"$folder/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
max_connections = 400
fsync = off
full_page_writes = off
CONF
(cd / && as_postgres "$programs/pg_ctl" -D "$folder/data" -l "$folder/data/log" -w start >/dev/null) || { cat "$folder/data/log" >&2; exit 1; }
postgres=$port
export LOITER_TEST_POSTGRES="postgres://loiter@127.0.0.1:$port/postgres"

mkdir "$folder/certificates"
export LOITER_TEST_CERTIFICATES="$folder/certificates"
(
  cd "$folder/certificates"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/CN=nobody' -keyout ca.key -out ca.pem
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj '/CN=localhost' -keyout server.key -out server.csr
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile <(echo 'subjectAltName = DNS:localhost') -out server.pem
) >/dev/null 2>&1
# What the tests trust, and not cargo itself.
test=(cargo test --config "env.SSL_CERT_FILE.value = '$folder/certificates/ca.pem'" --config 'env.SSL_CERT_FILE.force = true' --workspace --features loiter/redis)

without=()
if ! command -v redis-server >/dev/null; then
  without=(--skip redis::)
  echo 'NOT CHECKED: hints by Redis, which is not there (Debian: redis-server)' | tee -a "${LOITER_NOT_CHECKED:-/dev/null}" >&2
fi

if [ $# -gt 0 ]; then
  "${test[@]}" "$@"
  exit
fi

# What is of SQLite's file alone, and why.
of_the_file=(
  # … its log is kept short by checkpoints of our own; PostgreSQL's is its own affair.
  bounded::
  what_is_saved_goes_from_the_log_into_the_database
  # … what is wrong with its bytes, its header, its version, its folder.
  damage:: opening:: upgrade::
  # … it fills a disk; its process is killed, which of PostgreSQL's clients none feels; what a child does, it does in a folder.
  writing_goes_on_when_the_disk_has_room_again
  a_start_that_runs_out_of_descriptors_says_so
  a_logger_that_panics_leaves_nobody_without_an_answer
  who_is_killed_in_mid_batch_has_lost_nothing_that_was_told
  # … what stands in its bytes, or in those beside it.
  what_a_password_was_is_nowhere_in_the_file
  no_file_has_a_secret
  # … `loiter user` works on a file alone.
  users::
)
skips=()
for test in "${of_the_file[@]}"; do
  skips+=(--skip "$test")
done
# With the whole workspace, whose dependencies are compiled already.
"${test[@]}" --test api --test cluster -- "${without[@]}"
"${test[@]}" --test migrate -- --ignored
"${test[@]}" --test store -- "${skips[@]}"
echo "the API, the store, a move and several servers on PostgreSQL: ok"
