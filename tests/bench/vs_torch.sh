#!/usr/bin/env bash
# The table of mixgrad's speed and PyTorch's on the CPU: builds mixgrad_bench_cpu as train_mnist is built, and has
# vs_torch.py run both.
#
#   tests/bench/vs_torch.sh [--no-install] [--python FILE] [option of vs_torch.py...]
#
# --python FILE    the Python that has PyTorch; default python3
# --rows LIST      some of simple_cnn,mixup,batch_norm,lenet,mlp,resnet,airbench,inference_1,inference_256
# --rounds N       default 7
# --seconds S      of each measurement; default 1
# --repeats N      of a row in which PyTorch's 2 threads were slower than its 1, at most; default 2
# --markdown FILE  also write the table there
# --profile        print where mixgrad's time goes instead; needs no PyTorch
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../cmake/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
build=$root/build/release
python=python3
needs_torch=yes
options=()

read_options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --no-install) install=no ;;
      --python)
        [ $# -gt 1 ] || die "--python needs a file"
        python=$2
        shift
        ;;
      --python=*) python=${1#*=} ;;
      *) options+=("$1") ;;
    esac
    case $1 in --profile) needs_torch=no ;; esac
    shift
  done
}

requirements() {
  need_to_build
  need nlohmann-json3-dev has_header nlohmann/json.hpp
  need libxxhash-dev has_header xxhash.h
  need python3 have "$python"
}

# What the library was compiled with.
compiler() {
  local cached
  cached=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
  "$cached" --version | head -n 1
}

offer_help "$@"
read_options "$@"
set_up requirements
[ "$needs_torch" = no ] || "$python" -c 'import torch' 2>/dev/null ||
  die "$python has no PyTorch: python3 -m venv DIR && DIR/bin/pip install torch, then --python DIR/bin/python"
build_tree "$build" mixgrad_bench_cpu -- -DMIXGRAD_BUILD_TESTS=OFF -DMIXGRAD_WERROR=OFF
exec "$python" "$root/tests/bench/vs_torch.py" --program "$build/tests/bench/mixgrad_bench_cpu" \
  --compiler "$(compiler)" "${options[@]}"
