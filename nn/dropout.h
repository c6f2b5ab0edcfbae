// Dropout (Srivastava et al., 2014).
#pragma once

#include "core/step_values.h"
#include "nn/module.h"

namespace mixgrad::nn {

// In training, each element is zero with the given probability and x / (1 - probability) otherwise, so that the mean
// stays; in evaluation, x. Which elements are zero is drawn from the default seed (core/random.h: manual_seed); each
// call takes the next random stream, so the same program drops the same elements, with any number of threads. Throws
// unless 0 <= probability < 1.
class Dropout : public Module {
 public:
  explicit Dropout(double probability = 0.5);
  Tensor forward(const Tensor& x) override;
  std::string name() const override { return text_of("Dropout(", probability_, ")"); }

 private:
  double probability_;
};

}  // namespace mixgrad::nn

namespace mixgrad::kernels {
// The random words of elements 4k .. 4k+3. Integers alone decide, so every device drops the same.
MIXGRAD_HOST_DEVICE inline std::array<std::uint32_t, 4> dropout_words(std::int64_t k, std::uint64_t seed,
                                                                      std::uint32_t stream) {
  return philox({static_cast<std::uint32_t>(k), stream, 0, static_cast<std::uint32_t>(Purpose::dropout) << 24},
                {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
}
// out[i] = 0 where word i of the stream is below threshold, else scale x[i]. Its own backward: dx from dy.
MIXGRAD_KERNEL(dropout, const Tensor& x, const StepStream& stream, std::uint32_t threshold, double scale, Out out);
}  // namespace mixgrad::kernels
