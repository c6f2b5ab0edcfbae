// What belongs to a scope: objects that are never copied, and values restored at scope exit.
#pragma once

#include <utility>

namespace mixgrad {

// The base of a class that is neither copied nor moved.
struct NonCopyable {
  NonCopyable() = default;
  NonCopyable(const NonCopyable&) = delete;
  NonCopyable& operator=(const NonCopyable&) = delete;
};

// Gives a variable another value, and restores the old one at scope exit.
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
