#!/usr/bin/env bash
# Installs what is missing, builds library, application and tests, runs every test, and ends with the line
# "N passed, N failed" (", N skipped" may follow). Exits with 0 only when nothing failed.
#
#   tests/run.sh [--sanitize] [--no-install]
#
# --sanitize    build with AddressSanitizer and UndefinedBehaviorSanitizer; the tests of the scripts are left out
# --no-install  end with an error instead of installing packages
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../cmake/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/setup.sh"

sanitize=no
passed=0 failed=0 skipped=0

read_options() {
  local option
  for option; do
    case $option in
      --sanitize) sanitize=yes ;;
      --no-install) install=no ;;
      *) die "$option: unknown option (there are --sanitize and --no-install)" ;;
    esac
  done
}

requirements() {
  need_to_build
  need doctest-dev has_header doctest/doctest.h
  want libcurl4-openssl-dev has_header curl/curl.h
  want libarchive-dev has_header archive.h
  want curl have curl
  want gzip have gzip
  want python3 have python3
}

build_tests() {
  if [ "$sanitize" = yes ]; then
    build=$root/build/sanitize
    # GCC's warnings have false positives under sanitizers; the other build has them as errors.
    build_tree "$build" mixgrad_tests -- -DMIXGRAD_SANITIZE=ON -DMIXGRAD_WERROR=OFF \
      -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1
  else
    build=$root/build/tests
    build_tree "$build" train_mnist make_mnist_sample mixgrad_tests --
  fi
}

# number_of <word> <line>: the number in front of the word ("31 passed"), or 0.
number_of() {
  if [[ $2 =~ ([0-9]+)\ $1 ]]; then
    echo "${BASH_REMATCH[1]}"
  else
    echo 0
  fi
}

# run_suite <command...>: shows its output and adds its totals; a crash, or no test at all, counts as one failure.
run_suite() {
  local log totals suite_passed suite_failed status=0
  log=$(mktemp)
  "$@" 2>&1 | tee "$log" || status=$?
  totals=$(grep -E '^\[doctest\] test cases:|^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1) || totals=''
  rm -f "$log"
  suite_passed=$(number_of passed "$totals")
  suite_failed=$(number_of failed "$totals")
  if [ "$suite_failed" = 0 ] && { [ "$status" != 0 ] || [ "$suite_passed" = 0 ]; }; then
    say "FAILED: ${1##*/} ended with code $status after $suite_passed passed tests"
    suite_failed=1
  fi
  passed=$((passed + suite_passed))
  failed=$((failed + suite_failed))
  skipped=$((skipped + $(number_of skipped "$totals")))
}

read_options "$@"
set_up requirements
build_tests
# The real MNIST, where it has been downloaded already.
cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/mixgrad
[ -n "${MIXGRAD_DATA:-}" ] || [ ! -d "$cache/mnist" ] || export MIXGRAD_DATA=$cache
export ASAN_OPTIONS=detect_leaks=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}
export UBSAN_OPTIONS=print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}
run_suite "$build/tests/mixgrad_tests" --no-colors
if [ "$sanitize" = no ]; then
  run_suite "$root/tests/test_app.sh" "$build/apps/train_mnist"
  run_suite "$root/tests/test_library.sh" "$build"
  run_suite "$root/tests/test_scripts.sh"
fi

totals="$passed passed, $failed failed"
[ "$skipped" = 0 ] || totals+=", $skipped skipped"
echo "$totals"
[ "$failed" = 0 ]
