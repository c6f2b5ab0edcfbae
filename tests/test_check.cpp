#include <doctest/doctest.h>

#include <string>

#include "core/check.h"

using namespace mixgrad;
using namespace std::string_literals;

TEST_CASE("printable: what a terminal would act on becomes a question mark, letters of any script stay") {
  CHECK(printable("plain text, (3 x 4)") == "plain text, (3 x 4)");
  CHECK(printable("two\nlines\r\n\ttab") == "two?lines???tab");
  CHECK(printable("\x1b[31mred\a\x7f\0end"s) == "?[31mred???end");
  CHECK(printable("\xc2\x9b"
                  "31m \xc2\xa0") == "??31m \xc2\xa0");  // CSI in one character; the one after the last control
  CHECK(printable("\xe2\x80\xae"
                  "gnp.exe \xe2\x80\xa8 \xe2\x81\xa6") == "???gnp.exe ??? ???");  // right to left; line separator
  for (const char* word : {"été", "Ζεύς", "数字", "😀", "\U0010ffff"}) CHECK(printable(word) == word);
}

TEST_CASE("printable: bytes that are not UTF-8 become question marks, one each") {
  CHECK(printable("caf\xe9") == "caf?");
  CHECK(printable("\x9b"
                  "31m") == "?31m");     // CSI in Latin-1
  CHECK(printable("\xe6\x95") == "??");  // truncated
  CHECK(printable("\xe6\x95z") == "??z");
  CHECK(printable("\xc0\x8a \xe0\x80\x8a") == "?? ???");  // line ends in more bytes than they need
  CHECK(printable("\xed\xa0\x80") == "???");              // a surrogate
  CHECK(printable("\xf4\x90\x80\x80 \xff") == "???? ?");  // beyond the last character
}

TEST_CASE("printable: a long text is cut between characters") {
  CHECK(printable(std::string(200, 'x')) == std::string(200, 'x'));
  CHECK(printable(std::string(201, 'x')) == std::string(200, 'x') + "...");
  CHECK(printable("aé", 3) == "aé");
  CHECK(printable("aéb", 3) == "aé...");
  CHECK(printable("aéb", 2) == "a...");
}

TEST_CASE("error: its text is one printable line, however it is made") {
  const std::string bad = "a\nb\x1b[2J", good = "a?b?[2J";
  CHECK_THROWS_WITH_AS(fail("file ", bad, ": is missing"), ("file " + good + ": is missing").c_str(), Error);
  CHECK_THROWS_WITH_AS(check(false, bad.c_str()), good.c_str(), Error);
  CHECK(Error(bad).what() == good);
  const std::string path(4000, 'x');
  CHECK(Error(path).what() == path);  // whole: it may be a path
}
