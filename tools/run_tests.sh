#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: tools/run_tests.sh STEP...        (unit, e2e, asan, tsan, fuzz, check, soak)
# Runs the steps one after the other, all of them whatever happens, and ends with a line "N passed, N failed" that
# counts unit tests, end-to-end tests, fuzz targets and checks. Exits with 1 if any failed. Needs no terminal and no
# input. With WEIR_RESULTS=file the two numbers are added to that file instead of the closing line.
set -u
cd "$(dirname "$0")/.."
exec </dev/null

python=/usr/bin/python3
passed=0
failed=0
failures=()
scratch=$(mktemp -d "${TMPDIR:-/tmp}/weir-tests.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

export ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1:detect_stack_use_after_return=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}
export MALLOC_PERTURB_=${MALLOC_PERTURB_:-165}

headline() { printf '\n==== %s\n' "$*"; }

# one NAME STATUS: counts a test that is a whole program
one() {
  if [ "$2" -eq 0 ]; then
    passed=$((passed + 1))
    printf 'ok      %s\n' "$1"
  else
    failed=$((failed + 1))
    failures+=("$1")
    printf 'FAILED  %s\n' "$1"
  fi
}

# add PASSED FAILED NAME...: what tools/count_results.py prints
add() {
  passed=$((passed + $1))
  failed=$((failed + $2))
  shift 2
  failures+=("$@")
}

build() { # build FOLDER OPTION...; on failure counts one and returns 1
  tools/build.sh "$@" && return 0
  one "build of $1" 1
  return 1
}

unit_tests() { # FOLDER LABEL [meson test option]...
  local folder=$1 label=$2
  shift 2
  headline "unit tests ($label)"
  NINJA_TARGETS="all meson-test-prereq" tools/build.sh "$folder" || { one "build of unit tests in $folder" 1; return; }
  rm -f "$folder/meson-logs/testlog.json"
  timeout -k 10 900 meson test -C "$folder" --no-rebuild --print-errorlogs "$@"
  # shellcheck disable=SC2046
  add $($python tools/count_results.py meson "$folder/meson-logs/testlog.json" "$label")
}

e2e_tests() { # FOLDER LABEL [pytest option]...
  local folder=$1 label=$2
  shift 2
  headline "end-to-end tests ($label)"
  WEIR_BINARY="$PWD/$folder/weir" WEIR_LABEL=$label timeout -k 10 900 $python -m pytest -q -p no:cacheprovider \
    --junitxml="$scratch/$label.xml" -o junit_family=xunit2 --rootdir=tests -c tests/pytest.ini tests/e2e "$@"
  # shellcheck disable=SC2046
  add $($python tools/count_results.py junit "$scratch/$label.xml" "$label")
}

fuzz_targets() { # SECONDS
  local seconds=$1 target name
  headline "fuzz targets ($seconds s each)"
  CC=clang CXX=clang++ build build-fuzz -Dfuzz=true -Doptimization=1 || return
  for target in build-fuzz/fuzz/fuzz_*; do
    [ -f "$target" ] && [ -x "$target" ] || continue
    name=$(basename "$target")
    mkdir -p "$scratch/$name" "fuzz/corpus/${name#fuzz_}"
    timeout -k 10 $((seconds + 60)) "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
      -artifact_prefix=build-fuzz/ -verbosity=0 -print_final_stats=0 "$scratch/$name" "fuzz/corpus/${name#fuzz_}" \
      >"$scratch/$name.log" 2>&1
    local status=$?
    [ $status -eq 0 ] || tail -n 60 "$scratch/$name.log"
    one "$name" $status
  done
}

step_unit() { build build && unit_tests build release; }
step_e2e() { build build && e2e_tests build release -m "not soak"; }
step_asan() {
  build build-asan -Db_sanitize=address,undefined -Doptimization=1 || return
  unit_tests build-asan asan -t 4
  e2e_tests build-asan asan -m "not soak and not slow and not speed"
}
step_tsan() {
  build build-tsan -Db_sanitize=thread -Doptimization=1 || return
  unit_tests build-tsan tsan -t 4 --no-suite threadless
  e2e_tests build-tsan tsan -m "threads and not soak and not slow and not speed"
}
step_fuzz() { fuzz_targets "${FUZZ_SECONDS:-5}"; }
step_check() {
  headline "checks"
  $python tools/check_includes.py; one "include directions" $?
  $python tools/check_style.py; one "style" $?
  tools/check_format.sh; one "clang-format" $?
}
step_soak() {
  export WEIR_SOAK=1
  build build && unit_tests build soak -t 0
  build build && e2e_tests build soak -m "soak"
  fuzz_targets "${SOAK_SECONDS:-600}"
}

started=$SECONDS
for step in "$@"; do
  "step_$step"
done

if [ ${#failures[@]} -gt 0 ]; then
  headline "failed"
  printf '%s\n' "${failures[@]}"
fi
if [ -n "${WEIR_RESULTS:-}" ]; then
  echo "$passed $failed" >>"$WEIR_RESULTS"
else
  printf '\n(%d s)\n%d passed, %d failed\n' $((SECONDS - started)) $passed $failed
fi
[ $failed -eq 0 ] && [ $passed -gt 0 ]
