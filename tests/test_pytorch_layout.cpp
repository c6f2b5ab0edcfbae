// Weights for PyTorch and from PyTorch.
#include <doctest/doctest.h>

#include <cstdlib>
#include <set>

#include "mixgrad.h"
#include "tests/files.h"
#include "tests/optional.h"
#include "tests/temporary_folder.h"
#include "tests/training.h"

using namespace mixgrad;
using test::has_json;
using test::TemporaryFolder;

namespace {

// The model's weights as PyTorch would read them.
std::vector<NamedTensor> exported(nn::Module& model) {
  const TemporaryFolder folder;
  nn::save_weights(model, folder / "pt", nn::WeightLayout::oihw);
  return read_safetensors(folder / "pt").tensors;
}

Tensor find(const std::vector<NamedTensor>& tensors, const std::string& wanted) {
  for (const auto& [name, tensor] : tensors)
    if (name == wanted) return tensor;
  fail("no ", wanted);
}

// Loads a file as PyTorch writes it, without mixgrad's metadata.
void import(nn::Module& model, const std::vector<NamedTensor>& tensors) {
  const TemporaryFolder folder;
  write_safetensors(folder / "pt", tensors, {{"format", "pt"}});
  nn::load_weights(model, folder / "pt");
}

// Neither direction may give wrong weights: both are refused.
void check_refused(nn::Module& model, const std::string& words) {
  const TemporaryFolder folder;
  const auto refused = doctest::Contains(words.c_str());
  CHECK_THROWS_WITH_AS(nn::save_weights(model, folder / "pt", nn::WeightLayout::oihw), refused, Error);
  CHECK_THROWS_WITH_AS(import(model, nn::named_weights(model)), refused, Error);
  nn::save_weights(model, folder / "ours");
  nn::load_weights(model, folder / "ours");
}

// Whether a Linear's weights are the same in both layouts.
bool same_columns(nn::Module& model, const std::string& weight) {
  return find(exported(model), weight).to_vector<float>() == find(nn::named_weights(model), weight).to_vector<float>();
}

}  // namespace

TEST_CASE("weights for PyTorch: the columns of a Linear behind a Flatten are in the order channel, row, column") {
  if (!has_json()) return;
  constexpr std::size_t channels = 3, pixels = 4;
  nn::Sequential model(nn::Conv2d(1, channels, {.padding = 1}), nn::BatchNorm(channels), nn::ReLU(), nn::MaxPool2d(2),
                       nn::Flatten(), nn::Dropout(0.5), nn::Linear(channels * pixels, 5), nn::Linear(5, 2));
  const auto theirs = exported(model);
  CHECK(same_columns(model, "7.weight"));
  const auto weight = find(theirs, "6.weight");
  CHECK(weight.shape() == Shape{5, channels * pixels});
  const auto chw = weight.to_vector<float>(), hwc = find(nn::named_weights(model), "6.weight").to_vector<float>();
  for (std::size_t row = 0; row < 5; ++row)
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t p = 0; p < pixels; ++p)
        CHECK(chw[(row * channels + c) * pixels + p] == hwc[(row * pixels + p) * channels + c]);

  const auto before = find(nn::named_weights(model), "6.weight").to_vector<float>();
  find(nn::named_weights(model), "6.weight").fill_(0);
  import(model, theirs);
  CHECK(find(nn::named_weights(model), "6.weight").to_vector<float>() == before);
}

TEST_CASE("weights for PyTorch: where an image has one pixel, or none is flattened, a Linear stays as it is") {
  if (!has_json()) return;
  nn::Sequential pooled(nn::Conv2d(1, 4), nn::GlobalAvgPool(), nn::Flatten(), nn::Linear(4, 8), nn::Linear(8, 2));
  nn::Sequential small(nn::Conv2d(1, 4), nn::Flatten(), nn::Linear(4, 8));
  nn::Sequential features(nn::Linear(6, 4), nn::ReLU(), nn::Flatten(), nn::BatchNorm(4), nn::Linear(4, 2));
  CHECK(same_columns(pooled, "3.weight"));
  CHECK(same_columns(pooled, "4.weight"));
  CHECK(same_columns(small, "2.weight"));
  CHECK(same_columns(features, "4.weight"));
}

TEST_CASE("weights for PyTorch: both branches of a Residual read the same image") {
  if (!has_json()) return;
  const auto branch = [] { return nn::Sequential(nn::Flatten(), nn::Linear(8, 3)); };
  nn::Sequential model(nn::Conv2d(1, 2), nn::Residual(branch(), branch()), nn::Linear(3, 2));
  CHECK_FALSE(same_columns(model, "1.body.1.weight"));
  CHECK_FALSE(same_columns(model, "1.shortcut.1.weight"));
  CHECK(same_columns(model, "2.weight"));
}

TEST_CASE("weights for PyTorch: a Linear whose columns' order can't be told is refused in either direction") {
  if (!has_json()) return;
  nn::Sequential no_convolution(nn::Flatten(), nn::Linear(12, 2));
  check_refused(no_convolution, "1.Linear(12, 2): reads an image that PyTorch flattens in another order");
  nn::Sequential own_flatten(nn::Conv2d(1, 2), nn::Function("own", [](const Tensor& x) { return flatten(x); }),
                             nn::Linear(8, 2));
  check_refused(own_flatten, "2.Linear(8, 2): reads an image, and how it was flattened is not known");
  nn::Sequential weights_between(nn::Conv2d(1, 2), nn::Flatten(), nn::BatchNorm(8), nn::Linear(8, 2));
  check_refused(weights_between, "2.BatchNorm(8): reads an image that was flattened");
  nn::Sequential odd(nn::Conv2d(1, 3), nn::Flatten(), nn::Linear(8, 2));
  check_refused(odd, "2.Linear(8, 2): reads an image of 3 channels");
}

namespace {

struct Net : nn::Module {
  Net() : conv(1, 2), linear(8, 3) {}
  Tensor forward(const Tensor& x) override { return linear(flat(relu(conv(x)))); }  // not flatten(relu(conv(x)))
  void visit(nn::Visitor& visitor) override {
    visitor.child("conv", conv);
    visitor.child("flat", flat);
    visitor.child("linear", linear);
  }
  std::string name() const override { return "Net"; }
  nn::Conv2d conv;
  nn::Flatten flat;
  nn::Linear linear;
};

// The same with the functions, as it may have been written and trained first.
struct NetOfFunctions : Net {
  explicit NetOfFunctions(bool reshapes) : reshapes(reshapes) {}
  Tensor forward(const Tensor& x) override {
    const Tensor image = relu(conv(x));
    return linear(reshapes ? reshape(image, {x.size(0), 8}) : flatten(image));
  }
  void visit(nn::Visitor& visitor) override {
    visitor.child("conv", conv);
    visitor.child("linear", linear);
  }
  bool reshapes;
};

}  // namespace

TEST_CASE("weights for PyTorch: a module that flattens by a function is refused until a Flatten takes its place") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const Tensor x = Tensor::from({.1f, .9f, .3f, .7f, .5f, .2f, .8f, .4f, .6f, .15f, .95f, .35f, .75f, .55f, .25f, .85f},
                                {1, 4, 4, 1});
  for (const bool reshapes : {false, true}) {
    NetOfFunctions before(reshapes);
    check_refused(before,
                  "linear.Linear(8, 3): reads an image, and how it was flattened is not known; flatten it by "
                  "an nn::Flatten that visit() names before this layer");
    nn::save_weights(before, folder / "trained");
    Net net;
    nn::load_weights(net, folder / "trained");
    CHECK(net(x).to_vector<float>() == before(x).to_vector<float>());
    CHECK_FALSE(same_columns(net, "linear.weight"));
    nn::Sequential reference(net.conv, nn::ReLU(), nn::Flatten(), net.linear);
    CHECK(find(exported(net), "linear.weight").to_vector<float>() ==
          find(exported(reference), "3.weight").to_vector<float>());
  }
}

TEST_CASE("weights for PyTorch: each batch norm has its num_batches_tracked, which is passed over in loading") {
  if (!has_json()) return;
  nn::Sequential model = nn::resnet(3, 2, {.widths = {4}});
  auto tensors = exported(model);
  std::set<std::string> counts;
  for (const auto& [name, tensor] : tensors)
    if (name.ends_with("num_batches_tracked")) {
      counts.insert(name);
      CHECK(tensor.shape() == Shape{});
    }
  CHECK(counts ==
        std::set<std::string>{"1.num_batches_tracked", "3.body.1.num_batches_tracked", "3.body.4.num_batches_tracked"});
  import(model, tensors);
  std::erase_if(tensors, [&](const NamedTensor& named) { return counts.contains(named.name); });
  import(model, tensors);
  // There is no batch norm 0, and in mixgrad's own layout no such tensor.
  const NamedTensor count{"0.num_batches_tracked", Tensor::zeros({}, {.dtype = DType::i32})};
  tensors.push_back(count);
  CHECK_THROWS_WITH_AS(import(model, tensors), doctest::Contains("0.num_batches_tracked, which the model lacks"),
                       Error);
  const TemporaryFolder folder;
  auto ours = nn::named_weights(model);
  ours.push_back({"1.num_batches_tracked", count.tensor});
  write_safetensors(folder / "ours", ours, {{"layout", "ohwi"}});
  CHECK_THROWS_WITH_AS(nn::load_weights(model, folder / "ours"), doctest::Contains("1.num_batches_tracked"), Error);
}

TEST_CASE("weights for PyTorch: its models load them, strictly, and give equal logits; what it saves is loaded") {
  if (!has_json()) return;
  const std::string python = test::python_with_torch();
  if (python.empty()) return;
  const Tensor x = test::digits(16).valid.epoch(0)[0].x;
  const auto check = [&](const std::string& kind, nn::Sequential model, nn::Sequential other) {
    CAPTURE(kind);
    const TemporaryFolder folder;
    model.train();
    no_grad([&] { return model(x); });  // moves what batch norm remembers
    model.eval();
    const Tensor logits = no_grad([&] { return model(x); });
    nn::save_weights(model, folder / "weights", nn::WeightLayout::oihw);
    write_safetensors(folder / "logits", {{"x", x}, {"logits", logits}});
    const std::string script = python + " '" MIXGRAD_GOLDEN_DIR "/check_export.py' " + kind;
    CHECK(std::system(
              (script + " '" + (folder / "weights") + "' '" + (folder / "logits") + "' '" + (folder / "saved") + "'")
                  .c_str()) == 0);
    nn::load_weights(other, folder / "saved");
    other.eval();
    CHECK(no_grad([&] { return other(x); }).to_vector<float>() == logits.to_vector<float>());
  };
  check("simple_cnn", nn::simple_cnn({3, 16, 16, 2}), nn::simple_cnn({3, 16, 16, 2}));
  check("lenet", nn::lenet(3, 2), nn::lenet(3, 2));
  check("resnet", nn::resnet(3, 2), nn::resnet(3, 2));
}
