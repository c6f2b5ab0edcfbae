// The text of a mix plan. What is read, prints as the same plan.
#include "augment/mix_plan.h"
#include "augment/cutmix.h"

#include <sstream>
#include <stdexcept>

#include "core/tensor.h"
#include "tests/fuzz/fuzz.h"

namespace mixgrad::fuzz {

std::vector<std::string> seeds() {
  Random random(1, Purpose::mixup);
  std::ostringstream one, two;
  one << augment::draw_mix_plan(3, {}, random) << augment::CutMix().draw({2, 8, 8, 1}, random);
  two << augment::draw_mix_plan(2, {.dedupe = false}, random) << augment::draw_mix_plan(1, {.alpha = 0}, random);
  return {one.str(), two.str()};
}

void read(const std::string& bytes) {
  std::istringstream text(bytes);
  const augment::MixPlan plan = augment::read_mix_plan(text);
  std::stringstream printed;
  printed << plan;
  const augment::MixPlan again = augment::read_mix_plan(printed);
  if (again != plan) throw std::logic_error("a plan that was printed reads differently");
}

}  // namespace mixgrad::fuzz
