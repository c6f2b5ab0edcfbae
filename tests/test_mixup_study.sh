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
while kill -0 $! && { ! [ -e "$work/killed/results.csv" ] || [ "$(runs "$work/killed/results.csv")" -lt 2 ]; }; do
  sleep 0.05
done
kill -KILL $!
wait $! 2>"$work/err" || true
before=$(runs "$work/killed/results.csv")
study --only alpha-3s7s --out "$work/killed"
killed_trainings=$(trainings)
study --only alpha-3s7s --out "$work/fresh"
check "killed and run again, it trains only what is left, to the same results" all \
  '[ "$killed_trainings" -gt 0 ]' '[ "$killed_trainings" = $(($(runs "$work/killed/results.csv") - before)) ]' \
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
check "an experiment that does not exist" refused 1 "no experiment starts with gamma" --only gamma
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

# Another experiment in the same folder: the report has both.
study --only dedupe --out "$work/two-experiments"
study --only lambda-per --out "$work/two-experiments"
check "the report has all experiments that are there, whichever was run last" \
  [ "$(grep -c "^### " "$work/two-experiments/report.md")" = 2 ]
"$app" --quick --only dedupe --seeds 1 --out "$work/no-data" >"$work/out" 2>&1
check "without MNIST it says so, and so do its results" all 'printed "MNIST not found .* drawn digits instead"' \
  'head -n 1 "$work/no-data/results.csv" | grep -q "Drawn digits"' 'grep -q "Drawn digits" "$work/no-data/report.html"'

# Verdicts from results that are written here: three seeds of two arms, of which the first differs from seed to seed.
# give <how much more accuracy lambda = t has> <how much more loss>
give() {
  local folder=$work/given$((given += 1))
  mkdir "$folder"
  head -n 2 "$work/whole.csv" >"$folder/results.csv"
  paste <(printf '%s\n' 0 1 2) <(printf '%s\n' .90 .95 .85) <(tr ' ' '\n' <<<"$1") <(tr ' ' '\n' <<<"$2") | awk -v OFS=, '{
    print "dedupe,mixup-0.4", $1, "accuracy", $2; print "dedupe,mixup-0.4", $1, "valid_loss", 1 - $2
    print "dedupe,no-dedupe", $1, "accuracy", $2 + $3; print "dedupe,no-dedupe", $1, "valid_loss", 1 - $2 + $4 }' \
    >>"$folder/results.csv"
  run "$app" --synthetic --quick --only dedupe --seeds 3 --out "$folder"
}
card() { sed -n "/id='statement8'/,/<\/article>/p" "$work/given$given/report.html" | grep -qF -- "$1"; }
given=0
give "-.01 -.02 0" "0 0 0"
check "a difference has the paired interval of Student's t: -.01 +- 4.3027 * .01 / sqrt(3)" all \
  'printed "\| lambda = t \| 0.8900 \+- 0.0400 \| -0.0100 \+- 0.0248 \| no difference seen, p 0.451 \|"' \
  'card "no difference seen, p 0.451; the document expects one"' 'card "-0.0100 &plusmn; 0.0248"'
give ".0095 .01 .0105" ".0095 .01 .0105"
check "more accuracy helps, more loss hurts" all 'printed "\+0.0100 \+- 0.0012 \| helps, p 0.002"' \
  'printed "\+0.0100 \+- 0.0012 \| hurts, p 0.002"' 'card "helps, p 0.002, the opposite of what the document says"'
give "-.0105 -.01 -.0095" "-.0105 -.01 -.0095"
check "less accuracy hurts, less loss helps" all 'printed "-0.0100 \+- 0.0012 \| hurts, p 0.002"' \
  'printed "-0.0100 \+- 0.0012 \| helps, p 0.002"' 'card "hurts, p 0.002, as the document says"'
give ".00643 .01 .01357" ".00643 .01 .01357"
check "two p values of .04 are no difference after Holm's correction" \
  [ "$(grep -c "no difference seen, p 0.08" "$work/out")" = 2 ]
give ".0095 .01 .0105" ".00643 .01 .01357"
check "one of .04 beside a small one is one" all 'printed "helps, p 0.002"' 'printed "hurts, p 0.04"'
give ".01 .01 .01" "nan 0 0"
check "three differences that are the same show nothing, nor does one that is not a number" \
  all 'printed "\+0.0100 \+- 0.0000 \| no difference seen, p 0.500"' '! printed "helps|hurts"'

# Everything, quickly.
start=$SECONDS
run "$app" --synthetic --quick --seeds 2 --out "$work/quick" --threads 2
quick_page=$work/quick/report.html
check "all experiments run quickly: in $((SECONDS - start)) s" all '[ "$status" = 0 ]' '[ "$((SECONDS - start))" -lt 120 ]' \
  '[ "$(grep -c "^### " "$work/quick/report.md")" = 23 ]'
check "a mixture is what the formula says, to rounding" grep -qE '^formula,mix,0,formula_error,[0-9.]+e-(1[5-9])$' "$work/quick/results.csv"
check "both forms of the loss have the same gradient; reduced before it is mixed, it has another" all \
  'grep -qE "^two-losses,one-hot,0,gradient_distance,([0-9.]+e-1[5-9]|0)$" "$work/quick/results.csv"' \
  'grep -qE "^two-losses,batch-mean,0,gradient_distance,0\.[0-9]+$" "$work/quick/results.csv"'
check "in a fit all training batches are mixed, no batch of validation, and the loss is restored" all \
  'grep -q "^sample,fit,0,mixed_in_training,1$" "$work/quick/results.csv"' \
  'grep -q "^sample,fit,0,mixed_in_validation,0$" "$work/quick/results.csv"' \
  'grep -q "^sample,fit,0,loss_restored,1$" "$work/quick/results.csv"'
# Arms of an experiment with the same validation loss: none, but for those that are to have it.
same_losses() {
  awk -F, '$4 == "valid_loss" { if (($1, $3, $5) in seen) print $1, seen[$1, $3, $5], $2; seen[$1, $3, $5] = $2 }' \
    "$work/quick/results.csv" | sort -u
}
run same_losses
check "no two arms train alike, but one-hot targets as two losses, and mixup that would be off later" \
  [ "$(cat "$work/out")" = $'one-hot mixup-0.4 one-hot\nrelatives mixup-0.4 off' ]
check "a card says where nothing differs but for rounding" \
  grep -q "<span class='verdict'>equal, as the document says" "$quick_page"
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
