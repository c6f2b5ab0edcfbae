// What train_mnist writes to the folder of --out: metrics.csv and, if gnuplot is installed, pictures. Each is announced
// by a line.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "apps/output_folder.h"
#include "apps/pictures.h"
#include "apps/train_options.h"
#include "mixgrad.h"

namespace mixgrad::apps {

// Takes the folder, for --lr-find; for a run that trains (apps/output_folder.h), and draws the first batch as mixup
// will train on it.
void start_lr_output(const TrainOptions& options);
std::string start_output(const TrainOptions& options, const data::DataLoaders& data);

// The curve of --lr-find.
void output_lr_curve(const TrainOptions& options, const train::LrCurve& curve);

// What a trained model gets wrong: the confusion matrix, and a sheet of the worst mistakes, each with the model's
// probabilities of the true and the predicted digit.
void output_mistakes(const TrainOptions& options, train::Learner& learn, const std::string& run);

// The curves of the first seed's runs, and the density of lambda beside draws of it.
void output_curves(const TrainOptions& options, const std::vector<RunCurves>& runs);

}  // namespace mixgrad::apps
