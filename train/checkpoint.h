// Checkpoints: all that training needs to go on as if it had never stopped, bit for bit, from the middle of an epoch
// too.
//
//   Learner learn(data, model, options);
//   learn.mixup();
//   learn.add(std::make_shared<train::Checkpoint>("run.safetensors", 100));
//   if (std::filesystem::exists("run.safetensors")) train::resume(learn, "run.safetensors");
//   learn.fit(20);
//
// One safetensors file holds weights, optimizer, position, random streams, and what callbacks name in state(). Nothing
// else is needed: what is drawn at random is named by seed, pass and batch (core/random.h).
#pragma once

#include <string>

#include "train/learner.h"

namespace mixgrad::train {

// Writes a checkpoint before every so many batches but the first that it meets, when the last epoch is over, and when
// training is stopped within an epoch, such as by Ctrl-C; but not after a loss that is not finite, nor of weights,
// gradients or optimizer state that are not: those never replace good ones. The file is replaced as a whole: a program
// that is killed, or a disk that is full, leaves the last one.
class Checkpoint : public Callback {
 public:
  // Throws unless every_batches >= 1.
  Checkpoint(std::string path, std::int64_t every_batches);

  void on_train_begin(Learner& learner) override;
  void on_batch_begin(Learner& learner) override;
  void on_epoch_end(Learner& learner) override;

 private:
  void save(Learner& learner) const;

  std::string path_;
  std::int64_t every_batches_;
  bool trained_ = false;  // whether this fit has begun a batch
};

// The state of training before batch `learner.batch` of epoch `learner.epoch`.
void save_checkpoint(Learner& learner, const std::string& path);

// Loads a checkpoint into a learner that was made in the same way, with the same callbacks; the next fit, given the
// same number of epochs, goes on from there. Throws, naming the first difference and having changed nothing, on a file
// that is no whole checkpoint, is one of another model, optimizer, data, batch size or seed, or has a number outside
// its range, a callback's own too.
void resume(Learner& learner, const std::string& path);

}  // namespace mixgrad::train
