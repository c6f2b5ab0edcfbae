// What the document says about mixup, statement by statement, with where it stands in mixgrad, the test that executes
// it, and the experiment that measures it. The statements are told in our words.
#pragma once

#include <string>
#include <vector>

namespace mixgrad::apps {

enum class Says { nothing, higher, lower, no_difference };

// A comparison of an arm with the first of its experiment, and what the document says of it.
struct Expectation {
  std::string measure, arm;
  Says says = Says::nothing;
};
struct Fact {
  std::string measure, arm;
};

struct Statement {
  int number;
  std::string text, code;
  std::string test;        // the name of a doctest case
  std::string experiment;  // empty: the study does not measure it
  std::vector<Fact> facts = {};
  std::vector<Expectation> expectations = {};
  std::string remark = {};
};

const std::vector<Statement>& statements();

}  // namespace mixgrad::apps
