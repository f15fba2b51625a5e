#!/usr/bin/env bash
# A password at a terminal: nothing of it is shown, it is asked for twice, and Ctrl-C leaves the terminal as it was. A server whose terminal
# is closed ends in good order.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
binary=$(built)/loiter
# There must be a database, and it may be served.
serve "$binary" --log off

timeout 60 python3 - "$binary" "$folder/loiter.db" <<'PYTHON'
import os, pty, select, signal, sys, termios

binary, database = sys.argv[1:]
PROMPTS = [b"Password: ", b"The same once more: "]


def shows(terminal):
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def add(name, *typed):
    """Types an answer to each prompt; returns the status, and all that the terminal showed."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(binary, [binary, "--log", "off", "--password-iterations", "1000", "--database", database, "user", "add", name])
    shown = b""
    for prompt, answer in zip(PROMPTS, typed):
        while prompt not in shown:
            shown += os.read(terminal, 1000)
        while shows(terminal):
            select.select([], [], [], 0.01)
        os.write(terminal, answer)
    try:
        while more := os.read(terminal, 1000):
            shown += more
    except OSError:
        pass  # It has closed its side.
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert shows(terminal), "the terminal still shows nothing of what is typed"
    assert b"secret" not in shown, shown
    return status, shown


assert add("ann", b"secret\r", b"secret\r")[0] == 0
status, shown = add("bob", b"secret\r", b"secrets\r")
assert status == 1 and b"not the same twice" in shown, (status, shown)
status, shown = add("bob", b"secr\x03")
assert status == 130, (status, shown)

# Nobody reads what it says of its end.
child, terminal = pty.fork()
if child == 0:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.execv(binary, [binary, "--log", "trace", "--listen", "127.0.0.1:0", "--database", database + ".second"])
shown = b""
while b"listening on" not in shown:
    shown += os.read(terminal, 1000)
os.close(terminal)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert status == 0, (status, shown)
PYTHON

names=$("$binary" --database "$folder/loiter.db" user list | cut -f 3)
[ "$names" = ann ] || { printf 'not ann alone: %s\n' "$names" >&2; exit 1; }
printf 'A password at a terminal is asked for twice, and shown nowhere. A closed one is a drain.\n'
