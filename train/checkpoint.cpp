#include "train/checkpoint.h"

#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "core/check.h"
#include "core/safetensors.h"
#include "nn/weights.h"
#include "train/recorder.h"
#include "train/state.h"

namespace mixgrad::train {
namespace {

Tensor scalar(double value) { return Tensor::full({}, value, {.dtype = DType::f64}); }

// Puts a prefix before each name that is visited.
class Named : public StateVisitor {
 public:
  void prefix(std::string text) { prefix_ = std::move(text); }
  void number(const std::string& name, double& value) override { visit(prefix_ + name, value); }
  void numbers(const std::string& name, std::vector<double>& values) override { visit(prefix_ + name, values); }
  void tensor(const std::string& name, const Tensor& tensor) override { visit(prefix_ + name, tensor); }

 protected:
  virtual void visit(const std::string& name, double& value) = 0;
  virtual void visit(const std::string& name, std::vector<double>& values) = 0;
  virtual void visit(const std::string& name, const Tensor& tensor) = 0;

 private:
  std::string prefix_;
};

class Save : public Named {
 public:
  std::vector<NamedTensor> tensors;

 protected:
  void visit(const std::string& name, double& value) override { tensors.push_back({name, scalar(value)}); }
  void visit(const std::string& name, std::vector<double>& values) override {
    tensors.push_back({name, Tensor::from(values, {static_cast<std::int64_t>(values.size())})});
  }
  void visit(const std::string& name, const Tensor& tensor) override { tensors.push_back({name, tensor.detach()}); }
};

// The tensors of a file, by name.
class Load : public Named {
 public:
  Load(std::vector<NamedTensor> tensors, std::string path) : path_(std::move(path)) {
    for (NamedTensor& named : tensors) tensors_.emplace(std::move(named.name), std::move(named.tensor));
  }
  // While checking, nothing is changed and every difference is an error.
  bool checking = true;
  // Throws unless a number is a whole one between 0 and `most`.
  void require_integer(const std::string& name, double most) const {
    const double value = tensors_.at(name).item();
    check(value >= 0 && value <= most && std::floor(value) == value, path_, ": ", name, " is ", value, ", not in 0..",
          most);
  }
  // Throws unless all that the file holds was asked for.
  void require_all_used() const {
    for (const auto& [name, tensor] : tensors_)
      check(used_.count(name) > 0, path_, ": holds ", printable(name), ", which this training has no use for");
  }

 protected:
  void visit(const std::string& name, double& value) override {
    const Tensor& tensor = find(name, DType::f64, Shape{});
    if (!checking) value = tensor.item();
  }
  void visit(const std::string& name, std::vector<double>& values) override {
    const Tensor& tensor = find(name, DType::f64);
    check(tensor.rank() == 1, path_, ": ", name, " is ", tensor.shape(), ", not a list");
    if (!checking) values = tensor.to_vector<double>();
  }
  void visit(const std::string& name, const Tensor& tensor) override {
    const Tensor& saved = find(name, tensor.dtype(), tensor.shape());
    if (!checking) tensor.detach().copy_(saved);
  }

 private:
  const Tensor& find(const std::string& name, DType dtype, std::optional<Shape> shape = {}) {
    const auto found = tensors_.find(name);
    check(found != tensors_.end(), path_, ": lacks ", name, ": it is no checkpoint of this training");
    const Tensor& tensor = found->second;
    check(tensor.dtype() == dtype && (!shape || tensor.shape() == *shape), path_, ": ", name, " is ",
          name_of(tensor.dtype()), tensor.shape(), ", this training's is ", name_of(dtype),
          shape.value_or(tensor.shape()));
    used_[name] = true;
    return tensor;
  }

  std::map<std::string, Tensor> tensors_;
  std::map<std::string, bool> used_;
  std::string path_;
};

// A seed in two exact halves.
struct Halves {
  explicit Halves(std::uint64_t seed)
      : low(static_cast<double>(seed & 0xffffffffu)), high(static_cast<double>(seed >> 32)) {}
  std::uint64_t seed() const { return static_cast<std::uint64_t>(high) << 32 | static_cast<std::uint64_t>(low); }
  double low, high;
};

// What must be the same in both trainings.
std::map<std::string, double> settings(const Learner& learner) {
  const data::LoaderOptions& loader = learner.data.train.options();
  const Halves shuffle(loader.seed), seed(learner.options.seed);
  return {{"batch_size", static_cast<double>(loader.batch_size)},
          {"samples", static_cast<double>(learner.data.train.dataset().size())},
          {"shuffle", loader.shuffle ? 1 : 0},
          {"drop_last", loader.drop_last ? 1 : 0},
          {"shuffle_seed_low", shuffle.low},
          {"shuffle_seed_high", shuffle.high},
          {"seed_low", seed.low},
          {"seed_high", seed.high}};
}

struct Position {
  double epochs, epoch, pass, batch;
};

void visit_position(Named& visitor, Position& position) {
  visitor.prefix("position.");
  visitor.number("epochs", position.epochs);
  visitor.number("epoch", position.epoch);
  visitor.number("pass", position.pass);
  visitor.number("batch", position.batch);
}

void visit_random(Named& visitor) {
  RandomState state = random_state();
  Halves seed(state.seed);
  double initializers = state.initializers, dropouts = state.dropouts;
  visitor.prefix("random.");
  visitor.number("seed_low", seed.low);
  visitor.number("seed_high", seed.high);
  visitor.number("initializers", initializers);
  visitor.number("dropouts", dropouts);
  set_random_state({seed.seed(), static_cast<std::uint32_t>(initializers), static_cast<std::uint32_t>(dropouts)});
}

void visit_model_and_optimizer(Named& visitor, Learner& learner) {
  visitor.prefix("model.");
  for (const auto& [name, tensor] : nn::named_weights(*learner.model)) visitor.tensor(name, tensor);
  Optimizer& optimizer = *learner.optimizer;
  visitor.prefix("optimizer.");
  for (const auto& [name, tensor] : optimizer.state()) visitor.tensor(name, tensor);
  visitor.tensor("gradients", optimizer.gradients());  // of batches that were accumulated
  double steps = static_cast<double>(optimizer.steps);
  visitor.number("steps", steps);
  visitor.number("lr", optimizer.lr);
  visitor.number("momentum", optimizer.momentum);
  optimizer.steps = static_cast<std::int64_t>(steps);
}

void visit_callbacks(Named& visitor, Learner& learner) {
  for (std::size_t i = 0; i < learner.callbacks().size(); ++i) {
    visitor.prefix("callback." + std::to_string(i) + ".");
    learner.callbacks()[i]->state(visitor);
  }
}

}  // namespace

void save_checkpoint(Learner& learner, const std::string& path) {
  Save save;
  Position position{static_cast<double>(learner.epochs), static_cast<double>(learner.epoch),
                    static_cast<double>(learner.pass), static_cast<double>(learner.batch)};
  visit_position(save, position);
  save.prefix("settings.");
  for (auto [name, value] : settings(learner)) save.number(name, value);
  visit_random(save);
  visit_model_and_optimizer(save, learner);
  visit_callbacks(save, learner);
  write_safetensors(path, save.tensors, {{"format", "mixgrad training checkpoint"}});
}

void resume(Learner& learner, const std::string& path) {
  SafeTensors file = read_safetensors(path);
  const auto load = std::make_shared<Load>(std::move(file.tensors), path);
  Position position{};
  visit_random(*load);
  visit_model_and_optimizer(*load, learner);
  visit_callbacks(*load, learner);
  visit_position(*load, position);
  const std::map<std::string, double> mine = settings(learner);
  load->prefix("settings.");
  for (auto [name, value] : mine) load->number(name, value);
  load->require_all_used();

  load->checking = false;
  load->prefix("settings.");
  for (const auto& [name, value] : mine) {
    double saved = value;
    load->number(name, saved);
    check(saved == value, path, ": was written with ", name, " ", saved, ", this training has ", value);
  }
  visit_position(*load, position);
  load->require_integer("position.epochs", 1e6);
  load->require_integer("position.epoch", position.epochs);
  load->require_integer("position.pass", 16777215);
  load->require_integer("position.batch", static_cast<double>(learner.data.train.num_batches()) - 1);
  for (const char* name : {"random.seed_low", "random.seed_high", "random.initializers", "random.dropouts"})
    load->require_integer(name, 4294967295);
  load->require_integer("optimizer.steps", 9007199254740992);

  visit_random(*load);
  visit_model_and_optimizer(*load, learner);
  learner.start_from({.epochs = static_cast<int>(position.epochs),
                      .epoch = static_cast<int>(position.epoch),
                      .pass = static_cast<std::uint32_t>(position.pass),
                      .batch = static_cast<std::int64_t>(position.batch),
                      .restore = [load](Learner& learner) { visit_callbacks(*load, learner); }});
}

Checkpoint::Checkpoint(std::string path, std::int64_t every_batches)
    : path_(std::move(path)), every_batches_(every_batches) {
  check(every_batches >= 1, "checkpoint: every ", every_batches, " batches");
}

void Checkpoint::on_batch_begin(Learner& learner) {
  const std::int64_t done = learner.epoch * learner.data.train.num_batches() + learner.batch;
  if (done % every_batches_ == 0) save_checkpoint(learner, path_);
}

void Checkpoint::on_epoch_end(Learner& learner) {
  if (learner.epoch + 1 < learner.epochs || !learner.validation) return;
  // As if the next epoch were about to begin.
  const std::int64_t batch = std::exchange(learner.batch, 0);
  ++learner.epoch;
  ++learner.pass;
  save_checkpoint(learner, path_);
  --learner.epoch;
  --learner.pass;
  learner.batch = batch;
}

}  // namespace mixgrad::train
