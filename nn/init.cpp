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
  const double exact = std::sqrt(3 * xavier_variance("xavier_uniform", fan_in, fan_out));
  const double bound = std::nextafter(static_cast<float>(exact), 0.0f);  // what is drawn is rounded to f32
  return drawn(shape, [=](Random& random) { return random.uniform(-bound, bound); });
}

}  // namespace mixgrad::nn
