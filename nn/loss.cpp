#include "nn/loss.h"

#include "core/reduce.h"

namespace mixgrad::nn {

Tensor reduce(const Tensor& per_sample, Reduction reduction) {
  switch (reduction) {
    case Reduction::mean: return mean(per_sample);
    case Reduction::sum: return sum(per_sample);
    case Reduction::none: break;
  }
  return per_sample;
}

}  // namespace mixgrad::nn
