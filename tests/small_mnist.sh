# A stand-in for MNIST, of threes that are dark and sevens that are bright; sourced, not run. The caller sets $work, a
# folder for scratch files.
# shellcheck shell=bash disable=SC2154 # The caller sets work.

big_endian() {
  local number byte
  for number; do
    for byte in 24 16 8 0; do
      # shellcheck disable=SC2059 # The format is the byte.
      printf "\\x$(printf %02x $((number >> byte & 255)))"
    done
  done
}

# header <extent...>
header() { printf '%b' "\0\0\010\0$#" && big_endian "$@"; }

# images <pairs>: a three, a seven, a three, ...
images() {
  header $(($1 * 2)) 28 28
  seq 100000 $((100000 + $1 * 131)) | tr -d '\n' | fold -w 784 | head -n "$1" >"$work/threes" || true
  tr 0-9 '\200-\211' <"$work/threes" >"$work/sevens"
  paste -d '\n' "$work/threes" "$work/sevens" | tr -d '\n'
}

labels() {
  header $(($1 * 2))
  seq "$1" | sed 's/.*/37/' | tr -d '\n' | tr 37 '\3\7'
}

# make_mnist <folder> <pairs to train on> <pairs to validate>
make_mnist() {
  mkdir -p "$1"
  images "$2" >"$1/train-images-idx3-ubyte"
  labels "$2" >"$1/train-labels-idx1-ubyte"
  images "$3" >"$1/t10k-images-idx3-ubyte"
  labels "$3" >"$1/t10k-labels-idx1-ubyte"
}
