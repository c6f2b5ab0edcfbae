#include "data/mnist.h"

#include <algorithm>
#include <filesystem>

#include "core/allocator.h"
#include "core/check.h"
#include "core/view.h"
#include "data/idx.h"
#include "data/image_dataset.h"
#include "data/synthetic_digits.h"

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;

// The file "train-images-idx3-ubyte", say, or "train-images.idx3-ubyte", as some programs unpack it.
std::string find_file(const fs::path& folder, const std::string& name) {
  std::string dotted = name;
  dotted[name.find("-idx")] = '.';
  for (const std::string& candidate : {name, name + ".gz", dotted, dotted + ".gz"}) {
    const std::string path = (folder / candidate).string();
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    check(fs::status_known(status), path, ": ", error.message());
    if (fs::exists(status) && !fs::is_directory(status)) return path;
  }
  fail("mnist: ", folder.string(), " contains neither ", name, " nor ", dotted, ", plain or .gz");
}

DataLoaders loaders(const LabelledImages& train, const LabelledImages& valid, const MnistOptions& options) {
  std::vector<std::string> classes;
  for (const int digit : options.digits) classes.push_back(std::to_string(digit));
  const auto dataset = [&](const LabelledImages& images) {
    LabelledImages selected = select(images, options.digits);
    selected.channels = options.channels;
    const std::int32_t *label = selected.labels.data<std::int32_t>(), *end = label + selected.labels.numel();
    for (std::size_t i = 0; i < classes.size(); ++i)
      check(std::find(label, end, static_cast<std::int32_t>(i)) != end, "mnist: none of ", images.labels.numel(),
            &images == &train ? " training" : " validation", " images shows the digit ", classes[i]);
    return std::make_shared<ImageDataset>(selected, classes);
  };
  return {DataLoader(dataset(train),
                     {.batch_size = options.batch_size, .shuffle = true, .drop_last = true, .seed = options.seed}),
          DataLoader(dataset(valid), {.batch_size = options.batch_size, .seed = options.seed})};
}

void check_options(const MnistOptions& options) {
  check(!options.digits.empty(), "mnist: needs at least one digit");
  for (const int digit : options.digits) {
    check(digit >= 0 && digit <= 9, "mnist: ", digit, " is not a digit");
    check(std::count(options.digits.begin(), options.digits.end(), digit) == 1, "mnist: digit ", digit,
          " is given twice");
  }
  check(options.batch_size >= 1, "mnist: batch size ", options.batch_size, " must be at least 1");
}

}  // namespace

LabelledImages read_mnist(const std::string& folder, Split split) {
  std::error_code ignored;
  check(fs::is_directory(folder, ignored), "mnist: ", folder,
        " is not a folder (apps/train_mnist.sh downloads MNIST to ~/.cache/mixgrad/mnist)");
  const std::string prefix = split == Split::train ? "train" : "t10k";
  const std::string image_file = find_file(folder, prefix + "-images-idx3-ubyte");
  const std::string label_file = find_file(folder, prefix + "-labels-idx1-ubyte");
  const Tensor images = read_idx(image_file, 3), labels = read_idx(label_file, 1);
  check(images.size(0) == labels.size(0), "mnist: ", image_file, " holds ", images.size(0), " images but ", label_file,
        " ", labels.size(0), " labels");
  check(images.numel() > 0, "mnist: ", image_file, " contains no images");
  const std::uint8_t* label = labels.data<std::uint8_t>();
  const auto bad = std::find_if(label, label + labels.numel(), [](std::uint8_t value) { return value > 9; });
  if (bad != label + labels.numel())
    fail("mnist: ", label_file, ": label ", int{*bad}, " at position ", bad - label, " is not a digit");
  return {reshape(images, Shape{images.size(0), images.size(1), images.size(2), 1}), labels.to(DType::i32)};
}

DataLoaders mnist(const std::string& folder, const MnistOptions& options) {
  check_options(options);
  const DataLoaders result = [&] {
    const LabelledImages train = read_mnist(folder, Split::train), valid = read_mnist(folder, Split::valid);
    check(train.images.size(1) == valid.images.size(1) && train.images.size(2) == valid.images.size(2),
          "mnist: ", folder, ": training images are ", train.images.size(1), " x ", train.images.size(2),
          ", test images ", valid.images.size(1), " x ", valid.images.size(2));
    return loaders(train, valid, options);
  }();
  release_cache();  // of the digits that were dropped
  return result;
}

DataLoaders synthetic_mnist(const MnistOptions& options) {
  check_options(options);
  constexpr std::uint64_t seed = 42;  // one fixed set of images
  return loaders(synthetic_digits(20000, seed, Split::train), synthetic_digits(4000, seed, Split::valid), options);
}

}  // namespace mixgrad::data
