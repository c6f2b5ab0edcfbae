#include "train/confusion_matrix.h"

#include <algorithm>
#include <iomanip>
#include <ostream>

#include "core/reduce.h"
#include "train/learner.h"

namespace mixgrad::train {
namespace {

std::int64_t classes_of(const Tensor& matrix) {
  check(matrix.dtype() == DType::i32 && matrix.rank() == 2 && matrix.size(0) == matrix.size(1),
        "confusion matrix: ", name_of(matrix.dtype()), matrix.shape(), " must be i32 [C, C]");
  return matrix.size(0);
}

}  // namespace

Tensor confusion_matrix(Learner& learner) {
  Tensor matrix;
  for (const data::Batch& batch : learner.data.valid.epoch(0)) {
    const Tensor output = learner.predict(batch.x).to(cpu);
    const auto actual = target_classes("confusion matrix", output, batch.y.to(cpu));
    const auto predicted = argmax(output, 1).to_vector<std::int32_t>();
    const std::int64_t classes = output.size(1);
    if (!matrix) matrix = Tensor::zeros({classes, classes}, {.dtype = DType::i32});
    auto* const counts = matrix.mutable_data<std::int32_t>();
    for (std::size_t i = 0; i < actual.size(); ++i) ++counts[actual[i] * classes + predicted[i]];
  }
  return matrix;
}

void print_confusion_matrix(std::ostream& out, const Tensor& matrix, const std::vector<std::string>& classes) {
  const std::int64_t count = classes_of(matrix);
  const auto* value = matrix.data<std::int32_t>();
  const std::string corner = "true \\ predicted";
  std::size_t first = corner.size(), width = 0;
  for (std::int64_t c = 0; c < count; ++c) {
    first = std::max(first, class_name(classes, c).size());
    width = std::max(width, class_name(classes, c).size());
  }
  for (std::int64_t i = 0; i < matrix.numel(); ++i) width = std::max(width, std::to_string(value[i]).size());
  const auto cell = [&](const std::string& text) { out << std::string(width + 2 - text.size(), ' ') << text; };
  const auto head = [&](const std::string& text) { out << text << std::string(first - text.size(), ' '); };
  head(corner);
  for (std::int64_t c = 0; c < count; ++c) cell(class_name(classes, c));
  for (std::int64_t row = 0; row < count; ++row) {
    out << '\n';
    head(class_name(classes, row));
    for (std::int64_t c = 0; c < count; ++c) cell(std::to_string(*value++));
  }
  out << '\n';
}

std::vector<ClassScores> class_scores(const Tensor& matrix) {
  const std::int64_t classes = classes_of(matrix);
  const auto* const counts = matrix.data<std::int32_t>();
  std::vector<ClassScores> scores;
  for (std::int64_t c = 0; c < classes; ++c) {
    std::int64_t actual = 0, predicted = 0;
    for (std::int64_t other = 0; other < classes; ++other) {
      actual += counts[c * classes + other];
      predicted += counts[other * classes + c];
    }
    const auto right = static_cast<double>(counts[c * classes + c]);
    const auto share = [=](std::int64_t of) { return of > 0 ? right / static_cast<double>(of) : 0; };
    scores.push_back({share(predicted), share(actual),
                      actual + predicted > 0 ? 2 * right / static_cast<double>(actual + predicted) : 0, actual});
  }
  return scores;
}

void print_class_scores(std::ostream& out, const Tensor& matrix, const std::vector<std::string>& classes) {
  const std::vector<ClassScores> scores = class_scores(matrix);
  std::size_t width = 5;
  for (std::size_t c = 0; c < scores.size(); ++c)
    width = std::max(width, class_name(classes, static_cast<std::int64_t>(c)).size());
  const auto row = [&](const std::string& name, const ClassScores& s) {
    out << name << std::string(width - name.size(), ' ')
        << text_of(std::fixed, std::setprecision(4), std::setw(11), s.precision, std::setw(9), s.recall, std::setw(9),
                   s.f1, std::setw(9), s.samples, "\n");
  };
  out << "class" << std::string(width - 5, ' ') << "  precision   recall       f1  samples\n";
  ClassScores mean;
  for (std::size_t c = 0; c < scores.size(); ++c) {
    row(class_name(classes, static_cast<std::int64_t>(c)), scores[c]);
    const auto n = static_cast<double>(scores.size());
    mean.precision += scores[c].precision / n;
    mean.recall += scores[c].recall / n;
    mean.f1 += scores[c].f1 / n;
    mean.samples += scores[c].samples;
  }
  if (!scores.empty()) row("mean", mean);
}

std::vector<Confusion> most_confused(const Tensor& matrix, std::int32_t at_least) {
  const auto classes = static_cast<std::int32_t>(classes_of(matrix));
  const auto* count = matrix.data<std::int32_t>();
  std::vector<Confusion> mistakes;
  for (std::int32_t i = 0; i < classes; ++i)
    for (std::int32_t j = 0; j < classes; ++j, ++count)
      if (i != j && *count >= at_least) mistakes.push_back({i, j, *count});
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [](const Confusion& a, const Confusion& b) { return a.count > b.count; });
  return mistakes;
}

}  // namespace mixgrad::train
