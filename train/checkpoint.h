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

#include <map>
#include <string>

#include "train/learner.h"

namespace mixgrad::train {

// What a program wants to be the same where a training is resumed, by names of its own: {{"--digits", "3,7"}}.
using Settings = std::map<std::string, std::string>;

// What a checkpoint's metadata has under "format".
inline constexpr const char* checkpoint_format = "mixgrad training checkpoint";

// Writes a checkpoint after every so many batches, when the last epoch is over, and when training is stopped within an
// epoch, such as by Ctrl-C; but not after a loss that is not finite, nor of weights, gradients or optimizer state that
// are not: those never replace good ones. The file is replaced as a whole: a program that is killed, or a disk that is
// full, leaves the last one.
class Checkpoint : public Callback {
 public:
  // Throws unless every_batches >= 1.
  Checkpoint(std::string path, std::int64_t every_batches, Settings settings = {});

  void on_train_begin(Learner& learner) override;
  void on_save_point(Learner& learner) override;
  void on_epoch_end(Learner& learner) override;

 private:
  void save_after_batch(Learner& learner) const;
  void save(Learner& learner) const;

  std::string path_;
  std::int64_t every_batches_;
  Settings settings_;
  bool trained_ = false;  // whether this fit has begun a batch
};

// The state of training before batch `learner.batch` of epoch `learner.epoch`.
void save_checkpoint(Learner& learner, const std::string& path, Settings settings = {});

// Loads a checkpoint into a learner that was made in the same way; the next fit, given the same number of epochs, goes
// on from there. Throws, naming the first difference and having changed nothing, on a file that is not a whole
// checkpoint, has a number outside its range, a callback's own too, or is of another training. Compared are:
//   the names, shapes and dtypes of the model's weights; name and options of optimizer and loss, as they describe
//   themselves; the number of training samples and the names of their classes; batch size, shuffling, and seeds; what
//   callbacks say in description(); the program's own settings, if any.
// Not what functions do, such as the model's forward, a metric or a transform, nor the samples themselves. What is only
// known in fit is compared there, before any hook is called: the learning rate, if one is given, the schedule of
// fit_one_cycle, and callbacks added meanwhile.
void resume(Learner& learner, const std::string& path, const Settings& settings = {});

}  // namespace mixgrad::train
