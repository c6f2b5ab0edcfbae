// The printed table of a model.
#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "mixgrad.h"

using namespace mixgrad;
using namespace mixgrad::nn;

namespace {

std::string printed(Module& model, const Shape& input) {
  std::ostringstream out;
  print(out, model, input);
  return out.str();
}

}  // namespace

TEST_CASE("print: a model's layers, shapes, parameters and multiply-adds") {
  Sequential model = simple_cnn({3, 16, 16, 2});
  CHECK(printed(model, {64, 28, 28, 3}) ==
        R"(layer                                               output              parameters  multiply-adds
Conv2d(3, 16, kernel_size=3, stride=2, padding=1)   [64, 14, 14, 16]           448      5,419,008
ReLU                                                [64, 14, 14, 16]             0              0
Conv2d(16, 16, kernel_size=3, stride=2, padding=1)  [64, 7, 7, 16]           2,320      7,225,344
ReLU                                                [64, 7, 7, 16]               0              0
Conv2d(16, 2, kernel_size=3, stride=2, padding=1)   [64, 4, 4, 2]              290        294,912
ReLU                                                [64, 4, 4, 2]                0              0
GlobalAvgPool                                       [64, 1, 1, 2]                0              0
Flatten                                             [64, 2]                      0              0
total                                                                        3,058     12,939,264
)");
}

TEST_CASE("print: what a layer consists of stands below it, indented, and the rows add up to the total") {
  Residual block(Sequential(Conv2d(2, 4, {.stride = 2, .padding = 1}), BatchNorm(4)),
                 Sequential(Conv2d(2, 4, {.kernel_size = 1, .stride = 2})));
  Sequential model(block, ReLU(), Sequential(GlobalAvgPool(), Sequential(Flatten())), Linear(4, 3));
  CHECK(printed(model, {1, 8, 8, 2}) ==
        R"(layer                                                 output          parameters  multiply-adds
Residual                                              [1, 4, 4, 4]             0              0
  Sequential                                          [1, 4, 4, 4]             0              0
    Conv2d(2, 4, kernel_size=3, stride=2, padding=1)  [1, 4, 4, 4]            76          1,152
    BatchNorm(4)                                      [1, 4, 4, 4]             8              0
  Sequential                                          [1, 4, 4, 4]             0              0
    Conv2d(2, 4, kernel_size=1, stride=2, padding=0)  [1, 4, 4, 4]            12            128
ReLU                                                  [1, 4, 4, 4]             0              0
Sequential                                            [1, 4]                   0              0
  GlobalAvgPool                                       [1, 1, 1, 4]             0              0
  Sequential                                          [1, 4]                   0              0
    Flatten                                           [1, 4]                   0              0
Linear(4, 3)                                          [1, 3]                  15             12
total                                                                        111          1,292
)");
}

TEST_CASE("print: a module of one's own has a row, also as the model; shared children count once") {
  struct Tied : Module {  // two names for one layer, which runs twice, one that does not run, and a weight of its own
    Tensor forward(const Tensor& x) override { return layer(layer(x)) * scale; }
    void visit(Visitor& visitor) override {
      visitor.parameter("scale", scale);
      visitor.child("encoder", layer);
      visitor.child("decoder", layer);
      visitor.child("head", head);
    }
    std::string name() const override { return "Tied"; }
    Linear layer{2, 2};
    Sequential head{Linear(2, 5)};
    Tensor scale = parameter(Tensor::ones({2}));
  };
  Tied tied;
  const std::string alone = R"(layer           output    parameters  multiply-adds
Tied            [1, 2]             2              0
  Linear(2, 2)  [1, 2]             6              4
  Linear(2, 2)  [1, 2]             0              4
  Sequential                      15              0
total                             23              8
)";
  CHECK(printed(tied, {1, 2}) == alone);
  Sequential model(ReLU(), tied, ReLU());
  CHECK(printed(model, {1, 2}).find("\nTied            [1, 2]             2              0\n  Linear(2, 2)") !=
        std::string::npos);
}

TEST_CASE("print: nesting a thousand deep is a thousand indented rows") {
  Sequential model(Linear(2, 2));
  for (int i = 0; i < 1000; ++i) {
    Sequential outer;
    outer.add(std::move(model));
    model = outer;
  }
  std::istringstream lines(printed(model, {1, 2}));
  std::string line;
  std::getline(lines, line);
  for (std::size_t depth = 0; depth < 1000; ++depth) {
    std::getline(lines, line);
    CHECK(line.find("Sequential") == 2 * depth);
  }
  std::getline(lines, line);
  CHECK(line.find("Linear(2, 2)") == 2 * 1000);
}

TEST_CASE("print: leaves every layer in the mode it was in, and running statistics as they were") {
  Sequential model(Linear(2, 2), BatchNorm(2));
  model[1].eval();  // frozen
  std::ostringstream out;
  print(out, model, {3, 2});
  CHECK(model.training());
  CHECK(model[0].training());
  CHECK_FALSE(model[1].training());
  CHECK(named_buffers(model)[0].tensor.to_vector<float>() == std::vector<float>{0, 0});

  Linear f64(2, 3);
  f64.weight = parameter(f64.weight.detach().to(DType::f64));
  f64.bias = parameter(f64.bias.detach().to(DType::f64));
  print(out, f64, {1, 2});
  CHECK(out.str().find("[1, 3]") != std::string::npos);
}
