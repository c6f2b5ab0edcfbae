#include "data/image_folder.h"

#include <algorithm>
#include <filesystem>
#include <iomanip>
#include <memory>
#include <numeric>
#include <span>
#include <tuple>
#include <vector>

#include "core/check.h"
#include "core/index.h"
#include "core/parallel.h"
#include "core/pointwise.h"

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;

struct ImageFile {
  std::string name, path;
  std::int32_t label;
  bool held_out = false;
};
using Files = std::vector<ImageFile>;

// The entries of a folder, sorted by name, without hidden files.
std::vector<fs::path> list(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().filename().string().front() != '.') entries.push_back(it->path());
  check(!error, folder.string(), ": cannot be listed: ", error.message());
  std::sort(entries.begin(), entries.end());
  return entries;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// "train/ or training/"
std::string any_of(std::span<const char* const> names) {
  std::string text;
  for (const char* const& name : names)
    text += (&name == &names.front() ? "" : &name == &names.back() ? " or " : ", ") + std::string(name) + "/";
  return text;
}

// The folder of a part of the data: the one named, else the first existing one of the common names, else none.
fs::path part_in(const fs::path& root, const std::string& name, std::span<const char* const> common) {
  check(name.empty() || is_folder(root / name), (root / name).string(), ": is not a folder");
  if (!name.empty()) return root / name;
  const auto found =
      std::find_if(common.begin(), common.end(), [&](const char* name) { return is_folder(root / name); });
  return found == common.end() ? fs::path() : root / *found;
}

// `lacking` is appended to errors: what the folder could have had instead.
std::vector<std::string> class_names(const fs::path& folder, const std::string& lacking = "") {
  std::vector<std::string> names;
  for (const fs::path& entry : list(folder)) {
    check(is_folder(entry), entry.string(), ": is not a folder; images are expected in class folders below ",
          folder.string(), lacking);
    names.push_back(entry.filename().string());
  }
  check(!names.empty(), folder.string(), ": contains no class folders", lacking);
  return names;
}

Files image_files(const fs::path& folder, const std::vector<std::string>& classes) {
  Files files;
  const std::vector<std::string> names = class_names(folder);
  for (const std::string& name : classes)
    check(std::find(names.begin(), names.end(), name) != names.end(), folder.string(), ": lacks the class ", name,
          ", which the training data has");
  for (const std::string& name : names) {
    const auto found = std::find(classes.begin(), classes.end(), name);
    check(found != classes.end(), (folder / name).string(), ": the training data lacks this class");
    const std::vector<fs::path> entries = list(folder / name);
    check(!entries.empty(), (folder / name).string(), ": the class folder is empty");
    for (const fs::path& entry : entries)
      files.push_back({entry.filename().string(), entry.string(), static_cast<std::int32_t>(found - classes.begin())});
  }
  std::sort(files.begin(), files.end(), [](const ImageFile& a, const ImageFile& b) {
    return std::tie(a.name, a.label) < std::tie(b.name, b.label);
  });
  return files;
}

// Divides the files at random into those to train on and those held out; both keep their order.
std::pair<Files, Files> split(Files files, const std::string& path, const FolderOptions& options) {
  const std::int64_t n = std::ssize(files);
  check(n >= 2, path, ": contains one image; two are needed, one of them for validation");
  const auto wanted = static_cast<std::int64_t>(options.valid_fraction * static_cast<double>(n) + 0.5);
  std::vector<std::int32_t> held_out = Random(options.seed, Purpose::split).permutation(n);
  held_out.resize(static_cast<std::size_t>(std::clamp<std::int64_t>(wanted, 1, n - 1)));
  for (const std::int32_t index : held_out) files[static_cast<std::size_t>(index)].held_out = true;
  std::pair<Files, Files> parts;
  for (ImageFile& file : files) (file.held_out ? parts.second : parts.first).push_back(std::move(file));
  return parts;
}

// Image files that are decoded on demand.
class ImageFiles : public Dataset {
 public:
  // All images must have the size of the one in first_path.
  ImageFiles(Files files, std::vector<std::string> classes, const ImageFileOptions& options,
             const std::string& first_path)
      : files_(std::move(files)),
        classes_(std::move(classes)),
        options_(options),
        first_path_(first_path),
        shape_(read_image(first_path, options).shape()) {}

  std::int64_t size() const override { return std::ssize(files_); }
  const std::vector<std::string>& classes() const override { return classes_; }

  Batch get(std::span<const std::int32_t> indices) const override {
    check_indices("dataset", Tensor::from(indices, {std::ssize(indices)}), size());
    const LabelledImages batch = decode(indices);
    return {batch.images.to(DType::f32) / 255.0, batch.labels};
  }

  // The same samples, all decoded.
  ImageDataset in_memory() const {
    std::vector<std::int32_t> all(files_.size());
    std::iota(all.begin(), all.end(), 0);
    return {decode(all), classes_};
  }

 private:
  void read(std::int32_t index, std::uint8_t* to) const {
    const std::string& path = files_[static_cast<std::size_t>(index)].path;
    try {
      const Tensor image = read_image(path, options_);
      check(image.shape() == shape_, path, ": is ", image.size(1), " x ", image.size(0), " pixels, but ", first_path_,
            " is ", shape_[1], " x ", shape_[0], "; all images must have the same size");
      std::copy_n(image.data<std::uint8_t>(), image.numel(), to);
    } catch (const Error& error) {
      fail(error.what(), " (sample ", index, ")");
    }
  }

  // In parallel; throws the error of the first sample that has one.
  LabelledImages decode(std::span<const std::int32_t> indices) const {
    const auto n = static_cast<std::int64_t>(indices.size());
    LabelledImages result{Tensor::empty(shape_.prepend(n), {.dtype = DType::u8}),
                          Tensor::empty({n}, {.dtype = DType::i32}), options_.channels};
    auto* const images = result.images.mutable_data<std::uint8_t>();
    auto* const labels = result.labels.mutable_data<std::int32_t>();
    constexpr std::int64_t grain = 8;
    parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int32_t index = indices[static_cast<std::size_t>(i)];
        read(index, images + i * shape_.numel());
        labels[i] = files_[static_cast<std::size_t>(index)].label;
      }
    });
    return result;
  }

  Files files_;
  std::vector<std::string> classes_;
  ImageFileOptions options_;
  std::string first_path_;
  Shape shape_;
};

}  // namespace

DataLoaders from_folder(const std::string& path, const FolderOptions& options) {
  check(options.valid_fraction > 0 && options.valid_fraction < 1, "from_folder: valid_fraction ",
        options.valid_fraction, " is not between 0 and 1");
  check(options.batch_size >= 1, "from_folder: batch size ", options.batch_size, " must be at least 1");
  check(is_folder(path), path, ": is not a folder");
  const fs::path root = path, train_folder = part_in(root, options.train, train_folders),
                 valid_folder = part_in(root, options.valid, valid_folders);
  const bool separate = !train_folder.empty() || !valid_folder.empty();
  const auto require = [&](const fs::path& part, const fs::path& other, std::span<const char* const> looked_for) {
    check(!separate || !part.empty(), path, ": contains ", other.filename().string(), "/ but no ", any_of(looked_for));
  };
  require(train_folder, valid_folder, train_folders);
  require(valid_folder, train_folder, valid_folders);

  const std::vector<std::string> classes =
      separate ? class_names(train_folder) : class_names(root, " (there is no " + any_of(train_folders) + " either)");
  auto [train, valid] = separate ? std::pair{image_files(train_folder, classes), image_files(valid_folder, classes)}
                                 : split(image_files(root, classes), path, options);
  const ImageFileOptions reading{.channels = options.channels, .max_pixels = options.max_pixels};
  const std::string first_path = train.front().path;
  const auto loader = [&](Files files, bool training) {
    ImageFiles decoding(std::move(files), classes, reading, first_path);
    std::shared_ptr<const Dataset> dataset;
    if (options.in_memory) dataset = std::make_shared<ImageDataset>(decoding.in_memory());
    else dataset = std::make_shared<ImageFiles>(std::move(decoding));
    return DataLoader(dataset, {.batch_size = options.batch_size,
                                .shuffle = training,
                                .drop_last = training,
                                .seed = options.seed,
                                .workers = options.workers});
  };
  return {loader(std::move(train), true), loader(std::move(valid), false)};
}

namespace {

void write_split(const fs::path& folder, const LabelledImages& images, const std::vector<std::string>& classes) {
  const std::int64_t count = images.images.size(0);
  check_indices("write_image_folder", images.labels, static_cast<std::int64_t>(classes.size()));
  check(images.labels.numel() == count, "write_image_folder: ", count, " images but ", images.labels.numel(),
        " labels");
  for (const std::string& name : classes) fs::create_directories(folder / name);
  const auto digits = static_cast<int>(std::to_string(std::max<std::int64_t>(count - 1, 0)).size());
  const Shape shape = images.images.shape().without(0);
  for (std::int64_t n = 0; n < count; ++n) {
    const std::string& name = classes[static_cast<std::size_t>(images.labels.data<std::int32_t>()[n])];
    const std::string number = text_of(std::setfill('0'), std::setw(digits), n);
    write_png((folder / name / (number + ".png")).string(), images.images.raw_view(shape, n * shape.numel()));
  }
}

}  // namespace

void write_image_folder(const std::string& path, const LabelledImages& train, const LabelledImages& valid,
                        const std::vector<std::string>& classes) {
  fs::path whole = fs::absolute(path).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();  // of "folder/"
  fs::path part = whole;
  part += ".part";
  try {
    check(!fs::exists(whole) || (fs::is_directory(whole) && fs::is_empty(whole)), path,
          ": exists and is not an empty folder");
    fs::create_directories(whole.parent_path());
    check(fs::create_directory(part), part.string(),
          ": exists: a run was interrupted, or is in progress; remove it first");
    try {
      write_split(part / "train", train, classes);
      write_split(part / "valid", valid, classes);
      fs::rename(part, whole);
    } catch (...) {
      std::error_code ignored;
      fs::remove_all(part, ignored);
      throw;
    }
  } catch (const fs::filesystem_error& error) {
    fail(path, ": cannot be written: ", error.code().message());
  }
}

}  // namespace mixgrad::data
