# Sourced by the scripts here: the binaries that cargo has built, and a server of the script's own.
#
# `built` names the folder of the dev builds. `serve BINARY [OPTION…]` starts a server on a free port with a database in
# `folder`, and sets `server` to its process and `url` to where it listens. Both are gone when the script ends. A script whose clients are to
# find the next server where the last one was sets `listen`.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(mktemp -d)
server=
listen=127.0.0.1:0
trap 'end_server || true; rm -rf "$folder"' EXIT

# Cargo knows best: a variable or a configuration file may have moved it.
built() {
  local target
  target=$(cargo metadata --manifest-path "$top/Cargo.toml" --format-version 1 --no-deps |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
  [ -n "$target" ] || { echo "cargo does not say where it builds" >&2; return 1; }
  printf '%s\n' "$target/debug"
}

serve() {
  local binary=$1
  shift
  [ -x "$binary" ] || { echo "$binary is not there: cargo build --workspace" >&2; exit 1; }
  : >"$folder/listening"
  "$binary" --listen "$listen" --database "$folder/loiter.db" "$@" >"$folder/listening" &
  server=$!
  for _ in $(seq 100); do
    [ -s "$folder/listening" ] && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  url=$(sed -n 's/^listening on //p' "$folder/listening")
  [ -n "$url" ] || { echo "the server did not say where it listens" >&2; exit 1; }
}

# SIGKILL: nothing is finished that was begun.
kill_server() {
  kill -KILL "$server"
  wait "$server" 2>/dev/null || true
  server=
}

# Ends the server in good order, and yields its status.
end_server() {
  local status=0 process=$server
  [ -n "$process" ] || return 0
  server=
  kill "$process" 2>/dev/null || true
  wait "$process" 2>/dev/null || status=$?
  return "$status"
}
