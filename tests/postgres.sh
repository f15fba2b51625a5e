# Sourced by the scripts that need a PostgreSQL of their own: on free ports of this machine, in `folder`, which is gone when the script ends.
#
# `start_postgres NAME [LINE…]` starts one with these lines in its configuration, and sets `port`; `restart_script NAME` writes a program that
# restarts it, as pg_ctl does (`-m fast`, `-m immediate`). Needs PostgreSQL's programs (Debian: postgresql), and for root, whom PostgreSQL does not serve, its user
# `postgres`; Python 3, which knows a free port.

folder=$(mktemp -d)
# What is started, to be ended.
instances=()
processes=()
chmod 755 "$folder"

end_postgres() {
  local process instance
  for process in "${processes[@]}"; do
    kill "$process" 2>/dev/null && wait "$process" 2>/dev/null || true
  done
  for instance in "${instances[@]}"; do
    (cd / && as_postgres "$programs/pg_ctl" -D "$folder/$instance" -m immediate -w stop) >/dev/null 2>&1 || true
  done
  rm -rf "$folder"
}
trap end_postgres EXIT

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

programs=$(dirname "$(readlink -f "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1)")")
[ -x "$programs/initdb" ] || { echo "PostgreSQL's initdb is not there (Debian: postgresql)" >&2; exit 1; }

start_postgres() {
  local name=$1
  shift
  port=$(free_port)
  mkdir "$folder/$name"
  [ "$(id -u)" -ne 0 ] || chown postgres "$folder/$name"
  (cd / && as_postgres "$programs/initdb" -D "$folder/$name" -U loiter -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null)
  printf '%s\n' "listen_addresses = '127.0.0.1'" "port = $port" "unix_socket_directories = ''" "max_connections = 400" "$@" >>"$folder/$name/postgresql.conf"
  instances+=("$name")
  (cd / && as_postgres "$programs/pg_ctl" -D "$folder/$name" -l "$folder/$name/log" -w start >/dev/null) || { cat "$folder/$name/log" >&2; exit 1; }
}

restart_script() {
  local user=()
  [ "$(id -u)" -ne 0 ] || user=(setpriv --reuid postgres --regid postgres --clear-groups)
  printf '#!/bin/sh\ncd /\nexec %s "%s" -D "%s" -l "%s" -w restart "$@"\n' "${user[*]}" "$programs/pg_ctl" "$folder/$1" "$folder/$1/log" >"$folder/$1.restart"
  chmod 755 "$folder/$1.restart"
}

# start_standby NAME PRIMARY PORT: one that follows the PostgreSQL of that name and port, which from now on waits for it with each commit; sets `port` to its own.
start_standby() {
  port=$(free_port)
  mkdir -m 700 "$folder/$1"
  [ "$(id -u)" -ne 0 ] || chown postgres "$folder/$1"
  (cd / && as_postgres "$programs/pg_basebackup" -D "$folder/$1" -h 127.0.0.1 -p "$3" -U loiter -R -X stream -c fast --no-sync)
  printf 'port = %s\n' "$port" >>"$folder/$1/postgresql.conf"
  instances+=("$1")
  (cd / && as_postgres "$programs/pg_ctl" -D "$folder/$1" -l "$folder/$1/log" -w start >/dev/null) || { cat "$folder/$1/log" >&2; exit 1; }
  printf "synchronous_standby_names = '*'\n" >>"$folder/$2/postgresql.conf"
  (cd / && as_postgres "$programs/pg_ctl" -D "$folder/$2" reload >/dev/null)
}

# failover_script PRIMARY STANDBY: writes a program, STANDBY.promote, that kills the one, as a machine that dies, and has the other lead.
failover_script() {
  local user=()
  [ "$(id -u)" -ne 0 ] || user=(setpriv --reuid postgres --regid postgres --clear-groups)
  printf '#!/bin/sh\ncd /\nkill -9 "$(head -n 1 "%s")"\nexec %s "%s" -D "%s" -w promote\n' "$folder/$1/postmaster.pid" "${user[*]}" "$programs/pg_ctl" "$folder/$2" >"$folder/$2.promote"
  chmod 755 "$folder/$2.promote"
}

# start_pgbouncer PORT: before the PostgreSQL at that port, a transaction at a time; sets `bouncer` to its port.
start_pgbouncer() {
  bouncer=$(free_port)
  printf '"loiter" ""\n' >"$folder/bouncer.users"
  cat >"$folder/bouncer.ini" <<INI
[databases]
* = host=127.0.0.1 port=$1
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $bouncer
unix_socket_dir =
auth_type = trust
auth_file = $folder/bouncer.users
pool_mode = transaction
max_client_conn = 200
default_pool_size = 20
INI
  local user=()
  [ "$(id -u)" -ne 0 ] || user=(setpriv --reuid postgres --regid postgres --clear-groups)
  # Not by a function, which would be a process of its own between this and what is to be ended.
  "${user[@]}" "$(PATH=$PATH:/usr/sbin command -v pgbouncer)" -q "$folder/bouncer.ini" >"$folder/bouncer.log" 2>&1 &
  processes+=($!)
}
