#!/usr/bin/env bash
# Where does mixup begin to help on CIFAR-10? Trains the recipe fast for some numbers of epochs, plain, with label
# smoothing, with mixup and with CutMix, from three seeds each, and prints the table of their accuracies.
#
#   tests/bench/cifar_mixup.sh [--results FILE] [--table] [option of train_cifar...]
#
# --results FILE   a row for each run; what stands in it is not run again, so it may be stopped at any time
#                  (tests/bench/cifar_mixup.csv unless given)
# --table          runs nothing
#
# A quarter of the channels unless --width says otherwise: with --device cuda, --width 1 is the whole network.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
results=$root/tests/bench/cifar_mixup.csv
epochs=(8 24 48) seeds=(1 2 3) kinds=(plain smoothing mixup cutmix)
table=no width=0.25 options=()
while [ $# -gt 0 ]; do
  case $1 in
    --results) results=$2; shift ;;
    --table) table=yes ;;
    --width) width=$2; shift ;;
    *) options+=("$1") ;;
  esac
  shift
done
declare -A of_kind=([plain]="--label-smoothing 0" [smoothing]="--label-smoothing 0.09" [mixup]="--mixup --alpha 0.4"
  [cutmix]="--cutmix")

[ -e "$results" ] || echo "width,epochs,kind,seed,accuracy,accuracy_with_tta,seconds" >"$results"

# train <epochs> <kind> <seed>: appends its row.
train() {
  local log begin=$SECONDS kind_options
  read -ra kind_options <<<"${of_kind[$2]}"
  log=$("$root/apps/train_cifar.sh" --recipe fast --width "$width" "${options[@]}" "${kind_options[@]}" --epochs "$1" \
    --seed "$3")
  log=$(sed -n "s/^seed $3: accuracy \([0-9.]*\) (\([0-9.]*\) without.*/\2,\1/p" <<<"$log")
  [ -n "$log" ] || { echo "no accuracies without and with test-time augmentation were printed" >&2; exit 1; }
  echo "$width,$1,$2,$3,$log,$((SECONDS - begin))" >>"$results"
}

if [ "$table" = no ]; then
  for count in "${epochs[@]}"; do
    for seed in "${seeds[@]}"; do
      for kind in "${kinds[@]}"; do
        grep -q "^$width,$count,$kind,$seed," "$results" || train "$count" "$kind" "$seed"
      done
    done
  done
fi

# Mean and standard deviation of the accuracy, in percent, without and with test-time augmentation.
awk -F, -v width="$width" '
  $1 == width { key = $2 "," $3; n[key]++; s[key] += $5; q[key] += $5 * $5; t[key] += $6; seen[$2] = 1 }
  END {
    split("plain smoothing mixup cutmix", kinds, " ")
    print "| epochs | plain | label smoothing | mixup 0.4 | CutMix |\n|---|---|---|---|---|"
    for (i = 1; i <= 3; ++i) {
      epochs = substr("082448", 2 * i - 1, 2) + 0
      if (!(epochs in seen)) continue
      row = "| " epochs
      for (k = 1; k <= 4; ++k) {
        key = epochs "," kinds[k]
        if (!n[key]) { row = row " | "; continue }
        mean = s[key] / n[key]
        deviation = n[key] > 1 ? sqrt((q[key] - n[key] * mean * mean) / (n[key] - 1) * (q[key] > n[key] * mean * mean)) : 0
        row = row sprintf(" | %.2f +- %.2f (%.2f), n = %d", 100 * mean, 100 * deviation, 100 * t[key] / n[key], n[key])
      }
      print row " |"
    }
  }' "$results"
