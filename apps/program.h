// What the main functions share: a mistake ends in one line and an exit code, and so do results that can't be printed.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include "core/check.h"

namespace mixgrad::apps {

// A mistake in the command line itself, which ends a program with exit code 2; any other error does with 1.
struct UsageError : Error {
  using Error::Error;
};

inline constexpr const char* exit_codes =
    "Exit codes: 0 done; 1 failed (a file, the data, the device, the training, the printing); 2 a mistake in the "
    "command line; 130 Ctrl-C";

// Runs the body of main, which returns the exit code, and prints what it throws as one line "name: ...".
int run_program(const char* name, const std::function<int()>& body);

// Prints the parts as one line, without the control characters that a file name may have.
template <class... Parts>
void print_line(const Parts&... parts) {
  std::puts(printable(text_of(parts...), std::string::npos).c_str());
}

// Throws, with the reason, unless all that was printed on standard output has arrived.
void check_printed();

}  // namespace mixgrad::apps
