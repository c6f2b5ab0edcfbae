# What the tests of the command line share; sourced, not run. The caller sets $work, a folder for $work/out and
# $work/err, and ends with `totals`.
# shellcheck shell=bash disable=SC2034 # The caller reads status.
passed=0 failed=0 skipped=0

have() { command -v "$1" >/dev/null; }

skip() {
  skipped=$((skipped + 1))
  echo "skipped: $1 ($2)"
}

# check <sentence> <command...>: passes when the command's exit code is 0; else shows what the last `run` said.
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

# totals: prints "N passed, N failed[, N skipped]"; its exit code is 0 when nothing failed.
totals() {
  local line="$passed passed, $failed failed"
  [ "$skipped" = 0 ] || line+=", $skipped skipped"
  echo "$line"
  [ "$failed" = 0 ]
}
