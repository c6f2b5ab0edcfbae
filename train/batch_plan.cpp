#include "train/batch_plan.h"

#include <ostream>

#include "core/check.h"

namespace mixgrad::train {

std::ostream& operator<<(std::ostream& out, const BatchPlan& plan) {
  std::string samples;
  for (const std::int32_t index : plan.indices) samples += " " + std::to_string(index);
  out << text_of("pass ", plan.pass, ", batch ", plan.batch, ": lr ", plan.lr, ", momentum ", plan.momentum,
                 ", samples", samples, "\n");
  for (const auto& [name, value] : plan.values) out << text_of(name, ": ", value, "\n");
  return out;
}

}  // namespace mixgrad::train
