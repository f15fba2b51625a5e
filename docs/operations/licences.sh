#!/bin/sh
# Writes the licences of all that is compiled into loiter, with their texts, to standard output: packages carry it, as those licences ask.
#
# The texts are those in cargo's copies of the crates, which a build has fetched.
set -eu
cd "$(dirname "$0")/../.."

sources=${CARGO_HOME:-$HOME/.cargo}/registry/src
printf '%s\n' 'loiter contains SQLite, which is in the public domain, the standard library of Rust (MIT or Apache 2.0), and these crates:'
cargo tree --locked --package loiter --edges normal,no-proc-macro --prefix none --format '{p}|{l}' | sed 's/ (.*)|/|/; s/ (\*)$//' | sort -u |
    while IFS='|' read -r package licence; do
        name=${package%% *}
        [ "$name" != loiter ] || continue
        version=${package##* v}
        printf '\n==== %s %s: %s\n' "$name" "$version" "$licence"
        found=
        for file in "$sources"/*/"$name-$version"/*; do
            case ${file##*/} in
                # Where there is a choice, the shorter text.
                LICENSE-APACHE* | LICENSE_APACHE* | license-apache*) case $licence in *MIT*) continue ;; esac ;;
            esac
            case ${file##*/} in
                LICEN[CS]E* | license* | COPYING* | COPYRIGHT* | NOTICE* | UNLICENSE*)
                    printf '\n'
                    cat "$file"
                    found=yes
                    ;;
            esac
        done
        [ -n "$found" ] || {
            printf 'no text of a licence came with %s\n' "$package" >&2
            exit 1
        }
    done
