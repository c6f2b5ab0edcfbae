// What a scope holds: objects that are never copied, and values that return when they go.
#pragma once

#include <utility>

namespace mixgrad {

// The base of a class that is neither copied nor moved.
struct NonCopyable {
  NonCopyable() = default;
  NonCopyable(const NonCopyable&) = delete;
  NonCopyable& operator=(const NonCopyable&) = delete;
};

// Gives a variable another value while it lives, and then its old one back.
template <class T>
class Temporarily : NonCopyable {
 public:
  Temporarily(T& variable, T value) : variable_(variable), before_(std::exchange(variable, std::move(value))) {}
  ~Temporarily() { variable_ = std::move(before_); }

 private:
  T& variable_;
  T before_;
};

}  // namespace mixgrad
