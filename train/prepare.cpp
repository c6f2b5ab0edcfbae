#include "train/batch_plan.h"

#include "augment/mixup.h"
#include "augment/reg_mixup.h"
#include "core/check.h"
#include "core/index.h"

namespace mixgrad::train {
namespace {

std::string table_name(std::size_t k) { return text_of("plan.transform ", k); }

// Whether images are gathered and mixed in one pass over their bytes. Then partners are samples, by index.
bool in_one_pass(const BatchPlan& plan, const data::Dataset& dataset) {
  return plan.mix && !plan.mix->stack_x && !plan.mix->keep_clean && plan.mix->layer.empty() &&
         plan.transforms.empty() && dataset.stored();
}

// The samples with these indices, gathered where they are resident, or else read.
data::Batch samples_of(const data::Dataset& dataset, const std::vector<std::int32_t>& indices, const Tensor& on_device,
                       Device device) {
  const data::Batch batch = dataset.resident() ? dataset.gather_batch(on_device) : dataset.get(indices);
  return {batch.x.to(device), batch.y.to(device)};
}

// Both targets with lambda, or one that is mixed: class indices then become one-hot rows.
augment::Target target_of(const PlannedMix& mix, augment::MixedTarget target, std::size_t classes) {
  if (mix.stack_y) return target;
  for (Tensor* side : {&target.y, &target.partner})
    if (side->dtype() == DType::i32) *side = one_hot(*side, static_cast<std::int64_t>(classes));
  return augment::mix(augment::MixedInput{target.y, target.partner, target.lambda});
}

}  // namespace

NamedValues numbers_of(const BatchPlan& plan, const data::Dataset& dataset, Device device) {
  NamedValues numbers;
  const auto tensor_of = [=](const auto& values) { return Tensor::from(values, {std::ssize(values)}).to(device); };
  for (const auto& [name, value] : plan.values) {
    check(!name.starts_with("plan."), "batch plan: ", printable(name), ": names that begin with plan. are its own");
    numbers[name] = std::visit(tensor_of, value);
  }
  if (dataset.resident()) numbers["plan.indices"] = tensor_of(plan.indices);
  for (std::size_t k = 0; k < plan.transforms.size(); ++k)
    if (plan.transforms[k].transform.is_planned()) numbers[table_name(k)] = tensor_of(plan.transforms[k].table);
  if (!plan.mix) return numbers;
  const auto& [mix, draw, partners, stack_x, stack_y, keep_clean, layer] = *plan.mix;
  augment::check_plan(draw);
  check(draw.size() == std::ssize(plan.indices) && (partners.empty() || partners.size() == plan.indices.size()),
        "batch plan: ", plan.indices.size(), " samples are mixed by a plan for ", draw.size(), ", with ",
        partners.size(), " partners of their own");
  check(!stack_x || draw.more.empty(), "batch plan: stack_x needs a mix that lambda alone describes, as mixup");
  check(layer.empty() || (partners.empty() && draw.more.empty() && !stack_x && !keep_clean),
        "batch plan: inside a model, samples of the batch alone are mixed, by lambda alone");
  check(!keep_clean || (stack_y && !stack_x), "batch plan: a clean batch in front needs stack_y, and no stack_x");
  numbers["plan.mix.lambda"] = tensor_of(draw.lambda);
  if (!draw.more.empty()) numbers["plan.mix.more"] = tensor_of(draw.more);
  std::vector<std::int32_t> rows = partners.empty() ? draw.permutation : partners;
  if (partners.empty() && in_one_pass(plan, dataset))
    for (std::int32_t& row : rows) row = plan.indices[static_cast<std::size_t>(row)];
  numbers["plan.mix.partners"] = tensor_of(rows);
  if (layer.empty()) return numbers;
  std::vector<std::int32_t> inverse(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    inverse[static_cast<std::size_t>(rows[i])] = static_cast<std::int32_t>(i);
  numbers["plan.mix.inverse"] = tensor_of(inverse);
  return numbers;
}

Prepared prepare(const data::Dataset& dataset, const BatchPlan& plan, const NamedValues& numbers, Device device,
                 const data::Batch* samples) {
  const auto number = [&](const std::string& name) { return numbers.contains(name) ? numbers.at(name) : Tensor(); };
  const Tensor partners = number("plan.mix.partners");
  const augment::MixDraw draw{number("plan.mix.lambda"), number("plan.mix.more")};
  const std::size_t classes = dataset.classes().size();
  if (in_one_pass(plan, dataset)) {
    const auto [x, y] = plan.mix->mix->gather(*dataset.stored(), number("plan.indices"), partners, draw);
    return {x, target_of(*plan.mix, y, classes)};
  }
  data::Batch own = samples ? *samples : samples_of(dataset, plan.indices, number("plan.indices"), device);
  for (std::size_t k = 0; k < plan.transforms.size(); ++k) {
    auto [transform, table, random] = plan.transforms[k];
    own.x = transform.is_planned() ? transform.apply(own.x, number(table_name(k))) : transform(own.x, random);
  }
  if (!plan.mix) return {own.x, own.y};
  const bool in_model = !plan.mix->layer.empty();
  const data::Batch other = plan.mix->partners.empty()
                                ? data::Batch{in_model ? own.x : gather(own.x, partners), gather(own.y, partners)}
                                : samples_of(dataset, plan.mix->partners, partners, device);
  augment::Target target = target_of(*plan.mix, {own.y, other.y, draw.lambda}, classes);
  if (plan.mix->stack_x) return {augment::MixedInput{own.x, other.x, draw.lambda}, target};
  if (in_model) return {own.x, target};
  const Tensor mixed = plan.mix->mix->combine(own.x, other.x, draw);
  if (plan.mix->keep_clean) return augment::behind_clean(own.x, mixed, std::get<augment::MixedTarget>(target));
  return {mixed, target};
}

}  // namespace mixgrad::train
