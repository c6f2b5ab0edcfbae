#include "data/data_loader.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/check.h"
#include "data/prefetch.h"

namespace mixgrad::data {

DataLoader::DataLoader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options)
    : dataset_(std::move(dataset)), options_(options) {
  check(dataset_->size() > 0, "data loader: the dataset is empty");
  check(dataset_->size() <= std::numeric_limits<std::int32_t>::max(), "data loader: a dataset of ", dataset_->size(),
        " samples is too large; indices are i32");
  check(options.batch_size >= 1, "data loader: batch size ", options.batch_size, " must be at least 1");
  check(options.workers >= 0 && options.workers <= 1024, "data loader: ", options.workers,
        " workers are not in 0..1024");
  check(!options.drop_last || options.batch_size <= dataset_->size(), "data loader: batch size ", options.batch_size,
        " exceeds the ", dataset_->size(), " samples, and short batches are dropped");
}

std::int64_t DataLoader::num_batches() const {
  const std::int64_t n = dataset_->size(), size = options_.batch_size;
  return n / size + (!options_.drop_last && n % size != 0);
}

std::int64_t DataLoader::batches_in(double epochs) const {
  return static_cast<std::int64_t>(std::min(std::ceil(epochs * static_cast<double>(num_batches()) - 1e-6), 9e18));
}

std::int64_t DataLoader::size_of(std::int64_t batch) const {
  check(batch >= 0 && batch < num_batches(), "data loader: batch ", batch, " of ", num_batches());
  return std::min(options_.batch_size, dataset_->size() - batch * options_.batch_size);
}

DataLoader DataLoader::with_seed(std::uint64_t seed) const {
  LoaderOptions options = options_;
  options.seed = seed;
  return with(options);
}

DataLoader DataLoader::to(Device device) const {
  const auto moved = dataset_->to(device);
  return moved ? DataLoader(moved, options_) : *this;
}

DataLoader::Epoch::Epoch(const DataLoader& loader, std::uint32_t epoch, std::int64_t first_batch,
                         std::int64_t end_batch)
    : loader_(&loader), first_batch_(first_batch), end_batch_(end_batch) {
  check(end_batch <= loader.num_batches(), "data loader: an epoch of ", end_batch, " batches, there are ",
        loader.num_batches());
  check(first_batch >= 0 && first_batch <= end_batch, "data loader: an epoch of ", end_batch, " batches from batch ",
        first_batch, " on");
  const std::int64_t n = loader.dataset().size();
  if (loader.options_.shuffle) {
    order_ = Random(loader.options_.seed, loader.options_.purpose, epoch).permutation(n);
  } else {
    order_.resize(static_cast<std::size_t>(n));
    std::iota(order_.begin(), order_.end(), 0);
  }
}

std::span<const std::int32_t> DataLoader::Epoch::indices(std::int64_t batch) const {
  const std::int64_t count = loader_->size_of(batch), first = batch * loader_->options_.batch_size;
  return std::span(order_).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
}

DataLoader::Epoch::Iterator DataLoader::Epoch::begin() const {
  const int workers = loader_->options_.workers;
  if (workers == 0) return {this, first_batch_, nullptr};
  const auto read = [this](std::int64_t batch) { return (*this)[first_batch_ + batch]; };
  return {this, first_batch_, std::make_shared<Prefetch>(read, size() - first_batch_, workers)};
}

Batch DataLoader::Epoch::Iterator::operator*() const {
  return ahead ? ahead->get(batch - epoch->first_batch_) : (*epoch)[batch];
}

}  // namespace mixgrad::data
