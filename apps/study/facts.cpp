// What the document says about mixup itself, computed or counted: nothing is learnt here.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "apps/study/study.h"

namespace mixgrad::apps {
namespace {

StudyArm computed(std::string key, std::string name, Compute f) {
  return {.key = std::move(key), .name = std::move(name), .compute = std::move(f)};
}

// mix() against t a + (1 - t) b in f64, and what a 70 % dog's label says.
StudyRun formula(const StudySources&, std::uint64_t seed) {
  Random random(seed, Purpose::mixup);
  constexpr std::int64_t n = 32, pixels = 48;
  const augment::MixPlan plan = augment::draw_mix_plan(n, {}, random);
  std::vector<double> before(n * pixels);
  for (double& value : before) value = random.uniform();
  const Tensor x = Tensor::from(before, {n, 4, 4, 3});
  const auto mixed = augment::mix(x, plan).to_vector<double>();
  double worst = 0;
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    const std::size_t sample = i / pixels, partner = static_cast<std::size_t>(plan.permutation[sample]);
    const double t = static_cast<double>(plan.lambda[sample]);
    worst = std::max(worst, std::abs(mixed[i] - (t * before[i] + (1 - t) * before[partner * pixels + i % pixels])));
  }
  const augment::MixPlan dog_and_cat{.lambda = {0.7F, 0.7F}, .permutation = {1, 0}};
  const Tensor labels = augment::mix(one_hot(Tensor::from({0, 1}, {2}), 2, DType::f64), dog_and_cat);
  return {{{"formula_error", worst}, {"share_of_first", labels.to_vector<double>()[0]}}};
}

Compute beta(double alpha) {
  return [=](const StudySources&, std::uint64_t seed) {
    constexpr int draws = 100'000;
    Random random(seed, Purpose::mixup);
    double near = 0, outer = 0, square = 0, largest = 0, entropy = 0;
    for (int i = 0; i < draws; ++i) {
      const double t = augment::draw_share(alpha, 1, random);
      const auto part = [](double p) { return p > 0 ? -p * std::log(p) : 0.0; };
      near += t < 0.1 || t > 0.9 ? 1.0 : 0.0;
      outer += t < 0.2 || t > 0.8 ? 1.0 : 0.0;
      square += (t - 0.5) * (t - 0.5);
      largest += std::max(t, 1 - t);
      entropy += part(t) + part(1 - t);
    }
    return StudyRun{{{"near_ends", near / draws},
                     {"within_0.2", outer / draws},
                     {"variance", square / draws},
                     {"mean_lambda", largest / draws},
                     {"entropy_of_lambda", entropy / draws}}};
  };
}

constexpr double twin_distance = 0.05, twin_alpha = 0.4;

// P(|lambda_1 + lambda_2 - 1| < twin_distance) for two independent draws, by sums over a grid. The density of t is
// x^(alpha-1) (1-x)^(alpha-1); by s = x^alpha, x^(alpha-1) dx = ds / alpha, which has no pole at 0.
double chance_of_twins(bool dedupe) {
  constexpr std::size_t cells = 4000;
  std::vector<double> mass(cells);
  const auto power = [](std::size_t i) { return std::pow(static_cast<double>(i) / cells, twin_alpha); };
  for (std::size_t i = 0; i < cells / 2; ++i) {
    const double middle = std::pow((power(i) + power(i + 1)) / 2, 1 / twin_alpha);
    mass[i] = (power(i + 1) - power(i)) * std::pow(1 - middle, twin_alpha - 1);
  }
  const double half = std::accumulate(mass.begin(), mass.end(), 0.0);
  for (std::size_t i = 0; i < cells / 2; ++i) {
    const double share = mass[i] / half / 2;
    mass[i] = dedupe ? 0 : share;
    mass[cells - 1 - i] = dedupe ? 2 * share : share;
  }
  double chance = 0;
  for (std::size_t i = 0; i < cells; ++i)
    for (std::size_t j = 0; j < cells; ++j)
      if (std::abs(static_cast<double>(i + j + 1) / cells - 1) < twin_distance) chance += mass[i] * mass[j];
  return chance;
}

// Twins: i is mixed with j and j with i, and the shares are those of nearly the same mixture. A random permutation of
// any number of samples has half a pair i <-> j on average.
Compute twins(bool dedupe) {
  return [=, chance = chance_of_twins(dedupe)](const StudySources&, std::uint64_t seed) {
    double count = 0;
    for (std::uint32_t batch = 0; batch < 1000; ++batch) {
      Random random(seed, Purpose::mixup, 0, batch);
      const augment::MixPlan plan = augment::draw_mix_plan(64, {.alpha = twin_alpha, .dedupe = dedupe}, random);
      for (std::size_t i = 0; i < 64; ++i) {
        const auto j = static_cast<std::size_t>(plan.permutation[i]);
        const double sum = static_cast<double>(plan.lambda[i]) + static_cast<double>(plan.lambda[j]);
        if (j > i && plan.permutation[j] == static_cast<std::int32_t>(i) && std::abs(sum - 1) < twin_distance)
          count += 1;
      }
    }
    return StudyRun{{{"twins", count}, {"twins_computed", 1000 * 0.5 * chance}}};
  };
}

// The loss of one batch, and its gradient by the network's output, in three forms.
enum class Form { two_losses, one_hot, batch_mean };
Compute form(Form which) {
  return [=](const StudySources&, std::uint64_t seed) {
    constexpr std::int64_t n = 64, classes = 10;
    Random random(seed, Purpose::mixup);
    const augment::MixPlan plan = augment::draw_mix_plan(n, {}, random);
    std::vector<double> outputs(n * classes);
    for (double& value : outputs) value = 2 * random.normal();
    const Tensor logits = Tensor::from(outputs, {n, classes});
    std::vector<std::int32_t> labels(n);
    for (std::int32_t& label : labels) label = static_cast<std::int32_t>(random.below(classes));
    const Tensor y = Tensor::from(labels, {n});
    const auto loss_and_gradient = [&](Form of) {
      const Tensor leaf = logits.clone().requires_grad_();
      const augment::Target target = of == Form::one_hot
                                         ? augment::Target(augment::mix(one_hot(y, classes, DType::f64), plan))
                                         : augment::Target(augment::mixed_target(y, plan));
      const auto weight = of == Form::batch_mean ? augment::LossWeight::batch_mean : augment::LossWeight::lambda;
      const Tensor loss = augment::MixUpLoss(nn::cross_entropy, weight)(leaf, target);
      loss.backward();
      return std::pair{loss.item(), leaf.grad().to_vector<double>()};
    };
    const auto [loss, gradient] = loss_and_gradient(which);
    const std::vector<double> other = loss_and_gradient(Form::two_losses).second;
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < other.size(); ++i) {
      difference += std::pow(gradient[i] - other[i], 2);
      size += std::pow(other[i], 2);
    }
    constexpr int repetitions = 300;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repetitions; ++i) loss_and_gradient(which);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return StudyRun{{{"batch_loss", loss}, {"gradient_distance", std::sqrt(difference / size)}}, seconds / repetitions};
  };
}

// Keeps what it is given in evaluation.
class Watched : public nn::Module {
 public:
  Watched(nn::Sequential body, std::shared_ptr<std::vector<Tensor>> seen)
      : body_(std::move(body)), seen_(std::move(seen)) {}
  Tensor forward(const Tensor& x) override {
    if (!training()) seen_->push_back(x.clone());
    return body_(x);
  }
  void visit(nn::Visitor& visitor) override { visitor.child("body", body_); }
  std::string name() const override { return "Watched"; }

 private:
  nn::Sequential body_;
  std::shared_ptr<std::vector<Tensor>> seen_;
};

class CountMixed : public train::StepCallback {
 public:
  void on_batch_begin(train::Learner& learn) override {
    batches += 1;
    mixed += std::holds_alternative<augment::MixedTarget>(learn.target) ? 1.0 : 0.0;
  }
  train::StepWork step_work() const override { return train::StepWork::same; }
  double batches = 0, mixed = 0;
};

// The document's data and network, and where a fit with mixup mixes: on one epoch of 640 samples.
StudyRun sample(const StudySources& sources, std::uint64_t seed) {
  const data::DataLoaders all = study_loaders({}, sources, seed);
  const data::DataLoaders data = study_loaders({.samples = 640}, sources, seed);
  manual_seed(seed);
  nn::Sequential model = nn::simple_cnn({3, 16, 16, 2});
  const auto seen = std::make_shared<std::vector<Tensor>>();
  const auto count = std::make_shared<CountMixed>();
  train::Learner learn(data, Watched(model, seen), {.metrics = {train::accuracy}, .seed = seed, .verbose = false});
  learn.mixup().add(count).fit(1);
  const auto clean = data.valid.epoch(0);
  double changed = 0;
  for (std::int64_t i = 0; i < clean.size(); ++i)
    changed += clean[i].x.to_vector<float>() == seen->at(static_cast<std::size_t>(i)).to_vector<float>() ? 0.0 : 1.0;
  bool restored = false;
  try {
    const Tensor y = Tensor::from({0}, {1});
    learn.loss_function(Tensor::zeros({1, 2}), augment::MixedTarget{y, y, Tensor::zeros({1})});
  } catch (const Error&) {
    restored = true;
  }
  return {{{"parameters", static_cast<double>(nn::num_parameters(model))},
           {"train_images", static_cast<double>(all.train.dataset().size())},
           {"valid_images", static_cast<double>(all.valid.dataset().size())},
           {"mixed_in_training", count->mixed / count->batches},
           {"mixed_in_validation", changed / static_cast<double>(clean.size())},
           {"loss_restored", restored ? 1.0 : 0.0}}};
}

}  // namespace

std::vector<Experiment> study_facts() {
  const StudyData none{.epochs = 0};
  return {
      {.key = "formula",
       .question = "Is a mixture what the formula says?",
       .data = none,
       .arms = {computed("mix", "mix(x, plan)", formula)},
       .measures = {"formula_error", "share_of_first"}},
      {.key = "beta",
       .question = "What does Beta(alpha, alpha) draw?",
       .data = none,
       .arms = {computed("uniform", "alpha 1: uniform", beta(1)), computed("beta-0.4", "alpha 0.4", beta(0.4))},
       .measures = {"near_ends", "within_0.2", "variance", "mean_lambda", "entropy_of_lambda"}},
      {.key = "twins",
       .question = "Does max(t, 1 - t) remove the duplicates?",
       .data = none,
       .arms = {computed("no-dedupe", "lambda = t", twins(false)),
                computed("dedupe", "lambda = max(t, 1 - t)", twins(true))},
       .measures = {"twins"},
       .measured = {"twins_computed"}},
      {.key = "two-losses",
       .question = "Are two losses, weighed by lambda, the loss of the mixed target?",
       .data = none,
       .arms = {computed("two-losses", "two losses", form(Form::two_losses)),
                computed("one-hot", "one-hot targets, mixed", form(Form::one_hot)),
                computed("batch-mean", "reduced, then mixed (the bug)", form(Form::batch_mean))},
       .measures = {"batch_loss", "gradient_distance"}},
      {.key = "sample",
       .question = "Is it the document's data and network, and are training batches alone mixed?",
       .data = none,
       .arms = {computed("fit", "a fit with mixup", sample)},
       .measures = {"parameters", "train_images", "valid_images", "mixed_in_training", "mixed_in_validation",
                    "loss_restored"}},
  };
}

}  // namespace mixgrad::apps
