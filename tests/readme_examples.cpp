// What the READMEs of the folders show and no other file has; tests/test_library.sh compares.
#include <doctest/doctest.h>
#include <mixgrad.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

using namespace mixgrad;

namespace {

// y = x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang and Sennrich, 2019)
struct RMSNorm : nn::Module {
  explicit RMSNorm(std::int64_t channels) : weight(nn::parameter(Tensor::ones({channels}))) {}
  Tensor forward(const Tensor& x) override { return x / sqrt(mean(x * x, -1, {.keepdim = true}) + 1e-6) * weight; }
  void visit(nn::Visitor& visitor) override { visitor.parameter("weight", weight); }
  std::string name() const override { return "RMSNorm"; }
  Tensor weight;
};

// y = x / (1 + |x|)
Tensor softsign(const Tensor& x) {
  Tensor y = Tensor::empty(x.shape(), x.options());
  dispatch_cpu("softsign", x.device(), [&](Cpu) {
    with_floating("softsign", x.dtype(), [&]<class T>(T) {
      const T* px = x.data<T>();
      T* py = y.mutable_data<T>();
      parallel_for(x.numel(), 4096, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) py[i] = px[i] / (1 + std::abs(px[i]));
      });
    });
  });
  // dy/dx = 1 / (1 + |x|)^2 = (1 - |y|)^2
  record(y, "softsign", {x},
         [y = Saved(y)](const Tensor& grad, Gradients& to) { to.add(0, grad * pow(1.0 - abs(*y), 2)); });
  return y;
}

}  // namespace

TEST_CASE("augment/README.md: mixup of half of the samples, flipped, up to an epoch") {
  const auto digits = std::make_shared<data::ImageDataset>(data::synthetic_digits(20, 1, data::Split::train),
                                                           std::vector<std::string>(10, "digit"));
  train::Learner learn({data::DataLoader(digits, {.batch_size = 10}), data::DataLoader(digits, {.batch_size = 10})},
                       nn::simple_cnn({3, 4, 10}), {.verbose = false});
  learn.mixup({.probability = 0.5, .pairing = augment::Pairing::flip, .off_from = 6});
  learn.fit(1);
  CHECK(learn.plan.mix->plan.permutation.front() == 9);
  CHECK(std::ranges::count(learn.plan.mix->plan.lambda, 1.0f) < 10);
}

TEST_CASE("nn/README.md: the layer divides by the root mean square, and its gradient follows") {
  RMSNorm layer(2);
  const Tensor y = layer.forward(Tensor::from({3.0f, 4.0f}, {1, 2}));  // the root mean square is sqrt(12.5)
  CHECK(y.to_vector<float>()[0] == doctest::Approx(3 / std::sqrt(12.5)));
  CHECK(y.to_vector<float>()[1] == doctest::Approx(4 / std::sqrt(12.5)));
  CHECK(nn::parameters(layer).size() == 1);
  const auto f = [](const std::vector<Tensor>& inputs) {
    RMSNorm norm(3);
    norm.weight = inputs[1];
    return norm.forward(inputs[0]);
  };
  const Tensor x = Tensor::from({0.3, -1.2, 0.8, 2.0, 0.1, -0.7}, {2, 3});
  CHECK(gradcheck(f, {x, Tensor::from({1.0, 0.5, -2.0}, {3})}) == "");
}

TEST_CASE("nn/README.md: the operation with a kernel of its own has the right values and gradient") {
  const Tensor x = Tensor::from({-3.0, 0.5, 1.0}, {3});
  CHECK(softsign(x).to_vector<double>()[0] == doctest::Approx(-0.75));
  CHECK(gradcheck([](const std::vector<Tensor>& inputs) { return softsign(inputs[0]); }, {x}) == "");
}

TEST_CASE("core/README.md: the tape as Graphviz") {
  std::ostringstream text;
  std::streambuf* const standard = std::cout.rdbuf(text.rdbuf());
  const Tensor x = Tensor::from({2.0f}, {1}).requires_grad_(), w = Tensor::from({3.0f}, {1}).requires_grad_();
  const std::shared_ptr<Node> y = relu(w * x + w).node();
  std::cout << "digraph tape {\n";
  for (std::map<std::uint64_t, std::shared_ptr<Node>> open{{y->id, y}}; !open.empty();) {
    const auto node = open.extract(std::prev(open.end())).mapped();  // the largest id first, as in backward()
    std::cout << "  " << node->id << " [label=\"" << node->op << " " << node->shape << "\"]\n";
    for (const auto& input : node->inputs)
      if (input) open[input->id] = input, std::cout << "  " << input->id << " -> " << node->id << "\n";
  }
  std::cout << "}\n";
  std::cout.rdbuf(standard);
  const std::string graph = text.str();
  CHECK(graph.starts_with("digraph tape {\n"));
  for (const char* op : {"relu", "add", "mul"}) CHECK(graph.find("label=\"" + std::string(op)) != std::string::npos);
  CHECK(std::count(graph.begin(), graph.end(), '\n') == 2 + 5 + 5);  // five nodes, five arrows
}

TEST_CASE("augment/README.md: the plan printed is the one shown") {
  std::ostringstream text;
  std::streambuf* const standard = std::cout.rdbuf(text.rdbuf());
  mixgrad::Random random(42, mixgrad::Purpose::mixup);
  std::cout << mixgrad::augment::draw_mix_plan(3, {.alpha = 0.4}, random);
  std::cout.rdbuf(standard);
  CHECK(text.str() ==
        "0 <- 0.872907758 * 0 + 0.127092242 * 2\n"
        "1 <- 0.530519307 * 1 + 0.469480693 * 1\n"
        "2 <- 0.771480739 * 2 + 0.228519261 * 0\n\n");
}

TEST_CASE("train/README.md: the callback stops training when the loss is above its limit") {
  auto digits = data::synthetic_digits(32, 1, data::Split::train);
  const auto dataset = std::make_shared<data::ImageDataset>(
      digits, std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
  const data::DataLoader loader(dataset, {.batch_size = 16});
  for (const double scale : {1.0, 1000.0}) {
    CAPTURE(scale);
    nn::Loss scaled = nn::cross_entropy;
    scaled.per_sample = [=](const Tensor& output, const Tensor& target) {
      return scale * nn::cross_entropy.per_sample(output, target);
    };
    train::Learner learn({loader, loader}, nn::simple_cnn({3, 4, 4, 10}), {.loss = scaled, .verbose = false});
    struct LossLimit : train::Callback {
      void on_batch_end(train::Learner& learner) override {
        if (learner.loss.item() > 100) learner.stop();
      }
    };
    learn.add(std::make_shared<LossLimit>());
    learn.fit(1);
    CHECK(learn.batch == (scale == 1.0 ? 2 : 0));
  }
}

TEST_CASE("augment/README.md: a mix of one's own is added as a callback") {
  const data::DataLoader loader = data::synthetic_mnist({.digits = {3, 7}}).valid;
  train::Learner learn({loader, loader}, nn::simple_cnn({3, 4, 4, 2}), {.verbose = false});
  learn.add(std::make_shared<train::PairMixCallback>(std::make_shared<augment::CutMix>()));
  learn.fit(1);
  CHECK(learn.plan.mix->mix->description() == "cutmix: alpha 1, one box per sample");
}

TEST_CASE("train/README.md: groups of parameters with rules of their own, for a part of an epoch") {
  const data::DataLoader loader = data::synthetic_mnist({.digits = {3, 7}}).valid;
  const data::DataLoaders data{loader, loader};
  const nn::Sequential model = nn::simple_cnn({3, 4, 4, 2});
  train::Learner learn(data, model,
                       {.optimizer = train::sgd({.lr = 1, .momentum = 0.85, .nesterov = true}),
                        .groups = [](nn::Module& model) -> train::ParameterGroups {
                          train::ParameterGroup filters{.parameters = {}, .lr_scale = 0.24, .rule = train::muon()};
                          train::ParameterGroup others{.parameters = {}, .lr_scale = 0.05};
                          for (const Tensor& parameter : nn::parameters(model))
                            (parameter.rank() == 4 ? filters : others).parameters.push_back(parameter);
                          return std::vector{filters, others};
                        },
                        .verbose = false});
  learn.add(std::make_shared<train::LrSchedule>(train::linear(1, 0)));  // of all groups, before their lr_scale
  learn.fit(7.59);                                                      // the last epoch is a part of one
  CHECK(learn.optimizer->steps ==
        static_cast<std::int64_t>(std::ceil(7.59 * static_cast<double>(loader.num_batches()))));
  CHECK(learn.plan.rates[0].lr == learn.plan.rates[1].lr);
  CHECK(learn.plan.rates[0].lr == doctest::Approx(1.0 / static_cast<double>(learn.optimizer->steps)));
}
