#!/usr/bin/env bash
# Measures what mixup does, straight after a clone: installs what is missing, builds, finds or downloads MNIST, and runs
# the application in place of this script (so the exit code and Ctrl-C are the application's).
#
#   apps/mixup_study.sh [--no-install] [--no-download] [option of mixup_study...]
#
# --no-install    ends with an error instead of installing packages
# --no-download   measures on drawn digits if MNIST is not found
#
# MNIST is found, or downloaded, as by train_mnist.sh; CIFAR-10 is used where it is: in $MIXGRAD_DATA/cifar10, or in
# ${XDG_CACHE_HOME:-~/.cache}/mixgrad, where train_cifar.sh downloads it to. All other options are passed to mixup_study.

# For the tests: MIXGRAD_DRY_RUN=1 only prints the final command line, without installing or building.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../cmake/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/setup.sh"

build=$root/build/release
data=look # look: train_mnist.sh finds it; given: it is known
help=no
arguments=()
finder=()

read_options() {
  local option
  for option; do
    case $option in
      --no-install) install=no finder+=("$option") ;;
      --no-download) finder+=("$option") ;;
      *) arguments+=("$option") ;;
    esac
    case $option in
      --data | --data=* | --synthetic | --list) data=given ;;
      -h | --help) help=yes data=given ;;
    esac
  done
}

# What train_mnist.sh would train on, as options: --data DIR, or --synthetic.
found_data() {
  local line words=()
  line=$(MIXGRAD_DRY_RUN=1 "$root/apps/train_mnist.sh" "${finder[@]}")
  eval "words=($line)" # It is quoted for the shell.
  arguments+=("${words[@]:1}")
}

requirements() {
  need_to_build
  if [ "$data" = look ]; then
    want curl have curl
    want ca-certificates has_certificates
    want gzip have gzip
  fi
}

read_options "$@"
[ "$help" = no ] || show_help
if [ -z "${MIXGRAD_DRY_RUN:-}" ] && { [ "$help" = no ] || [ ! -x "$build/apps/mixup_study" ]; }; then
  [ "$help" = no ] || say "mixup_study, which has the list of options, is built first"
  set_up requirements
  build_tree "$build" mixup_study -- -DMIXGRAD_BUILD_TESTS=OFF -DMIXGRAD_WERROR=OFF
fi
[ "$data" = given ] || found_data
command=("$build/apps/mixup_study" "${arguments[@]}")
if [ -n "${MIXGRAD_DRY_RUN:-}" ]; then
  echo "${command[@]@Q}"
else
  exec "${command[@]}"
fi
