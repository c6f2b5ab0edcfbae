#include "apps/study/svg.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace mixgrad::apps {
namespace {

constexpr double left = 52, top = 14, width = 350, height = 200;  // of the area between the axes

// The least of 1, 2, 5 times a power of ten that is at least so large.
double rounded_up(double value) {
  if (value <= 0) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= value) return factor * power;
  return 10 * power;
}

// Shapes tell the series apart in print as well.
std::string marker(std::size_t series, double x, double y) {
  switch (series % 4) {
    case 0: return text_of("<circle cx='", x, "' cy='", y, "' r='3.5'/>");
    case 1: return text_of("<rect x='", x - 3, "' y='", y - 3, "' width='6' height='6'/>");
    case 2: return text_of("<path d='M", x, " ", y - 4, "l4 7h-8z'/>");
    default: return text_of("<path d='M", x, " ", y - 4.5, "l4.5 4.5l-4.5 4.5l-4.5 -4.5z'/>");
  }
}

}  // namespace

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '&') result += "&amp;";
    else if (c == '<') result += "&lt;";
    else if (c == '>') result += "&gt;";
    else if (c == '"') result += "&quot;";
    else if (c == '\'') result += "&#39;";
    else result += c;
  }
  return result;
}

std::string chart(const Chart& chart) {
  double largest = 0;
  for (const ChartSeries& series : chart.series)
    for (const auto& point : series.points) largest = std::max(largest, point.second);
  const double highest = rounded_up(largest);
  const auto x_of = [](double x) { return left + width * x; };
  const auto y_of = [&](double y) { return top + height * (1 - y / highest); };
  const double bottom = top + height, legend = bottom + 52;
  std::string svg =
      text_of("<svg class='chart' viewBox='0 0 420 ", legend + 18.0 * static_cast<double>(chart.series.size()),
              "' role='img' aria-label='", escaped(chart.title), "'><path class='axis' d='M", left, " ", top, "V",
              bottom, "H", left + width, "'/>");
  for (int i = 0; i <= 4; ++i) {
    const double share = i / 4.0, y = y_of(share * highest);
    svg += text_of("<text class='end' x='", left - 6, "' y='", y + 4, "'>", share * highest, "</text>");
    svg += text_of("<text class='middle' x='", x_of(share), "' y='", bottom + 16, "'>", share, "</text>");
    if (i > 0) svg += text_of("<path class='grid' d='M", left, " ", y, "h", width, "'/>");
  }
  svg += text_of("<text class='middle' x='", left + width / 2, "' y='", bottom + 34, "'>", escaped(chart.x), "</text>");
  svg += text_of("<text class='middle' transform='translate(12 ", top + height / 2, ") rotate(-90)'>", escaped(chart.y),
                 "</text>");
  if (chart.diagonal)
    svg += text_of("<path class='grid dashed' d='M", x_of(0), " ", y_of(0), "L", x_of(1), " ", y_of(1), "'/>");
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const ChartSeries& series = chart.series[i];
    std::string line, markers;
    for (const auto& [x, y] : series.points) {
      line += text_of(line.empty() ? "M" : "L", x_of(x), " ", y_of(y));
      markers += marker(i, x_of(x), y_of(y));
    }
    const double y = legend + 18.0 * static_cast<double>(i);
    svg += text_of("<g class='series", i, "'><path class='line' d='", line, "'/>", markers, marker(i, left + 4, y - 4),
                   "</g><text x='", left + 16, "' y='", y, "'>", escaped(series.name), "</text>");
  }
  return svg + "</svg>\n";
}

std::string interval_bar(double mean, double half) {
  const double largest = std::max({std::abs(mean) + half, 1e-300});
  const auto x_of = [&](double value) { return 100 + 94 * value / largest; };
  return text_of("<svg class='bar' viewBox='0 0 200 20' aria-hidden='true'><path class='axis' d='M100 1V19'/>",
                 "<path class='interval' d='M", x_of(mean - half), " 10H", x_of(mean + half),
                 "'/><circle class='mean' cx='", x_of(mean), "' cy='10' r='4'/></svg>");
}

}  // namespace mixgrad::apps
