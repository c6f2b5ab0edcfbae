#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/check.h"
#include "core/parallel.h"
#include "data/data_loader.h"
#include "data/prefetch.h"
#include "tests/error.h"

using namespace mixgrad;
using data::Batch;
using data::DataLoader;
using data::Prefetch;

namespace {

using Numbers = std::vector<std::int32_t>;

// A batch of one number.
Batch numbered(std::int64_t number) {
  const Tensor x = Tensor::full({1}, static_cast<double>(number));
  return {x, x};
}
std::int64_t number(const Batch& batch) { return static_cast<std::int64_t>(batch.x.item()); }

// Some microseconds that differ from call to call, so that workers overtake each other.
void dawdle(std::int64_t number) { std::this_thread::sleep_for(std::chrono::microseconds(7 * number % 5 * 40)); }

// Sample n is the number n; asking for `bad` throws. Counts its calls, and those that could have shared their work.
class NumberSet : public data::Dataset {
 public:
  explicit NumberSet(std::int64_t size, std::int32_t bad = -1) : size_(size), bad_(bad) {}
  std::int64_t size() const override { return size_; }
  Batch get(std::span<const std::int32_t> indices) const override {
    ++calls;
    if (num_threads() != 1) ++shared_calls;
    dawdle(indices.front());
    for (const std::int32_t index : indices) check(index != bad_, "number ", index, " is bad (sample ", index, ")");
    std::vector<float> x(indices.begin(), indices.end());
    const auto n = static_cast<std::int64_t>(x.size());
    return {Tensor::from(x, {n}), Tensor::from(indices, {n})};
  }
  const std::vector<std::string>& classes() const override { return classes_; }

  mutable std::atomic<int> calls = 0, shared_calls = 0;

 private:
  std::int64_t size_;
  std::int32_t bad_;
  std::vector<std::string> classes_;
};

Numbers numbers_of(const DataLoader& loader, std::uint32_t epoch) {
  Numbers result;
  for (const Batch& batch : loader.epoch(epoch)) {
    const Numbers y = batch.y.to_vector<std::int32_t>();
    CHECK(batch.x.to_vector<float>() == std::vector<float>(y.begin(), y.end()));
    result.insert(result.end(), y.begin(), y.end());
    result.push_back(-1);  // where the batch ends
  }
  return result;
}

}  // namespace

TEST_CASE("prefetch: batches come in order, each read once, for any number of workers") {
  for (const int workers : {1, 2, 3, 8, 100}) {
    std::vector<std::atomic<int>> reads(50);
    Prefetch ahead(
        [&](std::int64_t batch) {
          dawdle(batch);
          ++reads[static_cast<std::size_t>(batch)];
          return numbered(batch);
        },
        50, workers);
    for (std::int64_t batch = 0; batch < 50; ++batch) {
      CHECK(number(ahead.get(batch)) == batch);
      CHECK(number(ahead.get(batch)) == batch);  // again
    }
    CHECK(std::all_of(reads.begin(), reads.end(), [](const auto& count) { return count == 1; }));
  }
}

TEST_CASE("prefetch: no more than two batches for each worker are read beyond the one asked for") {
  for (const int workers : {1, 3}) {
    std::atomic<std::int64_t> asked = 0;
    std::atomic<bool> bounded = true;
    std::atomic<int> reads = 0;
    const int ahead_at_most = 2 * workers;
    Prefetch ahead(
        [&](std::int64_t batch) {
          if (batch > asked + ahead_at_most) bounded = false;
          ++reads;
          return numbered(batch);
        },
        100, workers);
    for (std::int64_t batch = 0; batch < 40; ++batch) {
      asked = batch;
      ahead.get(batch);
    }
    for (int wait = 0; wait < 5000 && reads < 40 + ahead_at_most; ++wait)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    CHECK(reads == 40 + ahead_at_most);
    CHECK(bounded);
  }
}

TEST_CASE("prefetch: batches may be skipped, but not requested out of order") {
  Prefetch ahead(
      [](std::int64_t batch) {
        dawdle(batch);
        return numbered(batch);
      },
      1000, 2);
  for (const std::int64_t batch : {0, 1, 7, 8, 500, 502, 999}) CHECK(number(ahead.get(batch)) == batch);
  CHECK_THROWS_WITH_AS(ahead.get(998), "prefetch: batch 998 requested after batch 999 of 1000", Error);
  CHECK_THROWS_AS(ahead.get(1000), Error);
  CHECK_THROWS_WITH_AS(Prefetch(numbered, 3, 0), "prefetch: 0 workers, needs at least 1", Error);
}

TEST_CASE("prefetch: an exception of a worker is thrown when its batch is asked for, as often as it is") {
  Prefetch ahead(
      [](std::int64_t batch) {
        if (batch == 3) fail("batch three is broken");
        if (batch == 5) throw std::logic_error("another kind");
        return numbered(batch);
      },
      8, 3);
  for (const std::int64_t batch : {0, 1, 2}) CHECK(number(ahead.get(batch)) == batch);
  CHECK_THROWS_WITH_AS(ahead.get(3), "batch three is broken", Error);
  CHECK_THROWS_WITH_AS(ahead.get(3), "batch three is broken", Error);
  CHECK(number(ahead.get(4)) == 4);
  CHECK_THROWS_WITH_AS(ahead.get(5), "another kind", std::logic_error);
  CHECK(number(ahead.get(7)) == 7);
}

TEST_CASE("data loader: with workers an epoch is the same, batch for batch, and works on one thread each") {
  const auto numbers = std::make_shared<NumberSet>(100);
  for (const bool shuffle : {false, true})
    for (const std::int64_t batch_size : {1, 7, 100, 1000}) {
      const DataLoader alone(numbers, {.batch_size = batch_size, .shuffle = shuffle, .seed = 5});
      for (const int workers : {1, 2, 5}) {
        data::LoaderOptions options = alone.options();
        options.workers = workers;
        const DataLoader together = alone.with(options);
        for (const std::uint32_t epoch : {0u, 3u}) CHECK(numbers_of(together, epoch) == numbers_of(alone, epoch));
        CHECK(together.epoch(2)[0].y.to_vector<std::int32_t>() == alone.epoch(2)[0].y.to_vector<std::int32_t>());
      }
    }
  const auto fresh = std::make_shared<NumberSet>(100);
  numbers_of(DataLoader(fresh, {.batch_size = 10, .workers = 3}), 0);
  CHECK(fresh->calls == 10);
  CHECK(fresh->shared_calls == 0);
  CHECK_THROWS_WITH_AS(DataLoader(numbers, {.workers = -1}), doctest::Contains("data loader: -1 workers"), Error);
}

TEST_CASE("data loader: an epoch begins at any batch, with workers as without, and reads no batch before it") {
  const auto numbers = std::make_shared<NumberSet>(23);
  for (const bool shuffle : {false, true})
    for (const bool drop_last : {false, true})
      for (const int workers : {0, 1, 3}) {
        const DataLoader loader(
            numbers, {.batch_size = 4, .shuffle = shuffle, .drop_last = drop_last, .seed = 5, .workers = workers});
        const DataLoader::Epoch whole = loader.epoch(2);
        for (std::int64_t first = 0; first <= whole.size(); ++first) {
          CAPTURE(workers);
          CAPTURE(first);
          numbers->calls = 0;
          std::vector<Numbers> read;
          for (const Batch& batch : loader.epoch(2, first)) read.push_back(batch.y.to_vector<std::int32_t>());
          CHECK(numbers->calls == whole.size() - first);
          std::vector<Numbers> expected;
          for (std::int64_t batch = first; batch < whole.size(); ++batch)
            expected.push_back(whole[batch].y.to_vector<std::int32_t>());
          CHECK(read == expected);
          const DataLoader::Epoch rest = loader.epoch(2, first);  // indexed, it is the whole epoch
          CHECK(rest.size() == whole.size());
          CHECK(rest[0].y.to_vector<std::int32_t>() == whole[0].y.to_vector<std::int32_t>());
          CHECK(Numbers(rest.indices(1).begin(), rest.indices(1).end()) == whole[1].y.to_vector<std::int32_t>());
        }
        CHECK_THROWS_WITH_AS(loader.epoch(2, whole.size() + 1), doctest::Contains("batches from batch"), Error);
        CHECK_THROWS_WITH_AS(loader.epoch(2, -1), doctest::Contains("batches from batch -1 on"), Error);
      }
}

TEST_CASE("data loader: from the middle of an epoch, an iterator gives a batch twice, leaves some out, and throws") {
  const auto numbers = std::make_shared<NumberSet>(100, 57);
  for (const int workers : {0, 1, 3}) {
    const DataLoader loader(numbers, {.batch_size = 10, .workers = workers});
    const DataLoader::Epoch epoch = loader.epoch(0, 2);
    const auto first_of = [](const Batch& batch) { return batch.y.to_vector<std::int32_t>().front(); };
    auto at = epoch.begin();
    CHECK(first_of(*at) == 20);
    CHECK(first_of(*at) == 20);
    ++ ++at;
    CHECK(first_of(*at) == 40);
    ++at;
    CHECK_THROWS_WITH_AS(*at, "number 57 is bad (sample 57)", Error);
    ++at;
    CHECK(first_of(*at) == 60);
    CHECK(first_of(*epoch.begin()) == 20);  // another loop begins where this one did
  }
}

TEST_CASE("data loader: two epochs read at the same time, each with workers, do not mix") {
  const auto numbers = std::make_shared<NumberSet>(60);
  const DataLoader one(numbers, {.batch_size = 7, .shuffle = true, .seed = 5, .workers = 3});
  data::LoaderOptions options = one.options();
  options.purpose = Purpose::partner_shuffle;
  const DataLoader other = one.with(options);
  const DataLoader::Epoch a = one.epoch(1, 2), b = other.epoch(1, 2), c = one.epoch(4);
  CHECK(a[2].y.to_vector<std::int32_t>() != b[2].y.to_vector<std::int32_t>());
  auto ia = a.begin(), ib = b.begin(), ic = c.begin();
  for (std::int64_t batch = 2; ia != a.end(); ++batch, ++ia, ++ib, ++ic) {
    CHECK((*ia).y.to_vector<std::int32_t>() == a[batch].y.to_vector<std::int32_t>());
    CHECK((*ib).y.to_vector<std::int32_t>() == b[batch].y.to_vector<std::int32_t>());
    CHECK((*ic).y.to_vector<std::int32_t>() == c[batch - 2].y.to_vector<std::int32_t>());
  }
}

TEST_CASE("data loader: an epoch with workers may be left at any batch, by break or by exception") {
  const auto numbers = std::make_shared<NumberSet>(300);
  const DataLoader loader(numbers, {.batch_size = 3, .shuffle = true, .workers = 4});
  for (int round = 0; round < 50; ++round) {
    numbers->calls = 0;
    int batches = 0;
    try {
      for (const Batch& batch : loader.epoch(0)) {
        CHECK(batch.size() == 3);
        if (batches++ == round % 7) {
          if (round % 2 == 0) break;
          throw std::runtime_error("enough");
        }
      }
    } catch (const std::runtime_error&) {
    }
    CHECK(numbers->calls <= batches + 8);
  }
  loader.epoch(0).begin();  // never asked for anything
  const auto first = loader.epoch(1);
  const auto one = first.begin(), other = one;  // copies share what is read
  CHECK((*one).y.to_vector<std::int32_t>() == (*other).y.to_vector<std::int32_t>());
}

TEST_CASE("data loader: a bad sample ends the loop at its batch, with workers as without") {
  for (const int workers : {0, 1, 4}) {
    const DataLoader loader(std::make_shared<NumberSet>(100, 57), {.batch_size = 10, .workers = workers});
    Numbers seen;
    const std::string text = test::error_of([&] {
      for (const Batch& batch : loader.epoch(0)) seen.push_back(batch.y.to_vector<std::int32_t>().front());
    });
    CHECK(seen == Numbers{0, 10, 20, 30, 40});
    CHECK(text == "number 57 is bad (sample 57)");
    CHECK(loader.epoch(0)[9].size() == 10);
  }
}

TEST_CASE("single threaded: parallel_for runs inline while it lives, on this thread alone") {
  const int threads = num_threads();
  set_num_threads(3);
  {
    const SingleThreaded outer;
    {
      const SingleThreaded inner;
      CHECK(num_threads() == 1);
    }
    CHECK(num_threads() == 1);
    const auto self = std::this_thread::get_id();
    bool elsewhere = false;
    parallel_for(100, 1,
                 [&](std::int64_t, std::int64_t) { elsewhere = elsewhere || std::this_thread::get_id() != self; });
    CHECK(!elsewhere);
  }
  CHECK(num_threads() == 3);
  set_num_threads(threads);
}
