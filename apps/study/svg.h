// Charts as inline SVG. Colours come from the page's style: series i has class "series<i>".
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace mixgrad::apps {

// &, <, > and quotes as HTML and SVG want them.
std::string escaped(const std::string& text);

struct ChartSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;
};
struct Chart {
  std::string title, x, y;  // and the names of the axes
  std::vector<ChartSeries> series;
  bool diagonal = false;  // with the line y = x
};
// Lines with markers, x from 0 to 1, y from 0 to a round number that is above all; the legend is below.
std::string chart(const Chart& chart);

// A mean and its interval beside a line at 0.
std::string interval_bar(double mean, double half);

}  // namespace mixgrad::apps
