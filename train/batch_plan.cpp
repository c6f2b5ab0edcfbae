#include "train/batch_plan.h"

#include <ostream>

#include "core/check.h"

namespace mixgrad::train {

std::ostream& operator<<(std::ostream& out, const BatchPlan& plan) {
  const auto list = [](const auto& values) {
    std::string text;
    for (const auto value : values) text += text_of(" ", value);
    return text;
  };
  std::vector<double> lr, momentum;
  for (const Rates& group : plan.rates) {
    lr.push_back(group.lr);
    momentum.push_back(group.momentum);
  }
  out << text_of("pass ", plan.pass, ", batch ", plan.batch, ": lr", list(lr), ", momentum", list(momentum),
                 ", samples", list(plan.indices), "\n");
  for (const auto& [transform, table, random] : plan.transforms)
    out << transform.description() << ":" << list(table) << "\n";
  if (plan.mix) {
    out << plan.mix->mix->description() << (plan.mix->keep_clean ? ", beside the clean batch" : "")
        << (plan.mix->layer.empty() ? "" : ", in front of ") << plan.mix->layer << "\n"
        << plan.mix->plan;
    if (!plan.mix->partners.empty()) out << "partners:" << list(plan.mix->partners) << "\n";
  }
  for (const auto& [name, value] : plan.values) out << name << ":" << std::visit(list, value) << "\n";
  return out;
}

}  // namespace mixgrad::train
