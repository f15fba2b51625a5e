#!/usr/bin/env bash
# What the server gives as /openapi.json, held against what it does: schemathesis makes up requests by the description, good and bad, and compares each
# answer's status, fields and body with what it says. Nothing may be found.
#
# Usage: tests/contract.sh [folder of the built loiter]     LOITER_EXAMPLES=1000 for more than a few of each call
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
binaries=${1:-$(built)}

readonly VERSION=4.32.5

# In a place of its own, once: it is no part of the system.
tool=$(dirname "$(built)")/schemathesis
if [ ! -x "$tool/bin/schemathesis" ] || ! "$tool/bin/schemathesis" --version | grep -qF "$VERSION"; then
  python3 -m venv --clear "$tool"
  "$tool/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$VERSION"
fi

serve "$binaries/loiter" --log warn --password-iterations 1000 --login-attempts 0 --poll-timeout 1s
# Users who can be found and added, and a chatroom with something in it.
jar=$folder/jar
for name in ann bob; do
  curl --fail --silent --show-error --output /dev/null --data "username=$name&password=pw" "$url/register/"
done
curl --fail --silent --show-error --output /dev/null --cookie-jar "$jar" --data 'username=ann&password=pw' "$url/login/"
curl --fail --silent --show-error --output /dev/null --cookie "$jar" --data 'name=tea' "$url/message/newChatroom/"
curl --fail --silent --show-error --output /dev/null --cookie "$jar" --data 'chatroomid=1&message=hi' "$url/message/sendMessage/"
LOITER_SESSION=$(awk '$6 == "session" { print $7 }' "$jar")
export LOITER_SESSION

# Not with it: a stream, which does not end, and what ends the session.
# It keeps what it has found where it runs.
cd "$folder"
"$tool/bin/schemathesis" --config-file "$top/tests/contract/schemathesis.toml" run "$url/openapi.json" \
  --exclude-path /message/stream/ --exclude-path /logout/ --exclude-path /changePassword/ \
  --max-examples "${LOITER_EXAMPLES:-20}" --seed "${LOITER_SEED:-1}" --no-color
end_server || { echo "the server did not end in good order" >&2; exit 1; }
echo "the contract: ok"
