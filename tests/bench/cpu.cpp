// The C++ side of vs_torch: what mixgrad does with each workload of workloads.h, measured through the public interface.
//
//   mixgrad_bench_cpu list                                      the workloads' names
//   mixgrad_bench_cpu peak <threads> <seconds>                  GFLOP/s of a loop of multiply-adds
//   mixgrad_bench_cpu prepare <workload> <folder>               data, initial weights and first steps, for PyTorch
//   mixgrad_bench_cpu time <workload> <threads> <seconds>       images/s
//   mixgrad_bench_cpu profile <workload> <threads> <seconds>    where the time goes
//
// Figures are printed as one JSON object. A step is what Learner::fit does: gather a batch of shuffled images (kept as
// bytes), forward, loss, backward, AdamW; validation is not timed.
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <optional>
#include <span>

#include "core/allocator.h"
#include "tests/bench/fma_peak.h"
#include "tests/bench/workloads.h"

using namespace mixgrad;
using namespace mixgrad::bench;

namespace {

constexpr int first_steps = 5;

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

struct Timing {
  double steps = 0, seconds = 0;
  std::uint64_t misses = 0;  // of the caching allocator
  std::optional<Profile> profile = {};
};

// Decides when a run has warmed up and when it is over: after a quarter of the seconds, and three steps; and after all
// of them.
class Window {
 public:
  Window(double seconds, bool profiled, Timing& timing) : wanted_(seconds), profiled_(profiled), timing_(timing) {}

  void resume() {
    stopwatch_ = {};
    misses_before_ = allocator_stats().misses;
  }
  void pause() {
    timing_.seconds += stopwatch_.seconds();
    timing_.misses += allocator_stats().misses - misses_before_;
  }
  // Called after each step; whether it was the last.
  bool step() {
    ++timing_.steps;
    const double seconds = timing_.seconds + stopwatch_.seconds();
    if (!warm_ && seconds >= wanted_ / 4 && timing_.steps >= 3) begin();
    else if (warm_ && seconds >= wanted_) end();
    return over_;
  }

 private:
  void begin() {
    warm_ = true;
    timing_.steps = timing_.seconds = 0;
    timing_.misses = 0;
    if (profiled_) timing_.profile.emplace();
    resume();
  }
  void end() {
    over_ = true;
    pause();
    if (profiled_) std::cout << *timing_.profile;
  }

  double wanted_;
  bool profiled_, warm_ = false, over_ = false;
  Timing& timing_;
  Stopwatch stopwatch_;
  std::uint64_t misses_before_ = allocator_stats().misses;
};

struct TrainingWindow : train::Callback {
  explicit TrainingWindow(Window window) : window(std::move(window)) {}
  void on_epoch_begin(train::Learner&) override { window.resume(); }
  void on_batch_end(train::Learner& learner) override {
    if (window.step()) learner.stop();
  }
  void on_validate_begin(train::Learner&) override { window.pause(); }
  Window window;
};

// A quiet learner, as a user makes it.
std::unique_ptr<train::Learner> make_learner(const Workload& workload, const data::LabelledImages& images,
                                             double dropout, train::MixUpOptions mixup = {}) {
  auto learn = std::make_unique<train::Learner>(make_data(workload, images), make_model(workload, dropout),
                                                train::LearnerOptions{.seed = 1, .verbose = false});
  if (workload.mixup) learn->mixup(mixup);
  return learn;
}

// The first images as one batch.
Tensor inference_batch(const Workload& workload, const data::LabelledImages& images) {
  return make_data(workload, images).train.with({.batch_size = workload.batch_size}).epoch(0)[0].x;
}

void measure(const Workload& workload, double seconds, bool profiled, Timing& timing) {
  const data::LabelledImages images = make_images(workload);
  Window window(seconds, profiled, timing);
  if (workload.inference) {
    nn::Sequential model = make_model(workload, 0);
    const Tensor x = inference_batch(workload, images);
    const NoGrad off;
    model.eval();
    do model(x);
    while (!window.step());
  } else {
    const auto learn = make_learner(workload, images, dropout_probability);
    learn->add(std::make_shared<TrainingWindow>(window));
    learn->fit(1'000'000);
  }
}

// ---- prepare

// Writes down what the first steps are trained on and what comes of it.
class FirstSteps : public train::StepCallback {
 public:
  void on_batch_begin(train::Learner& learner) override {
    numbers_.insert(numbers_.end(), learner.plan.indices.begin(), learner.plan.indices.end());
  }
  train::StepWork step_work() const override { return train::StepWork::varies; }
  void on_batch_end(train::Learner& learner) override {
    losses_.push_back(static_cast<float>(learner.loss.item()));
    if (losses_.size() == first_steps) learner.stop();
  }
  void add_plan(const augment::MixPlan& plan) {
    for (const float value : plan.lambda) lambda_.push_back(value);
    for (const std::int32_t value : plan.permutation) permutation_.push_back(value);
  }
  void list(std::vector<NamedTensor>& tensors) const {
    const std::int64_t samples = std::ssize(numbers_) / first_steps;
    tensors.push_back({"losses", Tensor::from(losses_, {first_steps})});
    tensors.push_back({"numbers", Tensor::from(numbers_, {first_steps, samples})});
    if (lambda_.empty()) return;
    tensors.push_back({"lambda", Tensor::from(lambda_, {first_steps, samples})});
    tensors.push_back({"permutation", Tensor::from(permutation_, {first_steps, samples})});
  }

 private:
  std::vector<float> losses_, lambda_;
  std::vector<std::int32_t> numbers_, permutation_;
};

// Writes NAME.weights.safetensors and NAME.safetensors, and prints the floating-point operations of a step. Without
// dropout, which draws other numbers in PyTorch.
void prepare(const Workload& workload, const std::string& folder) {
  const data::LabelledImages images = make_images(workload);
  std::vector<NamedTensor> tensors{{"images", images.images}, {"labels", images.labels}};
  nn::Sequential model = make_model(workload, 0);
  // An MLP's weights are PyTorch's as they are: its images have one channel.
  const auto layout = workload.name == "mlp" ? nn::WeightLayout::ohwi : nn::WeightLayout::oihw;
  nn::save_weights(model, folder + "/" + workload.name + ".weights.safetensors", layout);
  const Profile profile;
  int steps = 1;
  if (workload.inference) {
    const NoGrad off;
    model.eval();
    tensors.push_back({"outputs", model(inference_batch(workload, images))});
  } else {
    steps = first_steps;
    const auto record = std::make_shared<FirstSteps>();
    const auto plan = [&](std::uint32_t pass, std::int64_t batch, std::int64_t size) {
      Random random(1, Purpose::mixup, pass, static_cast<std::uint32_t>(batch));
      augment::MixPlan drawn = augment::draw_mix_plan(size, {}, random);
      record->add_plan(drawn);
      return drawn;
    };
    const auto learn = make_learner(workload, images, 0, {.plan = plan});
    learn->add(record);
    learn->fit(1);
    record->list(tensors);
  }
  write_safetensors(folder + "/" + workload.name + ".safetensors", tensors);
  double flops = 0;
  for (const Profile::Entry& entry : profile.entries()) flops += entry.flops;
  std::printf("{\"flops\": %.0f, \"batch_size\": %lld}\n", flops / steps, static_cast<long long>(workload.batch_size));
}

int run(std::span<const std::string> arguments) {
  const auto is = [&](const char* command, std::size_t count) {
    return arguments.size() == count + 1 && arguments[0] == command;
  };
  if (is("list", 0)) {
    for (const Workload& workload : workloads()) std::cout << workload.name << '\n';
  } else if (is("peak", 2)) {
    std::printf("{\"gflops\": %.1f}\n", fma_peak(std::stoi(arguments[1]), std::stod(arguments[2])));
  } else if (is("prepare", 2)) {
    prepare(find_workload(arguments[1]), arguments[2]);
  } else if (is("time", 3) || is("profile", 3)) {
    const Workload& workload = find_workload(arguments[1]);
    set_num_threads(std::stoi(arguments[2]));
    Timing timing;
    measure(workload, std::stod(arguments[3]), arguments[0] == "profile", timing);
    if (timing.profile) std::printf("%.0f steps of %.3f ms\n", timing.steps, 1e3 * timing.seconds / timing.steps);
    else
      std::printf("{\"rate\": %.1f, \"misses\": %llu}\n",
                  timing.steps * static_cast<double>(workload.batch_size) / timing.seconds,
                  static_cast<unsigned long long>(timing.misses));
  } else {
    std::cerr << "usage: mixgrad_bench_cpu list | peak THREADS SECONDS | prepare WORKLOAD FOLDER |\n"
                 "       time WORKLOAD THREADS SECONDS | profile WORKLOAD THREADS SECONDS\n";
    return 2;
  }
  return 0;
}

}  // namespace

int main(int count, char** values) try {
  return run(std::vector<std::string>(values + 1, values + count));
} catch (const std::exception& error) {
  std::cerr << "mixgrad_bench_cpu: " << error.what() << '\n';
  return 1;
}
