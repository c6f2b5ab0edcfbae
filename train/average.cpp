#include "train/average.h"

#include "core/autograd.h"
#include "core/parallel.h"

namespace mixgrad::train {

AveragedWeights::AveragedWeights(nn::Module& model) {
  for (const auto& all : {nn::named_parameters(model), nn::named_buffers(model)})
    for (const auto& [name, tensor] : all)
      if (is_floating(tensor.dtype())) {
        pairs_.push_back({tensor, tensor.clone()});
        names_.push_back("average." + name);
      }
}

void AveragedWeights::swap() const {
  const NoGrad off;
  for (const auto& [weights, average] : pairs_) {
    const Tensor kept = weights.clone();
    weights.copy_(average);
    average.copy_(kept);
  }
}

void AveragedWeights::update(const Tensor& coefficients) const {
  dispatch("update_averages", coefficients.device(),
           [&](auto device) { kernels::update_averages(device, pairs_, coefficients); });
}

void AveragedWeights::state(StateVisitor& visitor) const {
  for (std::size_t i = 0; i < pairs_.size(); ++i) visitor.tensor(names_[i], pairs_[i].average);
}

}  // namespace mixgrad::train

namespace mixgrad::kernels {

void update_averages(Cpu, std::span<const train::Averaged> pairs, const Tensor& coefficients) {
  for (const auto& [weights, average] : pairs)
    with_floating("update_averages", weights.dtype(), [&, &weights = weights, &average = average]<class T>(T) {
      const UpdateAverage<T> update(coefficients.data<float>());
      if (update.does_nothing()) return;
      T *w = weights.mutable_data<T>(), *a = average.mutable_data<T>();
      parallel_for(weights.numel(), std::int64_t{1} << 15, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) update(w[i], a[i]);
      });
    });
}

}  // namespace mixgrad::kernels
