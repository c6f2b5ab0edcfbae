// The figures of the CUDA half, printed: how far each operation is from the CPU in f64; the time of an epoch; kernels
// that are bound by memory beside a copy; convolutions; the three tables of FIGURES.md. Run by gpu.sh.
//
//   gpu_figures [--quick] [--data DIR] [parity] [memory] [convolutions] [epochs] [tables]
//
// Without names, all five parts. A profiler that starts when the program asks sees one call of each kernel that is
// timed: ncu --profile-from-start off gpu_figures convolutions.
//
// DIR has the four files of MNIST (default $MIXGRAD_DATA/mnist; without, epochs are timed on drawn digits and there are
// no tables). --quick runs all of it on tiny sizes, to see that it works, and judges no speed. Ends with "N passed, N
// failed": the figures that have a bound.
#include <cuda_profiler_api.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/autograd.h"
#include "core/cuda.h"
#include "mixgrad.h"
#include "on_cuda.h"
#include "op_cases.h"
#include "training.h"

using namespace mixgrad;

namespace {

struct Options {
  bool quick = false;
  std::string data;                // empty: no MNIST
  std::vector<std::string> parts;  // empty: all

  bool has(const char* part) const {
    return parts.empty() || std::find(parts.begin(), parts.end(), part) != parts.end();
  }
};

int passed = 0, failed = 0;

const char* judge(bool good) {
  ++(good ? passed : failed);
  return good ? "ok" : "FAILED";
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The time of f on the device in seconds, by events around some calls: the median of several rounds after a warm-up.
class Stopwatch {
 public:
  explicit Stopwatch(const Options& options) : rounds_(options.quick ? 1 : 9), calls_(options.quick ? 1 : 5) {
    check_cuda("event", cudaEventCreate(&begin_));
    check_cuda("event", cudaEventCreate(&end_));
  }
  double operator()(const std::function<void()>& f) const {
    f();
    check_cuda("profiler", cudaProfilerStart());
    f();
    check_cuda("profiler", cudaProfilerStop());
    std::vector<double> seconds;
    for (int round = 0; round < rounds_; ++round) {
      check_cuda("event", cudaEventRecord(begin_, cuda_stream()));
      for (int i = 0; i < calls_; ++i) f();
      check_cuda("event", cudaEventRecord(end_, cuda_stream()));
      check_cuda("event", cudaEventSynchronize(end_));
      float milliseconds = 0;
      check_cuda("event", cudaEventElapsedTime(&milliseconds, begin_, end_));
      seconds.push_back(std::max(milliseconds, 1e-6f) / 1e3 / calls_);
    }
    return median(seconds);
  }

 private:
  int rounds_, calls_;
  cudaEvent_t begin_{}, end_{};
};

Tensor normal(const Shape& shape) { return test::make_inputs({shape}, test::Domain::normal, DType::f32)[0].to(cuda); }

// x as an operation's output: its gradient is handed on, where that of a leaf is copied.
Tensor computed(const Tensor& x) { return reshape(x.requires_grad_(), x.shape()); }

// Numbers that cost the host nothing: the same on every row.
Tensor filled(const Shape& shape) { return Tensor::full(shape, 0.5, {.device = cuda}); }

// Runs the backward function of the operation that made y, as often as it is called.
class Backwards {
 public:
  explicit Backwards(const Tensor& y) : y_(y), dy_(filled(y.shape())) {}
  void operator()() const {
    const NoGrad off;
    Node& node = *y_.node();
    Gradients to(node);
    node.backward(dy_, to);
    for (const auto& input : node.inputs)
      if (input) input->grad = {};
  }

 private:
  Tensor y_, dy_;
};

// ---- max |a - b| / max |b| of every operation, in its output and all gradients, b from the CPU in f64

void print_parity(const Options& options) {
  std::printf("\nmax|a-b| / max|b| against the CPU in f64, output and gradients together\n");
  const auto flat = [](const test::OpCase& op, const test::Inputs& inputs) {
    const test::Evaluation evaluation = test::evaluate(op, inputs);
    std::vector<double> all = evaluation.output.to_vector<double>();
    for (const Tensor& gradient : evaluation.gradients)
      for (const double value : gradient.to_vector<double>()) all.push_back(value);
    return all;
  };
  double worst = 0;
  int number = 0;
  for (const test::OpCase& op : test::op_cases()) {
    if (op.needs_f64 || (options.quick && ++number % 16)) continue;  // test_cuda.cpp has them all
    test::Inputs inputs = test::make_inputs(op, DType::f32);
    for (Tensor& input : inputs) input = input.to(cuda);
    const double error = test::relative_error(flat(op, inputs), flat(op, test::make_inputs(op, DType::f64)));
    worst = std::max(worst, error);
    std::printf("%-6s %8.1e  %s\n", judge(error <= op.f32_tolerance), error, op.name.c_str());
  }
  std::printf("the worst: %.1e\n", worst);
}

// ---- What is bound by memory, beside a copy

struct Memory {
  const Options& options;
  Stopwatch time{options};
  double copy_rate = 0;  // bytes per second, read and written

  void print(const char* name, double bytes, const std::function<void()>& f) {
    const double rate = bytes / time(f), share = rate / copy_rate;
    const char* verdict = options.quick ? "" : judge(share >= 0.75);
    std::printf("%-6s %-40s %8.0f GB/s  %5.1f %%\n", verdict, name, rate / 1e9, 100 * share);
  }
};

void print_memory_bound(const Options& options) {
  std::printf("\nKernels bound by memory: bytes that must be read and written, per second; share of a copy's rate\n");
  Memory memory{options};
  const std::int64_t rows = options.quick ? 300 : 1 << 20, channels = 64, n = rows * channels;
  const auto bytes = static_cast<double>(n) * 4;
  const Tensor x = filled({rows, channels}), copy = filled({rows, channels});
  memory.copy_rate = 2 * bytes / memory.time([&] {
    check_cuda("copy", cudaMemcpyAsync(copy.mutable_data<float>(cuda), x.data<float>(cuda),
                                       static_cast<std::size_t>(n) * 4, cudaMemcpyDeviceToDevice, cuda_stream()));
  });
  std::printf("       %-40s %8.0f GB/s\n", "copy, device to device", memory.copy_rate / 1e9);

  {
    const std::int64_t images = options.quick ? 20 : 60000, batch = options.quick ? 8 : 16384;
    const data::ImageDataset dataset(
        {Tensor::full({images, 28, 28, 1}, 100, {.dtype = DType::u8}), Tensor::zeros({images}, {.dtype = DType::i32})},
        {"0"});
    const auto resident = dataset.to(cuda);
    const auto some = [&](std::uint64_t seed) {
      auto all = Random(seed).permutation(images);
      return Tensor::from(std::vector<std::int32_t>(all.begin(), all.begin() + batch), {batch}).to(cuda);
    };
    const Tensor numbers = some(1), partners = some(2), lambda = filled({batch});
    memory.print("gather and mix", static_cast<double>(batch) * 784 * (2 + 3 * 4), [&] {
      augment::MixUp().gather(*resident->stored(), numbers, partners, {lambda, Tensor()});
    });
  }
  for (const bool relu : {false, true}) {
    nn::BatchNorm layer(channels);
    layer.to(cuda);
    const std::string name = relu ? "batch norm + ReLU" : "batch norm";
    const auto forward = [&](const Tensor& input) {
      return relu ? layer.forward_activated(input, functions::Relu{}) : layer(input);
    };
    memory.print((name + ", forward").c_str(), 3 * bytes, [&] { no_grad([&] { return forward(x); }); });
    memory.print((name + ", backward").c_str(), 5 * bytes, Backwards(forward(computed(x.clone()))));
  }
  memory.print("ReLU, forward", 2 * bytes, [&] { relu(x); });
  memory.print("ReLU, backward", 3 * bytes, Backwards(relu(computed(x.clone()))));
  for (const bool adam : {true, false}) {
    train::Optimizer optimizer(std::vector<Tensor>{nn::parameter(x.clone())},
                               adam ? train::adamw() : train::sgd({.momentum = 0.9}));
    const Tensor coefficients = optimizer.coefficients(1).to(cuda);
    memory.print(adam ? "AdamW" : "SGD with momentum", (adam ? 7 : 5) * bytes, [&] { optimizer.step(coefficients); });
  }
  const Tensor labels = Tensor::zeros({rows}, {.dtype = DType::i32, .device = cuda});
  memory.print("cross-entropy of two labels, and gradient", 2 * bytes, [&, logits = x.clone().requires_grad_()] {
    nn::cross_entropy_mixed(logits, labels, labels, Tensor::full({}, 0.5, {.device = cuda}));
  });
}

// ---- Convolutions

void print_convolutions(const Options& options) {
  std::printf("\nConvolution 3x3 in f32, TFLOP/s%20s %8s %15s %16s\n", "", "forward", "input gradient",
              "weight gradient");
  struct Case {
    std::int64_t in, out, size;
  };
  const Stopwatch time(options);
  for (auto [in, out, size] : {Case{24, 64, 31}, Case{64, 64, 15}, Case{64, 256, 15}, Case{256, 256, 7}}) {
    const std::int64_t batch = options.quick ? 1 : 1024;
    if (options.quick) in /= 8, out /= 8, size = 3;
    const Tensor x = normal({1, size, size, in}), weight = normal({out, 3, 3, in});
    Tensor images = Tensor::empty({batch, size, size, in}, {.device = cuda});
    for (std::int64_t i = 0; i < batch; ++i) slice(images, i, i + 1).copy_(x);
    const auto flop = 2.0 * 9 * static_cast<double>(batch * size * size * in * out);
    const auto convolve = [](const Tensor& a, const Tensor& w) { return nn::conv2d(a, w, {}, {.padding = 1}); };
    const double forward = time([&] { no_grad([&] { return convolve(images, weight); }); });
    const double to_input = time(Backwards(convolve(computed(images.clone()), weight)));
    const double to_weight = time(Backwards(convolve(images, weight.clone().requires_grad_())));
    std::printf("       %3lld -> %3lld @ %2lld, batch %4lld %30.2f %15.2f %16.2f\n", static_cast<long long>(in),
                static_cast<long long>(out), static_cast<long long>(size), static_cast<long long>(batch),
                flop / forward / 1e12, flop / to_input / 1e12, flop / to_weight / 1e12);
  }
}

// ---- Training

data::DataLoaders threes_and_sevens(const Options& options) {
  if (options.quick) return test::digits(24, {.batch_size = 8, .shuffle = true, .drop_last = true});
  const data::MnistOptions mnist{.digits = {3, 7}, .batch_size = 64};
  return options.data.empty() ? data::synthetic_mnist(mnist) : data::mnist(options.data, mnist);
}

// From the beginning of an epoch to the last figure of its last batch.
struct EpochClock : train::Callback {
  using Clock = std::chrono::steady_clock;
  void on_epoch_begin(train::Learner&) override { begin = Clock::now(); }
  void on_validate_begin(train::Learner&) override {
    milliseconds.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  }
  Clock::time_point begin;
  std::vector<double> milliseconds;
};

void print_epochs(const Options& options, const data::DataLoaders& data) {
  std::printf("\nsimple_cnn on 3s and 7s%s, batch %lld: an epoch of %lld steps\n",
              options.quick || options.data.empty() ? " (drawn)" : "",
              static_cast<long long>(data.train.options().batch_size),
              static_cast<long long>(data.train.num_batches()));
  for (const bool mixup : {false, true})
    for (const bool capture : {true, false}) {
      manual_seed(0);
      train::LearnerOptions settings = test::quiet();
      settings.device = cuda;
      if (!capture) settings.runner = train::plain_runner;
      train::Learner learn(data, nn::simple_cnn({3, 16, 16, 2}), settings);
      if (mixup) learn.mixup();
      const auto clock = std::make_shared<EpochClock>();
      learn.add(clock).fit(options.quick ? 2 : 21);
      std::vector<double>& times = clock->milliseconds;
      times.erase(times.begin());  // in it the step is captured
      const double middle = median(times);
      const char* verdict = options.quick || !capture ? "" : judge(middle < 15);
      std::printf("%-6s %-14s %-16s %8.2f ms  (%.2f to %.2f)\n", verdict, mixup ? "mixup" : "without mixup",
                  capture ? "with the graph" : "plain launches", middle, *std::min_element(times.begin(), times.end()),
                  *std::max_element(times.begin(), times.end()));
    }
}

struct MeanAndDeviation {
  double mean, deviation;
};

MeanAndDeviation statistics(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  double mean = 0, square = 0;
  for (const double value : values) mean += value / n;
  for (const double value : values) square += (value - mean) * (value - mean);
  return {mean, std::sqrt(square / (n - 1))};
}

void print_tables(const Options& options, const data::DataLoaders& data) {
  struct Table {
    const char* name;
    bool mixup;
    augment::LossWeight weight;
    MeanAndDeviation cpu[3];  // FIGURES.md: train loss, validation loss, accuracy
  };
  const Table tables[] = {
      {"without mixup", false, {}, {{.0271, .0034}, {.0276, .0039}, {.9894, .0025}}},
      {"mixup", true, augment::LossWeight::lambda, {{.2324, .0039}, {.0535, .0039}, {.9886, .0021}}},
      {"mixup, batch-mean lambda",
       true,
       augment::LossWeight::batch_mean,
       {{.3055, .0044}, {.0860, .0057}, {.9901, .0021}}}};
  const int seeds = options.quick ? 2 : 10, epochs = options.quick ? 1 : 8;
  std::printf("\n%d epochs, seeds 0 to %d: mean +- deviation (the CPU's); their distance in standard errors\n", epochs,
              seeds - 1);
  for (const Table& table : tables) {
    std::vector<double> values[3];
    for (int seed = 0; seed < seeds; ++seed) {
      const auto number = static_cast<std::uint64_t>(seed);
      manual_seed(number);
      const nn::Sequential model = nn::simple_cnn({3, 16, 16, 2});
      train::Learner learn(data.with_seed(number), model,
                           {.metrics = {train::accuracy}, .device = cuda, .seed = number, .verbose = false});
      if (table.mixup) learn.mixup({.loss_weight = table.weight});
      learn.fit(epochs, 3e-3);
      const train::EpochRecord& last = learn.recorder->epochs().back();
      for (int i = 0; i < 3; ++i)
        values[i].push_back(i == 0 ? last.train_loss : i == 1 ? last.valid_loss : last.metrics[0]);
    }
    for (int i = 0; i < 3; ++i) {
      const auto [mean, deviation] = statistics(values[i]);
      const auto& cpu = table.cpu[i];
      const double distance = std::abs(mean - cpu.mean) / std::hypot(deviation, cpu.deviation) * std::sqrt(seeds);
      std::printf("%-6s %-26s %-10s %.4f +- %.4f  (%.4f +- %.4f)  %.1f\n", options.quick ? "" : judge(distance <= 2.5),
                  table.name,
                  i == 0   ? "train_loss"
                  : i == 1 ? "valid_loss"
                           : "accuracy",
                  mean, deviation, cpu.mean, cpu.deviation, distance);
    }
  }
}

void run(const Options& options) {
  check_available(cuda);
  if (options.has("parity")) print_parity(options);
  if (options.has("memory")) print_memory_bound(options);
  if (options.has("convolutions")) print_convolutions(options);
  if (!options.has("epochs") && !options.has("tables")) return;
  const data::DataLoaders data = threes_and_sevens(options);
  if (options.has("epochs")) print_epochs(options, data);
  if (!options.has("tables")) return;
  if (options.quick || !options.data.empty()) print_tables(options, data);
  else std::printf("\nskipped: the three tables (no MNIST; give its folder with --data or MIXGRAD_DATA)\n");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    constexpr const char* parts[] = {"parity", "memory", "convolutions", "epochs", "tables"};
    Options options;
    if (const char* folder = std::getenv("MIXGRAD_DATA")) options.data = std::string(folder) + "/mnist";
    if (!std::filesystem::is_directory(options.data)) options.data.clear();
    for (int i = 1; i < argc; ++i) {
      if (!std::strcmp(argv[i], "--quick")) options.quick = true;
      else if (!std::strcmp(argv[i], "--data") && i + 1 < argc) options.data = argv[++i];
      else if (std::any_of(std::begin(parts), std::end(parts),
                           [&](const char* part) { return !std::strcmp(argv[i], part); }))
        options.parts.emplace_back(argv[i]);
      else fail(argv[i], ": unknown (there are --quick, --data DIR, parity, memory, convolutions, epochs and tables)");
    }
    run(options);
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "gpu_figures: %s\n", error.what());
    return 1;
  }
  std::printf("\n%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
