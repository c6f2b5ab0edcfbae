#include "data/labelled_images.h"

#include <algorithm>
#include <vector>

#include "core/index.h"

namespace mixgrad::data {

LabelledImages select(const LabelledImages& all, std::span<const std::int32_t> labels) {
  std::vector<std::int32_t> rows, classes;
  const std::int32_t* label = all.labels.data<std::int32_t>();
  for (std::int32_t i = 0; i < all.labels.numel(); ++i) {
    const auto found = std::find(labels.begin(), labels.end(), label[i]);
    if (found == labels.end()) continue;
    rows.push_back(i);
    classes.push_back(static_cast<std::int32_t>(found - labels.begin()));
  }
  const auto n = static_cast<std::int64_t>(rows.size());
  return {gather(all.images, Tensor::from(rows, {n})), Tensor::from(classes, {n}), all.channels};
}

}  // namespace mixgrad::data
