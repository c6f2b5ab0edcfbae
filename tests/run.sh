#!/usr/bin/env bash
# Installs what is missing, builds library, application and tests, runs every test, and ends with the line
# "N passed, N failed" (", N skipped" may follow). Exits with 0 only when nothing failed.
#
#   tests/run.sh [--executor | --sanitize | --thread-sanitizer | --coverage] [--no-install]
#
# --executor           the CUDA kernels on the CPU alone (tests/cuda_executor), which needs no GPU and no nvcc
# --sanitize           build with AddressSanitizer and UndefinedBehaviorSanitizer; without the tests of the scripts
# --thread-sanitizer   build with clang++, without warnings, and ThreadSanitizer; only the tests of loaders, workers and
#                      the Learner
# --coverage           count the lines that the tests run, by folder; without the tests of the scripts
# --no-install         end with an error instead of installing packages
#
# If there is an NVIDIA GPU, and nvcc, the tests run on it as well; DEVICE=cuda requires it, DEVICE=cpu does not use it.
# tests/run_gpu.sh adds compute-sanitizer.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../cmake/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/setup.sh"
# shellcheck source-path=SCRIPTDIR source=checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"

mode=all
device=${DEVICE:-auto}

read_options() {
  local option
  for option; do
    case $option in
      --executor | --sanitize | --thread-sanitizer | --coverage) mode=${option#--} ;;
      --no-install) install=no ;;
      *) die "$option: unknown option (known: --executor, --sanitize, --thread-sanitizer, --coverage, --no-install)" ;;
    esac
  done
}

# What the CUDA executor needs.
has_executor() { has_installed_header boost/context/detail/fcontext.hpp; }

# Sets $cuda to the value of CMake's MIXGRAD_CUDA.
choose_device() {
  have nvcc || ! [ -x /usr/local/cuda/bin/nvcc ] || PATH=$PATH:/usr/local/cuda/bin
  case $device in
    auto) cuda=AUTO ;;
    cpu) cuda=OFF ;;
    cuda)
      cuda=ON
      has_gpu || die "DEVICE=cuda: no NVIDIA GPU found"
      ;;
    *) die "DEVICE=$device: unknown device (known: cpu, cuda)" ;;
  esac
}

requirements() {
  need_to_build
  need doctest-dev has_header doctest/doctest.h
  want libcurl4-openssl-dev has_header curl/curl.h
  want libssl-dev has_header openssl/evp.h
  want libarchive-dev has_header archive.h
  want curl have curl
  want gzip have gzip
  want python3 have python3
  case $mode in
    executor) need libboost-context-dev has_executor ;;
    thread-sanitizer)
      need clang find_clang
      need libclang-rt-dev clang_builds -fsanitize=thread
      need libomp-dev clang_builds -fopenmp
      ;;
    coverage) want gcovr have gcovr ;;
  esac
}

# build_instrumented <flags> <target...> -- <cmake option...>
build_instrumented() {
  local flags=$1 targets=()
  shift
  while [ "$1" != -- ]; do
    targets+=("$1")
    shift
  done
  build_tree "$build" "${targets[@]}" -- -DMIXGRAD_CUDA=OFF -DMIXGRAD_BUILD_APPS=OFF -DMIXGRAD_WERROR=OFF \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="$flags" "${@:2}"
}

build_tests() {
  build=$root/build/$mode
  case $mode in
    # GCC's warnings have false positives under sanitizers; the other build has them as errors.
    # For any CPU, so that the vectors of other widths are tested as well.
    sanitize) build_instrumented -O1 mixgrad_tests -- -DMIXGRAD_SANITIZE=ON -DMIXGRAD_NATIVE=OFF ;;
    thread-sanitizer)
      build_instrumented "-O1 -g -fsanitize=thread" mixgrad_tests train_mnist make_mnist_sample -- \
        -DCMAKE_CXX_COMPILER="$(find_clang)" -DCMAKE_UNITY_BUILD=OFF -DMIXGRAD_WERROR=ON -DMIXGRAD_BUILD_APPS=ON
      ;;
    coverage)
      build_instrumented "-O1 --coverage -fprofile-update=atomic" mixgrad_tests --
      find "$build" -name '*.gcda' -delete # Counts of runs before.
      ;;
    all)
      build=$root/build/tests
      build_tree "$build" train_mnist train_cifar mixup_study lesson make_mnist_sample mixgrad_tests -- -DMIXGRAD_CUDA="$cuda"
      ;;
    # For any CPU: so portable code is tested as well.
    executor)
      build_instrumented -Og mixgrad_cuda_tests cuda_executor_tests gpu_figures -- -DMIXGRAD_CUDA_EXECUTOR=ON \
        -DMIXGRAD_NATIVE=OFF
      ;;
  esac
}

# The CUDA kernels on the CPU, and the executor that runs them.
executor_suites() {
  run_suite "$build/tests/cuda_executor/cuda_executor_tests" --no-colors
  run_suite "$build/tests/mixgrad_cuda_tests" --no-colors
  run_suite "$build/tests/gpu_figures" --quick
}

# This one uses one core most of the time, so it runs beside the others.
begin_suite_beside() {
  beside_log=$(mktemp)
  trap 'kill $(jobs -p) 2>/dev/null || true; rm -f "$beside_log"' EXIT
  "$root/tests/test_library.sh" "$build" >"$beside_log" 2>&1 &
}
show_suite_beside() { cat "$beside_log"; }
end_suite_beside() {
  wait $! || true
  run_suite show_suite_beside
}

# Prints the line coverage by folder; below 90 % is a failure. build/coverage/coverage.txt lists the uncovered lines.
report_coverage() {
  have gcovr || { skip coverage "needs gcovr"; return; }
  local folder filters=() report
  for folder in core nn data augment train; do filters+=(--filter "$folder/"); done
  gcovr --root "$root" "${filters[@]}" --csv "$build/coverage.csv" --txt "$build/coverage.txt" "$build"
  report=$(awk -F, '
    NR > 1 { split($1, path, "/"); lines[path[1]] += $2; run[path[1]] += $3 }
    END {
      for (folder in lines) {
        share = 100 * run[folder] / lines[folder]
        printf "%s: coverage of %-7s %5.1f %% of %d lines\n", share < 90 ? "FAILED" : "ok", folder, share, lines[folder]
      }
    }' "$build/coverage.csv" | sort)
  echo "$report"
  passed=$((passed + $(grep -c ^ok <<<"$report" || true)))
  failed=$((failed + $(grep -c ^FAILED <<<"$report" || true)))
}

offer_help "$@"
read_options "$@"
choose_device
set_up requirements
build_tests
# The real MNIST, where it has been downloaded already; this file comes last.
cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/mixgrad
mnist=("$cache"/mnist/train-images[-.]idx3-ubyte*)
if [ -z "${MIXGRAD_DATA:-}" ] && [ -e "${mnist[0]}" ]; then
  export MIXGRAD_DATA=$cache
fi
export ASAN_OPTIONS=detect_leaks=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}
export UBSAN_OPTIONS=print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}
# libomp is not instrumented; its tool Archer, which it loads by itself, tells ThreadSanitizer how its threads wait.
export TSAN_OPTIONS=ignore_noninstrumented_modules=1${TSAN_OPTIONS:+:$TSAN_OPTIONS}
only=()
if [ "$mode" = thread-sanitizer ]; then # The others count as skipped.
  subjects='parallel conv2d data_loader prefetch image_folder learner mixup_callback cutmix optimizer recorder metrics progress'
  only=(--source-file="*test_${subjects// /.cpp,*test_}.cpp")
fi
[ "$mode" != all ] || begin_suite_beside
[ "$mode" = executor ] || run_suite "$build/tests/mixgrad_tests" --no-colors "${only[@]}"
case $mode in
  executor) executor_suites ;;
  coverage) report_coverage ;;
  all)
    run_suite "$root/tests/test_app.sh" "$build/apps/train_mnist"
    run_suite "$root/tests/test_cifar_app.sh" "$build/apps/train_cifar"
    run_suite "$root/tests/test_mixup_study.sh" "$build/apps/mixup_study"
    run_suite "$root/tests/test_scripts.sh"
    end_suite_beside
    ;;
esac

totals
