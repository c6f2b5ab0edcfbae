#!/usr/bin/env bash
# Tests of mixgrad as a library: the program of README.md built outside the tree, through find_package and through
# add_subdirectory; the installed headers; the code that the READMEs quote.
# Ends with the line "N passed, N failed" (", N skipped" may follow).
#
#   tests/test_library.sh <build folder>    of the whole project; its objects are used again
#
# shellcheck disable=SC1003,SC2015,SC2016 # `all` evaluates the conditions that stand in single quotes.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"
# shellcheck source-path=SCRIPTDIR source=small_mnist.sh
source "$(dirname "${BASH_SOURCE[0]}")/small_mnist.sh"
export LC_ALL=C OMP_NUM_THREADS=1
[ $# = 1 ] && [ -e "$1/CMakeCache.txt" ] || { echo "usage: $0 <build folder>" >&2; exit 2; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
build=$(cd "$1" && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
headers=$work/prefix/include/mixgrad

cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
compiler=$(cached CMAKE_CXX_COMPILER)

# --- A program of a user's, in a folder with a space.

# make_program <folder> <line of CMake that brings mixgrad>
make_program() {
  mkdir -p "$1"
  cp -r "$work/mnist" "$1/mnist"
  sed -n '/^```cpp$/,/^```$/p' "$root/README.md" | sed '/^```/d' >"$1/program.cpp"
  cat >"$1/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.22)
project(program LANGUAGES CXX)
$2
add_executable(program program.cpp)
target_link_libraries(program mixgrad::mixgrad)
add_library(plugin MODULE program.cpp)
target_link_libraries(plugin mixgrad::mixgrad)
CMAKE
}

# try <folder> <cmake option...>: configures, builds and runs the program.
try() {
  run cmake -S "$1" -B "$1/build" -G "$(cached CMAKE_GENERATOR)" -DCMAKE_CXX_COMPILER="$compiler" "${@:2}" &&
    [ "$status" = 0 ] && run cmake --build "$1/build" && [ "$status" = 0 ] &&
    run env -C "$1" ./build/program && [ "$status" = 0 ]
}

# Stands before the compiler: an object of the library is the one that the build folder has.
make_launcher() {
  cat >"$work/launcher" <<BASH
#!$(command -v bash)
before=''
for argument; do
  object="$build/CMakeFiles/mixgrad.dir/\${argument#*mixgrad.dir/}"
  if [ "\$before" = -o ] && [ -e "\$object" ]; then
    : >"\$argument.d"
    exec cp "\$object" "\$argument"
  fi
  before=\$argument
done
exec "\$@"
BASH
  chmod +x "$work/launcher"
}

test_programs() {
  make_mnist "$work/mnist" 64 32
  run cmake --install "$build" --prefix "$work/prefix"
  check "cmake --install" [ "$status" = 0 ]
  make_program "$work/an installed one" "find_package(mixgrad 0.1 CONFIG REQUIRED)"
  check "README's program, through find_package" try "$work/an installed one" -DCMAKE_PREFIX_PATH="$work/prefix"
  check "the library can be part of a shared object, a plugin" [ -e "$work/an installed one/build/libplugin.so" ]
  check "README's program prints a line for each epoch" [ "$(grep -cE '^[1-8] ' "$work/out")" = 8 ]
  run env -C / "$work/an installed one/build/program"
  check "README's program says in one line what is wrong" \
    all '[ "$status" = 1 ]' '[ "$(wc -l <"$work/err")" = 1 ]' 'said "mnist is not a folder"'

  make_launcher
  make_program "$work/a subdirectory" "add_subdirectory(\"$root\" mixgrad)"
  check "README's program, through add_subdirectory" \
    try "$work/a subdirectory" -DCMAKE_CXX_COMPILER_LAUNCHER="$work/launcher" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_UNITY_BUILD="$(cached CMAKE_UNITY_BUILD)"
}

# --- Headers.

# In a folder that has no headers of its own.
preprocess() { (cd "$work" && "$compiler" -std=c++20 -fopenmp -I "$headers" "$@" -x c++ -); }

# The headers that a program with mixgrad.h reads are those installed.
umbrella_is_whole() {
  (cd "$headers" && find . -name '*.h' | sed 's,^\./,,' | sort) >"$work/installed"
  preprocess -MM <<<'#include <mixgrad.h>' | tr -s ' \\' '\n' | sed -n "s,^$headers/,,p" | sort >"$work/reached"
  diff "$work/installed" "$work/reached" >"$work/out"
}

# Headers that no .cpp of their name includes first; the others are first in a file that --thread-sanitizer compiles by
# itself.
untried_headers() {
  local header source
  while read -r header; do
    source=$root/${header%.h}.cpp
    [ -e "$source" ] && [ "$(grep -m 1 '^#include' "$source")" = "#include \"$header\"" ] || echo "$header"
  done <"$work/installed"
}

compiles_alone() { run preprocess -fsyntax-only -Wall -Wextra -Werror <<<"#include \"$1\"" && [ "$status" = 0 ]; }

test_headers() {
  local header bad=''
  check "headers: mixgrad.h includes every installed one, and no other" umbrella_is_whole
  for header in $(untried_headers); do
    compiles_alone "$header" || { bad=$header; break; }
  done
  check "headers: each compiles alone${bad:+ ($bad does not)}" [ -z "$bad" ]
}

# --- READMEs. A block of C++ is quoted from a file that is compiled, but for line breaks and comments; a line "..."
# leaves out some.

plain() { sed 's,//.*,,' "$1" | tr -s ' \n' ' '; }

# split <README> <folder>: each part of each block of C++ as a file of its own.
split() {
  mkdir -p "$2"
  awk -v folder="$2" '
    /^```/ { ++part; inside = $0 == "```cpp"; next }
    /^ *\.\.\.$/ { ++part; next }
    inside { print >(folder "/" part) }' "$1"
}

# is_quoted <folder>: each part stands in a source file.
is_quoted() {
  local part text
  for part in "$1"/*; do
    [ -e "$part" ] || continue
    text=$(plain "$part")
    [[ $sources == *"${text# }"* ]] || { cp "$part" "$work/out"; return 1; }
  done
}

test_readmes() {
  local folder sources file
  sources=$(for file in "$root"/{core,nn,data,augment,train}/*.{h,cpp} "$root"/{apps/lesson,tests/*}.cpp; do plain "$file"; done)
  for folder in . core nn data augment train; do
    split "$root/$folder/README.md" "$work/quoted/$folder"
    check "$folder/README.md: its code is in a file that is compiled" is_quoted "$work/quoted/$folder"
  done
}

touch "$work/out" "$work/err"
test_programs
test_headers
test_readmes
totals
