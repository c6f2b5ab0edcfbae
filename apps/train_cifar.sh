#!/usr/bin/env bash
# Trains on CIFAR-10 straight after a clone: installs what is missing, builds, and runs the application in place of this
# script (so the exit code and Ctrl-C are the application's).
#
#   apps/train_cifar.sh [--no-install] [option of train_cifar...]
#
# --no-install    ends with an error instead of installing packages
#
# CIFAR-10 is taken from --data DIR, else $MIXGRAD_DATA/cifar10, else from ${XDG_CACHE_HOME:-~/.cache}/mixgrad, where the
# application downloads it to (170 MB; not with --no-download). All other options are passed to train_cifar.

# For the tests: MIXGRAD_DRY_RUN=1 only prints the final command line, without installing or building.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../cmake/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/setup.sh"

build=$root/build/release
cache=${XDG_CACHE_HOME:-${HOME:-$root/build}/.cache}/mixgrad
data=look # look: train_cifar finds or downloads it; given: it is known where it comes from
help=no
pictures=no
arguments=()

read_options() {
  local option
  for option; do
    case $option in
      --no-install) install=no ;;
      *) arguments+=("$option") ;;
    esac
    case $option in
      --data | --data=* | --no-download | --show-recipe) data=given ;;
      --out | --out=*) pictures=yes ;;
      -h | --help) help=yes ;;
    esac
  done
  for option in "${MIXGRAD_DATA:-/nowhere}/cifar10" "$cache/cifar-10-binary"; do [ ! -d "$option" ] || data=given; done
}

requirements() {
  need_to_build
  [ "$pictures" = no ] || want gnuplot-nox have gnuplot
  if [ "$data" = look ]; then
    want libcurl4-openssl-dev has_header curl/curl.h
    want libssl-dev has_header openssl/evp.h
    want libarchive-dev has_header archive.h
    want ca-certificates has_certificates
  fi
}

read_options "$@"
[ "$help" = no ] || show_help
if [ -z "${MIXGRAD_DRY_RUN:-}" ] && { [ "$help" = no ] || [ ! -x "$build/apps/train_cifar" ]; }; then
  [ "$help" = no ] || say "train_cifar, which has the list of options, is built first"
  set_up requirements
  build_tree "$build" train_cifar -- -DMIXGRAD_BUILD_TESTS=OFF -DMIXGRAD_WERROR=OFF
fi
command=("$build/apps/train_cifar" "${arguments[@]}")
if [ -n "${MIXGRAD_DRY_RUN:-}" ]; then
  echo "${command[@]@Q}"
else
  exec "${command[@]}"
fi
