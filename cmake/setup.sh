# Sourced by the scripts: checks for and installs the packages needed on Debian or Ubuntu, and builds a tree.
# A script lists its requirements in a function made of `need` and `want` lines and hands it to `set_up`.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
install=yes # --no-install sets it to no
missing=()  # packages without which nothing works
wanted=()   # packages without which something optional is left out

say() { printf 'mixgrad: %s\n' "${*//[[:cntrl:]]/?}" >&2; } # a file name may have any character
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null; }

# The comment at the top of the script is its help.
show_help() { sed -n '2,/^[^#]\|^$/s/^# \{0,1\}//p' "$0"; }

# offer_help <argument...>: when one of them asks for help, prints it and ends the script.
offer_help() {
  local argument
  for argument; do
    case $argument in -h | --help) show_help; exit ;; esac
  done
}

# need|want <package> <check> [argument...]: the package is listed when its check fails.
need() { "${@:2}" >/dev/null 2>&1 || missing+=("$1"); }
want() { "${@:2}" >/dev/null 2>&1 || wanted+=("$1"); }

# Preprocesses standard input as C++20, with the headers of CMAKE_PREFIX_PATH.
preprocess() {
  local folders compiler
  IFS=: read -ra folders <<<"${CMAKE_PREFIX_PATH:-}"
  folders=("${folders[@]/%//include}")
  read -ra compiler <<<"${CXX:-c++}"
  "${compiler[@]}" -std=c++20 "${folders[@]/#/-I}" -x c++ -E -
}

# Where the compiler finds it, or in MIXGRAD_DEPS (cmake/dependencies.cmake).
has_header() { has_installed_header "$1" || [ -e "${MIXGRAD_DEPS:-/usr/include}/$1" ]; }

has_installed_header() {
  [ -e "/usr/include/$1" ] || preprocess <<<"
    #if !__has_include(<$1>)
    #error missing
    #endif"
}

# g++ from 12, or another compiler with a C++20 library.
has_compiler() {
  preprocess <<<"
    #if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 12
    #error too old
    #endif
    #include <concepts>
    #include <span>"
}

# Prints the clang++ to use where g++ will not do.
find_clang() {
  local name
  for name in clang++ clang++-{14..30}; do
    if have "$name"; then
      echo "$name"
      return
    fi
  done
  return 1
}

# clang_builds <flag...>: whether a program builds, which needs the runtime library that the flags name.
clang_builds() {
  local output status=0
  output=$(mktemp)
  "$(find_clang)" "$@" -x c++ -o "$output" - <<<"int main() {}" || status=$?
  rm -f "$output"
  return "$status"
}

has_cmake() { have cmake && cmake --version | sed -n 's/^cmake version //p' | sed '1i 3.22' | sort -VC; }
# The headers of Eigen, as Debian has them or directly.
has_eigen() { has_header eigen3/Eigen/Core || has_header Eigen/Core; }
has_build_tool() { have ninja || have make; }
has_gpu() { [ -e /dev/nvidiactl ] || [ -e /dev/dxg ]; }
has_certificates() {
  [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/ssl/cert.pem ] || [ -e /etc/pki/tls/certs ]
}

# What the library and its application are built with.
need_to_build() {
  need g++ has_compiler
  need cmake has_cmake
  need ninja-build has_build_tool
  need libeigen3-dev has_eigen
  need libcli11-dev has_header CLI/CLI.hpp
  want zlib1g-dev has_header zlib.h
  want nlohmann-json3-dev has_header nlohmann/json.hpp
  want libxxhash-dev has_header xxhash.h
  want libpng-dev has_header png.h
  want libjpeg-dev has_header jpeglib.h
}

# watched <file> <command...>: the command's output goes to the file. Its last line so far is shown as progress: each
# second on a terminal, else every 15 seconds.
watched() {
  local log=$1 watch status=0
  shift
  show_last_line "$log" >/dev/null 9>&- &
  watch=$!
  "$@" >"$log" 2>&1 || status=$?
  kill "$watch" 2>/dev/null || true
  wait "$watch" 2>/dev/null || true
  [ ! -t 2 ] || printf '\r\033[K' >&2
  return "$status"
}

show_last_line() {
  local second=0 size line
  while sleep 1 2>/dev/null && kill -0 $$ 2>/dev/null; do
    second=$((second + 1))
    line="$second s: $(tail -n 1 "$1" 2>/dev/null | tr -dc '[:print:]')"
    if [ -t 2 ]; then
      size=$(stty size <&2)
      printf '\r%.*s\033[K' "$((${size#* } - 1))" "$line" >&2
    elif ((second % 15 == 0)); then
      say "$line"
    fi
  done
}

# logged <file> <command...>: the command's output goes to the file, and to the user too when it fails.
logged() { watched "$@" || { cat "$1" >&2; return 1; }; }

# Prints why nothing can be installed; fails when something can.
no_install_because() {
  if [ "$install" = no ]; then
    echo "--no-install was given"
  elif ! have apt-get; then
    echo "apt-get is not available"
  elif [ "$(id -u)" != 0 ] && ! have sudo; then
    echo "not root, and sudo is not available"
  else
    return 1
  fi
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# Installs the packages given; apt-get's output is shown only when it fails.
install_packages() {
  local log
  log=$(mktemp)
  say "installing $*"
  as_root env >/dev/null # So that sudo asks for a password before progress is shown.
  if ! watched "$log" apt update || ! watched "$log" apt install --no-install-recommends "$@"; then
    tail -n 5 "$log" >&2
  fi
  rm -f "$log"
}

list_requirements() {
  missing=() wanted=()
  "$1"
}

# set_up <function>: installs what the function's need and want lines find missing. Ends the script, with one line, when
# something needed stays missing; continues without what is only wanted.
set_up() {
  local reason="the installation failed"
  list_requirements "$1"
  [ "${#missing[@]}${#wanted[@]}" != 00 ] || return 0
  if ! reason=$(no_install_because); then
    reason="the installation failed"
    install_packages "${missing[@]}" "${wanted[@]}"
    list_requirements "$1"
  fi
  [ ${#missing[@]} = 0 ] || die "missing: ${missing[*]} (names of Debian packages; $reason)"
  [ ${#wanted[@]} = 0 ] || say "continuing without ${wanted[*]} ($reason)"
}

# configure <dir> <cmake option...>: a tree that another checkout configured, or that is incomplete, is built again from
# scratch. A unity build takes half the time.
configure() {
  local dir=$1 generator=()
  if ! grep -qsxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$dir/CMakeCache.txt"; then
    say "building in $dir"
    rm -rf -- "$dir"
    mkdir -p "$dir"
    ! have ninja || generator=(-G Ninja)
  fi
  logged "$dir/configure.log" cmake -S "$root" -B "$dir" "${generator[@]}" -DCMAKE_UNITY_BUILD=ON "${@:2}"
}

# compile <dir> <target...>: with all cores; on a terminal the builder shows its own progress.
compile() {
  local command=(cmake --build "$1" --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" --target "${@:2}")
  if [ -t 2 ]; then
    "${command[@]}" >&2
  else
    logged "$1/build.log" "${command[@]}"
  fi
}

# build_tree <dir> <target...> -- <cmake option...>: configures and builds, one process at a time per folder.
build_tree() {
  local dir=$1 targets=() reason
  shift
  while [ "$1" != -- ]; do
    targets+=("$1")
    shift
  done
  shift
  reason=$({ mkdir -p "$dir" && touch "$dir.lock" "$dir/configure.log" "$dir/build.log"; } 2>&1) ||
    die "could not build in $dir: ${reason##*: }"
  {
    ! have flock || flock 9
    configure "$dir" "$@" || die "could not configure $dir"
    compile "$dir" "${targets[@]}" || die "could not build ${targets[*]} in $dir"
  } 9>"$dir.lock"
}
