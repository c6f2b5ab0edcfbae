#include "apps/gnuplot.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "core/scope.h"

namespace mixgrad::apps {

namespace {

// A gnuplot process that reads what is written. Its messages are dropped: some fonts and locales cause warnings.
class Pipe : NonCopyable {
 public:
  Pipe() { check(pipe_ != nullptr, "picture: gnuplot cannot be started"); }
  ~Pipe() {
    if (pipe_ != nullptr) pclose(pipe_);
    std::signal(SIGPIPE, previous_);
  }

  void write(std::string_view text) { std::fwrite(text.data(), 1, text.size(), pipe_); }
  // Waits for its end. Whether it succeeded.
  bool close() { return pclose(std::exchange(pipe_, nullptr)) == 0; }

 private:
  std::FILE* pipe_ = popen("exec gnuplot -d 2> /dev/null", "w");  // -d: without the user's own settings
  // A gnuplot that ends early is an error of close(), not a signal that ends this program.
  void (*previous_)(int) = std::signal(SIGPIPE, SIG_IGN);
};

std::string replaced(const std::string& text, char from, const char* to) {
  std::string result;
  for (const char c : text) c == from ? result += to : result += c;
  return result;
}

// 'text', a single quote inside written twice.
std::string literal(const std::string& text) { return '\'' + replaced(text, '\'', "''") + '\''; }

// Whether the file ends as every PNG file does. On a full disk gnuplot succeeds, but the file is truncated.
bool is_complete(const std::string& png) {
  constexpr std::string_view end("IEND\xae\x42\x60\x82", 8);
  std::ifstream file(png, std::ios::binary);
  std::string last(end.size(), '\0');
  file.seekg(-static_cast<std::streamoff>(end.size()), std::ios::end);
  return file.read(last.data(), static_cast<std::streamsize>(last.size())) && last == end;
}

// Why a file can't be written, which gnuplot does not say: the error of writing one.
std::string reason(const std::string& path) {
  errno = 0;
  std::ofstream file(path, std::ios::binary);
  file << std::string(1 << 16, ' ') << std::flush;
  return file.good() || errno == 0 ? "" : text_of(": ", std::strerror(errno));
}

}  // namespace

std::string quoted(const std::string& text) { return literal(printable(text)); }

std::string quoted_tic(const std::string& text) { return replaced(quoted(text), '%', "%%"); }

bool draw(const std::string& png, const Canvas& canvas, const GnuplotScript& script) {
  if (std::system("command -v gnuplot > /dev/null 2>&1") != 0) return false;
  check(png.find('\n') == std::string::npos, "picture: a newline in the file name ", printable(png));
  // Absolute, since gnuplot reads "|name" as a program and "~" as a home folder.
  const std::string part = std::filesystem::absolute(png).string() + ".part";
  Pipe gnuplot;
  GnuplotScript head;
  head << "set encoding utf8\nset terminal pngcairo noenhanced size " << canvas.width << ',' << canvas.height
       << " font 'sans," << canvas.font_size << "'\nset output " << literal(part) << '\n';
  gnuplot.write(head.str());
  gnuplot.write(script.str());
  gnuplot.write("\nunset output\n");
  std::error_code error, ignored;
  const bool drawn = gnuplot.close() && is_complete(part);
  if (drawn) std::filesystem::rename(part, png, error);
  const std::string why = error ? ": " + error.message() : drawn ? "" : reason(part);
  std::filesystem::remove(part, ignored);
  check(drawn && !error, "picture: gnuplot could not write ", png, why);
  return true;
}

}  // namespace mixgrad::apps
