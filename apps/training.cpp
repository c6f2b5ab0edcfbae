#include "apps/training.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "apps/program.h"
#include "apps/statistics.h"

namespace mixgrad::apps {
namespace {

// Ends training when its table can't be printed, such as into a closed pipe.
struct StopIfUnprintable : train::Callback {
  void on_epoch_end(train::Learner& learner) override {
    if (std::ferror(stdout)) learner.stop();
  }
};

void print_start(const train::Learner& learn, const std::string& checkpoint) {
  if (const auto& start = learn.start(); !start)
    print_line("no checkpoint ", checkpoint, ": starts from the beginning");
  else if (start->epoch >= start->epochs) print_line("resumed from ", checkpoint, ": already complete");
  else
    print_line("resumed from ", checkpoint, ": in epoch ", start->epoch + 1, " after batch ", start->batch, " of ",
               learn.data.train.num_batches());
}

}  // namespace

void use_threads(const char* program, int threads) {
  if (threads > 0) set_num_threads(threads);
  if (const int cores = static_cast<int>(std::thread::hardware_concurrency()); cores > 0 && threads > cores)
    std::fprintf(stderr, "%s: %d threads are more than the %d cores here: slower than --threads %d\n", program, threads,
                 cores, cores);
}

Training make_training(std::unique_ptr<train::Learner> learn, const RunOptions& options, const std::string& checkpoint,
                       const train::Settings& settings) {
  Training training{.learn = std::move(learn)};
  training.learn->add(training.interrupt).add(training.terminate).add(std::make_shared<StopIfUnprintable>());
  if (options.checkpoint_every)
    training.learn->add(std::make_shared<train::Checkpoint>(checkpoint, options.checkpoint_every, settings));
  if (options.resume && std::filesystem::exists(checkpoint)) train::resume(*training.learn, checkpoint, settings);
  return training;
}

void check_checkpoints(const RunOptions& options, const std::vector<std::string>& checkpoints,
                       const std::function<Training(std::size_t)>& make) {
  bool any = options.checkpoint_every > 0;
  for (std::size_t i = 0; i < checkpoints.size(); ++i) {
    if (!std::filesystem::exists(checkpoints[i])) continue;
    const Training training = make(i);
    training.learn->start()->compare(*training.learn);
    any = true;
  }
  check(any, "--resume: there is no checkpoint of this training in ", options.out);
  if (options.checkpoint_every == 0) print_line("no more checkpoints are written without --checkpoint-every");
}

void train_once(const Training& training, const RunOptions& options, double epochs, std::optional<double> lr,
                const std::string& checkpoint, const std::string& metrics, const train::CsvOptions& columns,
                const std::string& advice) {
  train::Learner& learn = *training.learn;
  if (options.resume) print_start(learn, checkpoint);
  if (!metrics.empty()) learn.add(std::make_shared<train::CsvLogger>(metrics, columns));
  if (options.profile) learn.add(std::make_shared<train::ProfileCallback>());
  learn.fit(epochs, lr);
  if (const auto& bad = training.terminate->bad())
    fail("the loss of ", bad->batch > 0 ? text_of("batch ", bad->batch) : "the validation", " in epoch ", bad->epoch,
         " is not finite; ", advice);
  const bool all = static_cast<double>(learn.recorder->epochs().size()) >= epochs;
  if (learn.stopping && !training.interrupted() && !all) check_printed();
}

void save_weights(const Training& training, const RunOptions& options,
                  const std::map<std::string, std::string>& about) {
  if (options.save.empty()) return;
  const bool stopped = training.interrupted();
  if (!stopped) nn::save_weights(*training.learn->model, options.save, nn::WeightLayout::ohwi, about);
  print_line(stopped ? "not written: " : "wrote ", options.save, stopped ? ", as training was stopped" : "");
}

void print_statistics(const std::string& run, const std::string& quantity, const std::vector<double>& values) {
  const Statistics of(values);
  std::printf("%s: %-10s  mean %.5f  sd %.5f  se %.5f  over %zu seeds\n", run.c_str(), quantity.c_str(), of.mean,
              of.deviation, of.error, values.size());
}

}  // namespace mixgrad::apps
