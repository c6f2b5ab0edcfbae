// Calibration: whether a model that is 80 % sure is right in 80 % of the cases (Guo, Pleiss, Sun and Weinberger, "On
// calibration of modern neural networks", 2017). The samples are put into bins by their confidence, the largest
// probability; in each, confidence is compared with accuracy.
//
//   error = sum over bins of n_b / N |accuracy_b - confidence_b|
//
//   train::print_calibration(std::cout, train::calibration(learn));
#pragma once

#include <cstdint>
#include <iosfwd>
#include <vector>

#include "core/tensor.h"

namespace mixgrad::train {

class Learner;

struct CalibrationBin {
  std::int64_t samples = 0;
  double confidence = 0, accuracy = 0;  // means over them; 0 where there are none
};

struct Calibration {
  std::vector<CalibrationBin> bins;  // bin b: confidence above b / B, up to (b + 1) / B
  double error = 0;                  // expected calibration error
  double confidence = 0, accuracy = 0;
};

// Of p = softmax(output) for output [N, C]; targets as in accuracy_of (train/metrics.h). Throws unless bins >= 1, as
// accuracy_of does, and where an output is nan.
Calibration calibration(const Tensor& output, const Tensor& target, int bins = 15);
// Over the validation data.
Calibration calibration(Learner& learner, int bins = 15);

// A table with a row for each bin that is not empty: a reliability diagram in text.
void print_calibration(std::ostream& out, const Calibration& calibration);

}  // namespace mixgrad::train
