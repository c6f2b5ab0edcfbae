#include "train/validation.h"

#include "core/autograd.h"
#include "core/step_values.h"

namespace mixgrad::train {

Validation validate(nn::Module& model, const data::DataLoader& loader, const nn::Loss& loss,
                    const std::vector<Metric>& metrics, Device device) {
  const NoGrad off;
  const nn::EvalMode eval(model);
  const nn::Loss mean{loss.name, loss.per_sample};
  Series series(device, 1 + std::ssize(metrics), loader.num_batches());
  std::vector<double> sizes;
  for (const data::Batch& samples : loader.epoch(0)) {
    const Tensor output = model(samples.x.to(device)), target = samples.y.to(device);
    std::vector<Tensor> row{mean(output, target)};
    for (const Metric& metric : metrics) row.push_back(metric.mean(output, target));
    series.append(row);
    sizes.push_back(static_cast<double>(samples.size()));
  }
  const std::vector<double> rows = series.take();
  std::vector<double> means(1 + metrics.size(), 0.0);
  double total = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    for (std::size_t column = 0; column < means.size(); ++column)
      means[column] += rows[i * means.size() + column] * sizes[i];
    total += sizes[i];
  }
  for (double& value : means) value /= total;
  return {means[0], {means.begin() + 1, means.end()}};
}

}  // namespace mixgrad::train
