// MNIST as in the document's examples: MNIST_SAMPLE is its 3s and 7s.
#pragma once

#include <string>
#include <vector>

#include "data/data_loader.h"
#include "data/labelled_images.h"

namespace mixgrad::data {

struct MnistOptions {
  std::vector<int> digits = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};  // the classes, in this order
  std::int64_t batch_size = 64;
  std::int64_t channels = 3;
  std::uint64_t seed = default_seed();  // of the shuffle
};

// The training images of MNIST, or its 10,000 test images, from the two IDX files of the split.
// Throws as mnist() does.
LabelledImages read_mnist(const std::string& folder, Split split);

// Loaders over the four IDX files of MNIST in a folder, plain or .gz: train-images-idx3-ubyte, train-labels-idx1-ubyte,
// t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, also with a dot before idx. x is f32 [N, 28, 28, channels] in [0,
// 1], y i32 [N]; images of other sizes than 28 x 28 are read as well. Training is shuffled and drops a last short
// batch; validation is in order and keeps it. Throws an error that names the folder or file at fault, or the digits or
// batch size.
DataLoaders mnist(const std::string& folder, const MnistOptions& options = {});

// The same loaders over drawn digits (data/synthetic_digits.h), for a machine without MNIST: always the same 20,000
// for training and 4,000 for validation, restricted to the digits chosen.
DataLoaders synthetic_mnist(const MnistOptions& options = {});

}  // namespace mixgrad::data
