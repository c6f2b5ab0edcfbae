// mixup_study's experiments as values, what a training of one comes to, and how they are compared.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mixgrad.h"

namespace mixgrad::apps {

// What is trained on: so many samples of MNIST's digits, drawn by the seed, some with a wrong label.
struct StudyData {
  std::vector<int> digits = {3, 7};
  std::int64_t samples = 0;  // 0: all
  double wrong_labels = 0;   // the share whose label is another one, drawn by the seed
  int epochs = 8;
  std::string text() const;  // "1,000 samples of ten digits, 20 % of them with wrong labels, 20 epochs"
};

// One of the ways that an experiment compares.
struct StudyArm {
  std::string key;   // in results: "mixup-0.4"
  std::string name;  // in words: "mixup, alpha 0.4"
  std::function<void(train::Learner&)> prepare;
};

struct Experiment {
  std::string key, question;
  StudyData data;
  std::vector<StudyArm> arms;         // the others are compared with the first
  std::vector<std::string> measures;  // that are compared
};

// In the order of the report. quick: on few samples, one or two epochs each, to see that it runs.
std::vector<Experiment> study_experiments(bool quick);

// The measures of a training, by name.
using Measures = std::map<std::string, double>;

// All that may be measured, in the order of results.csv; and whether more of it is better: 1, less: -1, or neither: 0.
struct StudyMeasure {
  std::string name, text;
  int better;
};
const std::vector<StudyMeasure>& study_measures();

// MNIST, read once.
struct StudyImages {
  data::LabelledImages train, valid;
};
StudyImages read_study_images(const std::string& folder);  // drawn digits where it is empty

// Trains one arm from one seed. Stops, and returns nothing, where the callback says so.
std::optional<Measures> run_study(const Experiment& experiment, const StudyArm& arm, std::uint64_t seed,
                                  const StudyImages& images, std::shared_ptr<train::Callback> callback);

}  // namespace mixgrad::apps
