// The lesson as a program, as README.md shows it: trains on the 3s and 7s of MNIST with mixup, from the folder "mnist".
#include <mixgrad.h>
#include <cstdio>
using namespace mixgrad;

int main() try {
  auto data = data::mnist("mnist", {.digits = {3, 7}, .batch_size = 64});
  auto model = nn::simple_cnn({3, 16, 16, 2});
  train::Learner learn(data, model, {.metrics = {train::accuracy}});
  learn.mixup();
  learn.fit(8);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());  // what is wrong and what to do, in one line
  return 1;
}
