// Shapes and tensors: what they hold, how they print, what they refuse.
#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <sstream>

#include "augment/mixup_loss.h"
#include "core/autograd.h"
#include "core/index.h"
#include "core/log_softmax.h"
#include "core/matmul.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/view.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/cross_entropy.h"
#include "nn/linear.h"
#include "nn/pool.h"
#include "tests/error.h"

using namespace mixgrad;
using test::contains;
using test::error_of;

namespace {

using Floats = std::vector<float>;
constexpr std::int64_t quintillion = 1'000'000'000'000'000'000;

std::string printed(const auto& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

Tensor ones(const Shape& shape, DType dtype = DType::f32) { return Tensor::ones(shape, {.dtype = dtype}); }

}  // namespace

TEST_CASE("shape: extents, counted from either end") {
  const Shape shape{2, 3, 4};
  CHECK(shape.rank() == 3);
  CHECK(shape.numel() == 24);
  CHECK(shape[0] == 2);
  CHECK(shape[-1] == 4);
  CHECK(shape[-3] == 2);
  CHECK(shape.axis(-2) == 1);
  CHECK_THROWS_WITH_AS(shape[3], "shape: axis 3 is out of range for [2, 3, 4]", Error);
  CHECK_THROWS_WITH_AS(shape[-4], "shape: axis -4 is out of range for [2, 3, 4]", Error);
  CHECK(shape.with(-1, 7) == Shape{2, 3, 7});
  CHECK(shape.without(1) == Shape{2, 4});
  CHECK(shape.prepend(5) == Shape{5, 2, 3, 4});
  CHECK(shape.product(1, 3) == 12);
  CHECK(shape.product(3, 3) == 1);
  CHECK(shape != Shape{2, 3});
  CHECK(shape != Shape{2, 4, 3});
}

TEST_CASE("shape: a scalar has no axis and one element, an empty axis makes no element") {
  CHECK(Shape().rank() == 0);
  CHECK(Shape().numel() == 1);
  CHECK(printed(Shape()) == "[]");
  CHECK(Shape{3, 0, 2}.numel() == 0);
  CHECK_THROWS_AS(Shape()[0], Error);
}

TEST_CASE("shape: too many axes, negative extents and overflowing products are errors") {
  CHECK(Shape{1, 1, 1, 1, 1, 2}.rank() == 6);
  CHECK_THROWS_WITH_AS((Shape{1, 1, 1, 1, 1, 1, 1}), doctest::Contains("7 axes"), Error);
  CHECK_THROWS_AS((Shape{1, 1, 1, 1, 1, 1}.prepend(1)), Error);
  CHECK_THROWS_WITH_AS((Shape{3, -2}), doctest::Contains("-2"), Error);
  CHECK(Shape{quintillion}.numel() == quintillion);
  CHECK_THROWS_AS((Shape{quintillion, 10}), Error);
  CHECK_THROWS_AS((Shape{0, quintillion, quintillion}), Error);  // or products of a part of the axes would overflow
  // Room is left for sums of extents, such as with padding on both sides, and for counts of bytes.
  CHECK(Shape{1 << 30, 1 << 30}.numel() == std::int64_t{1} << 60);
  CHECK_THROWS_WITH_AS((Shape{(std::int64_t{1} << 60) + 1, 0}), doctest::Contains("more than 2^60 elements"), Error);
  CHECK_THROWS_AS((Shape{std::numeric_limits<std::int64_t>::max()}), Error);
  CHECK_THROWS_AS(Tensor::zeros({2, 0}).raw_view({0}, std::numeric_limits<std::int64_t>::max()), Error);
}

TEST_CASE("tensor: creation fills it, from any list of the right length") {
  CHECK(Tensor::zeros({2}).to_vector<float>() == Floats{0, 0});
  CHECK(Tensor::ones({2}).to_vector<float>() == Floats{1, 1});
  CHECK(Tensor::full({3}, 2.5).to_vector<float>() == Floats{2.5, 2.5, 2.5});
  CHECK(Tensor::full({2}, 7, {.dtype = DType::u8}).to_vector<std::uint8_t>() == std::vector<std::uint8_t>{7, 7});
  CHECK(Tensor::empty({4, 0}).numel() == 0);
  CHECK(Tensor::from({1.0, 2.0}, {2}).dtype() == DType::f64);
  CHECK(Tensor::from(std::vector<std::int32_t>{1, 2}, {2, 1}).dtype() == DType::i32);
  CHECK(Tensor::from({}, {0}).dtype() == DType::f32);
  CHECK_THROWS_WITH_AS(Tensor::from({1.0f, 2.0f}, {3}), "tensor: 2 values do not fill [3]", Error);
}

TEST_CASE("tensor: a shape too large to exist is an error, not a crash") {
  CHECK_THROWS_AS(Tensor::empty({quintillion}, {.dtype = DType::f64}), Error);
  CHECK_THROWS_AS(Tensor::empty({4 * quintillion}, {.dtype = DType::f64}), Error);  // bytes exceed 64 bits
}

TEST_CASE("tensor: an undefined one refuses to be used") {
  const Tensor nothing;
  CHECK_FALSE(nothing.defined());
  CHECK_FALSE(static_cast<bool>(nothing));
  CHECK(printed(nothing) == "(undefined)");
  CHECK_THROWS_WITH_AS(nothing.shape(), "tensor: used while undefined", Error);
  CHECK_THROWS_AS(add(nothing, ones({1})), Error);
}

TEST_CASE("tensor: item is the only element") {
  CHECK(Tensor::full({}, 2.5).item() == 2.5);
  CHECK(Tensor::full({1, 1}, 3, {.dtype = DType::i32}).item() == 3);
  CHECK_THROWS_WITH_AS(ones({2, 1}).item(), "item: a tensor of shape [2, 1] is not a single value", Error);
  CHECK_THROWS_AS(ones({0}).item(), Error);
}

TEST_CASE("tensor: prints elements, dtype and shape") {
  CHECK(printed(Tensor::full({}, 0.5)) == "0.5 f32[]");
  CHECK(printed(Tensor::from<float>({1, 2.5, -3}, {3})) == "[1, 2.5, -3] f32[3]");
  CHECK(printed(Tensor::from({1, 2, 3, 4}, {2, 2})) == "[[1, 2],\n [3, 4]] i32[2, 2]");
  CHECK(printed(ones({2, 1, 2}, DType::u8)) == "[[[1, 1]],\n [[1, 1]]] u8[2, 1, 2]");
  CHECK(printed(ones({1, 2, 1}, DType::f64)) == "[[[1],\n  [1]]] f64[1, 2, 1]");
  CHECK(printed(Tensor::from({0, 1, 2, 3, 4, 5, 6, 7}, {8})) == "[0, 1, 2, 3, 4, 5, 6, 7] i32[8]");
  CHECK(printed(Tensor::from({0, 1, 2, 3, 4, 5, 6, 7, 8}, {9})) == "[0, 1, 2, ..., 6, 7, 8] i32[9]");
  CHECK(printed(Tensor::full({9, 1}, 5)) == "[[5],\n [5],\n [5],\n ...,\n [5],\n [5],\n [5]] f32[9, 1]");
  CHECK(printed(Tensor::full({2}, 1.0 / 3)) == "[0.333333, 0.333333] f32[2]");
  CHECK(printed(Tensor::empty({0, 3})) == "[] f32[0, 3]");
}

TEST_CASE("tensor: elements are read in the tensor's own dtype only") {
  const Tensor x = ones({2});
  CHECK_THROWS_WITH_AS(x.data<double>(), "tensor: is f32, read as f64", Error);
  CHECK_THROWS_AS(x.mutable_data<std::int32_t>(), Error);
  CHECK_THROWS_AS(x.to_vector<std::uint8_t>(), Error);
}

TEST_CASE("tensor: to another dtype converts, to its own is the tensor itself") {
  const Tensor x = Tensor::from({1.75, -2.75, 300.0}, {3});
  CHECK(x.to(DType::f64).is(x));
  CHECK(x.to(cpu).is(x));
  CHECK(x.to(DType::f32).to_vector<float>() == Floats{1.75, -2.75, 300});
  CHECK(x.to(DType::i32).to_vector<std::int32_t>() == std::vector<std::int32_t>{1, -2, 300});  // towards zero
  CHECK(Tensor::full({}, 200, {.dtype = DType::u8}).to(DType::f32).item() == 200);
  CHECK_FALSE(x.clone().requires_grad_().to(DType::i32).requires_grad());
}

TEST_CASE("tensor: clone copies the data, detach shares it, neither keeps the gradient") {
  const Tensor x = ones({2}).requires_grad_();
  const Tensor copy = x.clone(), same = x.detach();
  CHECK_FALSE(copy.requires_grad());
  CHECK_FALSE(same.requires_grad());
  same.fill_(5);
  CHECK(x.to_vector<float>() == Floats{5, 5});
  CHECK(copy.to_vector<float>() == Floats{1, 1});
}

TEST_CASE("tensor: copy_ writes a tensor of the same shape and dtype") {
  const Tensor x = Tensor::zeros({2});
  x.copy_(Tensor::from<float>({3, 4}, {2}));
  CHECK(x.to_vector<float>() == Floats{3, 4});
  CHECK_THROWS_WITH_AS(x.copy_(ones({2}, DType::f64)), "copy_: source is f64[2], destination f32[2]", Error);
}

TEST_CASE("views: reshape, flatten and slice share memory with their source") {
  const Tensor x = Tensor::from<float>({0, 1, 2, 3, 4, 5}, {3, 2});
  const Tensor rows = slice(x, 1, 3), wide = reshape(x, {2, -1}), last = reshape(slice(rows, 1, 2), {2});
  CHECK(rows.to_vector<float>() == Floats{2, 3, 4, 5});
  CHECK(wide.shape() == Shape{2, 3});
  CHECK(flatten(Tensor::zeros({2, 3, 4})).shape() == Shape{2, 12});
  CHECK(flatten(Tensor::zeros({5})).shape() == Shape{5, 1});
  last.fill_(9);
  CHECK(x.to_vector<float>() == Floats{0, 1, 2, 3, 9, 9});
  CHECK(wide.to_vector<float>() == Floats{0, 1, 2, 3, 9, 9});
  CHECK(slice(x, 3, 3).shape() == Shape{0, 2});
}

TEST_CASE("views: shapes that do not fit are errors that name both") {
  const Tensor x = Tensor::zeros({4, 6});
  CHECK_THROWS_WITH_AS(reshape(x, {5, 5}), "reshape: [4, 6] has 24 elements, [5, 5] has 25", Error);
  const std::string text = error_of([&] { reshape(x, {5, -1}); });
  CHECK_MESSAGE((contains(text, "reshape: [4, 6]") && contains(text, "[5, -1]")), text);
  CHECK_THROWS_AS(reshape(x, {-1, -1}), Error);
  CHECK_THROWS_AS(reshape(x, {2, 2, 2, 3, 1, 1, 1}), Error);
  CHECK_THROWS_AS(reshape(Tensor::zeros({0}), {0, -1}), Error);  // any extent would fit
  CHECK_THROWS_WITH_AS(slice(x, 1, 5), "slice: rows 1 to 5 of [4, 6]", Error);
  CHECK_THROWS_WITH_AS(slice(x, -1, 2), "slice: rows -1 to 2 of [4, 6]", Error);
  CHECK_THROWS_WITH_AS(slice(x, 3, 2), "slice: rows 3 to 2 of [4, 6]", Error);
  CHECK_THROWS_AS(slice(Tensor::zeros({}), 0, 1), Error);
  CHECK_THROWS_AS(x.raw_view({5}, 20), Error);
}

TEST_CASE("errors: arithmetic and functions need floating elements, and say which operation does") {
  const Tensor i32 = ones({3}, DType::i32);
  CHECK_THROWS_WITH_AS(i32 + i32, "add: needs f32 or f64, not i32", Error);
  CHECK_THROWS_WITH_AS(i32 * 2.0, "mul: needs f32 or f64, not i32", Error);
  CHECK_THROWS_WITH_AS(pow(i32, i32), "pow: needs f32 or f64, not i32", Error);
  CHECK_THROWS_WITH_AS(i32 + ones({3}), "add: operands are i32[3] and f32[3]", Error);
  CHECK_THROWS_WITH_AS(add_(i32, i32), "add_: needs f32 or f64, not i32", Error);
  CHECK_THROWS_WITH_AS(exp(i32), "exp: needs f32 or f64, not i32", Error);
  CHECK_THROWS_WITH_AS(leaky_relu(ones({3}, DType::u8)), "leaky_relu: needs f32 or f64, not u8", Error);
}

TEST_CASE("errors: shapes that do not go together are named, with the operation") {
  const Tensor x23 = ones({2, 3}), x4 = ones({4}), image = ones({2, 5, 5, 3});
  const augment::MixPlan plan{{1, 1, 1}, {2, 0, 1}};
  nn::Linear linear(4, 2);
  nn::BatchNorm bn(4);
  struct Case {
    std::string op, first, second;  // the shapes as the text has to spell them
    std::function<void()> f;
  };
  const Case cases[] = {
      {"add", "[2, 3]", "[4]", [&] { add(x23, x4); }},
      {"sub", "[2, 3]", "[4]", [&] { sub(x23, x4); }},
      {"mul", "[4]", "[2, 3]", [&] { mul(x4, x23); }},
      {"div", "[2, 3]", "[4]", [&] { div(x23, x4); }},
      {"add", "[2, 3]", "[3, 2]",
       [&] {
         x23 + ones({3, 2});
       }},
      {"add_", "[2, 3]", "[3]", [&] { add_(x23, ones({3})); }},  // in place, nothing broadcasts
      {"copy_", "[2, 3]", "[4]", [&] { x23.copy_(x4); }},
      {"rebind_", "[2, 3]", "[4]", [&] { x23.rebind_(x4); }},
      {"matmul", "[2, 3]", "[4, 5]",
       [&] {
         matmul(x23, ones({4, 5}));
       }},
      {"matmul", "[2, 3]", "[2, 3]", [&] { matmul(x23, x23); }},
      {"matmul", "[2, 3]", "[3, 4]",
       [&] {
         matmul(x23, ones({3, 4}), {.transpose_b = true});
       }},
      {"matmul", "[2, 3]", "[3, 4]",
       [&] {
         matmul(x23, ones({3, 4}), {.transpose_a = true});
       }},
      {"matmul", "[2, 3]", "[3]", [&] { matmul(x23, ones({3})); }},
      {"raw_view", "[7]", "[2, 3]", [&] { x23.raw_view({7}, 0); }},
      {"conv2d", "[2, 5, 5, 3]", "[8, 3, 3, 4]",
       [&] {
         nn::conv2d(image, ones({8, 3, 3, 4}), {});
       }},
      {"conv2d", "[2, 5, 5, 3]", "[8, 9, 9, 3]",
       [&] {
         nn::conv2d(image, ones({8, 9, 9, 3}), {}, {.padding = 1});
       }},
      {"conv2d", "[2, 3]", "[8, 3, 3, 3]",
       [&] {
         nn::conv2d(x23, ones({8, 3, 3, 3}), {});
       }},
      {"conv2d", "[8, 3, 3, 3]", "[7]",
       [&] {
         nn::conv2d(image, ones({8, 3, 3, 3}), ones({7}));
       }},
      {"Linear", "[2, 3]", "[2, 4]", [&] { linear(x23); }},
      {"BatchNorm", "[2, 3]", "4 channels", [&] { bn(x23); }},
      {"GlobalAvgPool", "[2, 3]", "[N, H, W, C]", [&] { nn::GlobalAvgPool()(x23); }},
      {"cross_entropy", "[2, 3]", "[4]", [&] { nn::cross_entropy(x23, ones({4}, DType::i32)); }},
      {"cross_entropy", "[2, 3]", "[3, 2]",
       [&] {
         nn::cross_entropy(x23, ones({3, 2}));
       }},
      {"mixup", "[2, 3]", "3 samples", [&] { augment::mix(x23, plan); }},
      {"mixup", "[3]", "[3, 1]",
       [&] {
         augment::mix(ones({3}), ones({3, 1}), plan);
       }},
  };
  for (const Case& c : cases) {
    const std::string text = error_of(c.f);
    CAPTURE(text);
    CHECK_MESSAGE(text.starts_with(c.op), c.op);
    CHECK_MESSAGE(contains(text, c.first), c.op, " ", c.first);
    CHECK_MESSAGE(contains(text, c.second), c.op, " ", c.second);
  }
}

TEST_CASE("errors: dtypes that an operation cannot take are named, with the operation") {
  const Tensor f32 = ones({2, 2}), f64 = ones({2, 2}, DType::f64), i32 = ones({2, 2}, DType::i32);
  struct Case {
    std::string op, dtype;
    std::function<void()> f;
  };
  const Case cases[] = {
      {"add", "f64", [&] { add(f32, f64); }},
      {"mul", "f64", [&] { f32* f64; }},
      {"div", "i32", [&] { div(i32, i32); }},
      {"exp", "i32", [&] { exp(i32); }},
      {"relu", "i32", [&] { relu(i32); }},
      {"matmul", "f64", [&] { matmul(f32, f64); }},
      {"matmul", "i32", [&] { matmul(i32, i32); }},
      {"sum", "i32", [&] { sum(i32, 0); }},
      {"mean", "i32", [&] { mean(i32, 0); }},
      {"log_softmax", "i32", [&] { log_softmax(i32); }},
      {"gather", "f32", [&] { gather(f32, ones({2})); }},
      {"one_hot", "f32", [&] { one_hot(ones({2}), 3); }},
      {"conv2d", "f64",
       [&] {
         nn::conv2d(ones({1, 2, 2, 1}), ones({1, 1, 1, 1}, DType::f64), {});
       }},
      {"cross_entropy", "u8", [&] { nn::cross_entropy(f32, ones({2}, DType::u8)); }},
      {"requires_grad_", "i32", [&] { i32.requires_grad_(); }},
  };
  for (const Case& c : cases) {
    const std::string text = error_of(c.f);
    CAPTURE(text);
    CHECK_MESSAGE(text.starts_with(c.op + ":"), c.op);
    CHECK_MESSAGE(contains(text, c.dtype), c.op, " ", c.dtype);
  }
}

TEST_CASE("errors: axes, indices and empty extents out of range") {
  const Tensor x = ones({2, 3}), empty = ones({2, 0});
  CHECK_THROWS_WITH_AS(sum(x, 2), doctest::Contains("axis 2"), Error);
  CHECK_THROWS_AS(max(x, -3), Error);
  CHECK_THROWS_WITH_AS(max(empty, 1), "max: axis 1 of [2, 0] is empty", Error);
  CHECK_THROWS_AS(mean(empty, 1), Error);
  CHECK_THROWS_AS(mean(empty), Error);
  CHECK_THROWS_AS(argmax(empty, 1), Error);
  CHECK_THROWS_AS(log_softmax(empty), Error);
  CHECK_THROWS_AS(log_softmax(ones({})), Error);
  CHECK_THROWS_WITH_AS(gather(x, Tensor::from({0, 2, 1}, {3})), "gather: index 2 at position 1 is outside 0..1", Error);
  CHECK_THROWS_AS(gather(x, Tensor::from({-1}, {1})), Error);
  CHECK_THROWS_AS(gather(ones({}), Tensor::from({0}, {1})), Error);
  CHECK_THROWS_AS(one_hot(Tensor::from({3}, {1}), 3), Error);
  CHECK_THROWS_WITH_AS(nn::cross_entropy(x, Tensor::from({0, 3}, {2})),
                       "cross_entropy: index 3 at position 1 is outside 0..2", Error);
}

TEST_CASE("one_hot: a row with a single 1 for each index") {
  const Tensor rows = one_hot(Tensor::from({2, 0}, {2}), 3, DType::f64);
  CHECK(rows.to_vector<double>() == std::vector<double>{0, 0, 1, 1, 0, 0});
}
