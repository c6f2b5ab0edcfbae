// CsvLogger: the results of each epoch as a row of a CSV file, which is whole after every epoch.
//
//   epoch,train_loss,valid_loss,accuracy,seconds,images_per_s
//   1,0.345712,0.143370,0.956820,0.281640,44158
#pragma once

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "train/callback.h"

namespace mixgrad::train {

struct CsvOptions {
  std::vector<std::pair<std::string, std::string>> labels = {};  // columns in front: name, and value in every row
  // Go on in a file that is there, without its header if that is written already. Otherwise what it holds is lost.
  bool append = false;
};

// Fields are quoted as RFC 4180 wants them, and are the same in every locale. The file is made, or emptied, when the
// first epoch begins, or at the end where there is none, and not before: a training to be resumed may be refused until
// then.
class CsvLogger : public Callback {
 public:
  // Throws when the file can't be written: here, or later when the disk is full.
  explicit CsvLogger(std::string path, CsvOptions options = {});

  void on_train_begin(Learner& learner) override;
  void on_epoch_begin(Learner& learner) override { begin(learner); }
  void on_epoch_end(Learner& learner) override { write(learner); }
  void on_train_end(Learner& learner) noexcept override;

 private:
  void begin(const Learner& learner);
  void write(const Learner& learner);  // the epochs not written yet: after a resume, those of before too
  void flush();

  std::string path_;
  CsvOptions options_;
  std::ofstream file_;    // open from the first epoch on
  std::size_t rows_ = 0;  // of this fit
};

}  // namespace mixgrad::train
