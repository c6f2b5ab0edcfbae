// What the document says about mixup, statement by statement, with where it stands in mixgrad, the test that executes
// it, and the experiment that measures it. The statements are told in our words.
#pragma once

#include <string>
#include <vector>

namespace mixgrad::apps {

enum class Says { higher, lower, no_difference };

// What the document expects of an arm, beside the first of its experiment.
struct Expectation {
  std::string measure, arm;
  Says says;
};

struct Statement {
  int number;
  std::string text, code;
  std::string test;                            // the name of a doctest case
  std::string experiment;                      // empty: not measured by the study
  std::vector<std::string> facts = {};         // measures of its first arm that are shown
  std::vector<Expectation> expectations = {};  // comparisons that are shown
  std::string remark = {};
};

const std::vector<Statement>& statements();

}  // namespace mixgrad::apps
