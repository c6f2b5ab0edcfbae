#!/usr/bin/env bash
# Tests of mixup_study on drawn digits: what it prints, that no run is lost or repeated, what it refuses. MIXGRAD_STUDY_PAGE
# is a file that its page is copied to.
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
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
runs() { tail -n +3 "$1" | cut -d, -f1-3 | sort -u | wc -l; }
printed() { grep -qE -- "$1" "$work/out"; }
trainings() { grep -cE ', seed [0-9]+: .* left$' "$work/out" || true; }
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
cp "$work/one/report.html" "$work/whole.html"
check "the times of the trainings stand in a file of their own" all 'grep -q "seconds for each epoch" "$work/one/times.md"' \
  '[ "$(runs "$work/one/times.csv")" = 4 ]' '! grep -q seconds "$work/one/results.csv" "$work/one/report.md"'

study --only lambda-per --out "$work/one"
check "what is there is not done again, and the report is the same" all '[ "$status" = 0 ]' '[ "$(trainings)" = 0 ]' \
  'cmp -s "$work/one/report.md" "$work/whole.md"' 'cmp -s "$work/one/report.html" "$work/whole.html"'
study --only lambda-per --out "$work/two"
check "the same seeds give the same results, byte for byte" cmp -s "$work/two/results.csv" "$work/whole.csv"
run "$app" --synthetic --quick --only lambda-per --seeds 3 --out "$work/one"
check "a further seed alone is added" all '[ "$status" = 0 ]' '[ "$(trainings)" = 2 ]' \
  '[ "$(runs "$work/one/results.csv")" = 6 ]'

# Killed in the middle, then run again.
"$app" --synthetic --quick --seeds 2 --only alpha-3s7s --out "$work/killed" >"$work/log" 2>&1 &
while ! [ -e "$work/killed/results.csv" ] || [ "$(runs "$work/killed/results.csv")" -lt 2 ]; do sleep 0.05; done
kill -KILL $!
wait $! 2>"$work/err" || true
before=$(runs "$work/killed/results.csv")
study --only alpha-3s7s --out "$work/killed"
killed_trainings=$(trainings)
study --only alpha-3s7s --out "$work/fresh"
check "killed and run again, it trains only what is left, to the same results" all \
  '[ "$killed_trainings" = $(($(runs "$work/killed/results.csv") - before)) ]' \
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
check "an experiment that does not exist" refused 1 "no experiment begins with gamma" --only gamma
check "an unknown option" refused 2 "--sedes" --sedes 3
check "seeds of 0" refused 2 "--seeds" --seeds 0
: >"$work/file"
check "a folder that cannot be made" refused 1 "$work/file" --synthetic --quick --only dedupe --out "$work/file/results"

# A disk that is full, by a limit on the size of files: what was there stays.
full_disk() { (trap '' XFSZ; ulimit -f 4; "$app" --synthetic --quick --only dedupe --seeds 9 --out "$work/full"); }
run full_disk
check "a full disk is one line, and what was measured before is kept" all '[ "$status" = 1 ]' \
  'said "results.csv"' '[ "$(wc -l <"$work/err")" = 1 ]' '[ "$(runs "$work/full/results.csv")" -ge 1 ]'
kept=$(runs "$work/full/results.csv")
run "$app" --synthetic --quick --only dedupe --seeds 9 --out "$work/full"
check "and gone on with" all '[ "$status" = 0 ]' '[ "$(trainings)" = $((18 - kept)) ]'

# Verdicts from results that are written here: three seeds of two arms.
# give <accuracies of lambda = t> <losses of lambda = t>: the other's are .98 and .10.
give() {
  local folder=$work/given$((given += 1)) seed accuracies losses
  read -ra accuracies <<<"$1"
  read -ra losses <<<"$2"
  mkdir "$folder"
  {
    head -n 2 "$work/whole.csv"
    for seed in 0 1 2; do
      printf 'dedupe,%s\n' "mixup-0.4,$seed,accuracy,0.98" "mixup-0.4,$seed,valid_loss,0.10" \
        "no-dedupe,$seed,accuracy,${accuracies[seed]}" "no-dedupe,$seed,valid_loss,${losses[seed]}"
    done
  } >"$folder/results.csv"
  run "$app" --synthetic --quick --only dedupe --seeds 3 --out "$folder"
}
given=0
give ".97 .96 .98" ".10 .10 .10"
check "a difference has the paired interval of Student's t: -.01 +- 4.3027 * .01 / sqrt(3)" \
  printed '\| lambda = t \| 0.9700 \+- 0.0100 \| -0.0100 \+- 0.0248 \| no difference seen \|'
give ".9895 .99 .9905" ".1095 .11 .1105"
check "more accuracy helps, more loss hurts" all 'printed "0.9900 .* \+0.0100 .* helps"' 'printed "0.1100 .* \+0.0100 .* hurts"'
give ".9695 .97 .9705" ".0895 .09 .0905"
check "less accuracy hurts, less loss helps" all 'printed "0.9700 .* -0.0100 .* hurts"' 'printed "0.0900 .* -0.0100 .* helps"'
give ".98643 .99 .99357" ".10643 .11 .11357"
check "two p values of .04 are no difference after Holm's correction" all '! printed "helps|hurts"' \
  '[ "$(grep -c "no difference seen" "$work/out")" = 2 ]'
give ".9895 .99 .9905" ".10643 .11 .11357"
check "one of .04 beside a small one is one" all 'printed "helps"' 'printed "hurts"'

# Everything, quickly.
start=$SECONDS
run "$app" --synthetic --quick --seeds 2 --out "$work/quick" --threads 2
quick_page=$work/quick/report.html
check "all experiments run quickly: in $((SECONDS - start)) s" all '[ "$status" = 0 ]' '[ "$((SECONDS - start))" -lt 120 ]' \
  '[ "$(grep -c "^### " "$work/quick/report.md")" -gt 20 ]'
check "a mixture is what the formula says, to rounding" grep -qE '^formula,mix,0,formula_error,[0-9.]+e-(1[5-9])$' "$work/quick/results.csv"
check "both forms of the loss have the same gradient; reduced before it is mixed, it has another" all \
  'grep -qE "^two-losses,one-hot,0,gradient_distance,([0-9.]+e-1[5-9]|0)$" "$work/quick/results.csv"' \
  'grep -qE "^two-losses,batch-mean,0,gradient_distance,0\.[0-9]+$" "$work/quick/results.csv"'
check "in a fit all training batches are mixed, no batch of validation, and the loss is restored" all \
  'grep -q "^sample,fit,0,mixed_in_training,1$" "$work/quick/results.csv"' \
  'grep -q "^sample,fit,0,mixed_in_validation,0$" "$work/quick/results.csv"' \
  'grep -q "^sample,fit,0,loss_restored,1$" "$work/quick/results.csv"'
check "the page has the document's eighteen statements, each with its test" all \
  '[ "$(grep -c "<article" "$quick_page")" = 18 ]' '[ "$(grep -o "Executed by the test" "$quick_page" | wc -l)" = 18 ]'
unknown_tests() {
  local name
  sed -n 's/.*<q>\(.*\)<\/q>.*/\1/p' "$quick_page" | sed "s/&#39;/'/g" | while read -r name; do
    grep -qF -- "\"$name\"" "$root"/tests/*.cpp || echo "no test: $name"
  done
}
run unknown_tests
check "and all these tests exist" '[' ! -s "$work/out" ']'
[ -z "${MIXGRAD_STUDY_PAGE:-}" ] || cp "$quick_page" "$MIXGRAD_STUDY_PAGE"

totals
