// DataLoader: a dataset cut into batches, reshuffled every epoch.
#pragma once

#include <iterator>
#include <memory>
#include <vector>

#include "core/random.h"
#include "data/dataset.h"

namespace mixgrad::data {

class Prefetch;  // data/prefetch.h

struct LoaderOptions {
  std::int64_t batch_size = 64;
  bool shuffle = false;
  bool drop_last = false;               // drop the last batch if it is not full
  std::uint64_t seed = default_seed();  // of the shuffle
  Purpose purpose = Purpose::shuffle;   // distinguishes loaders with the same seed (mixup's second loader)
  int workers = 0;  // threads that prefetch batches, for datasets that decode (data/prefetch.h); 0: read on demand
};

// for (const Batch& batch : loader.epoch(3)) ...
//
// The order is a permutation determined by (seed, purpose, epoch): the same for any number of threads or workers, and
// available for any epoch without running the previous ones.
class DataLoader {
 public:
  // Throws unless 1 <= batch_size, 0 <= workers <= 1024, the dataset has 1 to 2^31 - 1 samples and, with drop_last, at
  // least batch_size.
  DataLoader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options);

  std::int64_t num_batches() const;
  // The number of batches in so many epochs, rounded up; .1 epochs of 30 batches, 3.0000000000000004, are 3.
  std::int64_t batches_in(double epochs) const;
  std::int64_t size_of(std::int64_t batch) const;  // samples in a batch: the last one may be short
  const Dataset& dataset() const { return *dataset_; }
  const LoaderOptions& options() const { return options_; }
  // The same dataset with other options, or another seed.
  DataLoader with(const LoaderOptions& options) const { return {dataset_, options}; }
  DataLoader with_seed(std::uint64_t seed) const;
  // The same with the dataset on another device, if it is resident.
  DataLoader to(Device device) const;

  // One pass over the data; must not outlive the loader. During a loop over it the workers prefetch; they stop when the
  // iterator is destroyed, however the loop ends. epoch[i] reads batch i at once, without workers.
  class Epoch {
   public:
    Epoch(const DataLoader& loader, std::uint32_t epoch, std::int64_t first_batch, std::int64_t end_batch);
    std::int64_t size() const { return end_batch_; }
    Batch operator[](std::int64_t batch) const { return loader_->dataset().get(indices(batch)); }
    std::span<const std::int32_t> indices(std::int64_t batch) const;  // of the samples in the batch

    struct Iterator {
      const Epoch* epoch;
      std::int64_t batch;
      std::shared_ptr<Prefetch> ahead;  // null without workers
      Batch operator*() const;
      Iterator& operator++() { return ++batch, *this; }
      bool operator!=(std::default_sentinel_t) const { return batch < epoch->size(); }
    };
    Iterator begin() const;
    std::default_sentinel_t end() const { return {}; }

   private:
    const DataLoader* loader_;
    std::int64_t first_batch_, end_batch_;
    std::vector<std::int32_t> order_;
  };
  // A loop over it has the batches from first_batch to before end_batch; all unless they are given. Throws unless 0 <=
  // first_batch <= end_batch <= num_batches().
  Epoch epoch(std::uint32_t epoch, std::int64_t first_batch, std::int64_t end_batch) const {
    return {*this, epoch, first_batch, end_batch};
  }
  Epoch epoch(std::uint32_t epoch, std::int64_t first_batch = 0) const {
    return {*this, epoch, first_batch, num_batches()};
  }

 private:
  std::shared_ptr<const Dataset> dataset_;
  LoaderOptions options_;
};

// What a model is trained on and what it is evaluated on.
struct DataLoaders {
  DataLoader train, valid;
  const std::vector<std::string>& classes() const { return train.dataset().classes(); }
  // The same data, shuffled with another seed.
  DataLoaders with_seed(std::uint64_t seed) const { return {train.with_seed(seed), valid.with_seed(seed)}; }
  DataLoaders to(Device device) const { return {train.to(device), valid.to(device)}; }
};

}  // namespace mixgrad::data
