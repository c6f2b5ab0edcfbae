#!/usr/bin/env bash
# Builds the fuzz targets with clang++, AddressSanitizer and UndefinedBehaviorSanitizer, and runs each for some seconds
# on inputs that it generates. Ends with the line "N passed, N failed" (", N skipped" may follow): a target fails when
# it finds something, which is left in build/fuzz/findings; given such a file, the target runs it again.
#
#   tests/fuzz/run.sh [--no-install] [seconds]      default 5
#
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../cmake/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
seconds=5 passed=0 failed=0
build=$root/build/fuzz
targets=(checkpoint idx image mix_plan safetensors)

read_options() {
  local option
  for option; do
    case $option in
      --no-install) install=no ;;
      *[!0-9]* | '') die "'$option': neither --no-install nor a number of seconds" ;;
      *) seconds=$option ;;
    esac
  done
}

can_fuzz() { find_clang && clang_builds -fopenmp && clang_builds -fsanitize=fuzzer-no-link,address,undefined; }

requirements() {
  need_to_build
  want clang find_clang
  want libclang-rt-dev clang_builds -fsanitize=address,undefined
  want libomp-dev clang_builds -fopenmp
}

# fuzz <target>: keeps the inputs that reached something new, for the next run. Targets read files, and a checkpoint is
# synced to the disk when it is written: in memory, where there is such a folder, that costs nothing.
fuzz() {
  local corpus=$build/corpus/$1 findings=$build/findings/$1 scratch=${TMPDIR:-/tmp}
  mkdir -p "$corpus" "$findings"
  [ ! -w /dev/shm ] || scratch=/dev/shm
  TMPDIR=$scratch logged "$build/$1.log" "$build/tests/fuzz/fuzz_$1" -max_total_time="$seconds" -max_len=8192 \
    -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$findings/" "$corpus"
}

offer_help "$@"
read_options "$@"
set_up requirements
if ! can_fuzz >/dev/null 2>&1; then
  say "skipped: fuzz targets (need clang++ with libFuzzer and libomp)"
  echo "0 passed, 0 failed, ${#targets[@]} skipped"
  exit 0
fi
build_tree "$build" "${targets[@]/#/fuzz_}" -- -DCMAKE_CXX_COMPILER="$(find_clang)" -DMIXGRAD_BUILD_FUZZERS=ON \
  -DMIXGRAD_SANITIZE=ON -DMIXGRAD_WERROR=OFF -DMIXGRAD_BUILD_APPS=OFF -DMIXGRAD_BUILD_TESTS=OFF \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1
for target in "${targets[@]}"; do
  if fuzz "$target"; then
    passed=$((passed + 1))
    say "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target.log") inputs, no finding"
  else
    failed=$((failed + 1))
    say "FAILED: $target, see $build/findings/$target"
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
