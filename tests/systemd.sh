#!/usr/bin/env bash
# The unit files of docs/operations/systemd as systemd itself reads them, with the built server in its place.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

binary=$PWD/target/debug/loiter
[ -x "$binary" ] || { printf 'build first: %s is missing\n' "$binary" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cp docs/operations/systemd/loiter.socket "$folder"
sed "s#^ExecStart=loiter\$#ExecStart=$binary#" docs/operations/systemd/loiter.service >"$folder/loiter.service"
grep -q "^ExecStart=$binary\$" "$folder/loiter.service"

# Without it a machine whose IPv6 is turned off has no socket at all, since it has no [::1].
grep -qx 'FreeBind=yes' "$folder/loiter.socket" || { printf 'loiter.socket asks for addresses that a machine may not have\n' >&2; exit 1; }

# It says what it does not know, and says nothing where it knows all.
said=$(systemd-analyze verify "$folder/loiter.service" "$folder/loiter.socket" 2>&1) || { printf '%s\n' "$said" >&2; exit 1; }
if grep -F "$folder" <<<"$said" || grep -F 'loiter.' <<<"$said"; then
    exit 1
fi
# How much of the machine stays within reach, from 0 to 10 (here ten times as much). What is left is what a server needs.
systemd-analyze security --offline=true --threshold=15 "$folder/loiter.service" >"$folder/exposure" || { cat "$folder/exposure" >&2; exit 1; }
printf 'systemd reads both unit files.\n'
