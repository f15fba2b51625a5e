#!/usr/bin/env bash
# The chat page in headless Chromium: two people register, chat in several windows, reload, and go on while the server is killed.
#
# Usage: tests/browser.sh [path of the built loiter]
#        tests/browser.sh pictures FOLDER: draws what the page looks like; three of the pictures are in docs/images
# Needs Node and Chromium, which is installed where it is missing; CHROMIUM names another.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

export CHROMIUM=${CHROMIUM:-chromium}
if ! command -v "$CHROMIUM" >/dev/null; then
  as_root apt-get update
  DEBIAN_FRONTEND=noninteractive as_root apt-get install --yes --no-install-recommends chromium fonts-dejavu-core
fi

what=*.test
if [ "${1:-}" = pictures ]; then
  what=pictures
  LOITER_PICTURES=$(realpath -m "$2")
  export LOITER_PICTURES
  shift $#
fi
LOITER_BINARY=$(realpath "${1:-$(built)/loiter}")
export LOITER_BINARY
# What a test that was stopped leaves behind goes with the folder.
TMPDIR=$folder node --test "$top"/tests/browser/$what.mjs
echo "the chat page: ok"
