// What train_mnist writes to the folder of --out: metrics.csv and, if gnuplot is installed, pictures. Each is announced
// by a line.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "apps/pictures.h"
#include "apps/program.h"
#include "apps/train_options.h"
#include "mixgrad.h"

namespace mixgrad::apps {

// The checkpoint of a run, in the folder of --out.
std::string checkpoint_path(const TrainOptions& options, bool mixup, std::uint64_t seed);

// Creates the folder, unless it exists, and locks it until this process ends; lists what earlier runs left there.
// Throws, with the reason, when the folder can't be created or written, or another process has locked it.
void start_lr_output(const TrainOptions& options);

// The same for a run that trains: removes the pictures of an earlier training. Draws the first batch as mixup will
// train on it. Returns the path of metrics.csv, which has been checked to be writable; its content is replaced only
// when training begins.
std::string start_output(const TrainOptions& options, const data::DataLoaders& data);

// The curve of --lr-find.
void output_lr_curve(const TrainOptions& options, const train::LrCurve& curve);

// What a trained model gets wrong: the confusion matrix, and a sheet of the worst mistakes, each with the model's
// probabilities of the true and the predicted digit.
void output_mistakes(const TrainOptions& options, train::Learner& learn, const std::string& run);

// The curves of the first seed's runs, and the density of lambda beside draws of it.
void output_curves(const TrainOptions& options, const std::vector<RunCurves>& runs);

}  // namespace mixgrad::apps
