#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/parallel.h"
#include "core/random.h"
#include "data/data_loader.h"
#include "data/image_dataset.h"
#include "tests/error.h"

using namespace mixgrad;
using data::Batch;
using data::DataLoader;
using data::ImageDataset;
using data::LabelledImages;
using data::LoaderOptions;
using test::check_refused;

namespace {

using Numbers = std::vector<std::int32_t>;

// Sample n has the label n % 10 and an image of 2 by 3 pixels of value n, so at most 256 samples.
LabelledImages numbered_images(std::int64_t count, std::int64_t stored = 1, std::int64_t channels = 3) {
  std::vector<std::uint8_t> pixels;
  Numbers labels;
  for (std::int32_t n = 0; n < count; ++n) {
    pixels.insert(pixels.end(), static_cast<std::size_t>(6 * stored), static_cast<std::uint8_t>(n));
    labels.push_back(n % 10);
  }
  return {Tensor::from(pixels, {count, 2, 3, stored}), Tensor::from(labels, {count}), channels};
}

const std::vector<std::string> ten_classes{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

DataLoader loader(std::int64_t count, const LoaderOptions& options) {
  return {std::make_shared<ImageDataset>(numbered_images(count), ten_classes), options};
}

// The numbers of the samples in a batch; checks that every image still has its label.
Numbers samples(const Batch& batch) {
  CHECK(batch.x.shape() == Shape{batch.size(), 2, 3, 3});
  CHECK(batch.y.shape() == Shape{batch.size()});
  Numbers result;
  bool paired = true;
  for (std::int64_t n = 0; n < batch.size(); ++n) {
    const float* x = batch.x.data<float>() + 18 * n;
    const auto number = static_cast<std::int32_t>(x[0] * 255 + 0.5f);
    paired = paired && std::count(x, x + 18, static_cast<float>(number) / 255.0f) == 18 &&
             batch.y.data<std::int32_t>()[n] == number % 10;
    result.push_back(number);
  }
  CHECK(paired);
  return result;
}

Numbers order(const DataLoader& loader, std::uint32_t epoch) {
  Numbers result;
  for (const Batch& batch : loader.epoch(epoch)) {
    const Numbers more = samples(batch);
    result.insert(result.end(), more.begin(), more.end());
  }
  return result;
}

Numbers first_numbers(std::size_t count) {
  Numbers result(count);
  std::iota(result.begin(), result.end(), 0);
  return result;
}

}  // namespace

TEST_CASE("data loader: sizes beyond i32 indices are refused") {
  struct Huge : data::Dataset {
    std::int64_t size() const override { return std::int64_t{1} << 31; }
    const std::vector<std::string>& classes() const override { return names; }
    Batch get(std::span<const std::int32_t>) const override { return {}; }
    std::vector<std::string> names{"a"};
  };
  check_refused([] { DataLoader(std::make_shared<Huge>(), {}); }, "2147483648 samples");
  const DataLoader ten = loader(10, {.batch_size = 4});
  check_refused([&] { loader(10, {.workers = std::numeric_limits<int>::max()}); }, "workers");
  for (const std::int64_t first : {std::int64_t{-1}, std::int64_t{4}, std::numeric_limits<std::int64_t>::min(),
                                   std::numeric_limits<std::int64_t>::max()})
    check_refused([&] { ten.epoch(0, first); }, "batches from batch");
  check_refused([&] { ten.epoch(0, 0, ten.num_batches() + 1); }, "an epoch of");
  check_refused([&] { ten.epoch(0, 2, 1); }, "from batch 2 on");
  CHECK(ten.epoch(0, 1, 2).size() == 2);
  CHECK(ten.epoch(0, 3).size() == 3);  // nothing is left, as where training ended with its epoch
  check_refused([] { data::ImageDataset(numbered_images(5, 1, std::int64_t{1} << 62), {"a"}); }, "channels");
}

TEST_CASE("data loader: without shuffling the samples come in order, the last batch short") {
  const DataLoader data = loader(10, {.batch_size = 4});
  CHECK(data.num_batches() == 3);
  CHECK(data.epoch(0).size() == 3);
  CHECK(samples(data.epoch(0)[1]) == Numbers{4, 5, 6, 7});
  CHECK(samples(data.epoch(7)[2]) == Numbers{8, 9});
  CHECK(order(data, 3) == first_numbers(10));
}

TEST_CASE("data loader: drop_last leaves out a short batch and only that") {
  CHECK(loader(10, {.batch_size = 4, .drop_last = true}).num_batches() == 2);
  CHECK(order(loader(10, {.batch_size = 4, .drop_last = true}), 0) == first_numbers(8));
  CHECK(order(loader(8, {.batch_size = 4, .drop_last = true}), 0) == first_numbers(8));
  CHECK(order(loader(8, {.batch_size = 8, .drop_last = true}), 0) == first_numbers(8));
}

TEST_CASE("data loader: a batch size beyond the data gives one short batch") {
  for (const std::int64_t batch_size : {std::int64_t{11}, std::numeric_limits<std::int64_t>::max()}) {
    const DataLoader data = loader(10, {.batch_size = batch_size});
    CHECK(data.num_batches() == 1);
    CHECK(order(data, 0) == first_numbers(10));
  }
}

TEST_CASE("data loader: a shuffled epoch holds every sample once, with its label") {
  const DataLoader data = loader(200, {.batch_size = 7, .shuffle = true});
  for (const std::uint32_t epoch : {0u, 1u, 1000u}) {
    Numbers numbers = order(data, epoch);
    CHECK(!std::is_sorted(numbers.begin(), numbers.end()));
    std::sort(numbers.begin(), numbers.end());
    CHECK(numbers == first_numbers(200));
  }
}

TEST_CASE("data loader: the order depends on seed, epoch and purpose, and on nothing else") {
  const auto shuffled = [](std::uint64_t seed, std::uint32_t epoch, Purpose purpose = Purpose::shuffle,
                           std::int64_t batch_size = 64) {
    return order(loader(200, {.batch_size = batch_size, .shuffle = true, .seed = seed, .purpose = purpose}), epoch);
  };
  const Numbers reference = shuffled(1, 5);
  CHECK(reference == Random(1, Purpose::shuffle, 5).permutation(200));
  CHECK(reference != shuffled(1, 6));
  CHECK(reference != shuffled(2, 5));
  CHECK(reference != shuffled(1, 5, Purpose::partner_shuffle));
  CHECK(reference == shuffled(1, 5, Purpose::shuffle, 1));
  const int threads = num_threads();
  for (const int count : {1, 2, 3}) {
    set_num_threads(count);
    CHECK(reference == shuffled(1, 5));
  }
  set_num_threads(threads);
}

TEST_CASE("data loader: an epoch and a batch can be had without the ones before") {
  const LoaderOptions options{.batch_size = 16, .shuffle = true, .seed = 3};
  const DataLoader one = loader(100, options), other = loader(100, options);
  std::vector<Numbers> batches;
  for (std::uint32_t epoch = 0; epoch < 5; ++epoch) {
    batches.clear();
    for (const Batch& batch : one.epoch(epoch)) batches.push_back(samples(batch));
  }
  const DataLoader::Epoch last = other.epoch(4);
  for (std::int64_t batch = last.size() - 1; batch >= 0; --batch)
    CHECK(samples(last[batch]) == batches.at(static_cast<std::size_t>(batch)));
}

TEST_CASE("data loader: with() keeps the dataset and changes the options") {
  const DataLoader data = loader(10, {.batch_size = 4});
  const DataLoader other = data.with({.batch_size = 5, .drop_last = true});
  CHECK(&other.dataset() == &data.dataset());
  CHECK(other.num_batches() == 2);
  CHECK(data.num_batches() == 3);
}

TEST_CASE("data loader: the seed is the default one unless given") {
  manual_seed(17);
  const LoaderOptions options{.shuffle = true};
  manual_seed(42);
  CHECK(options.seed == 17);
  CHECK(LoaderOptions{}.seed == 42);
}

TEST_CASE("data loaders: another seed is that of both, and all else stays") {
  const LoaderOptions options{.batch_size = 4, .shuffle = true, .drop_last = true, .seed = 1};
  const data::DataLoaders one{loader(30, options), loader(20, options)}, other = one.with_seed(2);
  LoaderOptions reseeded = options;
  reseeded.seed = 2;
  CHECK(order(other.train, 3) == order(loader(30, reseeded), 3));
  CHECK(order(other.valid, 3) == order(loader(20, reseeded), 3));
  CHECK(order(other.valid, 3) != order(one.valid, 3));
}

TEST_CASE("data loader: bad batch sizes, no samples and batches out of range are refused") {
  check_refused([] { loader(10, {.batch_size = 0}); }, "batch size 0");
  check_refused([] { loader(10, {.batch_size = -3}); }, "batch size -3");
  check_refused([] { loader(10, {.batch_size = 11, .drop_last = true}); }, "batch size 11 exceeds the 10 samples");
  check_refused([] { loader(0, {}); }, "empty");
  const DataLoader data = loader(10, {.batch_size = 4});
  check_refused([&] { data.epoch(0)[3]; }, "batch 3 of 3");
  check_refused([&] { data.epoch(0)[-1]; }, "batch -1 of 3");
  check_refused([&] { data.with({.shuffle = true}).epoch(1u << 24); }, "epoch");
}

TEST_CASE("image dataset: images of several channels stay as they are, grey ones are copied") {
  LabelledImages coloured{Tensor::from(std::vector<std::uint8_t>{0, 51, 255, 1, 2, 3}, {1, 1, 2, 3}),
                          Tensor::from<std::int32_t>({0}, {1})};
  const ImageDataset colours(coloured, {"only"});
  CHECK(colours.get(Numbers{0}).x.to_vector<float>() ==
        std::vector{0.0f, 0.2f, 1.0f, 1.0f / 255, 2.0f / 255, 3.0f / 255});
  CHECK(ImageDataset(numbered_images(3, 1, 1), ten_classes).get(Numbers{2}).x.shape() == Shape{1, 2, 3, 1});
  CHECK(ImageDataset(numbered_images(3, 1, 5), ten_classes).get(Numbers{2, 2}).x.shape() == Shape{2, 2, 3, 5});
}

TEST_CASE("image dataset: wrong shapes, counts, labels and sample indices are refused") {
  const LabelledImages good = numbered_images(12);
  const auto refused = [](const Tensor& images, const Tensor& labels, const std::string& words,
                          std::int64_t channels = 3) {
    check_refused([&] { ImageDataset({images, labels, channels}, ten_classes); }, words);
  };
  refused(good.images.to(DType::f32), good.labels, "must be u8 [N, H, W, C], got f32[12, 2, 3, 1]");
  refused(good.images.raw_view({12, 6, 1}, 0), good.labels, "got u8[12, 6, 1]");
  refused(numbered_images(12, 2).images, good.labels, "[12, 2, 3, 2] cannot be converted to 3 channels");
  refused(good.images, good.labels, "0 channels", 0);
  refused(good.images, numbered_images(11).labels, "12 images but 11 labels");
  refused(good.images, good.labels.to(DType::f32), "must be i32 [N], got f32[12]");
  refused(good.images, good.labels.raw_view({4, 3}, 0), "got i32[4, 3]");
  check_refused([&] { ImageDataset(good, {"zero", "one", "two"}); }, "index 3 at position 3 is outside 0..2");
  const ImageDataset dataset(good, ten_classes);
  check_refused([&] { dataset.get(Numbers{0, 12}); }, "index 12 at position 1");
  check_refused([&] { dataset.get(Numbers{-1}); }, "index -1 at position 0");
}

TEST_CASE("select: keeps the samples with the labels asked for, in order, and numbers their classes") {
  const LabelledImages chosen = data::select(numbered_images(25), Numbers{7, 3});
  CHECK(chosen.labels.to_vector<std::int32_t>() == Numbers{1, 0, 1, 0, 1});
  CHECK(samples(ImageDataset(numbered_images(25), ten_classes).get(Numbers{3, 7, 13, 17, 23})) ==
        Numbers{3, 7, 13, 17, 23});
  Numbers numbers;
  for (std::int64_t n = 0; n < chosen.images.size(0); ++n) numbers.push_back(chosen.images.data<std::uint8_t>()[6 * n]);
  CHECK(numbers == Numbers{3, 7, 13, 17, 23});
  CHECK(data::select(numbered_images(5), Numbers{9}).images.shape() == Shape{0, 2, 3, 1});
}
