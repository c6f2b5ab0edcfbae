#include "train/monitor.h"

#include <limits>

#include "train/learner.h"

namespace mixgrad::train {

void Monitor::check_name(const Learner& learner) const {
  std::string names = "valid_loss";
  bool known = quantity == names;
  for (const Metric& metric : learner.options.metrics) {
    names += ", " + metric.name;
    known |= quantity == metric.name;
  }
  check(known, "monitor: there is no \"", quantity, "\"; there is ", names);
}

double Monitor::value(const Learner& learner) const {
  check(learner.validation.has_value(), "monitor: there is no validation yet");
  const std::vector<Metric>& metrics = learner.options.metrics;
  for (std::size_t i = 0; i < metrics.size(); ++i)
    if (metrics[i].name == quantity) return learner.validation->metrics[i];
  check_name(learner);
  return learner.validation->loss;
}

bool Monitor::improves(double value, double best, double min_delta) const {
  return better == Better::lower ? value < best - min_delta : value > best + min_delta;
}

double Monitor::worst() const {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return better == Better::lower ? infinity : -infinity;
}

}  // namespace mixgrad::train
