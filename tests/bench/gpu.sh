#!/usr/bin/env bash
# Builds the library with its CUDA kernels, tests them on the GPU and prints every GPU result of
# FIGURES.md, beside PyTorch's if Python has it. Needs nvcc, CMake and ninja or make, a GPU and the
# headers of Eigen and doctest, which may lie in $MIXGRAD_DEPS (cmake/dependencies.cmake); installs nothing.
# Takes some minutes. Exits with 0 only when every test passed and every bound was met.
#
#   tests/bench/gpu.sh [--build-only]
#
# $MIXGRAD_DATA/mnist has the files of MNIST, without which there are no tables; $MIXGRAD_PYTHON is the Python to ask for
# torch (default python3).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../cmake/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
install=no

# shellcheck disable=SC2317 # set_up calls it.
requirements() {
  need cuda-toolkit have nvcc
  need g++ has_compiler
  need cmake has_cmake
  need ninja-build has_build_tool
  need libeigen3-dev has_eigen
  need doctest-dev has_header doctest/doctest.h
}

offer_help "$@"
[ $# = 0 ] || [ "$*" = --build-only ] || die "$*: unknown option (known: --build-only)"
have nvcc || PATH=$PATH:/usr/local/cuda/bin
set_up requirements
begin=$SECONDS
build=$root/build/gpu
build_tree "$build" mixgrad_cuda_tests gpu_figures -- -DMIXGRAD_CUDA=ON -DMIXGRAD_BUILD_APPS=OFF
say "built in $((SECONDS - begin)) s"
[ $# = 0 ] || exit 0

status=0
! have nvidia-smi || nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
"$build/tests/mixgrad_cuda_tests" --no-colors || status=1
"$build/tests/gpu_figures" || status=1
python=${MIXGRAD_PYTHON:-python3}
if have "$python" && "$python" -c 'import torch; torch.zeros(1).cuda()' 2>/dev/null; then
  "$python" "$root/tests/bench/gpu_torch.py" || status=1
else
  say "skipped: PyTorch's figures ($python has no torch that finds the GPU)"
fi
say "took $((SECONDS - begin)) s"
exit "$status"
