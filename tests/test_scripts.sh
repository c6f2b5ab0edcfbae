#!/usr/bin/env bash
# Tests of apps/train_mnist.sh, train_cifar.sh and mixup_study.sh, cmake/setup.sh and checks.sh: finding and downloading MNIST from a server on 127.0.0.1
# (nothing else is contacted), installing with stand-ins for apt-get and sudo, building a stub project; what is optional.
# Ends with the line "N passed, N failed" (", N skipped" may follow).

# shellcheck disable=SC2016,SC2034 # `all` evaluates the conditions that stand in single quotes.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
work=$(mktemp -d)
server=''
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT

names=(train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte)
no_port=http://127.0.0.1:1 # Nothing listens there.
project="$work/a project"  # with the real scripts, and another MNIST
real_data=${MIXGRAD_DATA:-none}
unset MIXGRAD_DATA MIXGRAD_MNIST_MIRRORS XDG_CACHE_HOME CMAKE_PREFIX_PATH http_proxy https_proxy all_proxy ALL_PROXY
export HOME="$work/no home"

copy_scripts() {
  mkdir -p "$1/apps" "$1/cmake"
  cp "$root/apps/train_mnist.sh" "$1/apps/"
  cp "$root/cmake/setup.sh" "$1/cmake/"
}

# In $work/files the four files, small, packed and not, of which the copied script has the SHA-256.
make_project() {
  local name sum
  copy_scripts "$project"
  mkdir "$work/files"
  for name in "${names[@]}"; do
    seq ${#name} 20000 | sed "s/^/$name/" >"$work/files/$name"
    gzip -k "$work/files/$name"
    sum=$(sha256sum <"$work/files/$name")
    sed -i "s/\[$name\]=[0-9a-f]*/[$name]=${sum%% *}/" "$project/apps/train_mnist.sh"
  done
}

# look [option...]: train_mnist.sh as far as its final command line, with the cache $cache and the mirrors $mirrors.
look() {
  run env MIXGRAD_DRY_RUN=1 XDG_CACHE_HOME="$cache" MIXGRAD_MNIST_MIRRORS="$mirrors" "$project/apps/train_mnist.sh" "$@"
}

new_cache() { cache=$(mktemp -d "$work/cache XXXXXX"); }

# fill_cache [suffix]: a new cache, with the files as they are unpacked, or with .gz.
fill_cache() {
  new_cache
  mkdir -p "$cache/mixgrad/mnist"
  cp "${names[@]/#/$work/files/}" "$cache/mixgrad/mnist/"
  [ -z "${1-}" ] || gzip "$cache"/mixgrad/mnist/*
}

# would_run <arguments...>: the final command line is the application with exactly these.
would_run() {
  local expected=("$project/build/release/apps/train_mnist" "$@")
  [ "$status" = 0 ] && [ "$(cat "$work/out")" = "${expected[*]@Q}" ]
}

said_nothing() { [ ! -s "$work/err" ]; }
said_lines() { [ "$(wc -l <"$work/err")" = "$1" ]; }

# --- Where MNIST is looked for (empty files do, but in the cache: only the application reads them).

make_folder() {
  mkdir -p "$1"
  touch "${names[@]/#/$1/}"
}

test_finding() {
  local mirrors=$no_port data="$work/some data" option
  make_folder "$data/mnist"

  new_cache
  MIXGRAD_DATA=$data look --epochs 2
  check "data: MIXGRAD_DATA/mnist is used" all 'would_run --data "$data/mnist" --epochs 2' said_nothing

  fill_cache
  look
  check "data: the cache is used" all 'would_run --data "$cache/mixgrad/mnist"' said_nothing
  MIXGRAD_DATA=$data look
  check "data: MIXGRAD_DATA comes before the cache" would_run --data "$data/mnist"
  MIXGRAD_DATA=$data look --data "other folder"
  check "data: --data DIR comes first and is passed on as it is" all 'would_run --data "other folder"' said_nothing
  MIXGRAD_DATA=$data look --epochs=3 "--data=other folder"
  check "data: --data=DIR comes first and is passed on as it is" would_run --epochs=3 "--data=other folder"
  MIXGRAD_DATA=$data look --synthetic
  check "data: --synthetic looks for nothing" all 'would_run --synthetic' said_nothing
  MIXGRAD_DATA="$work/none" look
  check "data: a MIXGRAD_DATA without MNIST is named" \
    all 'would_run --data "$cache/mixgrad/mnist"' 'said "$work/none/mnist"'

  local name
  for name in "${names[@]}"; do
    mv "$data/mnist/$name" "$data/mnist/${name/-idx/.idx}"
    mkdir "$data/mnist/$name" # some archives have folders of these names
    MIXGRAD_DATA=$data look
    check "data: ${name/-idx/.idx} is a file of MNIST" all 'would_run --data "$data/mnist"' said_nothing
  done
  rm "$data/mnist/t10k-labels.idx1-ubyte"
  MIXGRAD_DATA=$data look
  check "data: a folder is not a file of MNIST" would_run --data "$cache/mixgrad/mnist"
  touch "$data/mnist/t10k-labels.idx1-ubyte.gz"
  MIXGRAD_DATA=$data look
  check "data: a name with a dot and .gz is a file of MNIST" all 'would_run --data "$data/mnist"' said_nothing
  MIXGRAD_DATA=$'no\nsuch\e[31m' look
  check "data: what a terminal would act on in a file name is not printed" \
    all 'said "no MNIST in no?such?[31m/mnist"' 'said_lines 1'

  new_cache
  look --data "$work/none"
  check "data: a missing --data folder is the application's to report" all 'would_run --data "$work/none"' said_nothing
  look --no-download --seed 1
  check "data: --no-download runs on drawn digits and says so in one line" \
    all 'would_run --synthetic --seed 1' 'said "drawn digits"' 'said_lines 1'

  # Whatever needs no digits neither looks for them nor downloads them, nor says of which it trains.
  new_cache
  look --load weights --predict "a digit.png"
  check "data: --predict needs none" all 'would_run --load weights --predict "a digit.png"' said_nothing
  look --predict=digit.png --load=weights
  check "data: --predict=FILE needs none" all 'would_run --predict=digit.png --load=weights' said_nothing
  look --version
  check "data: --version needs none" all 'would_run --version' said_nothing
  for option in --help -h; do
    look --data "$data" "$option"
    check "data: $option needs none, and says what this script is for" all '[ "$status" = 0 ]' said_nothing \
      'grep -q -- --no-install "$work/out"' '! grep -q -- "set -e" "$work/out"'
  done
}

# --- Downloads.

# The server's folders: good (the bytes), other (a whole archive of something else), cut (the connection ends half-way),
# half (half the archive, announced as whole), recompressed; anything else is 404.
start_server() {
  cat >"$work/server.py" <<'PYTHON'
import gzip, http.server, pathlib, sys
files, port_file = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        folder, _, name = self.path.strip("/").partition("/")
        if folder not in ("good", "other", "cut", "half", "recompressed") or not (files / name).is_file():
            return self.send_error(404)
        body = (files / name).read_bytes()
        if folder == "other":
            body = gzip.compress(b"something else")
        if folder == "recompressed":
            body = gzip.compress(gzip.decompress(body), 1)
        announced = len(body)
        if folder in ("cut", "half"):
            body = body[: len(body) // 2]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if folder == "half" else announced))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
port_file.with_suffix(".new").write_text(str(server.server_port))
port_file.with_suffix(".new").rename(port_file)
server.serve_forever()
PYTHON
  python3 "$work/server.py" "$1" "$work/port" &
  server=$!
  for _ in {1..100}; do
    [ ! -e "$work/port" ] || break
    sleep 0.05
  done
  address=http://127.0.0.1:$(cat "$work/port")
}

cache_is_empty() { [ -z "$(find "$cache" -type f)" ]; }

# The cache holds the four files, and no temporary one.
cache_is_full() {
  [ "$(find "$cache" -type f ! -name .checked | wc -l)" = 4 ] &&
    (cd "$cache/mixgrad/mnist" && ls "${names[@]/%/.gz}" >/dev/null)
}

# draws_from <mirror> <words>: a run that cannot reach the mirror, says the words and ends up with drawn digits.
draws_from() {
  local mirrors=$1
  new_cache
  look --seed 1
  all 'would_run --synthetic --seed 1' "said '$2'" 'said "drawn digits"' cache_is_empty
}

# fails_from <mirror> <words>: a run that is sent something else, says the words and ends without training.
fails_from() {
  local mirrors=$1
  new_cache
  look --seed 1
  all '[ "$status" = 1 ]' '[ ! -s "$work/out" ]' "said '$2'" 'said "could not be downloaded"' cache_is_empty
}

test_failing_downloads() {
  local mirrors
  check "download: without a connection drawn digits serve instead" \
    draws_from "$no_port $no_port" "no mirror can be reached"
  check "download: without a connection one line says so, after the one that announces the download" said_lines 2
  check "download: a missing file is named" fails_from "$address/absent" 404
  check "download: a connection that ends half-way is noticed" fails_from "$address/cut" "download failed"
  check "download: a truncated archive is noticed" fails_from "$address/half" "download corrupt"
  check "download: another content is noticed" fails_from "$address/other" "download corrupt"
  check "download: the next mirror is tried" fails_from "$no_port $address/other/" "$address/other/train"
  check "download: a failing mirror has one line, the end another" said_lines 3

  new_cache
  touch "$cache/mixgrad"
  mirrors=$address/good
  look
  check "download: a cache that cannot be written is named" \
    all 'would_run --synthetic' 'said "cannot be written"' 'said_lines 1'
}

test_good_downloads() {
  local mirrors other
  new_cache
  mirrors=$address/good
  look --seed 1
  check "download: MNIST fills the cache" \
    all 'would_run --data "$cache/mixgrad/mnist" --seed 1' cache_is_full 'said_lines 1'
  mirrors=$no_port
  look
  check "download: a full cache is not downloaded again" all 'would_run --data "$cache/mixgrad/mnist"' said_nothing
  rm "$cache/mixgrad/mnist/${names[1]}.gz"
  mirrors="$address/cut $address/half $address/recompressed"
  look
  check "download: only the missing file is fetched, from the first good mirror, recompressed or not" \
    all 'would_run --data "$cache/mixgrad/mnist"' cache_is_full 'said_lines 3'

  new_cache
  mirrors=$address/good
  MIXGRAD_DRY_RUN=1 XDG_CACHE_HOME=$cache MIXGRAD_MNIST_MIRRORS=$mirrors \
    "$project/apps/train_mnist.sh" >/dev/null 2>"$work/other" &
  other=$!
  look
  check "download: two at once both succeed" all 'would_run --data "$cache/mixgrad/mnist"' \
    "wait $other || { cat '$work/other' >>'$work/err'; false; }" cache_is_full
}

# --- What is damaged in the cache is said, and downloaded again; nothing outside the cache is touched.

# mends <suffix> <line of bash> [name]: a cache in which the line has damaged $file, which has been looked at before; the file of
# that name is said to be damaged.
mends() {
  local file name=train-images-idx3-ubyte mirrors=$address/good
  fill_cache "$1"
  look
  file=$cache/mixgrad/mnist/$name$1
  eval "$2"
  look
  all 'would_run --data "$cache/mixgrad/mnist"' "said '${3:-$name$1} is damaged'" 'said_lines 2' \
    'cmp -s "$cache/mixgrad/mnist/$name.gz" "$work/files/$name.gz"' '[ ! -e "$cache/mixgrad/mnist/$name" ]' &&
    look && would_run --data "$cache/mixgrad/mnist" && said_nothing
}

# Changes one byte, and neither size nor time.
flip_byte() {
  cp -p "$1" "$work/before"
  printf '\377' | dd of="$1" bs=1 seek=5000 conv=notrunc status=none
  touch -r "$work/before" "$1"
}

test_damaged_cache() {
  local suffix mirrors=$no_port folder=$work/elsewhere name=train-images-idx3-ubyte
  for suffix in '' .gz; do
    check "damaged: a file with one other byte${suffix:+, packed}" mends "$suffix" 'flip_byte "$file"'
    check "damaged: a file without its end${suffix:+, packed}" mends "$suffix" 'truncate -s -8 "$file"'
    check "damaged: an empty file${suffix:+, packed}" mends "$suffix" ': >"$file"'
    check "damaged: a file of something else${suffix:+, packed}" mends "$suffix" 'cp "$root/README.md" "$file"'
    check "damaged: a link to another file${suffix:+, packed}, which stays as it is" \
      mends "$suffix" 'ln -sf "$root/README.md" "$file" && cmp -s "$root/README.md" "$file"'
    check "damaged: a cache of which nothing is known yet${suffix:+, packed}" \
      mends "$suffix" 'rm "${file%/*}/.checked" && flip_byte "$file"'
  done
  check "damaged: a plain file beside one that is packed and whole, since the plain one is read" \
    mends '' 'gzip -k "$file" && flip_byte "$file"'
  check "damaged: a file with a dot in its name, as some unpack it" mends '' '
    mv "$file" "${file/-idx/.idx}" && flip_byte "${file/-idx/.idx}"' "${name/-idx/.idx}"
  fill_cache .gz
  : >"$cache/mixgrad/mnist/$name.gz"
  rm "$cache/mixgrad/mnist/t10k-images-idx3-ubyte.gz"
  mirrors=$address/good
  look
  check "damaged: one file, while another is missing" \
    all 'would_run --data "$cache/mixgrad/mnist"' 'said "$name.gz is damaged"' 'said_lines 2' cache_is_full

  fill_cache .gz
  look
  mkdir -p "$work/no gzip"
  printf '#!/bin/sh\nexit 1\n' >"$work/no gzip/gzip"
  chmod +x "$work/no gzip/gzip"
  PATH="$work/no gzip:$PATH" look
  check "damaged: what has been found whole is not unpacked at each start" \
    all 'would_run --data "$cache/mixgrad/mnist"' said_nothing

  flip_byte "$cache/mixgrad/mnist/$name.gz"
  cp -p "$cache/mixgrad/mnist/$name.gz" "$work/flipped"
  for mirrors in $no_port "$address/half"; do
    look
    check "damaged: without another the file stays as it is ($mirrors)" all 'said "$name.gz is damaged"' \
      'cmp -s "$cache/mixgrad/mnist/$name.gz" "$work/flipped"' '! grep -q -- --data "$work/out"'
  done
  mirrors=$address/good
  look --no-download
  check "damaged: --no-download leaves it, and draws digits" \
    all 'would_run --synthetic' 'said "$name.gz is damaged"' 'cmp -s "$cache/mixgrad/mnist/$name.gz" "$work/flipped"'

  cp -r "$cache/mixgrad" "$folder"
  look --data "$folder/mnist"
  check "damaged: --data is the application's to report" \
    all 'would_run --data "$folder/mnist"' said_nothing 'cmp -s "$folder/mnist/$name.gz" "$work/flipped"'
  MIXGRAD_DATA=$folder look
  check "damaged: so is MIXGRAD_DATA" \
    all 'would_run --data "$folder/mnist"' said_nothing 'cmp -s "$folder/mnist/$name.gz" "$work/flipped"'
  new_cache
  ln -s "$folder" "$cache/mixgrad"
  look
  check "damaged: in a cache that is a link to a folder of the user's nothing is replaced" \
    all 'would_run --synthetic' 'said "$name.gz is damaged"' 'said "link to another folder"' \
    'cmp -s "$folder/mnist/$name.gz" "$work/flipped"'

  new_cache
  if [ -e "$real_data/mnist/$name.gz" ]; then
    mkdir -p "$cache/mixgrad"
    ln -s "$real_data/mnist" "$cache/mixgrad/mnist"
    run env MIXGRAD_DRY_RUN=1 XDG_CACHE_HOME="$cache" MIXGRAD_MNIST_MIRRORS="$no_port" "$root/apps/train_mnist.sh"
    check "damaged: the real MNIST is not" all said_nothing 'grep -qF "$cache/mixgrad/mnist" "$work/out"'
  else
    skip "the SHA-256 of the real files" "needs MNIST in \$MIXGRAD_DATA/mnist"
  fi
}

test_downloads() {
  if ! have python3 || ! have curl; then
    skip "downloads" "needs python3 and curl"
  else
    start_server "$work/files"
    test_failing_downloads
    test_good_downloads
    test_damaged_cache
  fi
}

# --- Set-up: a folder $tools with the system's basic commands and nothing else stands for a bare machine.

make_bare_machine() {
  local tool
  tools=$work/tools
  mkdir -p "$tools"
  for tool in bash env dirname basename cat sed sort grep head tail mktemp rm mkdir id nproc flock printf; do
    ! have "$tool" || ln -sf "$(command -v "$tool")" "$tools/$tool"
  done
}

# stand_in <command> <line of bash>
stand_in() {
  rm -f "$tools/$1" # It may be a link to the system's own command.
  printf '#!%s\n%s\n' "$(command -v bash)" "$2" >"$tools/$1"
  chmod +x "$tools/$1"
}

on_bare_machine() { run env -u CXX PATH="$tools" "$root/apps/train_mnist.sh" --synthetic "$@"; }

test_setup() {
  local tools log="$work/apt.log"
  make_bare_machine
  on_bare_machine
  check "set-up: without apt-get, one line names the packages" \
    all '[ "$status" != 0 ]' 'said "g++ cmake ninja-build"' 'said "apt-get is not available"' 'said_lines 1'
  check "set-up: gnuplot is not needed without --out" all '! said gnuplot'

  stand_in apt-get "echo \"\$DEBIAN_FRONTEND \$*\" >>'$log'"
  on_bare_machine --no-install
  check "set-up: --no-install installs nothing; one line names the packages" \
    all '[ "$status" != 0 ]' 'said "g++ cmake ninja-build"' 'said "--no-install"' 'said_lines 1' '[ ! -e "$log" ]'

  stand_in id 'echo 1000'
  on_bare_machine
  check "set-up: neither root nor sudo, one line names the packages" \
    all '[ "$status" != 0 ]' 'said "sudo is not available"' 'said_lines 1' '[ ! -e "$log" ]'

  stand_in sudo "echo sudo >>'$log'; exec \"\$@\""
  on_bare_machine --out somewhere
  check "set-up: sudo serves one who is not root" grep -qx sudo "$log"
  check "set-up: package lists are fetched first" all '[ "$(grep -c "^noninteractive.* update$" "$log")" = 1 ]'
  check "set-up: packages are installed without recommended ones" \
    grep -q '^noninteractive.* install --no-install-recommends g++ cmake ninja-build' "$log"
  check "set-up: gnuplot is wanted with --out" grep -q gnuplot-nox "$log"
  check "set-up: what stays missing after the installation ends the run" \
    all '[ "$status" != 0 ]' 'said "missing: g++ cmake"' 'said "installation failed"'

  run bash -c \
    'source "$0"; install=no; list() { want zlib1g-dev false; need bash true; }; set_up list' "$root/cmake/setup.sh"
  check "set-up: continues without what is only wanted, and says so" \
    all '[ "$status" = 0 ]' 'said "continuing without zlib1g-dev"' 'said_lines 1'
}

# --- CIFAR-10, which the application itself looks for: the script installs what a download needs, where there may be one.

# wants_download <command...>: a package for that is installed; its headers are where only a compiler finds them.
wants_download() {
  rm -f "$work/apt.log"
  run env -u CXX PATH="$tools" "$@"
  grep -q libcurl4-openssl-dev "$work/apt.log"
}

test_cifar() {
  local tools script=$root/apps/train_cifar.sh cache=$work/cifar
  run env MIXGRAD_DRY_RUN=1 "$script" --no-install --epochs 2 --out "a b" ''
  check "cifar: the application gets its arguments as they are"     [ "$(cat "$work/out")" = "'$root/build/release/apps/train_cifar' '--epochs' '2' '--out' 'a b' ''" ]
  make_bare_machine
  stand_in apt-get "echo \"\$*\" >>'$work/apt.log'"
  mkdir -p "$cache/cifar10" "$cache/mixgrad/cifar-10-binary"
  check "cifar: what a download needs is installed" wants_download "$script"
  check "cifar: not with --data" all '! wants_download "$script" --data somewhere' 'grep -q g++ "$work/apt.log"'
  check "cifar: not with --no-download" all '! wants_download "$script" --no-download'
  check "cifar: not where MIXGRAD_DATA has it" all '! wants_download MIXGRAD_DATA="$cache" "$script"'
  check "cifar: not where the cache has it" all '! wants_download XDG_CACHE_HOME="$cache" "$script"'
}

# --- mixup_study.sh finds MNIST as train_mnist.sh does.

test_study() {
  local copy=$project/apps/mixup_study.sh
  cp "$root/apps/mixup_study.sh" "$copy"
  would_study() {
    local expected=("$project/build/release/apps/mixup_study" "$@")
    [ "$status" = 0 ] && [ "$(cat "$work/out")" = "${expected[*]@Q}" ]
  }
  study() {
    run env MIXGRAD_DRY_RUN=1 XDG_CACHE_HOME="$cache" MIXGRAD_MNIST_MIRRORS="$no_port" "$copy" "$@"
  }
  fill_cache
  study --only dedupe --out "a b"
  check "study: MNIST is found, and the application gets its arguments as they are" \
    would_study --only dedupe --out "a b" --data "$cache/mixgrad/mnist"
  study --synthetic --quick
  check "study: nothing is looked for with --synthetic" all 'would_study --synthetic --quick' said_nothing
  new_cache
  study --no-download --quick
  check "study: without MNIST, drawn digits, and it says so" all 'would_study --quick --synthetic' 'said "drawn digits"'
}

# --- Long commands show progress; errors are one line of the script's own.

test_lines() {
  local script
  for script in apps/train_mnist.sh apps/train_cifar.sh apps/mixup_study.sh tests/run.sh tests/run_gpu.sh tests/fuzz/run.sh tests/bench/gpu.sh tests/bench/vs_torch.sh; do
    run env MIXGRAD_DRY_RUN=1 "$root/$script" --help
    check "help: $script prints how it is called, and does nothing else" \
      all '[ "$status" = 0 ]' 'grep -q "^  $script" "$work/out"' said_nothing
  done
  run bash -c 'source "$0"; sleep() { command sleep 0.01; }
    slow() { echo "step 3"; for _ in {1..200}; do [ -s "$2" ] && break; command sleep 0.05; done; return 5; }
    watched "$1" slow - "$2"' "$root/cmake/setup.sh" "$work/log" "$work/err"
  check "lines: what takes long shows how far it has come" all '[ "$status" = 5 ]' 'said "mixgrad: 15 s: step 3"'
  run bash -c 'source "$0"; watched "$1" true' "$root/cmake/setup.sh" "$work/log"
  check "lines: what is quick says nothing" all '[ "$status" = 0 ]' said_nothing
}

# --- From clone to application: a stub project with the real scripts, in a folder with a space.

make_stub_project() {
  copy_scripts "$1"
  cat >"$1/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(stub LANGUAGES CXX)
add_executable(train_mnist stub.cpp)
set_target_properties(train_mnist PROPERTIES RUNTIME_OUTPUT_DIRECTORY apps)
CMAKE
  cat >"$1/stub.cpp" <<'CPP'
#include <cstdio>
int main(int count, char** arguments) {
    for (int i = 1; i < count; ++i) std::printf("[%s]", arguments[i]);
    return 7;
}
CPP
}

test_building() {
  local stub="$work/a stub"
  make_stub_project "$stub"
  run "$stub/apps/train_mnist.sh" --no-install --help
  check "build: --help says that it builds first" all '[ "$status" = 7 ]' 'said "is built first"'
  run "$stub/apps/train_mnist.sh" --no-install --synthetic "a b" ''
  check "build: the application gets its arguments as they are" [ "$(cat "$work/out")" = "[--synthetic][a b][]" ]
  check "build: the script's exit code is the application's" [ "$status" = 7 ]

  echo "wrong" >>"$stub/stub.cpp"
  run "$stub/apps/train_mnist.sh" --help
  check "build: --help of what is built builds nothing" \
    all '[ "$status" = 7 ]' 'grep -qF "[--help]" "$work/out"' said_nothing
  sed -i '/^wrong$/d' "$stub/stub.cpp"

  mkdir "$work/cut"
  cp -r "$stub/apps" "$stub/cmake" "$work/cut"
  touch "$work/cut/build"
  run "$work/cut/apps/train_mnist.sh" --no-install --synthetic
  check "build: a folder that cannot be written is named, in one line" \
    all '[ "$status" = 1 ]' 'said "error: could not build in $work/cut/build/release: Not a directory"' 'said_lines 1'

  mv "$stub" "$work/moved"
  run "$work/moved/apps/train_mnist.sh" --no-install --synthetic
  check "build: a clone that was moved is built again" [ "$status" = 7 ]

  echo "wrong" >>"$work/moved/stub.cpp"
  run "$work/moved/apps/train_mnist.sh" --no-install --synthetic
  check "build: a compiler error is shown" all '[ "$status" = 1 ]' 'said stub.cpp' 'said "error: could not build"'
}

# --- What is optional: a package more or less changes how its own file is compiled, and no other, since a user who has one
# installed must not wait for the whole library again.

# how_compiled <folder> <cmake option...>: prints how each file is compiled, and what is in those put together of others.
how_compiled() {
  local generator=() # As in cmake/setup.sh.
  ! have ninja || generator=(-G Ninja)
  cmake "${generator[@]}" -S "$root" -B "$1" -DCMAKE_UNITY_BUILD=ON -DMIXGRAD_BUILD_TESTS=OFF -DMIXGRAD_CUDA=OFF "${@:2}" >/dev/null
  { grep '"command"' "$1/compile_commands.json"; cat "$1"/CMakeFiles/mixgrad.dir/Unity/*; } | sed "s,$1,,g" | sort
}

test_optional_packages() {
  how_compiled "$work/with" >"$work/with.txt"
  how_compiled "$work/without" -DCMAKE_DISABLE_FIND_PACKAGE_{ZLIB,CURL,OpenSSL,LibArchive,PNG,JPEG,nlohmann_json}=ON \
    >"$work/without.txt"
  comm -3 "$work/with.txt" "$work/without.txt" >"$work/out"
  check "packages: those that are optional change how their own files are compiled, and no other" all \
    'grep -q "core/pointwise.cpp" "$work/with.txt"' \
    '! grep -qv -e data/download.cpp -e data/archive.cpp -e data/gzip.cpp -e data/png.cpp -e data/jpeg.cpp -e core/safetensors.cpp "$work/out"'
}

# --- Counting.

count() { (passed=0 failed=0 skipped=0; run_suite "$@" >/dev/null; totals) || true; }
log_of_doctest() {
  cat <<'LOG'
tests/a.cpp:3:
TEST CASE:  one

tests/a.cpp:3: MESSAGE: skipped: there is no gzip

tests/b.cpp:4:
TEST CASE:  two, of which both parts are skipped
  a

tests/b.cpp:4: MESSAGE: skipped: this

tests/b.cpp:4:
TEST CASE:  two, of which both parts are skipped
  b

tests/b.cpp:5: MESSAGE: skipped: that

tests/b.cpp:6:
TEST CASE:  three

tests/b.cpp:6: MESSAGE: skipped: this

tests/b.cpp:6: ERROR: CHECK( 1 == 2 ) is NOT correct!

tests/b.cpp:7:
TEST CASE:  four

tests/b.cpp:7: MESSAGE: a note, not skipped: anything

[doctest] test cases:  9 |  8 passed | 1 failed | 4 skipped
LOG
}

test_counting() {
  check "counting: a case that says it is skipped counts as skipped, and one that fails as failed" \
    [ "$(count log_of_doctest)" = "6 passed, 1 failed, 6 skipped" ]
  check "counting: a script's totals" [ "$(count echo "3 passed, 0 failed, 2 skipped")" = "3 passed, 0 failed, 2 skipped" ]
  check "counting: what ends without a test is a failure" [ "$(count true)" = "0 passed, 1 failed" ]
  check "counting: what crashes is a failure" [ "$(count sh -c 'echo 3 passed, 0 failed; exit 139')" = "3 passed, 1 failed" ]
}

touch "$work/out" "$work/err"
make_project
test_finding
test_downloads
test_setup
test_cifar
test_study
test_lines
test_building
test_optional_packages
test_counting

totals
