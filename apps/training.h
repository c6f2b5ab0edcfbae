// What programs do around Learner::fit: stop on Ctrl-C, write and resume checkpoints, name what went wrong, and compute
// statistics over seeds.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/run_options.h"

namespace mixgrad::apps {

// Sets the number of threads; warns where they are more than the cores.
void use_threads(const char* program, int threads);

// A learner, and the callbacks that end its training.
struct Training {
  std::unique_ptr<train::Learner> learn;
  std::shared_ptr<train::StopOnInterrupt> interrupt = std::make_shared<train::StopOnInterrupt>();
  std::shared_ptr<train::TerminateOnNan> terminate =
      std::make_shared<train::TerminateOnNan>(train::TerminateOnNanOptions{.print = false});  // the error says it

  bool interrupted() const { return interrupt->interrupted(); }
};

// Adds them, and the writing of this checkpoint if that is asked for; resumes from it, if that is, where it exists.
// settings: what must be the same then.
Training make_training(std::unique_ptr<train::Learner> learn, const RunOptions& options, const std::string& checkpoint,
                       const train::Settings& settings);

// Throws unless there is a checkpoint, or will be one, and each is valid for its run: before anything is written.
// make(i): the training of run i, whose checkpoint is checkpoints[i].
void check_checkpoints(const RunOptions& options, const std::vector<std::string>& checkpoints,
                       const std::function<Training(std::size_t)>& make);

// Trains; with --resume says first where it goes on. metrics: the path of metrics.csv, or empty. Throws on a loss that
// is not finite, with this advice, and when training was stopped because its table could not be printed.
void train_once(const Training& training, const RunOptions& options, double epochs, std::optional<double> lr,
                const std::string& checkpoint, const std::string& metrics, const train::CsvOptions& columns,
                const std::string& advice);

// Writes the weights to --save, if it is given, unless training was stopped, and says so.
void save_weights(const Training& training, const RunOptions& options, const std::map<std::string, std::string>& about);

// "plain: accuracy    mean 0.98000  sd 0.00200  se 0.00120  over 3 seeds"
void print_statistics(const std::string& run, const std::string& quantity, const std::vector<double>& values);

}  // namespace mixgrad::apps
