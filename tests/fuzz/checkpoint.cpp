// Training checkpoints. One that is refused changes nothing; from one that is taken, training goes on.
#include "train/checkpoint.h"

#include <cmath>
#include <stdexcept>

#include "mixgrad.h"
#include "tests/fuzz/fuzz.h"

// libFuzzer's own changes to an input.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace mixgrad::fuzz {
namespace {

constexpr int epochs = 2;

// Trained already, so that there is something to be changed.
std::unique_ptr<train::Learner> trained_learner() {
  manual_seed(1);
  Random random(1);
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < 8 * 4; ++i) pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
  const auto dataset = std::make_shared<data::ImageDataset>(
      data::LabelledImages{Tensor::from(pixels, {8, 2, 2, 1}),
                           Tensor::from<std::int32_t>({0, 1, 0, 1, 0, 1, 0, 1}, {8})},
      std::vector<std::string>{"a", "b"});
  const data::DataLoader loader(dataset, {.batch_size = 4, .shuffle = true});
  const nn::Sequential model(nn::Flatten(), nn::Linear(12, 2), nn::BatchNorm(2), nn::ReLU(), nn::Dropout(0.3),
                             nn::Linear(2, 2));
  auto learner = std::make_unique<train::Learner>(
      data::DataLoaders{loader, loader}, model,
      train::LearnerOptions{
          .metrics = {train::accuracy}, .train_metrics = {train::mixed_accuracy}, .seed = 1, .verbose = false});
  learner->mixup({.source = train::MixSource::second_loader});
  learner->add(std::make_shared<train::AccumulateGradients>(2)).add(std::make_shared<train::EarlyStopping>());
  learner->fit_one_cycle(1);
  return learner;
}

// All that a checkpoint keeps.
std::string state_of(train::Learner& learner) {
  const std::string path = file_with("");
  train::save_checkpoint(learner, path);
  return bytes_of(path);
}

struct KeepStates : train::StepCallback {
  void on_batch_begin(train::Learner& learner) override { states.push_back(state_of(learner)); }
  train::StepWork step_work() const override { return train::StepWork::varies; }
  std::vector<std::string> states;
};

// The file with one tensor that is missing, misnamed, of another type or shape, or has an odd number in it.
std::string with_a_change(const std::string& bytes, Random& random) {
  constexpr DType dtypes[] = {DType::f32, DType::f64, DType::i32, DType::u8};
  constexpr double numbers[] = {NAN, INFINITY, -1, -0.0, 0, 0.5, 1, 2, 3, 1e6, 16777216, 4294967296, 0x1p53, 1e300};
  const std::string path = file_with(bytes);
  SafeTensors file = read_safetensors(path);
  check(!file.tensors.empty(), "there is nothing to be changed");
  const auto any = [&](std::size_t size) { return random.below(static_cast<std::uint32_t>(size)); };
  const std::size_t chosen = any(file.tensors.size());
  auto& [name, tensor] = file.tensors[chosen];
  switch (any(16)) {
    case 0: file.tensors.erase(file.tensors.begin() + static_cast<std::ptrdiff_t>(chosen)); break;
    case 1: std::swap(name, file.tensors[any(file.tensors.size())].name); break;
    case 2: tensor = tensor.to(dtypes[any(std::size(dtypes))]); break;
    case 3: tensor = Tensor::ones({any(20)}, tensor.options()); break;
    default: {
      std::vector<double> values = tensor.to(DType::f64).to_vector<double>();
      if (!values.empty()) values[any(values.size())] = numbers[any(std::size(numbers))];
      tensor = Tensor::from(values, tensor.shape()).to(tensor.dtype());
    }
  }
  write_safetensors(path, file.tensors, file.metadata);
  return bytes_of(path);
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string path = file_with("");
  const RandomState random = random_state();
  const auto learner = trained_learner();
  const auto keep = std::make_shared<KeepStates>();
  learner->add(keep).add(std::make_shared<train::Checkpoint>(path, 1)).fit_one_cycle(epochs);
  std::vector<std::string> seeds = keep->states;
  seeds.push_back(bytes_of(path));  // of the training that is over
  random_state() = random;          // which read() compares
  return seeds;
}

void read(const std::string& bytes) {
  static std::unique_ptr<train::Learner> learner = trained_learner();
  static std::string before = state_of(*learner);
  try {
    train::resume(*learner, file_with(bytes));
  } catch (const Error& error) {
    if (std::string(error.what()).find('\n') != std::string::npos) throw std::logic_error("an error of several lines");
    if (state_of(*learner) != before) throw std::logic_error("a checkpoint that was refused has changed something");
    throw;
  }
  try {
    learner->fit_one_cycle(epochs);
  } catch (const Error& error) {
    const std::string text = error.what();
    const auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
    if (!says("the training that is resumed has") && !says("was written with")) throw std::logic_error(text);
  }
  learner = trained_learner();
  before = state_of(*learner);
}

}  // namespace mixgrad::fuzz

// libFuzzer calls this for a new input. Changed anywhere, hardly any file would still be one of tensors; changed often,
// hardly any would still be taken.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  using namespace mixgrad;
  Random random(seed);
  try {
    static const std::vector<std::string> good = fuzz::seeds();
    if (const std::uint32_t choice = random.below(8); choice > 0) {
      const std::string input(data, data + size);
      const std::string changed = fuzz::with_a_change(choice < 4 ? input : good[seed % good.size()], random);
      if (changed.size() <= max_size) return changed.copy(reinterpret_cast<char*>(data), changed.size());
    }
  } catch (const Error&) {  // it is no file of tensors
  }
  return LLVMFuzzerMutate(data, size, max_size);
}
