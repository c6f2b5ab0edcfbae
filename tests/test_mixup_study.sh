#!/usr/bin/env bash
# Tests of mixup_study on drawn digits: what it prints, that no training is lost or done twice, what it refuses.
# Ends with the line "N passed, N failed".
#
#   tests/test_mixup_study.sh <path of mixup_study>
#
# shellcheck disable=SC2016,SC2034 # `all` evaluates the conditions that stand in single quotes.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"
export LC_ALL=C OMP_NUM_THREADS=1
unset MIXGRAD_DATA
[ $# = 1 ] || { echo "usage: $0 <path of mixup_study>" >&2; exit 2; }
app=$(cd "$(dirname "$1")" && pwd -P)/$(basename "$1")
[ -x "$app" ] || { echo "$0: $1 is not a program" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache

study() { run "$app" --synthetic --quick --seeds 2 "$@"; }
printed() { grep -qE -- "$1" "$work/out"; }
trainings() { grep -cE ', seed [0-9]+: accuracy ' "$work/out" || true; }
refused() {
  run "$app" "${@:3}"
  all '[ "$status" = '"$1"' ]' '[ "$(wc -l <"$work/err")" = 1 ]' && said "$2"
}

run "$app" --list
check "--list names experiments and their ways" all '[ "$status" = 0 ]' 'printed "^alpha-3s7s "' \
  'printed "^wrong-labels-80 "' 'printed "^    mixup-0.4 +mixup, alpha 0.4"'

study --only lambda-per --out "$work/one"
check "an experiment is run: two ways, two seeds" all '[ "$status" = 0 ]' '[ "$(trainings)" = 4 ]'
check "its report has a table with differences, intervals and verdicts" all \
  'printed "^### lambda-per: Does a lambda for each sample train faster"' \
  'printed "one lambda per batch .* [+-]0\.[0-9]{4} \+- [0-9]+\.[0-9]{4} .*(no difference seen|helps|hurts|higher|lower)"' \
  'grep -q "### lambda-per" "$work/one/report.md"'
cp "$work/one/results.csv" "$work/whole.csv"
cp "$work/one/report.md" "$work/whole.md"

study --only lambda-per --out "$work/one"
check "what is there is not done again, and the report is the same" all '[ "$status" = 0 ]' '[ "$(trainings)" = 0 ]' \
  'cmp -s "$work/one/report.md" "$work/whole.md"'
study --only lambda-per --out "$work/two"
check "the same seeds give the same results, byte for byte" cmp -s "$work/two/results.csv" "$work/whole.csv"
run "$app" --synthetic --quick --only lambda-per --seeds 3 --out "$work/one"
check "a further seed alone is added" all '[ "$status" = 0 ]' '[ "$(trainings)" = 2 ]' \
  '[ "$(wc -l <"$work/one/results.csv")" = 8 ]'

# Killed in the middle, then run again.
"$app" --synthetic --quick --seeds 2 --only alpha-3s7s --out "$work/killed" >"$work/log" 2>&1 &
while ! [ -e "$work/killed/results.csv" ] || [ "$(wc -l <"$work/killed/results.csv")" -lt 4 ]; do sleep 0.05; done
kill -KILL $!
wait $! 2>"$work/err" || true
lines=$(wc -l <"$work/killed/results.csv")
study --only alpha-3s7s --out "$work/killed"
all_trainings=$(($(wc -l <"$work/killed/results.csv") - 2)) killed_trainings=$(trainings)
study --only alpha-3s7s --out "$work/fresh"
check "killed and run again, it trains only what is left, to the same results" all \
  '[ "$killed_trainings" = $((all_trainings - (lines - 2))) ]' \
  'cmp -s <(sort "$work/killed/results.csv") <(sort "$work/fresh/results.csv")'

check "another kind of run is refused in a folder with results" refused 1 "results of other settings" \
  --synthetic --only lambda-per --seeds 1 --out "$work/one"
echo "not a result" >"$work/two/results.csv"
check "a file that is none of its own is refused, and stays" all \
  'refused 1 "not the results of mixup_study" --synthetic --quick --only dedupe --out "$work/two"' \
  'grep -q "not a result" "$work/two/results.csv"'
mkdir "$work/three"
{ head -n 2 "$work/whole.csv"; echo 'lambda-per,mixup-0.4,0,many'; } >"$work/three/results.csv"
check "a damaged line is named" refused 1 "results.csv: line 3 has 4 columns" --synthetic --quick --only lambda-per \
  --out "$work/three"
check "an experiment that does not exist" refused 1 "no experiment begins with beta" --only beta
check "an unknown option" refused 2 "--sedes" --sedes 3
check "seeds of 0" refused 2 "--seeds" --seeds 0
: >"$work/file"
check "a folder that cannot be made" refused 1 "$work/file" --synthetic --quick --only dedupe --out "$work/file/results"

totals
