#!/usr/bin/env bash
# The tests of the API against a server on PostgreSQL: a private instance on a free port, in a temporary folder, which is gone afterwards.
#
# Usage: tests/cluster.sh [what cargo test is to be told…]
# Needs PostgreSQL's programs (Debian: postgresql), and for root, whom PostgreSQL does not serve, its user `postgres`.
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
LOITER_TEST_POSTGRES="postgres://loiter@127.0.0.1:$port/postgres" cargo test "$@"
echo "the API on PostgreSQL: ok"
