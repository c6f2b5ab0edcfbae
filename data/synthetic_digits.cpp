// Compiled with -ffp-contract=off, and with + - * / and sqrt alone, so that every machine draws the same bytes.
#include "data/synthetic_digits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "core/check.h"
#include "core/parallel.h"
#include "core/random.h"

namespace mixgrad::data {
namespace {

constexpr int image_size = 28;
constexpr double box_size = 19.6;  // longer side of a digit up to mid-edge: ink reaches 20 pixels, as in MNIST

struct Point {
  double x, y;
  bool operator==(const Point&) const = default;
  friend Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
  friend Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
  friend Point operator*(Point p, double by) { return {p.x * by, p.y * by}; }
};
using Stroke = std::vector<Point>;

// One way to write a digit. A stroke is a smooth curve through its points, x to the right and y down, in a box of about
// 100 by 100; a point given twice in a row is a corner. Each glyph of a digit is chosen in proportion to its weight.
struct Glyph {
  int digit;
  std::uint32_t weight;
  std::vector<Stroke> strokes;
};

const std::vector<Glyph>& font() {
  // clang-format off
  static const std::vector<Glyph> glyphs = {
      // 0: closed; ends crossing inside; narrow
      {0, 4, {{{56, 0}, {22, 10}, {0, 50}, {16, 88}, {48, 100}, {84, 84}, {100, 46}, {84, 10}, {52, 2}}}},
      {0, 2, {{{78, 10}, {45, 0}, {14, 20}, {0, 55}, {16, 90}, {48, 100}, {86, 80}, {98, 42}, {80, 10}, {52, 6},
               {36, 22}}}},
      {0, 3, {{{62, 0}, {34, 10}, {14, 50}, {22, 90}, {46, 100}, {74, 82}, {84, 45}, {72, 8}, {52, 2}}}},
      // 1: a line; with a flag; with flag and foot
      {1, 16, {{{57, 0}, {50, 50}, {43, 100}}}},
      {1, 1, {{{32, 22}, {54, 0}, {54, 0}, {50, 50}, {46, 100}}}},
      {1, 2, {{{24, 22}, {54, 0}, {54, 0}, {50, 50}, {46, 100}}, {{10, 100}, {46, 100}, {88, 98}}}},
      // 2: angular foot; looped foot; looped foot and round head; z
      {2, 3, {{{10, 25}, {30, 4}, {60, 2}, {78, 24}, {62, 55}, {35, 80}, {8, 98}, {8, 98}, {50, 95}, {95, 96}}}},
      {2, 3, {{{16, 20}, {40, 0}, {68, 6}, {72, 32}, {50, 66}, {24, 94}, {4, 92}, {12, 76}, {36, 78}, {64, 92},
               {100, 86}}}},
      {2, 3, {{{22, 30}, {26, 8}, {54, 0}, {74, 20}, {60, 62}, {30, 96}, {6, 96}, {6, 80}, {36, 78}, {64, 96},
               {100, 94}}}},
      {2, 2, {{{8, 14}, {40, 4}, {80, 8}, {80, 8}, {50, 50}, {12, 95}, {12, 95}, {50, 94}, {98, 90}}}},
      // 3: round; flat top; looped waist
      {3, 4, {{{15, 14}, {45, 0}, {76, 14}, {68, 36}, {38, 47}, {38, 47}, {72, 55}, {84, 76}, {60, 97}, {32, 100},
               {8, 88}}}},
      {3, 2, {{{12, 6}, {40, 5}, {76, 5}, {76, 5}, {40, 42}, {40, 42}, {74, 55}, {80, 78}, {50, 100}, {8, 92}}}},
      {3, 2, {{{15, 12}, {50, 0}, {76, 18}, {60, 42}, {38, 50}, {40, 42}, {65, 48}, {84, 72}, {60, 97}, {32, 100},
               {8, 86}}}},
      // 4: open; closed; open and round
      {4, 4, {{{20, 5}, {14, 35}, {12, 55}, {12, 55}, {50, 57}, {92, 52}}, {{76, 0}, {68, 50}, {60, 100}}}},
      {4, 2, {{{64, 0}, {35, 32}, {6, 62}, {6, 62}, {50, 62}, {95, 60}}, {{66, 0}, {62, 50}, {58, 100}}}},
      {4, 2, {{{16, 4}, {10, 34}, {26, 54}, {70, 48}}, {{82, 0}, {73, 50}, {66, 100}}}},
      // 5: two strokes; the same with a long bar over a small bowl; one stroke
      {5, 3, {{{28, 5}, {20, 42}, {20, 42}, {50, 36}, {80, 54}, {75, 84}, {45, 100}, {8, 92}},
              {{28, 5}, {60, 4}, {94, 2}}}},
      {5, 3, {{{40, 8}, {30, 42}, {30, 42}, {58, 46}, {66, 70}, {44, 96}, {4, 96}}, {{40, 8}, {72, 6}, {110, 0}}}},
      {5, 3, {{{98, 0}, {56, 6}, {34, 14}, {28, 38}, {60, 48}, {74, 72}, {46, 98}, {4, 96}}}},
      // 6: curved; straight back
      {6, 3, {{{66, 0}, {34, 25}, {14, 60}, {22, 90}, {50, 100}, {76, 85}, {74, 62}, {48, 54}, {22, 74}}}},
      {6, 3, {{{44, 0}, {22, 40}, {12, 75}, {36, 100}, {74, 92}, {84, 70}, {62, 58}, {24, 78}}}},
      // 7: corner; round shoulder; serif; barred
      {7, 5, {{{8, 10}, {50, 7}, {86, 5}, {86, 5}, {62, 50}, {48, 100}}}},
      {7, 3, {{{6, 18}, {42, 5}, {80, 10}, {74, 42}, {56, 72}, {48, 100}}}},
      {7, 1, {{{10, 28}, {14, 8}, {14, 8}, {50, 8}, {86, 5}, {86, 5}, {64, 50}, {52, 100}}}},
      {7, 1, {{{8, 10}, {50, 7}, {86, 5}, {86, 5}, {60, 50}, {46, 100}}, {{28, 54}, {58, 51}, {86, 48}}}},
      // 8: closed; open at the top right
      {8, 3, {{{75, 12}, {46, 0}, {22, 18}, {46, 45}, {72, 72}, {58, 97}, {28, 97}, {14, 78}, {45, 48}, {76, 25},
               {72, 8}, {52, 2}}}},
      {8, 3, {{{92, 8}, {52, 2}, {26, 20}, {50, 46}, {68, 74}, {44, 100}, {18, 82}, {42, 52}, {70, 28}, {88, 6}}}},
      // 9: straight tail; the same with a large loop; slanted; slanted loop; curved tail
      {9, 4, {{{75, 26}, {66, 4}, {42, 0}, {19, 20}, {26, 42}, {52, 40}, {74, 14}, {74, 14}, {75, 50}, {72, 100}}}},
      {9, 2, {{{76, 24}, {66, 4}, {40, 2}, {12, 28}, {22, 50}, {52, 45}, {76, 12}, {75, 50}, {72, 100}}}},
      {9, 3, {{{76, 26}, {70, 6}, {46, 0}, {22, 22}, {28, 42}, {54, 37}, {76, 14}, {73, 50}, {60, 100}}}},
      {9, 3, {{{80, 18}, {68, 2}, {42, 8}, {20, 34}, {34, 44}, {56, 32}, {77, 8}, {73, 50}, {64, 100}}}},
      {9, 2, {{{76, 26}, {66, 4}, {43, 0}, {19, 20}, {26, 42}, {52, 40}, {76, 16}, {80, 55}, {60, 94}, {22, 94}}}},
  };
  // clang-format on
  return glyphs;
}

const Glyph& choose_glyph(int digit, Random& rng) {
  std::vector<const Glyph*> choices;  // each as often as its weight says
  for (const Glyph& glyph : font())
    if (glyph.digit == digit) choices.insert(choices.end(), glyph.weight, &glyph);
  return *choices[rng.below(static_cast<std::uint32_t>(choices.size()))];
}

// A smooth random displacement of the glyph's box: normal at the nodes of a 3 by 3 lattice, bilinear between.
auto elastic_field(double deviation, Random& rng) {
  std::array<Point, 9> nodes;
  for (Point& node : nodes) node = {deviation * rng.normal(), deviation * rng.normal()};
  return [nodes](Point p) {
    const double u = std::clamp(p.x / 50, 0.0, 2.0), v = std::clamp(p.y / 50, 0.0, 2.0);
    const std::size_t i = u >= 1, j = v >= 1;
    const double fu = u - static_cast<double>(i), fv = v - static_cast<double>(j);
    const auto row = [&](std::size_t k) { return nodes[3 * k + i] * (1 - fu) + nodes[3 * k + i + 1] * fu; };
    return row(j) * (1 - fv) + row(j + 1) * fv;
  };
}

struct Segment {
  Point a, b;
};

// Appends the Catmull-Rom spline through the points, cut into straight pieces.
void append_spline(const Stroke& points, std::vector<Segment>& path) {
  constexpr int pieces = 5;
  const std::size_t last = points.size() - 1;
  for (std::size_t i = 0; i < last; ++i) {
    const Point a = points[i], b = points[i + 1], rise = b - a;
    // The slopes at a and b of the cubic between them.
    const Point slope_a = (b - points[i == 0 ? 0 : i - 1]) * 0.5, slope_b = (points[std::min(i + 2, last)] - a) * 0.5;
    Point previous = a;
    for (int k = 1; k <= pieces; ++k) {
      const double t = static_cast<double>(k) / pieces;
      const Point next =
          a + (slope_a + (rise * 3 - slope_a * 2 - slope_b + (slope_a + slope_b - rise * 2) * t) * t) * t;
      path.push_back({previous, next});
      previous = next;
    }
  }
}

// Writes the digit once: a random glyph, every point displaced, under a random affine map. The amounts are about what
// handwriting shows and a little more: a model that meets only tidier digits reads real ones worse.
std::vector<Segment> write_digit(int digit, Random& rng) {
  const Glyph& glyph = choose_glyph(digit, rng);
  const auto field = elastic_field(11, rng);
  const double jitter = 5;  // of each point by itself, in units of the box like the field
  const double aspect = rng.uniform(0.58, 1.12), shear = 0.12 + 0.3 * rng.normal();  // most hands lean to the right
  const double t = 0.09 * rng.normal();  // tangent of half the angle of rotation
  const double cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);
  const auto displace = [&](Point p) {
    const Point shifted = p + field(p);
    const double y = shifted.y + jitter * rng.normal();
    const double x = aspect * (shifted.x + jitter * rng.normal()) - shear * y;
    return Point{cosine * x - sine * y, sine * x + cosine * y};
  };
  std::vector<Segment> path;
  for (const Stroke& stroke : glyph.strokes) {
    Stroke smooth;  // up to the next corner
    for (std::size_t i = 0; i < stroke.size(); ++i) {
      if (i > 0 && stroke[i] == stroke[i - 1]) {
        append_spline(smooth, path);
        smooth = {smooth.back()};
      } else {
        smooth.push_back(displace(stroke[i]));
      }
    }
    append_spline(smooth, path);
  }
  return path;
}

// Scales the path so that its bounding box, widened by the pen, has a longer side of box_size, and brings its centre
// of mass, to within half a pixel, to the centre of pixel (14, 14): MNIST shifts by whole pixels.
void normalise(std::vector<Segment>& path, double radius, Random& rng) {
  Point low = path[0].a, high = low, moment{0, 0};
  double length = 0;
  for (const Segment& s : path) {
    low = {std::min({low.x, s.a.x, s.b.x}), std::min({low.y, s.a.y, s.b.y})};
    high = {std::max({high.x, s.a.x, s.b.x}), std::max({high.y, s.a.y, s.b.y})};
    const Point along = s.b - s.a;
    const double l = std::sqrt(along.x * along.x + along.y * along.y);
    length += l;
    moment = moment + (s.a + s.b) * l * 0.5;
  }
  const double scale = (box_size - 2 * radius) / std::max(high.x - low.x, high.y - low.y);
  constexpr double middle = image_size / 2 + 0.5;
  const Point offset = {middle + rng.uniform(-0.5, 0.5) - scale * moment.x / length,
                        middle + rng.uniform(-0.5, 0.5) - scale * moment.y / length};
  for (Segment& s : path) s = {s.a * scale + offset, s.b * scale + offset};
}

// Draws with a round pen: ink falls from full to none over `edge` pixels about the distance `radius` from the path,
// a distance that `roughness` makes uncertain.
void render(const std::vector<Segment>& path, double radius, double edge, Random& rng, std::uint8_t* image) {
  constexpr double roughness = 0.25;
  std::array<double, image_size * image_size> squared;  // distance of each pixel's centre to the path
  squared.fill(std::numeric_limits<double>::infinity());
  const double reach = radius + edge / 2;
  const auto pixel = [](double x) { return static_cast<int>(std::clamp(x, 0.0, static_cast<double>(image_size))); };
  for (const Segment& s : path) {
    const double dx = s.b.x - s.a.x, dy = s.b.y - s.a.y, inverse = 1 / std::max(dx * dx + dy * dy, 1e-12);
    const int x0 = pixel(std::min(s.a.x, s.b.x) - reach), x1 = pixel(std::max(s.a.x, s.b.x) + reach + 1);
    const int y0 = pixel(std::min(s.a.y, s.b.y) - reach), y1 = pixel(std::max(s.a.y, s.b.y) + reach + 1);
    for (int y = y0; y < y1; ++y)
      for (int x = x0; x < x1; ++x) {
        const double px = x + 0.5 - s.a.x, py = y + 0.5 - s.a.y;
        const double t = std::clamp((px * dx + py * dy) * inverse, 0.0, 1.0);
        const double ex = px - t * dx, ey = py - t * dy;
        double& best = squared[static_cast<std::size_t>(image_size * y + x)];
        best = std::min(best, ex * ex + ey * ey);
      }
  }
  for (std::size_t i = 0; i < squared.size(); ++i) {
    double ink = 0;
    if (squared[i] < reach * reach)
      ink = std::clamp((reach - std::sqrt(squared[i]) + roughness * rng.uniform(-1, 1)) / edge, 0.0, 1.0);
    image[i] = static_cast<std::uint8_t>(255 * ink + 0.5);
  }
}

void draw_digit(int digit, Random& rng, std::uint8_t* image) {
  std::vector<Segment> path = write_digit(digit, rng);
  const double radius = rng.uniform(0.7, 2.0), edge = rng.uniform(0.8, 1.4);  // in pixels
  normalise(path, radius, rng);
  render(path, radius, edge, rng, image);
}

}  // namespace

LabelledImages synthetic_digits(std::int64_t count, std::uint64_t seed, Split split) {
  check(count >= 1 && count <= std::numeric_limits<std::int32_t>::max(), "synthetic_digits: count ", count,
        " is not in 1..2^31-1");
  LabelledImages result = {Tensor::empty({count, image_size, image_size, 1}, {DType::u8}),
                           Tensor::empty({count}, {DType::i32})};
  auto* images = result.images.mutable_data<std::uint8_t>();
  auto* labels = result.labels.mutable_data<std::int32_t>();
  const auto epoch = static_cast<std::uint32_t>(split);
  parallel_for(count, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const auto index = static_cast<std::uint32_t>(n);
      // Every ten images contain each digit once, in random order.
      labels[n] = Random(seed, Purpose::synthetic, epoch, 1, index / 10).permutation(10)[index % 10];
      Random rng(seed, Purpose::synthetic, epoch, 0, index);
      draw_digit(labels[n], rng, images + n * image_size * image_size);
    }
  });
  return result;
}

}  // namespace mixgrad::data
