#include "data/cifar10.h"

#include <cstdio>
#include <filesystem>

#include "core/files.h"
#include "data/image_dataset.h"

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;
constexpr std::int64_t side = 32, plane = side * side, record = 1 + 3 * plane;

std::vector<std::string> file_names(Split split) {
  if (split == Split::valid) return {"test_batch.bin"};
  std::vector<std::string> names;
  for (int i = 1; i <= 5; ++i) names.push_back(text_of("data_batch_", i, ".bin"));
  return names;
}

fs::path folder_of_files(const fs::path& folder) {
  std::error_code ignored;
  check(fs::is_directory(folder, ignored), "cifar10: ", folder.string(), " is not a folder");
  const fs::path below = folder / "cifar-10-batches-bin";
  return fs::is_directory(below, ignored) ? below : folder;
}

// The bytes of a file, which are whole records.
std::vector<std::uint8_t> records_of(const fs::path& path) {
  std::error_code error;
  check(fs::exists(path, error), "cifar10: there is no ", path.string());
  const File file = open_regular_file(path.string());
  const auto bytes = static_cast<std::int64_t>(fs::file_size(path));
  check(bytes > 0 && bytes % record == 0, "cifar10: ", path.string(), " has ", bytes, " bytes, not a multiple of ",
        record, ": is it truncated?");
  std::vector<std::uint8_t> records(static_cast<std::size_t>(bytes));
  check(std::fread(records.data(), 1, records.size(), file.get()) == records.size(), "cifar10: ", path.string(),
        " cannot be read to the end");
  return records;
}

}  // namespace

const std::vector<std::string>& cifar10_classes() {
  static const std::vector<std::string> names{"airplane", "automobile", "bird",  "cat",  "deer",
                                              "dog",      "frog",       "horse", "ship", "truck"};
  return names;
}

LabelledImages read_cifar10(const std::string& folder, Split split) {
  const fs::path from = folder_of_files(folder);
  std::vector<std::vector<std::uint8_t>> files;
  std::int64_t count = 0;
  for (const std::string& name : file_names(split)) {
    files.push_back(records_of(from / name));
    const std::vector<std::uint8_t>& records = files.back();
    const auto size = static_cast<std::int64_t>(records.size()) / record;
    for (std::int64_t n = 0; n < size; ++n)
      check(records[static_cast<std::size_t>(n * record)] <= 9, "cifar10: ", (from / name).string(), ": label ",
            int{records[static_cast<std::size_t>(n * record)]}, " of record ", n, " is not in 0..9");
    count += size;
  }
  LabelledImages all{Tensor::empty({count, side, side, 3}, {.dtype = DType::u8}),
                     Tensor::empty({count}, {.dtype = DType::i32})};
  std::uint8_t* to = all.images.mutable_data<std::uint8_t>();
  std::int32_t* label = all.labels.mutable_data<std::int32_t>();
  for (const std::vector<std::uint8_t>& records : files)
    for (auto at = records.begin(); at != records.end(); at += 3 * plane) {
      *label++ = *at++;
      for (std::int64_t pixel = 0; pixel < plane; ++pixel)
        for (std::int64_t colour = 0; colour < 3; ++colour) *to++ = at[colour * plane + pixel];
    }
  return all;
}

DataLoaders cifar10(const std::string& folder, const Cifar10Options& options) {
  const auto loader = [&](Split split, const LoaderOptions& loading) {
    return DataLoader(std::make_shared<ImageDataset>(read_cifar10(folder, split), cifar10_classes()), loading);
  };
  const std::int64_t valid_size = options.valid_batch_size > 0 ? options.valid_batch_size : options.batch_size;
  return {loader(Split::train,
                 {.batch_size = options.batch_size, .shuffle = true, .drop_last = true, .seed = options.seed}),
          loader(Split::valid, {.batch_size = valid_size, .seed = options.seed})};
}

}  // namespace mixgrad::data
