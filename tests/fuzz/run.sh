#!/usr/bin/env bash
# The fuzz targets under libFuzzer, on the stable toolchain, led by the code that an input reaches.
#
#   tests/fuzz/run.sh build                    only builds them
#   tests/fuzz/run.sh                          every target a little, each from its corpus: the same inputs each time
#   tests/fuzz/run.sh 1800 head                one target, for half an hour
#   tests/fuzz/run.sh 1800 head body …         several, one after the other
#   tests/fuzz/run.sh keep [TARGET…]           what the long runs have found, made as small as it goes, becomes the corpus
#
# What a run finds stays in target/fuzz/found/TARGET and is where the next one begins; what fails a target is written to
# target/fuzz/crash-TARGET-… and shown. To try one input again: LOITER_FUZZ=TARGET target/fuzz/loiter-fuzz FILE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly TARGETS=(head body parameters engine)
# Bytes of an input: as long as it takes to meet every bound.
readonly INPUT_MAX=6000

# What cargo-fuzz passes, less the sanitizers, which only a nightly toolchain has: counters at every edge of the control flow, and
# what was compared with what. Given a target triple, build scripts and macros are left as they are.
coverage() {
    local flags='-Cpasses=sancov-module --cfg fuzzing -Cllvm-args=-sanitizer-coverage-level=4'
    local what
    for what in inline-8bit-counters pc-table trace-compares; do
        flags+=" -Cllvm-args=-sanitizer-coverage-$what"
    done
    printf '%s' "$flags"
}

build() {
    local triple
    triple=$(rustc -vV | sed -n 's/^host: //p')
    RUSTFLAGS="${RUSTFLAGS:-} $(coverage)" cargo build --release --locked --manifest-path tests/fuzz/libfuzzer/Cargo.toml \
        --target-dir target/fuzz/build --target "$triple"
    cp "target/fuzz/build/$triple/release/loiter-fuzz" target/fuzz/loiter-fuzz.new
    mv target/fuzz/loiter-fuzz.new target/fuzz/loiter-fuzz
}

# fuzz TARGET SECONDS FOLDER [OPTION…]: what is found goes into the folder, and what is there is tried first.
fuzz() {
    local target=$1 seconds=$2 found=$3
    shift 3
    mkdir -p "$found"
    printf '\nFuzzing %s for %s s.\n' "$target" "$seconds"
    LOITER_FUZZ=$target target/fuzz/loiter-fuzz -max_total_time="$seconds" -max_len=$INPUT_MAX -timeout=10 -rss_limit_mb=1024 \
        -dict="tests/fuzz/dictionary" -artifact_prefix="target/fuzz/crash-$target-" -print_final_stats=1 -verbosity="${VERBOSITY:-0}" \
        "$@" "$found" "tests/fuzz/corpus/$target"
}

# The smallest inputs that reach all that is reached. Those that were written by hand have a name, and stay.
keep() {
    local target=$1 kept=target/fuzz/kept/$1
    rm -rf "$kept"
    mkdir -p "$kept"
    LOITER_FUZZ=$target target/fuzz/loiter-fuzz -set_cover_merge=1 -use_counters=0 -max_len=$INPUT_MAX "$kept" "tests/fuzz/corpus/$target" "target/fuzz/found/$target"
    find "tests/fuzz/corpus/$target" -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
    cp "$kept"/* "tests/fuzz/corpus/$target"
    du -sb "tests/fuzz/corpus/$target"
}

mkdir -p target/fuzz
build
[ "${1:-}" != build ] || exit 0
# A change is not to fail by what luck finds in what it did not touch: luck is for the long runs.
do_it() {
    local found
    found=$(mktemp -d)
    fuzz "$1" "$seconds" "$found" -seed=1 -runs=20000
    rm -rf "$found"
}
seconds=20
case ${1:-} in
keep)
    do_it() { keep "$1"; }
    shift
    ;;
[0-9]*)
    seconds=$1
    do_it() { fuzz "$1" "$seconds" "target/fuzz/found/$1"; }
    shift
    ;;
esac
[ $# -gt 0 ] || set -- "${TARGETS[@]}"
for target in "$@"; do
    do_it "$target"
done
