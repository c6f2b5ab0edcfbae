#include "nn/dropout.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/autograd.h"
#include "core/parallel.h"
#include "core/unary.h"

namespace mixgrad::nn {

Dropout::Dropout(double probability) : probability_(probability) {
  check(probability >= 0 && probability < 1, "Dropout: probability ", probability, " must be at least 0 and below 1");
}

Tensor Dropout::forward(const Tensor& x) {
  if (!training() || probability_ == 0) return x;
  check(x.numel() < (std::int64_t{1} << 34), "dropout: ", x.shape(), " is too large for one random stream");
  const auto drop = [stream = next_step_stream(), threshold = static_cast<std::uint32_t>(std::ldexp(probability_, 32)),
                     scale = 1 / (1 - probability_)](const Tensor& from) {
    Tensor to = Tensor::empty(from.shape(), from.options());
    dispatch("dropout", from.device(),
             [&](auto device) { kernels::dropout(device, from, stream, threshold, scale, to); });
    return to;
  };
  Tensor y = drop(x);
  // What was dropped is not kept: the same stream drops the same elements of the gradient.
  record(y, "dropout", {x}, [drop](const Tensor& grad, Gradients& to) { to.add(0, drop(grad)); });
  return y;
}

}  // namespace mixgrad::nn

namespace mixgrad::kernels {

void dropout(Cpu, const Tensor& x, const StepStream& from, std::uint32_t threshold, double scale, Out out) {
  const std::uint64_t seed = from.seed;
  const std::uint32_t first = from.first ? static_cast<std::uint32_t>(*from.first.data<std::int32_t>()) : 0;
  const std::uint32_t stream = from.number + first;
  constexpr std::int64_t grain = std::int64_t{1} << 13, block = 64;  // elements per range, and at once
  static_assert(grain % block == 0);
  with_floating("dropout", x.dtype(), [&]<class T>(T) {
    const T* px = x.data<T>();
    T* po = out.mutable_data<T>();
    parallel_for(x.numel(), grain, [=, factor = static_cast<T>(scale)](std::int64_t begin, std::int64_t end) {
      std::array<std::uint32_t, block> words;
      for (std::int64_t i = begin; i < end; i += block) {
        for (std::int64_t k = 0; k < block / 4; ++k) {
          const auto four = dropout_words(i / 4 + k, seed, stream);
          for (std::size_t j = 0; j < 4; ++j) words[4 * static_cast<std::size_t>(k) + j] = four[j];
        }
        const std::int64_t count = std::min(block, end - i);
        for (std::int64_t k = 0; k < count; ++k) {
          const T kept = factor * px[i + k];  // in any case: a branch for each element would be mispredicted
          po[i + k] = words[static_cast<std::size_t>(k)] < threshold ? T{0} : kept;
        }
      }
    });
  });
}

}  // namespace mixgrad::kernels
