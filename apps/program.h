// What the main functions share: an error, also of printing results, ends the program with one line and an exit code.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include "core/check.h"

namespace mixgrad::apps {

// A mistake in the command line itself: exit code 2; any other error: 1.
struct UsageError : Error {
  using Error::Error;
};

inline constexpr const char* exit_codes =
    "Exit codes: 0 success; 1 failure (a file, the data, the device, training, printing); 2 a mistake in the "
    "command line; 130 Ctrl-C";

// Runs the body of main, which returns the exit code, and prints what it throws as one line "name: ...".
int run_program(const char* name, const std::function<int()>& body);

// Prints the parts as one line, without the control characters that a file name may have.
template <class... Parts>
void print_line(const Parts&... parts) {
  std::puts(printable(text_of(parts...), std::string::npos).c_str());
}

// "21:07"
std::string minutes(double seconds);

// Flushes standard output; throws, with the reason, if anything printed could not be written.
void check_printed();

}  // namespace mixgrad::apps
