#include "core/check.h"

#include <array>
#include <iomanip>
#include <locale>

namespace mixgrad {
namespace {

// The length in bytes of the character that the text, which is not empty, begins with; 0 if it cannot be printed.
std::size_t printable_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(0);
  const std::size_t length = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (length == 0 || first >= 0xf8) return 0;
  unsigned code = length == 1 ? first : first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr std::array smallest{0u, 0u, 0x80u, 0x800u, 0x10000u};  // in 0, 1, 2, 3, 4 bytes
  const auto within = [=](unsigned low, unsigned high) { return code >= low && code <= high; };
  const bool valid = code >= smallest[length] && code <= 0x10ffff && !within(0xd800, 0xdfff);
  const bool control =
      code < ' ' || within(0x7f, 0x9f) || within(0x2028, 0x202e) || within(0x2066, 0x2069);  // line ends, directions
  return valid && !control ? length : 0;
}

}  // namespace

std::string printable(std::string_view text, std::size_t longest) {
  std::string result;
  while (!text.empty()) {
    const std::size_t length = printable_length(text);
    const std::string_view next = length > 0 ? text.substr(0, length) : "?";
    if (result.size() + next.size() > longest) return result + "...";
    result += next;
    text.remove_prefix(length > 0 ? length : 1);
  }
  return result;
}

TextStream::TextStream() { imbue(std::locale::classic()); }

std::string with_decimals(double value, int decimals) {
  return text_of(std::fixed, std::setprecision(decimals), value);
}

}  // namespace mixgrad
