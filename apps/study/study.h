// mixup_study's experiments as values, and what one run of an experiment measures.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mixgrad.h"

namespace mixgrad::apps {

// What is trained on: a number of samples, drawn by the seed, some with a wrong label.
struct StudyData {
  std::vector<int> digits = {3, 7};  // of MNIST; empty: CIFAR-10
  std::int64_t samples = 0;          // 0: all
  std::int64_t validation = 0;       // the same for every seed; 0: all
  double wrong_labels = 0;           // the share whose label is another one, drawn by the seed
  int epochs = 8;                    // 0: nothing is trained
  bool cifar10() const { return digits.empty(); }
  std::string text() const;  // "1,000 samples of ten digits, 20 % of them with wrong labels, 20 epochs"
};

struct StudyImages {
  data::LabelledImages train, valid;
};
// What all experiments draw from, read once.
struct StudySources {
  StudyImages mnist;                   // or drawn digits
  std::optional<StudyImages> cifar10;  // where its files are
};

// What a run measured, by name. A point of a curve is "curve@x", such as "misses@0.5".
using Measures = std::map<std::string, double>;
struct StudyRun {
  Measures measures;
  double seconds = 0;  // of an epoch, or of what is computed; 0: not of interest
};
using Compute = std::function<StudyRun(const StudySources&, std::uint64_t seed)>;

// One of the variants that an experiment compares.
struct StudyArm {
  std::string key, name;  // in results, "mixup-0.4", and in words, "mixup, alpha 0.4"
  std::function<void(train::Learner&)> prepare = [](train::Learner&) {};
  std::function<nn::Sequential()> model = nullptr;  // in place of the experiment's
  Compute compute = nullptr;                        // in place of training
};

struct Experiment {
  std::string key, question;
  StudyData data = {};
  std::vector<StudyArm> arms;              // the others are compared with the first
  std::vector<std::string> measures;       // that are compared
  std::vector<std::string> measured = {};  // and are not compared: figures for the page, curves
  std::string elsewhere = {};              // figures of others for the same question
  bool wants(const std::string& measure) const;
};

// In the order of the report; those of CIFAR-10 come last. quick: on few samples, one epoch each, to see that it runs.
std::vector<Experiment> study_experiments(bool quick);
// Those that compute and count instead of training (facts.cpp).
std::vector<Experiment> study_facts();
Experiment study_regression(bool quick);  // regression.cpp
// To be increased whenever an experiment becomes another one: results of both are not to be mixed.
inline constexpr int study_version = 1;

// All measures and curves, and whether more of a measure is better, 1, or less, -1, or neither, 0.
struct StudyMeasure {
  std::string name, text;
  int better = 0;
};
const StudyMeasure& study_measure(const std::string& name);
struct StudyCurve {
  std::string name, text, x, y;
};
const std::vector<StudyCurve>& study_curves();

// The experiment's samples for training, drawn by the seed, and those for validation.
data::DataLoaders study_loaders(const StudyData& data, const StudySources& sources, std::uint64_t seed);

// One run: trains an arm from a seed, or computes. Returns nothing if training was stopped, by the callback or others.
std::optional<StudyRun> run_study(const Experiment& experiment, const StudyArm& arm, std::uint64_t seed,
                                  const StudySources& sources, std::shared_ptr<train::Callback> callback);

// What the experiment wants to know of a trained model (measure.cpp), on this validation data.
void measure(const Experiment& experiment, train::Learner& learn, const data::DataLoader& valid, Measures& measures);

}  // namespace mixgrad::apps
