// The Error that is thrown, or not, and the words in it.
#pragma once

#include <doctest/doctest.h>

#include <concepts>
#include <string>

#include "core/check.h"

namespace mixgrad::test {

inline bool contains(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

inline void check_contains(const std::string& text, const std::string& words) {
  CAPTURE(words);
  INFO(text);
  CHECK(contains(text, words));
}

// The text of the Error that f throws, which must be one line; empty when f throws none.
template <class F>
std::string error_of(const F& f) {
  std::string text;
  try {
    f();
  } catch (const Error& error) {
    text = error.what();
    INFO(text);
    CHECK(!text.empty());
    CHECK(!contains(text, "\n"));
  }
  return text;
}

// f must throw an Error, of one line that holds the words. Returns its text.
template <class F>
requires std::invocable<const F&> std::string check_refused(const F& f, const std::string& words = "") {
  const std::string text = error_of(f);
  CHECK_MESSAGE(!text.empty(), "there is no error");
  check_contains(text, words);
  return text;
}

}  // namespace mixgrad::test
