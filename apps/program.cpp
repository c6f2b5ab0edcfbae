#include "apps/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>

namespace mixgrad::apps {

namespace {

// If a standard stream is closed, the next file opened would take its descriptor and receive what is printed. So the
// descriptor gets a file on which the same operations fail.
void occupy_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(stream, F_GETFD) < 0) open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

std::string text_of_error(const std::exception& error) {
  const auto* const file = dynamic_cast<const std::filesystem::filesystem_error*>(&error);
  return printable(file ? file->path1().string() + ": " + file->code().message() : error.what(), std::string::npos);
}

}  // namespace

std::string minutes(double seconds) {
  const long whole = std::lround(seconds);
  return text_of(whole / 60, ":", whole % 60 / 10, whole % 10);
}

void check_printed() {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return;
  // It may have failed long ago: another attempt, with an empty line, gives the reason.
  const bool fails = write(STDOUT_FILENO, "\n", 1) < 0;
  fail("results cannot be printed", fails ? text_of(": ", std::strerror(errno)) : "");
}

int run_program(const char* name, const std::function<int()>& body) {
  occupy_closed_streams();
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an ordinary error
  int code = 1;
  try {
    code = body();
    check_printed();
    return code;
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s: %s\n", name, text_of_error(error).c_str());
    return dynamic_cast<const UsageError*>(&error) ? 2 : code == 0 ? 1 : code;
  }
}

}  // namespace mixgrad::apps
