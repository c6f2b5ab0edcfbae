// ProfileCallback: a table for each fit.
#include <doctest/doctest.h>

#include <set>
#include <sstream>
#include <string>

#include "mixgrad.h"
#include "tests/points.h"
#include "tests/training.h"

using namespace mixgrad;
using namespace mixgrad::train;
using test::At;
using test::points;
using test::with_sgd;

TEST_CASE("profile callback: writes one table for each fit, however it ends") {
  std::ostringstream text;
  Learner learn(points(16), nn::Linear(2, 2), with_sgd());
  const auto at = std::make_shared<At>();
  learn.add(std::make_shared<ProfileCallback>(text)).add(at);
  learn.fit(1);
  const std::string first = text.str();
  CHECK(first.find("sgd_step") != std::string::npos);
  at->backward_end = [](Learner&) { fail("in the middle"); };
  CHECK_THROWS_AS(learn.fit(1), Error);
  CHECK(text.str().size() > first.size());
  CHECK(text.str().find("sgd_step", first.size()) == std::string::npos);  // the second table counts the second fit
}

TEST_CASE("profile: the backward pass of a function is listed under the function's name") {
  const Tensor x = Tensor::from({2.0f}, {1}).requires_grad_();
  const Profile profile;
  sum(tanh(sqrt(x))).backward();
  std::set<std::string> kernels;
  for (const Profile::Entry& entry : profile.entries()) kernels.insert(entry.kernel);
  CHECK(kernels.contains("tanh_backward"));
  CHECK(kernels.contains("sqrt_backward"));
}
