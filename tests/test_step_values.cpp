// StepTable, StepStreamsFrom and Series on the CPU: what the host decides ahead of some steps, and what it reads after.
#include <doctest/doctest.h>

#include "core/step_values.h"
#include "nn/dropout.h"
#include "tests/error.h"

using namespace mixgrad;

namespace {

Tensor f32(const std::vector<float>& values) { return Tensor::from(values, {std::ssize(values)}); }
Tensor i32(const std::vector<std::int32_t>& values) { return Tensor::from(values, {std::ssize(values)}); }

}  // namespace

TEST_CASE("step table: next() puts one row after the other in the same places, also of those put after clear()") {
  StepTable table(cpu, 3);
  Tensor lambda, indices;
  for (const int rows : {3, 1, 2}) {
    table.clear();
    for (int row = 0; row < rows; ++row) {
      const int number = 10 * rows + row;
      lambda = table.begin_row().put(f32({static_cast<float>(number) + 0.5f, 0.25f}));
      indices = table.put(i32({number, -number, 7}));
    }
    table.upload();
    for (int row = 0; row < rows; ++row) {
      const int number = 10 * rows + row;
      table.next();
      CHECK(lambda.to_vector<float>() == std::vector<float>{static_cast<float>(number) + 0.5f, 0.25f});
      CHECK(indices.to_vector<std::int32_t>() == std::vector<std::int32_t>{number, -number, 7});
    }
  }
}

TEST_CASE("step table: the places stay where they are, whatever is cleared and put again") {
  StepTable table(cpu, 2);
  const Tensor place = table.begin_row().put(f32({1, 2}));
  for (const bool uploaded : {false, true}) {
    if (uploaded) table.upload();
    table.clear();
    CHECK(table.begin_row().put(f32({3, 4})).is(place));
  }
  table.upload();
  table.next();
  CHECK(place.to_vector<float>() == std::vector<float>{3, 4});
}

TEST_CASE("step table: rows unlike the first, unfinished ones, too many and other dtypes are refused") {
  const auto put_row = [](StepTable& table) {
    table.begin_row().put(f32({1}));
    table.put(i32({1, 2}));
  };
  const auto check_refused = [&](const std::string& words, const auto& f) {
    StepTable table(cpu, 2);
    put_row(table);
    test::check_refused([&] { f(table); }, words);
  };
  check_refused("value 0 is f32[1] in the first row, i32[1] in row 1",
                [](StepTable& table) { table.begin_row().put(i32({1})); });
  check_refused("row 1 has 1 values, the first has 2", [](StepTable& table) {
    table.begin_row().put(f32({1}));
    table.begin_row();
  });
  check_refused("the last row has 0 values, the first has 2", [](StepTable& table) { table.begin_row().upload(); });
  check_refused("row 1 has more values than the first", [&](StepTable& table) {
    put_row(table);
    table.put(f32({1}));
  });
  check_refused("more than 2 rows", [&](StepTable& table) {
    put_row(table);
    table.begin_row();
  });
  StepTable bytes(cpu, 1);
  test::check_refused([&] { bytes.begin_row().put(Tensor::zeros({1}, {.dtype = DType::u8})); }, "not u8");
}

TEST_CASE("step random: streams are counted from the number in memory, from one call to the next") {
  const RandomState before = random_state();
  const Tensor x = Tensor::ones({100});
  const auto dropped = [&](std::uint32_t stream) {
    manual_seed(3);
    random_state().streams = stream;
    return nn::Dropout(0.5)(x).to_vector<float>();
  };
  const auto fourth = dropped(4), fifth = dropped(5), ninth = dropped(9);
  const Tensor first = i32({4});
  {
    const StepStreamsFrom from(first);  // six streams have been taken by now
    CHECK(nn::Dropout(0.5)(x).to_vector<float>() == fourth);
    CHECK(nn::Dropout(0.5)(x).to_vector<float>() == fifth);
  }
  random_state() = before;
}

TEST_CASE("series: rows beyond those it has room for are lost, and no others; what was taken is not given again") {
  Series series(cpu, 2, 3);
  for (const int rows : {2, 5, 3, 0, 1}) {
    std::vector<double> expected;
    for (int row = 0; row < rows; ++row) {
      const float value = static_cast<float>(10 * rows + row);
      series.append({Tensor::full({}, value), Tensor::full({1}, -value)});
      if (row < 3) expected.insert(expected.end(), {value, -value});
    }
    CHECK(series.take() == expected);
  }
  const Tensor memory = Tensor::zeros({4}), count = i32({3});
  kernels::copy_row(Cpu{}, true, memory.raw_view({3, 1}, 0), std::vector{f32({1})}, count);
  CHECK(memory.to_vector<float>() == std::vector<float>(4, 0.0f));
  CHECK(count.to_vector<std::int32_t>()[0] == 4);
}
