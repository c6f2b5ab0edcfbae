#!/usr/bin/env bash
# Trains on MNIST straight after a clone: installs what is missing, builds, finds or downloads MNIST, runs the
# application in this script's place (so its exit code and Ctrl-C are the application's).
#
#   apps/train_mnist.sh [--no-install] [--no-download] [option of train_mnist...]
#
# MNIST is taken from --data DIR, else $MIXGRAD_DATA/mnist, else ${XDG_CACHE_HOME:-~/.cache}/mixgrad/mnist, and is
# downloaded to the last when it is nowhere. For the tests: MIXGRAD_MNIST_MIRRORS (addresses, separated by spaces)
# replaces the mirrors; MIXGRAD_DRY_RUN=1 installs and builds nothing, and prints the final command line.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../cmake/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/setup.sh"

build=$root/build/release
cache=${XDG_CACHE_HOME:-${HOME:-$root/build}/.cache}/mixgrad/mnist
mirrors=(https://ossci-datasets.s3.amazonaws.com/mnist https://storage.googleapis.com/cvdf-datasets/mnist)
[ -z "${MIXGRAD_MNIST_MIRRORS:-}" ] || read -ra mirrors <<<"$MIXGRAD_MNIST_MIRRORS"

# The four files, each with the SHA-256 of its unpacked content.
names=(train-labels-idx1-ubyte t10k-labels-idx1-ubyte t10k-images-idx3-ubyte train-images-idx3-ubyte)
declare -A sha256=(
  [train-images-idx3-ubyte]=ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db
  [train-labels-idx1-ubyte]=65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5
  [t10k-images-idx3-ubyte]=0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7
  [t10k-labels-idx1-ubyte]=ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2
)

download=yes # --no-download sets it to no
source=look  # look: this script finds MNIST; given: it is known where digits come from; none: only help is wanted
pictures=no
arguments=()

# Takes this script's own options out of the command line and notes those of the application that matter here.
read_options() {
  local option
  for option; do
    case $option in
      --no-install) install=no ;;
      --no-download) download=no ;;
      *) arguments+=("$option") ;;
    esac
    case $option in
      --data | --data=* | --synthetic) [ "$source" = none ] || source=given ;;
      --out | --out=*) pictures=yes ;;
      -h | --help) source=none ;;
    esac
  done
}

# has_file <folder> <name>: plain or .gz, also as some programs unpack it, train-images.idx3-ubyte.
has_file() {
  local name
  for name in "$2" "${2/-idx/.idx}"; do
    [ ! -f "$1/$name" ] && [ ! -f "$1/$name.gz" ] || return 0
  done
  return 1
}

has_mnist() {
  local name
  for name in "${names[@]}"; do has_file "$1" "$name" || return; done
}

# Prints the folder that holds MNIST already; fails when there is none.
find_mnist() {
  if [ -n "${MIXGRAD_DATA:-}" ]; then
    if has_mnist "$MIXGRAD_DATA/mnist"; then
      echo "$MIXGRAD_DATA/mnist"
      return
    fi
    say "MIXGRAD_DATA: no MNIST in $MIXGRAD_DATA/mnist; looking further"
  fi
  has_mnist "$cache" && echo "$cache"
}

requirements() {
  need_to_build
  [ "$pictures" = no ] || want gnuplot-nox have gnuplot
  if [ "$source" = look ] && [ "$download" = yes ]; then
    want curl have curl
    want ca-certificates has_certificates
    want gzip have gzip
  fi
}

# Repeats the size of a growing file on one line of the terminal, until the file is gone.
show_progress() {
  while sleep 0.3 && [ -e "$1" ]; do
    printf '\r%s: %d KB\033[K' "$2" "$(($(stat -c %s "$1") / 1024))" >&2
  done
}

# fetch <address> <file>: prints the reason when it fails. Connecting may take 10 s; under 1 KB/s for 20 s is a stall.
fetch() {
  local progress='' status=0
  : >"$2"
  if [ -t 2 ]; then
    show_progress "$2" "$(basename "$1")" >/dev/null &
    progress=$!
  fi
  curl --silent --fail --location --connect-timeout 10 --speed-limit 1000 --speed-time 20 --max-filesize 30000000 \
    --write-out '%{errormsg}' --output "$2" "$1" || status=$?
  if [ -n "$progress" ]; then
    kill "$progress"
    printf '\r\033[K' >&2
  fi
  return "$status"
}

# is_intact <file.gz> <sha256>: the archive is whole and its unpacked content is what it should be.
is_intact() {
  local sum
  sum=$(gzip -dc "$1" 2>/dev/null | sha256sum) && [ "$sum" = "$2  -" ]
}

# give_up <words>: says why a mirror is left.
give_up() {
  say "$*"
  reached=yes
  return 1
}

# download_from <mirror>: fetches the files still missing; fails at the first that does not arrive whole, with one line
# unless there was no connection at all (curl's codes 5 to 7). Each file is written under another name in the same
# folder, checked, and only then renamed, so runs at the same time do no harm to each other.
download_from() {
  local name reason status
  for name in "${names[@]}"; do
    ! has_file "$cache" "$name" || continue
    status=0
    reason=$(fetch "$1/$name.gz" "$part") || status=$?
    case $status in
      0) ;;
      5 | 6 | 7) return 1 ;;
      *) give_up "download failed: $1/$name.gz: ${reason:-curl ended with code $status}" || return ;;
    esac
    is_intact "$part" "${sha256[$name]}" ||
      give_up "download corrupt: $1/$name.gz: its SHA-256 is not that of MNIST" || return
    chmod 644 "$part"
    mv "$part" "$cache/$name.gz"
  done
}

# Fills the cache from the first mirror that delivers; prints the reason when none does. Exit code 1: there is no way to
# download; 2: a mirror was reached, and what came was not MNIST.
download_mnist() {
  local mirror part reached=no
  [ "$download" = yes ] || { echo "--no-download was given"; return 1; }
  have curl || { echo "curl is missing"; return 1; }
  part=$({ mkdir -p "$cache" && mktemp "$cache/.part.XXXXXX"; } 2>/dev/null) ||
    { echo "$cache cannot be written"; return 1; }
  # shellcheck disable=SC2064 # The name as it is now.
  trap "rm -f ${part@Q}" EXIT
  say "downloading MNIST (11 MB) into $cache"
  for mirror in "${mirrors[@]}"; do
    ! download_from "${mirror%/}" || return 0
  done
  [ "$reached" = no ] || return 2
  echo "no mirror can be reached"
  return 1
}

# Downloads MNIST, or chooses drawn digits where there is no way to.
download_or_draw() {
  local reason status=0
  reason=$(download_mnist) || status=$?
  case $status in
    0) arguments=(--data "$cache" "${arguments[@]}") ;;
    1)
      say "no MNIST here and $reason: running on drawn digits instead (--synthetic)"
      arguments=(--synthetic "${arguments[@]}")
      ;;
    *) die "MNIST could not be downloaded; try again later, give its folder by --data DIR, or train on drawn digits by --synthetic" ;;
  esac
}

read_options "$@"
if [ "$source" = look ] && folder=$(find_mnist); then
  arguments=(--data "$folder" "${arguments[@]}")
  source=given
fi

if [ -z "${MIXGRAD_DRY_RUN:-}" ]; then
  if [ "$source" != none ] || [ ! -x "$build/apps/train_mnist" ]; then
    [ "$source" != none ] || say "train_mnist, which has the list of options, is built first"
    set_up requirements
    build_tree "$build" train_mnist -- -DMIXGRAD_BUILD_TESTS=OFF -DMIXGRAD_WERROR=OFF
  fi
fi
[ "$source" != look ] || download_or_draw
[ "$source" != none ] || printf '%s\n' \
  "train_mnist.sh itself: --no-install (of packages), --no-download (of MNIST); all else is for train_mnist:"

command=("$build/apps/train_mnist" "${arguments[@]}")
if [ -n "${MIXGRAD_DRY_RUN:-}" ]; then
  echo "${command[@]@Q}"
else
  exec "${command[@]}"
fi
