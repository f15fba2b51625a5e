#!/usr/bin/env bash
# Runs the examples of docs/clients.md as they stand there: the session with curl to the letter, and then everybody who follows at once,
# while three of them speak too and the server is killed and started anew. Each must print every message once, and a chatroom's in order.
#
# Usage: tests/examples.sh [path of the built loiter]
# Of the examples only the address is another, and where a page finds loiter.js. Needs curl, python3 and Node.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
. "$(dirname "${BASH_SOURCE[0]}")/pages.sh"
binary=$(realpath "${1:-$(built)/loiter}")
# An address of its own (all of 127/8 is loopback), so that while the server is down nobody is given its port.
listen=127.$((RANDOM % 200 + 20)).$((RANDOM % 250 + 1)).$((RANDOM % 250 + 1)):0
declare -A process
trap 'kill "${process[@]}" 2>/dev/null || true; end_server || true; rm -rf "$folder"' EXIT
cd "$folder"

fail() {
  echo "$*" >&2
  exit 1
}

# until_true WHAT COMMAND…: only a test that fails waits for long.
until_true() {
  local what=$1
  shift
  for _ in $(seq 600); do
    "$@" && return
    sleep 0.1
  done
  cat difference >&2
  fail "not within a minute: $what"
}

# example NAME: puts it into a file of that name.
example() {
  block docs/clients.md "$1" | sed "s|http://127.0.0.1:8000|$url|; s|'/loiter.js'|'./loiter.mjs'|" >"$1"
}

# call USER PATH [CURL'S OPTION…]: for what the examples do not do themselves. Only who logs in writes the cookies: the examples read them.
call() {
  local user=$1 path=$2
  shift 2
  curl -sS --fail-with-body --retry 20 --retry-all-errors -b "$user.jar" "$url$path" "$@" 2>>errors
}

enter() {
  call "$1" /login/ -c "$1.jar" -d "username=$1" -d 'password=correct horse' >>log
}

# A new chatroom with everybody in it.
open_chatroom() {
  local id user
  id=$(call ann /message/newChatroom/ -X POST | tr -dc 0-9)
  for user in python narrow node; do call ann /message/addToChatroom/ -d "chatroomid=$id" -d "usertoadd=$user" >>log; done
  chatrooms=$id
}

# start NAME COMMAND…: it goes on printing to NAME.out, and reads what is written to NAME.in.
start() {
  local name=$1
  shift
  [ -p "$name.in" ] || mkfifo "$name.in"
  "$@" <>"$name.in" >>"$name.out" 2>>"$name.err" &
  process[$name]=$!
}

are_present() {
  local present user
  present=$(call ann '/message/presence/?chatroomid=1')
  for user in "$@"; do [[ $present == *"\"username\":\"$user\""* ]] || return 1; done
}

# speak ROUND: by Python, by Node and by the page, in each chatroom. Waits neither until anything is said nor for a program that has ended.
speak() {
  local n name chatroom
  for n in 1 2 3 4 5; do
    for chatroom in $(seq "$chatrooms"); do
      for name in python node page; do
        printf '%s %s\n' "$chatroom" "$name $1.$n" | tee -a said 1<>"$name.in"
      done
    done
  done
}

# Messages in JSON as lines, in the form in which the programs print them.
as_lines() {
  sed 's/{"id":/\n&/g' |
    sed -nE 's/^\{"id":([0-9]+),"chatroomid":([0-9]+),"userid":[0-9]+,"username":"([^"]*)","message":"([^"]*)".*/\2 \1 \3: \4/p'
}

printed() {
  case $1 in
  *.sh) as_lines <"$1.out" ;;
  *) cat "$1.out" ;;
  esac | sort -s -n -k 1,1
}

# What a follower must have printed: those of one chatroom follow the first.
kept_for() {
  local chatroom last=1
  case $1 in python | narrow | node | page) last=$chatrooms ;; esac
  for chatroom in $(seq "$last"); do { call ann "/message/history/?chatroomid=$chatroom&limit=200"; echo; } | as_lines; done
}

is_all_said() {
  diff <(sort said) <(kept_for page | sed -E 's/ .*: / /' | sort) >difference
}

has_heard() {
  diff <(kept_for "$1") <(printed "$1") >difference
}

# Each thing is said once, and each follower has printed each message once and in order.
all_is_well() {
  local name
  until_true "everything is said once" is_all_said
  for name in "${!process[@]}"; do until_true "$name printed each message once and in order" has_heard "$name"; done
}

# has_ended NAME: as it should when its session is over.
has_ended() {
  ! kill -0 "${process[$1]}" 2>/dev/null && ! wait "${process[$1]}"
}

# ends_in_one_line STATUS PART COMMAND…
ends_in_one_line() {
  local expected=$1 part=$2 status=0
  shift 2
  "$@" </dev/null >one.out 2>one.err || status=$?
  [ "$status" = "$expected" ] && [ ! -s one.out ] && [ "$(wc -l <one.err)" = 1 ] && grep -qF -- "$part" one.err || {
    cat one.err >&2
    fail "$* ends with $status, not in one line with $expected: $part"
  }
}

is_alone_present() {
  call "$1" "/message/presence/?chatroomid=$2" | grep -q username
}

# ends_at_ctrl_c USER COMMAND…: while it waits, in that user's only chatroom. In presence a user stays for a while, so each has one of their own.
ends_at_ctrl_c() {
  local user=$1 id status=0
  shift
  call "$user" /register/ -d "username=$user" -d 'password=correct horse' >>log
  enter "$user"
  id=$(call "$user" /message/newChatroom/ -X POST | tr -dc 0-9)
  start "$user" "${@//CHATROOM/$id}"
  until_true "$* waits" is_alone_present "$user" "$id"
  kill -INT "${process[$user]}"
  wait "${process[$user]}" || status=$?
  unset "process[$user]"
  [ "$status" = 130 ] && ! grep -qE '^Traceback|^ +at ' "$user.err" || { cat "$user.err" >&2; fail "Ctrl-C ends $* with $status"; }
}

serve "$binary" --password-iterations 1000 --log error
session docs/clients.md session.sh
end_server || fail "the server did not end in good order"
rm loiter.db* ./*.jar

serve "$binary" --password-iterations 1000 --log error
listen=${url#http://}
for name in follow.sh stream.sh chat.py stream.py page.mjs chat.mjs follow.mjs; do example "$name"; done
call ann /loiter.js -o loiter.mjs
for user in ann python narrow node; do call "$user" /register/ -d "username=$user" -d 'password=correct horse' >>log; enter "$user"; done
open_chatroom
open_chatroom
page=(env "LOITER_URL=$url" LOITER_PAGE=page.json node --import "$top/tests/js/page.mjs" page.mjs)
start python python3 chat.py "$url" python 'correct horse'
# As if it were in more chatrooms than have room: one pair for all of them, and so each of the others is told by what follows, or by the overview.
sed 's/^PAIRS_MAX = 6000/PAIRS_MAX = 7/; s/^WAIT = 50/WAIT = 2/' chat.py >narrow.py
[ "$(diff chat.py narrow.py | grep -c '^>')" = 2 ] || fail "chat.py has no PAIRS_MAX or no WAIT"
start narrow python3 narrow.py "$url" narrow 'correct horse'
start node node chat.mjs "$url" node 'correct horse'
start page "${page[@]}"
# Whoever follows all chatrooms prints what comes from when it waits.
until_true "all wait" are_present ann python narrow node
echo '1 hello' >said
start follow.sh bash follow.sh 1
start stream.sh bash stream.sh 1
start stream.py python3 stream.py "$url" ann 'correct horse' 1
start follow.mjs node follow.mjs "$url" ann 'correct horse' 1

speak 1
all_is_well
# Killed while they speak and follow, and while they try again.
speak 2
for again in 1 2; do
  kill_server
  serve "$binary" --password-iterations 1000 --log error
  speak "2+$again"
done
all_is_well
# The page is loaded anew, and a chatroom is joined.
kill "${process[page]}"
wait "${process[page]}" || fail "the page did not end well"
open_chatroom
call ann /message/sendMessage/ -d chatroomid=1 -d 'message=while the page is away' -d nonce=away >>log
echo '1 while the page is away' >>said
start page "${page[@]}"
until_true "the page is told what it has missed" has_heard page
speak 3
end_server || fail "the server did not end in good order"
serve "$binary" --password-iterations 1000 --log error
speak 4
all_is_well

# Other sessions end with a changed password, and curl's with a logout.
for user in ann python narrow node; do
  call "$user" /changePassword/ -d 'password=correct horse' -d 'newpassword=battery staple' >>log
done
call ann /logout/ -X POST >>log
for name in "${!process[@]}"; do
  until_true "$name ends with its session" has_ended "$name"
  [ "$name" = page ] || grep -q no_session "$name.err" || fail "$name does not say why it has ended"
done
# What goes wrong, and Ctrl-C, ends each without a stack trace.
for usage in '1 python3 chat.py' '1 python3 stream.py 1' '2 node chat.mjs' '2 node follow.mjs 1'; do
  read -r status program name chatroom <<<"$usage"
  ends_in_one_line "$status" "$program $name URL NAME PASSWORD" "$program" "$name"
  ends_in_one_line 1 bad_credentials "$program" "$name" "$url" ann wrong $chatroom
done
ends_at_ctrl_c first python3 chat.py "$url" first 'correct horse'
ends_at_ctrl_c second python3 stream.py "$url" second 'correct horse' CHATROOM
ends_at_ctrl_c third node chat.mjs "$url" third 'correct horse'
ends_at_ctrl_c fourth node follow.mjs "$url" fourth 'correct horse' CHATROOM
every_block_was_run
echo "the examples for those who write clients: ok"
