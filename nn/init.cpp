#include "nn/init.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"

namespace mixgrad::nn {
namespace {

// Each element by draw(random), from the next stream.
template <class Draw>
Tensor drawn(const Shape& shape, Draw draw) {
  Random random(default_seed(), Purpose::init, 0, 0, random_state().initializers++);
  Tensor result = Tensor::empty(shape);
  float* values = result.mutable_data<float>();
  std::generate(values, values + result.numel(), [&] { return static_cast<float>(draw(random)); });
  return result;
}

Tensor uniform_within(const Shape& shape, double exact) {
  const double bound = std::nextafter(static_cast<float>(exact), 0.0f);  // what is drawn is rounded to f32
  return drawn(shape, [=](Random& random) { return random.uniform(-bound, bound); });
}

double xavier_variance(const char* name, std::int64_t fan_in, std::int64_t fan_out) {
  check(fan_in > 0 && fan_out > 0, name, ": fan_in is ", fan_in, ", fan_out ", fan_out);
  return 2.0 / (static_cast<double>(fan_in) + static_cast<double>(fan_out));
}

}  // namespace

Tensor kaiming_normal(const Shape& shape, std::int64_t fan_in) {
  check(fan_in > 0, "kaiming_normal: fan_in is ", fan_in);
  const double deviation = std::sqrt(2.0 / static_cast<double>(fan_in));
  return drawn(shape, [=](Random& random) { return deviation * random.normal(); });
}

Tensor xavier_normal(const Shape& shape, std::int64_t fan_in, std::int64_t fan_out) {
  const double deviation = std::sqrt(xavier_variance("xavier_normal", fan_in, fan_out));
  return drawn(shape, [=](Random& random) { return deviation * random.normal(); });
}

Tensor xavier_uniform(const Shape& shape, std::int64_t fan_in, std::int64_t fan_out) {
  return uniform_within(shape, std::sqrt(3 * xavier_variance("xavier_uniform", fan_in, fan_out)));
}

Tensor fan_in_uniform(const Shape& shape, std::int64_t fan_in) {
  check(fan_in > 0, "fan_in_uniform: fan_in is ", fan_in);
  return uniform_within(shape, 1 / std::sqrt(static_cast<double>(fan_in)));
}

void dirac_(const Tensor& weight) {
  check(weight.rank() == 4 && weight.dtype() == DType::f32 && weight.device() == cpu && weight.size(1) % 2 == 1 &&
            weight.size(2) % 2 == 1,
        "dirac_: weight ", name_of(weight.dtype()), weight.shape(), " must be f32 [out, k, k, in] on the CPU, k odd");
  const std::int64_t taps = weight.size(1) * weight.size(2), in = weight.size(3);
  float* const filters = weight.mutable_data<float>();
  for (std::int64_t i = 0; i < std::min(weight.size(0), in); ++i) {
    std::fill_n(filters + i * taps * in, taps * in, 0.0f);
    filters[(i * taps + taps / 2) * in + i] = 1;
  }
}

}  // namespace mixgrad::nn
