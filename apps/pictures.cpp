#include "apps/pictures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iomanip>
#include <numbers>

#include "apps/gnuplot.h"

namespace mixgrad::apps {

namespace {

// Of the palette of Okabe and Ito, which colour-blind readers can tell apart too.
constexpr std::array colours{"#0072B2", "#D55E00", "#009E73", "#CC79A7"};

constexpr const char* grid = "set grid linetype 1 linewidth 1 linecolor rgb '#CCCCCC'\n";
constexpr const char* legend_below = "set key below center horizontal Left reverse samplen 3.5 spacing 1.2\n";

// Two panels side by side, below a title, if any.
std::string two_panels(const std::string& title) {
  return "set multiplot layout 1,2" + (title.empty() ? "" : " title " + quoted(title)) + "\n";
}

using Points = std::vector<std::pair<double, double>>;

struct Curve {
  std::string title, style;  // style: gnuplot's, such as "lines dashtype 2"
  Points points;
};

// One panel of curves; its ranges and labels are already set.
void plot(GnuplotScript& script, const std::vector<Curve>& panel) {
  for (const Curve& curve : panel)
    script << (&curve == panel.data() ? "plot" : ",") << " '-' with " << curve.style << " title "
           << quoted(curve.title);
  script << '\n';
  for (const Curve& curve : panel) {
    for (const auto& [x, y] : curve.points) {
      script << x << ' ';
      std::isfinite(y) ? script << y << '\n' : script << "NaN\n";
    }
    script << "e\n";
  }
}

// "lines linewidth 4 linecolor rgb '#0072B2'"
std::string lines(const char* options, std::size_t colour) {
  return text_of("lines ", options, " linecolor rgb '", colours[colour], "'");
}

// The smallest and largest finite value of the curves, or 0 and 1 if there is none.
std::pair<double, double> range(const std::vector<Curve>& panel) {
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (const Curve& curve : panel)
    for (const auto& [x, y] : curve.points)
      if (std::isfinite(y)) low = std::min(low, y), high = std::max(high, y);
  return low <= high ? std::pair(low, high) : std::pair(0.0, 1.0);
}

// Filled or open points, of another shape for each run.
std::string run_style(std::size_t run, std::size_t epochs, bool dashed) {
  constexpr std::array filled{7, 9, 5, 13}, open{6, 8, 4, 12};
  GnuplotScript style;
  style << "linespoints linewidth 3 pointsize 1.6 linecolor rgb '" << colours[run] << "' pointtype "
        << (dashed ? open : filled)[run] << " pointinterval " << 1 + epochs / 16 << " dashtype " << (dashed ? 2 : 1);
  return style.str();
}

}  // namespace

bool write_curves(const std::string& png, const std::vector<RunCurves>& runs, const std::string& title) {
  check(!runs.empty() && runs.size() <= colours.size(), "curves: ", runs.size(), " runs, expected 1 to ",
        colours.size());
  std::vector<Curve> losses, accuracies;
  int first = runs[0].epochs.empty() ? 0 : runs[0].epochs[0].epoch, last = first;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const RunCurves& run = runs[i];
    check(!run.epochs.empty(), "curves: the run ", printable(run.name), " has no epochs");
    for (const auto& epoch : run.epochs) {
      check(!epoch.metrics.empty(), "curves: the run ", printable(run.name), " has no accuracy");
      first = std::min(first, epoch.epoch), last = std::max(last, epoch.epoch);
    }
    const auto add = [&](std::vector<Curve>& panel, const char* what, bool dashed, auto value) {
      Curve curve{run.name + what, run_style(i, run.epochs.size(), dashed), {}};
      for (const auto& epoch : run.epochs) curve.points.emplace_back(epoch.epoch, std::invoke(value, epoch));
      const auto is_finite = [](const auto& point) { return std::isfinite(point.second); };
      if (std::ranges::none_of(curve.points, is_finite)) curve.title += " (not finite)";
      panel.push_back(std::move(curve));
    };
    add(losses, ", training", true, &train::EpochRecord::train_loss);
    add(losses, ", validation", false, &train::EpochRecord::valid_loss);
    add(accuracies, "", false, [](const auto& epoch) { return epoch.metrics[0]; });
  }
  const double highest_loss = range(losses).second;
  const auto [lowest, highest] = range(accuracies);
  const double margin = lowest < highest ? 0.08 * (highest - lowest) : 0.01;

  GnuplotScript script;
  script << two_panels(title) << grid << legend_below << "set border 3\nset tics nomirror\nset xlabel 'epoch'\n"
         << "set key maxcolumns 2\nset bmargin 6.5\nset xrange [" << first - 0.3 << ':' << last + 0.3 << "]\nset xtics "
         << first << ',' << 1 + (last - first) / 10
         << "\nset title 'Loss (in training a moving average)'\nset ylabel 'loss'\n"
         << "set yrange [0:" << (highest_loss > 0 ? 1.05 * highest_loss : 1) << "]\n";
  plot(script, losses);
  script << "set title 'Accuracy on the validation set'\nset ylabel 'accuracy'\n"
         << "set yrange [" << lowest - margin << ':' << highest + margin << "]\n";
  plot(script, accuracies);
  script << "unset multiplot\n";
  return draw(png, {1400, 640, 15}, script);
}

namespace {

// "10⁻³"
std::string power_of_ten(int exponent) {
  constexpr std::array digits{"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = exponent < 0 ? "10⁻" : "10";
  for (const char digit : std::to_string(std::abs(exponent))) text += digits[static_cast<std::size_t>(digit - '0')];
  return text;
}

// Ticks of a logarithmic axis: powers of ten with their names, between them small ones.
void set_powers_of_ten(GnuplotScript& script, const char* axis, double low, double high) {
  const auto first = static_cast<int>(std::floor(std::log10(low))), last = static_cast<int>(std::log10(high) + 1);
  const int step = 1 + (last - first) / 12;
  script << "set " << axis << " (";
  for (int exponent = first; exponent <= last; ++exponent)
    for (int digit = 1; digit < 10; ++digit)
      script << (exponent > first || digit > 1 ? "," : "") << '\''
             << (digit == 1 && exponent % step == 0 ? power_of_ten(exponent) : "") << "' " << digit << 'e' << exponent
             << (digit == 1 ? " 0" : " 1");
  script << ")\n";
}

}  // namespace

bool write_lr_curve(const std::string& png, const train::LrCurve& curve, const std::string& title) {
  const auto& [lr, loss, suggestion] = curve;
  check(lr.size() >= 2 && lr.size() == loss.size(), "lr curve: ", lr.size(), " rates, ", loss.size(), " losses");
  check(suggestion > 0, "lr curve: the suggestion must be positive, got ", suggestion);
  GnuplotScript script;
  script.precision(9);
  Points points;
  for (std::size_t i = 0; i < lr.size(); ++i) points.emplace_back(lr[i], loss[i]);
  const double bottom = std::min(0.0, *std::ranges::min_element(loss)), top = 1.1 * *std::ranges::max_element(loss);
  set_powers_of_ten(script, "xtics", lr.front(), lr.back());
  script << grid << legend_below << "set bmargin 5.5\nset logscale x\nset border 3\nset tics nomirror\nset title "
         << quoted(title) << "\nset xlabel 'learning rate'\nset ylabel 'loss, moving average'\n"
         << "set xrange [" << lr.front() << ':' << lr.back() << "]\nset yrange [" << bottom << ':' << top << "]\n";
  plot(script, {{"loss", lines("linewidth 3", 0), points},
                {text_of("suggestion: ", std::scientific, std::setprecision(1), suggestion),
                 lines("linewidth 3 dashtype 2", 1),
                 {{suggestion, bottom}, {suggestion, top}}}});
  return draw(png, {1000, 640, 16}, script);
}

double beta_density(double x, double alpha) {
  return std::exp(std::lgamma(2 * alpha) - 2 * std::lgamma(alpha) + (alpha - 1) * (std::log(x) + std::log1p(-x)));
}

namespace {

// The curve of scale * f over an interval: points are denser at the ends, include 1/2, and never lie on a pole. Between
// the first and the last, points that differ from the previous one by less than `step` are skipped: gnuplot snaps level
// lines to the next row of pixels, which would show as a bump.
Points density_curve(double alpha, std::pair<double, double> interval, double reach, double scale, double step) {
  constexpr int count = 401;
  Points points, kept;
  for (int i = 0; i < count; ++i) {
    const double t = 0.5 + reach * std::sin(std::numbers::pi * (i - count / 2) / count);
    if (t >= interval.first && t <= interval.second) points.emplace_back(t, scale * beta_density(t, alpha));
  }
  for (const auto& [t, density] : points)
    if (kept.empty() || std::abs(density - kept.back().second) >= step || t == points.back().first)
      kept.emplace_back(t, density);
  return kept;
}

}  // namespace

bool write_beta_density(const std::string& png, const augment::MixOptions& options, const std::vector<float>& lambda,
                        const std::string& title) {
  const double alpha = options.alpha;
  const bool dedupe = options.dedupe;
  check(alpha > 0 && alpha <= 1e6, "beta density: alpha must be above 0 and at most 1e6, got ", alpha);
  check(!lambda.empty(), "beta density: there are no draws");

  // The whole interval, or five standard deviations to either side of 1/2 for an alpha so large that this is narrower.
  const double reach = std::min(0.5, 2.5 / std::sqrt(2 * alpha + 1));
  const double low = dedupe ? 0.5 : 0.5 - reach, high = 0.5 + reach;
  const auto bins = dedupe ? 20u : 40u;
  const double width = (high - low) / bins;
  Points histogram;
  for (unsigned i = 0; i < bins; ++i) histogram.emplace_back(low + (i + 0.5) * width, 0);
  for (const double t : lambda) {
    check(t >= (dedupe ? 0.5 : 0.0) && t <= 1, "beta density: ", t, " is not in ", dedupe ? "0.5" : "0", "..1");
    const double bin = std::clamp((t - low) / width, 0.0, bins - 1.0);
    histogram[static_cast<std::size_t>(bin)].second += 1 / (width * static_cast<double>(lambda.size()));
  }
  const double mode = alpha >= 1 ? (dedupe ? 2 : 1) * beta_density(0.5, alpha) : 0;  // below 1 there are poles instead
  const double top = 1.05 * std::max(range({{"", "", histogram}}).second, mode);
  const double step = top / 4000;  // a tenth of a pixel

  GnuplotScript script;
  script.precision(9);
  script << legend_below
         << "set bmargin 6.5\nset border 3\nset tics nomirror\nset style fill solid border rgb 'white'\nset boxwidth "
         << width << "\nset ylabel 'density'\nset yrange [0:" << top << "]\n";
  if (dedupe) {  // the density before folding, on the left, to the same scale
    script << two_panels(title) << "set xrange [" << 0.5 - reach << ':' << high << "]\nset xlabel 't'\n"
           << "set title 't from Beta(" << alpha << ", " << alpha << ")'\n";
    const char* const filled = "filledcurves x1 linecolor rgb '#FBE3D0'";
    plot(script,
         {{"t < 1/2: folded over to 1 - t", filled, density_curve(alpha, {0.5 - reach, 0.5}, reach, 1, step)},
          {"density f(t)", lines("linewidth 4", 1), density_curve(alpha, {0.5 - reach, high}, reach, 1, step)}});
  }
  const char* const name = dedupe ? "lambda" : "t";
  const std::string density = text_of("lambda = t from Beta(", alpha, ", ", alpha, ")");
  script << "set title "
         << quoted(dedupe          ? "lambda = max(t, 1 - t)"
                   : title.empty() ? density
                                   : title + "; " + density)
         << "\nset xlabel '" << name << "'\nset xrange [" << low << ':' << high << "]\n";
  plot(script, {{text_of(lambda.size(), " draws of ", name), "boxes linecolor rgb '#9ECAE9'", histogram},
                {text_of("density ", dedupe ? "f(lambda) + f(1 - lambda)" : "f(t)"), lines("linewidth 4", 1),
                 density_curve(alpha, {low, high}, reach, dedupe ? 2 : 1, step)}});
  if (dedupe) script << "unset multiplot\n";
  return draw(png, {dedupe ? 1400 : 1000, 640, 16}, script);
}

std::string probability_text(double probability) {
  if (probability < 0.01) return "< 0.01";
  if (probability > 0.99) return "> 0.99";
  return with_decimals(probability, 2);
}

namespace {

// The shade of a cell's share of its row, from white (0) to dark (1): 0.1 % is at 0, 100 % at 1. Any count shows.
double shade(std::int32_t count, double row_total) {
  return count == 0 ? 0 : std::max(0.1, 1 + std::log10(count / row_total) / 3);
}

}  // namespace

bool write_confusion_matrix(const std::string& png, const Tensor& matrix, const std::vector<std::string>& class_names,
                            const std::string& title) {
  const auto classes = static_cast<int>(class_names.size());
  check(classes >= 1 && classes <= 100, "confusion matrix: ", classes, " classes, expected 1 to 100");
  check(matrix.dtype() == DType::i32 && matrix.shape() == Shape{classes, classes}, "confusion matrix: the counts are ",
        matrix.shape(), ", expected i32 ", Shape{classes, classes});
  const Tensor host = matrix.to(cpu);
  GnuplotScript labels, cells;
  for (int i = 0; i < classes; ++i) {
    const std::int32_t* row = host.data<std::int32_t>() + i * classes;
    double total = 0;
    for (int j = 0; j < classes; ++j) {
      check(row[j] >= 0, "confusion matrix: the count ", row[j], " is negative");
      total += row[j];
    }
    for (int j = 0; j < classes; ++j) {
      const double dark = shade(row[j], total);
      const char* const ink = row[j] == 0 ? "#999999" : dark > 0.7 ? "white" : "black";
      labels << "set label '" << row[j] << "' at " << j << ',' << i << " center front textcolor rgb '" << ink << "'\n";
      cells << j << ' ' << i << ' ' << dark << '\n';
    }
  }
  const std::size_t longest = std::ranges::max(class_names, {}, &std::string::size).size();
  const auto name_tics = [&](const char* axis) {
    labels << "set " << axis << " (";
    for (int i = 0; i < classes; ++i)
      labels << (i > 0 ? ", " : "") << quoted_tic(class_names[static_cast<std::size_t>(i)]) << ' ' << i;
    labels << ")\n";
  };
  const bool rotated = longest > 5;
  name_tics(rotated ? "xtics rotate by 45 right" : "xtics");
  name_tics("ytics");
  // In pixels: the matrix, a square for any names, and its margins. A letter is 11 wide.
  const int side = std::max(400, 64 * classes), names = static_cast<int>(std::min<std::size_t>(longest, 30)) * 11;
  const int beside = static_cast<int>(std::min<std::size_t>(title.size(), 200)) * 5 + 10 - side / 2;
  const int left = std::max(70 + names, beside), right = std::max(170, beside);
  const int top = title.empty() ? 20 : 60, bottom = 70 + (rotated ? names * 3 / 4 : 20);
  const double width = left + side + right, height = top + side + bottom;
  labels << "set lmargin at screen " << left / width << "\nset rmargin at screen " << (left + side) / width
         << "\nset bmargin at screen " << bottom / height << "\nset tmargin at screen " << (bottom + side) / height
         << "\nset title " << quoted(title) << "\nset tics scale 0\nset xlabel 'predicted'\nset ylabel 'true'\n"
         << "set xrange [-0.5:" << classes - 1 << ".5]\nset yrange [" << classes - 1 << ".5:-0.5]\n"
         << "set palette defined (0 '#FFFFFF', 0.4 '#9ECAE9', 0.7 '#3182BD', 1 '#08306B')\nset cbrange [0:1]\n"
         << "set cblabel 'share of the true class'\n"
         << "set cbtics ('0.1 %%' 0, '1 %%' 1./3, '10 %%' 2./3, '100 %%' 1)\nunset key\n"
         << "plot '-' using 1:2:3 with image\n"
         << cells.str() << "e\n";
  return draw(png, {left + side + right, top + side + bottom, 14}, labels);
}

}  // namespace mixgrad::apps
