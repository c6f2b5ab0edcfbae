// The confusion matrix: which classes a model takes for which.
//
//   const Tensor matrix = train::confusion_matrix(learn);
//   train::print_confusion_matrix(std::cout, matrix, learn.data.classes());
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace mixgrad::train {

class Learner;

// i32 [C, C] over the validation data: in row i, column j the number of samples of class i whose largest output is j.
// Throws as accuracy_of does (train/metrics.h).
Tensor confusion_matrix(Learner& learner);

// A table, one row for each true class and one column for each predicted one. Throws unless the matrix is i32 [C, C].
void print_confusion_matrix(std::ostream& out, const Tensor& matrix, const std::vector<std::string>& classes);

struct Confusion {
  std::int32_t actual, predicted, count;
  bool operator==(const Confusion&) const = default;
};
// The mistakes that were made at least so often, the most frequent first.
std::vector<Confusion> most_confused(const Tensor& matrix, std::int32_t at_least = 1);

// Of one class, by a matrix as above.
struct ClassScores {
  double precision = 0;  // of the samples predicted as this class, the share that belong to it; 0 where there are none
  double recall = 0;     // of the samples of this class, the share predicted as it; 0 where there are none
  double f1 = 0;         // their harmonic mean, 0 where both are
  std::int64_t samples = 0;  // of the class
};
std::vector<ClassScores> class_scores(const Tensor& matrix);

// A table with a row for each class, and one of the plain means over classes.
void print_class_scores(std::ostream& out, const Tensor& matrix, const std::vector<std::string>& classes);

}  // namespace mixgrad::train
