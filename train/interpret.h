// What a model gets wrong, and images in the terminal: as text, so that it works wherever the program does.
//
//   train::show_batch(std::cout, learn.data.train.epoch(0)[0], learn.data.classes(), 6);
//   train::show_top_losses(std::cout, learn, 6);
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace mixgrad::train {

class Learner;

struct TopLoss {
  std::int64_t index;      // in the validation data
  double loss;             // the learner's, of this sample
  std::int32_t target;     // its class
  std::int32_t predicted;  // the class of the largest output
  double probability;      // softmax of the outputs at `predicted`: how sure the model was
};

// The n samples of the validation data with the largest losses (all, where there are fewer), the largest first; nan is
// larger than all. Throws unless n >= 0, and as accuracy_of does (train/metrics.h).
std::vector<TopLoss> top_losses(Learner& learner, std::int64_t n);

// The first n images of a batch with their classes below, several side by side within 80 columns: a character for each
// patch, from ' ' where it is 0 to '@' where it is 1; colours are averaged, large images are sampled down. Throws
// unless n >= 0, batch.x is f32 [N, H, W, C], not empty, and batch.y i32 [N] or [N, classes].
void show_batch(std::ostream& out, const data::Batch& batch, const std::vector<std::string>& classes, std::int64_t n);

// The images of top_losses(learner, n) with class, predicted class and its probability, loss and index.
void show_top_losses(std::ostream& out, Learner& learner, std::int64_t n);

}  // namespace mixgrad::train
