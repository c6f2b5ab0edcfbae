// What test_study_page.sh asks of a page: appended to a copy of it, it writes one line for each fault into #faults.
const faults = [];
const lineOf = element => element.outerHTML.replace(/\s+/g, ' ').slice(0, 80);
const luminance = color => {
  const [r, g, b] = color.match(/[\d.]+/g).map(Number).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const isClear = color => /rgba\(.*, 0\)/.test(color);
const background = element => {
  for (let e = element; e; e = e.parentElement)
    if (!isClear(getComputedStyle(e).backgroundColor)) return getComputedStyle(e).backgroundColor;
  return 'rgb(255, 255, 255)';
};
const contrast = (a, b) => {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
};
const check = (holds, ...words) => holds || faults.push(words.join(' '));

check(document.documentElement.lang, 'no language');
check(document.title, 'no title');
check(document.querySelectorAll('h1').length === 1, 'not one h1');
check(document.documentElement.scrollWidth <= innerWidth, 'wider than the window:', document.documentElement.scrollWidth);
const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
check(new Set(ids).size === ids.length, 'an id stands twice');
check(!/url\(|@import|fetch\(|XMLHttpRequest/.test([...document.querySelectorAll('style, script')].slice(0, 2)
  .map(e => e.textContent).join('')), 'something is fetched');
for (const e of document.querySelectorAll('[src], link[href], image[href]'))
  check(/^data:/.test(e.getAttribute('src') ?? e.getAttribute('href')), 'not in the page itself:', lineOf(e));
for (const e of document.querySelectorAll('a[href^="#"], use'))
  check(document.getElementById(e.getAttribute('href').slice(1)), 'leads nowhere:', lineOf(e));
for (const e of document.querySelectorAll('input, output')) check(e.labels.length || e.htmlFor?.length, 'no label:', lineOf(e));
for (const e of document.querySelectorAll('svg'))
  check(e.ariaHidden === 'true' || e.ariaLabel, 'a picture without words:', lineOf(e));
for (const e of document.querySelectorAll('th')) check(e.scope, 'a heading of what?', lineOf(e));
let texts = 0;
for (const e of document.querySelectorAll('body *')) {
  if (['SCRIPT', 'STYLE'].includes(e.tagName) || ![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
  const style = getComputedStyle(e), svg = e instanceof SVGElement;
  const seen = contrast(svg ? style.fill : style.color, background(e));
  check(seen >= 4.5, 'contrast of', seen.toFixed(2) + ':', lineOf(e));
  texts += 1;
}
check(texts > 100, 'only', texts, 'texts');
for (const e of document.querySelectorAll('.line, .interval, .mean')) {
  const style = getComputedStyle(e), color = style.stroke === 'none' ? style.fill : style.stroke;
  check(contrast(color, background(e)) >= 3, 'contrast of a line:', lineOf(e));
}
for (const e of document.querySelectorAll('.card')) {
  const words = e.textContent;
  check(words.includes('Executed by the test'), 'a card without a test:', e.id);
  check(!words.includes('Measured in') || /<b>/.test(e.innerHTML), 'a card without a figure:', e.id);
}
const moved = document.querySelector('.slider input');
check(!document.querySelector('.slider').hidden, 'the slider is hidden');
moved.value = 0.25;
moved.dispatchEvent(new Event('input'));
check(document.querySelector('.slider .top').getAttribute('opacity') === '0.25', 'the slider does not mix');
check(document.querySelector('.slider output').textContent === '25 % three, 75 % seven', 'the slider says',
  document.querySelector('.slider output').textContent);
const report = document.createElement('pre');
report.id = 'faults';
const scheme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
report.textContent = [...faults, `${innerWidth} pixels, ${scheme}: ${texts} texts, ${faults.length} faults`].join('\n');
document.body.append(report);
