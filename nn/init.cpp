#include "nn/init.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"

namespace mixgrad::nn {

Tensor kaiming_normal(const Shape& shape, std::int64_t fan_in) {
  check(fan_in > 0, "kaiming_normal: fan_in is ", fan_in);
  Random random(default_seed(), Purpose::init, 0, 0, next_initializer_index());
  const double deviation = std::sqrt(2.0 / static_cast<double>(fan_in));
  Tensor result = Tensor::empty(shape);
  float* values = result.mutable_data<float>();
  std::generate(values, values + result.numel(), [&] { return static_cast<float>(deviation * random.normal()); });
  return result;
}

}  // namespace mixgrad::nn
