// The tape: what flows where, when it is freed, and what is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>

#include "core/allocator.h"
#include "core/autograd.h"
#include "core/matmul.h"
#include "core/pointwise.h"
#include "core/profile.h"
#include "core/reduce.h"
#include "core/view.h"
#include "op_cases.h"

using namespace mixgrad;
using namespace mixgrad::test;

namespace {

using Doubles = std::vector<double>;

Tensor leaf(const Doubles& values) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())}).requires_grad_();
}
Tensor leaf(double value) { return Tensor::full({}, value, {.dtype = DType::f64}).requires_grad_(); }

Doubles grad_of(const Tensor& x) { return x.grad().to_vector<double>(); }

}  // namespace

TEST_CASE("backward: what is added to gradients from before is complete, and nothing of it when backward fails") {
  const Tensor x = Tensor::from({2.0f, 3.0f}, {2}).requires_grad_(), w = Tensor::from({5.0f}, {1}).requires_grad_();
  for (int round = 0; round < 2; ++round) sum(x * w + x).backward();
  CHECK(x.grad().to_vector<float>() == std::vector<float>{12, 12});
  CHECK(w.grad().to_vector<float>() == std::vector<float>{10});
  const Tensor y = no_grad([&] { return x * 1.0; });
  record(y, "failing", {x}, [](const Tensor&, Gradients&) { fail("no"); });
  CHECK_THROWS_AS(sum(y * w).backward(), Error);  // w has its gradient by then
  CHECK(x.grad().to_vector<float>() == std::vector<float>{12, 12});
  CHECK(w.grad().to_vector<float>() == std::vector<float>{10});
  sum(x * w).backward();
  CHECK(w.grad().to_vector<float>() == std::vector<float>{15});
}

TEST_CASE("backward: what is added to one gradient twice is not in one launch, where a GPU would add both at once") {
  const Tensor twice = Tensor::ones({3}).requires_grad_(), once = Tensor::ones({3}).requires_grad_();
  const auto run = [&] { (sum(twice * twice) + sum(once)).backward(); };
  run();  // from now on there are gradients to add to
  const Profile profile;
  run();
  const auto entries = profile.entries();
  const auto additions = std::find_if(entries.begin(), entries.end(), [](const auto& e) { return e.kernel == "add_"; });
  REQUIRE(additions != entries.end());
  CHECK(additions->calls == 2);
  CHECK(twice.grad().to_vector<float>() == std::vector<float>(3, 4.0f));
}

TEST_CASE("autograd: the gradient of a product is the other factor") {
  const Tensor a = leaf({1, 2}), b = leaf({3, 4});
  sum(a * b).backward();
  CHECK(grad_of(a) == Doubles{3, 4});
  CHECK(grad_of(b) == Doubles{1, 2});
}

TEST_CASE("autograd: a tensor used twice in one operation gets both gradients") {
  const Tensor x = leaf(3);
  (x * x).backward();
  CHECK(x.grad().item() == 6);
}

TEST_CASE("autograd: diamonds add up, however the paths join") {
  const Tensor x = leaf(3);
  const Tensor left = x * x, right = x + x;
  (left * right + left).backward();  // 2 x^3 + x^2
  CHECK(x.grad().item() == 6 * 9 + 2 * 3);

  const Tensor y = leaf(1);
  Tensor doubled = y;
  for (int i = 0; i < 30; ++i) doubled = doubled + doubled;  // 2^30 paths, each operation run once
  doubled.backward();
  CHECK(y.grad().item() == 1 << 30);
}

TEST_CASE("autograd: a short and a long path to the same tensor are both complete before it runs") {
  const Tensor x = leaf(2);
  const Tensor middle = x * x;
  Tensor long_way = middle;
  for (int i = 0; i < 5; ++i) long_way = long_way * 1.0;
  (middle + long_way).backward();
  CHECK(x.grad().item() == 8);
}

TEST_CASE("autograd: two backward calls accumulate") {
  const Tensor x = leaf({1, 2});
  sum(x * x).backward();
  const Tensor after_one = x.grad();
  sum(3.0 * x).backward();
  CHECK(grad_of(x) == Doubles{2 + 3, 4 + 3});
  CHECK(x.grad().is(after_one));  // in the same memory, so that whoever holds it sees the sum
}

TEST_CASE("autograd: leaves do not share the memory of their gradients") {
  const Tensor a = leaf(1), b = leaf(2);
  (a + b).backward();  // both receive one and the same tensor
  a.grad().fill_(7);
  CHECK(b.grad().item() == 1);
}

TEST_CASE("autograd: a gradient that an operation gives to two inputs is not taken over by a leaf") {
  const Tensor w = leaf(3), x = leaf(2), h = x * 5.0, tens = w * 10.0, hundreds = w * 100.0;
  const Tensor both = Tensor::zeros({}, w.options());
  record(both, "both", {w, h}, [](const Tensor& grad, Gradients& to) {
    const Tensor d = grad * 1.0;
    to.add(0, d);
    to.add(1, d);
  });
  (both + tens + hundreds).backward();  // `both` comes first, h last; in between, w's gradient is added to in place
  CHECK(w.grad().item() == 111);
  CHECK(x.grad().item() == 5);
}

TEST_CASE("autograd: a leaf takes over what is given away, through a reshape as well, unless another handle is left") {
  for (const bool is_kept : {false, true}) {
    CAPTURE(is_kept);
    const Tensor x = Tensor::ones({2, 3}).requires_grad_(), y = Tensor::zeros({});
    Tensor kept;
    const float* given = nullptr;
    record(y, "y", {reshape(x, {6})}, [&](const Tensor&, Gradients& to) {
      Tensor d = Tensor::full({6}, 3);
      given = d.data<float>();
      if (is_kept) kept = d;
      to.add(0, std::move(d));
    });
    y.backward();
    CHECK((x.grad().data<float>() == given) == !is_kept);
    CHECK(x.grad().to_vector<float>() == std::vector<float>(6, 3));
  }
}

TEST_CASE("autograd: a leaf is its own scalar output") {
  const Tensor x = leaf(5);
  x.backward();
  CHECK(x.grad().item() == 1);
}

TEST_CASE("autograd: a second backward through a spent tape is an error") {
  const Tensor x = leaf(3);
  const Tensor square = x * x;
  const Tensor loss = 2.0 * square;
  loss.backward();
  const char* const error =
      "backward: an earlier backward() has already consumed the tape of this tensor, or a part of it; compute it "
      "again, or add "
      "the losses and call backward() once";
  CHECK_THROWS_WITH_AS(loss.backward(), error, Error);
  CHECK_THROWS_WITH_AS(exp(square).backward(), error, Error);  // the part it shares is spent
  CHECK(x.grad().item() == 12);
  const Tensor total = sum(leaf({1, 2}) * 2.0);  // which reshapes: an operation that the caller did not name
  total.backward();
  CHECK_THROWS_WITH_AS(total.backward(), error, Error);
}

TEST_CASE("autograd: backward that failed leaves nothing behind in the part of the tape it did not reach") {
  const Tensor x = leaf(3), weight = leaf(2);
  const Tensor h = x * 5.0;
  const Tensor bad = h * weight;
  const Tensor loss = h + bad;
  no_grad([&] { weight.fill_(0); });
  CHECK_THROWS_AS(loss.backward(), Error);
  h.backward();
  CHECK(x.grad().item() == 5);
}

TEST_CASE("autograd: backward starts from a single value that depends on a leaf") {
  CHECK_THROWS_WITH_AS((leaf({1, 2}) * 2.0).backward(), "backward: needs a single value, got shape [2]", Error);
  CHECK_THROWS_AS(Tensor::ones({}).backward(), Error);
  CHECK_THROWS_AS(leaf(1).detach().backward(), Error);
}

TEST_CASE("autograd: an input modified after the forward pass is an error that names the operation") {
  struct Case {
    const char* name;
    std::function<Tensor(const Tensor& x, const Tensor& y)> f;
  };
  for (const auto& [name, f] : {Case{"mul", [](const Tensor&x, const Tensor&y) { return x * y; }},
                                Case{"div", [](const Tensor&x, const Tensor&y) { return y / x; }},
                                Case{"log", [](const Tensor&x, const Tensor&) { return log(x); }}}) {
    const Tensor x = leaf({1, 2}), y = leaf({3, 4});
    const Tensor loss = sum(f(x, y));
    no_grad([&] { slice(x, 1, 2).fill_(9); });  // through a view
    CHECK_THROWS_WITH_AS(loss.backward(), doctest::Contains((std::string(name) + ": ").c_str()), Error);
  }
  const Tensor x = leaf({1, 2}), y = exp(x);
  const Tensor loss = sum(y);
  y.detach().fill_(0);  // exp's derivative is computed from its output
  CHECK_THROWS_WITH_AS(loss.backward(), doctest::Contains("exp: "), Error);
}

TEST_CASE("autograd: every operation in place is noticed by a backward that needs the old values") {
  const Tensor other = Tensor::from({3.0, 4.0}, {2});
  struct InPlace {
    const char* name;
    std::function<void(const Tensor& x)> write;
  };
  const InPlace operations[] = {
      {"fill_", [](const Tensor& x) { x.fill_(1); }},  // what it holds already: a write all the same
      {"copy_", [&](const Tensor& x) { x.copy_(other); }},
      {"copy_ to a view", [&](const Tensor& x) { slice(x, 0, 1).copy_(slice(other, 1, 2)); }},
      {"add_", [&](const Tensor& x) { add_(x, other); }},
      {"add_each_",
       [&](const Tensor& x) {
         add_each_(std::vector<Addition>{{x, other}});
       }},
      {"mutable_data", [](const Tensor& x) { x.mutable_data<double>()[1] = 5; }}};
  for (const InPlace& operation : operations) {
    CAPTURE(operation.name);
    const Tensor x = leaf({1, 1});
    const Tensor loss = sum(x * x), untouched = sum(x + x);
    no_grad([&] { operation.write(x); });
    CHECK_THROWS_WITH_AS(loss.backward(), doctest::Contains("mul: a tensor saved for backward was modified in place"),
                         Error);
    untouched.backward();
  }
  for (const DType dtype : {DType::f32, DType::f64, DType::i32, DType::u8}) {
    const Tensor x = Tensor::zeros({2}, {.dtype = dtype}), source = Tensor::ones({2}, {.dtype = dtype});
    const auto written = [&](auto write) {
      const std::uint64_t before = x.storage()->version(), read = source.storage()->version();
      write();
      CHECK(x.storage()->version() > before);
      CHECK(source.storage()->version() == read);  // reading is not writing
    };
    written([&] { x.copy_(source); });
    written([&] { x.fill_(1); });
  }
}

TEST_CASE("autograd: what backward does not read may be modified") {
  const Tensor x = leaf({1, 2}), y = leaf({3, 4});
  const Tensor loss = sum(x + y);
  no_grad([&] { x.fill_(9); });
  loss.backward();
  CHECK(grad_of(x) == Doubles{1, 1});
}

TEST_CASE("autograd: writing in place to a tensor that requires a gradient is an error while recording") {
  const Tensor x = leaf({1, 2}), y = x * 2.0;
  CHECK_THROWS_WITH_AS(x.fill_(0), doctest::Contains("fill_: writes in place"), Error);
  CHECK_THROWS_WITH_AS(y.copy_(x), doctest::Contains("copy_: writes in place"), Error);
  CHECK(x.to_vector<double>() == Doubles{1, 2});
  no_grad([&] { x.fill_(0); });
  CHECK(x.to_vector<double>() == Doubles{0, 0});
}

TEST_CASE("autograd: no_grad records nothing, nests, and ends with an exception") {
  const Tensor x = leaf(2);
  CHECK(grad_enabled());
  CHECK_FALSE(no_grad([&] { return x * x; }).requires_grad());
  {
    const NoGrad outer;
    { const NoGrad inner; }
    CHECK_FALSE(grad_enabled());
  }
  CHECK(grad_enabled());
  CHECK_THROWS_AS(no_grad([]() -> int { throw std::runtime_error("out"); }), std::runtime_error);
  CHECK(grad_enabled());
  CHECK((x * x).requires_grad());

  bool other_thread_records = false;
  const NoGrad off;
  std::thread([&] { other_thread_records = grad_enabled(); }).join();
  CHECK(other_thread_records);
}

TEST_CASE("autograd: recording is on again after a backward, even one that failed") {
  const Tensor x = leaf(2);
  const Tensor loss = x * x;
  loss.backward();
  CHECK(grad_enabled());
  CHECK_THROWS_AS(loss.backward(), Error);
  CHECK(grad_enabled());
  CHECK_FALSE(x.grad().requires_grad());
}

TEST_CASE("autograd: detach cuts the tape") {
  const Tensor x = leaf(3);
  const Tensor y = x * x;
  (y.detach() * x).backward();
  CHECK(x.grad().item() == 9);
  CHECK_FALSE(y.detach().requires_grad());
}

TEST_CASE("autograd: only floating tensors can be leaves, and a leaf can cease to be one") {
  const Tensor x = leaf(1);
  CHECK(x.requires_grad());
  CHECK_FALSE(x.grad().defined());
  x.requires_grad_(false);
  CHECK_FALSE((x * x).requires_grad());
  CHECK_FALSE(x.grad().defined());
  CHECK_THROWS_AS(Tensor::ones({1}, {.dtype = DType::u8}).requires_grad_(), Error);
}

TEST_CASE("autograd: nothing is recorded, nor computed, for inputs that need no gradient") {
  const Tensor x = leaf({1, 2}), constant = Tensor::from({3.0, 4.0}, {2});
  CHECK_FALSE((constant * constant).requires_grad());
  const Tensor y = x * constant;
  REQUIRE(y.node()->inputs.size() == 2);
  CHECK(y.node()->inputs[0] == x.node());
  CHECK(y.node()->inputs[1] == nullptr);
}

TEST_CASE("autograd: leaves() lists each leaf below a tensor once, oldest first") {
  const Tensor a = leaf(1), b = leaf(2), unused = leaf(3);
  const Tensor y = (a * b + b) * a.detach() + unused.detach();
  const auto found = leaves(y);
  REQUIRE(found.size() == 2);
  CHECK(found[0] == a.node());
  CHECK(found[1] == b.node());
  CHECK(leaves(a).size() == 1);
  CHECK(leaves(Tensor::ones({})).empty());
}

TEST_CASE("autograd: a gradient of the wrong shape is refused, naming the operation") {
  const Tensor x = leaf({1, 2}), y = Tensor::full({}, 3, {.dtype = DType::f64});
  record(y, "broken", {x}, [](const Tensor& grad, Gradients& to) { to.add(0, grad); });
  CHECK_THROWS_WITH_AS(y.backward(), "broken: backward gives input 0 a gradient f64[], the input is f64[2]", Error);
}

TEST_CASE("autograd: a chain of 200,000 operations neither runs backward nor is dropped recursively") {
  constexpr int length = 200'000;
  const Tensor x = leaf(0);
  const auto chain = [&] {
    Tensor y = x;
    const Tensor one = Tensor::ones({}, x.options());
    for (int i = 0; i < length; ++i) y = y + one;
    return y;
  };
  const std::size_t before = allocator_stats().bytes_in_use;
  chain();  // dropped without backward
  CHECK(allocator_stats().bytes_in_use == before);
  const Tensor y = chain();
  CHECK(y.item() == length);
  y.backward();
  CHECK(x.grad().item() == 1);
}

TEST_CASE("autograd: backward frees the tape as it goes, though the output still lives") {
  const Tensor x = Tensor::ones({1000}).requires_grad_();
  sum(x * x).backward();  // x's own gradient stays
  const std::size_t before = allocator_stats().bytes_in_use;
  Tensor middle = exp(x) * 0.1;
  const std::weak_ptr<Node> node = middle.node();
  const Tensor loss = sum(exp(exp(middle)));
  middle = {};
  CHECK(allocator_stats().bytes_in_use > before + 3000 * sizeof(float));
  CHECK_FALSE(node.expired());
  loss.backward();
  CHECK(allocator_stats().bytes_in_use < before + 1000 * sizeof(float));
  CHECK(node.expired());
}

TEST_CASE("autograd: no operation leaves memory behind, run backward or not") {
  for (const OpCase& op : op_cases()) {
    INFO(op.name);
    const Inputs inputs = make_inputs(op, DType::f32);
    const std::size_t before = allocator_stats().bytes_in_use;
    evaluate(op, inputs);
    CHECK(allocator_stats().bytes_in_use == before);
    {
      Inputs leaves;
      for (const Tensor& input : inputs) leaves.push_back(input.clone().requires_grad_());
      CHECK(op.f(leaves).requires_grad());
      CHECK(allocator_stats().bytes_in_use > before);
    }
    CHECK(allocator_stats().bytes_in_use == before);
  }
}

TEST_CASE("autograd: threads build and run tapes of their own at once") {
  std::atomic<int> right = 0;
  const Tensor shared = leaf({2, 3});  // read by both, its gradient by neither
  const auto work = [&] {
    for (int i = 0; i < 200; ++i) {
      const Tensor x = leaf({1, 2});
      sum(x * x * shared.detach()).backward();
      right += grad_of(x) == Doubles{4, 12};
    }
  };
  std::thread other(work);
  work();
  other.join();
  CHECK(right == 400);
}

TEST_CASE("profile: counts the kernels of its time, their calls and their arithmetic") {
  const Tensor a = Tensor::ones({20, 30}), b = Tensor::ones({30, 40});
  a + 1.0;
  Profile profile;
  for (int i = 0; i < 3; ++i) matmul(a, b);
  {
    const Profile inner;  // takes what happens in its life
    a + 1.0;
    CHECK(inner.entries().size() == 2);  // the number, and the sum
  }
  const auto entries = profile.entries();
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].kernel == "matmul");
  CHECK(entries[0].calls == 3);
  CHECK(entries[0].flops == 3 * 2.0 * 20 * 30 * 40);
  CHECK(entries[0].seconds > 0);
  CHECK(entries[0].seconds < profile.seconds());
  std::ostringstream table;
  table << profile;
  CHECK(table.str().find("matmul") != std::string::npos);
  CHECK(table.str().find("outside kernels") != std::string::npos);
}
