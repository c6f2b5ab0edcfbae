#include "apps/command_line.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>
#include <vector>

#include "apps/program.h"

namespace mixgrad::apps {

namespace {

// Levenshtein distance: how many characters must be inserted, removed or replaced to turn one text into the other.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j)
      diagonal = std::exchange(row[j + 1], std::min({row[j] + 1, row[j + 1] + 1, diagonal + (a[i] != b[j])}));
  }
  return row.back();
}

// "; did you mean --epochs?", if an option begins with the name or nearly equals it, or else where to look.
std::string suggestion(const CLI::App& app, const std::string& name) {
  std::string best;
  std::size_t least = std::min<std::size_t>(3, name.size() / 2);
  for (const CLI::Option* const option : app.get_options())
    for (const std::string& known : option->get_lnames()) {
      const std::string candidate = "--" + known;
      const std::size_t far = name.size() > 4 && candidate.starts_with(name) ? 0 : distance(name, candidate);
      if (far < least) least = far, best = candidate;
    }
  return best.empty() ? " (--help lists them)" : "; did you mean " + best + "?";
}

bool is_option(const std::string& argument) {  // not a negative number
  return argument.size() > 1 && argument[0] == '-' && !std::strchr(".0123456789", argument[1]);
}

// The arguments in the order CLI11 wants them, the last first, an option before its value. Throws unless each option
// exists, and one that takes a value has it and is given once. CLI11 itself would take the next argument, even an
// option, as the value of "--save=" or --save.
std::vector<std::string> arguments(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> result;
  std::set<std::string> given;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i], name = argument.substr(0, argument.find('='));
    result.push_back(is_option(argument) ? name : argument);
    if (!is_option(argument)) continue;
    const auto require = [&](bool condition, const std::string& words) {
      if (!condition) throw UsageError(printable(name) + ": " + words);
    };
    const CLI::Option* const option = app.get_option_no_throw(name);
    require(option, "unknown option" + suggestion(app, name));
    const bool takes_value = option->get_items_expected_max() > 0, joined = name.size() < argument.size();
    require(takes_value || !joined, "takes no value");
    if (!takes_value) continue;
    require(given.insert(name).second, "is given twice");
    require(joined || (i + 1 < argc && !is_option(argv[i + 1])), "needs a value");
    result.push_back(joined ? argument.substr(name.size() + 1) : argv[++i]);
  }
  std::reverse(result.begin(), result.end());
  return result;
}

}  // namespace

bool parse_command_line(CLI::App& app, int argc, char** argv) {
  app.footer(exit_codes);
  try {
    app.parse(arguments(app, argc, argv));
    return true;
  } catch (const CLI::CallForHelp& help) {
    app.exit(help);
    return false;
  } catch (const CLI::ExtrasError&) {
    throw UsageError(
        text_of("'", printable(app.remaining().front()), "' is not the value of any option (--help lists them)"));
  } catch (const CLI::ParseError& error) {
    throw UsageError(text_of(printable(error.what()), " (--help lists the options)"));
  }
}

std::string path(const std::string& text) { return text.empty() ? "is empty; is a shell variable unset?" : ""; }

std::string number(const std::string& text) {
  double value = 0;
  const char *const begin = text.data() + text.starts_with('+'), *const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(begin, end, value);
  if (error == std::errc::result_out_of_range) return printable(text) + " is out of the range of a double";
  return error != std::errc() || rest != end ? "'" + printable(text) + "' is not a number" : "";
}

}  // namespace mixgrad::apps
