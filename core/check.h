// Errors: every mistake a caller can make ends in a mixgrad::Error whose text names the operation, the shapes or
// values at fault and what to do. Nothing aborts, nothing is silently wrong.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace mixgrad {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// All parts written one after the other.
template <class... Parts>
std::string text_of(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

// Throws an Error with this text.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(text_of(parts...));
}

// check(cond, "conv2d: input has ", c, " channels, weight expects ", k): throws unless cond holds. The parts are
// written out only on failure, so they may be whole shapes.
template <class... Parts>
void check(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(parts...);
}

// Text from elsewhere, such as a name read from a file, as a part of an error: short, and without line ends.
inline std::string printable(std::string text) {
  constexpr std::size_t longest = 200;
  if (text.size() > longest) text.replace(longest, std::string::npos, "...");
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  return text;
}

}  // namespace mixgrad
