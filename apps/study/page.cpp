#include "apps/study/page.h"

#include <algorithm>
#include <charconv>

#include "apps/study/statements.h"
#include "apps/study/svg.h"

namespace mixgrad::apps {
namespace {

constexpr const char* head = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What mixup does, measured</title>
<style>
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #565b63; --line: #c9ccd1; --paper: #fff; --panel: #f5f6f8;
  --s0: #1f5fa8; --s1: #b3400f; --s2: #1b7a48; --s3: #7b3fa0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e9eb; --soft: #a9aeb6; --line: #4a4e55; --paper: #16181b; --panel: #202327;
    --s0: #7db4f0; --s1: #f29a6b; --s2: #6fcf97; --s3: #cf9df0; }
}
@media print {
  :root { --ink: #000; --soft: #444; --line: #999; --paper: #fff; --panel: #fff;
    --s0: #1f5fa8; --s1: #b3400f; --s2: #1b7a48; --s3: #7b3fa0; }
  .slider { display: none; }
  .card, section.experiment, figure { break-inside: avoid; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { margin-top: 2.5rem; } h3 { margin: 0 0 .3rem; font-size: 1.05rem; }
code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere; }
a { color: var(--s0); }
.soft { color: var(--soft); }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.card { padding: 1rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--panel); }
.card p { margin: .4rem 0; }
.card .small { font-size: .85rem; color: var(--soft); }
.verdict { font-weight: 600; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; }
section.experiment { margin-top: 2.5rem; }
figure { margin: 1rem 0; flex: 1 1 18rem; max-width: 30rem; }
figcaption { font-weight: 600; }
svg { max-width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.chart { width: 100%; }
.middle { text-anchor: middle; } .end { text-anchor: end; }
.axis { fill: none; stroke: var(--ink); } .grid { fill: none; stroke: var(--line); } .dashed { stroke-dasharray: 4 3; }
.line { fill: none; stroke-width: 2; }
.series0 { stroke: var(--s0); fill: var(--s0); } .series1 { stroke: var(--s1); fill: var(--s1); }
.series2 { stroke: var(--s2); fill: var(--s2); } .series3 { stroke: var(--s3); fill: var(--s3); }
.series0 .line, .series1 .line, .series2 .line, .series3 .line { fill: none; }
.bar { width: 100%; max-width: 14rem; display: block; }
.interval { fill: none; stroke: var(--s0); stroke-width: 3; } .mean { fill: var(--s0); }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
details { font-size: .85rem; } details p { margin: .3rem 0; }
th, td { padding: .25rem .7rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.mixtures { display: flex; flex-wrap: wrap; gap: .8rem; }
.mixtures figure { margin: 0; flex: 0 0 auto; } .mixtures svg { width: 6.5rem; display: block; }
.mixtures figcaption { font-weight: 400; font-size: .9rem; }
.slider svg { width: 12rem; display: block; } .slider input { width: 100%; max-width: 24rem; }
</style>
</head>
<body>
)";

// Only where scripts run is the slider shown; all it shows at a few places stands beside it.
constexpr const char* script = R"(<script>
const slider = document.querySelector('.slider'), range = slider.querySelector('input');
const top_image = slider.querySelector('.top'), text = slider.querySelector('output');
const show = () => {
  const lambda = Number(range.value), percent = Math.round(100 * lambda);
  top_image.setAttribute('opacity', lambda);
  text.textContent = slider.dataset.text.replace('#', percent).replace('#', 100 - percent);
};
range.addEventListener('input', show);
slider.hidden = false;
show();
</script>
)";

std::string base64(const std::string& bytes) {
  constexpr const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 3; ++k)
      word = word << 8 | (i + k < bytes.size() ? static_cast<std::uint8_t>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) text += i + k <= bytes.size() ? digits[word >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

// One image, u8 [H, W, C] of one or three channels, as a BMP file of 24 bits.
std::string bitmap(const Tensor& image) {
  const std::int64_t height = image.size(0), width = image.size(1), channels = image.size(2);
  const std::int64_t row = (3 * width + 3) / 4 * 4;
  std::string file = "BM";
  const auto add = [&](std::int64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) file += static_cast<char>(value >> (8 * i) & 255);
  };
  for (const std::int64_t value :
       {54 + row * height, std::int64_t{0}, std::int64_t{54}, std::int64_t{40}, width, height})
    add(value, 4);
  add(1, 2);
  add(24, 2);
  for (int i = 0; i < 6; ++i) add(0, 4);
  const std::vector<std::uint8_t> pixels = image.to_vector<std::uint8_t>();
  for (std::int64_t y = height - 1; y >= 0; --y) {  // from below, and blue first
    for (std::int64_t x = 0; x < width; ++x)
      for (std::int64_t c = 2; c >= 0; --c)
        add(pixels[static_cast<std::size_t>((y * width + x) * channels + std::min(c, channels - 1))], 1);
    add(0, static_cast<int>(row - 3 * width));
  }
  return file;
}

// A pair of training samples with different labels, mixed by the reader.
std::string mixtures(const StudySources& sources) {
  const StudyData document;
  const std::vector<std::int32_t> digits(document.digits.begin(), document.digits.end());
  const data::LabelledImages images = data::select(sources.mnist.train, digits);
  const auto labels = images.labels.to_vector<std::int32_t>();
  std::string defs;
  for (std::int32_t label = 0; label < 2; ++label) {
    const auto index = std::ranges::find(labels, label) - labels.begin();
    const Tensor image = gather(images.images, Tensor::from({static_cast<std::int32_t>(index)}, {1}));
    defs += text_of("<image id='image", label,
                    "' width='28' height='28' style='image-rendering:pixelated' href='data:image/bmp;base64,",
                    base64(bitmap(reshape(image, {image.size(1), image.size(2), image.size(3)}))), "'/>");
  }
  const auto picture = [](double lambda, const std::string& label) {
    return text_of("<svg viewBox='0 0 28 28' role='img' aria-label='", label,
                   "'><use href='#image1'/><use class='top' href='#image0' opacity='", lambda, "'/></svg>");
  };
  const auto caption = [](int percent) { return text_of(percent, " % three, ", 100 - percent, " % seven"); };
  std::string text = "<svg width='0' height='0' style='position:absolute' aria-hidden='true'><defs>" + defs +
                     "</defs></svg>\n<h2>A mixture</h2>\n<p>The image is lambda of one plus 1 - lambda of the other, "
                     "and the wanted answer "
                     "has the same shares.</p>\n<div class='mixtures'>\n";
  for (const int percent : {100, 85, 70, 55, 40, 20, 0})
    text += text_of("<figure>", picture(percent / 100.0, caption(percent)), "<figcaption>", caption(percent),
                    "</figcaption></figure>\n");
  return text +
         "</div>\n<div class='slider' hidden data-text='# % three, # % seven'>\n"
         "<p><label for='lambda'>lambda</label> "
         "<input id='lambda' type='range' min='0' max='1' step='0.01' value='0.7'></p>\n" +
         picture(0.7, "the mixture of this lambda") + "\n<p><output for='lambda'></output></p>\n</div>\n";
}

std::string with_plus_minus(std::string text) {
  text.replace(text.find("+-"), 2, "&plusmn;");
  return text;
}

// What the document says, and whether it was seen.
std::string outcome(const Comparison& of, Says says) {
  const std::string verdict = escaped(of.verdict());
  const bool seen = of.is_seen(), more = of.difference->mean > 0;
  if (says == Says::nothing) return verdict;
  if (says == Says::no_difference)
    return verdict + (seen                 ? "; the document says there is none"
                      : verdict == "equal" ? ", as the document says"
                                           : "; the document expects none");
  if (!seen) return verdict + "; the document expects one";
  return more == (says == Says::higher) ? verdict + ", as the document says"
                                        : verdict + ", the opposite of what the document says";
}

class Page {
 public:
  Page(const std::vector<Experiment>& experiments, const std::vector<std::uint64_t>& seeds, const StudyResults& results,
       std::string command)
      : seeds_(seeds), results_(results), command_(std::move(command)) {
    for (const Experiment& experiment : experiments)
      if (std::vector<Comparison> comparisons = compare(experiment, seeds, results); !comparisons.empty())
        measured_.push_back({&experiment, std::move(comparisons)});
  }

  std::string cards() const {
    std::string text = "<div class='cards'>\n";
    for (const Statement& statement : statements()) text += card(statement);
    return text + "</div>\n";
  }
  std::string sections() const {
    std::string text;
    for (const Measured& measured : measured_) text += section(measured);
    return text;
  }

 private:
  struct Measured {
    const Experiment* experiment;
    std::vector<Comparison> comparisons;
  };

  std::string command(const std::string& experiment) const {
    return "<code>" + escaped(command_ + " --only " + experiment) + "</code>";
  }

  // The mean of a measure, compared or not.
  double mean_of(const Experiment& experiment, const std::string& arm, const std::string& measure) const {
    std::vector<double> values;
    for (const std::uint64_t seed : seeds_) {
      const Measures* const run = results_.find(experiment.key, arm_of(experiment, arm).key, seed);
      check(run && run->contains(measure), "study: ", experiment.key, " does not measure ", measure);
      values.push_back(run->at(measure));
    }
    return Statistics(values).mean;
  }

  std::string card(const Statement& statement) const {
    std::string text =
        text_of("<article class='card' id='statement", statement.number, "'><h3>", statement.number, ". ",
                escaped(statement.text), "</h3>\n<p><code>", escaped(statement.code), "</code></p>\n");
    const auto found = std::ranges::find_if(
        measured_, [&](const Measured& measured) { return measured.experiment->key == statement.experiment; });
    if (found != measured_.end()) {
      const Experiment& experiment = *found->experiment;
      for (const Fact& fact : statement.facts)
        text += "<p>" + escaped(study_measure(fact.measure).text + ", " + arm_of(experiment, fact.arm).name) + ": <b>" +
                number(mean_of(experiment, fact.arm, fact.measure)) + "</b></p>\n";
      for (const Expectation& expected : statement.expectations) text += comparison(*found, expected);
      text += "<p class='small'>Measured in the experiment <a href='#" + experiment.key + "'>" + experiment.key +
              "</a>: " + command(experiment.key) + "</p>\n";
    } else if (!statement.experiment.empty()) {
      text += "<p class='soft'>Not measured in this run.</p>\n";
    }
    if (!statement.remark.empty()) text += "<p class='small'>" + escaped(statement.remark) + "</p>\n";
    return text + "<p class='small'>Executed by the test <q>" + escaped(statement.test) + "</q></p>\n</article>\n";
  }

  std::string comparison(const Measured& measured, const Expectation& expected) const {
    const Experiment& experiment = *measured.experiment;
    const auto of = std::ranges::find_if(measured.comparisons, [&](const Comparison& comparison) {
      return comparison.measure == expected.measure && comparison.arm == expected.arm;
    });
    check(of != measured.comparisons.end(), "study: ", experiment.key, " does not compare ", expected.measure, " of ",
          expected.arm);
    std::string text = "<p>" +
                       escaped(study_measure(of->measure).text + ", " + arm_of(experiment, of->arm).name + " minus " +
                               experiment.arms[0].name) +
                       ": ";
    if (!of->difference) return text + "not known from one seed</p>\n";
    return text + "<b>" + with_plus_minus(difference_text(*of->difference)) + "</b> " +
           interval_bar(of->difference->mean, of->difference->half) + "<span class='verdict'>" +
           outcome(*of, expected.says) + "</span></p>\n";
  }

  // The mean over the seeds of each point of a curve.
  std::map<double, double> curve_of(const Experiment& experiment, const StudyArm& arm, const std::string& name) const {
    std::map<double, std::vector<double>> values;
    for (const std::uint64_t seed : seeds_)
      for (const auto& [measure, value] : *results_.find(experiment.key, arm.key, seed))
        if (measure.starts_with(name + "@")) {
          double x = 0;
          std::from_chars(measure.data() + name.size() + 1, measure.data() + measure.size(), x);
          values[x].push_back(value);
        }
    std::map<double, double> means;
    for (const auto& [x, of_seeds] : values) means[x] = Statistics(of_seeds).mean;
    return means;
  }

  // Accuracy over confidence of the bins that hold more than so small a share of the images.
  std::map<double, double> reliability_of(const Experiment& experiment, const StudyArm& arm) const {
    constexpr double least_share = 0.002;
    std::map<double, double> points;
    const auto shares = curve_of(experiment, arm, "histogram");
    for (const auto& [x, share] : shares) {
      if (share < least_share) continue;
      double confidence = 0, accuracy = 0, weight = 0;  // pooled over the seeds
      for (const std::uint64_t seed : seeds_) {
        const Measures& run = *results_.find(experiment.key, arm.key, seed);
        const double of_seed = run.at(text_of("histogram@", x));
        weight += of_seed;
        confidence += of_seed * run.at(text_of("bin_confidence@", x));
        accuracy += of_seed * run.at(text_of("bin_accuracy@", x));
      }
      points[confidence / weight] = accuracy / weight;
    }
    return points;
  }

  std::string charts(const Experiment& experiment) const {
    std::string text;
    for (const StudyCurve& curve : study_curves()) {
      const bool reliability = curve.name == "reliability";
      if (!experiment.wants(reliability ? "histogram" : curve.name)) continue;
      Chart drawn{curve.text, curve.x, curve.y, {}, reliability};
      std::string table;
      for (const StudyArm& arm : experiment.arms) {
        const auto points = reliability ? reliability_of(experiment, arm) : curve_of(experiment, arm, curve.name);
        drawn.series.push_back({arm.name, {points.begin(), points.end()}});
        table += "<p>" + escaped(arm.name) + ":";
        for (const auto& [x, y] : points) table += " " + with_decimals(x, 2) + " " + number(y) + ";";
        table.back() = '.';
        table += "</p>\n";
      }
      text += "<figure><figcaption>" + escaped(curve.text) + "</figcaption>\n" + chart(drawn) +
              "<details><summary>the points</summary>\n" + table + "</details></figure>\n";
    }
    return text.empty() ? text : "<div class='charts'>\n" + text + "</div>\n";
  }

  std::string section(const Measured& measured) const {
    const Experiment& experiment = *measured.experiment;
    std::string text =
        "<section class='experiment' id='" + experiment.key + "'>\n<h3>" + escaped(experiment.question) +
        "</h3>\n<p class='soft'>" + escaped(experiment.data.text()) + "; " + command(experiment.key) + "</p>\n" +
        charts(experiment) + "<div class='table' role='region' aria-label='results of " + experiment.key +
        "' tabindex='0'><table>\n<thead><tr><th scope='col'>measure</th>"
        "<th scope='col'>variant</th><th scope='col'>mean &plusmn; deviation</th>"
        "<th scope='col'>difference from the first</th><th scope='col'>verdict</th></tr></thead>\n<tbody>\n";
    for (std::size_t i = 0; i < measured.comparisons.size(); ++i) {
      const Comparison& row = measured.comparisons[i];
      text += "<tr>";
      if (i % experiment.arms.size() == 0)
        text += text_of("<th scope='rowgroup' rowspan='", experiment.arms.size(), "'>",
                        escaped(study_measure(row.measure).text), "</th>");
      text += "<td>" + escaped(arm_of(experiment, row.arm).name) + "</td><td class='number'>" + number(row.values.mean);
      if (row.values.deviation > 0) text += " &plusmn; " + number(row.values.deviation);
      text += "</td><td class='number'>" + (row.difference ? with_plus_minus(difference_text(*row.difference)) : "") +
              "</td><td>" + (row.difference ? escaped(row.verdict()) : "") + "</td></tr>\n";
    }
    text += "</tbody></table></div>\n";
    if (!experiment.elsewhere.empty()) text += "<p class='soft'>" + escaped(experiment.elsewhere) + "</p>\n";
    return text + "</section>\n";
  }

  const std::vector<std::uint64_t>& seeds_;
  const StudyResults& results_;
  std::string command_;
  std::vector<Measured> measured_;
};

}  // namespace

std::string study_page(const std::vector<Experiment>& experiments, const std::vector<std::uint64_t>& seeds,
                       const StudyResults& results, const StudySources& sources, const std::string& settings,
                       const std::string& command) {
  const Page page(experiments, seeds, results, command);
  return text_of(
      head,
      "<main>\n<h1>What mixup does, measured</h1>\n"
      "<p>Each statement of <a href='https://fastai1.fast.ai/callbacks.mixup.html'>fastai v1's page on mixup</a>, with "
      "what was "
      "measured; then the experiments. Mixup is from Zhang, Cisse, Dauphin and Lopez-Paz, "
      "<a href='https://arxiv.org/abs/1710.09412'>mixup: Beyond empirical risk minimization</a>, 2017.</p>\n<p>",
      escaped(settings), "; ", seeds.size(), seeds.size() == 1 ? " seed" : " seeds",
      ". A difference is that of the means, paired by seed, with its 95 % interval. A verdict is drawn at p &lt; 0.05, "
      "after "
      "Holm's correction for all comparisons of an experiment; an interval, which is not corrected, may exclude 0 "
      "without "
      "one. No difference seen is not the same as none: the interval says how large it may be. Every figure comes from "
      "<code>results.csv</code>, which the command beside it makes in an empty folder.</p>\n",
      mixtures(sources), "<h2>The document's statements</h2>\n", page.cards(), "<h2>The experiments</h2>\n",
      page.sections(), "</main>\n", script, "</body>\n</html>\n");
}

}  // namespace mixgrad::apps
