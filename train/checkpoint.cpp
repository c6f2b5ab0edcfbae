#include "train/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "core/autograd.h"
#include "core/check.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/safetensors.h"
#include "nn/weights.h"
#include "train/recorder.h"
#include "train/resumable.h"

namespace mixgrad::train {
namespace {

bool all_finite(const Tensor& x) {
  return no_grad([&] { return std::isfinite(sum(x * 0.0).item()); });  // 0 times anything else is nan
}

Tensor scalar(double value) { return Tensor::full({}, value, {.dtype = DType::f64}); }

// The numbers and tensors of a checkpoint, by name: what is visited is saved, or checked against a file, or loaded.
class Archive : public StateVisitor {
 public:
  enum class Mode { save, check, load } mode = Mode::save;

  Archive() = default;
  Archive(std::vector<NamedTensor> tensors, std::string path) : mode(Mode::check), path_(std::move(path)) {
    for (NamedTensor& named : tensors) tensors_.emplace(std::move(named.name), std::move(named.tensor));
  }

  void prefix(std::string text) { prefix_ = std::move(text); }  // before each name
  void number(const std::string& name, double& value, const Range& range) override {
    if (mode == Mode::save) return put(name, scalar(value));
    const double saved = find(name, DType::f64, Shape{}).item();
    require(prefix_ + name, saved, range);
    if (mode == Mode::load) value = saved;
  }
  void numbers(const std::string& name, std::vector<double>& values, const std::vector<Range>& columns) override {
    if (mode == Mode::save) return put(name, Tensor::from(values, {std::ssize(values)}));
    const std::string full = prefix_ + name;
    const Tensor& tensor = find(name, DType::f64);
    check(tensor.rank() == 1, path_, ": ", full, " is f64", tensor.shape(), ", not a list");
    std::vector<double> saved = tensor.to_vector<double>();
    check(saved.size() % columns.size() == 0, path_, ": ", full, " has ", saved.size(), " numbers, not rows of ",
          columns.size());
    for (std::size_t i = 0; i < saved.size(); ++i)
      require(full + "[" + std::to_string(i) + "]", saved[i], columns[i % columns.size()]);
    if (mode == Mode::load) values = std::move(saved);
  }
  void tensor(const std::string& name, const Tensor& tensor) override {
    if (mode == Mode::save) return put(name, tensor.detach());
    const Tensor& saved = find(name, tensor.dtype(), tensor.shape());
    if (mode == Mode::load) tensor.detach().copy_(saved);
  }

  const std::vector<NamedTensor>& saved() const { return saved_; }  // in the order of visits
  // Throws unless all that the file holds was asked for.
  void require_all_used() const {
    for (const auto& [name, tensor] : tensors_)
      check(used_.contains(name), path_, ": holds ", printable(name), ", which this training has no use for");
  }

 private:
  void put(const std::string& name, const Tensor& tensor) { saved_.push_back({prefix_ + name, tensor}); }
  void require(const std::string& name, double value, const Range& range) const {
    check(range.contains(value), path_, ": ", name, " is ", value, ", not a ", range.whole ? "whole " : "",
          "number in ", range.least, "..", range.most);
  }
  const Tensor& find(const std::string& unprefixed, DType dtype, std::optional<Shape> shape = {}) {
    const std::string name = prefix_ + unprefixed;
    const auto found = tensors_.find(name);
    check(found != tensors_.end(), path_, ": lacks ", name, ": it is not a checkpoint of this training");
    const Tensor& tensor = found->second;
    check(tensor.dtype() == dtype && (!shape || tensor.shape() == *shape), path_, ": ", name, " is ",
          name_of(tensor.dtype()), tensor.shape(), ", this training's is ", name_of(dtype),
          shape.value_or(tensor.shape()));
    used_.insert(name);
    return tensor;
  }

  std::vector<NamedTensor> saved_;
  std::map<std::string, Tensor> tensors_;  // of the file
  std::set<std::string> used_;
  std::string path_, prefix_;
};

// A seed in two exact halves.
struct Halves {
  explicit Halves(std::uint64_t seed)
      : low(static_cast<double>(seed & 0xffffffffu)), high(static_cast<double>(seed >> 32)) {}
  std::uint64_t seed() const { return static_cast<std::uint64_t>(high) << 32 | static_cast<std::uint64_t>(low); }
  double low, high;
};

const char* name_of(nn::Reduction reduction) {
  return reduction == nn::Reduction::mean ? "mean" : reduction == nn::Reduction::sum ? "sum" : "none";
}

// The optimizer's, as if callbacks had frozen nothing.
std::string optimizer_description(const Learner& learner) {
  std::vector<Tensor> frozen;
  for (const auto& callback : learner.callbacks())
    if (const auto* const resumable = dynamic_cast<const Resumable*>(callback.get()))
      for (const Tensor& parameter : resumable->frozen()) frozen.push_back(parameter);
  for (const Tensor& parameter : frozen) parameter.requires_grad_();
  std::string text = learner.optimizer->description();
  for (const Tensor& parameter : frozen) parameter.requires_grad_(false);
  return text;
}

// What must be the same in both trainings.
Settings settings_of(const Learner& learner) {
  const data::LoaderOptions& loader = learner.data.train.options();
  const nn::Loss& loss = learner.options.loss;
  Settings all{{"batch_size", text_of(loader.batch_size)},
               {"samples", text_of(learner.data.train.dataset().size())},
               {"shuffle", loader.shuffle ? "on" : "off"},
               {"drop_last", loader.drop_last ? "on" : "off"},
               {"shuffle_seed", text_of(loader.seed)},
               {"seed", text_of(learner.options.seed)},
               {"loss", text_of(loss.name, ", reduction ", name_of(loss.reduction))},
               {"optimizer", optimizer_description(learner)}};
  for (const std::string& name : learner.data.classes()) all["classes"] += all["classes"].empty() ? name : ", " + name;
  int callbacks = 0;
  for (const auto& callback : learner.callbacks())
    if (std::string text = description_of(*callback); !text.empty())
      all["callback " + std::to_string(++callbacks)] = std::move(text);
  return all;
}

// Throws at the first of the names whose setting differs.
void compare(const Settings& names, const Settings& saved, const Settings& ours, const std::string& path) {
  const auto find = [](const Settings& settings, const std::string& name) {
    const auto found = settings.find(name);
    return found == settings.end() ? "none" : found->second;
  };
  for (const auto& [name, value] : names)
    check(find(saved, name) == find(ours, name), path, ": was written with ", printable(name), " ",
          printable(find(saved, name)), ", this training has ", printable(find(ours, name)));
}

constexpr Range rate{.least = 0, .most = std::numeric_limits<double>::max()};

struct Position {
  double epochs, epoch, lr, pass, batch;
};

void visit_position(Archive& visitor, Position& position, const Learner& learner) {
  visitor.prefix("position.");
  visitor.number("epochs", position.epochs, {.least = 0, .most = 1e6});
  visitor.number("epoch", position.epoch, whole_to(std::ceil(position.epochs)));
  visitor.number("lr", position.lr, rate);
  visitor.number("pass", position.pass,
                 whole_to(16777216 - (std::ceil(position.epochs) - position.epoch)));  // core/random.h
  visitor.number("batch", position.batch, whole_to(static_cast<double>(learner.data.train.num_batches())));
}

void visit_random(Archive& visitor) {
  RandomState& state = random_state();
  Halves seed(state.seed);
  double initializers = state.initializers, streams = state.streams;
  constexpr Range word = whole_to(4294967295);
  visitor.prefix("random.");
  visitor.number("seed_low", seed.low, word);
  visitor.number("seed_high", seed.high, word);
  visitor.number("initializers", initializers, word);
  visitor.number("dropouts", streams, word);  // as it was called when nothing else drew
  state = {seed.seed(), static_cast<std::uint32_t>(initializers), static_cast<std::uint32_t>(streams)};
}

void visit_model_and_optimizer(Archive& visitor, Learner& learner) {
  visitor.prefix("model.");
  for (const auto& [name, tensor] : nn::named_weights(*learner.model)) visitor.tensor(name, tensor);
  Optimizer& optimizer = *learner.optimizer;
  visitor.prefix("optimizer.");
  for (const auto& [name, tensor] : optimizer.state()) visitor.tensor(name, tensor);
  visitor.tensor("gradients", optimizer.gradients());  // of batches that were accumulated
  double steps = static_cast<double>(optimizer.steps);
  visitor.number("steps", steps, whole_to());
  for (std::size_t group = 0; group < optimizer.rates.size(); ++group) {
    const std::string number = group == 0 ? "" : text_of(".", group);  // of the first as it was when all had one
    visitor.number("lr" + number, optimizer.rates[group].lr, rate);
    visitor.number("momentum" + number, optimizer.rates[group].momentum, rate);
  }
  optimizer.steps = static_cast<std::int64_t>(steps);
}

void visit_callbacks(Archive& visitor, Learner& learner) {
  for (std::size_t i = 0; i < learner.callbacks().size(); ++i) {
    visitor.prefix("callback." + std::to_string(i) + ".");
    if (auto* const resumable = dynamic_cast<Resumable*>(learner.callbacks()[i].get()))
      resumable->state(visitor, learner);
  }
}

}  // namespace

void save_checkpoint(Learner& learner, const std::string& path, Settings settings) {
  Archive save;
  Position position{learner.epochs, static_cast<double>(learner.epoch), learner.first_lr,
                    static_cast<double>(learner.pass), static_cast<double>(learner.batch)};
  visit_position(save, position, learner);
  visit_random(save);
  visit_model_and_optimizer(save, learner);
  visit_callbacks(save, learner);
  settings.merge(settings_of(learner));
  settings["format"] = checkpoint_format;
  write_safetensors(path, save.saved(), settings);
}

void resume(Learner& learner, const std::string& path, const Settings& settings) {
  SafeTensors file = read_safetensors(path);
  check(file.metadata["format"] == checkpoint_format, path, ": is not a checkpoint of a training");
  file.metadata.erase("format");
  const auto ours = [settings](const Learner& learner) {
    Settings all = settings;
    all.merge(settings_of(learner));
    return all;
  };
  compare(ours(learner), file.metadata, ours(learner), path);
  const auto load = std::make_shared<Archive>(std::move(file.tensors), path);
  visit_random(*load);
  visit_model_and_optimizer(*load, learner);
  visit_callbacks(*load, learner);

  load->mode = Archive::Mode::load;
  Position position{};
  visit_position(*load, position, learner);
  load->require_all_used();

  visit_random(*load);
  visit_model_and_optimizer(*load, learner);
  learner.start_from({.epochs = position.epochs,
                      .epoch = static_cast<int>(position.epoch),
                      .lr = position.lr,
                      .pass = static_cast<std::uint32_t>(position.pass),
                      .batch = static_cast<std::int64_t>(position.batch),
                      .compare =
                          [=, saved = std::move(file.metadata)](Learner& learner) {
                            compare(saved, saved, ours(learner), path);
                            compare(ours(learner), saved, ours(learner), path);
                            const Temporarily checking(load->mode,
                                                       Archive::Mode::check);  // callbacks may have been added
                            visit_callbacks(*load, learner);
                          },
                      .restore = [load](Learner& learner) { visit_callbacks(*load, learner); }});
}

Checkpoint::Checkpoint(std::string path, std::int64_t every_batches, Settings settings)
    : path_(std::move(path)), every_batches_(every_batches), settings_(std::move(settings)) {
  check(every_batches >= 1, "checkpoint: every ", every_batches, " batches");
}

void Checkpoint::on_train_begin(Learner&) { trained_ = false; }

void Checkpoint::on_save_point(Learner& learner) {
  trained_ = true;
  const std::int64_t done = learner.epoch * learner.data.train.num_batches() + learner.batch + 1;
  if (done % every_batches_ == 0 && !learner.stopping) save_after_batch(learner);
}

// As if the next batch were about to begin.
void Checkpoint::save_after_batch(Learner& learner) const {
  learner.read_results();
  const auto finite = [](const BatchResult& result) { return std::isfinite(result.loss); };
  if (!std::all_of(learner.results.begin(), learner.results.end(), finite)) return;
  const Temporarily batch(learner.batch, learner.batch + 1);
  save(learner);
}

void Checkpoint::on_epoch_end(Learner& learner) {
  if (!learner.validation) {  // stopped
    if (trained_) save_after_batch(learner);
  } else if ((learner.epoch + 1) * learner.data.train.num_batches() >=
             learner.total_batches()) {  // as if the next epoch were
    const Temporarily epoch(learner.epoch, learner.epoch + 1);
    const Temporarily pass(learner.pass, learner.pass + 1);
    const Temporarily<std::int64_t> batch(learner.batch, 0);
    save(learner);
  }
}

void Checkpoint::save(Learner& learner) const {
  Archive state;
  visit_model_and_optimizer(state, learner);
  for (const NamedTensor& named : state.saved())
    if (!all_finite(named.tensor)) return;
  save_checkpoint(learner, path_, settings_);
}

}  // namespace mixgrad::train
