#include "train/calibration.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <ostream>

#include "core/check.h"
#include "core/log_softmax.h"
#include "core/reduce.h"
#include "train/learner.h"
#include "train/predict.h"

namespace mixgrad::train {

Calibration calibration(const Tensor& output, const Tensor& target, int bins) {
  check(bins >= 1, "calibration: ", bins, " bins");
  const Tensor on_host = output.detach().to(cpu);
  const auto actual = target_classes("calibration", on_host, target.detach().to(cpu));
  const auto predicted = argmax(on_host, 1).to_vector<std::int32_t>();
  const auto sure = max(softmax(on_host.to(DType::f64)), 1).to_vector<double>();
  Calibration result{.bins = std::vector<CalibrationBin>(static_cast<std::size_t>(bins))};
  for (std::size_t n = 0; n < sure.size(); ++n) {
    check(!std::isnan(sure[n]), "calibration: the output of sample ", n, " is nan");
    const int bin = std::clamp(static_cast<int>(std::ceil(sure[n] * bins)) - 1, 0, bins - 1);
    CalibrationBin& to = result.bins[static_cast<std::size_t>(bin)];
    ++to.samples;
    to.confidence += sure[n];
    to.accuracy += actual[n] == predicted[n];
  }
  const auto all = static_cast<double>(std::max<std::size_t>(sure.size(), 1));
  for (CalibrationBin& bin : result.bins) {
    result.confidence += bin.confidence / all;
    result.accuracy += bin.accuracy / all;
    result.error += std::abs(bin.accuracy - bin.confidence) / all;
    const auto samples = static_cast<double>(std::max<std::int64_t>(bin.samples, 1));
    bin.confidence /= samples;
    bin.accuracy /= samples;
  }
  return result;
}

Calibration calibration(Learner& learner, int bins) {
  const Predictions predictions = predict(*learner.model, learner.data.valid, {}, learner.options.device);
  return calibration(predictions.output, predictions.target, bins);
}

void print_calibration(std::ostream& out, const Calibration& calibration) {
  const auto row = [](auto... cells) { return text_of(std::fixed, std::setprecision(4), cells...); };
  out << "confidence    samples     mean  accuracy\n";
  const auto bins = static_cast<double>(calibration.bins.size());
  for (std::size_t b = 0; b < calibration.bins.size(); ++b) {
    const auto& [samples, confidence, accuracy] = calibration.bins[b];
    const auto from = static_cast<double>(b);
    if (samples > 0)
      out << text_of(std::fixed, std::setprecision(2), from / bins, " to ", (from + 1) / bins)
          << row(std::setw(9), samples, std::setw(9), confidence, std::setw(10), accuracy, "\n");
  }
  out << row("expected calibration error ", calibration.error, ", confidence ", calibration.confidence, ", accuracy ",
             calibration.accuracy, "\n");
}

}  // namespace mixgrad::train
