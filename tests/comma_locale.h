// Locales in which 1234.5 is written 1.234,5.
#pragma once

#include <doctest/doctest.h>

#include <clocale>
#include <cstdlib>
#include <locale>
#include <string>

#include "tests/temporary_folder.h"

namespace mixgrad::test {

// The program's C++ locale while it lives. Even two digits are set apart.
class CommaLocale {
 public:
  CommaLocale() = default;
  ~CommaLocale() { std::locale::global(before_); }
  CommaLocale(const CommaLocale&) = delete;
  CommaLocale& operator=(const CommaLocale&) = delete;

 private:
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\1"; }
  };
  std::locale before_ = std::locale::global(std::locale(std::locale::classic(), new Comma));
};

// The C locale's numbers while it lives, which printf follows: those of German, made for the purpose.
class CommaPrintf {
 public:
  CommaPrintf() {
    const std::string make =
        "localedef --no-archive -i de_DE -f UTF-8 '" + (folder_ / "de_DE.UTF-8") + "' >/dev/null 2>&1";
    made_ = std::system(make.c_str()) == 0 && setenv("LOCPATH", folder_.path().c_str(), 1) == 0 &&
            std::setlocale(LC_NUMERIC, "de_DE.UTF-8") != nullptr;
    if (!made_) MESSAGE("skipped: no German locale can be made (packages locales and libc-bin)");
  }
  ~CommaPrintf() {
    std::setlocale(LC_NUMERIC, "C");
    unsetenv("LOCPATH");
  }
  CommaPrintf(const CommaPrintf&) = delete;
  CommaPrintf& operator=(const CommaPrintf&) = delete;
  explicit operator bool() const { return made_; }

 private:
  TemporaryFolder folder_;
  bool made_ = false;
};

}  // namespace mixgrad::test
