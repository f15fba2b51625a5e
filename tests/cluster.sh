#!/usr/bin/env bash
# The tests of the API and of the store on PostgreSQL, and those of several servers: private instances, which are gone afterwards.
#
# Usage: tests/cluster.sh [what cargo test is to be told…]      without: all that is not about SQLite's file
#        LOITER_TEST_SERVERS=3 tests/cluster.sh --test api     the API's tests on three servers
#        LOITER_TEST_SECONDS=600 tests/cluster.sh --test cluster -- faults --nocapture     for so long each, where 5 seconds are usual
# Needs what tests/postgres.sh needs. What of nginx, pgbouncer and Redis (Debian: nginx-light, pgbouncer, redis-server; and openssl, which makes it a certificate) is not here is said,
# and those tests are left out.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/postgres.sh

mkdir "$folder/certificates"
export LOITER_TEST_CERTIFICATES="$folder/certificates"
(
  cd "$folder/certificates"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/CN=nobody' -keyout ca.key -out ca.pem
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj '/CN=localhost' -keyout server.key -out server.csr
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile <(echo 'subjectAltName = DNS:localhost') -out server.pem
  # PostgreSQL wants a key that only its user can read.
  install -m 600 server.key postgres.key
  [ "$(id -u)" -ne 0 ] || chown postgres postgres.key
) >/dev/null 2>&1

# What is tested is not the disk: nothing here outlives the test.
hasty=("fsync = off" "full_page_writes = off")
start_postgres data "${hasty[@]}" "ssl = on" "ssl_cert_file = '$folder/certificates/server.pem'" "ssl_key_file = '$folder/certificates/postgres.key'"
export LOITER_TEST_POSTGRES="postgres://loiter@127.0.0.1:$port/postgres"

not_checked() {
  printf '!!! NOT CHECKED: %s\n' "$1" >&2
  [ -z "${LOITER_NOT_CHECKED:-}" ] || printf '%s\n' "$1" >>"$LOITER_NOT_CHECKED"
}

# What the tests trust, and not cargo itself.
test_redis=(cargo test --config "env.SSL_CERT_FILE.value = '$folder/certificates/ca.pem'" --config 'env.SSL_CERT_FILE.force = true' --workspace --features loiter/redis)

without=()
command -v redis-server >/dev/null || {
  without=(--skip redis::)
  not_checked "hints by Redis, which is not here"
}

# Another one, which tests restart, and where they count what is asked.
if [ $# -eq 0 ] || [[ " $* " == *" cluster "* ]]; then
  start_postgres unsteady "${hasty[@]}" "shared_preload_libraries = 'pg_stat_statements'"
  restart_script unsteady
  unsteady=$port
  export LOITER_TEST_UNSTEADY_POSTGRES="postgres://loiter@127.0.0.1:$unsteady" LOITER_TEST_RESTART="$folder/unsteady.restart"
  # And two of which the one that leads dies.
  start_postgres leading "${hasty[@]}"
  leader=$port
  start_standby following leading "$leader"
  failover_script leading following
  export LOITER_TEST_LEADING_POSTGRES="postgres://loiter@127.0.0.1:$leader,127.0.0.1:$port/postgres" LOITER_TEST_PROMOTE="$folder/following.promote"
  PATH=$PATH:/usr/sbin
  command -v nginx >/dev/null || not_checked "several servers behind nginx, which is not here"
  if command -v pgbouncer >/dev/null; then
    start_pgbouncer "$unsteady"
    export LOITER_TEST_PGBOUNCER="postgres://loiter@127.0.0.1:$bouncer"
  else
    not_checked "several servers behind pgbouncer, which is not here"
  fi
fi

if [ $# -gt 0 ]; then
  case " $* " in
    *" cluster "*) "${test_redis[@]}" "$@" ;;
    *) cargo test --workspace "$@" ;;
  esac
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
for name in "${of_the_file[@]}"; do
  skips+=(--skip "$name")
done
# With the whole workspace, whose tests are compiled already; but for hints by Redis, which are of a feature of their own.
cargo test --workspace --test api
cargo test --workspace --test migrate -- --ignored
cargo test --workspace --test store -- "${skips[@]}"
"${test_redis[@]}" --test cluster -- "${without[@]}"
echo "the API, the store, a move and several servers on PostgreSQL: ok"
