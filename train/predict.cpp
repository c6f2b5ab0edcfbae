#include "train/predict.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "core/autograd.h"
#include "core/index.h"
#include "core/layout.h"
#include "core/log_softmax.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "data/transform.h"

namespace mixgrad::train {
namespace {

using Rows = std::vector<std::int32_t>;

double total_weight(const TtaOptions& options) {
  check(options.unsure_share >= 0 && options.unsure_share <= 1, "predict: a share of ", options.unsure_share,
        " is not in 0..1");
  double total = 0;
  for (const View& view : options.views) {
    check(std::isfinite(view.weight) && view.weight >= 0, "predict: a view of weight ", view.weight);
    total += view.weight;
  }
  check(total > 0, "predict: there is no view with a weight");
  return total;
}

Tensor mean_over_views(nn::Module& model, const Tensor& x, const TtaOptions& options) {
  const double total = total_weight(options);
  Tensor mean;
  for (const auto& [images, weight] : options.views) {
    const Tensor part = model(images ? images(x) : x) * (weight / total);
    mean = mean.defined() ? mean + part : part;
  }
  return mean;
}

// The `count` rows whose largest probability is least, or nan, in order.
Rows unsure_rows(const Tensor& output, std::int64_t count) {
  check(output.rank() == 2, "predict: the images that a model is unsure of need outputs [N, C], not ", output.shape());
  const auto largest = max(softmax(output), 1).to(DType::f32).to_vector<float>();
  std::vector<std::pair<float, std::int32_t>> rows;
  for (const float p : largest) rows.emplace_back(std::isnan(p) ? -1 : p, static_cast<std::int32_t>(rows.size()));
  std::nth_element(rows.begin(), rows.begin() + count, rows.end());
  Rows unsure;
  for (std::int64_t i = 0; i < count; ++i) unsure.push_back(rows[static_cast<std::size_t>(i)].second);
  std::ranges::sort(unsure);
  return unsure;
}

// The plain outputs, but for the rows that the model is unsure of the mean over the views of images(rows).
template <class Images>
Tensor refined(nn::Module& model, const Tensor& plain, std::int64_t batch_size, const TtaOptions& options,
               const Images& images) {
  const auto share = options.unsure_share * static_cast<double>(plain.size(0));
  const Rows unsure = unsure_rows(plain, std::llround(share));
  std::vector<Tensor> outputs{plain};
  Rows from(static_cast<std::size_t>(plain.size(0)));  // row of all outputs
  std::iota(from.begin(), from.end(), 0);
  auto next = static_cast<std::int32_t>(plain.size(0));
  for (const std::int32_t row : unsure) from[static_cast<std::size_t>(row)] = next++;
  for (std::span<const std::int32_t> rest = unsure; !rest.empty();) {
    const auto some = rest.first(std::min(rest.size(), static_cast<std::size_t>(batch_size)));
    outputs.push_back(mean_over_views(model, images(some), options));
    rest = rest.subspan(some.size());
  }
  return gather(concat(outputs, 0), Tensor::from(from, {std::ssize(from)}).to(plain.device()));
}

}  // namespace

View view(const ViewOptions& options) {
  const auto [dy, dx, mirror, weight] = options;
  if (dy == 0 && dx == 0 && !mirror) return {{}, weight};
  static const data::Transform shift = data::random_crop({.border = data::Border::reflect}),
                               flip = data::horizontal_flip();
  const auto images = [dy = dy, dx = dx, mirror = mirror](Tensor x) {
    check(x.rank() == 4 && std::abs(dy) < x.size(1) && std::abs(dx) < x.size(2), "view: a shift by (", dy, ", ", dx,
          ") needs larger images than ", x.shape());
    const std::vector<float> by{static_cast<float>(dy), static_cast<float>(dx)};
    const auto table = [&](const std::vector<float>& row) {  // the same for all images
      const Tensor rows = Tensor::ones({x.size(0), 1}) * Tensor::from(row, {1, std::ssize(row)});
      return rows.to(x.device());
    };
    if (dy != 0 || dx != 0) x = shift.apply(x, table(by));
    return mirror ? flip.apply(x, table({1})) : x;
  };
  return {images, weight};
}

std::vector<View> airbench_views(double unshifted) {
  std::vector<View> views;
  for (const bool mirror : {false, true}) {
    views.push_back(view({.mirror = mirror, .weight = unshifted}));
    for (const std::int64_t by : {-1, 1}) views.push_back(view({.dy = by, .dx = by, .mirror = mirror}));
  }
  return views;
}

Tensor predict(nn::Module& model, const Tensor& x, const TtaOptions& options) {
  const NoGrad off;
  const nn::EvalMode eval(model);
  total_weight(options);
  if (options.unsure_share == 1) return mean_over_views(model, x, options);
  return refined(model, model(x), x.size(0), options, [&](std::span<const std::int32_t> rows) {
    return gather(x, Tensor::from(rows, {std::ssize(rows)}).to(x.device()));
  });
}

Predictions predict(nn::Module& model, const data::DataLoader& loader, const TtaOptions& options, Device device) {
  const NoGrad off;
  const nn::EvalMode eval(model);
  total_weight(options);
  const bool all = options.unsure_share == 1;
  const auto epoch = loader.epoch(0);
  std::vector<Tensor> outputs, targets;
  for (const data::Batch& samples : epoch) {
    const Tensor x = samples.x.to(device);
    outputs.push_back(all ? mean_over_views(model, x, options) : model(x));
    targets.push_back(samples.y.to(device));
  }
  const Tensor output = concat(outputs, 0), target = concat(targets, 0);
  if (all) return {output, target};
  const std::int64_t batch_size = loader.options().batch_size;
  const auto images = [&](std::span<const std::int32_t> rows) {
    Rows indices;  // in the data
    for (const std::int32_t row : rows)
      indices.push_back(epoch.indices(row / batch_size)[static_cast<std::size_t>(row % batch_size)]);
    return loader.dataset().get(indices).x.to(device);
  };
  return {refined(model, output, batch_size, options, images), target};
}

Validation validate(nn::Module& model, const data::DataLoader& loader, const nn::Loss& loss,
                    const std::vector<Metric>& metrics, Device device, const TtaOptions& options) {
  const NoGrad off;
  const auto [output, target] = predict(model, loader, options, device);
  Validation validation{nn::Loss{loss.name, loss.per_sample}(output, target).item(), {}};
  for (const Metric& metric : metrics) validation.metrics.push_back(metric.mean(output, target).item());
  return validation;
}

}  // namespace mixgrad::train
