#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/parallel.h"
#include "data/image_folder.h"
#include "data/mnist.h"
#include "data/synthetic_digits.h"
#include "tests/error.h"
#include "tests/idx_file.h"
#include "tests/optional.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using data::Batch;
using data::FolderOptions;
using data::from_folder;
using test::TemporaryFolder;

namespace {

namespace fs = std::filesystem;

// A folder of PNG files; each shows its number.
struct Images : TemporaryFolder {
  void add(const std::string& name, std::uint8_t number, std::int64_t height = 2, std::int64_t width = 3) const {
    fs::create_directories(fs::path(*this / name).parent_path());
    data::write_png(*this / name, Tensor::full({height, width, 1}, number, {.dtype = DType::u8}));
  }
  void make(const std::string& name) const { fs::create_directories(*this / name); }
};

// train: 1a 3b 5b 7a in the order of names (class a is 0), valid: 2b 4a.
struct SmallTree : Images {
  SmallTree() {
    add("train/a/01.png", 1);
    add("train/b/03.png", 3);
    add("train/b/05.png", 5);
    add("train/a/07.png", 7);
    add("valid/b/02.png", 2);
    add("valid/a/04.png", 4);
  }
};

struct Sample {
  int number;
  std::int32_t label;
  bool operator==(const Sample&) const = default;
};

std::vector<Sample> samples(const data::DataLoader& loader, std::uint32_t epoch = 0) {
  std::vector<Sample> result;
  for (const Batch& batch : loader.epoch(epoch)) {
    const std::int64_t pixels = batch.x.numel() / batch.size();
    for (std::int64_t n = 0; n < batch.size(); ++n) {
      const float* x = batch.x.data<float>() + n * pixels;
      CHECK(std::count(x, x + pixels, *x) == pixels);
      result.push_back({static_cast<int>(*x * 255 + 0.5f), batch.y.data<std::int32_t>()[n]});
    }
  }
  return result;
}

// The samples of the training data in the order of the dataset.
std::vector<Sample> in_order(const data::DataLoader& loader) { return samples(loader.with({.batch_size = 3})); }

// The two IDX files of a split of MNIST.
void write_idx(const TemporaryFolder& folder, const std::string& split, const data::LabelledImages& digits) {
  const auto write = [&](const std::string& kind, const std::vector<std::uint8_t>& bytes, bool images) {
    const auto count = static_cast<std::uint32_t>(digits.labels.numel());
    std::string file = test::idx_header(images ? std::vector{count, 28u, 28u} : std::vector{count});
    file.append(bytes.begin(), bytes.end());
    folder.write(split + kind, file);
  };
  write("-images-idx3-ubyte", digits.images.to_vector<std::uint8_t>(), true);
  write("-labels-idx1-ubyte", digits.labels.to(DType::u8).to_vector<std::uint8_t>(), false);
}

std::string check_refused(const std::string& path, const std::vector<std::string>& words,
                          const FolderOptions& options = {.batch_size = 1}) {
  const std::string text = test::check_refused([&] { from_folder(path, options); });
  for (const std::string& word : words) test::check_contains(text, word);
  return text;
}

}  // namespace

TEST_CASE("from_folder: train/ and valid/ become loaders, classes by name, samples by file name") {
  if (!test::has_png()) return;
  const SmallTree tree;
  for (const bool in_memory : {true, false})
    for (const int workers : {0, 2})
      for (const std::int64_t channels : {1, 3}) {
        const data::DataLoaders data = from_folder(
            tree.path(), {.batch_size = 2, .channels = channels, .in_memory = in_memory, .workers = workers});
        CHECK(data.classes() == std::vector<std::string>{"a", "b"});
        CHECK(in_order(data.train) == std::vector<Sample>{{1, 0}, {3, 1}, {5, 1}, {7, 0}});
        CHECK(samples(data.valid) == std::vector<Sample>{{2, 1}, {4, 0}});
        CHECK(data.train.options().shuffle);
        CHECK(data.train.options().drop_last);
        CHECK(data.valid.epoch(0)[0].x.shape() == Shape{2, 2, 3, channels});
        CHECK_THROWS_AS(data.train.dataset().get(std::vector<std::int32_t>{4}), Error);
      }
}

TEST_CASE("from_folder: images of one name in many classes come in the order of the classes") {
  if (!test::has_png()) return;
  const Images tree;
  std::vector<Sample> expected;
  for (const char* file : {"1.png", "2.png"})
    for (std::int32_t label = 0; label < 26; ++label) {
      const std::string name = '/' + std::string(1, static_cast<char>('a' + label)) + '/' + file;
      for (const char* part : {"train", "valid"}) tree.add(part + name, static_cast<std::uint8_t>(label));
      expected.push_back({label, label});
    }
  const data::DataLoaders data = from_folder(tree.path(), {.batch_size = 2});
  CHECK(samples(data.valid) == expected);
}

TEST_CASE("from_folder: hidden files and what lies beside train/ and valid/ are passed over") {
  if (!test::has_png()) return;
  const SmallTree tree;
  tree.write("labels.csv", "name,label");
  tree.write(".DS_Store", "x");
  tree.write("train/.DS_Store", "x");
  tree.write("train/a/.DS_Store", "x");
  tree.make("train/.hidden");
  tree.make("models");
  CHECK(in_order(from_folder(tree.path(), {.batch_size = 1}).train).size() == 4);
}

TEST_CASE("from_folder: one folder of classes is split by fraction and seed, each part in order") {
  if (!test::has_png()) return;
  const Images images;
  for (int n = 0; n < 20; ++n)
    images.add((n % 3 ? "x/" : "y/") + std::to_string(100 + n) + ".png", static_cast<std::uint8_t>(n));
  const auto numbers = [](const std::vector<Sample>& samples) {
    std::vector<int> result;
    for (const Sample& sample : samples) {
      CHECK(sample.label == (sample.number % 3 ? 0 : 1));
      result.push_back(sample.number);
    }
    CHECK(std::is_sorted(result.begin(), result.end()));
    return result;
  };
  const auto split = [&](double fraction, std::uint64_t seed) {
    const data::DataLoaders data =
        from_folder(images.path(), {.batch_size = 1, .seed = seed, .valid_fraction = fraction});
    const std::vector<int> train = numbers(in_order(data.train)), valid = numbers(samples(data.valid));
    std::set<int> all(train.begin(), train.end());
    all.insert(valid.begin(), valid.end());
    CHECK(all.size() == 20);
    CHECK(train.size() + valid.size() == 20);
    return valid;
  };
  std::vector<std::int32_t> expected = Random(1, Purpose::split).permutation(20);
  expected.resize(4);
  std::sort(expected.begin(), expected.end());
  CHECK(split(0.2, 1) == expected);
  CHECK(split(0.2, 1) == split(0.2, 1));
  CHECK(split(0.2, 1) != split(0.2, 2));
  CHECK(split(0.5, 1).size() == 10);
  CHECK(split(0.33, 1).size() == 7);  // 6.6, rounded
  CHECK(split(0.001, 1).size() == 1);
  CHECK(split(0.999, 1).size() == 19);
}

TEST_CASE("from_folder: batches are the same from memory, decoded on demand, and for any number of threads") {
  if (!test::has_png()) return;
  const Images images;
  for (int n = 0; n < 60; ++n) {
    images.add("train/" + std::to_string(n % 3) + "/" + std::to_string(1000 + n) + ".png",
               static_cast<std::uint8_t>(4 * n));
    images.add("valid/" + std::to_string(n % 3) + "/" + std::to_string(n) + ".png", static_cast<std::uint8_t>(n));
  }
  const auto load = [&](bool in_memory, int workers) {
    const data::DataLoaders data =
        from_folder(images.path(), {.batch_size = 7, .seed = 3, .in_memory = in_memory, .workers = workers});
    return std::pair{samples(data.train, 2), samples(data.valid)};
  };
  const auto reference = load(true, 0);
  CHECK(reference.first.size() == 56);
  const int threads = num_threads();
  for (const int count : {1, 3}) {
    set_num_threads(count);
    for (const bool in_memory : {true, false})
      for (const int workers : {0, 3}) CHECK(load(in_memory, workers) == reference);
  }
  set_num_threads(threads);
}

TEST_CASE("from_folder: MNIST written as a tree of PNG files gives the very batches of MNIST itself") {
  if (!test::has_png()) return;
  const TemporaryFolder mnist;
  write_idx(mnist, "train", data::synthetic_digits(300, 1, data::Split::train));
  write_idx(mnist, "t10k", data::synthetic_digits(100, 1, data::Split::valid));
  const std::vector<int> digits{3, 7};
  const auto selected = [&](data::Split split) { return select(data::read_mnist(mnist.path(), split), digits); };
  data::write_image_folder(mnist / "tree/", selected(data::Split::train), selected(data::Split::valid), {"3", "7"});
  CHECK(fs::exists(mnist / "tree/train/3/00.png") != fs::exists(mnist / "tree/train/7/00.png"));
  const data::DataLoaders files = data::mnist(mnist.path(), {.digits = digits, .batch_size = 8, .seed = 9});
  const data::DataLoaders tree = from_folder(mnist / "tree", {.batch_size = 8, .seed = 9});
  CHECK(tree.classes() == files.classes());
  CHECK(tree.train.num_batches() == 7);
  CHECK(tree.valid.num_batches() == 3);
  const auto check_same = [](const data::DataLoader& a, const data::DataLoader& b, std::uint32_t epoch) {
    CHECK(a.num_batches() == b.num_batches());
    const auto one = a.epoch(epoch), other = b.epoch(epoch);
    for (std::int64_t batch = 0; batch < a.num_batches(); ++batch) {
      CHECK(one[batch].x.shape() == other[batch].x.shape());
      CHECK(one[batch].x.to_vector<float>() == other[batch].x.to_vector<float>());
      CHECK(one[batch].y.to_vector<std::int32_t>() == other[batch].y.to_vector<std::int32_t>());
    }
  };
  for (const std::uint32_t epoch : {0u, 5u}) check_same(files.train, tree.train, epoch);
  check_same(files.valid, tree.valid, 0);
}

TEST_CASE("write_image_folder: what is there already stays, and nothing half-written is left") {
  const TemporaryFolder folder;
  const data::LabelledImages digits = data::synthetic_digits(10, 1, data::Split::train);
  const std::vector<std::string> ten{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  const auto check_fails = [&](const std::string& path, const std::string& words, const auto& classes) {
    test::check_refused([&] { data::write_image_folder(path, digits, digits, classes); }, words);
  };
  fs::create_directory(folder / "full");
  folder.write("full/file", "x");
  check_fails(folder / "full", folder / "full" + ": exists and is not an empty folder", ten);
  check_fails(folder / "full/file", "exists and is not an empty folder", ten);
  check_fails(folder / "full/file/below", "full/file/below: cannot be written", ten);
  fs::create_directory(folder / "cut.part");
  check_fails(folder / "cut", folder / "cut.part" + ": exists: a run was interrupted", ten);
  check_fails(folder / "few", "index", std::vector<std::string>{"zero", "one"});
  CHECK(!fs::exists(folder / "few"));
  CHECK(!fs::exists(folder / "few.part"));
  check_fails(folder / "slash", "cannot be", std::vector<std::string>(10, std::string(300, 'x')));
  CHECK(!fs::exists(folder / "slash.part"));
  if (!test::has_png()) return;
  fs::create_directory(folder / "empty");
  data::write_image_folder(folder / "empty", digits, digits, ten);
  data::write_image_folder(folder / "new/deep/down", digits, digits, ten);
  for (const std::string tree : {"empty", "new/deep/down"})
    CHECK(from_folder(folder / tree, {.batch_size = 10}).classes() == ten);
  CHECK(!fs::exists(folder / "empty.part"));
}

TEST_CASE("from_folder: folders that are missing, empty or at odds are named") {
  const Images images;
  check_refused(images / "none", {images / "none", "not a folder"});
  check_refused(images.path(), {images.path(), "no class folders"});
  images.make("train");
  check_refused(images.path(), {images.path(), "train/ but no valid/"});
  images.make("valid");
  check_refused(images.path(), {images / "train", "no class folders"});
  images.make("train/cat");
  check_refused(images.path(), {images / "train/cat", "the class folder is empty"});
  images.write("train/cat/.hidden", "x");
  check_refused(images.path(), {images / "train/cat", "the class folder is empty"});
  images.write("train/stray.png", "x");
  check_refused(images.path(), {images / "train/stray.png", "is not a folder"});
  images.remove("train");
  check_refused(images.path(), {images.path(), "valid/ but no train/"});
  if (!test::has_png()) return;
  const SmallTree tree;
  tree.add("valid/dog/1.png", 1);
  check_refused(tree.path(), {tree / "valid/dog", "the training data lacks"});
  const SmallTree lacking;
  lacking.remove("valid/a");
  check_refused(lacking.path(), {lacking / "valid", "lacks the class a"});
  const Images one;
  one.add("only/1.png", 1);
  check_refused(one.path(), {one.path(), "one image"});
}

TEST_CASE("from_folder: common names of the two folders are found, in an order, others are named by options") {
  if (!test::has_png()) return;
  const auto parts = [](const std::vector<std::string>& folders, const FolderOptions& options) {
    const Images images;
    for (std::size_t i = 0; i < folders.size(); ++i)
      images.add(folders[i] + "/a/1.png", static_cast<std::uint8_t>(10 + i));
    const data::DataLoaders data = from_folder(images.path(), options);
    return std::pair{in_order(data.train).at(0).number - 10, samples(data.valid).at(0).number - 10};
  };
  const FolderOptions plain{.batch_size = 1};
  for (const char* train : {"train", "training"})
    for (const char* valid : {"valid", "validation", "val", "test", "testing"})
      CHECK(parts({train, valid}, plain) == std::pair{0, 1});
  CHECK(parts({"testing", "test", "val", "validation", "valid", "training", "train"}, plain) == std::pair{6, 4});
  CHECK(parts({"testing", "test", "val", "train"}, plain) == std::pair{3, 2});
  CHECK(parts({"train", "valid", "test"}, {.batch_size = 1, .valid = "test"}) == std::pair{0, 2});
  CHECK(parts({"train", "valid", "big/one"}, {.batch_size = 1, .train = "big/one"}) == std::pair{2, 1});
  CHECK(parts({"odd", "even"}, {.batch_size = 1, .train = "odd", .valid = "even"}) == std::pair{0, 1});
}

TEST_CASE("from_folder: a folder that was looked for and is not there is named") {
  const Images images;
  check_refused(images.path(), {images.path(), "contains no class folders (there is no train/ or training/ either)"});
  images.write("labels.txt", "cat dog");
  check_refused(images.path(), {images / "labels.txt", "is not a folder", "there is no train/ or training/ either"});
  images.make("training");
  check_refused(images.path(),
                {images.path(), "contains training/ but no valid/, validation/, val/, test/ or testing/"});
  check_refused(images.path(), {images / "odd", "is not a folder"}, {.batch_size = 1, .train = "odd"});
  check_refused(images.path(), {images / "even", "is not a folder"}, {.batch_size = 1, .valid = "even"});
  images.remove("training");
  images.make("testing");
  check_refused(images.path(), {images.path(), "contains testing/ but no train/ or training/"});
}

TEST_CASE("from_folder: names of files and folders are printed without their line ends and escape sequences") {
  if (!test::has_png()) return;
  const std::string bad = "a\nb\x1b[31m\xff", good = "a?b?[31m?";
  const auto refused = [&](const std::function<void(const Images&)>& damage, const std::string& words) {
    const SmallTree tree;
    damage(tree);
    const std::string text = check_refused(tree.path(), {words, good});
    for (const char c : {'\n', '\x1b', '\xff'}) CHECK(text.find(c) == text.npos);
  };
  refused([&](auto& tree) { tree.write("train/a/" + bad, "x"); }, good + ": is neither a PNG nor a JPEG");
  refused([&](auto& tree) { tree.add("train/a/" + bad, 1, 9, 9); }, good + ": is 9 x 9 pixels");
  refused([&](auto& tree) { tree.write("train/" + bad, "x"); }, good + ": is not a folder");
  refused([&](auto& tree) { tree.make("train/" + bad); }, good + ": the class folder is empty");
  refused([&](auto& tree) { tree.add("train/" + bad + "/1.png", 1); }, "lacks the class " + good);
  refused([&](auto& tree) { tree.add("valid/" + bad + "/1.png", 1); }, good + ": the training data lacks this class");
  check_refused("/none/" + bad, {"/none/" + good, ": is not a folder"});
}

TEST_CASE("from_folder: options that make no sense are refused") {
  const Images images;
  check_refused(images.path(), {"batch size 0"}, {.batch_size = 0});
  for (const double fraction : {0.0, 1.0, -0.5, 2.0})
    check_refused(images.path(), {"valid_fraction"}, {.valid_fraction = fraction});
  if (!test::has_png()) return;
  const SmallTree tree;
  check_refused(tree.path(), {"batch size 5 exceeds the 4 samples"}, {.batch_size = 5});
  check_refused(tree.path(), {"1 or 3 channels, not 2"}, {.batch_size = 1, .channels = 2});
  check_refused(tree.path(), {"train/a/01.png", "3 x 2 pixels exceeds the 5"}, {.batch_size = 1, .max_pixels = 5});
  check_refused(tree.path(), {"-1 workers"}, {.batch_size = 1, .workers = -1});
}

TEST_CASE("from_folder: a file that is not an image, or of another size, is named with its sample index") {
  if (!test::has_png()) return;
  struct Damage {
    std::string file;
    std::vector<std::string> words;
    std::function<void(const Images&)> make;
  };
  const std::vector<Damage> damages{
      {"train/b/05.png",
       {"neither a PNG nor a JPEG", "(sample 2)"},
       [](const Images& tree) { tree.write("train/b/05.png", "{\"a\": 1}\n"); }},
      {"train/a/06", {"is a directory", "(sample 3)"}, [](const Images& tree) { tree.make("train/a/06"); }},
      {"train/b/05.png",
       {"is 2 x 3 pixels, but ", "train/a/01.png is 3 x 2", "(sample 2)"},
       [](const Images& tree) {
         tree.add("train/b/05.png", 5, 3, 2);
         tree.add("train/a/07.png", 7, 9, 9);  // not the first
       }},
      {"valid/a/04.png",
       {"is 28 x 28 pixels, but ", "train/a/01.png is 3 x 2", "(sample 1)"},
       [](const Images& tree) { tree.add("valid/a/04.png", 4, 28, 28); }},
  };
  for (const Damage& damage : damages) {
    const SmallTree tree;
    damage.make(tree);
    std::vector<std::string> words = damage.words;
    words.push_back(tree / damage.file);
    const std::string text = check_refused(tree.path(), words);
    for (const int workers : {0, 2}) {  // decoded when asked for: found then, in the same words
      const data::DataLoaders data =
          from_folder(tree.path(), {.batch_size = 1, .in_memory = false, .workers = workers});
      CHECK_THROWS_WITH_AS((in_order(data.train.with({.batch_size = 2, .workers = workers})), samples(data.valid)),
                           text.c_str(), Error);
    }
  }
}
