#!/usr/bin/env bash
# The table of each operation's speed and PyTorch's on the CPU: builds mixgrad_bench_ops as train_mnist is built, and has
# ops.py run both.
#
#   tests/bench/ops.sh [--no-install] [--python FILE] [option of ops.py...]
#
# --python FILE    the Python that has PyTorch; default python3
# --cases REGEX    some of the cases
# --threads LIST   default 1,2
# --rounds N       default 5
# --seconds S      of each measurement; default 0.05
# --markdown FILE  also write the table there
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../cmake/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
build=$root/build/release
python=python3
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
    shift
  done
}

requirements() {
  need_to_build
  need python3 have "$python"
}

offer_help "$@"
read_options "$@"
set_up requirements
"$python" -c 'import torch' 2>/dev/null ||
  die "$python has no PyTorch: python3 -m venv DIR && DIR/bin/pip install torch, then --python DIR/bin/python"
build_tree "$build" mixgrad_bench_ops -- -DMIXGRAD_BUILD_TESTS=OFF -DMIXGRAD_WERROR=OFF
exec "$python" "$root/tests/bench/ops.py" --program "$build/tests/bench/mixgrad_bench_ops" "${options[@]}"
