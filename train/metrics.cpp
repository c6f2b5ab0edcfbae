#include "train/metrics.h"

#include "core/reduce.h"

namespace mixgrad::train {

double accuracy_of(const Tensor& output, const Tensor& target) {
  check(output.rank() == 2, "accuracy: output ", output.shape(), " must be [N, C]");
  const Tensor classes = target.shape() == output.shape() ? argmax(target, 1) : target;
  check(classes.dtype() == DType::i32 && classes.shape() == Shape{output.size(0)}, "accuracy: output ", output.shape(),
        " with target ", name_of(target.dtype()), target.shape());
  const auto predicted = argmax(output, 1).to_vector<std::int32_t>();
  const auto expected = classes.to_vector<std::int32_t>();
  std::int64_t right = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) right += predicted[i] == expected[i];
  return expected.empty() ? 0 : static_cast<double>(right) / static_cast<double>(expected.size());
}

}  // namespace mixgrad::train
