// What the command lines share, on top of CLI11: strict values, and mistakes that are named.
#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <string>
#include <type_traits>

#include "core/check.h"

namespace mixgrad::apps {

// Reads the command line. Returns false after --help, which it prints. Throws a UsageError that names the mistake: an
// unknown option, with a suggestion, one that is given twice, what CLI11 or a validator refuses.
bool parse_command_line(CLI::App& app, int argc, char** argv);

// For CLI::Option::check, which expects what is wrong with a value, or nothing. A path must not be empty: an unset
// shell variable would make it so. A number is one such as 1e-3.
std::string path(const std::string& text);
std::string number(const std::string& text);

// A whole number in decimal digits. CLI11 itself reads 010 as 8, and wraps negative values.
template <class T>
CLI::Validator whole_number(T least, T most) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        const std::size_t sign = text.starts_with('-') || text.starts_with('+');
        if (text.size() == sign || text.find_first_not_of("0123456789", sign) != text.npos)
          return "'" + printable(text) + "' is not a whole number";
        T value{};
        const char* const begin = text.data() + text.starts_with('+');
        const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
        if (error != std::errc() || value < least || value > most)
          return text_of(printable(text), " is not in the range ", least, " to ", most);
        text = std::to_string(value);
        return {};
      },
      "");
}

// Options with such values.
inline CLI::Option* add_path(CLI::App& app, const char* name, std::string& to, const char* what) {
  return app.add_option(name, to, what)->check(path);
}
template <class T>
CLI::Option* add_count(CLI::App& app, const char* name, T& to, std::type_identity_t<T> least,
                       std::type_identity_t<T> most, const char* what) {
  return app.add_option(name, to, what)->transform(whole_number(least, most));
}

}  // namespace mixgrad::apps
