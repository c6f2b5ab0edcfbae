// Samples given as tensors.
#include <doctest/doctest.h>

#include "error.h"
#include "training.h"

using namespace mixgrad;

TEST_CASE("tensor dataset: a batch has the rows asked for, of inputs and targets of any shape and type") {
  const Tensor x = Tensor::from<float>({0, 1, 2, 3, 4, 5}, {3, 2}), y = Tensor::from<double>({10, 20, 30}, {3, 1});
  const data::TensorDataset rows(x, y);
  CHECK(rows.size() == 3);
  CHECK(rows.classes().empty());
  const std::vector<std::int32_t> order{2, 0, 2};
  for (const data::Batch& batch : {rows.get(order), rows.gather_batch(Tensor::from(order, {3}))}) {
    CHECK(batch.x.to_vector<float>() == std::vector<float>{4, 5, 0, 1, 4, 5});
    CHECK(batch.y.to_vector<double>() == std::vector<double>{30, 10, 30});
    CHECK(batch.y.shape() == Shape{3, 1});
  }
  CHECK_THROWS_AS(rows.get(std::vector<std::int32_t>{3}), Error);
}

TEST_CASE("tensor dataset: no gradient leads into it, whatever the tensors require") {
  const Tensor x = Tensor::ones({4, 2}).requires_grad_();
  const data::TensorDataset rows(x, Tensor::zeros({4}));
  CHECK_FALSE(rows.get(std::vector<std::int32_t>{1, 2}).x.requires_grad());
}

TEST_CASE("tensor dataset: what does not fit together is refused") {
  CHECK(test::error_of([] {
          data::TensorDataset(Tensor::zeros({3, 2}), Tensor::zeros({4}));
        }) == "dataset: inputs [3, 2] and targets [4] are not of as many samples");
  CHECK_THROWS_AS(data::TensorDataset(Tensor::zeros({}), Tensor::zeros({1})), Error);
  const Tensor labels = Tensor::from<std::int32_t>({0, 2}, {2});
  CHECK(test::error_of([&] {
          data::TensorDataset(Tensor::zeros({2, 1}), labels, {"cat", "dog"});
        }) == "dataset targets: index 2 at position 1 is outside 0..1");
  CHECK(data::TensorDataset(Tensor::zeros({2, 1}), labels).size() == 2);  // without names they may be anything
}

TEST_CASE("tensor dataset: trains as samples that are read one batch at a time do, bit for bit, with any mix") {
  manual_seed(4);
  const Tensor x = nn::fan_in_uniform({40, 3}, 3), y = sum(x, {1}, {.keepdim = true});
  const auto rows = std::make_shared<data::TensorDataset>(x, y);
  const auto weights_of = [&](const std::shared_ptr<const data::Dataset>& dataset, bool c_mixup) {
    manual_seed(1);
    nn::Sequential model(nn::Linear(3, 1));
    const data::LoaderOptions loader{.batch_size = 16, .shuffle = true};
    train::LearnerOptions options = test::quiet();
    options.loss = nn::mse;
    options.metrics = {};
    train::Learner learn({{dataset, loader}, {rows, {.batch_size = 40}}}, model, options);
    if (c_mixup) learn.c_mixup({.bandwidth = 0.5});
    else learn.mixup({.stack_y = false});
    learn.fit(3);
    return test::weights(model);
  };
  for (const bool c_mixup : {false, true})
    CHECK(weights_of(rows, c_mixup) == weights_of(std::make_shared<test::NotResident>(rows), c_mixup));
}
