# Sourced by the scripts here: the examples that stand in the pages, to be run as they stand there. Needs `top` and `folder` of server.sh.
#
# An example that a script runs has a comment on the line before it, which names the script and what it calls the example:
#
#     <!-- tests/readme.sh runs this: two commands -->
#
# `block PAGE NAME` prints it, and `every_block_was_run`, a script's last word, fails where one that names the script was not asked for.
# `tests/tidy` refuses an example without such a comment, unless another one says why it is not run: <!-- not run: REASON -->

script=tests/$(basename "${BASH_SOURCE[-1]}")

# In a file, since many a block is run by a subshell.
block() {
  printf '%s: %s\n' "$1" "$2" >>"$folder/blocks"
  awk -v mark="<!-- $script runs this: $2 -->" '
    { line = $0; sub(/^ +/, "", line) }
    line == mark { marks += 1; indent = length($0) - length(line); next }
    inside && line == "```" { inside = 0 }
    inside { print substr($0, indent + 1) }
    marks == 1 && !found && line ~ /^```/ { inside = 1; found = 1 }
    END { exit !(marks == 1 && found) }' "$top/$1" ||
    { printf '%s does not have one example that %s calls: %s\n' "$1" "$script" "$2" >&2; return 1; }
}

# run PAGE NAME: in this shell, where functions may stand for what the machine has.
run() {
  local commands
  commands=$(block "$1" "$2")
  eval "$commands"
}

# A comment counts where a block follows it.
every_block_was_run() {
  local missing
  missing=$(cd "$top" && find README.md docs loadtest -name '*.md' -exec awk -v mark="<!-- $script runs this: " '
    { sub(/^ +/, "") }
    /^```/ && name != "" { print FILENAME ": " name }
    { name = index($0, mark) == 1 ? substr($0, length(mark) + 1, length($0) - length(mark) - length(" -->")) : "" }' {} + |
    sort | comm -23 - <(sort "$folder/blocks"))
  [ -z "$missing" ] || { printf '%s has not run: %s\n' "$script" "$missing" >&2; return 1; }
}

# What is another each time, or on another machine.
without_times() {
  sed -E 's/\r$//; s/"time":"[^"]*"/"time":""/g; s/^Date: .*/Date:/; s/^curl: \(35\).*/curl: (35)/; /^curl: \(28\)/d; /^$/d'
}

# session PAGE NAME…: runs blocks for a shell, one after the other, as they stand but for the server's address and what `changes`, a script of sed, says; and the
# file `prelude` before them. What is printed,
# errors too, is what stands behind their arrows (# → …), in any order: who waits and who wakes them may be answered in either.
session() {
  local page=$1 name
  shift
  { cat "${prelude:-/dev/null}" && for name in "$@"; do block "$page" "$name"; done; } | sed -E "${changes:-}; s#(://|listen |listen on )127\.0\.0\.1:8000#\1${url#http://}#g" >"$folder/session.sh"
  sed -n 's/^# → //p' "$folder/session.sh" | without_times | sort >"$folder/expected"
  [ -s "$folder/expected" ] || { echo "$page: $* says nothing of what is answered" >&2; return 1; }
  # Many a command is to fail; what it says tells.
  (cd "$folder" && { bash -u session.sh 2>&1 || true; }) | without_times | sort >"$folder/answers"
  diff "$folder/expected" "$folder/answers" || { echo "$page: $* is answered otherwise than it says" >&2; return 1; }
}
