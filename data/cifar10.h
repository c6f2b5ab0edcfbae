// CIFAR-10 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009): 50,000 and 10,000 colour images
// of ten classes, 32x32 pixels.
#pragma once

#include <string>
#include <vector>

#include "data/data_loader.h"
#include "data/labelled_images.h"

namespace mixgrad::data {

struct Cifar10Options {
  std::int64_t batch_size = 64, valid_batch_size = 0;  // 0: the same
  std::uint64_t seed = default_seed();                 // of the shuffle
};

// airplane, automobile, bird, ..., in the order of their labels.
const std::vector<std::string>& cifar10_classes();

// The images of the training or the test split, u8 [N, 32, 32, 3], from the binary files of the original: a record is a
// label and 1,024 bytes for each of red, green and blue. The files may hold fewer records than the original's 10,000.
// They are in the folder or in cifar-10-batches-bin below it: data_batch_1.bin to data_batch_5.bin, test_batch.bin.
// Throws an error that names the file at fault where one is missing, empty, not whole records, or has a label above 9.
LabelledImages read_cifar10(const std::string& folder, Split split);

// Loaders over all six files: x f32 [N, 32, 32, 3] in [0, 1], y i32 [N]. Training is shuffled and drops a last short
// batch; validation is in order and keeps it. Throws as read_cifar10 does.
DataLoaders cifar10(const std::string& folder, const Cifar10Options& options = {});

}  // namespace mixgrad::data
