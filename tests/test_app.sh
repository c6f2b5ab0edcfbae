#!/usr/bin/env bash
# Tests of the command line of train_mnist on a small stand-in for MNIST: bad input, Ctrl-C, options, --out; and of
# lesson and make_mnist_sample, which are looked for beside it.
# Ends with the line "N passed, N failed" (", N skipped" may follow).
#
#   tests/test_app.sh <path of train_mnist>
#
# shellcheck disable=SC2016,SC2034 # `all` evaluates the conditions that stand in single quotes.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"
# shellcheck source-path=SCRIPTDIR source=small_mnist.sh
source "$(dirname "${BASH_SOURCE[0]}")/small_mnist.sh"
export LC_ALL=C OMP_NUM_THREADS=1
[ $# = 1 ] || { echo "usage: $0 <path of train_mnist>" >&2; exit 2; }
app=$(cd "$(dirname "$1")" && pwd -P)/$(basename "$1")
[ -x "$app" ] || { echo "$0: $1 is not a program" >&2; exit 2; }
work=$(mktemp -d)
running='' checkpoints=no # no: a build without nlohmann-json and xxHash
trap '[ -z "$running" ] || kill -KILL "$running"; rm -rf "$work"' EXIT

train() { run "$app" --data "$work/mnist" "$@"; }
train_on() { run "$app" --data "$@"; }

succeeded() { [ "$status" = 0 ] && [ ! -s "$work/err" ]; }
printed() { grep -qE -- "$1" "$work/out"; }
rows() { grep -cE '^[0-9]+ ' "$work/out" || true; } # of the tables
# is_refusal <words>: an exit code of the program's own, one line with the words, and no training.
is_refusal() {
  all '[ "$status" -gt 0 ]' '[ "$status" -lt 128 ]' '[ "$(wc -l <"$work/err")" = 1 ]' '[ "$(rows)" = 0 ]' &&
    said "$1"
}
refused() { train "${@:2}" && is_refusal "$1"; }
# is_mistake <words> <command line>: a refusal with the exit code of a mistake in the command line, before data is read.
is_mistake() { train_on "$work/none" "${@:2}" && all '[ "$status" = 2 ]' && is_refusal "$1"; }

# --- Bad input.

# damaged <words> <file> <command...>: the output of the command in place of the file is refused. A file name that
# ends in .gz replaces the plain file.
damaged() {
  local bad=$work/damaged
  rm -rf "$bad"
  cp -r "$work/mnist" "$bad"
  rm "$bad/${2%.gz}"
  "${@:3}" >"$bad/$2"
  train_on "$bad" && is_refusal "$1" && said "$2"
}

zipped() { gzip -c "$work/mnist/$1"; }
flipped_gzip() { zipped "$1" | head -c 2000 && printf '\125\252\125' && zipped "$1" | tail -c +2004; }

test_bad_data() {
  local images=train-images-idx3-ubyte labels=train-labels-idx1-ubyte
  mkdir "$work/empty"
  run "$app"
  check "data: none at all" is_refusal --data
  train_on "$work/none"
  check "data: a missing folder" is_refusal "$work/none"
  train_on "$work/empty"
  check "data: an empty folder" is_refusal "$work/empty"
  train_on "$work/mnist/$images"
  check "data: a file for a folder" is_refusal "$images"

  local bad=$'no\nfile\e[31m\xff' name
  train_on "$work/$bad"
  check "text from outside: a folder's name is printed without what a terminal would act on" \
    is_refusal "$work/no?file?[31m? is not a folder"
  run "$app" "--frob$bad"
  check "text from outside: an unknown option" is_refusal "--frobno?file?[31m?"
  train --digits "3,$bad"
  check "text from outside: a value" is_refusal "no?file?[31m?"
  train --load "$work/$bad"
  check "text from outside: a file of weights" is_refusal "no?file?[31m?"
  train --no-mixup --epochs 0 --out "$work/$bad"
  check "text from outside: what is written" all succeeded 'printed "^wrote .*/no.file.\[31m./metrics.csv$"'

  cp -r "$work/mnist" "$work/dotted"
  for name in {train,t10k}-images-idx3-ubyte {train,t10k}-labels-idx1-ubyte; do
    mv "$work/dotted/$name" "$work/dotted/${name/-idx/.idx}"
  done
  train_on "$work/dotted" --no-mixup --epochs 1
  check "data: files are found as unpackers name them, with a dot" all succeeded '[ "$(rows)" = 1 ]'

  check "data: images truncated" damaged truncated "$images" head -c 5000 "$work/mnist/$images"
  check "data: labels too long" damaged longer "$labels" cat "$work/mnist/$labels" "$work/mnist/$labels"
  check "data: an empty file" damaged "not an IDX file" "$images" true
  check "data: not an IDX file" damaged "not an IDX file" "$images" seq 1000
  check "data: labels for images" damaged "1 axes, expected 3" "$images" cat "$work/mnist/$labels"
  check "data: images for labels" damaged "3 axes, expected 1" "$labels" cat "$work/mnist/$images"
  check "data: counts that differ" damaged "256 images" "$labels" labels 127
  check "data: counts that differ in validation" damaged "64 images" t10k-labels-idx1-ubyte labels 33
  check "data: a label out of range" damaged "label 12" "$labels" eval "labels 128 | tr '\\7' '\\14'"
  cp -r "$work/mnist" "$work/threes_only"
  labels 128 | tr '\7' '\3' >"$work/threes_only/$labels"
  train_on "$work/threes_only"
  check "data: labels that lack a digit" is_refusal "256 training images shows the digit 7"
  check "data: a header that claims 10^18 elements" damaged truncated "$images" header 1000000 1000000 1000000
  check "data: a header that claims 2^96 elements" damaged elements "$images" header 4294967295 4294967295 4294967295
  if ! have gzip; then
    skip "damaged .gz files" "needs gzip"
  elif damaged "built without zlib" "$images.gz" zipped "$images"; then
    skip "damaged .gz files" "needs a build with zlib"
  else
    check "data: a .gz is read" all succeeded '[ "$(rows)" = 16 ]'
    check "data: gzip truncated in its header" damaged "" "$images.gz" eval 'zipped "$images" | head -c 3'
    check "data: gzip truncated" damaged truncated "$images.gz" eval 'zipped "$images" | head -c 4000'
    check "data: gzip damaged" damaged gzip "$images.gz" flipped_gzip "$images"
    check "data: a gzipped header that claims 10^18 elements" \
      damaged truncated "$images.gz" eval 'header 1000000 1000000 1000000 | gzip'
  fi
}

test_bad_options() {
  check "options: an unknown one" refused --frobnicate --frobnicate
  check "options: --batch-size 0" refused --batch-size --batch-size 0
  check "options: --batch-size -1" refused --batch-size --batch-size -1
  check "options: --batch-size 99999999999999999999" refused --batch-size --batch-size 99999999999999999999
  check "options: a batch larger than the data" refused "batch size 100000000" --batch-size 100000000
  check "options: --batch-size 1.5" refused --batch-size --batch-size 1.5
  check "options: --alpha -1" refused alpha --alpha -1
  check "options: --alpha nan" refused alpha --alpha nan
  check "options: --alpha inf" refused alpha --alpha inf
  check "options: --alpha 1e300" refused alpha --alpha 1e300
  check "options: --lr nan" refused "learning rate" --lr nan
  check "options: --lr -1" refused "learning rate" --lr -1
  check "options: --epochs -1" refused --epochs --epochs -1
  check "options: one digit" refused digits --digits 3
  check "options: a digit twice" refused "digit 3" --digits 3,3
  check "options: digits that are not" refused "'x' is not a digit" --digits 3,x
  check "options: digit 11" refused "11" --digits 11
  check "options: no digits" refused digits --digits ""
  check "options: digits of which there are no images" refused "digit" --digits 1,2
  check "options: --seed -1" refused --seed --seed -1
  check "options: --seed 2^64" refused --seed --seed 18446744073709551616
  train --seed 18446744073709551615 --epochs 0 --no-mixup
  check "options: the largest seed is 2^64 - 1" all succeeded 'printed "seed 18446744073709551615$"'
  check "options: --seeds 0" refused --seeds --seeds 0
  check "options: --threads 0" refused --threads --threads 0
  check "options: --mixup with --no-mixup" refused --no-mixup --mixup --no-mixup
  check "options: --batch-mean-lambda without stacked targets" \
    refused batch-mean --batch-mean-lambda --no-stack-y
  local option
  for option in --save=w --epochs=3 --lr=1 --one-cycle --seeds=2 --compare --profile --train-accuracy; do
    check "options: --lr-find has no use for ${option%=*}" refused "${option%=*}" --lr-find "$option"
  done
  for option in --lr-find --epochs=3 --save=w --mixup --alpha=1 --no-stack-y --seed=1 --out=o; do
    check "options: --predict has no use for ${option%=*}" refused --predict --load w --predict p "$option"
  done
  run "$app" --help
  check "options: --help lists them" all succeeded 'printed --per-batch-lambda'
}

test_bad_values() {
  local option
  for option in --save --out --load --predict; do
    check "options: $option with an empty value, as of a variable that is not set" \
      is_mistake "$option: is empty" "$option" ""
    check "options: $option= with no value does not take the option that follows for it" \
      is_mistake "$option: is empty" "$option=" --epochs 0
    check "options: $option= with no value does not take the word that follows for it" \
      is_mistake "$option: is empty" "$option=" word
    check "options: $option does not take the option that follows for its value" \
      is_mistake "$option: needs a value" "$option" --mixup
    check "options: $option at the end needs a value" is_mistake "$option: needs a value" "$option"
  done
  for option in "" =; do
    run "$app" --epochs 0 "--data$option" ""
    check "options: --data$option with an empty value" all 'is_refusal "--data: is empty"' '[ "$status" = 2 ]'
  done
  for option in --epochs --batch-size --seed --seeds --threads --checkpoint-every; do
    check "options: $option takes no fraction" is_mistake "$option: '1.5' is not a whole number" "$option" 1.5
    check "options: $option takes no empty value" is_mistake "$option: '' is not a whole number" "$option" ""
    check "options: $option takes no word" is_mistake "$option: 'many' is not a whole number" "$option" many
    check "options: $option takes no negative number" is_mistake "$option: -1 is not in the range" "$option" -1
    check "options: $option takes no number that is too large" \
      is_mistake "$option: 99999999999999999999 is not in the range" "$option" 99999999999999999999
  done
  for option in --lr --alpha; do
    check "options: $option takes no empty value" is_mistake "$option: '' is not a number" "$option" ""
    check "options: $option takes no number with something behind it" \
      is_mistake "$option: '0,1' is not a number" "$option" 0,1
    check "options: $option takes no number beyond a double" is_mistake "$option: 1e400" "$option" 1e400
  done
  train --seed 010 --epochs 0 --no-mixup
  check "options: a leading zero does not make a number octal" all succeeded 'printed "seed 10$"'

  check "options: the one that is meant is suggested" \
    is_mistake "--epoch: unknown option; did you mean --epochs?" --epoch 3
  check "options: also for the beginning of one" is_mistake "did you mean --checkpoint-every?" --checkpoint 3
  check "options: also for another sign" is_mistake "did you mean --batch-size?" --batch_size=3
  check "options: none is suggested for what resembles none" \
    all 'is_mistake "--learning-rate" --learning-rate 1' '! said mean'
  check "options: an argument without an option is named" is_mistake "'word' is not the value of any option" word
  check "options: one that is given twice" is_mistake "--epochs: is given twice" --epochs 1 --epochs=2
  check "options: one that takes no value is given none" is_mistake "--mixup: takes no value" --mixup=no
  check "options: a seed beyond the largest" is_mistake "--seeds: " --seed 18446744073709551615 --seeds 2
  for option in --alpha=1 --stack-x --no-stack-y --per-batch-lambda --no-dedupe --second-loader --batch-mean-lambda; do
    check "options: --lr-find without --mixup has no use for $option" \
      is_mistake "--lr-find: cannot be used" --lr-find "$option"
    check "options: --no-mixup has no use for $option" is_mistake "--no-mixup excludes" --no-mixup "$option"
  done
  for option in --stack-x --no-stack-y --no-dedupe --batch-mean-lambda --mixup --no-mixup --compare; do
    check "options: --cutmix has no use for $option" is_mistake "excludes" --cutmix "$option"
  done
  check "options: --mixup with --no-mixup says that these exclude each other" \
    is_mistake "--mixup excludes --no-mixup" --no-mixup --mixup
  check "options: --stack-y with --no-stack-y" is_mistake --no-stack-y --stack-y --no-stack-y
  for option in --lr=-1 --lr=nan --alpha=-1 --digits=3 --digits=3,x --digits=3,3 --resume --checkpoint-every=1 \
    --predict=p --model=huge; do
    check "options: $option is a mistake in the command line too: exit code 2" is_mistake "" "$option"
  done
  run "$app" --epochs 0
  check "options: neither --data nor --synthetic: exit code 2" all 'is_refusal --synthetic' '[ "$status" = 2 ]'
  run "$app" --help
  check "options: --help says what the exit codes mean" all succeeded 'printed "^Exit codes: 0 .* 1 .* 2 .* 130 "'
}

# --- Results that cannot be printed.

to_closed() { "$@" >&-; }
to_full() { "$@" >/dev/full; }
# unprintable <words> <to_closed or to_full> <command...>: ends with one line, and exit code 1.
unprintable() {
  status=0
  "$2" timeout 100 "${@:3}" 2>"$work/err" || status=$?
  all '[ "$status" = 1 ]' '[ "$(wc -l <"$work/err")" = 1 ]' && said "results cannot be printed: $1"
}

into_closed_pipe() {
  timeout 100 "$@" 2>"$work/err" | true
  [ "${PIPESTATUS[0]}" = 1 ] && [ "$(wc -l <"$work/err")" = 1 ] && said "results cannot be printed: Broken pipe"
}

test_unprintable() {
  local words i forever=(--data "$work/mnist" --epochs 100000 --no-mixup)
  : >"$work/out"
  check "print: into a pipe that is closed ends training" into_closed_pipe "$app" "${forever[@]}"
  for words in --help "--lr-find --data $work/mnist" "${forever[*]}" "--data $work/mnist --epochs 1"; do
    # shellcheck disable=SC2086 # words
    check "print: to a standard output that is closed: $words" unprintable "Bad file descriptor" to_closed "$app" $words
    [ -e /dev/full ] || continue
    # shellcheck disable=SC2086 # words
    check "print: to a full disk: $words" unprintable "No space left on device" to_full "$app" $words
  done
  check "print: make_mnist_sample to a standard output that is closed" \
    unprintable "Bad file descriptor" to_closed "$(dirname "$app")/make_mnist_sample" --help
  if [ ! -e /proc/self/fd ]; then
    skip "a standard stream that is closed does not become a file of the run" "needs /proc"
    return
  fi
  "$app" "${forever[@]}" --out "$work/closed" >"$work/first" <&- 2>&- &
  running=$!
  for ((i = 0; i < 1000; ++i)); do
    ! grep -q "^1 " "$work/first" || break
    sleep 0.02
  done
  check "print: a standard stream that is closed does not become a file of the run" \
    [ "$(readlink "/proc/$running/fd/0" "/proc/$running/fd/2" | uniq)" = /dev/null ]
  kill -KILL "$running"
  wait "$running" 2>/dev/null || true
  running=''
}

# --- The folder of --out.

test_bad_out() {
  local old
  check "save: below a missing folder, before any training" refused "$work/none" --save "$work/none/weights"
  check "save: a folder, before any training" refused "$work/mnist" --save "$work/mnist"
  touch "$work/file"
  check "out: below a file" refused "$work/file" --out "$work/file/folder"
  check "out: below a file, says why" said "Not a directory"
  check "out: a file, says that it is one" refused "$work/file is a file" --out "$work/file"
  if [ -e /dev/full ]; then
    mkdir "$work/full"
    ln -s /dev/full "$work/full/metrics.csv"
    check "out: a full disk" refused "$work/full/metrics.csv: No space left on device" --out "$work/full"
  fi
  mkdir "$work/old"
  old="the figures of an earlier run"
  echo "$old" >"$work/old/metrics.csv"
  check "out: a refused run leaves earlier results alone (no data)" \
    all 'train_on "$work/none" --out "$work/old"' '[ "$(cat "$work/old/metrics.csv")" = "$old" ]'
  check "out: a refused run leaves earlier results alone (learning rate)" \
    all 'train --lr nan --out "$work/old"' '[ "$(cat "$work/old/metrics.csv")" = "$old" ]'
}

# as_nobody <command...>: without root's way past every permission.
as_nobody() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }
is_denied() { run as_nobody "$app" --epochs 1 "${@:2}" && is_refusal "$1" && said "Permission denied"; }

test_permissions() {
  local images=train-images-idx3-ubyte dir=$work/denied
  chmod 755 "$work"
  if ! as_nobody test -x "$app" 2>/dev/null; then
    skip "files that may not be read or written" "needs setpriv where root runs it"
    return
  fi
  mkdir -p "$dir"
  cp -r "$work/mnist" "$dir/file" && chmod 000 "$dir/file/$images"
  cp -r "$work/mnist" "$dir/data" && chmod 000 "$dir/data"
  mkdir -m 755 "$dir/readable" && chmod 555 "$dir/readable"
  mkdir -m 700 "$dir/out" && chmod 000 "$dir/out"
  check "data: a file that may not be read" is_denied "$dir/file/$images" --data "$dir/file"
  check "data: a folder that may not be read" is_denied "$dir/data/$images" --data "$dir/data"
  check "out: a folder that may not be written" \
    is_denied "$dir/readable/metrics.csv" --data "$work/mnist" --out "$dir/readable"
  check "out: one for --lr-find" all 'run as_nobody "$app" --lr-find --data "$work/mnist" --out "$dir/readable"' \
    'is_refusal "$dir/readable/lr_find.png: cannot be written: Permission denied"'
  check "out: below one that may not be written" \
    is_denied "$dir/readable/new" --data "$work/mnist" --out "$dir/readable/new"
  check "out: a folder that may not be read" is_denied "$dir/out" --data "$work/mnist" --out "$dir/out"
  check "resume: from a folder that may not be read" is_denied "$dir/out" --data "$work/mnist" --out "$dir/out" --resume
  chmod -R u+rwX "$dir"
}

# A folder that holds results already, or another run.
test_old_out() {
  local out=$work/used i
  mkdir "$out"
  touch "$out"/{curves.png,lambda.png,mixed_batch.png,{plain,mixup}_{confusion,top_losses}.png,lr_find.png,mine.png} \
    "$out"/{plain_7.checkpoint,old.safetensors,new.safetensors,lambda.png.part,old.safetensors.tmp-1,mine.tmp-1}
  run env PATH="$work/none" "$app" --data "$work/mnist" --epochs 1 --no-mixup --out "$out"
  check "out: pictures of an earlier run do not stay beside other results" \
    [ "$(cd "$out" && echo *.png)" = "lr_find.png mine.png" ]
  check "out: what else earlier runs left is named" \
    printed "^left in $out by other runs: lr_find.png, new.safetensors, old.safetensors, old.safetensors.tmp-1, plain_7.checkpoint$"
  run "$app" --lr-find --data "$work/mnist" --out "$out"
  check "out: --lr-find leaves the results of training, and names them" \
    all 'printed "^left in .*: .*metrics.csv"' '! printed "^left in .*lr_find"' '[ -s "$out/metrics.csv" ]'

  "$app" --data "$work/mnist" --epochs 100000 --no-mixup --out "$out" >"$work/first" 2>"$work/first_err" &
  running=$!
  for ((i = 0; i < 1000; ++i)); do
    ! grep -q "^2 " "$work/first" || break
    sleep 0.02
  done
  check "out: a second run in one folder at once is refused" \
    refused "another run is writing to $out" --epochs 1 --out "$out"
  check "out: by another name of the folder too, and for --lr-find" \
    refused "another run is writing" --lr-find --out "$out/../used/."
  kill -KILL "$running"
  wait "$running" 2>/dev/null || true
  running=''
  check "out: the first one's results are its own" \
    [ "$(cut -d, -f3 "$out/metrics.csv" | head -n 3 | tr '\n' ' ')" = "epoch 1 2 " ]
  train --epochs 1 --no-mixup --out "$out"
  check "out: one that was killed does not hold its folder" succeeded
}

# --- Ctrl-C. A program that a script starts in the background ignores SIGINT unless env resets it.

start() {
  : >"$work/out" # The child empties it too, but perhaps not before it is looked at.
  env --default-signal=INT "$app" "$@" >"$work/out" 2>"$work/err" &
  running=$!
}

# interrupt_when <command...>: presses Ctrl-C once the command succeeds, or after 20 s.
interrupt_when() {
  local i
  for ((i = 0; i < 1000; ++i)); do
    if "$@" || ! kill -0 "$running" 2>/dev/null; then
      break
    fi
    sleep 0.02
  done
  status=0
  kill -INT "$running" 2>/dev/null || true
  wait "$running" || status=$?
  running=''
}

# Whether the program runs and handles SIGINT, signal 2, by now.
handles_interrupt() {
  local caught
  [ "/proc/$running/exe" -ef "$app" ] || return # It is still bash, or env.
  caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$running/status" 2>/dev/null)
  [ $((0x0$caught & 2)) != 0 ]
}

test_interrupt() {
  local out=$work/interrupted
  if ! env --default-signal=INT true 2>/dev/null || [ ! -e /proc/self/status ]; then
    skip "Ctrl-C" "needs env --default-signal and /proc"
    return
  fi
  echo "earlier weights" >"$work/weights"
  start --data "$work/mnist" --epochs 100000 --out "$out" --save "$work/weights"
  interrupt_when printed '^2 '
  check "Ctrl-C: ends training with code 130" [ "$status" = 130 ]
  check "Ctrl-C: leaves the file of --save alone, and says so" \
    all 'printed "^not written: $work/weights"' '[ "$(cat "$work/weights")" = "earlier weights" ]'
  check "Ctrl-C: the table so far is printed, and no other run is started" \
    all 'printed "^epoch +train_loss"' 'printed "^stopped in epoch"' '! printed "with mixup"' '[ ! -s "$work/err" ]'
  check "Ctrl-C: where no checkpoints are written, it promises none" all '! printed --resume'
  check "Ctrl-C: metrics.csv holds the epochs that were completed" \
    all '[ "$(rows)" -ge 2 ]' '[ "$(tail -n +2 "$out/metrics.csv" | wc -l)" = "$(rows)" ]'

  if [ "$checkpoints" = yes ]; then
    local resumed=(--data "$work/mnist" --epochs 100000 --out "$work/go_on" --checkpoint-every 1 --resume)
    start "${resumed[@]}"
    interrupt_when printed '^2 '
    start "${resumed[@]}"
    interrupt_when printed '^4 '
    check "Ctrl-C: where checkpoints are written, it says how to continue" \
      printed "^the same command with --resume continues"
    check "Ctrl-C: --resume says where it continues, and prints the earlier rows" \
      all '[ "$status" = 130 ]' 'printed "^resumed from .*/plain_42.checkpoint: in epoch [0-9]+ after batch"' \
      'printed "^1 "' 'printed "^2 "'
  fi

  make_mnist "$work/long" 1 5000
  start --data "$work/long" --epochs 1 --batch-size 2 # Training is over at once, validation takes long.
  interrupt_when eval 'handles_interrupt && sleep 0.05'
  check "Ctrl-C: in the last validation it ends the program too" all '[ "$status" = 130 ]' '! printed "with mixup"'
}

# --- What runs print and write.

# columns <list> <folder> [run]: of metrics.csv, of one run or all.
columns() { tail -n +2 "$2/metrics.csv" | grep "^${3-}" | cut -d, -f"$1"; }
# same_columns <list> <folder> <other folder>
same_columns() { [ -n "$(columns "$1" "$2")" ] && [ "$(columns "$1" "$2")" = "$(columns "$1" "$3")" ]; }

test_metrics() {
  local a=$work/a b=$work/b c=$work/c d=$work/d
  train --epochs 3 --out "$a"
  check "out: a run of both kinds succeeds" all succeeded '[ "$(rows)" = 6 ]'
  check "out: metrics.csv has its columns" \
    [ "$(head -n 1 "$a/metrics.csv")" = run,seed,epoch,train_loss,valid_loss,accuracy,seconds,images_per_s ]
  check "out: metrics.csv has a row for each epoch of each run" \
    [ "$(columns 1-3 "$a" | tr '\n' ' ')" = "plain,42,1 plain,42,2 plain,42,3 mixup,42,1 mixup,42,2 mixup,42,3 " ]
  check "out: eight values in a row" \
    [ "$(grep -cE '^(plain|mixup),42,[123](,[0-9]+\.[0-9]{6}){4},[0-9]+$' "$a/metrics.csv")" = 6 ]
  check "out: metrics.csv says what the tables say" \
    [ "$(grep -E '^[0-9]' "$work/out" | tr -s ' ' , | cut -d, -f1-4)" = "$(columns 3-6 "$a")" ]
  check "out: mixup makes a difference" [ "$(columns 4 "$a" plain)" != "$(columns 4 "$a" mixup)" ]
  train --epochs 3 --threads 1 --out "$b/deep/down"
  check "the same seed gives the same results again" same_columns 1-6 "$a" "$b/deep/down"
  train --epochs 3 --threads 2 --out "$c"
  check "the same seed gives the same results on two threads" same_columns 1-6 "$a" "$c"
  train --epochs 3 --seed 43 --out "$c"
  check "another seed gives others" all '! same_columns 4 "$a" "$c"'
  train --epochs 2 --alpha 0 --out "$d"
  check "alpha 0 is plain training, digit for digit" \
    all succeeded '[ -n "$(columns 2-6 "$d" plain)" ]' '[ "$(columns 2-6 "$d" plain)" = "$(columns 2-6 "$d" mixup)" ]'
  train --epochs 3 --train-accuracy --out "$d"
  check "--train-accuracy adds a column, and changes no other" \
    all succeeded '[ "$(grep -cE "^epoch +train_loss +mixed_accuracy +valid_loss +accuracy" "$work/out")" = 2 ]' \
    '[ "$(columns 1-4,6,7 "$d")" = "$(columns 1-6 "$a")" ]' '[ "$(columns 5 "$d" plain)" != "$(columns 5 "$d" mixup)" ]'
  train --epochs 0 --out "$d"
  check "no epochs, no rows" all succeeded '[ "$(rows)" = 0 ]' '[ "$(wc -l <"$d/metrics.csv")" = 1 ]'
  train --cutmix --epochs 1 --second-loader --per-batch-lambda --out "$work/cutmix"
  check "--cutmix runs with CutMix only, and names its run" \
    all succeeded '[ "$(rows)" = 1 ]' 'printed "^with cutmix"' 'grep -q ^cutmix, "$work/cutmix/metrics.csv"'
  train --no-mixup --epochs 1
  check "--no-mixup runs without only" all succeeded '[ "$(rows)" = 1 ]' '! printed "with mixup"'
  train --epochs 1 --mixup
  check "--mixup runs with only" all succeeded '[ "$(rows)" = 1 ]' '! printed "without mixup"'
}

# The mean and the deviation of a column of the last epochs, as --seeds prints them.
statistics() {
  awk -F, -v run="$2" -v epoch="$3" -v column="$4" '
    $1 == run && $3 == epoch { n++; sum += $column; squares += $column * $column }
    END { mean = sum / n; variance = (squares - n * mean * mean) / (n - 1)
          printf "%.4f %.4f", mean, sqrt(variance > 0 ? variance : 0) }' "$1/metrics.csv"
}

# prints_statistics <run> <name> <column>: to within one in the fourth place.
prints_statistics() {
  awk -v start="$1: $2 " -v expected="$(statistics "$work/seeds" "$1" 2 "$3")" '
    function far(a, b) { return a - b > 1.01e-4 || b - a > 1.01e-4 }
    BEGIN { split(expected, e, " ") }
    index($0, start) == 1 { ok = $3 == "mean" && $5 == "sd" && !far($4, e[1]) && !far($6, e[2]) && /over 2 seeds$/ }
    END { exit !ok }' "$work/out"
}

test_seeds() {
  local run
  train --epochs 2 --seeds 2 --seed 7 --out "$work/seeds"
  check "seeds: both are trained, with and without mixup" all succeeded '[ "$(rows)" = 8 ]' \
    '[ "$(columns 2 "$work/seeds" | uniq | tr "\n" " ")" = "7 8 7 8 " ]'
  for run in plain mixup; do
    check "seeds: mean and sd of the last epochs, $run" all "prints_statistics $run train_loss 4" \
      "prints_statistics $run valid_loss 5" "prints_statistics $run accuracy 6"
  done
  train --epochs 2 --seed 8 --out "$work/eight"
  check "seeds: a seed of many gives what it gives alone" \
    [ "$(grep ,8, "$work/seeds/metrics.csv" | cut -d, -f1-6)" = "$(columns 1-6 "$work/eight")" ]
}

test_combinations() {
  local flags=(--stack-x --no-stack-y --per-batch-lambda --no-dedupe --second-loader --batch-mean-lambda)
  local set bit chosen wrong='' losses=''
  for ((set = 0; set < 64; ++set)); do
    chosen=()
    for bit in "${!flags[@]}"; do
      ((set >> bit & 1)) && chosen+=("${flags[bit]}")
    done
    train --mixup --epochs 1 "${chosen[@]}"
    if ((set & 2 && set & 32)); then # A mixed target has no lambda left to average.
      is_refusal batch-mean || wrong+="[${chosen[*]}] "
    else
      all succeeded '[ "$(rows)" = 1 ]' '! printed nan' || wrong+="[${chosen[*]}] "
    fi
    # None of the flags, or one of those that change what is trained, not only where it is mixed.
    ((set & (set - 1) || set & 3)) || losses+="$(awk '/^1 / { print $2 }' "$work/out")"$'\n'
  done
  check "options: all 64 combinations of the mixup flags train, or are refused in one line $wrong" [ -z "$wrong" ]
  check "options: every mixup flag that changes what is trained changes the loss" \
    [ "$(sort -u <<<"${losses%$'\n'}" | wc -l)" = 5 ]
}

# --- The picture.

# stand_in <line of sh>: a gnuplot
stand_in() {
  mkdir -p "$work/bin"
  printf '#!/bin/sh\n%s\n' "$1" >"$work/bin/gnuplot"
  chmod +x "$work/bin/gnuplot"
}

draw() { run env PATH="$1" "$app" --data "$work/mnist" --epochs 0 --out "$work/drawn"; }

fails_to_draw() {
  local i
  for i in {1..5}; do # Which of the two is faster is chance.
    draw "$work/bin"
    is_refusal gnuplot || return
  done
}

test_picture() {
  local script=$work/script
  draw "$work/none"
  check "picture: without gnuplot a line says that there is none" \
    all succeeded 'printed "skipped: .*picture.*gnuplot"' '[ ! -e "$work/drawn/mixed_batch.png" ]'
  stand_in "/bin/cat >'$script'; printf 'IEND\256B\140\202' >'$work/drawn/mixed_batch.png.part'"
  draw "$work/bin"
  check "picture: twelve captions, whose shares are of three digits and add up to one" all succeeded \
    '[ "$(grep -cE "set title .[01]\.[0-9]{3} (three|seven) \+ [01]\.[0-9]{3} (three|seven)" "$script")" = 12 ]' \
    'tr -d "'\''" <"$script" | awk "/set title [01]/ && (\$3 + \$6 < 0.9995 || \$3 + \$6 > 1.0005) { exit 1 }"'
  mv "$script" "$script.own"
  run env PATH="$work/bin" "$app" --data "$work/mnist" --epochs 0 --second-loader --out "$work/drawn"
  check "picture: the mixed batch has its partners from the second loader where there is one" \
    all succeeded 'grep -q "^plot" "$script"' '! cmp -s "$script" "$script.own"'
  stand_in "/bin/cat >'$script.new'; part=\$(/bin/sed -n \"s/^set output '\(.*\)'/\1/p\" '$script.new')
    /bin/cat '$script.new' >>'$script.all'; printf 'IEND\256B\140\202' >\"\$part\""
  run env PATH="$work/bin" "$app" --data "$work/mnist" --epochs 1 --lr 0 --no-mixup --out "$work/drawn"
  check "picture: of the most wrong images each is a mistake" all succeeded \
    'grep -qE "(three|seven) \((< 0\.01|0\.[0-9]{2})\), read as (three|seven) \((0\.[0-9]{2}|> 0\.99)\)" "$script.all"' \
    '! grep -E "three .*read as three|seven .*read as seven" "$script.all"'
  check "picture: the sheet of the most wrong images says of which run it is" \
    grep -q "^set label 1 'plain, digits 3,7, seed 42, 1 epoch: the worst mistakes on the validation set" "$script.all"
  check "picture: the confusion matrix says of which run it is, and how many are right of what" \
    grep -qE "^set title 'plain, digits 3,7, seed 42, 1 epoch: [0-9]+\.[0-9]{2} % right on the validation set'" "$script.all"
  check "picture: the curves say of which run they are" \
    grep -q "^set multiplot layout 1,2 title 'digits 3,7, seed 42'" "$script.all"
  run env PATH="$work/bin" "$app" --synthetic --digits all --seed 5 --alpha 2 --epochs 0 --out "$work/drawn"
  check "picture: the mixed batch says of what digits, seed and alpha it is" \
    grep -q "The first images that mixup trains on: drawn digits 0 to 9, seed 5, alpha = 2'" "$script.all"
  stand_in 'exec <&-; exit 1'
  check "picture: a gnuplot that fails is named, whether or not it reads its input" fails_to_draw
  if have gnuplot; then
    rm -r "$work/drawn"
    train --epochs 1 --lr 0 --out "$work/drawn"
    check "picture: each is announced" \
      [ "$(grep -c '^wrote .*png$' "$work/out")" = "$(find "$work/drawn" -name '*.png' | wc -l)" ]
    check "picture: gnuplot draws a PNG" all succeeded 'head -c 4 "$work/drawn/mixed_batch.png" | grep -q PNG'
  else
    skip "a picture drawn by gnuplot" "needs gnuplot"
  fi
}

# --- The same digits as a tree of PNG files.

sample() { run "$(dirname "$app")/make_mnist_sample" "$@"; }
refuses_sample() { sample "${@:2}" && is_refusal "$1"; }

test_sample() {
  local tree=$work/tree
  check "sample: options are named when missing" all 'refuses_sample --out --data "$work/mnist"' '[ "$status" = 2 ]'
  sample --help
  check "sample: --help is not a mistake" all succeeded 'printed --out'
  check "sample: a folder without MNIST" refuses_sample "$work/none" --data "$work/none" --out "$tree"
  sample --data "$work/mnist" --out "$tree/"
  if said "built without libpng"; then
    skip "a tree of PNG files" "needs a build with libpng"
    return
  fi
  check "sample: MNIST becomes a tree of PNG files" all succeeded 'printed "256 images .* 64 "' \
    '[ "$(cd "$tree" && ls -d */*)" = "$(printf "%s\n" train/3 train/7 valid/3 valid/7)" ]' \
    '[ "$(find "$tree" -name "*.png" | wc -l)" = 320 ]' '[ ! -e "$tree.part" ]'
  train --epochs 2 --out "$work/from_idx"
  train_on "$tree" --epochs 2 --out "$work/from_tree"
  check "sample: training on the tree prints the same table" same_columns 1-6 "$work/from_idx" "$work/from_tree"
  cp -r "$tree" "$work/fastai"
  mv "$work/fastai/train" "$work/fastai/training"
  mv "$work/fastai/valid" "$work/fastai/testing"
  train_on "$work/fastai" --epochs 2 --out "$work/from_fastai"
  check "sample: folders may be called training and testing" same_columns 1-6 "$work/from_idx" "$work/from_fastai"
  rm -r "$work/fastai/testing"
  train_on "$work/fastai"
  check "sample: where one of the two is missing, the names that were looked for are said" \
    is_refusal "contains training/ but no valid/, validation/, val/, test/ or testing/"
  check "sample: a folder that holds something is refused" refuses_sample "$tree" --data "$work/mnist" --out "$tree"
  check "data: a tree of other digits" all 'train_on "$tree" --digits all' 'is_refusal "--digits 0,1,2,3,4,5,6,7,8,9"'
  mkdir "$work/cut.part"
  check "sample: what an interrupted run left is named" \
    refuses_sample "$work/cut.part" --data "$work/mnist" --out "$work/cut"
  echo '{}' >"$tree/train/3/note.json"
  check "data: a tree with a file that is not an image" all 'train_on "$tree"' 'is_refusal "$tree/train/3/note.json"'
}

# --- Weights, checkpoints, other models.

# kill_at_random_moments <times> <option...>: starts training so often and kills it in the midst; each time, the
# checkpoint that is left loads. Most of the moments come before the training is over.
kill_at_random_moments() {
  local i
  for ((i = 0; i < $1; ++i)); do
    "$app" --data "$work/mnist" --out "$work/killed" --checkpoint-every 1 --resume "${@:2}" >"$work/out" 2>"$work/err" &
    running=$!
    sleep "0.0$((RANDOM % 9))$((RANDOM % 10))"
    kill -KILL "$running" 2>/dev/null || true
    wait "$running" 2>/dev/null || true
    running=''
    [ ! -s "$work/err" ] || return
  done
}

test_checkpoints() {
  local file options=(--no-mixup --epochs 40 --one-cycle)
  train "${options[@]}" --save "$work/whole.safetensors"
  if said nlohmann; then
    skip "weights and checkpoints" "needs nlohmann-json and xxHash"
    return
  fi
  cp -r "$work/mnist" "$work/49"
  for file in train-labels-idx1-ubyte t10k-labels-idx1-ubyte; do
    { head -c 8 "$work/mnist/$file" && tail -c +9 "$work/mnist/$file" | tr '\3\7' '\4\11'; } >"$work/49/$file"
  done
  checkpoints=yes
  check "weights: --save writes them" all succeeded '[ -s "$work/whole.safetensors" ]'
  options=(--mixup --epochs 60 --one-cycle)
  train "${options[@]}" --out "$work/uncut" --save "$work/whole.safetensors"
  check "checkpoint: 30 kills at random moments leave one that loads" kill_at_random_moments 30 "${options[@]}"
  train "${options[@]}" --out "$work/killed" --checkpoint-every 7 --resume --save "$work/resumed.safetensors"
  check "checkpoint: killed and resumed so often, training ends with the same bytes" \
    all succeeded 'cmp -s "$work/whole.safetensors" "$work/resumed.safetensors"'
  check "checkpoint: the table on the terminal is whole too" [ "$(rows)" = 60 ]
  check "checkpoint: metrics.csv is whole" same_columns 1-6 "$work/uncut" "$work/killed"
  train "${options[@]}" --out "$work/killed" --resume
  check "checkpoint: resuming a complete training says so, prints its table and trains no more" \
    all succeeded 'printed "mixup_42.checkpoint: already complete$"' '[ "$(rows)" = 60 ]' \
    'same_columns 1-6 "$work/uncut" "$work/killed"'
  mkdir "$work/kept"
  cp "$work/killed/metrics.csv" "$work/kept"
  train "${options[@]}" --seed 42 --batch-size 32 --out "$work/killed" --resume
  check "checkpoint: another batch size is refused" is_refusal "batch_size 64, this training has 32"
  train --mixup --one-cycle --epochs 3 --out "$work/killed" --resume
  check "checkpoint: another number of epochs is refused" is_refusal "--epochs"
  train "${options[@]}" --lr 1 --out "$work/killed" --resume
  check "checkpoint: another learning rate is refused" is_refusal "--lr"
  train "${options[@]}" --alpha 4 --out "$work/killed" --resume
  check "checkpoint: another alpha is refused" is_refusal "mixup_42.checkpoint"
  train "${options[@]}" --synthetic --out "$work/killed" --resume
  check "checkpoint: drawn digits for MNIST are refused" is_refusal "mixup_42.checkpoint"
  cp "$work/killed/mixup_42.checkpoint" "$work/checkpoint"
  head -c 2000 "$work/checkpoint" >"$work/killed/mixup_42.checkpoint"
  train "${options[@]}" --out "$work/killed" --resume
  check "checkpoint: a truncated one is refused" is_refusal "mixup_42.checkpoint"
  check "checkpoint: what is refused leaves metrics.csv alone" same_columns 1-8 "$work/killed" "$work/kept"
  mkdir "$work/other"
  sed 's/LrSchedule: lr 0/LrSchedule: lr 1/' "$work/checkpoint" >"$work/other/mixup_42.checkpoint"
  train "${options[@]}" --out "$work/other" --checkpoint-every 1 --resume
  check "checkpoint: of another schedule it is refused before anything is written to --out" \
    all 'is_refusal "was written with callback 2 LrSchedule: lr 1"' '[ "$(ls "$work/other")" = mixup_42.checkpoint ]'
  tail -c 1000 "$work/checkpoint" | tr '\000-\377' '\001-\377\000' >"$work/tail"
  { head -c -1000 "$work/checkpoint" && cat "$work/tail"; } >"$work/other/mixup_42.checkpoint"
  train "${options[@]}" --out "$work/other" --resume
  check "checkpoint: one that is damaged is refused by its checksum" is_refusal "mixup_42.checkpoint: damaged"
  check "checkpoint: --resume where there is none is refused" \
    all 'refused "no checkpoint" --resume --out "$work/nosuch"' '[ ! -e "$work/nosuch" ]'
  train --resume --checkpoint-every 100 --no-mixup --epochs 1 --out "$work/anew"
  check "checkpoint: --resume where there is to be one says that it starts from the beginning" \
    all succeeded 'printed "^no checkpoint"'
  train --resume --no-mixup --epochs 1 --out "$work/anew"
  check "checkpoint: --resume alone says that it writes no more checkpoints" \
    all succeeded 'printed "^no more checkpoints .*--checkpoint-every$"'
  train --resume --checkpoint-every 100 --no-mixup --epochs 1 --out "$work/anew"
  check "checkpoint: --resume with --checkpoint-every does not" all succeeded '! printed "^no more checkpoints"'
  check "checkpoint: --resume without --out" refused --out --resume
  # What the mix is, as a checkpoint says it: every option has reached it.
  train --mixup --alpha 0.7 --stack-x --per-batch-lambda --no-dedupe --second-loader --batch-mean-lambda --epochs 1 \
    --checkpoint-every 100 --out "$work/mix"
  local mix='mixup: alpha 0.7, one lambda per batch, dedupe off, stack_x on, stack_y on, source second loader'
  mix+=', loss weighted by the batch'
  check "options: each of mixup is that of the training" \
    all succeeded 'grep -aqF "$mix" "$work/mix/mixup_42.checkpoint"'
  train --cutmix --per-batch-lambda --epochs 1 --checkpoint-every 100 --out "$work/mix"
  mix='cutmix: alpha 1, one box per batch, stack_x off, stack_y on, source shuffled self, loss weighted by lambda'
  check "options: each of CutMix is that of the training" \
    all succeeded 'grep -aqF "$mix" "$work/mix/cutmix_42.checkpoint"'
  check "weights: of another model are refused" \
    refused "model is simple, not lenet" --model lenet --load "$work/whole.safetensors"
  train --load "$work/checkpoint"
  check "weights: a training checkpoint is not one, and --load says what it wants" \
    is_refusal "is a training checkpoint (for --resume); --load wants weights that --save wrote"
  train_on "$work/none" --load "$work/nosuch.safetensors" --out "$work/untouched"
  check "weights: a missing file is found before data is read, or --out made" \
    all 'is_refusal "$work/nosuch.safetensors"' '[ ! -e "$work/untouched" ]'
  train_on "$work/49" --digits 4,9 --load "$work/whole.safetensors"
  check "weights: of other digits are refused" is_refusal "classes is 3,7, not 4,9 (--digits)"
  train --digits 7,3 --load "$work/whole.safetensors" --no-mixup --epochs 0
  check "options: the order of --digits does not matter" succeeded
  check "weights: a file without any is refused" refused file --load "$work/file"
  train --mixup --epochs 1 --stack-x --save "$work/stacked.safetensors"
  train --mixup --epochs 1 --load "$work/stacked.safetensors"
  check "weights: those of --stack-x are a plain model's" succeeded
  train --model lenet --no-mixup --epochs 0 --save "$work/lenet.safetensors"
  train --no-mixup --epochs 1 --load "$work/lenet.safetensors" --save "$work/again.safetensors"
  check "weights: --load knows the model and the digits by itself" \
    all succeeded 'grep -q "\"model\":\"lenet\"" "$work/again.safetensors"'
  sed 's/"model":"lenet"/"model":"large"/' "$work/lenet.safetensors" >"$work/large.safetensors"
  check "weights: of an unknown model" refused "unknown model large" --load "$work/large.safetensors"
  check "options: --predict without --load" refused --load --predict "$work/file"
  if [ -d "$work/tree/valid" ]; then
    run "$app" --load "$work/whole.safetensors" --predict "$(find "$work/tree/valid/7" -name '*.png' | head -n 1)"
    check "predict: names a probability for each digit" all succeeded 'printed "^3  0\.[0-9]+$"' 'printed "^7  "'
    train_on "$work/49" --model lenet --digits 4,9 --no-mixup --epochs 0 --save "$work/49.safetensors"
    run "$app" --load "$work/49.safetensors" --predict "$(find "$work/tree/valid/7" -name '*.png' | head -n 1)"
    check "predict: takes model and digits from the file" all succeeded 'printed "^4  "' 'printed "^9  "'
    run "$app" --load "$work/whole.safetensors" --predict "$work/file"
    check "predict: a file that is not an image is named" is_refusal "$work/file"
  fi
}

test_other_runs() {
  local model
  train --lr 1e30 --epochs 3 --out "$work/nan"
  check "a loss that is not finite ends training with an error that names the batch" \
    all '[ "$status" = 1 ]' '[ "$(wc -l <"$work/err")" = 1 ]' 'said "the loss of batch "' '! printed "nan +nan"' \
    '! printed "with mixup"'
  check "a loss that is not finite: the table says where training stopped, the error why" \
    all 'printed "^stopped in epoch 1 after batch"' '! printed "^stopped: "'
  check "a loss that is not finite leaves no picture of what it spoilt" \
    [ -z "$(find "$work/nan" -name '*.png' ! -name mixed_batch.png)" ]
  for model in lenet resnet; do
    train --epochs 1 --no-mixup --model "$model"
    check "model: $model trains" all succeeded '[ "$(rows)" = 1 ]'
  done
  check "options: an unknown model" refused --model --model huge
  train --epochs 1 --no-mixup --profile
  check "profile: lists the convolutions with their GFLOP/s" \
    all succeeded 'printed "^conv2d_backward +[0-9]+ +[0-9.]+ +[0-9.]+% +[0-9.]+$"'
  train --lr-find --out "$work/lr"
  check "lr-find: suggests a rate and trains nothing" all succeeded 'printed "^suggestion: --lr [0-9.e-]+$"'
  check "lr-find: draws the curve into --out, or says why not" \
    printed "^(wrote|skipped: the picture) $work/lr/lr_find.png"
}

# The results of each epoch, without the time.
table() { awk '/^[0-9]+ / { print $1, $2, $3, $4 }' "$work/out"; }

test_lesson() {
  local lesson table
  lesson=$(dirname "$app")/lesson
  run env -C "$work" "$lesson"
  table=$(table)
  check "lesson: prints a row for each of the 8 epochs" all succeeded '[ "$(rows)" = 8 ]'
  train --mixup
  check "lesson: trains as train_mnist --mixup does, digit for digit" all succeeded '[ "$(table)" = "$table" ]'
  run env -C "$work/empty" "$lesson"
  check "lesson: says in one line that MNIST is missing" all 'is_refusal "mnist is not a folder"' '[ "$status" = 1 ]'
}

make_mnist "$work/mnist" 128 32
touch "$work/file"
test_bad_data
test_lesson
test_bad_options
test_bad_values
test_unprintable
test_permissions
test_old_out
test_bad_out
test_metrics
test_seeds
test_combinations
test_picture
test_sample
test_checkpoints
test_other_runs
test_interrupt
run "$app" --synthetic --epochs 1 --no-mixup
check "drawn digits: one epoch tells 3 from 7" all succeeded '[ "$(rows)" = 1 ]' 'printed " 0\.9[0-9]+ +[0-9:]+$"'
drawn=$(awk '$1 == 1 { print $2, $3 }' "$work/out")
train --synthetic --epochs 1 --no-mixup
check "drawn digits: with --data they are for training only" \
  all succeeded '[ "$(awk "\$1 == 1 { print \$2 }" "$work/out")" = "${drawn% *}" ]' '! printed "${drawn#* }"'

totals
