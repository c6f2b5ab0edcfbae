#include "apps/mix_picture.h"

#include <algorithm>
#include <cstdio>

#include "apps/image_grid.h"

namespace mixgrad::apps {

bool write_mix_picture(const std::string& png, const augment::MixedInput& images, const augment::MixedTarget& labels,
                       const std::vector<std::string>& class_names) {
  constexpr std::int64_t most = 12;
  const std::int32_t* label = labels.y.data<std::int32_t>();
  const std::int32_t* partner = labels.partner.data<std::int32_t>();
  const float* lambda = labels.lambda.data<float>();
  const auto name = [&](std::int32_t label) { return class_names.at(static_cast<std::size_t>(label)); };
  const auto share = [](int percent) {
    char text[16];
    std::snprintf(text, sizeof text, "%d.%02d ", percent / 100, percent % 100);
    return std::string(text);
  };
  std::vector<std::string> captions;
  for (std::int64_t n = 0; n < std::min(most, images.x.size(0)); ++n) {
    // The second share is what the first leaves of 1.00, also after rounding.
    const int percent = static_cast<int>(100 * lambda[n] + 0.5f);
    captions.push_back(share(percent) + name(label[n]) + " + " + share(100 - percent) + name(partner[n]));
  }
  const Tensor mixed = augment::mix(images);
  return write_image_grid(png, slice(mixed, 0, static_cast<std::int64_t>(captions.size())), captions, 6);
}

}  // namespace mixgrad::apps
