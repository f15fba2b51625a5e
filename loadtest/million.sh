#!/bin/sh
# Very many polls in one process: memory of the server at every tenth of them, after all have gone, and after rounds of
# more that come and go. Sizes are what it is for; on a machine that emulates another believe no time.
#
# Usage: million.sh LOITER LOADTEST [POLLS [CHATROOMS [FOLDER]]]
#
#   LOITER, LOADTEST   the programs: cargo build --release --workspace builds both
#   POLLS              1000000 where nothing is said; both ends are here, so each may open as many files (ulimit -n)
#   CHATROOMS          1000
#   FOLDER             for the database and the figures: memory.txt, idle.json, idle.html, churn.json. The present one
#
# Counts all connections of the machine, so it wants the machine to itself. Each pair of ends costs the kernel some 8 KB.
# Needs nothing but a POSIX shell and awk, so it also runs where there is little else, such as a virtual machine made for it.
# Ends with status 0 when nothing was lost, doubled or left behind.
set -eu

[ $# -ge 2 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
loiter=$1
loadtest=$2
polls=${3:-1000000}
chatrooms=${4:-1000}
folder=${5:-.}
rounds=20
# As many at a time as come and go quickly.
visitors=$((polls / 50))
# Of an emulated machine.
patience=3600

server=
sampler=
end() {
    [ -z "$sampler" ] || kill "$sampler" 2>/dev/null || true
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
}
trap end EXIT
trap 'exit 130' INT TERM

ulimit -n "$(ulimit -Hn)"
files=$(ulimit -n)
if [ "$files" != unlimited ] && [ "$files" -lt $((polls + 100)) ]; then
    echo "million.sh: $polls polls need as many open files, and $files are allowed" >&2
    exit 2
fi

mkdir -p "$folder"
# Keepalive would ask a million peers 40,000 times a second, for which an emulated machine has no time.
"$loiter" --listen 127.0.0.1:0 --database "$folder/loiter.db" --password-iterations 1000 --log warn --keepalive 2h \
    >"$folder/listening" 2>"$folder/loiter.log" &
server=$!
url=
while [ -z "$url" ]; do
    kill -0 "$server" 2>/dev/null || { cat "$folder/loiter.log" >&2; exit 1; }
    sleep 1
    url=$(sed -n 's/^listening on //p' "$folder/listening")
done

# One line: what it is of, and the server's memory in KiB: resident and proportional.
memory() {
    awk -v what="$1" '$1 == "Rss:" { rss = $2 } $1 == "Pss:" { pss = $2 } END { print what, rss, pss }' \
        "/proc/$server/smaps_rollup"
}
# The same of a reading that the load made.
reading() {
    awk -v what="$1" -v name="\"$2\":" '
        function kib(text) { gsub(/[^0-9]/, "", text); return text / 1024 }
        $1 == name { inside = 1 }
        inside && $1 == "\"rss_bytes\":" { rss = kib($2) }
        inside && $1 == "\"pss_bytes\":" { pss = kib($2) }
        /\}/ { inside = 0 }
        END { print what, rss, pss }' "$folder/idle.json"
}
connections() {
    awk '$1 == "TCP:" { print int(($3 - 2) / 2) }' /proc/net/sockstat
}

# At each tenth of the polls, while they are being parked.
sample() {
    next=$((polls / 10))
    while [ "$next" -lt "$polls" ]; do
        now=$(connections)
        if [ "$now" -ge "$next" ]; then
            memory "$now" >>"$folder/samples"
            while [ "$next" -le "$now" ]; do next=$((next + polls / 10)); done
        fi
        sleep 1
    done
}

# The first run warms what any run needs: caches, the allocator, the code itself.
"$loadtest" idle --url "$url" --pid "$server" --polls 100 --chatrooms 10 --hold 1 --patience "$patience" >/dev/null
: >"$folder/samples"
sample &
sampler=$!
"$loadtest" idle --url "$url" --pid "$server" --polls "$polls" --chatrooms "$chatrooms" --hold 10 \
    --patience "$patience" --json "$folder/idle.json" --html "$folder/idle.html"
kill "$sampler" 2>/dev/null || true
sampler=
{
    # Behind users and chatrooms and before the first poll; then while all of them wait.
    reading 0 before
    cat "$folder/samples"
    reading "$polls" parked
} >"$folder/rows"

gone() {
    tries=0
    while [ "$(connections)" -gt 10 ] && [ "$tries" -lt 300 ]; do
        tries=$((tries + 1))
        sleep 1
    done
    memory "$1" >>"$folder/rows"
}
gone after-all-have-gone
status=0
"$loadtest" churn --url "$url" --pid "$server" --polls "$visitors" --chatrooms "$chatrooms" --rounds "$rounds" \
    --patience "$patience" --json "$folder/churn.json" || status=$?
gone "after-$rounds-rounds-of-$visitors"

awk '
    BEGIN { printf "%-32s %15s %15s %15s\n", "polls", "resident, KiB", "PSS, KiB", "each, bytes" }
    NR == 1 { first = $2 }
    { printf "%-32s %15d %15d %15s\n", $1, $2, $3, ($1 + 0 > 0) ? sprintf("%.1f", ($2 - first) * 1024 / $1) : "" }' \
    "$folder/rows" | tee "$folder/memory.txt"

kill "$server"
wait "$server" || status=$?
server=
exit "$status"
