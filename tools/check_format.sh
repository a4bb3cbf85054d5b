#!/bin/bash
# SPDX-License-Identifier: MIT
# Holds the sources against .clang-format. Other versions of clang-format lay out some things differently, so only the
# one of Debian 12 is asked.
cd "$(dirname "$0")/.." || exit 1
if ! clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
  echo "clang-format 14 is not here: layout not checked"
  exit 0
fi
bad=$(git ls-files -co --exclude-standard -- '*.c' '*.h' '*.cpp' |
  while read -r file; do
    [ -f "$file" ] && ! clang-format --dry-run --Werror --ferror-limit=1 "$file" 2>/dev/null && echo "    $file"
  done)
[ -n "$bad" ] || exit 0
echo "Not laid out as .clang-format says (make format does it for you):"
echo "$bad"
exit 1
