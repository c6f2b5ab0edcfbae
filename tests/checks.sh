# Counting, shared by the test scripts; sourced, not run. They end with `totals`. One that has a `check` sets $work, a
# folder for $work/out and $work/err.
# shellcheck shell=bash disable=SC2034,SC2154 # The caller reads status, and sets work.
passed=0 failed=0 skipped=0

have() { command -v "$1" >/dev/null; }

skip() {
  skipped=$((skipped + 1))
  echo "skipped: $1 ($2)"
}

# check <sentence> <command...>: passes when the command's exit code is 0; else shows the output of the last `run`.
check() {
  if "${@:2}"; then
    passed=$((passed + 1))
    echo "ok: $1"
  else
    failed=$((failed + 1))
    echo "FAILED: $1"
    [ ! -e "$work/out" ] || cat "$work/out" "$work/err" | sed 's/^/    /' | tail -n 30
  fi
}

# all <condition...>: every one of these lines of bash is true.
all() { local part; for part; do eval "$part" || return; done; }

# run <command...>: keeps output, errors and exit code for the checks that follow.
run() {
  status=0
  "$@" >"$work/out" 2>"$work/err" || status=$?
}

said() { grep -qF -- "$1" "$work/err"; }

# number_of <word> <line>: the number in front of the word ("31 passed"), or 0.
number_of() {
  if [[ $2 =~ ([0-9]+)\ $1 ]]; then
    echo "${BASH_REMATCH[1]}"
  else
    echo 0
  fi
}

# Prints how many cases of a doctest log passed only because they said "skipped: ..." and returned.
count_skipping_cases() {
  awk '
    /^TEST CASE:/ { name = place $0 }
    { place = $0 }
    /: MESSAGE: skipped: / { skipping[name] }
    /: (FATAL )?ERROR: / { failing[name] }
    END { for (name in skipping) n += !(name in failing); print n + 0 }' "$1"
}

# run_suite <command...>: shows its output and adds its totals; a crash, or no test at all, counts as one failure.
run_suite() {
  local log totals skipping suite_passed suite_failed status=0
  log=$(mktemp)
  "$@" 2>&1 | tee "$log" || status=$?
  totals=$(grep -E '^\[doctest\] test cases:|^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1) || totals=''
  skipping=$(count_skipping_cases "$log")
  rm -f "$log"
  suite_passed=$(number_of passed "$totals")
  suite_failed=$(number_of failed "$totals")
  if [ "$suite_failed" = 0 ] && { [ "$status" != 0 ] || [ "$suite_passed" = 0 ]; }; then
    echo "FAILED: ${1##*/} ended with code $status after $suite_passed passed tests"
    suite_failed=1
  fi
  passed=$((passed + suite_passed - skipping))
  failed=$((failed + suite_failed))
  skipped=$((skipped + skipping + $(number_of skipped "$totals")))
}

# totals: prints "N passed, N failed[, N skipped]"; its exit code is 0 when nothing failed.
totals() {
  local line="$passed passed, $failed failed"
  [ "$skipped" = 0 ] || line+=", $skipped skipped"
  echo "$line"
  [ "$failed" = 0 ]
}
