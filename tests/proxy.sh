#!/usr/bin/env bash
# The sample configurations of docs/operations/proxies, each before a loiter of its own: what a chat needs comes through, and nothing more.
# Then many polls through nginx: every one is woken, and none is lost. Needs nginx, HAProxy, Caddy, curl, openssl and Python 3; which of the proxies
# is missing is said, and is a failure where LOITER_PROXIES=required.
#
# Usage: tests/proxy.sh [polls, 10000 if left out] [folder of the built loiter and loiter-loadtest] [nginx, haproxy or caddy, if not all]
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
polls=${1:-10000}
binaries=${2:-$(built)}
proxies=("${@:3}")
[ ${#proxies[@]} -gt 0 ] || proxies=(nginx haproxy caddy)
samples=$top/docs/operations/proxies
proxy=
name=proxy
PATH=$PATH:/usr/sbin
trap 'end_proxy; end_server || true; rm -rf "$folder"' EXIT

fail() {
  printf '%s: %s\n' "$name" "$*" >&2
  [ ! -s "$folder/${name%%,*}.log" ] || tail -n 20 "$folder/${name%%,*}.log" >&2
  exit 1
}

# As many ports as are asked for, each free a moment ago.
ports() {
  python3 -c '
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in sockets))' "$1"
}

# Tries a condition for a while that only a failing test waits for.
eventually() {
  local _
  for _ in $(seq 100); do
    ! "$@" || return 0
    sleep 0.1
  done
  return 1
}

end_proxy() {
  local process=$proxy
  proxy=
  [ -z "$process" ] || { kill "$process" 2>/dev/null && wait "$process" 2>/dev/null; } || true
}

# Each sample as it stands, but for the ports, the certificates, the user, and where it logs. What is to be replaced must be there.
replaced() {
  local sample=$1 script
  shift
  cp "$samples/$sample" "$folder/$sample"
  for script in "$@"; do
    sed -E "$script" "$folder/$sample" >"$folder/$sample.next"
    ! cmp -s "$folder/$sample" "$folder/$sample.next" || fail "$sample has nothing for $script"
    mv "$folder/$sample.next" "$folder/$sample"
  done
}

# With so many connections for an address.
nginx_like() {
  local files
  files=$(ulimit -Hn)
  replaced nginx.conf "s|^user .*|user $(id -un) $(id -gn);|" "s|/run/nginx.pid|$folder/nginx.pid|" "s|/var/log/nginx/error.log|stderr|" \
    "s|/var/log/nginx/access.log|$folder/access.log|" 's|^worker_processes .*|worker_processes 2;|' \
    "s|^worker_rlimit_nofile .*|worker_rlimit_nofile $files;|" "s|worker_connections .*|worker_connections $files;|" \
    's|^ *listen \[::\].*||' "s|listen 80;|listen 127.0.0.1:$redirect;|" \
    "s|listen 443 ssl http2 (.*);|listen 127.0.0.1:$secure ssl http2 \1; listen 127.0.0.1:$plain \1;|" \
    "s|/etc/ssl/chat.example|$folder|" "s|server 127.0.0.1:8000|server $listen|" "s|addresses 200;|addresses $1;|"
  # Where its files go that are of no use to us: Debian's own folders belong to its user.
  sed -E -i "s|^http \{|&\n$(for of in client_body proxy fastcgi uwsgi scgi; do printf '%s_temp_path %s/%s; ' "$of" "$folder" "$of"; done)|" "$folder/nginx.conf"
  nginx -q -t -c "$folder/nginx.conf" 2>"$folder/nginx.log" || fail 'does not take its configuration'
  nginx -c "$folder/nginx.conf" -g 'daemon off;' 2>"$folder/nginx.log" &
  proxy=$!
}

start_nginx() {
  nginx_like 5
}

start_haproxy() {
  replaced haproxy.cfg 's|^ *(user\|group) .*||' 's|log /dev/log local0|log stdout format raw local0|' "s|bind :80$|bind 127.0.0.1:$redirect|" \
    "s|bind :443 |bind 127.0.0.1:$secure |" 's|^ *bind :::.*||' "s|/etc/haproxy/certs/|$folder/both.pem|" \
    's|^ *maxconn .*|maxconn 2000|' 's|gt 200|gt 5|' "s|server loiter 127.0.0.1:8000|server loiter $listen|"
  haproxy -c -q -f "$folder/haproxy.cfg" >"$folder/haproxy.log" 2>&1 || fail 'does not take its configuration'
  [ ! -s "$folder/haproxy.log" ] || fail 'warns of its configuration'
  haproxy -db -f "$folder/haproxy.cfg" >"$folder/haproxy.log" 2>&1 &
  proxy=$!
}

start_caddy() {
  replaced Caddyfile "s|^\{|{\nadmin off\nauto_https off|" \
    "s|^chat.example \{|https://chat.example:$secure {\nbind 127.0.0.1\ntls $folder/fullchain.pem $folder/privkey.pem|" \
    "s|reverse_proxy 127.0.0.1:8000|reverse_proxy $listen|"
  XDG_DATA_HOME=$folder XDG_CONFIG_HOME=$folder caddy validate --adapter caddyfile --config "$folder/Caddyfile" >"$folder/caddy.log" 2>&1 || fail 'does not take its configuration'
  XDG_DATA_HOME=$folder XDG_CONFIG_HOME=$folder caddy run --adapter caddyfile --config "$folder/Caddyfile" >"$folder/caddy.log" 2>&1 &
  proxy=$!
}

# Becomes a request as a browser's: HTTPS, by HTTP/2. The status goes behind the body.
become() {
  local path=$1
  shift
  exec curl -sS --max-time 30 --http2 --cacert "$folder/fullchain.pem" --resolve "chat.example:$secure:127.0.0.1" \
    -b "$jar" -w '\n%{http_version} %{http_code}' "$@" "https://chat.example:$secure$path"
}

ask() {
  (become "$@")
}

answers() {
  local expected=$1 answer
  shift
  answer=$(ask "$@") || fail "${1:0:80} ${*:2}: no answer"
  [[ $answer == $expected ]] || fail "${1:0:80} ${*:2}: expected $expected, and came $answer"
}

is_there() {
  ask /healthz 2>/dev/null | grep >/dev/null ' 200$'
}

# How many polls of this session an endpoll ends.
polls_end() {
  ask "/message/endpoll/?chatroomid=1" | grep >/dev/null "\"ended\":$1,"
}

# A poll whose client goes away: an endpoll finds none.
goes_away() {
  become '/message/longpoll/?chatroomid=1' >/dev/null 2>&1 &
  local client=$!
  sleep 0.5
  kill "$client" || fail 'a poll ends by itself'
  wait "$client" 2>/dev/null || true
  sleep 0.5
  polls_end 0
}

is_present() {
  ask '/message/presence/?chatroomid=1' | grep >/dev/null '"userid":1'
}

# What people do.
check_walk() {
  answers '*"username":"ann"*2 200' '/register/?username=ann&password=correct+horse' -X POST -H "Origin: https://chat.example:$secure"
  answers '*2 200' '/login/?username=ann&password=correct+horse' -X POST -c "$jar"
  # By the proxy's word that HTTPS is spoken.
  grep -q '__Host-session' "$jar" || fail 'the cookie has not come'
  answers '*cross_site*2 403' /message/newChatroom/ -X POST -H "Origin: http://chat.example:$secure"
  answers '*"chatroomid":1*2 200' /message/newChatroom/ -X POST

  # A stream's event comes as soon as it has been said, long before the next comment.
  become '/message/stream/?chatroomid=1' -N >"$folder/stream" 2>/dev/null &
  local stream=$!
  eventually is_present || fail 'the stream is not there'
  answers '*"id":1,*2 200' '/message/sendMessage/?chatroomid=1&message=first' -X POST
  eventually grep -q 'first' "$folder/stream" || fail 'a stream is held back'
  kill "$stream"
  wait "$stream" 2>/dev/null || true

  # Polls that wait longer than all that may not (10 s).
  become '/message/longpoll/?chatroomid=1&timeout=12' --http1.1 >"$folder/poll" &
  local poll=$!
  answers '*"id":1,*2 200' '/message/longpoll/?chatroomid=1&timeout=12'
  { wait "$poll" && grep -q '1.1 200$' "$folder/poll"; } || fail "a poll by HTTP/1.1 ended with $(cat "$folder/poll")"
  # A client that goes takes its poll with it; a little later where the machine is busy.
  eventually goes_away || fail 'a poll stays when its client goes'
}

# What is refused, and what is not.
check_bounds() {
  local long
  long=$(printf 'x%.0s' {1..12000})
  # Without its cookie, which curl does not send with so much.
  jar=/dev/null answers '*2 200' "/healthz?long=$long"
  printf '%s' "password=$long" >"$folder/form"
  answers '*bad_parameter*2 400' '/register/?username=bob' -X POST --data "@$folder/form"
  head -c 70000 /dev/zero | tr '\0' x >"$folder/form"
  # Refused by its length. (By HTTP/2 the answer may come with the end of what is still being sent, and curl shows only the latter.)
  # Where the proxy has closed while curl was sending, curl has no answer to show, and asks again.
  local answer='' tries=0
  until answer=$(ask '/register/?username=bob' -X POST --data "@$folder/form" --http1.1) || [ "$((tries += 1))" -eq 10 ]; do :; done
  [[ $answer == *1.1\ 413 ]] || fail "70,000 bytes of a body: expected 413, and came $answer"
}

# Failed logins are counted for the address that the proxy tells, and not for the proxy's own nor for what a client makes up.
check_addresses() {
  local number
  for number in 1 2 3; do
    answers '*bad_credentials*2 401' "/login/?username=nobody$number&password=x" -X POST --interface 127.0.0.21
  done
  answers '*too_many_attempts*2 429' '/login/?username=nobody4&password=x' -X POST --interface 127.0.0.21
  answers '*too_many_attempts*2 429' '/login/?username=nobody5&password=x' -X POST --interface 127.0.0.21 -H 'X-Forwarded-For: 203.0.113.1'
  answers '*bad_credentials*2 401' '/login/?username=nobody6&password=x' -X POST --interface 127.0.0.22
}

# Before the polls of one address, five are parked of another, which are as many as it may have here.
check_crowd() {
  local clients=() number
  for number in 1 2 3 4 5; do
    become '/message/longpoll/?chatroomid=1' --interface 127.0.0.23 >/dev/null 2>&1 &
    clients+=($!)
  done
  # Asking would take a place of theirs before.
  eventually are_parked 5 || fail 'an address may not have as many connections as it may'
  is_refused --interface 127.0.0.23 || fail 'an address may have any number of connections'
  ! is_refused --interface 127.0.0.24 || fail 'one address is refused for another'
  kill "${clients[@]}"
  wait "${clients[@]}" 2>/dev/null || true
}

are_parked() {
  curl -sS "http://127.0.0.1:$counted/metrics" | grep >/dev/null "^loiter_polls_parked{event_loop=\"0\"} $1\$"
}

is_refused() {
  ! ask /healthz "$@" 2>/dev/null | grep >/dev/null ' 200$'
}

begin() {
  name=$1
  jar=$folder/jar
  rm -f "$jar" "$folder"/loiter.db*
  serve "$binaries/loiter" --log warn --password-iterations 1000 --metrics-addr "127.0.0.1:$counted" "${@:2}"
}

end() {
  end_proxy
  end_server || fail 'the server behind it did not end in good order'
  printf '%s\n' "$name: ok"
}

is_here() {
  command -v "$1" >/dev/null && return
  printf '!!! NOT CHECKED: the sample for %s, which is not here\n' "$1" >&2
  [ -z "${LOITER_NOT_CHECKED:-}" ] || printf 'the sample for %s, which is not here\n' "$1" >>"$LOITER_NOT_CHECKED"
  [ "${LOITER_PROXIES:-}" != required ] || exit 1
  return 1
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=chat.example \
  -addext subjectAltName=DNS:chat.example -keyout "$folder/privkey.pem" -out "$folder/fullchain.pem" 2>/dev/null
cat "$folder/fullchain.pem" "$folder/privkey.pem" >"$folder/both.pem"
read -r own redirect secure plain counted <<<"$(ports 5)"
listen=127.0.0.1:$own

# As the samples say at their heads.
for name in "${proxies[@]}"; do
  is_here "$name" || continue
  begin "$name" --trusted-proxy 127.0.0.1 --secure-cookies --poll-timeout 5m --login-attempts 3
  "start_$name"
  eventually is_there || fail 'does not answer'
  check_walk
  check_bounds
  check_addresses
  [ "$name" = caddy ] || check_crowd
  end
done

# Many polls at a time, as one address here; each on a connection of its own, with one behind it.
load() {
  printf '\n-- %s\n' "$*"
  "$binaries/loiter-loadtest" "$@" --url "http://127.0.0.1:$plain" --behind "$listen" --pid "$server" --patience 60
}

# The most that nginx's processes have taken so far, in KiB.
memory() {
  cat "/proc/$proxy/status" $(pgrep -P "$proxy" | sed 's|.*|/proc/&/status|') | awk '/^VmHWM/ { sum += $2 } END { print sum }'
}

if [ "$polls" -gt 0 ] && is_here nginx; then
  begin "nginx, with $polls polls" --trusted-proxy 127.0.0.1 --poll-timeout 5m
  nginx_like "$((polls * 2))"
  eventually curl -sSf -o /dev/null "http://127.0.0.1:$plain/healthz" 2>/dev/null || fail 'does not answer'
  before=$(memory)
  # Each message reaches every poll, and each poll comes back; then many chatrooms at once.
  load fanout --polls "$polls" --messages 3
  load spread --polls "$polls" --chatrooms 100 --senders 4 --seconds 2
  printf 'memory of nginx for each poll: %s bytes\n' "$((($(memory) - before) * 1024 / polls))"
  ! grep -E '\[(alert|crit|emerg|error)\]' "$folder/nginx.log" || fail 'has complained'
  end
fi
