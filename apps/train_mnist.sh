#!/usr/bin/env bash
# Trains on MNIST straight after a clone: installs what is missing, builds, finds or downloads MNIST, and runs the
# application in place of this script (so the exit code and Ctrl-C are the application's).
#
#   apps/train_mnist.sh [--no-install] [--no-download] [option of train_mnist...]
#
# --no-install    ends with an error instead of installing packages
# --no-download   trains on drawn digits if MNIST is not found
#
# MNIST is taken from --data DIR, else $MIXGRAD_DATA/mnist, else ${XDG_CACHE_HOME:-~/.cache}/mixgrad/mnist, and is
# downloaded to the last if it is in none of them, or damaged there. All other options are passed to train_mnist.

# For the tests: MIXGRAD_MNIST_MIRRORS (addresses, separated by spaces) replaces the mirrors; MIXGRAD_DRY_RUN=1 only
# prints the final command line, without installing or building.
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
source=look  # look: this script finds MNIST; given: it is known where digits come from; none: the command needs no digits
help=no
pictures=no
arguments=()
declare -A damaged=() # files in the cache

# Removes this script's own options from the command line, and notes those of the application that matter here.
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
      --predict | --predict=* | --version) source=none ;;
      -h | --help) help=yes source=none ;;
    esac
  done
}

# path_of <folder> <file>: the path that the program reads: plain or .gz, also with the dot of some unpackers,
# train-images.idx3-ubyte; fails if there is none.
path_of() {
  local name path
  for name in "$2" "${2/-idx/.idx}"; do
    for path in "$1/$name" "$1/$name.gz"; do
      [ ! -f "$path" ] || { echo "$path"; return; }
    done
  done
  return 1
}

has_mnist() {
  local name
  for name in "${names[@]}"; do path_of "$1" "$name" >/dev/null || return; done
}

# is_intact <path> <file>: the file at the path, packed or not, has the content of that file of MNIST.
is_intact() {
  local sum
  sum=$(gzip -dcf 2>/dev/null <"$1" | sha256sum) && [ "$sum" = "${sha256[$2]}  -" ]
}

# A line for each file in the cache; fails if one is missing.
cached_crcs() {
  local name paths=()
  for name in "${names[@]}"; do paths+=("$(path_of "$cache" "$name")") || return; done
  cksum "${paths[@]}"
}

# Whether the cache holds MNIST. Damaged files are named, noted in $damaged and count as missing. The SHA-256 of all
# content takes most of a second, CRCs of the files some milliseconds: those of intact files are kept in the file
# .checked.
check_cache() {
  local name path crcs
  if crcs=$(cached_crcs 2>/dev/null) && [ "$crcs" = "$(cat "$cache/.checked" 2>/dev/null)" ]; then
    return
  fi
  for name in "${names[@]}"; do
    path=$(path_of "$cache" "$name") || continue
    is_intact "$path" "$name" || { damaged[$name]=$path; say "$path is damaged"; }
  done
  [ -n "$crcs" ] && [ ${#damaged[@]} = 0 ] && keep_crcs
}
keep_crcs() { { cached_crcs >"$cache/.checked"; } 2>/dev/null || true; }

# Sets $folder to the one that holds MNIST already; fails when there is none.
find_mnist() {
  folder=${MIXGRAD_DATA:-}/mnist
  if [ -n "${MIXGRAD_DATA:-}" ] && ! [ "$folder" -ef "$cache" ]; then
    ! has_mnist "$folder" || return 0
    say "MIXGRAD_DATA: no MNIST in $folder; looking further"
  fi
  folder=$cache
  check_cache
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

# give_up <words>: says why a mirror is given up.
give_up() {
  say "$*"
  reached=yes
  return 1
}

# store <file>: moves the downloaded file into the cache, in place of a damaged one.
store() {
  chmod 644 "$part" && mv -T "$part" "$cache/$1.gz" && rm -f "$cache/$1"
}

# download_from <mirror>: downloads the missing files; fails at the first that does not arrive whole, with one line
# unless there was no connection at all (curl's codes 5 to 7). Each file is written under another name in the same
# folder, checked, and only then renamed, so that concurrent runs do not interfere.
download_from() {
  local name reason status
  for name in "${names[@]}"; do
    [ -n "${damaged[$name]:-}" ] || ! path_of "$cache" "$name" >/dev/null || continue
    status=0
    reason=$(fetch "$1/$name.gz" "$part") || status=$?
    case $status in
      0) ;;
      5 | 6 | 7) return 1 ;;
      *) give_up "download failed: $1/$name.gz: ${reason:-curl ended with code $status}" || return ;;
    esac
    is_intact "$part" "$name" ||
      give_up "download corrupt: $1/$name.gz: its SHA-256 is not that of MNIST" || return
    reason=$(LC_ALL=C store "$name" 2>&1) || give_up "$cache/$name.gz cannot be written: ${reason##*: }" || return
    unset "damaged[$name]"
  done
}

# The cache is where it should be: not a link to a user's folder, whose files this script must not replace.
owns_cache() { [ "$(cd "$cache" && pwd -P)" = "$(cd "${cache%/*/*}" && pwd -P)/mixgrad/mnist" ]; }

# Fills the cache from the first mirror that delivers; prints the reason when none does. Exit code 1: nothing can be
# downloaded; 2: a mirror was reached, but did not deliver MNIST.
download_mnist() {
  local mirror part reached=no
  [ "$download" = yes ] || { echo "--no-download was given"; return 1; }
  have curl || { echo "curl is missing"; return 1; }
  [ ${#damaged[@]} = 0 ] || owns_cache || { echo "$cache is a link to another folder, whose files are left alone"; return 1; }
  part=$({ mkdir -p "$cache" && mktemp "$cache/.part.XXXXXX"; } 2>/dev/null) ||
    { echo "$cache cannot be written"; return 1; }
  # shellcheck disable=SC2064 # The name as it is now.
  trap "rm -f ${part@Q}" EXIT
  if [ ${#damaged[@]} = 0 ]; then
    say "downloading MNIST (11 MB) into $cache"
  else
    say "downloading damaged and missing files again"
  fi
  for mirror in "${mirrors[@]}"; do
    ! download_from "${mirror%/}" || { keep_crcs; return 0; }
  done
  [ "$reached" = no ] || return 2
  echo "no mirror can be reached"
  return 1
}

# Downloads MNIST, or chooses drawn digits if that is impossible.
download_or_draw() {
  local reason status=0
  reason=$(download_mnist) || status=$?
  case $status in
    0) arguments=(--data "$cache" "${arguments[@]}") ;;
    1)
      say "MNIST not found and $reason: training on drawn digits instead (--synthetic)"
      arguments=(--synthetic "${arguments[@]}")
      ;;
    *) die "MNIST could not be downloaded; try again later, give its folder with --data DIR, or train on drawn digits with --synthetic" ;;
  esac
}

read_options "$@"
if [ "$source" = look ] && find_mnist; then
  arguments=(--data "$folder" "${arguments[@]}")
  source=given
fi
[ "$help" = no ] || show_help

if [ -z "${MIXGRAD_DRY_RUN:-}" ] && { [ "$help" = no ] || [ ! -x "$build/apps/train_mnist" ]; }; then
  [ "$help" = no ] || say "train_mnist, which has the list of options, is built first"
  set_up requirements
  build_tree "$build" train_mnist -- -DMIXGRAD_BUILD_TESTS=OFF -DMIXGRAD_WERROR=OFF
fi
[ "$source" != look ] || download_or_draw

command=("$build/apps/train_mnist" "${arguments[@]}")
if [ -n "${MIXGRAD_DRY_RUN:-}" ]; then
  echo "${command[@]@Q}"
else
  exec "${command[@]}"
fi
