#!/usr/bin/env bash
# What loiter costs a machine, beside what it may: bytes of the binary, of a host with loiter in it, and of memory; 10,000 polls in little
# memory. Builds both in release, which takes some minutes. Memory is the PSS of a copy that nobody else runs, without the pages of the system's libraries: their part
# depends on who else has them mapped, and is told beside it. Needs Linux, strip and readelf, and for the memory of all to be root with cgroups.
#
# Usage: tests/budgets.sh [folder of the built loiter-loadtest]
#        tests/budgets.sh build      only builds them
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
binaries=${1:-$(built)}
target=$(dirname "$(built)")
command -v strip >/dev/null && command -v readelf >/dev/null || { echo "strip and readelf are not there" >&2; exit 1; }
exceeded=0
group=

# within WHAT BUDGET MEASURED [REMARK]
within() {
  local verdict=
  if [ "$3" -gt "$2" ]; then
    verdict='  TOO MUCH'
    exceeded=1
  fi
  printf '%-50s %10s %10s%s\n' "$1" "$2" "$3" "${4:+  $4}$verdict"
}

# within_memory WHAT KIB REMARK
within_memory() {
  local own libraries
  read -r own libraries < <(awk '
    /^[0-9a-f]+-[0-9a-f]+ / { is_library = $6 ~ /\.so(\.[0-9]+)*$/ }
    $1 == "Pss:" && is_library { libraries += $2 }
    $1 == "Pss:" && !is_library { own += $2 }
    END { print own + 0, libraries + 0 }' "/proc/$server/smaps")
  [ "$own" -gt 0 ] || { echo "the system does not tell a process's memory" >&2; exit 1; }
  within "$1" "$2" "$own" "and $libraries of libraries${3:+; $3}"
}

# after_start_and_requests NAME KIB_STARTED KIB_AFTER REMARK BINARY [OPTION…]
after_start_and_requests() {
  local name=$1 started=$2 after=$3 remark=$4 status=0
  shift 4
  serve "$@"
  within_memory "PSS of $name, started (KiB)" "$started" "$remark"
  "$binaries/loiter-loadtest" rps --connections 2 --rate 500 --seconds 2 --url "$url" --pid "$server" >/dev/null 2>&1
  within_memory "PSS of $name, 1,000 requests (KiB)" "$after" "$remark"
  # 143: a host without a handler for SIGTERM.
  end_server || status=$?
  [ "$status" -eq 0 ] || [ "$status" -eq 143 ] || { echo "the server did not end in good order: $status" >&2; exit 1; }
  rm -f "$folder"/loiter.db*
}

# Written anew, and locked as we are: what a host that wants to be small has in its own manifest (docs/operating.md).
write_host() {
  mkdir -p "$target/budgets/src"
  cp "$top/Cargo.lock" "$target/budgets/"
  cat >"$target/budgets/Cargo.toml" <<MANIFEST
[workspace]

[package]
name = "loiter-budgets"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
loiter = { path = "$top", default-features = false }

[profile.release]
opt-level = "z"
lto = "fat"
codegen-units = 1
overflow-checks = true
MANIFEST
  cat >"$target/budgets/src/main.rs" <<'HOST'
//! `--listen ADDRESS --database FILE`, as the scripts start loiter.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let mut server = loiter::Server::bind(loiter::Config {
        listen: vec![arguments[2].parse()?],
        database: (&arguments[4]).into(),
        workers: 1,
        cache_sessions: 1024,
        cache_messages: 1 << 20,
        ..loiter::Config::default()
    })?;
    println!("listening on http://{}", server.addresses()[0]);
    while !server.is_done() {
        server.turn(None)?;
    }
    Ok(())
}
HOST
}

# Everything that a process of the group takes, the kernel's part included, may be so much.
limit_memory() {
  local bytes=$1
  if [ -w /sys/fs/cgroup/memory ] && mkdir "/sys/fs/cgroup/memory/loiter-$$" 2>/dev/null; then
    group=/sys/fs/cgroup/memory/loiter-$$
    echo "$bytes" >"$group/memory.limit_in_bytes"
  elif grep -qw memory /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null && mkdir "/sys/fs/cgroup/loiter-$$" 2>/dev/null; then
    group=/sys/fs/cgroup/loiter-$$
    echo "$bytes" >"$group/memory.max"
    [ ! -e "$group/memory.swap.max" ] || echo 0 >"$group/memory.swap.max"
  else
    return 1
  fi
  trap 'end_server || true; rmdir "$group"; rm -rf "$folder"' EXIT
}

cargo build --release --manifest-path "$top/Cargo.toml" -p loiter --bin loiter
# What src/build/layout.rs asks of the linker; without it memory is some 1,000 KiB more.
readelf --sections --wide "$target/release/loiter" | grep -qw '\.text\.rare' || { echo 'the linker has left the code where it was' >&2; exit 1; }
write_host
cargo build --release --manifest-path "$target/budgets/Cargo.toml" --target-dir "$target/budgets/target" --offline
[ "${1:-}" != build ] || exit 0
strip -o "$folder/loiter" "$target/release/loiter"
strip -o "$folder/host" "$target/budgets/target/release/loiter-budgets"
# As after an installation: what has just been written is in the system's memory in pieces of up to 2 MiB, each of which it maps whole for a byte of it.
for copy in loiter host; do
  sync "$folder/$copy"
  dd if="$folder/$copy" iflag=nocache count=0 status=none
done
# What is asked about is memory for each, not how many the shell may open.
[ "$(ulimit -Hn)" = unlimited ] || ulimit -n "$(ulimit -Hn)"

printf '\n%-50s %10s %10s\n' what budget measured
# PostgreSQL with TLS may be 2 MiB of it.
within 'loiter, stripped (bytes)' $((3722304 + 2 * 1024 * 1024)) "$(stat -c %s "$folder/loiter")"
within 'a host with the library only, stripped (bytes)' $((5 * 1024 * 1024 / 2)) "$(stat -c %s "$folder/host")"
after_start_and_requests 'loiter' 4096 4096 '' "$folder/loiter" --log warn
# No smaller: code is most of it (docs/operating.md, "Small machines").
after_start_and_requests 'loiter --workers 1' 4096 4096 '' "$folder/loiter" --log warn --workers 1
after_start_and_requests 'a small host' 2560 2560 '' "$folder/host"

# The server alone is limited, not who asks it.
if limit_memory $((64 * 1024 * 1024)); then
  printf '#!/bin/sh\necho $$ >%s/cgroup.procs\nexec %s/loiter "$@"\n' "$group" "$folder" >"$folder/limited"
  chmod +x "$folder/limited"
  serve "$folder/limited" --log warn
  "$binaries/loiter-loadtest" fanout --polls 10000 --messages 5 --url "$url" --pid "$server" --json "$folder/figures.json" >/dev/null
  if [ -e "$group/memory.max_usage_in_bytes" ]; then
    most=$(cat "$group/memory.max_usage_in_bytes")
  else
    most=$(cat "$group/memory.peak")
  fi
  within '10,000 polls woken 5 times, memory of all (bytes)' $((64 * 1024 * 1024)) "$most"
  end_server || { echo "the server did not end in good order" >&2; exit 1; }
else
  echo '!!! NOT CHECKED: 10,000 polls in 64 MiB: no cgroup can be made here'
  [ -z "${LOITER_NOT_CHECKED:-}" ] || echo 'tests/budgets.sh: 10,000 polls in 64 MiB: no cgroup can be made here' >>"$LOITER_NOT_CHECKED"
fi
[ "$exceeded" -eq 0 ] || { echo 'a budget is exceeded' >&2; exit 1; }
echo 'budgets: ok'
