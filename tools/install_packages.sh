#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: tools/install_packages.sh LIST...     (build, test, bench: the files in packages/)
# Installs the Debian packages of the lists that are missing. Fast and silent when none is.
set -u
cd "$(dirname "$0")/.."

wanted=()
for list in "$@"; do
  while read -r name _; do
    case "$name" in '' | '#'*) ;; *) wanted+=("$name") ;; esac
  done <"packages/$list.txt"
done
[ ${#wanted[@]} -gt 0 ] || exit 0

if ! command -v dpkg-query >/dev/null; then
  echo "This is no Debian: nothing is installed for you. Needed, by their Debian names: ${wanted[*]}" >&2
  exit 0
fi

missing=()
have=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' "${wanted[@]}" 2>/dev/null) "
for name in "${wanted[@]}"; do
  case "$have" in *" installed:$name "*) ;; *) missing+=("$name") ;; esac
done
[ ${#missing[@]} -gt 0 ] || exit 0

give_up() {
  echo >&2
  echo "$1" >&2
  echo "Missing packages: ${missing[*]}" >&2
  echo "Install them, then try again:" >&2
  echo "    sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
}

as_root=(env DEBIAN_FRONTEND=noninteractive)
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null ||
    give_up "Some Debian packages are missing, and there is neither root nor sudo to install them."
  if [ -t 0 ]; then as_root=(sudo "${as_root[@]}"); else as_root=(sudo -n "${as_root[@]}"); fi
fi

echo "Installing Debian packages: ${missing[*]}" >&2
install() {
  "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null >&2
}
# The lists of a fresh machine are empty or old: only then is an update worth its time.
install || { "${as_root[@]}" apt-get update -q </dev/null >&2 && install; } ||
  give_up "apt-get could not install what is missing (its words are above)."
