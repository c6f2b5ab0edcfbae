// The pictures, by way of a stand-in for gnuplot that keeps its script, and by way of gnuplot where there is one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "apps/gnuplot.h"
#include "apps/pictures.h"
#include "tests/comma_locale.h"
#include "tests/error.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using namespace mixgrad::apps;
using test::contains;
using test::content;
using test::TemporaryFolder;

namespace {

// While it lives, the programs of a folder come before those of the system, or take their place.
class Path {
 public:
  Path(const std::string& folder, bool alone) { setenv("PATH", (alone ? folder : folder + ":" + before_).c_str(), 1); }
  ~Path() { setenv("PATH", before_.c_str(), 1); }
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;

 private:
  const std::string before_ = std::getenv("PATH");
};

// A gnuplot that keeps its script, then does `ends`. $part is the file that it should write.
class StandIn {
 public:
  explicit StandIn(const std::string& ends = "printf 'IEND\\256B\\140\\202' >\"$part\"") {
    const std::string script = "'" + (folder_ / "script") + "'";
    folder_.write("gnuplot", "#!/bin/sh\ncat >" + script +
                                 "\npart=$(sed -n \"/^set output '/ { s/''/'/g; s/^[^']*'//; s/'$//; p }\" " + script +
                                 ")\n" + ends + "\n");
    std::filesystem::permissions(folder_ / "gnuplot", std::filesystem::perms::owner_all);
    path_.emplace(folder_.path(), false);
  }
  std::string script() const { return content(folder_ / "script"); }

 private:
  const TemporaryFolder folder_;
  std::optional<Path> path_;
};

// The rows of numbers of each '-' of a script.
using Rows = std::vector<std::vector<double>>;
std::vector<Rows> data_of(const std::string& script) {
  std::vector<Rows> blocks(1);
  std::istringstream lines(script);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::vector<double> row;
    for (std::string word; words >> word;) {
      char* end = nullptr;
      row.push_back(std::strtod(word.c_str(), &end));
      if (*end != '\0') row.clear(), words.setstate(std::ios::failbit);
    }
    if (line == "e") blocks.emplace_back();
    else if (!row.empty()) blocks.back().push_back(row);
  }
  blocks.pop_back();
  return blocks;
}

RunCurves run(const std::string& name, const std::vector<double>& train_losses) {
  RunCurves run{name, {}};
  for (const double loss : train_losses) {
    train::EpochRecord record;
    record.epoch = static_cast<int>(run.epochs.size()) + 1;
    record.train_loss = loss;
    record.valid_loss = 0.5;
    record.metrics = {0.75};
    run.epochs.push_back(record);
  }
  return run;
}

const Tensor counts = Tensor::from(std::vector<std::int32_t>{98, 2, 0, 100}, {2, 2});
const Tensor sheet = Tensor::from(std::vector<float>(2 * 3 * 4, 0.5f), {2, 3, 4, 1});
const std::vector<float> draws{0.5f, 0.7f, 0.99f, 1.0f};

bool write_any(const std::string& kind, const std::string& png) {
  if (kind == "curves") return write_curves(png, {run("plain", {1, 0.5}), run("mixup", {2, 1})});
  if (kind == "lr") return write_lr_curve(png, {.lr = {1e-3, 1e-2, 0.1}, .loss = {1, 0.5, 2}, .suggestion = 0.01});
  if (kind == "beta") return write_beta_density(png, {.alpha = 0.4}, draws);
  if (kind == "top") return write_image_grid(png, sheet, {"it's a 100 % `ls`", "seven, read as three (0.98)"});
  return write_confusion_matrix(png, counts, {"100 %d", "b_2"});
}
const std::vector<std::string> kinds{"curves", "lr", "beta", "top", "confusion"};

}  // namespace

TEST_CASE("pictures: text is quoted for gnuplot, on one line") {
  CHECK(quoted("it's 5 %") == "'it''s 5 %'");
  CHECK(quoted("a\nexit") == "'a?exit'");
  CHECK(quoted_tic("5 %d'") == "'5 %%d'''");
}

TEST_CASE("pictures: without gnuplot nothing is written") {
  const TemporaryFolder empty, out;
  const Path path(empty.path(), true);
  for (const auto& kind : kinds) CHECK_FALSE(write_any(kind, out / "picture.png"));
  CHECK(std::filesystem::is_empty(out.path()));
}

TEST_CASE("pictures: each is written under its own name, whatever that is") {
  const TemporaryFolder out;
  const StandIn gnuplot;
  for (const auto& kind : kinds)
    for (const char* const name : {"picture.png", "it's `date` $x.png", "|touch x", "~x"}) {
      CHECK(write_any(kind, out / name));
      CHECK(contains(content(out / name), "IEND"));
      CHECK_FALSE(std::filesystem::exists((out / name) + ".part"));
      CHECK(contains(gnuplot.script(), "noenhanced"));
    }
  CHECK_THROWS_WITH_AS(write_any("beta", out / "a\nb"), doctest::Contains("newline"), Error);
}

TEST_CASE("pictures: a gnuplot that fails leaves the picture before it, and no part of the new one") {
  const TemporaryFolder out;
  const std::string png = out.write("picture.png", "the old one");
  for (const char* const ends : {"exit 1", "exit 0", "echo half >\"$part\"; exit 1", "echo half >\"$part\"",
                                 "printf IEND >\"$part\"", "kill -KILL $$"}) {
    const StandIn gnuplot(ends);
    for (const auto& kind : kinds) {
      CHECK_THROWS_WITH_AS(write_any(kind, png), ("picture: gnuplot could not write " + png).c_str(), Error);
      CHECK(content(png) == "the old one");
      CHECK_FALSE(std::filesystem::exists(png + ".part"));
    }
  }
  const StandIn gnuplot;
  CHECK_THROWS_AS(write_any("top", out.path()), Error);
  CHECK_THROWS_WITH_AS(write_any("top", out / "none/picture.png"), doctest::Contains(": No such file or directory"),
                       Error);
}

TEST_CASE("pictures: a gnuplot that reads nothing ends in an error, not in a signal") {
  const TemporaryFolder bin, out;
  bin.write("gnuplot", "#!/bin/sh\nexec <&-\nexit 1\n");
  std::filesystem::permissions(bin / "gnuplot", std::filesystem::perms::owner_all);
  const Path path(bin.path(), false);
  const Tensor large = Tensor::from(std::vector<float>(200 * 200, 0.5f), {1, 200, 200, 1});  // more than a pipe holds
  CHECK_THROWS_AS(write_image_grid(out / "picture.png", large, {"a"}), Error);
}

TEST_CASE("pictures: numbers have a decimal point in every locale") {
  const TemporaryFolder out;
  const StandIn gnuplot;
  const test::CommaLocale comma;
  CHECK(write_any("curves", out / "picture.png"));
  CHECK(contains(gnuplot.script(), "\n1 0.75\n"));
  CHECK(contains(gnuplot.script(), "size 1400,640 "));
}

TEST_CASE("pictures: curves show each run's losses and accuracy, and leave out what is not finite") {
  const TemporaryFolder out;
  const StandIn gnuplot;
  constexpr double inf = std::numeric_limits<double>::infinity();
  CHECK(write_curves(out / "a.png", {run("plain", {1, 0.25}), run("mix'up", {inf, std::nan("")})}));
  const std::string script = gnuplot.script();
  for (const char* const title :
       {"'plain, training'", "'plain, validation'", "'mix''up, training (not finite)'", "'mix''up'"})
    CHECK(contains(script, std::string("title ") + title));
  const std::vector<Rows> data = data_of(script);
  REQUIRE(data.size() == 6);
  CHECK(data[0] == Rows{{1, 1}, {2, 0.25}});
  CHECK(std::isnan(data[2].at(0).at(1)));
  CHECK(std::isnan(data[2].at(1).at(1)));
  CHECK(data[5] == Rows{{1, 0.75}, {2, 0.75}});
  RunCurves without = run("plain", {1});
  without.epochs[0].metrics.clear();
  CHECK_THROWS_WITH_AS(write_curves(out / "b.png", {}), doctest::Contains("0 runs"), Error);
  CHECK_THROWS_WITH_AS(write_curves(out / "b.png", {run("plain", {})}), doctest::Contains("no epochs"), Error);
  CHECK_THROWS_WITH_AS(write_curves(out / "b.png", {without}), doctest::Contains("no accuracy"), Error);
  CHECK_THROWS_AS(write_curves(out / "b.png", std::vector(5, run("plain", {1}))), Error);
  CHECK_FALSE(std::filesystem::exists(out / "b.png"));
}

TEST_CASE("pictures: titles say what they are of, and legends stand below, where they cover nothing") {
  const TemporaryFolder out;
  const StandIn gnuplot;
  const std::string title = "it's the title";
  CHECK(write_curves(out / "a.png", {run("plain", {1, 0.5})}, title));
  CHECK(contains(gnuplot.script(), "set multiplot layout 1,2 title 'it''s the title'\n"));
  CHECK(contains(gnuplot.script(), "moving average"));
  CHECK(contains(gnuplot.script(), "set key below"));
  CHECK(contains(gnuplot.script(), "set yrange [0:1.05]\n"));  // no room for a legend
  CHECK(write_lr_curve(out / "a.png", {.lr = {1e-3, 1e-2}, .loss = {1, 0.5}, .suggestion = 0.01}, title));
  CHECK(contains(gnuplot.script(), "set title 'it''s the title'\n"));
  CHECK(contains(gnuplot.script(), "set key below"));
  for (const bool dedupe : {false, true}) {
    const std::vector<float> lambda{0.5f, 0.7f};
    CHECK(write_beta_density(out / "a.png", {.dedupe = dedupe}, lambda, title));
    CHECK(contains(gnuplot.script(), dedupe ? "layout 1,2 title 'it''s the title'\n" : "set title 'it''s the title; "));
    CHECK(contains(gnuplot.script(), "set key below"));
  }
}

TEST_CASE("pictures: a range test is drawn over the logarithm of the rate, with its suggestion") {
  const TemporaryFolder out;
  const StandIn gnuplot;
  CHECK(write_any("lr", out / "a.png"));
  const std::string script = gnuplot.script();
  CHECK(contains(script, "set logscale x\n"));
  CHECK(contains(script, "title 'suggestion: 1.0e-02'"));
  const std::vector<Rows> data = data_of(script);
  REQUIRE(data.size() == 2);
  CHECK(data[0] == Rows{{1e-3, 1}, {1e-2, 0.5}, {0.1, 2}});
  CHECK(data[1].at(0).at(0) == 0.01);
  CHECK_THROWS_AS(write_lr_curve(out / "b.png", {}), Error);
  CHECK_THROWS_AS(write_lr_curve(out / "b.png", {.lr = {1, 2}, .loss = {1, 2}, .suggestion = 0}), Error);
}

TEST_CASE("pictures: the density of Beta(alpha, alpha) integrates to one") {
  for (const double x : {0.1, 0.5, 0.8}) {
    CHECK(beta_density(x, 1) == doctest::Approx(1));
    CHECK(beta_density(x, 2) == doctest::Approx(6 * x * (1 - x)));
  }
  for (const double alpha : {0.1, 0.4, 1.0, 2.0, 20.0}) {
    // The half below 1/2 in u = x^power, which takes the pole away: dx = x^(1-power) / power du.
    const double power = std::min(alpha, 1.0);
    const int steps = 10000;
    const double step = std::pow(0.5, power) / steps;
    double half = 0;
    for (int i = 0; i < steps; ++i) {
      const double x = std::pow((i + 0.5) * step, 1 / power);
      half += beta_density(x, alpha) * std::pow(x, 1 - power) / power * step;
    }
    CHECK(half == doctest::Approx(0.5).epsilon(1e-5));  // of the midpoint rule
  }
}

TEST_CASE("pictures: the histogram of lambda has area 1 under its density, folded where lambda is") {
  const TemporaryFolder out;
  const StandIn gnuplot;
  for (const double alpha : {0.01, 0.4, 1.0, 100.0, 1e6})
    for (const bool dedupe : {false, true}) {
      CAPTURE(alpha);
      CAPTURE(dedupe);
      Random random(1, Purpose::mixup);
      const augment::MixOptions options{.alpha = alpha, .dedupe = dedupe};
      CHECK(write_beta_density(out / "a.png", options, augment::draw_mix_plan(1000, options, random).lambda));
      const std::string script = gnuplot.script();
      CHECK(contains(script, dedupe ? "'lambda = max(t, 1 - t)'" : "'lambda = t from Beta("));
      std::vector<Rows> data = data_of(script);
      REQUIRE(data.size() == (dedupe ? 4 : 2));
      const auto is_density = [&](const Rows& curve, double scale, double first) {
        CHECK(curve.front().at(0) == doctest::Approx(first).epsilon(1e-3));
        for (const auto& point : curve) {
          CHECK(std::isfinite(point.at(1)));
          // Nine digits of t are written, and the density has poles, or is steep where alpha is large.
          CHECK(point[1] == doctest::Approx(scale * beta_density(point[0], alpha)).epsilon(1e-3));
        }
        // gnuplot moves level lines by up to half a pixel, which is a bump where they meet others. Its coordinates are
        // twentieths of a pixel, the panel is less than 500 pixels high: each line rises or falls by more, but the
        // last.
        const double top = std::stod(script.substr(script.find("set yrange [0:") + 14));
        for (std::size_t i = 2; i < curve.size(); ++i)
          CHECK(std::abs(curve[i - 1][1] - curve[i - 2][1]) > top / 500 / 20);
      };
      if (dedupe) {  // the density that is folded: its left half, then the whole
        CHECK(contains(script, "'t from Beta("));
        const double first = data[1].front().at(0), last = data[1].back().at(0);
        CHECK(first + last == doctest::Approx(1));
        is_density(data[0], 1, first);
        is_density(data[1], 1, first);
        CHECK(data[0].back().at(0) == 0.5);
        CHECK(data[1].back().at(1) == doctest::Approx(data[3].back().at(1) / 2).epsilon(1e-8));  // nine digits
        data.erase(data.begin(), data.begin() + 2);
      }
      is_density(data[1], dedupe ? 2 : 1, dedupe ? 0.5 : data[1].front().at(0));
      double area = 0;
      for (const auto& bin : data[0]) area += bin.at(1) * (data[0][1][0] - data[0][0][0]);
      CHECK(area == doctest::Approx(1).epsilon(1e-4));  // nine digits of 0.50001 leave so many of a bin's width
      CHECK(data[1].front().at(0) >= (dedupe ? 0.5 : 0.0));
    }
}

TEST_CASE("pictures: the ticks of learning rates are powers of ten") {
  const TemporaryFolder out;
  const StandIn gnuplot;
  CHECK(write_any("lr", out / "a.png"));
  const std::string ticks = gnuplot.script();
  for (const char* const tick : {"'10⁻³' 1e-3 0,'' 2e-3 1,", "'10⁻¹' 1e-1 0"}) CHECK(contains(ticks, tick));
  CHECK(write_lr_curve(out / "a.png", {.lr = {1e-12, 1, 1e3}, .loss = {1, 0.5, 2}, .suggestion = 0.01}));
  CHECK(contains(gnuplot.script(), "'10⁻¹²' 1e-12 0"));
  CHECK(contains(gnuplot.script(), "'10⁰' 1e0 0"));
  CHECK(contains(gnuplot.script(), "'' 1e1 0"));  // where they stand close, every second has a name
}

TEST_CASE("pictures: a probability has two digits, and never looks certain") {
  const std::vector<std::pair<double, std::string>> texts{{6.1e-8, "< 0.01"}, {0, "< 0.01"},    {0.01, "0.01"},
                                                          {0.1, "0.10"},      {0.0999, "0.10"}, {0.985, "0.98"},
                                                          {0.991, "> 0.99"},  {1, "> 0.99"}};
  for (const auto& [probability, text] : texts) CHECK(probability_text(probability) == text);
}

TEST_CASE("pictures: a density refuses draws that are none of its own") {
  const TemporaryFolder out;
  const auto write = [&](const augment::MixOptions& options, const std::vector<float>& lambda) {
    return write_beta_density(out / "a.png", options, lambda);
  };
  for (const double alpha : {0.0, -1.0, 2e6, std::nan("")}) CHECK_THROWS_AS(write({.alpha = alpha}, draws), Error);
  CHECK_THROWS_WITH_AS(write({}, {}), "beta density: there are no draws", Error);
  CHECK_THROWS_WITH_AS(write({}, {0.25f}), doctest::Contains("0.25 is not in 0.5..1"), Error);
  CHECK_THROWS_AS(write({.dedupe = false}, {-0.25f}), Error);
  CHECK_THROWS_AS(write({.dedupe = false}, {1.25f}), Error);
  CHECK_THROWS_AS(write({.dedupe = false}, {std::nanf("")}), Error);
  CHECK(std::filesystem::is_empty(out.path()));
}

TEST_CASE("pictures: a sheet has an image and a caption for each, in colour where channels differ") {
  const TemporaryFolder out;
  const StandIn gnuplot;
  std::vector<float> pixels{0, 0, 0, 0.5f, 0.5f, 0.5f, 0.25f, 0.25f, 0.25f, 1, 1, 1};
  CHECK(write_image_grid(out / "a.png", Tensor::from(pixels, {1, 2, 2, 3}), {"a"}));
  CHECK(data_of(gnuplot.script()) == std::vector<Rows>{{{0, 0, 0}, {1, 0, 0.5}, {0, 1, 0.25}, {1, 1, 1}}});
  pixels[4] = 7;
  CHECK(write_image_grid(out / "a.png", Tensor::from(pixels, {1, 2, 2, 3}), {"a"}));
  CHECK(data_of(gnuplot.script()).at(0).at(1) == std::vector<double>{1, 0, 128, 255, 128});
  CHECK(write_any("top", out / "a.png"));
  CHECK(data_of(gnuplot.script()).size() == 2);
  CHECK(contains(gnuplot.script(), "set title 'it''s a 100 % `ls`'\nplot"));

  CHECK_FALSE(contains(gnuplot.script(), "set label 1"));
  CHECK(write_image_grid(out / "a.png", sheet, {"a", "b"}, "it's the title"));
  CHECK(contains(gnuplot.script(), "set label 1 'it''s the title' at screen 0.5,"));

  const auto refuses = [&](const Shape& shape, const std::vector<std::string>& captions) {
    CHECK_THROWS_AS(write_image_grid(out / "b.png", Tensor::zeros(shape), captions), Error);
  };
  refuses({0, 2, 2, 1}, {});
  refuses({2, 2, 2, 1}, {"a"});
  refuses({1, 1, 1, 1}, {"a"});
  refuses({1, 2, 2000, 1}, {"a"});
  refuses({17, 1024, 1024, 1}, std::vector<std::string>(17));
  refuses({1, 2, 2, 0}, {"a"});
  refuses({1, 2, 2}, {"a"});
  refuses({101, 2, 2, 1}, std::vector<std::string>(101));
  CHECK_FALSE(std::filesystem::exists(out / "b.png"));
}

TEST_CASE("pictures: a confusion matrix has true classes down, predicted ones across") {
  const TemporaryFolder out;
  const StandIn gnuplot;
  CHECK(write_any("confusion", out / "a.png"));
  const std::string script = gnuplot.script();
  CHECK(contains(script, "set label '2' at 1,0 "));
  CHECK(contains(script, "set label '0' at 0,1 "));
  CHECK(contains(script, "ytics ('100 %%d' 0, 'b_2' 1)"));
  CHECK(write_confusion_matrix(out / "a.png", counts, {"a", "b"}, "it's 99.00 % right"));
  CHECK(contains(gnuplot.script(), "set title 'it''s 99.00 % right'\n"));
  const Rows shades = data_of(script).at(0);
  REQUIRE(shades.size() == 4);
  CHECK(shades[3] == std::vector<double>{1, 1, 1});
  CHECK(shades[2] == std::vector<double>{0, 1, 0});
  CHECK(shades[1].at(2) == doctest::Approx(1 + std::log10(0.02) / 3).epsilon(1e-4));  // six digits are written

  const auto refuses = [&](const Tensor& matrix, const std::vector<std::string>& names) {
    CHECK_THROWS_AS(write_confusion_matrix(out / "b.png", matrix, names), Error);
  };
  refuses(counts, {});
  refuses(counts, {"a", "b", "c"});
  refuses(sheet, {"a", "b"});
  refuses(Tensor::from(std::vector<std::int32_t>{1, 2, -3, 4}, {2, 2}), {"a", "b"});
  refuses(Tensor::from(std::vector<std::int32_t>(101 * 101, 1), {101, 101}), std::vector<std::string>(101));
  CHECK(write_confusion_matrix(out / "c.png", Tensor::from(std::vector<std::int32_t>{0}, {1, 1}), {"a"}));
  CHECK_FALSE(std::filesystem::exists(out / "b.png"));
}

TEST_CASE("pictures: gnuplot draws each as a PNG") {
  if (std::system("command -v gnuplot > /dev/null 2>&1") != 0) {
    MESSAGE("skipped: pictures drawn by gnuplot (needs gnuplot)");
    return;
  }
  const TemporaryFolder out;
  for (const auto& kind : kinds) {
    CHECK(write_any(kind, out / "it's | a ~picture.png"));
    CHECK(content(out / "it's | a ~picture.png").substr(1, 3) == "PNG");
  }
  CHECK(write_curves(out / "nan.png", {run("plain", {std::nan("")})}));
}
