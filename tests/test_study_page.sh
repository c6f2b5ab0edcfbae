#!/usr/bin/env bash
# Tests of the page that mixup_study writes, in a browser (Chromium without a window): nothing is loaded, no errors, at two
# widths, light and dark, without scripts and in print. Ends with the line "N passed, N failed" (", N skipped" may follow).
#
#   tests/test_study_page.sh <report.html> [<folder for screenshots>]
#
# shellcheck disable=SC2016,SC2034 # `all` evaluates the conditions that stand in single quotes.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=checks.sh
source "$(dirname "${BASH_SOURCE[0]}")/checks.sh"
[ $# = 1 ] || [ $# = 2 ] || { echo "usage: $0 <report.html> [<folder for screenshots>]" >&2; exit 2; }
[ -r "$1" ] || { echo "$0: $1 cannot be read" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
page=$(cd "$(dirname "$1")" && pwd -P)/$(basename "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pictures=$(mkdir -p "${2:-$work}" && cd "${2:-$work}" && pwd -P)

find_browser() {
  local name
  for name in chromium chromium-browser google-chrome; do
    if have "$name"; then
      echo "$name"
      return
    fi
  done
  return 1
}
if ! browser=$(find_browser); then
  skip "the study's page" "needs a browser; package chromium"
  totals
  exit
fi

browse() {
  run timeout 60 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-dev-shm-usage \
    --user-data-dir="$work/profile" --enable-logging=stderr --v=0 --virtual-time-budget=3000 "$@"
}
no_errors() { ! grep -q CONSOLE "$work/err"; }
faults() { sed -n '/<pre id="faults">/,/<\/pre>/p' "$work/out" | sed 's/<[^>]*>//g' | tee "$work/faults"; }
# no_faults <width> <light|dark>
no_faults() { faults >/dev/null; grep -qE "^$1 pixels, $2: [0-9]+ texts, 0 faults$" "$work/faults" || { cp "$work/faults" "$work/out"; return 1; }; }

# framed <page> <width>: a page that shows it so wide, as narrow as a phone, which no window is, and has its faults.
framed() {
  cat <<HTML
<!DOCTYPE html><html lang="en" style="color-scheme: light dark"><title>framed</title><body style="margin: 0">
<iframe src="$1" style="width: $2px; height: 4000px; border: 0"></iframe>
<script>document.querySelector('iframe').onload = event => {
  const faults = event.target.contentDocument?.getElementById('faults');
  if (faults) document.body.append(document.importNode(faults, true));
};</script>
HTML
}

{ cat "$page"; echo "<script>"; cat "$here/page_checks.js"; echo "</script>"; } >"$work/checked.html"
for width in 390 1280; do
  framed "file://$work/checked.html" "$width" >"$work/framed.html"
  for scheme in light dark; do
    setting=(--allow-file-access-from-files)
    [ "$scheme" = light ] || setting+=(--blink-settings=preferredColorScheme=0)
    browse --window-size=1280,900 "${setting[@]}" --dump-dom "file://$work/framed.html"
    check "$width pixels, $scheme: contrast, labels, links and the slider are in order" all '[ "$status" = 0 ]' \
      'no_faults "$width" "$scheme"' no_errors
  done
  framed "file://$page" "$width" >"$work/framed.html"
  browse --window-size="$((width < 500 ? 500 : width)),4000" --allow-file-access-from-files \
    --screenshot="$pictures/page_$width.png" "file://$work/framed.html"
  check "$width pixels: a screenshot is made, without an error on the console" all \
    '[ "$(stat -c %s "$pictures/page_$width.png")" -gt 20000 ]' no_errors
done
# A page whose checks would always pass proves nothing: these faults are found.
sed -e 's/--soft: #565b63/--soft: #c8ccd2/' -e 's/<label for=.lambda.>lambda<.label>//' -e 's/<script>/<script>console.error("planted");/' "$work/checked.html" >"$work/faulty.html"
browse --window-size=1280,900 --dump-dom "file://$work/faulty.html"
check "a pale text, a slider without a label and an error on the console would be found" all '! no_faults 1280 light' \
  'grep -q "^contrast of" "$work/faults"' 'grep -q "^no label" "$work/faults"' '! no_errors'
sed '/<script>/,/<\/script>/d' "$page" >"$work/plain.html"
browse --window-size=1280,4000 --screenshot="$pictures/page_plain.png" "file://$work/plain.html"
check "without scripts the mixtures are there, and the slider, which a script shows, is not" all \
  '[ "$(grep -o "<figcaption>[0-9]* % three" "$page" | wc -l)" = 7 ]' "grep -q \"<div class='slider' hidden\" '$page'" \
  '[ "$(stat -c %s "$pictures/page_plain.png")" -gt 20000 ]' '! cmp -s "$pictures/page_plain.png" "$pictures/page_1280.png"'
browse --print-to-pdf="$pictures/page.pdf" --no-pdf-header-footer "file://$page"
check "it can be printed" '[' "$(stat -c %s "$pictures/page.pdf" 2>/dev/null || echo 0)" -gt 20000 ']'

totals
