#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: tools/build.sh FOLDER [meson option]...
# Builds into FOLDER, setting it up first if it is new, and again where packages were installed since: what was missing
# then may be there now, such as cmocka, without which there are no unit tests. Quiet unless something goes wrong.
set -u
cd "$(dirname "$0")/.."
folder=$1
shift

say() { printf '%s\n' "$*" >&2; }

if [ ! -f "$folder/build.ninja" ]; then
  say "Setting up $folder"
  if ! log=$(meson setup "$folder" "$@" </dev/null 2>&1); then
    printf '%s\n' "$log" | tail -n 12 >&2
    rm -rf "$folder"
    exit 1
  fi
elif [ /var/lib/dpkg/status -nt "$folder/build.ninja" ]; then
  if ! log=$(meson setup --reconfigure "$folder" </dev/null 2>&1); then
    printf '%s\n' "$log" | tail -n 12 >&2
    exit 1
  fi
fi
say "Building $folder"
log=$(ninja -C "$folder" ${NINJA_TARGETS:-all} </dev/null 2>&1)
result=$?
if [ $result -ne 0 ]; then
  printf '%s\n' "$log" | sed '/^\[[0-9]*\/[0-9]*\] /d' >&2
else
  printf '%s\n' "$log" | grep -B 2 -A 12 'warning:' >&2
fi
exit $result
