// Errors: every mistake a caller can make throws a mixgrad::Error whose text names the operation, the shapes or values
// at fault and what to do. Nothing aborts, nothing is silently wrong.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mixgrad {

// Text from elsewhere (a file name, a name read from a file, another library's message) made fit for a message: on one
// line, without control characters, and short. Every byte that cannot be printed - of control characters, including
// those that change the text direction, and of invalid UTF-8 - becomes '?'; what exceeds `longest` bytes becomes "...".
std::string printable(std::string_view text, std::size_t longest = 200);

// Its text is always printable.
struct Error : std::runtime_error {
  explicit Error(const std::string& text) : std::runtime_error(printable(text, std::string::npos)) {}
};

// A stream whose output is the same in every locale. Other streams, and printf, format numbers by the program's locale,
// such as 1.234,5.
struct TextStream : std::ostringstream {
  TextStream();
};

// All parts written one after the other.
template <class... Parts>
std::string text_of(const Parts&... parts) {
  TextStream text;
  (text << ... << parts);
  return text.str();
}

// 0.5 with three decimals: "0.500".
std::string with_decimals(double value, int decimals);

// Throws an Error with this text.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(text_of(parts...));
}

// check(cond, "conv2d: input has ", c, " channels, weight expects ", k): throws unless cond holds. The parts are
// formatted only on failure, so they may be whole shapes.
template <class... Parts>
void check(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(parts...);
}

}  // namespace mixgrad
