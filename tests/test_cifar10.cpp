// CIFAR-10's binary files: written here, hostile ones too, and the real ones where they are.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "data/cifar10.h"
#include "data/image_dataset.h"
#include "tests/error.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using test::check_contains;
using test::error_of;
using test::TemporaryFolder;

namespace {

// Byte p of plane c of record n of file f.
std::uint8_t pixel(int f, int n, int c, int p) { return static_cast<std::uint8_t>(31 * f + 7 * n + 85 * c + p); }

std::string records(int file, int count) {
  std::string bytes;
  for (int n = 0; n < count; ++n) {
    bytes += static_cast<char>((file + n) % 10);
    for (int c = 0; c < 3; ++c)
      for (int p = 0; p < 1024; ++p) bytes += static_cast<char>(pixel(file, n, c, p));
  }
  return bytes;
}

// File i holds i + 1 records; the last is the test batch.
struct SmallCifar : TemporaryFolder {
  explicit SmallCifar(const std::string& below = "") {
    if (!below.empty()) std::filesystem::create_directory(*this / below);
    const std::string folder = below.empty() ? "" : below + "/";
    for (int file = 0; file < 6; ++file) write(folder + name(file), records(file, file + 1));
  }
  static std::string name(int file) { return file == 5 ? "test_batch.bin" : text_of("data_batch_", file + 1, ".bin"); }
};

}  // namespace

TEST_CASE("cifar10: images come file by file with their labels, colours innermost, from either folder") {
  for (const char* below : {"", "cifar-10-batches-bin"}) {
    const SmallCifar folder(below);
    for (const data::Split split : {data::Split::train, data::Split::valid}) {
      const data::LabelledImages all = data::read_cifar10(folder.path(), split);
      const bool train = split == data::Split::train;
      REQUIRE(all.images.shape() == Shape{train ? 15 : 6, 32, 32, 3});
      const std::uint8_t* byte = all.images.data<std::uint8_t>();
      const std::int32_t* label = all.labels.data<std::int32_t>();
      bool same = true;
      for (int file = train ? 0 : 5; file < (train ? 5 : 6); ++file)
        for (int n = 0; n <= file; ++n) {
          same = same && *label++ == (file + n) % 10;
          for (int p = 0; p < 1024; ++p)
            for (int c = 0; c < 3; ++c) same = same && *byte++ == pixel(file, n, c, p);
        }
      CHECK(same);
    }
  }
}

TEST_CASE("cifar10: loaders shuffle and drop the last batch of the training images alone") {
  const SmallCifar folder;
  const data::DataLoaders data = data::cifar10(folder.path(), {.batch_size = 4, .valid_batch_size = 5});
  CHECK(data.train.num_batches() == 3);
  CHECK(data.valid.num_batches() == 2);
  CHECK(data.valid.epoch(0)[0].y.to_vector<std::int32_t>() == std::vector<std::int32_t>{5, 6, 7, 8, 9});
  CHECK(data.train.epoch(0)[0].x.shape() == Shape{4, 32, 32, 3});
  CHECK(data.classes().at(0) == "airplane");
  CHECK(data.classes().at(9) == "truck");
  CHECK(data::cifar10(folder.path(), {.batch_size = 3}).valid.options().batch_size == 3);
}

TEST_CASE("cifar10: a file that is missing, truncated, foreign or wrongly labelled is named") {
  const auto refused = [](const std::string& folder, data::Split split, const std::string& words) {
    check_contains(error_of([&] { data::read_cifar10(folder, split); }), words);
  };
  refused("/nowhere", data::Split::train, "cifar10: /nowhere is not a folder");
  for (int file = 0; file < 6; ++file) {
    const data::Split split = file == 5 ? data::Split::valid : data::Split::train;
    const SmallCifar folder;
    const std::string name = SmallCifar::name(file), path = folder / name, good = records(file, file + 1);
    folder.write(name, good.substr(0, good.size() - 1));
    refused(folder.path(), split, path + " has " + std::to_string(good.size() - 1) + " bytes, not a multiple of 3073");
    folder.write(name, "");
    refused(folder.path(), split, path + " has 0 bytes");
    std::string wrong = good;
    wrong[static_cast<std::size_t>(file) * 3073] = 10;
    folder.write(name, wrong);
    refused(folder.path(), split, path + ": label 10 of record " + std::to_string(file) + " is not in 0..9");
    folder.remove(name);
    refused(folder.path(), split, "there is no " + path);
    std::filesystem::create_directory(path);
    refused(folder.path(), split, path);
  }
}

TEST_CASE("cifar10: the real one has 50,000 and 10,000 images, as many of each class") {
  const char* variable = std::getenv("MIXGRAD_DATA");
  const std::string folder = (variable ? variable : "") + std::string("/cifar10");
  if (!variable || !std::filesystem::is_directory(folder)) {
    MESSAGE("skipped: needs CIFAR-10 in $MIXGRAD_DATA/cifar10");
    return;
  }
  for (const data::Split split : {data::Split::train, data::Split::valid}) {
    std::vector<int> counts(10);
    for (const std::int32_t label : data::read_cifar10(folder, split).labels.to_vector<std::int32_t>())
      ++counts[static_cast<std::size_t>(label)];
    CHECK(counts == std::vector<int>(10, split == data::Split::train ? 5000 : 1000));
  }
}
