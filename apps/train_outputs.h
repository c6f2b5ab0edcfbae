// What train_mnist leaves in the folder of --out: metrics.csv and, where gnuplot is installed, pictures. Each is
// announced by a line.
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

// Makes the folder, unless it is there, and holds it until this process ends; names what earlier runs left there.
// Throws, with the reason, when the folder can't be made or written, or another process holds it.
void start_lr_output(const TrainOptions& options);

// The same for a run that trains: the pictures of an earlier training go. Draws the first batch as mixup will train on
// it. Returns the path of metrics.csv, which can be written; what it holds is lost only when training begins.
std::string start_output(const TrainOptions& options, const data::DataLoaders& data);

// The curve of --lr-find.
void output_lr_curve(const TrainOptions& options, const train::LrCurve& curve);

// What a trained model gets wrong: the confusion matrix, and a sheet of the worst mistakes, each with the probabilities
// that the model gave the digit that it is and the one that it was taken for.
void output_mistakes(const TrainOptions& options, train::Learner& learn, const std::string& run);

// The curves of the first seed's runs, and the density that lambda came from beside draws of it.
void output_curves(const TrainOptions& options, const std::vector<RunCurves>& runs);

}  // namespace mixgrad::apps
