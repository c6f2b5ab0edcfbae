// What train_mnist leaves in the folder of --out: metrics.csv and, where gnuplot is installed, pictures. Each is
// announced by a line.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "apps/pictures.h"
#include "apps/train_options.h"
#include "mixgrad.h"

namespace mixgrad::apps {

// Prints the parts as one line, without the control characters that a file name may have.
template <class... Parts>
void print_line(const Parts&... parts) {
  std::puts(printable(text_of(parts...), std::string::npos).c_str());
}

// The path of a file in the folder of --out.
std::string in_output(const TrainOptions& options, const std::string& name);

// Makes the folder, unless it is there. Throws when it can't be written.
void make_output(const TrainOptions& options);

// Makes the folder and the picture of the first batch as mixup will train on it. Returns the path of metrics.csv, which
// can be written; what it holds is lost only when training begins.
std::string start_output(const TrainOptions& options, const data::DataLoaders& data);

// The curve of --lr-find.
void output_lr_curve(const TrainOptions& options, const train::LrCurve& curve);

// What a trained model gets wrong: the confusion matrix, and a sheet of the worst mistakes, each with the probabilities
// that the model gave the digit that it is and the one that it was taken for.
void output_mistakes(const TrainOptions& options, train::Learner& learn, const std::string& run);

// The curves of the first seed's runs, and the density that lambda came from beside draws of it.
void output_curves(const TrainOptions& options, const std::vector<RunCurves>& runs);

}  // namespace mixgrad::apps
