#!/usr/bin/env bash
# Tests of the command line of train_cifar on small files in CIFAR-10's layout: it learns, and says what is wrong.
# Ends with the line "N passed, N failed".
#
#   tests/test_cifar_app.sh <path of train_cifar>
#
# shellcheck disable=SC2016,SC2034 # `all` evaluates the conditions that stand in single quotes.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"
export LC_ALL=C OMP_NUM_THREADS=1
unset MIXGRAD_DATA http_proxy https_proxy all_proxy ALL_PROXY
[ $# = 1 ] || { echo "usage: $0 <path of train_cifar>" >&2; exit 2; }
app=$(cd "$(dirname "$1")" && pwd -P)/$(basename "$1")
[ -x "$app" ] || { echo "$0: $1 is not a program" >&2; exit 2; }
work=$(mktemp -d)
running=''
trap '[ -z "$running" ] || kill -KILL "$running"; rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache

# record <class> <variant>: a label, and 3,072 bytes that tell the class.
record() {
  # shellcheck disable=SC2059 # The format is the byte.
  printf "\\x0$1"
  seq $((1000 + $1 * 7 + $2)) $((30 + $1 * 17)) 20000 | tr -d '\n' | tr 0-9 '\20-\100' | fold -w 64 | head -n 48 |
    tr -d '\n' | head -c 3072 | dd bs=3072 count=1 iflag=fullblock conv=sync status=none
}

# A folder with 400 images in each of five files, and 200 to validate: four variants of ten classes.
make_cifar() {
  local class variant i
  mkdir -p "$1"
  for variant in 1 2 3 4; do
    for class in {0..9}; do record "$class" "$variant"; done
  done >"$work/forty"
  for i in {1..10}; do cat "$work/forty"; done >"$work/batch"
  for i in {1..5}; do cp "$work/batch" "$1/data_batch_$i.bin"; done
  head -c $((200 * 3073)) "$work/batch" >"$1/test_batch.bin"
}

# A small network without test-time augmentation, unless the arguments say otherwise.
small_run() {
  local small=() given=" $* "
  [[ $given == *" --width "* ]] || small+=(--width 0.07)
  [[ $given == *" --batch-size "* ]] || small+=(--batch-size 200)
  [[ $given == *" --tta "* ]] || small+=(--tta 0)
  run "$app" "${small[@]}" "$@"
}
train() { small_run --data "$work/cifar" "$@"; }
printed() { grep -qE -- "$1" "$work/out"; }
rows() { grep -cE '^[0-9]+ +[0-9]+\.' "$work/out" || true; }
# refused <words> <command line>: ends with one line that has the words, without a table.
refused() {
  small_run "${@:2}"
  all '[ "$status" -gt 0 ]' '[ "$status" -lt 128 ]' '[ "$(wc -l <"$work/err")" = 1 ]' '[ "$(rows)" = 0 ]' && said "$1"
}
is_mistake() { refused "$@" && [ "$status" = 2 ]; }

make_cifar "$work/cifar"

# --- It learns, with each recipe.

# The training loss from epoch to epoch, and the validation loss by a tenth.
falls() {
  awk '
    $1 ~ /^[0-9]+$/ { n = $1; train[n] = $2; valid[n] = $3 }
    END { exit !(n == 3 && train[2] < train[1] && train[3] < train[2] && valid[3] < .9 * valid[1]) }' "$work/out"
}
for recipe in airbench muon fast; do
  train --recipe "$recipe" --epochs 3
  check "$recipe: the loss falls" all '[ "$status" = 0 ]' falls '[ "$(rows)" = 3 ]' 'printed "^seed 42: accuracy 0\.[0-9]{4}, 0:[0-9]{2} of whitening"'
done
train --recipe wrn22 --width 0.17 --batch-size 500 --epochs 0.5
check "wrn22: trains for a part of an epoch, with mixup" all '[ "$status" = 0 ]' '[ "$(rows)" = 1 ]'
train --epochs 2.5 --tta 0.25 --seeds 2 --out "$work/out folder"
check "seeds: mean, deviation and interval" all '[ "$status" = 0 ]' '[ "$(rows)" = 6 ]' \
  'printed "^fast: accuracy +mean 0\.[0-9]+ +sd .* over 2 seeds"' 'printed "95 % interval of the mean accuracy"' \
  'printed "without test-time augmentation"' '[ -s "$work/out folder/metrics.csv" ]'
train --epochs 3 --until 0.01
check "--until: ends with the first epoch that reaches it" all '[ "$status" = 0 ]' '[ "$(rows)" = 1 ]'
train --epochs 1 --until 1 --seed 1
check "--until: not reached" all '[ "$status" = 1 ]' 'printed "1 was not reached"'
train --mixup --alpha 0.3 --epochs 1
check "--mixup: switches label smoothing off, and says so" all '[ "$status" = 0 ]' 'printed "label smoothing of 0.09 is switched off"'
table() { grep -E '^[0-9]+ ' "$work/out" | cut -c-45; } # without the time
train --threads 1 --epochs 1
table >"$work/one"
train --threads 2 --epochs 1
check "the same bits with two threads" all '[ -s "$work/one" ]' '[ "$(table)" = "$(cat "$work/one")" ]'

# --- Recipes in full.

for recipe in airbench muon fast wrn22; do
  run "$app" --recipe "$recipe" --show-recipe
  check "$recipe: shown in full" all '[ "$status" = 0 ]' 'printed "^--epochs"' 'printed "^--tta"' 'printed "lr 0\."'
done
run "$app" --show-recipe --epochs 3 --cutmix
check "--show-recipe: with what replaces its parts" all 'printed "^--epochs +3$"' 'printed "^--cutmix +alpha 1$"' 'printed "^--label-smoothing +0$"'

# --- Resuming.

train --epochs 6 --out "$work/whole"
table >"$work/expected"
# Ctrl-C once a checkpoint is there.
interrupt() {
  env --default-signal=INT "$app" --data "$work/cifar" --width 0.07 --batch-size 200 --tta 0 --epochs 6 \
    --out "$work/part" --checkpoint-every 3 >"$work/out" 2>"$work/err" &
  running=$!
  for _ in {1..400}; do
    [ ! -e "$work/part/fast_42.checkpoint" ] || break
    sleep 0.05
  done
  kill -INT "$running"
  status=0
  wait "$running" || status=$?
  running=''
}
interrupt
if grep -q nlohmann "$work/err"; then
  skip "checkpoints" "this build has none"
else
  check "Ctrl-C: ends with 130, and says how to go on" all '[ "$status" = 130 ]' 'printed "with --resume continues"'
  train --epochs 6 --out "$work/part" --checkpoint-every 3 --resume
  check "--resume: the same rows" all '[ "$status" = 0 ]' '[ -s "$work/expected" ]' '[ "$(table)" = "$(cat "$work/expected")" ]'
  train --epochs 6 --out "$work/part" --resume --until 0.01
  check "--resume --until: a complete training counts" [ "$status" = 0 ]
  mv "$work/part/fast_42.checkpoint" "$work/part/muon_42.checkpoint"
  check "--resume: another recipe's checkpoint" refused "muon_42.checkpoint: was written with" --data "$work/cifar" \
    --recipe muon --epochs 6 --out "$work/part" --resume
fi

# --- Bad input.

damaged() { # damaged <words> <file> <command...>: whose output stands in its place
  rm -rf "$work/damaged"
  cp -r "$work/cifar" "$work/damaged"
  "${@:3}" >"$work/damaged/$2"
  refused "$1" --data "$work/damaged" && said "$2"
}
check "data: a truncated file" damaged "not a multiple of 3073" data_batch_3.bin head -c 10000 "$work/batch"
check "data: a foreign file" damaged "not a multiple of 3073" data_batch_1.bin seq 1000
check "data: an empty file" damaged "has 0 bytes" test_batch.bin true
ten() { printf '\12'; head -c $((2 * 3073 - 1)) "$work/batch"; }
check "data: a label of 10" damaged "label 10" data_batch_2.bin ten
five() {
  rm -rf "$work/five"
  cp -r "$work/cifar" "$work/five"
  rm "$work/five/data_batch_5.bin"
  refused "there is no" --data "$work/five" && said data_batch_5.bin
}
check "data: five of six files" five
check "data: a missing folder" refused "is not a folder" --data "$work/none"
check "data: none, and no download" refused "give its folder with --data" --no-download
check "--width: 0" is_mistake "--width: 0 is not a factor above 0" --data "$work/cifar" --width 0
check "--width: nothing is left" is_mistake "leaves nothing of 64 channels" --data "$work/cifar" --width 0.001
check "--until: above 1" is_mistake "--until: 94 is not an accuracy" --data "$work/cifar" --until 94
check "--recipe: unknown" is_mistake "there is no recipe best" --data "$work/cifar" --recipe best
check "--tta: above 1" is_mistake "--tta: 2 is not a share" --data "$work/cifar" --tta 2
check "--epochs: below 0" is_mistake "--epochs: -1" --data "$work/cifar" --epochs=-1
check "--alpha: without a mix" is_mistake "--alpha: needs --mixup" --data "$work/cifar" --alpha 1
check "--batch-size: more than the images" refused "exceeds the 2000 samples" --data "$work/cifar" --batch-size 3000
check "--resume: without --out" is_mistake "need --out" --data "$work/cifar" --resume
check "an option that does not exist" is_mistake "did you mean --epochs" --data "$work/cifar" --epoch 3

totals
