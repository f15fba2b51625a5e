#!/usr/bin/env bash
# Runs the examples of the guides (getting started, the API, operating, sizing, benchmarks, testing, contributing, releasing) to the letter, against servers of its own, and checks what comes back.
# What stands for the machine is in a folder: systemctl starts and ends a server here, and nothing of the machine is changed.
#
# Usage: tests/guides.sh [folder of the built loiter and loiter-loadtest]
# Needs curl and Python 3. Ports become free ones, and what cargo would build becomes what is built.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
. "$(dirname "${BASH_SOURCE[0]}")/pages.sh"
binaries=$(realpath "${1:-$(built)}")
binary=$binaries/loiter
# All that is needed, before minutes are spent on what needs only the one.
for program in loiter loiter-loadtest; do
  [ -x "$binaries/$program" ] || { echo "$binaries/$program is not there; both are built by: cargo build --workspace" >&2; exit 1; }
done
export LOITER_LISTEN=127.0.0.1:0 LOITER_PASSWORD_ITERATIONS=1000
follower=
trap '[ -z "$follower" ] || kill "$follower" 2>/dev/null || true; end_server || true; rm -rf "$folder"' EXIT
mkdir -p "$folder/target/release"
ln -s "$binary" "$binaries/loiter-loadtest" "$folder/target/release"

fail() {
  printf 'the guides: %s\n' "$*" >&2
  exit 1
}

# Tries a condition for a while that only a failing test waits for.
eventually() {
  local _
  for _ in $(seq 300); do
    ! "$@" || return 0
    sleep 0.1
  done
  return 1
}

# Runs a block whose last command serves until it is ended, and waits until it listens.
run_server() {
  local commands
  commands=$(block "$1" "$2")
  : >"$folder/listening"
  (
    cd "$folder"
    cargo() { [ "$*" = 'build --release' ] || fail "cargo $*"; }
    eval "$(head -n -1 <<<"$commands")"
    eval "exec $(tail -n 1 <<<"$commands")"
  ) >"$folder/listening" 2>"$folder/log" &
  server=$!
  eventually test -s "$folder/listening" || { cat "$folder/log" >&2; fail "$1: $2 starts no server"; }
  url=$(sed -n '1s/^listening on //p' "$folder/listening")
}

getting_started() {
  local page=docs/getting-started.md changes prelude
  run_server "$page" build
  [ -s "$folder/loiter.db" ] || fail 'the database is not where the guide says'
  end_server || fail 'the server does not end in good order'
  run_server "$page" 'new database'
  session "$page" walk since
  session docs/api.md 'two calls'
  watch_in_python "$page"
  # The guide's other ports may be taken here, or not refused.
  changes="s|/home/ann/loiter|$folder|; s|127\.0\.0\.1:8001|127.0.0.1:0|; s|127\.0\.0\.1:8009|127.0.0.1:1|g"
  session "$page" 'wrong starts'
  # What the walk has made is there.
  prelude=$folder/who.sh
  block "$page" walk | head -n 3 >"$prelude"
  session "$page" 'wrong requests'
  end_server || fail 'the server does not end in good order'
}

# The client of the guide, while the server is killed and started again where it was.
watch_in_python() {
  listen=${url#http://}
  block "$1" watch.py | sed "s|http://127.0.0.1:8000|$url|" >"$folder/watch.py"
  python3 "$folder/watch.py" bob 'battery staple' 1 >"$folder/watched" 2>"$folder/watch.errors" &
  follower=$!
  say 'three'
  eventually has_watched 3 || fail 'watch.py does not show what was said'
  kill_server
  (cd "$folder" && exec "$binary" --listen "$listen" --database walk.db) >"$folder/listening" 2>"$folder/log" &
  server=$!
  eventually test -s "$folder/listening" || fail 'the server does not start again'
  say 'four'
  eventually has_watched 4 || fail 'watch.py does not go on'
  diff - "$folder/watched" <<<$'ann: hello Bob\nann: are you there?\nann: three\nann: four' || fail 'watch.py shows something else'
  # Ctrl-C, without a stack trace.
  kill -INT "$follower"
  wait "$follower" || true
  follower=
  watch_is_refused "$folder/watch.py" 'python3 watch.py NAME PASSWORD CHATROOM'
  sed "s|$url|http://127.0.0.1:1|" "$folder/watch.py" >"$folder/watch.elsewhere.py"
  watch_is_refused "$folder/watch.elsewhere.py" 'no server at' bob 'battery staple' 1
  watch_is_refused "$folder/watch.py" '{"error":"bad_credentials"' bob wrong 1
  [ ! -s "$folder/watch.errors" ] || { cat "$folder/watch.errors" >&2; fail 'watch.py complains'; }
}

# watch_is_refused FILE REASON [ARGUMENT…]: in one line.
watch_is_refused() {
  if python3 "$1" "${@:3}" >"$folder/refused" 2>&1; then fail "$1 ${*:3} ends well"; fi
  [ "$(grep -c '' "$folder/refused")" = 1 ] && grep -qF "$2" "$folder/refused" || { cat "$folder/refused" >&2; fail "watch.py does not say in one line: $2"; }
}

say() {
  curl -sSf --retry 20 --retry-all-errors -b "$folder/ann.jar" -d chatroomid=1 -d "message=$1" "$url/message/sendMessage/" >/dev/null
}

has_watched() {
  [ "$(wc -l <"$folder/watched")" -ge "$1" ]
}

## What stands for the machine.

# as_root PAGE NAME: here, with the machine's folders in one of our own.
as_root() {
  local commands
  commands=$(block "$1" "$2" | sed "s|/var/lib/loiter|$folder/machine/lib|g; s|/usr/local/bin/|$folder/machine/bin/|g; s|/etc/|$folder/machine/etc/|g")
  eval "$commands"
}

systemctl() {
  local verb=$1
  case "$*" in
  daemon-reload) return ;;
  'stop loiter.socket loiter.service' | 'start loiter.socket loiter.service' | 'restart loiter.socket loiter.service' | 'restart loiter') ;;
  *) fail "systemctl $*" ;;
  esac
  [ "$verb" = start ] || end_server || fail "the service does not end in good order"
  [ "$verb" = stop ] && return
  : >"$folder/listening"
  (
    set -a
    [ ! -e "$folder/machine/etc/default/loiter" ] || . "$folder/machine/etc/default/loiter"
    exec "$folder/machine/bin/loiter" --database "$folder/machine/lib/loiter.db" --log warn
  ) >"$folder/listening" 2>"$folder/log" &
  server=$!
  eventually test -s "$folder/listening" || { cat "$folder/log" >&2; fail "systemctl $*: it does not start"; }
  url=$(sed -n '1s/^listening on //p' "$folder/listening")
}

runuser() {
  [ "$1 $2 $3" = '-u loiter --' ] || fail "runuser $*"
  "${@:4}"
}

loiter() {
  case " $* " in
  *' user password '*) "$binary" "$@" --password-stdin <<<'another one' ;;
  *' health '*) "$binary" "$@" "${url#http://}" ;;
  # Whether this machine holds so many is another matter.
  *' check '*) "$binary" "$@" || [ $? -eq 1 ] ;;
  *) "$binary" "$@" ;;
  esac
}

# There is no user of the service's own here.
install() {
  [ "$1 $2 $3 $4" != '-o loiter -g loiter' ] || shift 4
  command install "$@"
}

# What is set must be a setting, as far as this kernel has it, of one or more numbers.
sysctl() {
  [ "$*" = --system ] || fail "sysctl $*"
  local file name value
  for file in "$folder"/machine/etc/sysctl.d/*.conf; do
    while IFS=' ' read -r name _ value; do
      [[ $value =~ ^[0-9\ ]+$ ]] || fail "$name = $value is no setting"
      [[ -e /proc/sys/${name//.//} || $name = net.netfilter.* || $name = net.core.* ]] || fail "there is no setting $name"
    done <"$file"
  done
}

systemd-run() {
  [ "$1 $2 $3" = '--pipe --wait -p' ] && [[ $4 = LimitNOFILE=* ]] || fail "systemd-run $*"
  "${@:5}"
}

# The same day all through.
date() {
  echo 2026-11-26
}

# calls STATUS PATH [CURL'S OPTION…]
calls() {
  [ "$(curl -sS -o "$folder/answer" -w '%{http_code}' "${@:3}" "$url$2")" = "$1" ] || { cat "$folder/answer" >&2; fail "$2 is not answered with $1"; }
}

operating() {
  local page=docs/operating.md machine=$folder/machine
  mkdir -p "$machine"/{lib,bin,etc/{default,sysctl.d,systemd/system}}
  cp "$binary" "$machine/bin/loiter"
  cd "$folder"
  systemctl start loiter.socket loiter.service
  calls 200 /register/ -d username=ann -d 'password=correct horse'
  as_root "$page" 'a copy'
  calls 200 /register/ -d username=bob -d 'password=correct horse'
  as_root "$page" 'going back to a copy'
  calls 200 /login/ -d username=ann -d 'password=correct horse'
  calls 401 /login/ -d username=bob -d 'password=correct horse'
  as_root "$page" 'another password'
  calls 401 /login/ -d username=ann -d 'password=correct horse'
  calls 200 /login/ -d username=ann -d 'password=another one'
  rm "$machine/bin/loiter"
  as_root "$page" upgrading
  [ -s "$machine/lib/before-upgrade.db" ] || fail 'there is no copy before the upgrade'
  calls 200 /login/ -d username=ann -d 'password=another one'
  as_root "$page" 'behind a proxy'
  calls 200 /login/ -d username=ann -d 'password=another one' -D "$folder/head"
  grep -qi '^set-cookie: __Host-session=.*; Secure' "$folder/head" || fail 'what is set for a proxy has no effect'
}

sizing() {
  local page=docs/sizing.md
  as_root "$page" 'as the service' >"$folder/checked"
  grep -q '1,000,000 \(do not \)\?fit' "$folder/checked" || fail 'the check does not say whether they fit'
  as_root "$page" 'for 100,000'
  as_root "$page" 'where the proxy runs'
  as_root "$page" 'for 1,000,000'
  calls 200 /readyz
  tr '\0' '\n' <"/proc/$server/environ" | grep -qx LOITER_KEEPALIVE=100s || fail 'the keepalive is not set'
  end_server || fail 'the server does not end in good order'
  cd "$top"
}

# The measurements as they stand, but for their size: what they say is not what counts here.
benchmarks() {
  local page=docs/benchmarks.md
  local smaller='s/--polls 10000/--polls 200/; s/--chatrooms 1000/--chatrooms 20/; s/--rate 1000/--rate 200/; s/--seconds 3/--seconds 1/; s/spread --html/spread --polls 200 --seconds 1 --html/'
  {
    echo 'cargo() { [ "$*" = "build --release --workspace" ]; }'
    block "$page" 'measure it'
    block "$page" 'each row'
  } | sed "$smaller" >"$folder/measure.sh"
  (cd "$folder" && PATH=$folder/target/release:$PATH bash -eu measure.sh >measured 2>&1) || { cat "$folder/measured" >&2; fail 'a measurement fails'; }
  [ -s "$folder/spread.html" ] || fail 'there are no plots'
}

# As they are for a change: what they write is what is there.
contributing() {
  local page=docs/contributing.md
  cd "$top"
  git -c safe.directory="$top" diff >"$folder/before" 2>/dev/null || true
  run "$page" reference >"$folder/said" 2>&1 || { cat "$folder/said" >&2; fail 'the reference cannot be written'; }
  run "$page" locks
  git -c safe.directory="$top" diff >"$folder/after" 2>/dev/null || true
  diff "$folder/before" "$folder/after" || fail 'the reference or the locks are not up to date'
}

# What is published: the sources, the pages, and what these show or link to. It is built as it was packed, from what is at hand
# without a network, and with changes that are not committed yet.
releasing() {
  # What it depends on is built already.
  cargo() {
    CARGO_TARGET_DIR=$(dirname "$binaries") command cargo "$@" --allow-dirty --offline
  }
  run docs/releasing.md 'the crate' >"$folder/packed" 2>"$folder/said" || { cat "$folder/said" >&2; fail 'the crate is not complete'; }
  unset -f cargo
  local file
  for file in Cargo.toml README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE src/lib.rs src/build/main.rs src/web/page/page.js docs/README.md docs/images/desktop-light.png docs/operations/alerts.yml; do
    grep -qxF "$file" "$folder/packed" || fail "the crate has no $file"
  done
  if grep -vE '^(\.cargo_vcs_info\.json|Cargo\.(toml|toml\.orig|lock)|README\.md|CHANGELOG\.md|LICENSE-[A-Z]*|build\.rs|(src|docs)/.*)$' "$folder/packed"; then
    fail 'the crate has more than it needs'
  fi
}

# The simulator as it is built for the tests, with fewer seeds.
seeds() {
  cargo() {
    local words=("$@")
    [ "$2" != --release ] || words=("$1" "${@:3}")
    [ -z "${LOITER_SIM_SEEDS:-}" ] || LOITER_SIM_SEEDS=20
    command cargo "${words[@]}" >"$folder/simulated" 2>&1 || { cat "$folder/simulated" >&2; fail "cargo $*"; }
    grep -qE 'test result: ok\. [1-9]' "$folder/simulated" || fail "cargo $* runs no test"
  }
  run docs/testing.md 'one seed'
  run docs/testing.md 'many seeds'
  unset -f cargo
}

getting_started
operating
sizing
benchmarks
contributing
releasing
seeds
every_block_was_run
echo 'the guides: ok'
