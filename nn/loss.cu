#include "core/broadcast.cuh"
#include "core/column_sums.cuh"
#include "nn/loss.h"

namespace mixgrad::kernels {
namespace {

template <class L>
struct LossTerm {
  L l;
  const float *x, *t;
  __device__ Terms<float, 1> operator()(std::int64_t i, std::int64_t) const { return {{l(x[i], t[i])}}; }
};

template <class L, bool in_target>
struct LossGradient {
  L l;
  float factor;
  __device__ float operator()(float x, float t, float dloss) const {
    return dloss * factor * derivative<in_target>(l, x, t);
  }
};

}  // namespace

void element_loss(Cuda device, const ElementLoss& l, const Tensor& x, const Tensor& t, Out loss) {
  const std::int64_t samples = x.size(0), elements = x.shape().product(1, x.rank());
  std::visit(
      [&]<class L>(L l) {
        column_sums<1>(device, samples, elements, 1, LossTerm<L>{l, read(x), read(t)}, write(loss),
                       static_cast<double>(elements));
      },
      l);
}

void element_loss_backward(Cuda device, const ElementLoss& l, bool in_target, const Tensor& x, const Tensor& t,
                           const Tensor& dloss, Out gradient) {
  const Shape shape{x.size(0), x.shape().product(1, x.rank())};
  const float factor = 1 / static_cast<float>(shape[1]);
  std::visit(
      [&]<class L>(L l) {
        with_constant(in_target, [&](auto in_target) {
          map_broadcast<float, float, float, float>(
              device, LossGradient<L, in_target.value>{l, factor}, gradient.raw_view(shape, 0),
              {x.raw_view(shape, 0), t.raw_view(shape, 0), dloss.raw_view({shape[0], 1}, 0)});
        });
      },
      l);
}

}  // namespace mixgrad::kernels
