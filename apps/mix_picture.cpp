#include "apps/mix_picture.h"

#include <algorithm>
#include <cstdio>

#include "apps/image_grid.h"

namespace mixgrad::apps {

bool write_mix_picture(const std::string& png, const Tensor& mixed, const augment::MixedTarget& labels,
                       const std::vector<std::string>& class_names, const std::string& title) {
  constexpr std::int64_t most = 12;
  const std::int32_t* label = labels.y.data<std::int32_t>();
  const std::int32_t* partner = labels.partner.data<std::int32_t>();
  const float* lambda = labels.lambda.data<float>();
  const auto name = [&](std::int32_t label) { return class_names.at(static_cast<std::size_t>(label)); };
  const auto share = [](int thousandths) {
    char text[16];
    std::snprintf(text, sizeof text, "%d.%03d ", thousandths / 1000, thousandths % 1000);
    return std::string(text);
  };
  std::vector<std::string> captions;
  for (std::int64_t n = 0; n < std::min(most, mixed.size(0)); ++n) {
    // The second share is 1.000 minus the first, also after rounding.
    const int thousandths = static_cast<int>(1000 * lambda[n] + 0.5f);
    captions.push_back(share(thousandths) + name(label[n]) + " + " + share(1000 - thousandths) + name(partner[n]));
  }
  return write_image_grid(png, slice(mixed, 0, static_cast<std::int64_t>(captions.size())), captions, 4, title);
}

}  // namespace mixgrad::apps
