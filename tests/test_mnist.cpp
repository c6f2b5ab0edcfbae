#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "core/check.h"
#include "data/mnist.h"
#include "tests/error.h"
#include "tests/idx_file.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using data::Batch;
using data::MnistOptions;
using test::TemporaryFolder;

namespace {

constexpr int train_count = 40, valid_count = 20, pixels = 28 * 28;

// Pixel p of image i; pixel 0 is the image's number.
std::uint8_t pixel(int i, int p) { return static_cast<std::uint8_t>((i + 37 * p) % 256); }

std::string images(int count) {
  std::string bytes = test::idx_header({static_cast<std::uint32_t>(count), 28, 28});
  for (int i = 0; i < count; ++i)
    for (int p = 0; p < pixels; ++p) bytes += static_cast<char>(pixel(i, p));
  return bytes;
}

// Image i is labelled with the last digit of i.
std::string labels(int count) {
  std::string bytes = test::idx_header({static_cast<std::uint32_t>(count)});
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(i % 10);
  return bytes;
}

// MNIST with 40 images to train on, if no other number is given, and 20 to validate.
struct SmallMnist : TemporaryFolder {
  explicit SmallMnist(int count = train_count) {
    write("train-images-idx3-ubyte", images(count));
    write("train-labels-idx1-ubyte", labels(count));
    write("t10k-images-idx3-ubyte", images(valid_count));
    write("t10k-labels-idx1-ubyte", labels(valid_count));
  }
};

// The numbers of the images of a batch, once each has been found to be whole and labelled with its class.
std::vector<int> check_batch(const Batch& batch, const MnistOptions& options) {
  CHECK(batch.x.shape() == Shape{batch.size(), 28, 28, options.channels});
  CHECK(batch.x.dtype() == DType::f32);
  CHECK(batch.y.shape() == Shape{batch.size()});
  CHECK(batch.y.dtype() == DType::i32);
  std::vector<int> numbers;
  const float* x = batch.x.data<float>();
  for (std::int64_t n = 0; n < batch.size(); ++n) {
    const int number = static_cast<int>(x[n * pixels * options.channels] * 255 + 0.5f);
    bool whole = true;
    for (int p = 0; p < pixels; ++p)
      for (std::int64_t c = 0; c < options.channels; ++c)
        whole = whole && x[(n * pixels + p) * options.channels + c] == static_cast<float>(pixel(number, p)) / 255.0f;
    CHECK(whole);
    CHECK(options.digits.at(static_cast<std::size_t>(batch.y.data<std::int32_t>()[n])) == number % 10);
    numbers.push_back(number);
  }
  return numbers;
}

std::vector<int> check_epoch(const data::DataLoader& loader, std::uint32_t epoch, const MnistOptions& options) {
  std::vector<int> numbers;
  for (const Batch& batch : loader.epoch(epoch)) {
    const std::vector<int> more = check_batch(batch, options);
    numbers.insert(numbers.end(), more.begin(), more.end());
  }
  return numbers;
}

// The error is one line that holds all of the words.
void check_refused(const std::string& folder, const MnistOptions& options, const std::vector<std::string>& words) {
  const std::string text = test::check_refused([&] { data::mnist(folder, options); });
  for (const std::string& word : words) test::check_contains(text, word);
}

}  // namespace

TEST_CASE("mnist: batches are [N, 28, 28, 3] in [0, 1] with equal channels, validation in order and whole") {
  const SmallMnist folder;
  const MnistOptions options{.digits = {3, 7}, .batch_size = 3};
  const data::DataLoaders data = data::mnist(folder.path(), options);
  CHECK(check_epoch(data.valid, 0, options) == std::vector{3, 7, 13, 17});
  CHECK(check_epoch(data.valid, 1, options) == std::vector{3, 7, 13, 17});
  CHECK(data.valid.num_batches() == 2);
  CHECK(data.valid.epoch(0)[1].size() == 1);
}

TEST_CASE("mnist: the loop that data/README.md shows") {
  const SmallMnist small(640);
  const std::string folder = small.path();
  int batches = 0;
  data::DataLoaders data = data::mnist(folder, {.digits = {3, 7}, .batch_size = 64});
  for (const data::Batch& batch : data.train.epoch(0)) {  // batch.x [64, 28, 28, 3], batch.y [64]
    CHECK(batch.x.shape() == Shape{64, 28, 28, 3});
    CHECK(batch.y.shape() == Shape{64});
    ++batches;
  }
  CHECK(batches == 2);
}

TEST_CASE("mnist: the digits become the classes 0, 1, ... in the order they are given in") {
  const SmallMnist folder;
  const auto classes = [&](const std::vector<int>& digits) {
    const MnistOptions options{.digits = digits, .batch_size = 4};
    const data::DataLoaders data = data::mnist(folder.path(), options);
    check_epoch(data.train, 0, options);
    CHECK(data.valid.dataset().classes() == data.classes());
    return data.classes();
  };
  using Names = std::vector<std::string>;
  CHECK(classes({3, 7}) == Names{"3", "7"});
  CHECK(classes({7, 3}) == Names{"7", "3"});
  CHECK(classes({0, 9, 5}) == Names{"0", "9", "5"});
  CHECK(classes(MnistOptions{}.digits) == Names{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
}

TEST_CASE("mnist: training is shuffled anew in every epoch, by seed, and drops the short batch") {
  const SmallMnist folder;
  const MnistOptions options{.batch_size = 16, .seed = 1};
  const data::DataLoaders data = data::mnist(folder.path(), options);
  CHECK(data.train.num_batches() == 2);
  const std::vector<int> first = check_epoch(data.train, 0, options), second = check_epoch(data.train, 1, options);
  CHECK(first.size() == 32);
  CHECK(std::set(first.begin(), first.end()).size() == 32);
  CHECK(!std::is_sorted(first.begin(), first.end()));
  CHECK(first != second);
  CHECK(first == check_epoch(data::mnist(folder.path(), options).train, 0, options));
  const MnistOptions other{.batch_size = 16, .seed = 2};
  CHECK(first != check_epoch(data::mnist(folder.path(), other).train, 0, other));
}

TEST_CASE("mnist: one channel where one is asked for") {
  const SmallMnist folder;
  const MnistOptions options{.digits = {3, 7}, .batch_size = 2, .channels = 1};
  check_epoch(data::mnist(folder.path(), options).train, 0, options);
}

TEST_CASE("mnist: a folder that is missing, a file, empty or incomplete is named") {
  const TemporaryFolder empty;
  check_refused(empty / "none", {}, {empty / "none", "not a folder"});
  check_refused(empty.write("file", "x"), {}, {empty / "file", "not a folder"});
  check_refused("", {}, {"not a folder"});
  check_refused(empty.path(), {}, {empty.path(), "-images-idx3-ubyte"});
  for (const char* name :
       {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}) {
    const SmallMnist folder;
    folder.remove(name);
    check_refused(folder.path(), {}, {folder.path(), name});
  }
}

TEST_CASE("mnist: files are found as unpackers name them, with a dot before idx, and beside folders of that name") {
  const SmallMnist folder;
  namespace fs = std::filesystem;
  for (const std::string name : {"train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"}) {
    std::string dotted = name;
    dotted[name.find("-idx")] = '.';
    fs::rename(folder / (name + "-ubyte"), folder / (dotted + "-ubyte"));
    fs::create_directory(folder / (name + "-ubyte"));
    CHECK(data::read_mnist(folder.path(), data::Split::train).images.size(0) == train_count);
    CHECK(data::read_mnist(folder.path(), data::Split::valid).images.size(0) == valid_count);
  }
  folder.remove("train-labels.idx1-ubyte");
  check_refused(folder.path(), {},
                {"contains neither train-labels-idx1-ubyte nor train-labels.idx1-ubyte, plain or .gz"});
  fs::rename(folder / "train-images.idx3-ubyte", folder / "train-images.idx3-ubyte.gz");  // zlib reads plain files too
  folder.write("train-labels.idx1-ubyte", labels(train_count));
  try {
    CHECK(data::read_mnist(folder.path(), data::Split::train).images.size(0) == train_count);
  } catch (const Error& error) {
    test::check_contains(error.what(), "built without zlib");
  }
  // A name without the dot comes first.
  folder.remove("train-labels-idx1-ubyte");
  folder.write("train-labels-idx1-ubyte", "not this one");
  check_refused(folder.path(), {}, {"train-labels-idx1-ubyte: not an IDX file"});
}

TEST_CASE("mnist: files that do not belong together, or hold no digits, are named") {
  using Damage = std::function<void(const SmallMnist&)>;
  const auto refused = [](const Damage& damage, const std::vector<std::string>& words) {
    const SmallMnist folder;
    damage(folder);
    check_refused(folder.path(), {.batch_size = 4}, words);
  };
  const std::string image_file = "train-images-idx3-ubyte", label_file = "train-labels-idx1-ubyte";
  const std::string valid_images = "t10k-images-idx3-ubyte", valid_labels = "t10k-labels-idx1-ubyte";
  refused([&](auto& folder) { folder.write(label_file, labels(39)); }, {image_file, label_file, "40", "39"});
  refused([&](auto& folder) { folder.write(valid_images, images(40)); }, {valid_images, valid_labels, "40", "20"});
  refused([&](auto& folder) { folder.write(label_file, images(40)); }, {label_file, "3 axes, expected 1"});
  refused([&](auto& folder) { folder.write(image_file, labels(40)); }, {image_file, "1 axes, expected 3"});
  refused([&](auto& folder) { folder.write(image_file, images(40).substr(0, 5000)); }, {image_file, "truncated"});
  refused([&](auto& folder) { folder.write(valid_labels, labels(20) + "x"); }, {valid_labels, "longer"});
  for (const char wrong : {'\x0A', '\xFF'}) {
    std::string bytes = labels(40);
    bytes[8 + 13] = wrong;
    refused([&](auto& folder) { folder.write(label_file, bytes); },
            {label_file, "label " + std::to_string(static_cast<std::uint8_t>(wrong)), "position 13"});
  }
  refused([&](auto& folder) { folder.write(image_file, images(0)), folder.write(label_file, labels(0)); },
          {image_file, "no image"});
}

TEST_CASE("mnist: bad digits and batch sizes are named") {
  const SmallMnist folder;
  const auto refused = [&](const MnistOptions& options, const std::vector<std::string>& words) {
    check_refused(folder.path(), options, words);
  };
  refused({.digits = {}}, {"digit"});
  refused({.digits = {3, 11}}, {"11 is not a digit"});
  refused({.digits = {-1, 3}}, {"-1 is not a digit"});
  refused({.digits = {3, 7, 3}}, {"digit 3", "twice"});
  refused({.batch_size = 0}, {"batch size 0"});
  refused({.batch_size = -1}, {"batch size -1"});
  refused({.batch_size = 41}, {"batch size 41", "40"});
  refused({.digits = {3, 7}, .batch_size = 9}, {"batch size 9", "8"});
  refused({.batch_size = 100'000'000}, {"batch size 100000000", "40"});
  CHECK(data::mnist(folder.path(), {.batch_size = 40}).train.num_batches() == 1);
}

TEST_CASE("mnist: a digit of which the training or validation images hold none is named") {
  const SmallMnist folder;
  for (const std::string split : {"train", "t10k"})
    for (const char missing : {'\3', '\7'}) {
      const int count = split == "train" ? train_count : valid_count;
      std::string bytes = labels(count);
      std::replace(bytes.begin() + 8, bytes.end(), missing, '\1');
      folder.write(split + "-labels-idx1-ubyte", bytes);
      check_refused(folder.path(), {.digits = {3, 7}, .batch_size = 4},
                    {split == "train" ? "training" : "validation", "digit " + std::to_string(missing)});
      folder.write(split + "-labels-idx1-ubyte", labels(count));
    }
}

TEST_CASE("mnist: the real one has 12,396 threes and sevens to train on and 2,038 to validate") {
  const char* variable = std::getenv("MIXGRAD_DATA");
  if (!variable) {
    MESSAGE("skipped: needs MNIST in $MIXGRAD_DATA/mnist");
    return;
  }
  const std::string folder = variable + std::string("/mnist");
  try {
    const data::DataLoaders data = data::mnist(folder, {.digits = {3, 7}});
    CHECK(data.train.dataset().size() == 12396);
    CHECK(data.train.num_batches() == 193);
    CHECK(data.valid.dataset().size() == 2038);
    CHECK(data.valid.num_batches() == 32);
    std::int64_t sevens = 0;
    for (const Batch& batch : data.valid.epoch(0))
      for (const std::int32_t label : batch.y.to_vector<std::int32_t>()) sevens += label;
    CHECK(sevens == 1028);
  } catch (const Error& error) {
    const std::string skipped = error.what();
    if (std::filesystem::exists(folder) && skipped.find("built without zlib") == std::string::npos) throw;
    MESSAGE("skipped: ", skipped);
  }
}
