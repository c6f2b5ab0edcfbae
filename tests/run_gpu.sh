#!/usr/bin/env bash
# The tests of the CUDA kernels on a GPU: as they are, then under compute-sanitizer's memcheck (accesses out of bounds) and
# racecheck (shared memory without a barrier). Ends with the line "N passed, N failed" (", N skipped" may follow); a tool
# that is not installed, or does not support this GPU, is skipped by name.
#
#   tests/run_gpu.sh [--tools-only]
#
# --tools-only   only compute-sanitizer, without the plain run
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../cmake/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/setup.sh"
# shellcheck source-path=SCRIPTDIR source=checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# run_tests <name> <command...>: one pass or failure; the output is shown when it fails.
run_tests() {
  if "${@:2}" >"$work/log" 2>&1; then
    echo "ok: $1"
    passed=$((passed + 1))
  else
    tail -n 60 "$work/log"
    echo "FAILED: $1"
    failed=$((failed + 1))
  fi
}

# Whether the tool supports this GPU: it is tried on one short test, which passes without it.
refuses() { ! "$@" "${tests[@]}" -tc="cuda: a tensor moves there and back*" >"$work/log" 2>&1; }

# why_refused: the tool's own message.
why_refused() { grep -m 1 -iE 'not supported|unsupported|unable|error' "$work/log" || tail -n 1 "$work/log"; }

# under <tool> <filter of tests>
under() {
  local command=(compute-sanitizer --tool "$1" --error-exitcode 9 --print-limit 10)
  if ! have compute-sanitizer; then
    skip "$1" "compute-sanitizer is not installed"
  elif refuses "${command[@]}" && grep -qiE 'not supported|unsupported|unable to|internal error' "$work/log"; then
    skip "$1" "compute-sanitizer: $(why_refused)"
  else
    run_tests "the tests under $1" timeout 900 "${command[@]}" "${tests[@]}" "$2"
  fi
}

offer_help "$@"
[ $# = 0 ] || [ "$*" = --tools-only ] || die "$*: unknown option (known: --tools-only)"
has_gpu || die "no NVIDIA GPU found; tests/run.sh runs the kernels on the CPU"
have nvcc || PATH=$PATH:/usr/local/cuda/bin
have nvcc || die "nvcc not found: install the CUDA Toolkit (12 or 13)"
install=no
# The same tree as tests/bench/gpu.sh.
build=$root/build/gpu
build_tree "$build" mixgrad_cuda_tests -- -DMIXGRAD_CUDA=ON -DMIXGRAD_BUILD_APPS=OFF
tests=("$build/tests/mixgrad_cuda_tests" --no-colors)
[ $# = 1 ] || run_tests "the tests on the GPU" "${tests[@]}"
under memcheck -tc='*'
# racecheck follows every access to shared memory: not the trainings, whose kernels the others have run.
under racecheck -tce='captured steps*,cuda: a Learner*'

totals
