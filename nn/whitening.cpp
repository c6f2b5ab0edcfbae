#include "nn/whitening.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/eigen.h"
#include "core/gemm.h"
#include "core/parallel.h"
// After core/eigen.h, which says how Eigen is to work.
#include <Eigen/Eigenvalues>

namespace mixgrad::nn {
namespace {

using Square = Eigen::MatrixXd;

// The mean of p p^T over all patches; the sum of each range of images, then of ranges in order.
Square covariance(const Tensor& images, std::int64_t k) {
  const std::int64_t height = images.size(1), width = images.size(2), channels = images.size(3),
                     size = k * k * channels;
  const std::int64_t rows = height - k + 1, columns = width - k + 1;
  const std::int64_t grain = std::max<std::int64_t>(64, num_ranges(images.size(0), 16));
  std::vector<Square> sums(static_cast<std::size_t>(num_ranges(images.size(0), grain)), Square::Zero(size, size));
  const float* const pixels = images.data<float>();
  parallel_ranges(images.size(0), grain, [&](std::int64_t range, std::int64_t begin, std::int64_t end) {
    std::vector<double> patches(static_cast<std::size_t>(rows * columns * size));
    Square products(size, size);
    for (std::int64_t n = begin; n < end; ++n) {
      double* to = patches.data();
      for (std::int64_t position = 0; position < rows * columns; ++position)
        for (std::int64_t u = 0; u < k; ++u, to += k * channels)
          std::copy_n(pixels + ((n * height + position / columns + u) * width + position % columns) * channels,
                      k * channels, to);
      host::gemm(true, false, size, size, rows * columns, patches.data(), size, patches.data(), size, products.data(),
                 size);
      sums[static_cast<std::size_t>(range)] += products;
    }
  });
  Square total = Square::Zero(size, size);
  for (const Square& sum : sums) total += sum;
  return total / static_cast<double>(images.size(0) * rows * columns);
}

}  // namespace

Tensor whitening_filters(const Tensor& images, const WhiteningOptions& options) {
  const auto [k, eps] = options;
  check(images.rank() == 4 && images.dtype() == DType::f32 && images.device() == cpu && images.numel() > 0,
        "whitening: images ", name_of(images.dtype()), images.shape(), " must be f32 [N, H, W, C] on the CPU");
  check(k >= 1 && k <= images.size(1) && k <= images.size(2), "whitening: images ", images.shape(),
        " have no patches of ", k, " x ", k, " pixels");
  check(std::isfinite(eps) && eps > 0, "whitening: eps ", eps, " is not positive");
  const std::int64_t channels = images.size(3), size = k * k * channels;
  check(size <= 4096, "whitening: patches of ", size, " elements: at most 4096");
  const Square moments = covariance(images, k);
  check(moments.allFinite(), "whitening: a pixel is not finite");
  const Eigen::SelfAdjointEigenSolver<Square> solver(moments);
  check(solver.info() == Eigen::Success, "whitening: the images' patches have no eigenvectors");
  const Tensor filters = Tensor::empty({2 * size, k, k, channels});
  float* const to = filters.mutable_data<float>();
  for (std::int64_t i = 0; i < size; ++i) {
    const Eigen::VectorXd v = solver.eigenvectors().col(size - 1 - i);  // the variances ascend
    Eigen::Index largest = 0;
    v.cwiseAbs().maxCoeff(&largest);
    const double variance = std::max(solver.eigenvalues()[size - 1 - i], 0.0);  // below by a rounding error
    const double scale = std::copysign(1 / std::sqrt(variance + eps), v[largest]);
    for (std::int64_t j = 0; j < size; ++j) {
      to[i * size + j] = static_cast<float>(scale * v[j]);
      to[(size + i) * size + j] = -to[i * size + j];
    }
  }
  return filters;
}

}  // namespace mixgrad::nn
