// What the library writes and reads is the same in every locale of the program.
#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "mixgrad.h"
#include "tests/comma_locale.h"
#include "tests/error.h"
#include "tests/files.h"
#include "tests/optional.h"
#include "tests/small_network.h"
#include "tests/temporary_folder.h"
#include "tests/training.h"

using namespace mixgrad;
using namespace mixgrad::train;
using test::CommaLocale;
using test::CommaPrintf;
using test::content;
using test::TemporaryFolder;
using test::Training;

namespace {

template <class T>
std::string printed(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

augment::MixPlan plan() {
  Random random(3, Purpose::mixup);
  return augment::draw_mix_plan(20, {}, random);
}

void check_table(const std::string& table) {
  CHECK(table.find("total ") != std::string::npos);
  CHECK_MESSAGE(table.find(',') == std::string::npos, table);
  CHECK_MESSAGE(std::count(table.begin(), table.end(), '.') >= 4, table);
}

}  // namespace

TEST_CASE("locale: errors have plain numbers") {
  const CommaLocale comma;
  CHECK(text_of(1234567, ' ', 0.5, ' ', -1e-7f) == "1234567 0.5 -1e-07");
  CHECK(with_decimals(12345.678, 2) == "12345.68");
  test::check_refused([] { check(false, "op: ", 1000, " and ", 2.5); }, "op: 1000 and 2.5");
  test::check_refused([] { reshape(Tensor::zeros({100, 20}), {1999}); }, "[100, 20]");
}

TEST_CASE("locale: tensors, shapes and plans are printed, on any stream, as they always are") {
  const Tensor x = Tensor::from({1234.5f, -0.25f, 1e-7f, 12345678.0f}, {2, 2});
  const Tensor bytes = Tensor::from<std::uint8_t>({0, 65, 255}, {3});
  const Shape shape{1000, 28, 28};
  const std::string before = printed(x) + printed(bytes) + printed(shape) + printed(plan());
  CHECK(printed(x) == "[[1234.5, -0.25],\n [1e-07, 1.23457e+07]] f32[2, 2]");
  const CommaLocale comma;
  CHECK(printed(x) + printed(bytes) + printed(shape) + printed(plan()) == before);
}

TEST_CASE("locale: a plan that is printed and read in any is the same plan") {
  const auto check_same = [](const augment::MixPlan& read) { CHECK(read == plan()); };
  std::stringstream before;
  before << plan();
  {
    const CommaLocale comma;
    std::stringstream during;
    during << plan() << plan();
    check_same(augment::read_mix_plan(during));
    check_same(augment::read_mix_plan(before));
    before << during.str();
  }
  check_same(augment::read_mix_plan(before));
}

TEST_CASE("locale: a profile's table has decimal points, in the C locale too") {
  const CommaLocale comma;
  const Profile profile;
  matmul(Tensor::ones({64, 64}), Tensor::ones({64, 64}));
  check_table(printed(profile));
  if (const CommaPrintf german; german) check_table(printed(profile));
}

TEST_CASE("locale: metrics.csv has as many columns in every row as in its header") {
  const TemporaryFolder folder;
  const CommaLocale comma;
  Training training;
  training.learn.add(std::make_shared<CsvLogger>(folder / "metrics.csv")).fit(1);
  std::istringstream lines(content(folder / "metrics.csv"));
  for (std::string line; std::getline(lines, line);) CHECK(std::count(line.begin(), line.end(), ',') == 5);
}

TEST_CASE("locale: a checkpoint that is written in one is resumed in another, one-cycle's schedule included") {
  if (!test::has_json()) return;
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name) {
    Training training;
    training.learn.add(std::make_shared<Checkpoint>(folder / name, 1));
    training.learn.add(test::at(&test::At::batch_end, [](Learner& learner) {
      if (learner.batch == 2) learner.stop();
    }));
    training.learn.fit_one_cycle(2, 1e-2);
  };
  const auto go_on = [&](const std::string& name) {
    Training training;
    resume(training.learn, folder / name);
    training.learn.fit_one_cycle(2, 1e-2);
    return test::weights(training.model);
  };
  write("before");
  std::vector<float> during;
  {
    const CommaLocale comma;
    write("during");
    during = go_on("before");
  }
  CHECK(go_on("during") == during);
  CHECK(read_safetensors(folder / "before").metadata == read_safetensors(folder / "during").metadata);
}
