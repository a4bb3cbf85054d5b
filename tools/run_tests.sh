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

# Where addresses are random in more bits than the sanitizers of Debian 12 know of, they fail at random.
steady=()
setarch -R true 2>/dev/null && steady=(setarch -R)

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

# add STATUS PASSED FAILED NAME...: a runner's exit status, and what tools/count_results.py made of its log. A runner
# that was stopped half-way may leave a log without a failure in it.
add() {
  local status=$1
  shift
  [ "$status" -eq 0 ] || [ "$2" -gt 0 ] || one "a runner (status $status)" 1
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
  local folder=$1 label=$2 prefix
  shift 2
  headline "unit tests ($label)"
  NINJA_TARGETS="all meson-test-prereq" tools/build.sh "$folder" || { one "build of unit tests in $folder" 1; return; }
  rm -f "$folder/meson-logs/testlog.json"
  [ "$label" = release ] && prefix=() || prefix=("${steady[@]}")
  "${prefix[@]}" timeout -k 10 900 meson test -C "$folder" --no-rebuild --print-errorlogs "$@"
  # shellcheck disable=SC2046
  add $? $($python tools/count_results.py meson "$folder/meson-logs/testlog.json" "$label")
}

e2e_part() { # FOLDER LABEL PART [pytest option]...
  local folder=$1 label=$2 part=$3 prefix
  shift 3
  [ "$label" = release ] && prefix=() || prefix=("${steady[@]}")
  WEIR_BINARY="$PWD/$folder/weir" WEIR_LABEL=$label \
    "${prefix[@]}" timeout -k 10 900 $python -m pytest -q -p no:cacheprovider \
    --basetemp="$scratch/$label-${part%/*}" --junitxml="$scratch/$label-${part%/*}.xml" -o junit_family=xunit2 \
    --rootdir=tests -c tests/pytest.ini --part="$part" tests/e2e "$@"
  local status=$?
  [ $status -ne 5 ] || status=0 # nothing selected
  echo $status >"$scratch/$label-${part%/*}.status"
}

e2e_tests() { # FOLDER LABEL PARTS [pytest option]...; the parts run at the same time
  local folder=$1 label=$2 parts=$3 part
  shift 3
  headline "end-to-end tests ($label)"
  for ((part = 1; part <= parts; part++)); do
    e2e_part "$folder" "$label" "$part/$parts" "$@" >"$scratch/$label-$part.log" 2>&1 &
  done
  wait
  for ((part = 1; part <= parts; part++)); do
    cat "$scratch/$label-$part.log"
    # shellcheck disable=SC2046
    add "$(cat "$scratch/$label-$part.status")" \
      $($python tools/count_results.py junit "$scratch/$label-$part.xml" "$label")
  done
}

fuzz_one() { # TARGET SECONDS; a new find stays in the scratch folder, a crash in build-fuzz/
  local name corpus
  name=$(basename "$1")
  corpus=fuzz/corpus/${name#fuzz_}
  mkdir -p "$scratch/$name"
  [ -d "$corpus" ] || corpus=
  "${steady[@]}" timeout -k 10 $(($2 + 60)) "$1" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix=build-fuzz/ "$scratch/$name" $corpus >"$scratch/$name.log" 2>&1
  echo $? >"$scratch/$name.status"
}

fuzz_targets() { # SECONDS; two at a time
  local target name
  headline "fuzz targets ($1 s each)"
  CC=clang CXX=clang++ build build-fuzz -Dfuzz=true -Doptimization=1 || return
  for target in build-fuzz/fuzz/fuzz_*; do
    [ -f "$target" ] && [ -x "$target" ] || continue
    fuzz_one "$target" "$1" &
    [ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
  done
  wait
  for target in build-fuzz/fuzz/fuzz_*; do
    [ -f "$target" ] && [ -x "$target" ] || continue
    name=$(basename "$target")
    [ "$(cat "$scratch/$name.status")" = 0 ] || tail -n 60 "$scratch/$name.log"
    one "$name" "$(cat "$scratch/$name.status")"
  done
}

step_unit() { build build && unit_tests build release; }
step_e2e() { build build && e2e_tests build release 2 -m "not soak"; }
step_asan() {
  build build-asan -Db_sanitize=address,undefined -Doptimization=1 || return
  unit_tests build-asan asan -t 4
  e2e_tests build-asan asan 2 -m "not soak and not slow and not speed"
}
step_tsan() {
  build build-tsan -Db_sanitize=thread -Doptimization=1 || return
  unit_tests build-tsan tsan -t 4 --no-suite threadless
  e2e_tests build-tsan tsan 2 -m "threads and not soak and not slow and not speed"
}
step_fuzz() { fuzz_targets "${FUZZ_SECONDS:-5}"; }
step_check() {
  headline "checks"
  $python tools/check_includes.py; one "include directions" $?
  $python tools/check_style.py; one "style" $?
  tools/check_format.sh; one "clang-format" $?
}
step_soak() {
  export WEIR_TEST_SEEDS=100000 WEIR_TEST_POLLS=1000000
  build build && unit_tests build soak -t 0
  build build && e2e_tests build soak 1 -m "soak"
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
